#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/flags.h"

int
flags_next(int argc, char **argv, const char *letters)
{
	static const struct option words[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	char quiet[64];
	int letter;

	MUST(strlen(letters) + 2 <= sizeof(quiet));
	snprintf(quiet, sizeof(quiet), ":%s", letters);
	letter = getopt_long(argc, argv, quiet, words, NULL);
	if (letter == ':')
		err_note(-EINVAL, "-%c needs a value", optopt);
	else if (letter == '?' && text_begins(argv[optind - 1], "--"))
		err_note(-EINVAL, "%s: unknown option", argv[optind - 1]);
	else if (letter == '?')
		err_note(-EINVAL, "-%c: unknown option", optopt);
	return letter == ':' ? '?' : letter;
}
