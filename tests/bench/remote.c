/* remote.c - a client of RocketMQ's remoting protocol that wants to be fast, and remembers.
 *
 *      remote send PORT TOPIC QUEUES CONNECTIONS WINDOW BYTES COUNT [STORED]
 *      remote pull PORT TOPIC QUEUE COUNT WINDOW [READ]
 *      remote hold PORT TOPIC QUEUES
 *
 * send: COUNT messages of BYTES bytes over so many connections, each with up to WINDOW requests
 * that are not answered yet.  A body begins with 16 hex digits, its number.  STORED gets the
 * number of each message that was answered with SEND_OK, a line each; without it, what is not
 * SEND_OK is an error, and so is a broker that goes away.
 *
 * pull: until COUNT messages have come, with up to WINDOW pulls that are not answered yet, each of
 * the 32 messages behind those of the one before; READ gets the number of each message.
 *
 * hold: a pull waits at the end of each of so many empty queues, each on a connection of its own;
 * then each queue gets a message, one queue after the other.  Prints how long after it was sent
 * it came, in microseconds: the median, and 99 of 100.
 *
 * Else prints messages, seconds, messages a second.  Headers are binary: REMOTE_JSON=1 has JSON.
 */
#include "config.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (1 << 20)

struct connection {
	int fd;				/* -1: it has ended */
	char *out, *in;			/* out has room for a window of frames */
	size_t out_at, out_len, in_len;
	long under_way;
};

static bool json;
static FILE *record;			/* STORED or READ; NULL: none */

