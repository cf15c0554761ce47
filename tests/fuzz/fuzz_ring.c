/* Any bytes as a submission of mqremoted's: what is taken can be used as it is.
 *
 * Input: how much the count of submissions moves, a submission, what lies in the ring. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "conf/err.h"
#include "remoting/ring_client.h"
#include "remoting/ring_server.h"
#include "tests/fuzz/target.h"

static struct ring_server server;
static struct ring_client client;
static struct ring_request req;

static void
begin(void)
{
	struct ring_fds fds;

	MUST(ring_server_open(&server, &fds) == MQ_OK);
	MUST(ring_client_open(&client, &fds) == MQ_OK);
}

static void
end(void)
{
	ring_client_close(&client);
	ring_server_close(&server);
}

static void
check_usable(void)
{
	const struct ring_submission *s = &req.s;
	size_t at = 0, items = 0;
	struct ring_item item;

	MUST(s->kind >= RING_SEND && s->kind < RING_KINDS_END && s->slot < RING_SLOTS);
	MUST(strlen(req.topic) == s->topic_len && strlen(req.template) == s->template_len);
	MUST(strlen(req.group) == s->group_len && req.text[s->text_len] == '\0');
	MUST(s->topic_len == 0 || record_topic_valid(req.topic, s->topic_len));
	if (s->body_len > 0) {
		MUST(req.body >= server.in->data);
		MUST(req.body + s->body_len <= server.in->data + RING_DATA_BYTES);
	}
	while (s->kind == RING_BATCH && ring_item_next(req.body, s->body_len, &at, &item)) {
		MUST(at <= s->body_len);
		items++;
	}
	MUST(items <= s->body_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ring_submission *s;
	int rc;

	if (size < 1 + sizeof(*s))
		return 0;
	if (!server.in)
		begin();
	s = &client.in->submissions[server.taken % RING_SLOTS];
	memcpy(s, data + 1, sizeof(*s));
	size -= 1 + sizeof(*s);
	if (size > RING_DATA_BYTES - s->data_at % RING_DATA_BYTES)
		size = RING_DATA_BYTES - s->data_at % RING_DATA_BYTES;
	memcpy(client.in->data + s->data_at % RING_DATA_BYTES, data + 1 + sizeof(*s), size);
	atomic_store(&client.in->submitted, server.taken + data[0]);
	rc = ring_server_take(&server, &req);
	if (data[0] == 0)
		MUST(rc == -EAGAIN);
	MUST(rc == MQ_OK || rc == MQ_ECORRUPT || rc == -EAGAIN);
	if (rc == MQ_OK)
		check_usable();
	if (server.data_end > 0)	/* a client that has got further cannot be told anew */
		end();
	else if (rc == MQ_OK)
		ring_server_complete(&server, &(struct ring_completion){ .slot = req.s.slot });
	return 0;
}
