#!/bin/bash
# RocketMQ's consumers consume from mqfs in every way that they have: at once and in order, in turns
# and each for itself, by tag and by SQL92, from the first, the last and a time on, pushed
# and polled, while others of their group come, go and crash.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

port[mqfs]=$(free_port)
start_namesrv
start_mqfs "$work/store" "$mnt" -o "$mqfs_small,listen=127.0.0.1,listenPort=${port[mqfs]},brokerIP1=127.0.0.1" \
	-o "brokerName=interop,namesrvAddr=$namesrv,remotingUser=$(id -un),enablePropertyFilter,defaultTopicQueueNums=4"
mkdir "$mnt/topics/Orders"
start_flow
routed() { [ "$(flow route Orders)" = 4 ]; }
eventually 60 routed
share() { [ "$(flow queues "$1")" = "$2" ]; }
got() { [ "$(flow got "$1")" = "$2" ]; }
has_got() { [ "$(flow got "$1")" -ge "$2" ]; }
well="missing=0 strangers=0 again=0 disorder=0"

# A second process, which will be killed.
mkfifo "$work/crash.in"
exec 8<> "$work/crash.in"
input=$work/crash.in start_java crash Flow "$namesrv"
echo "1 consume k1 Crashing Orders" >&8
eventually 60 grep -qx "done 1" "$work/rocketmq.crash.log"

flow consume o1 InOrder Orders order
flow consume c1 AtOnce Orders
flow consume k2 Crashing Orders
flow consume b1 Each Orders broadcast
flow consume b2 Each Orders broadcast
flow lite l1 Polled Orders
flow consume t1 Tagged Orders "tags=TagB || TagC"
flow consume s1 Selected Orders "sql=n BETWEEN 10 AND 19 AND TAGS IN ('TagA')"
eventually 60 share k2 2
flow produce p1 Orders 60000
eventually 60 has_got o1 40
flow consume o2 InOrder Orders order
flow lite l2 Polled Orders
flow consume c2 AtOnce Orders
for name in o1 o2 l1 l2 c1 c2; do eventually 60 share $name 2; done
eventually 60 has_got o2 40
eventually 60 has_got c2 40
kill_broker crash
eventually 60 share k2 4
flow leave o1 > "$work/left"
flow leave c1 > "$work/left"
flow leave l1 > "$work/left"
for name in o2 c2 l2; do eventually 60 share $name 4; done
read -r sent lost <<< "$(flow rest p1)"
want 0 "$lost" "messages that were not stored"
for group in InOrder AtOnce Polled b1 b2; do flow await "$group"; done
want "$well" "$(flow judge InOrder)" "in order"
for group in AtOnce Polled b1 b2; do
	want "missing=0 strangers=0" "$(flow judge "$group" | cut -d ' ' -f 1,2)" "$group"
done
eventually 60 got t1 $((sent / 2))
eventually 60 got s1 5
# all_committed GROUP   all that was sent; what a killed member had not committed was given to others
all_committed() { [ "$(cat "$mnt/groups/$1/Orders/"q?.offset | awk '{ sum += $1 } END { print sum }')" = "$sent" ]; }
for group in InOrder AtOnce Crashing; do eventually 60 all_committed "$group"; done
for name in o2 c2 k2 b1 b2 l2 t1 s1; do flow leave "$name" > "$work/left"; done

# Where a group begins that has committed nothing: in a queue that is in memory from its first
# message on always with that, as at RocketMQ's; so let it be on the disk.
echo 0 > "$mnt/config/accessMessageInMemoryMaxRatio"
second=$(date +%s)
later() { [ "$(date +%s)" -gt $((second + 1)) ]; }
eventually 10 later
flow consume z1 Last Orders from=last
flow consume z2 Timed Orders "from=$(date -d "@$((second + 1))" +%Y%m%d%H%M%S)"
flow consume z3 First Orders from=first
for name in z1 z2 z3; do eventually 60 share $name 4; done
eventually 60 got z3 "$sent"
flow produce p2 Orders 60000
eventually 60 has_got z1 50
more=$(flow rest p2)
eventually 60 got z1 "${more% *}"
eventually 60 got z2 "${more% *}"
flow await First
for name in z1 z2 z3; do flow leave "$name" > "$work/left"; done
stop_mqfs "$mnt"
sound_store store
