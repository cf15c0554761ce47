/* requests.h - requests of clients, tools and slaves that mqremoted passes to the mount.
 *
 * One row of requests.def for each code.  They are served one after the other in a thread of
 * their own: they may read the disk and take locks, but should not wait for other threads.
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

/* --- what they share ------------------------------------------------------------------------- */

/* The whole number in that field.  False: it is none, and *ret is the refusal. */
bool request_number(const struct request *req, const char *field, int64_t *ret_number, struct answer *ret);

/* The topic of the field "topic".  NULL: *ret is TOPIC_NOT_EXIST. */
struct topic *request_topic(struct service *s, const struct request *req, struct answer *ret);

/* The group that `field` names.  NULL: there is none. */
struct group *request_group(struct service *s, const struct request *req, const char *field);

/* Set the refusal of a request for which the client has no right, noted as -EACCES.  Returns MQ_OK. */
int request_no_right(struct answer *ret);

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

/* Set a body, which is taken over.  -ENOMEM. */
int answer_json(struct answer *ret, json_t *body);

/* The same of a body with tables of queues, whose names are objects: objects.h. */
int answer_queues(struct answer *ret, json_t *body);

/* The queue's value, which is taken over, in a table. */
int request_set_queue(struct service *s, json_t *table, const char *topic, int32_t queue_id, json_t *value);

/* Serve a request: the functions of requests.def in the mount.  Not MQ_OK (noted): it could not be done. */
#define REQUEST(name, code, in_mqremoted, in_mount)                                                                    \
	int in_mount(struct service *s, const struct request *req, struct answer *ret);
#include "remoting/requests.def"

/* --- before they are served: requests_judge.c -------------------------------------------------- */

struct permit;

/* May it be asked?  The answer is a ticket, as its remark, or a refusal. */
int request_judge(struct service *s, const struct request *req, struct answer *ret);

/* It shows a ticket, or needs none.  *ret is to be given back.  False: it may not be served. */
bool request_is_let_in(struct service *s, const struct request *req, struct permit *ret);

#endif
