/* config_set.h - settings that change while mounted. */
#ifndef MQFS_FS_CONFIG_SET_H
#define MQFS_FS_CONFIG_SET_H

struct mount;

/* What writing to config/KEY does: the setting of exactly that name has another value, and what
 * depends on it follows.  MQ_EBADCONF, noted: it does not take it, or not while mounted. */
int config_set(struct mount *m, const char *key, const char *value);

#endif
