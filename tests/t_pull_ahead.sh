#!/bin/bash
# A client that works through a backlog gets each message once and in order, the broker counts all of
# them, and neither a change of rights nor a trim is noticed late.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

remote=$top_builddir/tests/bench/remote port=$(free_port) count=20000
client() { timeout 200 python3 "$top_srcdir/tests/pull_ahead.py" "$port" "$@" >&9 2>&9 || fail "$1"; }

start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un),haListen=none"
mkdir "$mnt/topics/t"
eventually 10 "$remote" send "$port" t 2 1 64 100 2 > "$work/sent"
"$remote" send "$port" t 2 4 64 100 $count > "$work/sent"
for queue in 0 1; do
	wc -l < "$mnt/topics/t/q$queue" > "$work/stored"
	for window in 1 16; do
		"$remote" pull "$port" t $queue "$(cat "$work/stored")" $window "$work/read.$window" > "$work/pulled"
	done
	cut -c-16 "$mnt/topics/t/q$queue" | cmp - "$work/read.1" || fail "q$queue is pulled in another order"
	sort "$work/read.1" | cmp - <(sort "$work/read.16") || fail "q$queue is pulled with other messages, 16 at a time"
done
client counted $((2 * (count + 2)))

# After each change the next pull says so, however soon it comes.
client changes "$mnt"
