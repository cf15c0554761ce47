#include "config.h"

#include <stdio.h>
#include <string.h>

#include "repl/peer.h"

#define TELL_MS 1000
#define QUIET_TOLD 16			/* so that the mount sees a rate go to nothing */
#define PROGRESS_SPARE (OUTBOX_MAX / 2)

static bool
tell(struct daemon *d, struct peer *p, size_t spare)
{
	struct link_message msg = {
		.kind = LINK_PEER, .peer = p->number, .state = p->state, .ack = p->ack, .sent = p->sent,
		.pos = p->first, .id = p->turn, .code = p->code,
	};

	snprintf(msg.text, sizeof(msg.text), "%s%s%s", p->address, p->why[0] ? ": " : "", p->why);
	if (!outbox_put(&d->out, &msg, spare))
		return false;
	p->quiet = p->ack == p->told_ack && p->sent == p->told_sent ? p->quiet + 1 : 0;
	p->told_ms = d->now_ms;
	p->told_ack = p->ack;
	p->told_sent = p->sent;
	return true;
}

void
peer_set(struct daemon *d, struct peer *p, enum link_peer_state state, const char *why)
{
	if (!why)
		why = "";
	if (p->state == (int32_t)state && strncmp(p->why, why, sizeof(p->why) - 1) == 0)
		return;
	p->state = (int32_t)state;
	snprintf(p->why, sizeof(p->why), "%s", why);
	p->news = !tell(d, p, 0);
}

int64_t
peer_tick(struct daemon *d, struct peer *p)
{
	int64_t due = p->told_ms + TELL_MS;

	if (p->news)
		p->news = !tell(d, p, 0);
	if (p->news)
		return d->now_ms + TELL_MS;
	if (p->state != LINK_PEER_TRANSFER)
		return 0;
	if (p->ack == p->told_ack && p->sent == p->told_sent && p->quiet >= QUIET_TOLD)
		return 0;
	if (d->now_ms < due)
		return due;
	(void)tell(d, p, PROGRESS_SPARE);
	return d->now_ms + TELL_MS;
}
