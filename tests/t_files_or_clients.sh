#!/bin/bash
# A group is consumed by files or by clients at one time: who comes second is refused, and told why,
# until the last of the others has gone, whatever became of it.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
scene() { timeout 100 python3 "$top_srcdir/tests/messages.py" "$port" "$@"; }

start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un),defaultTopicQueueNums=4"
mkdir -p "$mnt/topics/orders" "$mnt/groups/billing/orders"
for i in 0 1 2 3; do echo one >> "$mnt/topics/orders/q$i"; done
eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"

scene exclusive "$mnt" >&9 2>&9 || fail exclusive
q=$mnt/groups/billing/orders/q0
grep -q 'groups/billing/orders/q0 is being consumed over the network' "$mnt/status/log" || fail "no reason in status/log"

# A client that is killed, and a mqremoted.
hold() {
	rm -f "$work/client"		# what the one before has said
	python3 "$top_srcdir/tests/messages.py" "$port" holds "$mnt" > "$work/client" 2>&9 &
	client=$!
	eventually 20 grep -q holds "$work/client"
}
opens() { : <> "$q"; }
hold
fails_with EBUSY bash -c ": <> '$q'"
kill -KILL "$client"
eventually 20 opens
hold
kill -KILL "$(cat "$mnt/status/mqremoted")"
eventually 20 opens

# A worker that waits for any queue gets those that clients leave.
eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"
hold
for i in 1 2 3; do cat <> "$mnt/groups/billing/orders/q$i" > "$work/drained"; done
head -n 1 <> "$mnt/groups/billing/orders/any:follow" > "$work/got" &
worker=$!
eventually 20 is_waiting "$worker"
kill -KILL "$client"
wait_for "$worker"
want one "$(cat "$work/got")" "what the worker got when the client had gone"
stop_mqfs "$mnt"