static void
die(const char *what)
{
	fprintf(stderr, "remote: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
print_rate(long n, double began)
{
	double took = seconds() - began;

	printf("%ld messages %.3f s %.0f messages/s\n", n, took, (double)n / took);
}

static void
put32(char *at, uint32_t v)
{
	v = htobe32(v);
	memcpy(at, &v, sizeof(v));
}

static uint32_t
get32(const char *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return be32toh(v);
}

static void
put16(char *at, int v)
{
	uint16_t be = htobe16((uint16_t)v);

	memcpy(at, &be, sizeof(be));
}

/* --- frames ---------------------------------------------------------------------------------- */

struct field {
	const char *name, *value;
};

static size_t
put_binary(char *at, int code, uint32_t opaque, const struct field *fields, size_t n)
{
	char *p = at + 21;

	put16(at, code);
	at[2] = 1;			/* C++ */
	put16(at + 3, 409);
	put32(at + 5, opaque);
	put32(at + 9, 0);
	put32(at + 13, 0);
	for (size_t i = 0; i < n; i++) {
		size_t name_len = strlen(fields[i].name), len = strlen(fields[i].value);

		put16(p, (int)name_len);
		memcpy(p + 2, fields[i].name, name_len);
		put32(p + 2 + name_len, (uint32_t)len);
		memcpy(p + 6 + name_len, fields[i].value, len);
		p += 6 + name_len + len;
	}
	put32(at + 17, (uint32_t)(p - at - 21));
	return (size_t)(p - at);
}

static size_t
put_json(char *at, int code, uint32_t opaque, const struct field *fields, size_t n)
{
	char *p = at + sprintf(at, "{\"code\":%d,\"extFields\":{", code);

	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "%s\"%s\":\"%s\"", i ? "," : "", fields[i].name, fields[i].value);
	p += sprintf(p, "},\"flag\":0,\"language\":\"CPP\",\"opaque\":%u,\"serializeTypeCurrentRPC\":\"JSON\","
		     "\"version\":409}", opaque);
	return (size_t)(p - at);
}

/* A frame at `at`, but for its body, which is body_len bytes: returns where that begins. */
static char *
put_frame(char *at, int code, uint32_t opaque, const struct field *fields, size_t n, size_t body_len)
{
	size_t head = json ? put_json(at + 8, code, opaque, fields, n) : put_binary(at + 8, code, opaque, fields, n);

	put32(at, (uint32_t)(4 + head + body_len));
	put32(at + 4, (uint32_t)head | (json ? 0u : 1u << 24));
	return at + 8 + head;
}

/* The next whole frame of what has come from *at on; NULL: there is none. */
static const char *
next_frame(const struct connection *c, size_t *at, int *ret_code, uint32_t *ret_opaque, const char **ret_body,
	   size_t *ret_body_len)
{
	const char *frame = c->in + *at, *header = frame + 8;
	size_t left = c->in_len - *at, len, head;

	if (left < 8 || left < (len = get32(frame)) + 4)
		return NULL;
	head = get32(frame + 4) & 0xffffff;
	if (frame[4] == 1) {
		*ret_code = (int)get32(header) >> 16;
		*ret_opaque = get32(header + 5);
	} else {
		const char *code = memmem(header, head, "\"code\":", 7), *opaque = memmem(header, head, "\"opaque\":", 9);

		*ret_code = code ? atoi(code + 7) : -1;
		*ret_opaque = opaque ? (uint32_t)strtoul(opaque + 9, NULL, 10) : 0;
	}
	*ret_body = header + head;
	*ret_body_len = len - 4 - head;
	*at += len + 4;
	return header;
}

static int
connect_to(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* --- sending ----------------------------------------------------------------------------------- */

/* A frame to copy. */
struct template {
	char *frame;			/* NULL: not made yet */
	size_t len, body_at;
};

struct producer {
	const char *topic;
	int queues;
	long window, count;
	size_t bytes;
	long sent, answered, ok;
	struct connection *connections;
	int n, open;			/* connections, and how many have not ended */
	struct template *templates;	/* one for each queue; NULL: none yet */
};

/* A whole frame for that queue; the body begins with *ret_body. */
static size_t
make_message(const struct producer *p, char *at, int queue, uint32_t opaque, char **ret_body)
{
	char text[16];
	const struct field fields[] = {
		{ "a", "load" }, { "b", p->topic }, { "c", "TBW102" }, { "d", "4" }, { "e", text }, { "f", "0" },
		{ "g", "1700000000000" }, { "h", "0" }, { "i", "" }, { "j", "0" }, { "k", "false" }, { "m", "false" },
	};

	snprintf(text, sizeof(text), "%d", queue);
	*ret_body = put_frame(at, 310, opaque, fields, sizeof(fields) / sizeof(fields[0]), p->bytes);
	memset(*ret_body, 'x', p->bytes);
	return (size_t)(*ret_body + p->bytes - at);
}

/* Binary frames of one queue differ in their opaque and in the first bytes of the body alone: the load is
 * to be the broker's, so each is made once. */
static size_t
copy_message(struct producer *p, char *at, int queue, uint32_t opaque, char **ret_body)
{
	struct template *t;

	if (json)
		return make_message(p, at, queue, opaque, ret_body);
	if (!p->templates)
		p->templates = calloc((size_t)p->queues, sizeof(*p->templates));
	t = &p->templates[queue];
	if (!t->frame) {
		char *body;

		t->frame = malloc(p->bytes + 1024);
		t->len = make_message(p, t->frame, queue, 0, &body);
		t->body_at = (size_t)(body - t->frame);
	}
	memcpy(at, t->frame, t->len);
	put32(at + 8 + 5, opaque);
	*ret_body = at + t->body_at;
	return t->len;
}

static void
put_message(struct producer *p, struct connection *c)
{
	char number[20], *body;

	c->out_len += copy_message(p, c->out + c->out_len, (int)(p->sent % p->queues), (uint32_t)p->sent, &body);
	snprintf(number, sizeof(number), "%016lx", p->sent);
	memcpy(body, number, p->bytes < 16 ? p->bytes : 16);
	c->under_way++;
	p->sent++;
}

static void
ended(struct producer *p, struct connection *c)
{
	if (!record)
		die("the broker has closed the connection");
	close(c->fd);
	c->fd = -1;
	p->answered += c->under_way;
}

static void
give(struct producer *p, struct connection *c)
{
	ssize_t n;

	if (c->out_at == c->out_len) {
		c->out_at = c->out_len = 0;
		while (c->under_way < p->window && p->sent < p->count && c->out_len < BUFFER / 2)
			put_message(p, c);
	}
	if (c->out_at == c->out_len)
		return;
	n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		c->out_at += (size_t)n;
	else if (errno != EAGAIN)
		ended(p, c);
}

static void
take(struct producer *p, struct connection *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, BUFFER - c->in_len, MSG_DONTWAIT);
	size_t at = 0, len;
	uint32_t opaque;
	const char *body;
	int code;

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			ended(p, c);
		return;
	}
	c->in_len += (size_t)n;
	while (next_frame(c, &at, &code, &opaque, &body, &len)) {
		c->under_way--;
		p->answered++;
		p->ok += code == 0;
		if (code == 0 && record)
			fprintf(record, "%016x\n", opaque);
		if (code != 0 && !record) {
			fprintf(stderr, "remote: message %u: code %d\n", opaque, code);
			exit(1);
		}
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

/* Something has happened to the connection. */
static void
serve(struct producer *p, int epoll_fd, struct connection *c, uint32_t events)
{
	bool waited = c->out_at < c->out_len, waits;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		take(p, c);
	if (c->fd >= 0)
		give(p, c);
	waits = c->out_at < c->out_len;
	if (c->fd >= 0 && waits != waited)
		epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd,
			  &(struct epoll_event){ .events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = c });
	p->open -= c->fd < 0;
}

static void
produce(struct producer *p, int port)
{
	struct epoll_event events[64];
	int epoll_fd = epoll_create1(0);
	double began;

	p->connections = calloc((size_t)p->n, sizeof(*p->connections));
	p->open = p->n;
	for (int i = 0; i < p->n; i++) {
		struct connection *c = &p->connections[i];

		c->fd = connect_to(port);
		c->in = malloc(BUFFER);
		c->out = malloc(BUFFER + p->bytes + 1024);
	}
	began = seconds();
	for (int i = 0; i < p->n; i++) {
		struct connection *c = &p->connections[i];

		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = c });
		serve(p, epoll_fd, c, 0);
	}
	while (p->answered < p->count && p->open > 0) {
		int n = epoll_wait(epoll_fd, events, 64, -1);

		for (int i = 0; i < n; i++)
			serve(p, epoll_fd, events[i].data.ptr, events[i].events);
	}
	print_rate(p->ok, began);
	close(epoll_fd);
	for (int i = 0; i < p->n; i++) {
		if (p->connections[i].fd >= 0)
			close(p->connections[i].fd);
		free(p->connections[i].in);
		free(p->connections[i].out);
	}
	for (int i = 0; p->templates && i < p->queues; i++)
		free(p->templates[i].frame);
	free(p->templates);
	free(p->connections);
}

