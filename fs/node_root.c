/* The root, and the screen that says how to use it. */
#include "config.h"

#include "fs/node.h"

const struct node_class node_root = {
	.lookup = node_fixed_lookup,
	.list = node_fixed_list,
	.set_attr = node_set_owner,
};

static const char readme[] =
	"This is a message broker. Every file below is live.\n"
	"\n"
	"  mkdir topics/orders                             a topic, with queues q0, q1, ...\n"
	"  echo 'order 17 paid' >> topics/orders/q0        each line is a message\n"
	"  cat topics/orders/q0                            read a queue from its first message\n"
	"  tail -f topics/orders/q0                        watch it\n"
	"  cat topics/orders/q0@last:follow                the same, without polling\n"
	"  cat topics/orders/q0@100..200                   messages 100 to 199\n"
	"  cat topics/orders/q0@-1h                        the last hour\n"
	"  cat topics/orders/all                           all queues, in the order they were written\n"
	"  ls topics/orders/q0.parts                       q0 in files of 65536 messages, for log shippers\n"
	"\n"
	"  mkdir -p groups/billing/orders                  a group of consumers of orders\n"
	"  while IFS= read -r m; do echo \"$m\" || break; done <> groups/billing/orders/q0\n"
	"                                                  consume: reading on commits what came before\n"
	"  ... done <> groups/billing/orders/all:follow    every queue, for ever; any:follow: as one of many\n"
	"  cat groups/billing/orders/q0                    peek: what is not consumed yet\n"
	"  cat groups/billing/orders/q0.lag                how many messages that is\n"
	"  cat groups/billing/lag status/groups            the same of every queue, of every group\n"
	"  echo first > groups/billing/orders/q0.offset    consume all of it again\n"
	"\n"
	"  cat topics/orders/config                        what a topic can be told; write it back to change it\n"
	"  echo purge > topics/orders/ctl                  drop its messages; then rmdir removes it\n"
	"  chmod, chown                                    write on a queue = may produce, read = may read;\n"
	"                                                  write on a group's queue = may consume\n"
	"  mkdir .snapshots/nightly                        a snapshot: a complete store, to be copied by rsync -a\n"
	"  rmdir .snapshots/nightly                        and dropped again\n"
	"  ls config status                                settings and numbers, one per file\n"
	"  cat status/scrub                                what the disk has lost of the log; echo scrub > ctl looks now\n"
	"  tail status/log                                 what the broker had to say; why a command was refused\n"
	"\n"
	"write(2) returns when a message is stored, fsync(2) when it is on the disk.\n"
	"More: man mqfs, man mqfs-cookbook, man mount.mqfs, man mqfs.conf.\n";

static int
readme_render(struct mount *m, const struct node *n, struct text *t)
{
	(void)m, (void)n;
	text_add(t, readme, sizeof(readme) - 1);
	return MQ_OK;
}

const struct node_class node_readme = {
	.render = readme_render,
};
