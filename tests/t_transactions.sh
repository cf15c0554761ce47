#!/bin/bash
# A message of a transaction is in its topic when its producer commits it, once, and not before;
# whoever has not decided is asked, also by a broker that was killed meanwhile.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
scene() { timeout 200 python3 "$top_srcdir/tests/transactions.py" "$port" "$@" >&9 2>&9 || fail "$1"; }
begin() {
	start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un)" \
		-o "transactionTimeOut=400,transactionCheckInterval=200,transactionCheckMax=$1"
	eventually 20 is_listened_to "$port"
}

begin 4
mkdir "$mnt/topics/orders"
scene ended "$mnt"
scene checked "$mnt"
want '' "$(find "$mnt/groups" -maxdepth 1 -name 'CID_*')" "groups: the one that keeps account of transactions is the system's"
fails_with EPERM sh -c "echo x >> '$mnt/topics/RMQ_SYS_TRANS_HALF_TOPIC/q0'"
group=$mnt/groups/CID_RMQ_SYS_TRANS
fails_with EPERM bash -c "echo 1 > '$group/RMQ_SYS_TRANS_HALF_TOPIC/q0.offset'"
fails_with EPERM bash -c "cat <> '$group/RMQ_SYS_TRANS_HALF_TOPIC/q0'"
fails_with EPERM rmdir "$group/RMQ_SYS_TRANS_HALF_TOPIC"
fails_with EPERM mkdir "$group/orders"
stop_mqfs "$mnt"

# Killed at any moment: what was committed is there, once.
begin 100000

end_workers() { kill "$workers" 2> /dev/null || true; }
timeout 300 python3 "$top_srcdir/tests/transactions.py" "$port" work "$work/sent" "$work/stop" >&9 2>&9 &
workers=$!
undo end_workers
sent=0
eventually 20 test -e "$work/sent"
has_sent() { [ "$(wc -l < "$work/sent")" -gt "$1" ]; }
for victim in mount mqremoted both; do
	eventually 60 has_sent $((sent + 60))
	remoted=$(cat "$mnt/status/mqremoted")
	[ "$victim" = mount ] || kill -KILL "$remoted"
	[ "$victim" = mqremoted ] || kill_mqfs "$mnt"
	[ "$victim" = mqremoted ] || begin 100000
	sent=$(wc -l < "$work/sent")
done
eventually 60 has_sent $((sent + 60))
echo stop > "$work/stop"
nothing_is_open() { [ "$(cat "$mnt/status/transactions_open")" = 0 ]; }
eventually 60 nothing_is_open
echo quit > "$work/stop"
wait_for "$workers"
cat "$mnt"/topics/orders/q[0-3] | grep '^[cCrR] ' | sort > "$work/there"
grep -i '^c' "$work/sent" | sort > "$work/committed"
want '' "$(uniq -d "$work/there" | head -n 3)" "messages that are there twice"
want '' "$(comm -13 "$work/there" "$work/committed" | head -n 3)" "messages that were committed and are not there"
want '' "$(sed -n '/^[rR]/p' "$work/there" | head -n 3)" "messages that were rolled back"
stop_mqfs "$mnt"
mqdump -j "$work/store" > /dev/null
fsck.mqfs -n "$work/store" >&9 2>&9 || fail "fsck.mqfs finds something"
