#!/bin/bash
# RocketMQ's tools are answered: about clients, by clients, and by what the tree has; and they
# change what remotingUser may change.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
scene() { timeout 100 python3 "$top_srcdir/tests/tools.py" "$port" "$@" >&9 2>&9 || fail "$1"; }

start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un)"
mkdir "$mnt/topics/orders"
printf '%s\n' one two > "$work/lines"
cat "$work/lines" >> "$mnt/topics/orders/q0"
echo '{"body":"keyed","keys":"k2"}' >> "$mnt/topics/orders/q0:format=json"
pos=$(sed -n '2s/.*"phyOffset":\([0-9]*\).*/\1/p' "$mnt/topics/orders/q0:format=json")
eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"

scene resets
want 1 "$(cat "$mnt/groups/cloned/orders/q0.offset")" "the offset that was cloned"
scene tables
scene statistics
grep -q '^rocketmq_producer_tps{.*topic="orders"} ' "$mnt/status/metrics.prom" || fail "no rate of the topic"
grep -q '^rocketmq_consumer_tps{.*topic="orders",group="billing"} ' "$mnt/status/metrics.prom" ||
	fail "no rate of the group"
scene direct "$pos"
scene settings
want 70 "$(cat "$mnt/config/fileReservedTime")" "the setting that a tool has changed"
scene subscriptions false
scene relayed
stop_mqfs "$mnt"

filters=enablePropertyFilter=true
start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un),$filters"
eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"
scene subscriptions true
stop_mqfs "$mnt"

if [ "$(id -u)" = 0 ]; then
	start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port"
	mkdir -m 700 "$mnt/topics/secret"
	echo hidden >> "$mnt/topics/secret/q0"
	mkdir -p "$mnt/groups/owned/orders"
	pos=$(sed -n '1s/.*"phyOffset":\([0-9]*\).*/\1/p' "$mnt/topics/secret/q0:format=json")
	eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"
	scene stranger "$pos"
	stop_mqfs "$mnt"
fi
