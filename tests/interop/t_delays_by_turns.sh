#!/bin/bash
# Messages that wait on one store are delivered once by whoever runs then: RocketMQ or mqfs.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

start_namesrv
# What is to wait is sent so long before that a busy machine exchanges the brokers meanwhile.
levels=(messageDelayLevel="1s 5s 10s 45s 1m 75s")
start_broker m "${levels[@]}"
rocketmq <<END
topic 127.0.0.1:${port[m]} Late 1
send Late 0 - - 1 RocketMQ to RocketMQ
consume G Late * 1
send Late 0 red - 4 RocketMQ to mqfs
send Late 0 - - 6 RocketMQ to mqfs to RocketMQ
END
stop_broker m

options=conf=$work/m.conf,brokerName=interop
start_mqfs "$work/m" "$mnt" -o "$options"
late=$mnt/topics/Late/q0
is_delivered() { [ "$(cat "$late")" = "$1" ]; }
want 'RocketMQ to RocketMQ' "$(cat "$late")" "delivered before"
want 2 "$(cat "$mnt/status/delayed")" "messages that wait"
echo 'mqfs to RocketMQ' >> "$late:delay=1m,tag=blue"
echo 'mqfs to mqfs' >> "$late:delay=1s"
echo 'mqfs to mqfs, timed' >> "$late:delay=30ms"
eventually 60 grep -q 'mqfs to mqfs$' "$late"
eventually 60 grep -q 'RocketMQ to mqfs$' "$late"
want 'RocketMQ to mqfs' "$(cat "$late:tag=red")" "its tag"
stop_mqfs "$mnt"
sound_store m
delivered=$(cat "$work/m/config/delayOffset.json")

start_broker m "${levels[@]}"
rocketmq <<END
consume G Late * 5
END
want 1 "$(bodies 1 | grep -c '^RocketMQ to mqfs to RocketMQ$')" "what waited for both, here"
want 1 "$(bodies 1 | grep -c '^mqfs to RocketMQ$')" "what mqfs had taken, here: $delivered"
stop_broker m

start_mqfs "$work/m" "$mnt" -o "$options"
want 0 "$(cat "$mnt/status/delayed")" "messages that wait in the end"
want "$(printf '%s\n' 'RocketMQ to RocketMQ' 'RocketMQ to mqfs' 'RocketMQ to mqfs to RocketMQ' 'mqfs to RocketMQ' \
	'mqfs to mqfs' 'mqfs to mqfs, timed' | LC_ALL=C sort)" "$(LC_ALL=C sort "$late")" "all of them, once"
stop_mqfs "$mnt"
