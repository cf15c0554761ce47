/* requests.h - requests of clients, tools and slaves that mqremoted passes to the mount.
 *
 * One row of the table in requests.c for each code.  Rows run one after the other in a thread
 * of their own: they may read the disk and take locks, but should not wait for other threads.
 */
#ifndef MQFS_REMOTING_REQUESTS_H
#define MQFS_REMOTING_REQUESTS_H

#include "conf/pos.h"
#include "net/request.h"

struct group;
struct queue;
struct service;
struct topic;

/* *ret is an answer in any case. */
void requests_answer(struct service *s, const struct request *req, struct answer *ret);

/* --- what rows share ------------------------------------------------------------------------- */

/* The whole number in that field.  False: it is none, and *ret is the refusal. */
bool request_number(const struct request *req, const char *field, int64_t *ret_number, struct answer *ret);

/* The topic that `field` names.  NULL: *ret is TOPIC_NOT_EXIST. */
struct topic *request_topic(struct service *s, const struct request *req, const char *field, struct answer *ret);

/* The queue of the fields "topic" and "queueId", if it may be read; or: also if not.  False: *ret is
 * a refusal. */
struct place {
	struct topic *topic;
	struct queue *queue;
	int32_t queue_id;
};

bool request_place(struct service *s, const struct request *req, struct place *ret_place, struct answer *ret);
bool request_any_place(struct service *s, const struct request *req, struct place *ret_place, struct answer *ret);

/* When the message with that number was stored; -1: there is no such message. */
int64_t request_stored_ms(struct service *s, struct queue *q, mq_qoff at);

/* The group; it and its retry topic are made, if groups are made automatically.  *ret may be a refusal. */
int request_group_made(struct service *s, const char *name, struct group **ret_g, struct answer *ret);

/* Is the name in a list, in which commas follow or separate names?  NULL: every name is. */
bool request_lists(const char *list, const char *name);

/* Set a number as the answer's only ext field; a body, which is taken over.  -ENOMEM. */
int answer_number(struct answer *ret, const char *name, int64_t number);
int answer_json(struct answer *ret, json_t *body);

/* The same of a body with tables of queues, whose names are objects: objects.h. */
int answer_queues(struct answer *ret, json_t *body);

/* The queue's value, which is taken over, in a table. */
int request_set_queue(struct service *s, json_t *table, const char *topic, int32_t queue_id, json_t *value);

/* Rows, by file: requests_queues.c, */
int serve_search_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_max_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_min_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_earliest_time(struct service *s, const struct request *req, struct answer *ret);
int serve_view_message(struct service *s, const struct request *req, struct answer *ret);
int serve_query_message(struct service *s, const struct request *req, struct answer *ret);
int serve_consume_directly(struct service *s, const struct request *req, struct answer *ret);
int serve_queue_entries(struct service *s, const struct request *req, struct answer *ret);

/* requests_offsets.c, */
int serve_lock(struct service *s, const struct request *req, struct answer *ret);
int serve_query_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_update_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_reset_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_clone_offset(struct service *s, const struct request *req, struct answer *ret);
int serve_groups_of_topic(struct service *s, const struct request *req, struct answer *ret);
int serve_correction(struct service *s, const struct request *req, struct answer *ret);

/* requests_stats.c, */
int serve_topic_stats(struct service *s, const struct request *req, struct answer *ret);
int serve_consume_stats(struct service *s, const struct request *req, struct answer *ret);
int serve_all_consume_stats(struct service *s, const struct request *req, struct answer *ret);
int serve_stats_data(struct service *s, const struct request *req, struct answer *ret);
int serve_time_span(struct service *s, const struct request *req, struct answer *ret);

/* requests_broker.c, */
int serve_config_set(struct service *s, const struct request *req, struct answer *ret);
int serve_broker_config(struct service *s, const struct request *req, struct answer *ret);
int serve_system_topics(struct service *s, const struct request *req, struct answer *ret);
int serve_clean_queues(struct service *s, const struct request *req, struct answer *ret);
int serve_delete_expired(struct service *s, const struct request *req, struct answer *ret);
int serve_check_subscription(struct service *s, const struct request *req, struct answer *ret);

/* requests_sendback.c, */
int serve_send_back(struct service *s, const struct request *req, struct answer *ret);

/* requests_resume.c, */
int serve_resume_half(struct service *s, const struct request *req, struct answer *ret);

/* requests_runtime.c, */
int serve_runtime_info(struct service *s, const struct request *req, struct answer *ret);

/* and requests_admin.c. */
int serve_heartbeat(struct service *s, const struct request *req, struct answer *ret);
int serve_table(struct service *s, const struct request *req, struct answer *ret);
int serve_topic_config(struct service *s, const struct request *req, struct answer *ret);
int serve_topic_set(struct service *s, const struct request *req, struct answer *ret);
int serve_topic_delete(struct service *s, const struct request *req, struct answer *ret);
int serve_group_set(struct service *s, const struct request *req, struct answer *ret);
int serve_group_delete(struct service *s, const struct request *req, struct answer *ret);

/* requests_acl.c, */
int serve_acl_put(struct service *s, const struct request *req, struct answer *ret);
int serve_acl_delete(struct service *s, const struct request *req, struct answer *ret);
int serve_acl_white(struct service *s, const struct request *req, struct answer *ret);
int serve_acl_version(struct service *s, const struct request *req, struct answer *ret);
int serve_acl_config(struct service *s, const struct request *req, struct answer *ret);

/* --- before they are served: requests_judge.c -------------------------------------------------- */

struct leave;

/* May it be asked?  The answer is a ticket, as its remark, or a refusal. */
int request_judge(struct service *s, const struct request *req, struct answer *ret);

/* It shows a ticket, or needs none.  *ret is to be given back.  False: it may not be served. */
bool request_is_let_in(struct service *s, const struct request *req, struct leave *ret);

#endif
