#!/bin/bash
# Peers that lie: slaves and clients that say every wrong thing to a master, and somebody between
# a slave and its master who says every wrong thing to the slave.  No mqrepld ends by itself, an
# honest slave follows all the while, and the deceived one has the master's log when the lies end.
# In every other cycle the master serves clients over the network, and its name server lies, too:
# its mqremoted does not end, and honest clients have all that they were told is stored.
#
#	--cycles N       so many times
#	--seconds N      so long each
. "$top_srcdir/tests/lab/kit.sh"
requires_fuse
requires_tool python3

lab_options "cycles=2 seconds=6 seed=$RANDOM" "cycles=60 seconds=60" "$@"
say "$cycles times, each $seconds s, seed $seed"
deceived=$work/deceived
mkdir "$slave" "$deceived"
settings=mappedFileSizeCommitLog=1048576,maxMessageSize=65536,haSendHeartbeatInterval=300

crashed() { grep -hE 'mqre(pld|moted) (was killed by signal|ended with status)|mqre(pld|moted) was ended' "$1/status/log"; }
no_crash() { if crashed "$1"; then fail "$2: a daemon ended by itself"; fi; }

# --- the network's clients ---

# begin_clients PORT   the liars are the same user as the honest ones, and name other topics
begin_clients() {
	rm -rf "$state"
	mkdir "$state" "$master/topics/torn" "$master/groups/G" "$master/groups/G/torn"
	chmod 666 "$master/topics/torn/"q* "$master/groups/G/torn/"q*
	python3 "$lab/torn.py" consume "$1" a "$state" 0 1 2 3 > "$work/a.out" 2>&1 &
	consumer=$!
	python3 "$lab/torn.py" produce "$1" p "$state" > "$work/p.out" 2>&1 &
	producer=$!
	python3 "$lab/liars.py" names "$seed" $(($1 + 7)) > "$work/to-broker" &
	names=$!
}
all_given() { [ -z "$(python3 "$lab/torn.py" judge "$state")" ]; }
end_clients() {
	kill -TERM "$producer"
	wait_for "$producer" || { cat "$work/p.out" >&9; fail "the honest producer"; }
	within 60 all_given || { cat "$work/a.out" >&9; fail "$(python3 "$lab/torn.py" judge "$state")"; }
	kill -KILL "$consumer"
	wait "$consumer" 2> /dev/null || true
	kill -TERM "$names"
	wait_for "$names"
	stored=$((stored + $(wc -l < "$state/p.stored")))
}

cycle() {
	local n=$1 port repld remoted i=0 slaves listen=
	port=$(free_port)
	if ((n % 2)); then listen=,listen=127.0.0.1,namesrvAddr=127.0.0.1:$((port + 7)); fi
	: > "$work/to-broker"
	rm -rf "$work/m" "$work/s" "$work/d" "$work/honest"
	start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$settings$listen"
	mkdir "$master/topics/t"
	start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),$settings"
	eventually 20 caught_up
	repld=$(cat "$master/status/mqrepld") remoted=$(cat "$master/status/mqremoted")
	if [ -n "$listen" ]; then begin_clients "$port"; fi
	python3 "$lab/liars.py" master "$seed.$n" $((port + 6)) $((port + 1)) "$work/honest" > "$work/to-slave" &
	between=$!
	start_mqfs "$work/d" "$deceived" -o \
		"role=slave,master=127.0.0.1:$((port + 6)),haHousekeepingInterval=2000,$settings"
	python3 "$lab/liars.py" slaves "$seconds" "$seed.$n" $((port + 1)) "$port" > "$work/to-master" &
	slaves=$!
	while ! is_gone $slaves; do
		i=$((i + 1))
		seq_lines 1 200 "cycle $n, round $i" >> "$master/topics/t/q0"
		eventually 10 caught_up
	done
	wait_for $slaves
	if [ -n "$listen" ]; then end_clients; fi
	touch "$work/honest"
	eventually 60 caught_up "$master" "$deceived"
	want_same "$master/topics/t/q0" "$deceived/topics/t/q0" "what the deceived slave has"
	want_same "$master/topics/t/q0" "$slave/topics/t/q0" "what the honest slave has"
	want "$repld" "$(cat "$master/status/mqrepld")" "the master's mqrepld is the same process"
	want "$remoted" "$(cat "$master/status/mqremoted")" "the master's mqremoted is the same process"
	no_crash "$master" "the master"
	no_crash "$slave" "the honest slave"
	no_crash "$deceived" "the deceived slave"
	for at in "$deceived" "$slave" "$master"; do stop_mqfs "$at"; done
	kill -TERM $between
	wait_for $between
	lies=$((lies + $(awk '{ n += $1 } END { print n + 0 }' "$work/to-slave" "$work/to-master" "$work/to-broker")))
	kinds=$(cat "$work/to-slave" "$work/to-master" "$work/to-broker" | sed 's/^ *[0-9]* *//' | cat - <(echo "${kinds:-}") | sed '/^$/d' | sort -u)
	say "cycle $n: $i rounds of appends"
}

lies=0 kinds='' stored=0
for ((n = from; n < from + cycles; n++)); do
	choose "$n"
	cycle "$n"
	forget_logs
done
[ $lies -gt 20 ] || fail "only $lies lies were told"
sum "$lies lies of $(wc -l <<< "$kinds") kinds were told in $cycles cycles; honest clients stored $stored messages"
