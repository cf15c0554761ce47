/* args.h - the command line of mount.mqfs, as a person, mount(8) or systemd gives it. */
#ifndef MQFS_FS_ARGS_H
#define MQFS_FS_ARGS_H

#include <stdbool.h>

#include "conf/settings.h"

struct args {
	char *store;		/* absolute */
	bool in_state_home;	/* the store is a user's default one */
	char *mountpoint;	/* absolute */
	char *mount_options;	/* for libfuse */
	char *kernel_words;	/* those of them that are flags of the kernel: ",noexec,nosuid" */
	bool foreground;
	bool debug;
	bool fake;		/* mount(8) --fake: check, but do not mount */
	bool help;
	bool version;
	bool read_only;
	bool remount;		/* remount the file system at mountpoint; store is not used */
};

/* Parse; settings come from the defaults they hold, then the file of -o conf=,
 * then the other -o.  -EINVAL or MQ_EBADCONF, noted, for an error in the
 * command line; with help or version nothing else is parsed. */
int args_parse(int argc, char **argv, struct settings *settings, struct args *ret_args);
void args_free(struct args *args);

#endif
