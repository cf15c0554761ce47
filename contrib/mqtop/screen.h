/* screen.h - mqtop on a terminal: keys, and what they show, until q. */
#ifndef MQTOP_SCREEN_H
#define MQTOP_SCREEN_H

#include "contrib/mqtop/sample.h"
#include "contrib/mqtop/view.h"

struct options {
	const char *mount;
	int interval_ms;
	long count;		/* samples to print with -b; 0: for ever */
	int view;		/* enum view_number; -1: not said */
	const char *filter, *sort;	/* NULL: not said */
	bool batch, help, version;
};

/* Exit status. */
int screen_run(const struct options *o, struct sampler *sr);

#endif
