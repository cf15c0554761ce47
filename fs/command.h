/* command.h - commands that are written to a ctl file, from a table; lines and words that are written to files. */
#ifndef MQFS_FS_COMMAND_H
#define MQFS_FS_COMMAND_H

#include "fs/node.h"

#define COMMAND_WORDS_MAX 8

struct command {
	const char *name;	/* NULL ends a table */
	size_t n_args;
	const char *usage;
	const char *help;
	int (*run)(struct mount *m, const struct node *n, char **words);	/* 1 + n_args words */
};

/* The node_class members of a ctl file: show the commands of the class; run each line of text, up to the
 * first that fails (-EINVAL, noted: no such command). */
int ctl_render(struct mount *m, const struct node *n, struct text *t);
int ctl_accept(struct mount *m, const struct node *n, const char *text, size_t len);

/* Split line in place at blanks; returns how many words, COMMAND_WORDS_MAX at most. */
size_t words_split(char *line, char *words[COMMAND_WORDS_MAX]);

/* A malloc'ed copy of text without the blanks and newlines at its end; NULL: no memory. */
char *text_line(const char *text, size_t len);

#endif
