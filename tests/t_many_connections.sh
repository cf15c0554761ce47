#!/bin/bash
# Ten thousand connections of clients are there at one time, take less than 100 MiB, and cost
# nobody else anything.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

files=$(ulimit -Hn)
count=9900
if [ "$files" != unlimited ] && [ "$files" -lt 11000 ]; then count=$(((files - 1000) / 100 * 100)); fi
port=$(free_port)
start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un)"
mkdir "$mnt/topics/orders"
eventually 20 is_listened_to "$port"

mkfifo "$work/words"
python3 "$top_srcdir/tests/many_connections.py" "$port" $count < "$work/words" > "$work/said" 2>&9 &
clients=$!
exec 3> "$work/words"
there() { is_gone "$clients" || grep -q there "$work/said"; }
eventually 120 there
grep -q there "$work/said" || fail "not all of them are connected"
all_counted() { [ "$(cat "$mnt/status/clients")" = $((count / 10)) ]; }
eventually 20 all_counted

pid=$(cat "$mnt/status/mqremoted")
kib=$(awk '/^(RssAnon|RssShmem):/ { sum += $2 } END { print sum }' "/proc/$pid/status")
say "$count connections, $kib KiB"
if ! keeps_freed; then [ "$kib" -lt $((100 * 1024)) ] || fail "mqremoted has $kib KiB"; fi

timeout 60 python3 "$top_srcdir/tests/messages.py" "$port" produced >&9 2>&9 || fail "one more client"
echo >&3
answered() { grep -q answered "$work/said"; }
eventually 20 answered
exec 3>&-
wait_for "$clients"
none() { [ "$(cat "$mnt/status/clients")" = 0 ]; }
eventually 20 none
stop_mqfs "$mnt"
