#include "config.h"

#include <stdbool.h>

#include "remoting/objects.h"

void
objects_as_names(char *json)
{
	char *to = json;
	bool inside = false;

	for (const char *at = json; *at; at++) {
		if (*at == '"' && (inside || at[1] == '{')) {
			inside = !inside;
			continue;
		}
		if (inside && *at == '\\')
			at++;
		*to++ = *at;
	}
	*to = '\0';
}
