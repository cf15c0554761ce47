#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/array.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/scope.h"
#include "conf/thread.h"
#include "contrib/mqtop/sample.h"

#define FILE_MAX_BYTES (256 * 1024 * 1024)
#define READ_BYTES (64 * 1024)
#define CLIENT_GROUPS_MAX 200		/* groups whose clients are asked for in one sample */
#define STOP_MS 300			/* the sampler thread may take to end */

/* --- files of the mount --------------------------------------------------------------------- */

static int
read_all(int fd, char **ret)
{
	size_t len = 0, size = 0;
	char *text = NULL;
	ssize_t n = 0;
	int rc;

	do {
		len += (size_t)n;
		rc = len < FILE_MAX_BYTES ? ARRAY_ROOM(text, size, len + READ_BYTES) : -EFBIG;
		if (rc == MQ_OK)
			n = TEMP_FAILURE_RETRY(read(fd, text + len, size - len - 1));
		if (n < 0)
			rc = -errno;
	} while (rc == MQ_OK && n > 0);
	if (rc != MQ_OK) {
		free(text);
		return rc;
	}
	text[len] = '\0';
	*ret = text;
	return MQ_OK;
}

/* The text of a file, malloc'ed. */
static int
read_file(const char *mount, const char *name, char **ret)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;
	int rc;

	if (asprintf(&path, "%s/%s", mount, name) < 0)
		return path = NULL, -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_note(-errno, "%s: %m", name);
	rc = read_all(fd, ret);
	return rc == MQ_OK ? rc : err_note(rc, "%s: %s", name, strerror(-rc));
}

static int
read_rows(const char *mount, const char *name, struct rows *ret)
{
	AUTO_FREE char *text = NULL;
	int rc = read_file(mount, name, &text);

	if (rc == MQ_OK)
		rows_parse(ret, text);
	return rc;
}

static int
read_status(const char *mount, json_t **ret)
{
	AUTO_FREE char *text = NULL;
	json_error_t error;
	int rc = read_file(mount, "status/status.json", &text);

	if (rc != MQ_OK)
		return rc;
	*ret = json_loads(text, 0, &error);
	return json_is_object(*ret) ? MQ_OK : err_note(-EPROTO, "status/status.json: %s", error.text);
}

/* --- clients and peers -------------------------------------------------------------------------- */

static void
put_word(struct rows *r, const char *word)
{
	rows_put(r, *word ? word : "-", *word ? strlen(word) : 1);
}

/* A line of groups/G/clients: client id, address, language and version, subscriptions. */
static void
put_client(struct rows *r, const char *group, char *line)
{
	const char *words[3] = { "", "", "" };
	char *rest = line;

	for (int i = 0; i < 3 && rest && *rest; i++)
		words[i] = strsep(&rest, " ");
	put_word(r, group);
	for (int i = 0; i < 3; i++)
		put_word(r, words[i]);
	put_word(r, rest ? rest : "");
}

static void
read_clients(const char *mount, const struct rows *groups, struct rows *ret)
{
	static const char *const headings[] = { "GROUP", "CLIENT", "ADDRESS", "VERSION", "SUBSCRIPTION" };
	int group_at = rows_column(groups, "GROUP"), clients_at = rows_column(groups, "CLIENTS");
	const char *last = "";
	int asked = 0;

	rows_begin(ret, 5);
	for (int i = 0; i < 5; i++)
		put_word(ret, headings[i]);
	for (size_t i = 0; group_at >= 0 && clients_at >= 0 && i < rows_count(groups) && asked < CLIENT_GROUPS_MAX; i++) {
		const char *group = rows_cell(groups, i, (size_t)group_at);
		AUTO_FREE char *text = NULL;
		char name[512], *rest, *line;

		if (strcmp(group, last) == 0 || atoi(rows_cell(groups, i, (size_t)clients_at)) <= 0)
			continue;
		last = group;
		asked++;
		snprintf(name, sizeof(name), "groups/%s/clients", group);
		if (read_file(mount, name, &text) != MQ_OK)
			continue;	/* it is not for us, or has gone */
		for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			put_client(ret, group, line);
	}
}

static void
find_peers(const json_t *status, struct rows *ret)
{
	static const char *const members[] = { "peer", "broker", "connected", "acknowledged", "behind", "rate" };
	const json_t *peers = json_object_get(status, "peers"), *peer;
	size_t i;

	rows_begin(ret, 6);
	for (i = 0; i < 6; i++)
		put_word(ret, members[i]);
	json_array_foreach(peers, i, peer) {
		for (int k = 0; k < 6; k++) {
			const json_t *value = json_object_get(peer, members[k]);
			char number[32];

			snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
			put_word(ret, json_is_string(value) ? json_string_value(value) : number);
		}
	}
}

/* --- a sample ---------------------------------------------------------------------------------------- */

int
sample_take(const char *mount, bool with_clients, struct sample **ret)
{
	struct sample *s = calloc(1, sizeof(*s));
	int rc = s ? read_status(mount, &s->status) : -ENOMEM;

	if (rc == MQ_OK)
		rc = read_rows(mount, "status/topics", &s->rows[SOURCE_TOPICS]);
	if (rc == MQ_OK)
		rc = read_rows(mount, "status/groups", &s->rows[SOURCE_GROUPS]);
	if (rc == MQ_OK)
		rc = read_file(mount, "status/log", &s->log);
	if (rc != MQ_OK) {
		sample_free(s);
		return rc;
	}
	s->taken_ms = clock_mono_ms();
	find_peers(s->status, &s->rows[SOURCE_PEERS]);
	if (with_clients)
		read_clients(mount, &s->rows[SOURCE_GROUPS], &s->rows[SOURCE_CLIENTS]);
	*ret = s;
	return MQ_OK;
}

