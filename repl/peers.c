#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "net/address.h"
#include "repl/peers.h"

#define SAY_AGAIN_MS 30000
#define NEWS_AGAIN_MS (10 * 60 * 1000)
#define NEWS_PAUSE_MS 1000

void
peers_init(struct peers *p, const struct settings *settings, struct store *store)
{
	p->settings = settings;
	p->store = store;
	mark_init(&p->replicated, MQ_POS(0));
}

void
peers_destroy(struct peers *p)
{
	mark_destroy(&p->replicated);
}

/* --- identities ------------------------------------------------------------------------ */

static struct peers_known *
known_of(const struct peers *p, const char *address)
{
	size_t len = address_host_len(address);

	for (size_t i = 0; i < p->n_known; i++)
		if (bytes_are(address, len, p->known[i].host))
			return (struct peers_known *)&p->known[i];
	return NULL;
}

/* A free place; if there is none, that of the oldest hello, of another log if there is one. */
static struct peers_known *
known_place(struct peers *p)
{
	struct peers_known *oldest = &p->known[0];

	if (p->n_known < PEERS_KNOWN_MAX)
		return &p->known[p->n_known++];
	for (size_t i = 1; i < p->n_known; i++) {
		const struct peers_known *k = &p->known[i];

		if (k->good != oldest->good ? oldest->good : k->hello_ms < oldest->hello_ms)
			oldest = &p->known[i];
	}
	return oldest;
}

static void
print_broker(const struct hello *h, char *text, size_t size)
{
	if (*h->cluster)
		snprintf(text, size, "%s %s/%s %" PRId64, h->program, h->cluster, h->broker_name, h->broker_id);
	else
		snprintf(text, size, "%s", h->program);
}

/* A slave may repeat its hello, or send another one each time: both are logged only now and then. */
static void
say_news(struct peers_known *k, const char *news, int64_t now)
{
	int64_t pause = strcmp(k->said, news) == 0 ? NEWS_AGAIN_MS : NEWS_PAUSE_MS;

	if (now >= k->said_ms && now < k->said_ms + pause)
		return;
	log_warn("replication: slave %s (%s) %s", k->host, k->broker, news);
	snprintf(k->said, sizeof(k->said), "%s", news);
	k->said_ms = now;
}

void
peers_hello(struct peers *p, const char *address, const struct hello *h, bool good, const char *news)
{
	struct peers_known *k = known_of(p, address);

	if (!k) {
		k = known_place(p);
		*k = (struct peers_known){ .said = "" };
		snprintf(k->host, sizeof(k->host), "%.*s", (int)address_host_len(address), address);
	}
	k->good = good;
	k->hello_ms = clock_wall_ms();
	print_broker(h, k->broker, sizeof(k->broker));
	snprintf(k->trouble, sizeof(k->trouble), "%s", h->trouble);
	if (*news)
		say_news(k, news, k->hello_ms);
	else
		*k->said = '\0';
}

void
peers_master_is(struct peers *p, const struct hello *h)
{
	print_broker(h, p->master_broker, sizeof(p->master_broker));
}

/* --- acks ------------------------------------------------------------------------------------ */

static int64_t
written(const struct peers *p)
{
	return mark_at(store_written(p->store)).byte;
}

/* Is the peer admitted, as peers.h says? */
static bool
is_admitted(const struct peers *p, const struct replication_peer *peer)
{
	const struct peers_known *k = known_of(p, peer->address);

	return k ? k->good : *p->settings->haAllow || *p->settings->tlsCa;
}

static bool
follows(const struct peers *p, const struct replication_peer *peer)
{
	return peer->number > 0 && peer->state == LINK_PEER_TRANSFER && is_admitted(p, peer) &&
	       written(p) - peer->ack <= p->settings->haSlaveFallbehindMax;
}

static size_t
slaves_wanted(const struct peers *p)
{
	int64_t replicas = p->settings->inSyncReplicas;

	return replicas > 1 ? (size_t)replicas - 1 : 0;
}

/* Does its ack say that it has the log up to there?  Not one beyond our own end. */
static bool
has(const struct peers *p, const struct replication_peer *peer)
{
	return peer->ack > peer->first && peer->ack <= written(p) && follows(p, peer);
}

/* Move `replicated` to the position that enough slaves have. */
static void
advance_replicated(struct peers *p)
{
	size_t wanted = slaves_wanted(p), n = 0;
	int64_t best[REPLICATION_PEERS_MAX];	/* of the acks that count, greatest first */

	for (size_t i = 0; i < p->n; i++) {
		const struct replication_peer *peer = &p->list[i];
		size_t at = n;

		if (peer->ack <= mark_at(&p->replicated).byte || !has(p, peer))
			continue;
		for (; at > 0 && best[at - 1] < peer->ack; at--)
			best[at] = best[at - 1];
		best[at] = peer->ack;
		n++;
	}
	if (wanted == 0)
		mark_advance(&p->replicated, MQ_POS(written(p)));
	else if (n >= wanted)
		mark_advance(&p->replicated, MQ_POS(best[wanted - 1]));
}

