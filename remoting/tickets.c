#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "conf/err.h"
#include "remoting/tickets.h"

static void
forget(struct ticket *t)
{
	permit_drop(&t->permit);
	t->number = 0;
}

void
tickets_clear(struct tickets *t)
{
	for (size_t i = 0; i < TICKETS; i++)
		forget(&t->list[i]);
}

int
tickets_give(struct tickets *t, int code, struct permit *permit, uint64_t *ret_number)
{
	struct ticket *place = &t->list[t->next];
	uint64_t number = 0;

	while (number == 0)
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return err_note(-errno, "random numbers: %m");
	forget(place);
	*place = (struct ticket){ .number = number, .code = code, .permit = *permit };
	*permit = (struct permit){ 0 };
	t->next = (t->next + 1) % TICKETS;
	*ret_number = number;
	return MQ_OK;
}

bool
tickets_take(struct tickets *t, int code, const char *text, struct permit *ret)
{
	uint64_t number = text ? strtoull(text, NULL, 10) : 0;

	for (size_t i = 0; i < TICKETS && number; i++) {
		struct ticket *place = &t->list[i];

		if (place->number != number || place->code != code)
			continue;
		*ret = place->permit;
		*place = (struct ticket){ 0 };
		return true;
	}
	return false;
}
