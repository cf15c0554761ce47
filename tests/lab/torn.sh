#!/bin/bash
# SIGKILL of mqremoted, the mount, producers and consumers over the network, at any moment: each
# message that was answered with SEND_OK is consumed at least once, and nothing that nobody sent.
#
#	--cycles N       so many
. "$top_srcdir/tests/lab/kit.sh"
requires_fuse
requires_tool python3

lab_options "cycles=10 seed=$RANDOM" "cycles=2000" "$@"
say "$cycles cycles, seed $seed"
mkdir "$state"
port=$(free_port)
settings=mappedFileSizeCommitLog=1048576,maxMessageSize=65536,flushConsumerOffsetInterval=100,cleanFileForciblyEnable=false
declare -A client=()

begin() { start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un),$settings"; }

# run NAME COMMAND [QUEUE...]
run() {
	python3 "$lab/torn.py" "$2" "$port" "$1" "$state" "${@:3}" > "$work/$1.out" 2>&1 &
	client[$1]=$!
}
start_client() {
	# shellcheck disable=SC2086	# words are wanted
	case $1 in
	a | b) run "$1" consume ${queues[$1]} ;;
	*) run "$1" produce ;;
	esac
}
kill_client() {
	kill -KILL "${client[$1]}"
	wait "${client[$1]}" 2> /dev/null || true
}
kill_mqremoted() {
	local pid
	pid=$(timeout 5 cat "$mnt/status/mqremoted") || return 0
	if [ "$pid" != 0 ]; then kill -KILL "$pid" 2> /dev/null || true; fi
}

harm() {
	case $1 in
	mqremoted) kill_mqremoted ;;
	mount) kill_mqfs "$mnt"; begin ;;
	both) kill_mqremoted; kill_mqfs "$mnt"; begin ;;
	producer) kill_client "$producer"; producer=p$cycle; start_client "$producer" ;;
	a | b) kill_client "$1"; start_client "$1" ;;
	esac
}

begin
mkdir "$mnt/topics/torn"
declare -A queues=([a]="0 1" [b]="2 3")
producer=p0
for name in a b "$producer"; do start_client "$name"; done
victims=(mqremoted mount both producer a b)
for ((cycle = from; cycle < from + cycles; cycle++)); do
	choose "$cycle"
	sleep "$(up_to_ms 700)"
	harm "${victims[RANDOM % ${#victims[@]}]}"
done
stored() { cat "$state/"*.stored | wc -l; }
some_more() { [ "$(stored)" -gt "$1" ]; }
eventually 60 some_more "$(stored)"
kill -TERM "${client[$producer]}"
wait_for "${client[$producer]}"

all_well() { [ -z "$(python3 "$lab/torn.py" judge "$state")" ]; }
if ! within "$patience" all_well; then
	cat "$work/"*.out >&9
	fail "$(python3 "$lab/torn.py" judge "$state")"
fi
for name in a b; do kill_client "$name"; done
stop_mqfs "$mnt"
fsck.mqfs -n "$work/store" > "$work/fsck" || { cat "$work/fsck" >&9; fail "fsck.mqfs"; }
sum "$(stored) messages stored, $(cat "$state/"*.given | wc -l) given, in $cycles cycles"
