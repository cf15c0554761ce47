#!/bin/bash
# RocketMQ's name server and mqadmin see an mqfs broker as one of RocketMQ's: its topics, groups,
# messages and offsets, whatever changed them.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

port[mqfs]=$(free_port)
broker=127.0.0.1:${port[mqfs]}
# says WORDS COMMAND...   mqadmin's answer has that line
says() {
	local words=$1
	shift
	mqadmin "$@" > "$work/said" 2>&1
	grep -qE -- "$words" "$work/said"
}

start_namesrv
start_mqfs "$work/store" "$mnt" -o "$mqfs_small,listen=127.0.0.1,listenPort=${port[mqfs]},brokerIP1=127.0.0.1" \
	-o "brokerName=interop,namesrvAddr=$namesrv,remotingUser=$(id -un)"
mkdir "$mnt/topics/Files"
echo hello >> "$mnt/topics/Files/q0"
echo '{"body":"a body","tags":"TagA","keys":"k1"}' >> "$mnt/topics/Files/q1:format=json"

eventually 60 says "DefaultCluster +interop +0 +$broker" clusterList
eventually 60 says '"writeQueueNums":8' topicRoute -t Files
eventually 60 says 'Files' topicList
eventually 60 says '^interop +0 +0 +1 ' topicStatus -t Files
eventually 60 says '^[0-9A-F]{32} +1 +0' queryMsgByKey -t Files -k k1
eventually 60 says 'brokerVersionDesc +: V4_9_8' brokerStatus -b "$broker"
eventually 60 says 'brokerName += +interop' getBrokerConfig -b "$broker"

eventually 60 says 'success' updateTopic -b "$broker" -t Tools -r 4 -w 4
want 4 "$(find "$mnt/topics/Tools" -name 'q?' | wc -l)" "queues of the topic that mqadmin has made"
eventually 60 says '"readQueueNums":4' topicRoute -t Tools
eventually 60 says 'success' updateSubGroup -b "$broker" -g tools -r 5
grep -qE '^retryMaxTimes *= *5' "$mnt/groups/tools/config" || grep -q 5 "$mnt/groups/tools/config"
mkdir "$mnt/groups/tools/Files"
echo 1 > "$mnt/groups/tools/Files/q0.offset"
eventually 60 says 'Files +interop +0 +1 +1 ' consumerProgress -g tools
eventually 60 says 'success' deleteSubGroup -b "$broker" -g tools
[ ! -e "$mnt/groups/tools" ] || fail "the group is still there"
eventually 60 says 'success' deleteTopic -c DefaultCluster -t Tools
[ ! -e "$mnt/topics/Tools" ] || fail "the topic is still there"

stop_mqfs "$mnt"
leaves() { ! says "$broker" clusterList; }
eventually 20 leaves
