#!/bin/bash
# What mqfs-rocketmq(7) shows is done as it stands there, beside a broker in Java: a slave is exchanged,
# a backup taken and started, a master moved to mqfs and back, and no message is lost or comes twice.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq
requires_tool rsync

# page SECTION   its commands, with the places of this test
page() {
	sed -n "/^\\.SS $1/,/^\\.S[SH]/{/^\\.EX/,/^\\.EE/{/^\\./d;s/\\\\-/-/g;p}}" "$top_srcdir/repl/mqfs-rocketmq.7" |
		sed -e "s,/opt/rocketmq/conf/slave.properties,$work/slave.properties,; s,/mnt/mq,$mnt,g" \
			-e "s,/opt/rocketmq/conf/restored.properties,$work/restored.properties," \
			-e "s,/srv/backup,$work/backup,g; s,10\.0\.0\.1:10911,127.0.0.1:${port[master]:-0},"
}

# RocketMQ's, of the broker that the test is about.
mqshutdown() { stop_broker "$here"; }
mqbroker() { here=again; start_java again org.apache.rocketmq.broker.BrokerStartup "$@"; }

# obey FIRST LAST SECTION   these lines of it
obey() {
	page "$3" | sed -n "$1,$2p" > "$work/lines"
	[ -s "$work/lines" ] || fail "the page shows no such lines of $3"
	sed 's/^/the page: /' "$work/lines" >&9
	# shellcheck source=/dev/null
	. "$work/lines" > "$work/said"
}

# A mount that went into the background ends with the test, too.
put_away() {
	while mounted "$mnt"; do umount "$mnt" || umount -l "$mnt"; done
	within "$patience" test ! -e "$work/slave/abort" || true
}
undo put_away

# slave_says LINES PATTERN   of the page's section on slaves
slave_says() {
	obey "$1" "$1" "A slave"
	grep -qx "$2" "$work/said"
}
export USER
USER=$(id -un)
mkdir "$work/backup"

start_namesrv
start_broker master
start_broker slave brokerRole=SLAVE brokerId=1
cp "$work/slave.conf" "$work/slave.properties"
printf '%s\n' brokerName=interop brokerIP1=127.0.0.1 brokerIP2=127.0.0.1 listenPort="$(free_port)" \
	namesrvAddr="$namesrv" storePathRootDir="$work/backup/broker-a" "${small[@]}" > "$work/restored.properties"
rocketmq <<END
topic 127.0.0.1:${port[master]} Orders 1
batch Orders 0 30 before
consume billing Orders * 30
END
eventually 60 same_log master slave

# A slave, exchanged: it goes on with the store.
here=slave
obey 1 2 "A slave"
eventually 60 slave_says 3 transfer
rocketmq <<< "batch Orders 0 10 since then"
eventually 60 same_log master slave
eventually 60 slave_says 4 0
committed() { [ "$(cat "$mnt/groups/billing/Orders/q0.offset")" = 30 ]; }
eventually 60 committed

# A backup, while the master goes on.
obey 1 5 "A backup"
rocketmq <<< "send Orders 0 - - - after the backup"
eventually 60 same_log master slave

# A master, moved.
here=master
takes_none() { obey 1 1 "A master" && grep success "$work/said"; }
eventually 60 takes_none		# the tool waits 5 s for an answer
eventually 60 slave_says 4 0
obey 2 4 "A master"
rocketmq <<END
send Orders 0 - - - of the new master
consume billing Orders * 12
END
want "SEND_OK 0 41" "$(answer 1)" "the first message that the new master has"
want "12 of the new master" "$(bodies 2 | wc -l) $(bodies 2 | tail -n 1)" "messages, each once, that the group had not consumed"

# And back.
obey 5 7 "A master"
rocketmq <<END
send Orders 0 - - - in Java again
consume billing Orders * 1
END
want "SEND_OK 0 42" "$(answer 1)" "the first message in Java again"
want "in Java again" "$(bodies 2)" "what the group had not consumed"
stop_broker again

# The backup is what it was then.
obey 6 6 "A backup"
rocketmq <<END
consume billing Orders * 10
send Orders 0 - - - of the copy
END
want "$(seq_lines 1 10 'since then')" "$(bodies 1)" "what the group had not consumed when the backup was made"
want "SEND_OK 0 40" "$(answer 2)" "the first message of the copy"
stop_broker again