/* --- pulling -------------------------------------------------------------------------------------- */

static void
receive_all(int fd, char *at, size_t len)
{
	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);

		if (n <= 0)
			die("receive");
		at += n;
		len -= (size_t)n;
	}
}

/* Records: how many, and where the next one will be. */
static long
note_records(const char *body, size_t len, int64_t *ret_next)
{
	long n = 0;

	for (; len >= 92; n++) {
		size_t total = get32(body), body_len = get32(body + 84);
		uint64_t offset;

		memcpy(&offset, body + 20, sizeof(offset));
		*ret_next = (int64_t)be64toh(offset) + 1;
		if (record)
			fprintf(record, "%.*s\n", (int)(body_len < 16 ? body_len : 16), body + 88);
		body += total;
		len -= total;
	}
	return n;
}

static void
send_all(int fd, const char *at, size_t len)
{
	if (send(fd, at, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
}

#define PULLED 32			/* messages that one pull asks for */
#define WINDOW_MAX 64
#define ANSWERS (17 << 20)		/* room for one answer of any size */

static size_t
put_pull(char *at, const char *topic, const char *queue, uint32_t opaque, int64_t from, int64_t most)
{
	char offset[24], n[24];
	const struct field fields[] = {
		{ "consumerGroup", "load" }, { "topic", topic }, { "queueId", queue }, { "queueOffset", offset },
		{ "maxMsgNums", n }, { "sysFlag", "6" }, { "commitOffset", "0" }, { "suspendTimeoutMillis", "60000" },
		{ "subscription", "*" }, { "subVersion", "0" },
	};

	snprintf(offset, sizeof(offset), "%ld", (long)from);
	snprintf(n, sizeof(n), "%ld", (long)most);
	return (size_t)(put_frame(at, 11, opaque, fields, sizeof(fields) / sizeof(fields[0]), 0) - at);
}

static void
ask_for(int fd, const char *topic, const char *queue, int64_t from)
{
	char out[2048];

	send_all(fd, out, put_pull(out, topic, queue, 0, from, PULLED));
}

/* Records that answer a pull. */
static long
records_of(int code, const char *body, size_t len, int64_t *next)
{
	if (code != 0 && code != 20) {
		fprintf(stderr, "remote: pull: code %d\n", code);
		exit(1);
	}
	return note_records(body, len, next);
}

/* What answers a pull, in `in`.  Returns how many records it brings. */
static long
pulled(int fd, char *in, int64_t *next)
{
	struct connection c = { .in = in };
	size_t at = 0, body_len;
	const char *body;
	uint32_t opaque;
	int code = -1;

	receive_all(fd, in, 8);
	receive_all(fd, in + 8, get32(in) - 4);
	c.in_len = get32(in) + 4;
	(void)next_frame(&c, &at, &code, &opaque, &body, &body_len);
	return records_of(code, body, body_len, next);
}

/* A consumer with several pulls under way, each for a range of the queue of its own. */
struct consumer {
	struct connection c;
	const char *topic, *queue;
	long count, asked, got;		/* messages */
	struct range {
		int64_t next, end;	/* not pulled yet */
	} ranges[WINDOW_MAX];
	char out[WINDOW_MAX * 512];
	size_t out_len;
};

/* The rest of the range, or if there is none, the next range. */
static void
ask_range(struct consumer *x, uint32_t i)
{
	struct range *r = &x->ranges[i];

	if (r->next == r->end && x->asked < x->count) {
		r->next = x->asked;
		x->asked = x->asked + PULLED < x->count ? x->asked + PULLED : x->count;
		r->end = x->asked;
	}
	if (r->next < r->end)
		x->out_len += put_pull(x->out + x->out_len, x->topic, x->queue, i, r->next, r->end - r->next);
}

static void
take_answers(struct consumer *x)
{
	struct connection *c = &x->c;
	ssize_t n = recv(c->fd, c->in + c->in_len, ANSWERS - c->in_len, 0);
	size_t at = 0, len;
	uint32_t i;
	const char *body;
	int code;

	if (n <= 0)
		die("receive");
	c->in_len += (size_t)n;
	while (next_frame(c, &at, &code, &i, &body, &len)) {
		x->got += records_of(code, body, len, &x->ranges[i % WINDOW_MAX].next);
		ask_range(x, i % WINDOW_MAX);
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

static void
consume(int port, const char *topic, const char *queue, long count, uint32_t window)
{
	static struct consumer x;
	double began;

	x = (struct consumer){ .c.fd = connect_to(port), .c.in = malloc(ANSWERS), .topic = topic, .queue = queue,
			       .count = count };
	began = seconds();
	for (uint32_t i = 0; i < window; i++)
		ask_range(&x, i);
	while (x.got < count) {
		if (x.out_len > 0)
			send_all(x.c.fd, x.out, x.out_len);
		x.out_len = 0;
		take_answers(&x);
	}
	print_rate(x.got, began);
	close(x.c.fd);
	free(x.c.in);
}

/* --- holding --------------------------------------------------------------------------------------- */

static int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
hold(int port, const char *topic, int queues)
{
	struct producer p = { .topic = topic, .queues = queues, .bytes = 16 };
	struct connection c = { .fd = connect_to(port), .out = malloc(BUFFER) };
	double *took = calloc((size_t)queues, sizeof(*took));
	int *fds = calloc((size_t)queues, sizeof(*fds));
	char *in = malloc(ANSWERS), queue[16];

	for (int i = 0; i < queues; i++) {
		snprintf(queue, sizeof(queue), "%d", i);
		fds[i] = connect_to(port);
		ask_for(fds[i], topic, queue, 0);
	}
	sleep(2);				/* until all of them are held */
	for (int i = 0; i < queues; i++) {
		int64_t next;
		double began;

		c.out_len = 0;
		put_message(&p, &c);
		began = seconds();
		send_all(c.fd, c.out, c.out_len);
		if (pulled(fds[i], in, &next) != 1)
			die("another answer than the message");
		took[i] = seconds() - began;
		receive_all(c.fd, in, 4);
		receive_all(c.fd, in + 4, get32(in));
		close(fds[i]);
	}
	qsort(took, (size_t)queues, sizeof(*took), by_size);
	printf("%.0f %.0f\n", took[queues / 2] * 1e6, took[(queues - 1) * 99 / 100] * 1e6);
	close(c.fd);
	free(c.out);
	free(took);
	free(fds);
	free(in);
}

int
main(int argc, char **argv)
{
	json = getenv("REMOTE_JSON") != NULL;
	if (argc >= 9 && strcmp(argv[1], "send") == 0) {
		struct producer p = {
			.topic = argv[3], .queues = atoi(argv[4]), .n = atoi(argv[5]), .window = atol(argv[6]),
			.bytes = (size_t)atol(argv[7]), .count = atol(argv[8]),
		};

		if (argc > 9 && !(record = fopen(argv[9], "w")))
			die(argv[9]);
		produce(&p, atoi(argv[2]));
	} else if (argc >= 7 && strcmp(argv[1], "pull") == 0 && atoi(argv[6]) >= 1 && atoi(argv[6]) <= WINDOW_MAX) {
		if (argc > 7 && !(record = fopen(argv[7], "w")))
			die(argv[7]);
		consume(atoi(argv[2]), argv[3], argv[4], atol(argv[5]), (uint32_t)atoi(argv[6]));
	} else if (argc >= 5 && strcmp(argv[1], "hold") == 0) {
		hold(atoi(argv[2]), argv[3], atoi(argv[4]));
	} else {
		fprintf(stderr, "usage: see the head of tests/bench/remote.c\n");
		return 2;
	}
	if (record && fclose(record) != 0)
		die("write");
	return 0;
}
