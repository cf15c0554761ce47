/* requests.h - what clients, tools and slaves ask the mount by way of mqremoted.
 *
 * One row of the table in requests.c for each code.  Rows run one after the other in a thread
 * of their own: they may read the disk and take locks, but should not wait for others.
 */
#ifndef MQFS_REMOTING_REQUESTS_H
#define MQFS_REMOTING_REQUESTS_H

#include "net/request.h"

struct service;

/* *ret is an answer in any case. */
void requests_answer(struct service *s, const struct request *req, struct answer *ret);

/* --- what rows share ------------------------------------------------------------------------- */

/* A whole number in that field.  False: *ret is a refusal that says so. */
bool request_number(const struct request *req, const char *field, int64_t *ret_number, struct answer *ret);

/* The topic that `field` names.  NULL: *ret is TOPIC_NOT_EXIST. */
struct topic *request_topic(struct service *s, const struct request *req, const char *field, struct answer *ret);

/* Rows, by file: requests_queues.c, */
int serve_query_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_update_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_search_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_max_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_min_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_earliest_time(struct service *s, const struct request *req, struct answer *ret);
int serve_view_message(struct service *s, const struct request *req, struct answer *ret);
int serve_query_message(struct service *s, const struct request *req, struct answer *ret);

/* requests_sendback.c, */
int serve_send_back(struct service *s, const struct request *req, struct answer *ret);

/* and requests_admin.c. */
int serve_heartbeat(struct service *s, const struct request *req, struct answer *ret);
int serve_table(struct service *s, const struct request *req, struct answer *ret);
int serve_topic_config(struct service *s, const struct request *req, struct answer *ret);
int serve_topic_set(struct service *s, const struct request *req, struct answer *ret);
int serve_topic_delete(struct service *s, const struct request *req, struct answer *ret);
int serve_group_set(struct service *s, const struct request *req, struct answer *ret);
int serve_group_delete(struct service *s, const struct request *req, struct answer *ret);
int serve_topic_stats(struct service *s, const struct request *req, struct answer *ret);
int serve_consume_stats(struct service *s, const struct request *req, struct answer *ret);
int serve_broker_config(struct service *s, const struct request *req, struct answer *ret);
int serve_runtime_info(struct service *s, const struct request *req, struct answer *ret);

#endif
