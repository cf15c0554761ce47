/* sample.h - what the files of a mount say at one moment.
 *
 * A sampler thread takes one every interval, so that the screen does not wait for a broker that does not answer:
 * it shows the last sample, and since when no newer one could be taken.
 *
 *   sampler thread   sample_take() ──> now, before     every interval, or when it is asked to
 *   main thread      sampler_lock() ... sampler_unlock()    looks at them
 */
#ifndef MQTOP_SAMPLE_H
#define MQTOP_SAMPLE_H

#include <jansson.h>
#include <stdint.h>

#include "contrib/mqtop/rows.h"

enum source { SOURCE_TOPICS, SOURCE_GROUPS, SOURCE_CLIENTS, SOURCE_PEERS, SOURCES };

struct sample {
	int64_t taken_ms;		/* CLOCK_MONOTONIC */
	json_t *status;			/* status.json */
	struct rows rows[SOURCES];
	char *log;			/* the newest lines */
};

/* Take one of the mount at that path.  Clients are asked for only if `with_clients`, since each group is asked.
 * MQ_OK or -errno of the file that could not be read, noted. */
int sample_take(const char *mount, bool with_clients, struct sample **ret);
void sample_free(struct sample *s);		/* accepts NULL */

int64_t sample_number(const struct sample *s, const char *name);	/* 0: there is none of that name */
const char *sample_word(const struct sample *s, const char *name);	/* "" */

/* Growth of a number in a second; NAN: not known yet. */
double sample_rate(const struct sample *now, const struct sample *before, const char *name);

struct sampler;

struct latest {
	const struct sample *now, *before;	/* NULL: not yet */
	int64_t away_ms;			/* CLOCK_MONOTONIC: since then samples fail; 0: they do not */
	const char *why;			/* the error of the last one */
	unsigned turn;				/* counts samples and failures */
};

int sampler_start(const char *mount, int interval_ms, struct sampler **ret);

/* End the sampler thread.  If it waits for a broker that does not answer, the process ends here, with status 0. */
void sampler_stop(struct sampler *sr);

/* The latest samples, which stay until sampler_unlock(). */
void sampler_lock(struct sampler *sr, struct latest *ret);
void sampler_unlock(struct sampler *sr);

/* Set the interval, and whether clients are asked for; and take a sample now. */
void sampler_set(struct sampler *sr, int interval_ms, bool with_clients);

#endif
