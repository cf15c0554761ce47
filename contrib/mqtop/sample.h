/* sample.h - what the files of a mount say at one moment.
 *
 * A sampler thread takes one every interval, so that a broker that does not answer holds up nobody: the screen
 * shows the last good one, and since when there is none.
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
	int64_t away_ms;			/* CLOCK_MONOTONIC: since then there is none; 0: there is */
	const char *why;			/* why not */
	unsigned turn;				/* another number for each sample, and for each failure */
};

int sampler_start(const char *mount, int interval_ms, struct sampler **ret);

/* Ends the process without it, if it waits for a broker that does not answer. */
void sampler_stop(struct sampler *sr);

/* What there is, until sampler_unlock(). */
void sampler_lock(struct sampler *sr, struct latest *ret);
void sampler_unlock(struct sampler *sr);

/* Another interval, whether clients are wanted; and: take one now. */
void sampler_set(struct sampler *sr, int interval_ms, bool with_clients);

#endif
