#!/bin/bash
# SIGKILL at any moment, again and again, under mixed work: what was acknowledged stays.
#
#	--cycles N       so many
#	--brokers WHICH  alone, pair (a master and its slave), both in turns
#	--generation N   cycles of one store: what is judged grows with it
. "$top_srcdir/tests/lab/kit.sh"
requires_fuse

lab_options "cycles=8 seed=$RANDOM brokers=both generation=4" "cycles=1000 generation=24" "$@"
say "$cycles cycles of $brokers, seed $seed"

# Small segments and files, so that rolls, new files and checkpoints meet the kill.
settings=mappedFileSizeCommitLog=1048576,mappedFileSizeConsumeQueue=20000,maxMessageSize=65536
settings+=,flushIntervalConsumeQueue=50,flushConsumerOffsetInterval=100,cleanFileForciblyEnable=false
ha=haSendHeartbeatInterval=300,haHousekeepingInterval=3000
kills=0 starts_killed=0 held=0 slowest_ms=0

# --- brokers ---

start_master() {
	local began ms options=$settings,haListen=none
	if is_pair; then options=$settings,$ha,haListen=127.0.0.1,listenPort=$port; fi
	began=$(date +%s%3N)
	start_mqfs "$work/store" "$mnt" -o "$options"
	ms=$(($(date +%s%3N) - began))
	if [ $ms -gt $slowest_ms ]; then slowest_ms=$ms; fi
}

start_slave() {
	start_mqfs "$work/slave-store" "$slave" -o "$settings,$ha,role=slave,master=127.0.0.1:$((port + 1)),haListen=none"
}

begin_generation() {
	choose_pair "$brokers" $(($1 / generation))
	port=$(free_port)
	start_master
	new_load "$mnt"
	if is_pair; then start_slave; fi
}

end_generation() {
	cut_from_the_log "$work/store" master
	stop_mqfs "$mnt"
	views_are_the_log "$work/store" --strict
	fsck_says_clean "$work/store"
	if is_pair; then
		stop_mqfs "$slave"
		fsck_says_clean "$work/slave-store"
	fi
	rm -rf "$work/store" "$work/slave-store"
}

# --- harm ---

kill_mqrepld() {
	local pid
	pid=$(timeout 5 cat "$1/status/mqrepld") || return 0
	if [ "$pid" != 0 ]; then kill -KILL "$pid" 2> /dev/null || true; fi
}

# A broker that is killed while it recovers.
kill_a_starting_broker() {
	setsid mount.mqfs -f "$work/store" "$mnt" -o "$settings,haListen=none" > /dev/null 2>&1 9>&- < /dev/null &
	local pid=$!
	sleep "$(up_to_ms 60)"
	kill -KILL "$pid" 2> /dev/null || true
	eventually 5 is_gone "$pid"
	wait "$pid" 2> /dev/null || true
	starts_killed=$((starts_killed + 1))
}

harm() {
	case $1 in
	master) kill_mqfs "$mnt" ;;
	slave) kill_mqfs "$slave" ;;
	both) kill_mqfs "$mnt"; kill_mqfs "$slave" ;;
	mqrepld) kill_mqrepld "$mnt"; kill_mqrepld "$slave" ;;
	esac
	kills=$((kills + 1))
}

# --- judgement ---

all_shown() { [ "$(written "$1")" = "$(dispatched "$1")" ]; }

# What a SYNC_MASTER has acknowledged, its slave has, whatever becomes of the master.
judge_held() {
	eventually 10 all_shown "$slave"
	judge "$slave" "$state" --held || fail "cycle $1: the slave of a SYNC_MASTER"
	held=$((held + 1))
}

# A SYNC_MASTER has its slave with it when the work begins.
choose_role() {
	role=ASYNC_MASTER
	if is_pair && ((RANDOM % 2)); then role=SYNC_MASTER; fi
	echo "$role" > "$mnt/config/brokerRole"
	if [ "$role" = SYNC_MASTER ]; then eventually 20 slave_is_usable; fi
}
slave_is_usable() { mkdir "$mnt/topics/probe" && rmdir "$mnt/topics/probe"; }

cycle() {
	local n=$1 role victim
	choose "$n"
	choose_victim master master slave both mqrepld
	choose_role
	start_load "$mnt" "$n" --errors ENOTCONN,ECONNABORTED,ETIMEDOUT --again EHOSTDOWN
	sleep "$(up_to_ms 1500)"
	harm "$victim"
	stop_load || fail "cycle $n, $victim: not only because of the kill"
	if [ "$role" = SYNC_MASTER ] && [ "$victim" = master ]; then judge_held "$n"; fi
	if ! running "$mnt" && ((RANDOM % 3 == 0)); then kill_a_starting_broker; fi
	if ! running "$mnt"; then start_master; fi
	if is_pair && ! running "$slave"; then start_slave; fi
	echo ASYNC_MASTER > "$mnt/config/brokerRole"
	judge_brokers "cycle $n, $role, $victim"
	want 1 "$(grep -cF " $mnt " /proc/self/mountinfo)" "mounts on top of each other"
}

for ((n = from; n < from + cycles; n++)); do
	if ((n == from || n % generation == 0)); then
		if running "$mnt"; then end_generation; fi
		begin_generation "$n"
	fi
	cycle "$n"
	forget_logs
done
end_generation
sum "$kills kills, $starts_killed more while starting; $lines lines judged," \
	"$held times by a SYNC_MASTER's slave; the slowest start took $slowest_ms ms"
