/* print_settings - the reference part of mqfs.conf(5), from the table: `make man`. */
#include "config.h"


#include "conf/settings.h"

enum { WORKS, LATER, ROCKETMQ };

static int
kind_of(const struct setting *row)
{
	if ((row->flags & SETTING_ROCKETMQ) == SETTING_ROCKETMQ)
		return ROCKETMQ;
	return row->flags & SETTING_IGNORED ? LATER : WORKS;
}

static void
print_row(const struct setting *row)
{
	char allowed[128];

	setting_allowed(row, allowed, sizeof(allowed));
	printf(".It Ic %s\n%s.\n.br\n", row->key, row->help);
	printf("Default: %s.\n", row->dflt[0] ? row->dflt : "empty");
	printf("Allowed: %s.\n", allowed);
	if (row->flags & SETTING_LIVE)
		printf("Can change while mounted.\n");
}

static void
print_list(int kind)
{
	size_t n;
	const struct setting *rows = settings_table(&n);

	printf(".Bl -tag -width Ds%s\n", kind == ROCKETMQ ? " -compact" : "");
	for (size_t i = 0; i < n; i++)
		if (kind_of(&rows[i]) == kind && kind == ROCKETMQ)
			printf(".It Ic %s\n%s%s\n", rows[i].key, rows[i].help,
			       (rows[i].flags & SETTING_REFUSED) == SETTING_REFUSED
				       ? "; any value but the default is refused" : "");
		else if (kind_of(&rows[i]) == kind)
			print_row(&rows[i]);
	printf(".El\n");
}

int
main(void)
{
	printf(".\\\" From conf/settings.def by `make man'; do not edit below.\n");
	printf(".Sh SETTINGS\n");
	print_list(WORKS);
	printf(".Sh SETTINGS WITHOUT EFFECT IN THIS VERSION\n"
	       "These are accepted and checked; a line in the log says that they do nothing yet.\n");
	print_list(LATER);
	printf(".Sh SETTINGS OF ROCKETMQ ALONE\n"
	       "These are accepted and checked so that a broker's file can be used as it is;\n"
	       "a line in the log says that they have no effect.\n");
	print_list(ROCKETMQ);
	printf(".\\\" Edit again from here.\n");
	return 0;
}
