/* flags.h - the flags of a command line, the same in all programs: as getopt(3), but --help
 * is -h and --version is -V, and an error is noted, not printed.
 */
#ifndef MQFS_CONF_FLAGS_H
#define MQFS_CONF_FLAGS_H

/* The next flag, optarg its value; -1: operands follow, from optind on; '?', noted:
 * there is no such flag, or its value is missing.  letters as in getopt(3), h and V
 * among them.  One thread. */
int flags_next(int argc, char **argv, const char *letters);

#endif
