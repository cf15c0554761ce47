/* groups/G/clients and topics/T/producers: who consumes and who produces over the network. */
#include "config.h"

#include <errno.h>

#include "fs/mount.h"
#include "fs/node.h"
#include "fs/workers.h"
#include "remoting/service.h"

#define CLIENTS_MS 1000		/* mqremoted may take so long to answer */

/* Ask mqremoted with the field `field`: `name`, and append its lines. */
static int
render(struct mount *m, int code, const char *field, const char *name, struct text *t)
{
	struct answer a = { 0 };
	json_t *ext;
	int rc;

	if (!m->service)
		return MQ_OK;
	ext = json_pack("{s:s}", field, name);
	workers_wait_begin(m);
	rc = ext ? service_call(m->service, code, ext, CLIENTS_MS, &a) : -ENOMEM;
	workers_wait_end(m);
	json_decref(ext);
	if (rc == MQ_OK && a.body)
		text_add(t, a.body, a.body_len);
	answer_clear(&a);
	return rc == -ENOTCONN || rc == -ECONNRESET ? MQ_OK : rc;	/* without mqremoted there are no clients */
}

static int
group_clients_render(struct mount *m, const struct node *n, struct text *t)
{
	return render(m, SERVICE_CONSUMERS, "consumerGroup", n->group->name, t);
}

const struct node_class node_group_clients = {
	.set_attr = node_set_owner,
	.render = group_clients_render,
};

static int
topic_producers_render(struct mount *m, const struct node *n, struct text *t)
{
	return render(m, SERVICE_PRODUCERS, "topic", n->topic->name, t);
}

const struct node_class node_topic_producers = {
	.set_attr = node_set_owner,
	.render = topic_producers_render,
};
