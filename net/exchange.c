#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/scope.h"
#include "conf/thread.h"
#include "net/blob.h"
#include "net/exchange.h"

#define GRACE_MS 2000			/* later than the daemon, which answers in time itself */

/* A request of this broker, on the stack of its caller. */
struct call {
	LIST_ENTRY(call) entry;
	uint64_t id;
	bool over;
	int rc;				/* of it, once it is over */
	struct answer answer;
};

/* A request of a peer. */
struct served {
	struct link_message msg;
	int blob_fd;
	unsigned run;			/* of the daemon that sent it; a later run gets no answer */
};

/* An answer that waits. */
struct later {
	STAILQ_ENTRY(later) entry;
	unsigned run;
	uint64_t id;
	struct answer answer;
};

struct exchange {
	struct exchange_for what;

	struct lock lock;		/* all below */
	pthread_cond_t changed;
	bool closing;
	int link;			/* the child thread's; -1: the daemon does not run */
	int users;			/* threads that use it now */
	unsigned run;			/* counts the daemon's runs */
	uint64_t last_id;
	LIST_HEAD(, call) calls;
	struct served queue[LINK_REQUESTS_MAX];
	size_t first, n;
	STAILQ_HEAD(laters, later) later;

	struct thread thread, wait_thread;
};

/* --- sending -------------------------------------------------------------------------------- */

/* The link of that run (0: of any), until link_give(); -1: it has ended.  The descriptor is not
 * duplicated: that can fail, and a peer would wait for an answer that was not sent as long
 * as the daemon runs. */
static int
link_take(struct exchange *x, unsigned run)
{
	LOCKED(&x->lock);
	if (x->link < 0 || (run && run != x->run))
		return -1;
	x->users++;
	return x->link;
}

static void
link_give(struct exchange *x)
{
	LOCKED(&x->lock);
	if (--x->users == 0 && x->link < 0)	/* exchange_detach() waits for it */
		pthread_cond_broadcast(&x->changed);
}

static int
send_blob(struct exchange *x, unsigned run, const struct link_message *msg, int blob_fd)
{
	int fd = link_take(x, run), rc;

	if (fd < 0)
		return err_note(-ENOTCONN, "%s does not run", x->what.daemon);
	rc = link_send_blob(fd, 0, msg, blob_fd);
	link_give(x);
	return rc == MQ_OK ? MQ_OK : err_note(rc, "link to %s: %m", x->what.daemon);
}

static int
send_with(struct exchange *x, unsigned run, struct link_message *msg, const json_t *ext, const void *body,
	  size_t body_len)
{
	AUTO_CLOSE int blob_fd = -1;
	int rc = blob_make(msg, ext, body, body_len, &blob_fd);

	return rc == MQ_OK ? send_blob(x, run, msg, blob_fd) : rc;
}

int
exchange_tell(struct exchange *x, unsigned run, const struct link_message *msg)
{
	return send_blob(x, run, msg, -1);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void
calls_end(struct exchange *x, int rc)
{
	struct call *c;

	MUST_HOLD(&x->lock);
	LIST_FOREACH(c, &x->calls, entry) {
		if (!c->over)
			c->rc = rc;
		c->over = true;
	}
	pthread_cond_broadcast(&x->changed);
}

static int
call_begin(struct exchange *x, struct call *c)
{
	LOCKED(&x->lock);
	if (x->closing)
		return MQ_ECLOSED;
	c->id = ++x->last_id;
	LIST_INSERT_HEAD(&x->calls, c, entry);
	return MQ_OK;
}

/* Wait for the response.  rc: the result of sending the request. */
static int
call_end(struct exchange *x, struct call *c, int rc, int timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms + GRACE_MS, left;

	LOCKED(&x->lock);
	while (rc == MQ_OK && !c->over && (left = until - clock_mono_ms()) > 0)
		lock_wait(&x->lock, &x->changed, (int)left);
	LIST_REMOVE(c, entry);
	if (rc != MQ_OK)
		return rc;
	if (!c->over)
		return err_note(-ETIMEDOUT, "%m");
	if (c->rc == MQ_OK)
		return MQ_OK;
	err_clear();		/* an older note of this code is about something else */
	return err_note(c->rc, "%s", c->answer.remark[0] ? c->answer.remark : err_text(c->rc));
}

int
exchange_call(struct exchange *x, int code, const json_t *ext, const void *body, size_t body_len,
	      int timeout_ms, struct answer *ret)
{
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_REQUEST, .code = code,
				    .timeout_ms = timeout_ms };
	struct call c = { .over = false };
	int rc = call_begin(x, &c);

	if (rc != MQ_OK)
		return rc;
	msg.id = c.id;
	rc = send_with(x, 0, &msg, ext, body, body_len);
	rc = call_end(x, &c, rc, timeout_ms);
	if (rc == MQ_OK)
		*ret = c.answer;
	else
		answer_clear(&c.answer);
	return rc;
}

