/* ctl: commands to the broker as a whole. */
#include "config.h"

#include "fs/command.h"
#include "store/scrub.h"

static int
command_scrub(struct mount *m, const struct node *n, char **words)
{
	(void)n, (void)words;
	return scrub_now(m->store);
}

static const struct command commands[] = {
	{ "scrub", 0, "scrub", "check every sealed segment now; status/scrub shows how far it is",
	  command_scrub },
	{ 0 },
};

const struct node_class node_ctl = {
	.set_attr = node_set_owner,
	.commands = commands,
	.render = ctl_render,
	.accept = ctl_accept,
};
