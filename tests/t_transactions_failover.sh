#!/bin/bash
# A slave that becomes the master goes on with the transactions of its master: what was
# committed is there, once, and whoever has not decided is asked by the new one.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
second=$((port + 5))
master=$work/master slave=$work/slave
small=mappedFileSizeCommitLog=262144,maxMessageSize=20000,haSendHeartbeatInterval=300,haHousekeepingInterval=3000
options="$small,listen=127.0.0.1,remotingUser=$(id -un),slaveTimeout=${patience}000"
options+=",transactionTimeOut=400,transactionCheckInterval=200,transactionCheckMax=100000"

start_mqfs "$work/m" "$master" -o "role=SYNC_MASTER,haListen=127.0.0.1,listenPort=$port,$options"
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,listenPort=$second,$options"
eventually 20 caught_up
eventually 20 mkdir "$master/topics/orders"
eventually 20 is_listened_to "$port"

timeout 300 python3 "$top_srcdir/tests/transactions.py" "$port" work "$work/sent" "$work/stop" "$second" >&9 2>&9 &
workers=$!
end_workers() { kill "$workers" 2> /dev/null || true; }
undo end_workers
eventually 20 test -e "$work/sent"
has_sent() { [ "$(wc -l < "$work/sent")" -gt "$1" ]; }
eventually 60 has_sent 200
is_open() { [ "$(cat "$1/status/transactions_open")" -gt 0 ]; }
eventually 60 is_open "$slave"

timeout 100 python3 "$top_srcdir/tests/transactions.py" "$second" on_slave >&9 2>&9 || fail "on_slave"
same_count() { [ "$(cat "$master/status/transactions_open")" = "$(cat "$slave/status/transactions_open")" ]; }
eventually 60 same_count

kill_mqfs "$master"
echo ASYNC_MASTER > "$slave/config/brokerRole"
sent=$(wc -l < "$work/sent")
eventually 60 has_sent $((sent + 100))
echo stop > "$work/stop"
nothing_is_open() { ! is_open "$slave"; }
eventually 60 nothing_is_open
echo quit > "$work/stop"
wait_for "$workers"

cat "$slave"/topics/orders/q[0-3] | sort > "$work/there"
grep -i '^c' "$work/sent" | sort > "$work/committed"
[ -s "$work/committed" ] || fail "nothing was committed"
want '' "$(uniq -d "$work/there" | head -n 3)" "messages that are there twice"
want '' "$(comm -13 "$work/there" "$work/committed" | head -n 3)" "messages that were committed and are not there"
want '' "$(sed -n '/^[rR]/p' "$work/there" | head -n 3)" "messages that were rolled back"