/* A response for which no call waits any more is dropped. */
static int
on_response(struct exchange *x, const struct link_message *msg, int blob_fd)
{
	struct answer answer = { .code = msg->code };
	struct call *c;
	int rc;

	memcpy(answer.remark, msg->text, sizeof(answer.remark));
	rc = blob_read(blob_fd, msg, &answer.ext, &answer.body, &answer.body_len);
	if (rc != MQ_OK)
		return rc;
	LOCKED(&x->lock);
	LIST_FOREACH(c, &x->calls, entry)
		if (c->id == msg->id && !c->over)
			break;
	if (!c) {
		answer_clear(&answer);
		return MQ_OK;
	}
	c->answer = answer;
	c->rc = msg->code < 0 ? msg->code : MQ_OK;
	c->over = true;
	pthread_cond_broadcast(&x->changed);
	return MQ_OK;
}

/* --- requests of peers -------------------------------------------------------------------------- */

static int
on_request(struct exchange *x, const struct link_message *msg, int blob_fd)
{
	LOCKED(&x->lock);
	if (x->n == LINK_REQUESTS_MAX)
		return err_note(MQ_ECORRUPT, "%s sends more requests than it may", x->what.daemon);
	x->queue[(x->first + x->n++) % LINK_REQUESTS_MAX] = (struct served){ *msg, blob_fd, x->run };
	pthread_cond_broadcast(&x->changed);
	return MQ_OK;
}

/* False: closing. */
static bool
next_request(struct exchange *x, struct served *ret)
{
	LOCKED(&x->lock);
	while (!x->closing && x->n == 0)
		lock_wait(&x->lock, &x->changed, -1);
	if (x->closing)
		return false;
	*ret = x->queue[x->first];
	x->first = (x->first + 1) % LINK_REQUESTS_MAX;
	x->n--;
	return true;
}

static void
respond(struct exchange *x, unsigned run, uint64_t id, struct answer *a)
{
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_RESPONSE, .id = id, .code = a->code };
	int rc;

	memcpy(msg.text, a->remark, sizeof(msg.text));
	rc = send_with(x, run, &msg, a->ext, a->body, a->body_len);
	if (rc != MQ_OK) {	/* without fields and body; this fails only if the link has ended */
		msg.code = ANSWER_SYSTEM_ERROR;
		snprintf(msg.text, sizeof(msg.text), "%s", err_text(rc));
		(void)send_with(x, run, &msg, NULL, NULL, 0);
	}
	answer_clear(a);
}

/* False: there is no memory for it. */
static bool
respond_later(struct exchange *x, unsigned run, uint64_t id, const struct answer *a)
{
	struct later *later = malloc(sizeof(*later));

	if (!later)
		return false;
	*later = (struct later){ .run = run, .id = id, .answer = *a };
	LOCKED(&x->lock);
	STAILQ_INSERT_TAIL(&x->later, later, entry);
	pthread_cond_broadcast(&x->changed);
	return true;
}

