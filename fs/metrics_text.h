/* metrics_text.h - the numbers of metrics.h as tables, as JSON and as metrics. */
#ifndef MQFS_FS_METRICS_TEXT_H
#define MQFS_FS_METRICS_TEXT_H

#include "fs/metrics.h"

/* status/topics, status/groups: all of them, a line for each topic, and for each topic of a group. */
int metrics_render_topics(struct mount *m, struct text *t);
int metrics_render_groups(struct mount *m, struct text *t);

/* groups/G/lag: a line for each queue of each topic. */
int metrics_render_lag(struct mount *m, struct group *g, struct text *t);

/* Append to t the metrics of those that are named.  `labels` are the broker's. */
void metrics_prometheus(const struct metrics *st, const char *labels, struct text *t);

/* Into `all`: the totals, and the lists topics, groups and peers.  -ENOMEM. */
int metrics_json(const struct metrics *st, json_t *all);

#endif
