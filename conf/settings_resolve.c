/* Settings that depend on this host, and on others. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/settings.h"

/* text takes the place of what *field holds. */
static int
text_replace(char *_Atomic *field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return MQ_OK;
}

static int
resolve_name(struct settings *s)
{
	char name[HOST_NAME_MAX + 1];

	if (gethostname(name, sizeof(name)) < 0 || !name[0])
		return text_replace(&s->brokerName, "DEFAULT_BROKER");
	name[HOST_NAME_MAX] = '\0';
	return text_replace(&s->brokerName, name);
}

static int
resolve_address(struct settings *s)
{
	char text[INET_ADDRSTRLEN] = "127.0.0.1";
	struct ifaddrs *all = NULL;
	struct sockaddr_in *in;

	if (getifaddrs(&all) < 0)
		all = NULL;
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET ||
		    (i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP))
			continue;
		in = (struct sockaddr_in *)(void *)i->ifa_addr;
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		break;
	}
	freeifaddrs(all);
	return text_replace(&s->brokerIP1, text);
}

/* The default of maxMessageSize is reduced if segments are too small for it. */
static void
resolve_message_size(struct settings *s)
{
	const struct setting *row = setting_find("maxMessageSize");
	int64_t fits = s->mappedFileSizeCommitLog - RECORD_SPARE_BYTES;

	if (s->maxMessageSize <= fits || s->maxMessageSize != strtoll(row->dflt, NULL, 10))
		return;
	s->maxMessageSize = fits;
	log_notice("maxMessageSize is %" PRId64 ": what fits into a segment of mappedFileSizeCommitLog=%" PRId64, fits,
		   (int64_t)s->mappedFileSizeCommitLog);
}

/* Read RocketMQ's file of TLS settings, if clients are served and the file exists. */
static int
resolve_tls(struct settings *s)
{
	if (strcmp(s->listen, "none") == 0 || !s->tlsConfigFile[0] || access(s->tlsConfigFile, R_OK) != 0)
		return MQ_OK;
	return settings_load(s, s->tlsConfigFile);
}

int
settings_resolve(struct settings *s)
{
	int rc = resolve_tls(s);

	if (rc == MQ_OK && !s->brokerName[0])
		rc = resolve_name(s);
	if (rc == MQ_OK && !s->brokerIP1[0])
		rc = resolve_address(s);
	if (rc != MQ_OK)
		return rc;
	resolve_message_size(s);
	if (s->haListenPort == 0)
		s->haListenPort = s->listenPort + 1;
	if (s->brokerRole != SLAVE)
		s->brokerId = 0;
	else if (s->brokerId == 0)
		s->brokerId = 1;
	if (s->allowOther == ALLOW_OTHER_AUTO)
		s->allowOther = geteuid() == 0 ? ALLOW_OTHER_TRUE : ALLOW_OTHER_FALSE;
	return MQ_OK;
}
