#include "config.h"

#include <errno.h>
#include <string.h>

#include "conf/scope.h"
#include "fs/command.h"

int
ctl_render(struct mount *m, const struct node *n, struct text *t)
{
	(void)m;
	for (const struct command *c = n->class->commands; c->name; c++)
		text_printf(t, "%-24s %s\n", c->usage, c->help);
	return MQ_OK;
}

size_t
words_split(char *line, char *words[COMMAND_WORDS_MAX])
{
	char *state = NULL, *word;
	size_t n = 0;

	while (n < COMMAND_WORDS_MAX && (word = strtok_r(n ? NULL : line, " \t\r", &state)) != NULL)
		words[n++] = word;
	return n;
}

char *
text_line(const char *text, size_t len)
{
	while (len && strchr(" \t\r\n", text[len - 1]))
		len--;
	return strndup(text, len);
}

static int
command_run(struct mount *m, const struct node *n, char *line)
{
	char *words[COMMAND_WORDS_MAX];
	size_t n_words = words_split(line, words);

	if (!n_words)
		return MQ_OK;
	for (const struct command *c = n->class->commands; c->name; c++) {
		if (strcmp(c->name, words[0]) != 0)
			continue;
		if (n_words != c->n_args + 1)
			return err_note(-EINVAL, "usage: %s", c->usage);
		return c->run(m, n, words);
	}
	return err_note(-EINVAL, "%s: no such command (cat the file for a list)", words[0]);
}

int
ctl_accept(struct mount *m, const struct node *n, const char *text, size_t len)
{
	AUTO_FREE char *copy = strndup(text, len);
	char *state = NULL, *line;
	int rc = MQ_OK;

	if (!copy)
		return -ENOMEM;
	line = strtok_r(copy, "\n", &state);
	for (; line && rc == MQ_OK; line = strtok_r(NULL, "\n", &state))
		rc = command_run(m, n, line);
	return rc;
}