bool
peers_in_sync(const struct peers *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += follows(p, &p->list[i]);
	return n >= slaves_wanted(p);
}

/* --- reports of mqrepld ------------------------------------------------------------------------ */

static struct replication_peer *
place_of(struct peers *p, int32_t number)
{
	struct replication_peer *oldest_gone = NULL;

	for (size_t i = 0; i < p->n; i++) {
		struct replication_peer *peer = &p->list[i];

		if (peer->number == number)
			return peer;
		if (peer->state == LINK_PEER_GONE && (!oldest_gone || peer->changed_ms < oldest_gone->changed_ms))
			oldest_gone = peer;
	}
	if (p->n < REPLICATION_PEERS_MAX)
		oldest_gone = &p->list[p->n++];
	if (oldest_gone)
		*oldest_gone = (struct replication_peer){ .number = number, .state = -1 };
	return oldest_gone;
}

/* A peer that connects again and again gets a line for each state once in SAY_AGAIN_MS. */
static bool
was_said(struct replication_peer *peer, int64_t now)
{
	bool lately = peer->said_ms[peer->state] > now - SAY_AGAIN_MS && peer->said_ms[peer->state] <= now;

	if (!lately)
		peer->said_ms[peer->state] = now;
	return lately;
}

static void
say(struct replication_peer *peer, int64_t now)
{
	static const char *const states[] = {
		[LINK_PEER_GONE] = "is gone",
		[LINK_PEER_CONNECTING] = "is not connected",
		[LINK_PEER_WAITING] = "is connected",
		[LINK_PEER_TRANSFER] = "follows",
	};

	if (peer->state >= LINK_PEER_GONE && peer->state <= LINK_PEER_TRANSFER && !was_said(peer, now))
		log_notice("%s %s %s, at %" PRId64, peer->number ? "slave" : "master", peer->address,
			   states[peer->state], peer->ack);
}

/* Bytes a second, each second's value a quarter of what is shown. */
static void
note_rate(struct replication_peer *peer, int64_t sent, int64_t now)
{
	int64_t took = now - peer->rate_ms, now_rate;

	if (took >= 0 && took < 1000)
		return;
	now_rate = peer->rate_ms > 0 && took > 0 && sent > peer->rate_sent
			   ? (sent - peer->rate_sent) * 1000 / took : 0;
	peer->bytes_per_s = peer->bytes_per_s ? (3 * peer->bytes_per_s + now_rate) / 4 : now_rate;
	peer->rate_ms = now;
	peer->rate_sent = sent;
}

bool
peers_on_message(struct peers *p, const struct link_message *msg)
{
	struct replication_peer *peer = place_of(p, msg->peer);
	int64_t now = clock_wall_ms();
	bool news;

	if (!peer)
		return false;
	note_rate(peer, msg->sent, now);
	peer->ack = msg->ack;
	peer->sent = msg->sent;
	peer->first = msg->pos;
	peer->turn = msg->id;
	peer->differs = msg->code == MQ_ECORRUPT;
	memcpy(peer->address, msg->text, sizeof(peer->address));
	news = peer->state != msg->state;
	if (news) {
		peer->state = msg->state;
		peer->changed_ms = now;
		peer->bytes_per_s = peer->rate_ms = 0;
		say(peer, now);
	}
	advance_replicated(p);
	return news;
}

void
peers_look(struct peers *p, const struct board_acks *acks)
{
	for (size_t i = 0; i < p->n; i++) {
		struct replication_peer *peer = &p->list[i];
		int64_t ack = peer->number > 0 ? board_ack_of(acks, peer->number, peer->turn) : 0;

		if (ack > peer->ack && peer->state == LINK_PEER_TRANSFER)
			peer->ack = ack;
	}
	advance_replicated(p);
}

void
peers_forget(struct peers *p)
{
	for (size_t i = 0; i < p->n; i++)
		p->list[i].state = LINK_PEER_GONE;
}

void
peers_cut(struct peers *p, mq_pos end)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].ack > end.byte)
			p->list[i].ack = end.byte;
	mark_set_back(&p->replicated, end);
}

void
peers_anew(struct peers *p)
{
	peers_cut(p, MQ_POS(0));
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].number == 0) {
			p->list[i] = p->list[--p->n];
			break;
		}
	*p->master_broker = '\0';
}

const struct replication_peer *
peers_master(const struct peers *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].number == 0)
			return &p->list[i];
	return NULL;
}

size_t
peers_list(const struct peers *p, struct replication_peer *list)
{
	memcpy(list, p->list, p->n * sizeof(*list));
	for (size_t i = 0; i < p->n; i++) {
		const struct peers_known *k = list[i].number > 0 ? known_of(p, list[i].address) : NULL;

		if (list[i].number == 0)
			memcpy(list[i].broker, p->master_broker, sizeof(list[i].broker));
		if (k) {
			memcpy(list[i].broker, k->broker, sizeof(list[i].broker));
			memcpy(list[i].trouble, k->trouble, sizeof(list[i].trouble));
		}
	}
	return p->n;
}
