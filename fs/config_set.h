/* config_set.h - settings that change while mounted. */
#ifndef MQFS_FS_CONFIG_SET_H
#define MQFS_FS_CONFIG_SET_H

struct mount;

/* A write to config/KEY: set the setting of exactly that name, and apply it to everything that
 * depends on it.  MQ_EBADCONF, noted: the value is invalid, or it cannot change while mounted. */
int config_set(struct mount *m, const char *key, const char *value);

#endif
