#!/bin/bash
# A Java master dies, and RocketMQ's consumers go on from its mqfs slave, and an mqfs master dies, and
# they go on from its Java slave; when the masters are back nothing that was committed is
# consumed again and nothing is missing.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
. "$top_srcdir/tests/interop/cluster.sh"
requires_fuse
requires_rocketmq
java_command+=("$tls_too")

start_namesrv
set_up java a broker-a 0 ASYNC_MASTER
set_up mqfs a-s broker-a 1 SLAVE
set_up mqfs b broker-b 0 ASYNC_MASTER
set_up java b-s broker-b 1 SLAVE
for name in a b a-s b-s; do start "$name"; done
mkdir "$(at b)"
has_topic() { mqadmin updateTopic -b "127.0.0.1:${port[a]}" -t Orders -r $queues -w $queues | grep success; }
eventually 60 has_topic
start_flow
eventually 60 routed 8
eventually 60 has_more a-s 0

flow produce p1 Orders
flow consume c1 G Orders
eventually 60 has_got c1 100
given=$(flow leave c1)
all_committed() { [ "$(($(sum_committed a-s) + $(sum_committed b)))" = "$1" ]; }
eventually 60 all_committed "$given"
sent=$(flow rest p1)
all_there() { [ "$(lines a-s b)" -ge "$1" ]; }
eventually 60 all_there "${sent% *}"

# The Java master.
kill_it a
eventually 60 routed 4
flow consume c2 G Orders
flow await G
flow leave c2 > "$work/given"
all_committed "$(lines a-s b)" || fail "not all that was given is committed at the slave"
start a
knows() { [ "$(flow committed G Orders "$1")" = "$2" ]; }
eventually 60 routed 8			# tools do not ask the slave any more
eventually 60 knows broker-a "$(lines a-s)"

# The mqfs master.  What is committed at a Java slave stays there: a consumer says it again.
flow produce p2 Orders
eventually 60 has_more b $(($(lines b) + 50))
sent=$(flow rest p2)
eventually 60 same_log b-s b
java_slave_knows() {
	tr -d '[:space:]' < "$work/b-s/config/consumerOffset.json" |
		grep -qF "\"Orders@G\":{$(committed b | awk '{ printf "%s%d:%d", s, NR - 1, $1; s = "," }')}"
}
eventually 60 java_slave_knows		# RocketMQ's slaves ask every ten seconds
kill_it b
eventually 60 routed 4
flow consume c3 G Orders
flow await G
start b
b_has_all() { [ "$(sum_committed b)" = "$(lines b)" ]; }
eventually 60 b_has_all
flow leave c3 > "$work/given"
want "missing=0 strangers=0 again=0 disorder=0" "$(flow judge G)" "of all that was sent"
for name in a-s b; do stop_mqfs "$work/mnt.$name"; done
sound_store a-s b
