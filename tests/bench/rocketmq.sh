#!/bin/bash
# DESIGN's figures beside RocketMQ itself, on this machine, in the same minutes: its Java producer
# and consumer, and our pipelined C client, against its broker and against mqfs, by turns.  Prints
# a table.  `make bench-rocketmq` (it needs Java and Maven, and some ten minutes).
#
#	SECONDS_EACH=5 THREADS='1 16 64' BYTES='100 1024' CASES='async sync slave double' ./run tests/bench/rocketmq.sh
#
# async: ASYNC_FLUSH, no slave.  sync: SYNC_FLUSH, no slave.  slave: ASYNC_MASTER with a slave.
# double: SYNC_MASTER and ASYNC_FLUSH.  RocketMQ's broker has its defaults and a heap of 1 GiB.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

each=${SECONDS_EACH:-5} cases=${CASES:-async sync slave double} threads=${THREADS:-1 16 64} sizes=${BYTES:-100 1024}
pipelined=${PIPELINED:-200000}
remote=$top_builddir/tests/bench/remote
javac -Xlint:-deprecation -cp "$(jars_of "$oldest")" -d "$work" "$top_srcdir/tests/bench/Load.java"
small=()		# its defaults
patient=(waitTimeMillsInSendQueue=10000 osPageCacheBusyTimeOutMills=10000)	# a busy machine is no error
opens=(--add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/jdk.internal.ref=ALL-UNNAMED)
java_command=(java -Xms1g -Xmx1g "${opens[@]}" -Drocketmq.broker.diskSpaceWarningLevelRatio=0.99
	-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.98 -Drocketmq.home.dir="$work" -Duser.home="$work"
	-Dlogback.configurationFile="$work/conf/logback.xml")

load() {
	timeout 300 java -Xmx1g "${opens[@]}" -Duser.home="$work" -Dlogback.configurationFile="$work/conf/logback.xml" \
		-cp "$(jars_of "$oldest"):$work" Load "$@"
}

# What the two of a case are told alike.
settings_of() {
	case $1 in
	async) echo flushDiskType=ASYNC_FLUSH ;;
	sync) echo flushDiskType=SYNC_FLUSH ;;
	slave) echo brokerRole=ASYNC_MASTER ;;
	double) echo brokerRole=SYNC_MASTER flushDiskType=ASYNC_FLUSH ;;
	esac
}

has_slave() { [ "$1" = slave ] || [ "$1" = double ]; }

# The topic is there and a message is stored, with a slave where the case has one.
is_served() {
	rocketmq <<< "topic 127.0.0.1:$listens Load 8
		send Load 0 - - - x" 2> "$work/not_served.log" && answer 2 | grep -q SEND_OK
}

# begin_java CASE: a name server and its broker; end_java_case ends them.  $pids, $listens are set.
begin_java() {
	local ha
	port=()
	start_namesrv
	ha=$(free_port)
	# shellcheck disable=SC2046	# words are wanted
	start_broker master brokerName=load brokerId=0 haListenPort="$ha" "${patient[@]}" $(settings_of "$1")
	if has_slave "$1"; then
		start_broker slave brokerName=load brokerId=1 brokerRole=SLAVE haListenPort="$(free_port)"
	fi
	listens=${port[master]}
	pids=${java[master]}
	eventually 60 is_served
}

end_java_case() {
	kill_broker master
	if has_slave "$1"; then kill_broker slave; fi
	kill_broker namesrv
	rm -rf "$work/master" "$work/slave" "$work"/rocketmq.*.log	# the next ones begin their own
}

children_of() { ps -o pid= --ppid "$1" | tr -d ' '; }

begin_mqfs() {
	local options
	port=()
	start_namesrv
	listens=$(free_port)
	options=listen=127.0.0.1,listenPort=$listens,brokerIP1=127.0.0.1,brokerName=load,namesrvAddr=$namesrv
	options=$options,remotingUser=$(id -un),haListen=127.0.0.1,haListenPort=$((listens + 1)),haAllow=127.0.0.1
	options=$options,diskMaxUsedSpaceRatio=95,$(settings_of "$1" | tr ' ' ,)
	start_mqfs "$work/master" "$mnt" -o "$options"
	if has_slave "$1"; then
		start_mqfs "$work/slave" "$work/slave.mnt" \
			-o "role=slave,master=127.0.0.1:$((listens + 1)),haListen=none,brokerId=1,diskMaxUsedSpaceRatio=95"
	fi
	pids="${daemons[$mnt]} $(children_of "${daemons[$mnt]}" | tr '\n' ' ')"
	eventually 60 is_served
}

end_mqfs_case() {
	if has_slave "$1"; then stop_mqfs "$work/slave.mnt"; fi
	stop_mqfs "$mnt"
	kill_broker namesrv
	rm -rf "$work/master" "$work/slave" "$work"/rocketmq.*.log	# the next ones begin their own
}

# measure SIDE CASE: a line "CASE WHAT RATE CPU MIB" each into $work/SIDE
measure() {
	local side=$1 case=$2 n size
	for size in $sizes; do
		for n in $threads; do
			# shellcheck disable=SC2086	# words are wanted
			echo "$case ${n}_threads,_${size}_B $(load produce "$namesrv" Load "$n" "$size" "$each" $pids)" >> "$work/$side"
		done
	done
	if [ "$case" != async ]; then return; fi
	for n in 1 64; do
		echo "$case C,_${n}_connections,_1_KiB $("$remote" send "$listens" Load 8 "$n" $((256 / n + 4)) 1024 "$pipelined" |
			awk '{ print int($(NF - 1)) }') - -" >> "$work/$side"
	done
	rocketmq <<< "topic 127.0.0.1:$listens pulled 1"
	eventually 30 pulled_is_routed
	"$remote" send "$listens" pulled 1 1 256 1024 "$pipelined" > "$work/filled"
	# shellcheck disable=SC2086
	echo "$case pulled_by_Java,_1_KiB $(load pull "$namesrv" pulled 1 "$pipelined" $pids)" >> "$work/$side"
	for n in 1 16; do
		echo "$case pulled_by_C,_${n}_under_way,_1_KiB $("$remote" pull "$listens" pulled 0 "$pipelined" "$n" |
			awk '{ print int($(NF - 1)) }') - -" >> "$work/$side"
	done
}
pulled_is_routed() { mqadmin topicRoute -t pulled | grep -q perm; }

table() {
	echo '| case | load | RocketMQ 4.9.7 | mqfs | times | CPU s per million | MiB |'
	echo '|---|---|---|---|---|---|---|'
	paste -d ' ' "$work/java" "$work/mqfs" | awk '{
		load = $2; gsub("_", " ", load)
		printf "| %s | %s | %d /s | %d /s | %.1f | %s, %s | %s, %s |\n", $1, load, $3, $8, $8 / $3, $4, $9, $5, $10
	}'
}

for case in $cases; do
	begin_java "$case"
	measure java "$case"
	end_java_case "$case"
	begin_mqfs "$case"
	measure mqfs "$case"
	end_mqfs_case "$case"
	say "$case: done"
done
table >&9
