#!/bin/bash
# RocketMQ's clients and tools find the groups, offsets, messages and topics of the tree, and
# change what remotingUser may change.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
scene() { timeout 100 python3 "$top_srcdir/tests/clients.py" "$port" "$@" >&9 2>&9 || fail "$1"; }

start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un)"
mkdir "$mnt/topics/orders"
printf '%s\n' one two > "$work/lines"
cat "$work/lines" >> "$mnt/topics/orders/q0"
echo '{"body":"keyed","keys":"k2"}' >> "$mnt/topics/orders/q0:format=json"
pos=$(sed -n '2s/.*"phyOffset":\([0-9]*\).*/\1/p' "$mnt/topics/orders/q0:format=json")
eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"

scene members "$mnt"
want "" "$(cat "$mnt/groups/billing/clients")" "who consumes when all have gone"
nobody_left() { [ "$(cat "$mnt/status/clients")" = 0 ]; }
eventually 20 nobody_left
scene locks
scene offsets "$pos"
want 2 "$(cat "$mnt/groups/billing/orders/q0.offset")" "the offset that the client committed"
[ -d "$mnt/topics/%RETRY%billing" ] || fail "the group of a consumer has no retry topic"
scene admin
scene nonsense

# What mqremoted knew is gone with it; clients come again.
remoted=$(cat "$mnt/status/mqremoted")
kill -STOP "$remoted"
eventually 5 is_stopped "$remoted"
want - "$(awk '$1 == "billing" { print $7 }' "$mnt/status/groups")" "clients, while mqremoted does not say"
kill -KILL "$remoted"
is_another() { local now; now=$(cat "$mnt/status/mqremoted") && [ "$now" != "$remoted" ] && [ "$now" != 0 ]; }
eventually 20 is_another
eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"
scene members
stop_mqfs "$mnt"

if [ "$(id -u)" = 0 ]; then
	start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port"
	mkdir -m 700 "$mnt/topics/secret"
	eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"
	scene stranger
fi