static void
serve(struct exchange *x, const struct served *s)
{
	struct answer answer = { .code = ANSWER_SUCCESS };
	AUTO_FREE char *body = NULL;
	json_auto_t *ext = NULL;
	size_t body_len = 0;
	int rc = blob_read(s->blob_fd, &s->msg, &ext, &body, &body_len);
	const struct request req = { s->msg.code, s->msg.text, ext, body ? body : "", body_len, s->msg.only_judge };

	if (rc == MQ_OK)
		x->what.serve(x->what.arg, &req, &answer);
	else
		answer_refuse(&answer, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
	if (answer.after && respond_later(x, s->run, s->msg.id, &answer))
		return;
	if (answer.after)
		answer_refuse(&answer, ANSWER_SYSTEM_ERROR, "%s", err_text(-ENOMEM));
	respond(x, s->run, s->msg.id, &answer);
}

static void *
serve_main(void *arg)
{
	struct exchange *x = arg;
	struct served s;

	while (next_request(x, &s)) {
		serve(x, &s);
		if (s.blob_fd >= 0)
			close(s.blob_fd);
	}
	return NULL;
}

/* The first answer that waits, which stays in the list.  NULL: closing. */
static struct later *
first_later(struct exchange *x)
{
	LOCKED(&x->lock);
	while (!x->closing && STAILQ_EMPTY(&x->later))
		lock_wait(&x->lock, &x->changed, -1);
	return x->closing ? NULL : STAILQ_FIRST(&x->later);
}

static void
later_remove(struct exchange *x)
{
	struct later *later;

	lock_take(&x->lock);
	later = STAILQ_FIRST(&x->later);
	STAILQ_REMOVE_HEAD(&x->later, entry);
	lock_drop(&x->lock);
	answer_clear(&later->answer);
	free(later);
}

static void *
wait_main(void *arg)
{
	struct exchange *x = arg;
	struct later *later;

	while ((later = first_later(x)))
		if (x->what.settled(x->what.arg, &later->answer)) {
			respond(x, later->run, later->id, &later->answer);
			later_remove(x);
		}
	return NULL;
}

/* --- the child thread's --------------------------------------------------------------------------- */

int
exchange_on_message(struct exchange *x, const struct link_message *msg, int blob_fd)
{
	int rc;

	if (msg->kind == LINK_REQUEST) {
		rc = on_request(x, msg, blob_fd);
		if (rc == MQ_OK)
			return rc;
	} else {
		rc = on_response(x, msg, blob_fd);
	}
	if (blob_fd >= 0)
		close(blob_fd);
	return rc;
}

void
exchange_attach(struct exchange *x, int link_fd)
{
	LOCKED(&x->lock);
	x->link = link_fd;
	x->run++;
}

void
exchange_detach(struct exchange *x)
{
	LOCKED(&x->lock);
	if (x->link >= 0)
		shutdown(x->link, SHUT_RDWR);	/* ends sends that block */
	x->link = -1;
	while (x->users > 0)
		lock_wait(&x->lock, &x->changed, -1);
	calls_end(x, -ECONNRESET);
	for (; x->n > 0; x->n--) {
		struct served *s = &x->queue[x->first];

		if (s->blob_fd >= 0)
			close(s->blob_fd);
		x->first = (x->first + 1) % LINK_REQUESTS_MAX;
	}
}

/* --- begin and end ---------------------------------------------------------------------------------- */

int
exchange_open(const struct exchange_for *what, struct exchange **ret)
{
	struct exchange *x = calloc(1, sizeof(*x));
	int rc;

	if (!x)
		return -ENOMEM;
	x->what = *what;
	x->link = -1;
	lock_init(&x->lock, RANK_EXCHANGE);
	cond_init(&x->changed);
	STAILQ_INIT(&x->later);
	rc = thread_start(&x->thread, "serve", serve_main, x);
	if (rc == MQ_OK && what->settled)
		rc = thread_start(&x->wait_thread, "serve-waits", wait_main, x);
	if (rc == MQ_OK)
		*ret = x;
	else
		exchange_close(x);
	return rc;
}

void
exchange_stop(struct exchange *x)
{
	if (!x)
		return;
	LOCKED(&x->lock);
	x->closing = true;
	calls_end(x, MQ_ECLOSED);
}

void
exchange_close(struct exchange *x)
{
	if (!x)
		return;
	exchange_stop(x);
	thread_join(&x->thread);
	thread_join(&x->wait_thread);
	while (!STAILQ_EMPTY(&x->later))
		later_remove(x);
	exchange_detach(x);
	pthread_cond_destroy(&x->changed);
	lock_destroy(&x->lock);
	free(x);
}
