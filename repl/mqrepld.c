/* mqrepld: brings the log to slaves and from a master. */
#include "config.h"

#include <signal.h>

#include "conf/err.h"
#include "repl/link.h"

int
main(void)
{
	struct link_message msg;

	signal(SIGPIPE, SIG_IGN);
	return link_receive(LINK_SOCKET_FD, 0, &msg) == MQ_OK && msg.kind == LINK_CONFIG ? 0 : 1;
}