void
sample_free(struct sample *s)
{
	if (!s)
		return;
	json_decref(s->status);
	for (int i = 0; i < SOURCES; i++)
		rows_free(&s->rows[i]);
	free(s->log);
	free(s);
}

int64_t
sample_number(const struct sample *s, const char *name)
{
	return json_integer_value(json_object_get(s->status, name));
}

const char *
sample_word(const struct sample *s, const char *name)
{
	const char *word = json_string_value(json_object_get(s->status, name));

	return word ? word : "";
}

double
sample_rate(const struct sample *now, const struct sample *before, const char *name)
{
	int64_t grown;

	if (!before || now->taken_ms <= before->taken_ms)
		return NAN;
	grown = sample_number(now, name) - sample_number(before, name);
	return grown < 0 ? NAN : (double)grown * 1000 / (double)(now->taken_ms - before->taken_ms);
}

/* --- the sampler thread ---------------------------------------------------------------------------------- */

struct sampler {
	char *mount;
	struct thread thread;
	struct lock lock;		/* all below */
	pthread_cond_t changed;		/* what the thread is to do, or that it has ended */
	int interval_ms;
	bool with_clients, stop, ended, now_please;
	struct sample *now, *before;
	int64_t away_ms;
	unsigned turn;
	char why[256];
};

/* Sleep until the next sample is due.  False: there is to be none. */
static bool
wait_until_due(struct sampler *sr, int64_t began_ms)
{
	int64_t left_ms;

	MUST_HOLD(&sr->lock);
	while (!sr->stop && !sr->now_please && (left_ms = began_ms + sr->interval_ms - clock_mono_ms()) > 0)
		lock_wait(&sr->lock, &sr->changed, (int)left_ms);
	sr->now_please = false;
	return !sr->stop;
}

static void
note(struct sampler *sr, int rc, struct sample *s)
{
	MUST_HOLD(&sr->lock);
	sr->turn++;
	if (rc != MQ_OK) {
		if (!sr->away_ms)
			sr->away_ms = clock_mono_ms();
		snprintf(sr->why, sizeof(sr->why), "%s", err_text(rc));
		return;
	}
	sr->away_ms = 0;
	sample_free(sr->before);
	sr->before = sr->now;
	sr->now = s;
}

static void *
sampler_main(void *arg)
{
	struct sampler *sr = arg;
	int64_t began_ms;

	lock_take(&sr->lock);
	do {
		bool with_clients = sr->with_clients;
		struct sample *s = NULL;
		int rc;

		lock_drop(&sr->lock);
		began_ms = clock_mono_ms();
		rc = sample_take(sr->mount, with_clients, &s);
		lock_take(&sr->lock);
		note(sr, rc, s);
	} while (wait_until_due(sr, began_ms));
	sr->ended = true;
	pthread_cond_broadcast(&sr->changed);
	lock_drop(&sr->lock);
	return NULL;
}

static void
sampler_free(struct sampler *sr)
{
	sample_free(sr->now);
	sample_free(sr->before);
	pthread_cond_destroy(&sr->changed);
	lock_destroy(&sr->lock);
	free(sr->mount);
	free(sr);
}

int
sampler_start(const char *mount, int interval_ms, struct sampler **ret)
{
	struct sampler *sr = calloc(1, sizeof(*sr));
	int rc;

	if (!sr)
		return -ENOMEM;
	cond_init(&sr->changed);
	lock_init(&sr->lock, RANK_MARK);
	sr->interval_ms = interval_ms;
	sr->mount = strdup(mount);
	rc = sr->mount ? thread_start(&sr->thread, "sampler", sampler_main, sr) : -ENOMEM;
	if (rc != MQ_OK) {
		sampler_free(sr);
		return rc;
	}
	*ret = sr;
	return MQ_OK;
}

void
sampler_stop(struct sampler *sr)
{
	int64_t until_ms = clock_mono_ms() + STOP_MS, left_ms;
	bool ended;

	lock_take(&sr->lock);
	sr->stop = true;
	pthread_cond_broadcast(&sr->changed);
	while (!sr->ended && (left_ms = until_ms - clock_mono_ms()) > 0)
		lock_wait(&sr->lock, &sr->changed, (int)left_ms);
	ended = sr->ended;
	lock_drop(&sr->lock);
	if (!ended) {
		fflush(NULL);
		_exit(0);
	}
	thread_join(&sr->thread);
	sampler_free(sr);
}

void
sampler_lock(struct sampler *sr, struct latest *ret)
{
	lock_take(&sr->lock);
	*ret = (struct latest){ .now = sr->now, .before = sr->before, .away_ms = sr->away_ms, .why = sr->why,
				.turn = sr->turn };
}

void
sampler_unlock(struct sampler *sr)
{
	lock_drop(&sr->lock);
}

void
sampler_set(struct sampler *sr, int interval_ms, bool with_clients)
{
	lock_take(&sr->lock);
	sr->interval_ms = interval_ms;
	sr->with_clients = with_clients;
	sr->now_please = true;
	pthread_cond_broadcast(&sr->changed);
	lock_drop(&sr->lock);
}
