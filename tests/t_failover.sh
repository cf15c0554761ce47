#!/bin/bash
# Three brokers: the master is cut off, a slave is promoted, the other follows it;
# the old master is refused while it thinks it is one, and gives up what only it has
# when it comes back as a slave.  Nothing acknowledged by a SYNC_MASTER is lost.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/network.sh"
requires_fuse
requires_net

hosts=(a b c)
net_open "${hosts[@]}"
declare -A role=([a]=SYNC_MASTER [b]=SLAVE [c]=SLAVE) follow=([b]=a [c]=a)
declare -A copies=([a]=3 [b]=2 [c]=2)	# any slave of a's may be the next master
for host in "${hosts[@]}"; do mkdir "$work/$host"; touch "$work/acked.$host"; done

start() {		# HOST, as role and follow say
	local options=mappedFileSizeCommitLog=65536,maxMessageSize=20000
	options+=,haSendHeartbeatInterval=300,haHousekeepingInterval=1500,slaveTimeout=1000
	options+=,brokerRole=${role[$1]},inSyncReplicas=${copies[$1]},haListen=$(net_address "$1")
	if [ "${role[$1]}" = SLAVE ]; then options+=,master=$(net_address "${follow[$1]}"):10912; fi
	on_host "$1" start_mqfs "$work/store.$1" "$work/$1" -o "$options"
}

written() { cat "$work/$1/status/written"; }
same_end() { [ "$(written "$1")" = "$(cat "$work/$2/status/dispatched")" ]; }
follows() { [ "$(cat "$work/$1/status/replication/master/state")" = transfer ]; }
trouble() { grep -q "$2" "$work/$1/status/replication/trouble"; }
more_acked() { [ "$(cat "$work"/acked.[abc] | wc -l)" -gt "$1" ]; }
acks() { cat "$work"/acked.[abc] | wc -l; }

produce() {		# HOST: until stopped
	python3 "$top_srcdir/tests/stubborn.py" "$work/$1/topics/stubborn/q0" "$work/acked.$1" 1000000 "$1" &
	producer=$!
}

stop_producing() {
	touch "$work/acked.$1.stop"
	wait_for "$producer"
}

same_logs() {		# HOST HOST
	local segment left end
	eventually 30 same_end "$1" "$2"
	end=$(written "$1")
	for segment in "$work/store.$2"/commitlog/*; do
		left=$((end - 10#${segment##*/}))
		[ $left -le 0 ] || cmp -n $((left < 65536 ? left : 65536)) \
			"$segment" "$work/store.$1/commitlog/${segment##*/}" || fail "the logs of $1 and $2 differ"
	done
}

for host in "${hosts[@]}"; do start "$host"; done
eventually 20 follows b
eventually 20 follows c
eventually 20 mkdir "$work/a/topics/stubborn"	# on a SYNC_MASTER it waits for slaves, too
mkdir "$work/a/groups/g" "$work/a/groups/g/stubborn"
produce a
eventually 20 more_acked 50

# A tail that nobody else has: a, alone, takes it as if it were asynchronous.
net_cut a
stop_producing a
echo degrade > "$work/a/config/onSlaveUnavailable"
eventually 10 bash -c "echo lost in the cut >> '$work/a/topics/stubborn/q1'"
mkdir "$work/a/topics/only-here"
only_a=$(wc -l < "$work/a/topics/stubborn/q0")

echo SYNC_MASTER > "$work/b/config/brokerRole"
want SYNC_MASTER "$(cat "$work/b/config/brokerRole")" "b's role"
echo "$(net_address b):10912" > "$work/c/config/master"
eventually 20 follows c
produce b
eventually 20 more_acked $(($(acks) + 50))
epoch_b=$(cat "$work/b/status/epoch")
[ "$epoch_b" -gt "$(cat "$work/a/status/epoch")" ] || fail "the promotion began no epoch"

# The old master is back and still thinks it is one: c, told to follow it, refuses.
net_heal
echo "$(net_address a):10912" > "$work/c/config/master"
eventually 20 trouble c 'no longer the master'
want "$only_a" "$(wc -l < "$work/a/topics/stubborn/q0")" "messages of the old master"
echo "$(net_address b):10912" > "$work/c/config/master"
eventually 20 follows c

# As a slave of b it gives up its tail, keeps it aside, and is the same as the others.
echo "$(net_address b):10912" > "$work/a/config/master"
echo SLAVE > "$work/a/config/brokerRole"
eventually 30 follows a
eventually 5 test ! -e "$work/a/topics/only-here"	# the kernel remembers names for a second
grep -q "slave $(net_address a) .* has another log from .*its lost+found has it" "$work/b/status/log" ||
	fail "the new master does not say what the old one gave up"
stop_producing b
same_logs b a
same_logs b c
grep -l 'lost in the cut' "$work/a/lost+found/"* > "$work/kept" || fail "the tail was not kept"
want "$epoch_b" "$(cat "$work/a/status/epoch")" "the epoch of a"

for host in "${hosts[@]}"; do
	sort "$work/$host/topics/stubborn/q0" > "$work/there"
	sort "$work"/acked.[ab] | comm -23 - "$work/there" > "$work/missing"
	[ ! -s "$work/missing" ] || fail "acknowledged, but not on $host: $(head -n 3 "$work/missing")"
done
say "$(acks) acknowledged, all on three hosts"

# Clean ends, clean stores.
for host in "${hosts[@]}"; do
	stop_mqfs "$work/$host"
	fsck.mqfs -n "$work/store.$host" > "$work/fsck" 2>&1 || { cat "$work/fsck"; fail "fsck of $host"; }
done
