# cluster.sh - brokers of a cluster, as RocketMQ's property files have them; comes after rocketmq.sh.
#
#	set_up KIND NAME BROKER ID ROLE		kind: mqfs or java; its mount is $work/mnt.NAME
#	start NAME | kill_it NAME		kill -9
#	routed N				RocketMQ's clients may write to so many queues of Orders
#	has_got NAME N				that consumer of the flow has been given so many
#	lines NAME...				of all queues of Orders of these brokers
#	has_more NAME N				that broker has so many of them
#
# shellcheck shell=bash

declare -A kind=() broker=() id=() role=()
queues=4

set_up() {
	kind[$2]=$1 broker[$2]=$3 id[$2]=$4 role[$2]=$5
	port[$2]=$(free_port)
}

# The files of RocketMQ's conf/2m-*, with addresses and paths of our own.
properties() {
	cat <<-END
		brokerClusterName=DefaultCluster
		brokerName=${broker[$1]}
		brokerId=${id[$1]}
		deleteWhen=04
		fileReservedTime=48
		brokerRole=${role[$1]}
		flushDiskType=ASYNC_FLUSH
		namesrvAddr=$namesrv
		brokerIP1=127.0.0.1
		brokerIP2=127.0.0.1
		listenPort=${port[$1]}
		storePathRootDir=$work/$1
	END
}

at() { echo "$work/mnt.$1/topics/Orders"; }

start() {
	if [ "${kind[$1]}" = java ]; then
		start_broker "$1" brokerName="${broker[$1]}" brokerId="${id[$1]}" brokerRole="${role[$1]}" \
			slaveReadEnable=true defaultTopicQueueNums=$queues haSendHeartbeatInterval=300
	else
		properties "$1" > "$work/$1.properties"
		start_mqfs "$work/$1" "$work/mnt.$1" -o "conf=$work/$1.properties" -o "$mqfs_small" \
			-o "remotingUser=$(id -un),defaultTopicQueueNums=$queues,haSendHeartbeatInterval=300"
	fi
}

kill_it() {
	if [ "${kind[$1]}" = java ]; then kill_broker "$1"; else kill_mqfs "$work/mnt.$1"; fi
}

routed() { [ "$(flow route Orders)" = "$1" ]; }
has_got() { [ "$(flow got "$1")" -ge "$2" ]; }
lines() {
	local name
	for name; do cat "$(at "$name")"/q?; done | wc -l
}
has_more() { [ "$(lines "$1")" -ge "$2" ]; }

# committed NAME   what the group G has committed of each queue
committed() { cat "$work/mnt.$1/groups/G/Orders/"q?.offset; }
sum_committed() { committed "$1" | awk '{ sum += $1 } END { print sum + 0 }'; }
same_commits() { [ "$(committed "$1")" = "$(committed "$2")" ]; }
