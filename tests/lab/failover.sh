#!/bin/bash
# Failover torture: three brokers on hosts and disks of their own, under mixed work on the master
# and a consumer on a slave; one machine at a time is lost, cut off, stopped or changes sides.
#
#	--cycles N       so many
#	--roles R,R      of the master, by dice
#	--harms H,H      by dice; see harm()
#	--generation N   cycles of one cluster: what is judged grows with it
#	--supervise X    yes, no, or dice, for each cluster
. "$top_srcdir/tests/lab/kit.sh"
. "$top_srcdir/tests/power.sh"
. "$top_srcdir/tests/network.sh"
requires_fuse
requires_net
requires_loop

all_harms=heir,kill,power,cut,freeze,switch,restart,slave_kill,slave_power,slave_cut,slave_stop,stop,mqrepld
lab_options "cycles=4 seed=$RANDOM roles=SYNC_MASTER,ASYNC_MASTER harms=$all_harms generation=5 supervise=dice" \
	"cycles=1000 generation=20" "$@"
say "$cycles cycles of $roles, seed $seed"

hosts=(a b c)
net_open "${hosts[@]}"
# Small segments and files, so that every boundary is met.
settings=mappedFileSizeCommitLog=262144,mappedFileSizeConsumeQueue=20000,maxMessageSize=65536
settings+=,flushIntervalCommitLog=100,flushIntervalConsumeQueue=50,flushConsumerOffsetInterval=100
settings+=,haSendHeartbeatInterval=200,haHousekeepingInterval=1500,slaveTimeout=1000,inSyncReplicas=2
settings+=,cleanFileForciblyEnable=false
failovers=0 harmed='' supervised=no

# --- brokers ---

mnt_of() { echo "$work/$1"; }
address() { echo "$(net_address "$1"):10912"; }
status() { timeout 5 cat "$work/$1/status/$2"; }

# on_disk HOST COMMAND...   of power.sh and kit.sh, which know one disk
on_disk() {
	local disk=$work/disk-$1 mnt=$work/$1
	shift
	"$@"
}

turn_disk_on() {
	local image=$work/disk.disk-$1
	if [ -e "$image" ]; then mount -o loop "$image" "$work/disk-$1"; else loop_disk ext4 1G "$work/disk-$1"; fi
}

start() {		# HOST ROLE
	local options
	options=$settings,brokerRole=$2,haListen=$(net_address "$1")
	if [ "$2" = SLAVE ]; then options+=,master=$(address "$master"); fi
	if [ "$supervised" = yes ]; then options+=,supervise; fi
	on_host "$1" start_mqfs "$work/disk-$1/store" "$work/$1" -o "$options"
}

follows() { [ "$(status "$1" replication/master/state)" = transfer ]; }
same_end() { [ "$(status "$master" written)" = "$(status "$1" dispatched)" ]; }
# What was committed on a slave has come to the master, and back.
same_commits() { [ "$(offset "$1")" = "$(offset "$master")" ]; }
offset() { timeout 5 cat "$work/$1/groups/readers/load/q3.offset"; }
is_usable() { mkdir "$work/$master/topics/probe" && rmdir "$work/$master/topics/probe"; }

slaves() {
	local host
	for host in "${hosts[@]}"; do [ "$host" = "$master" ] || echo "$host"; done
}

# a_slave N   of the two, 0 or 1
a_slave() {
	local list
	mapfile -t list < <(slaves)
	echo "${list[$1]}"
}

begin_generation() {
	local host
	supervised=$supervise
	if [ "$supervise" = dice ]; then supervised=$([ $((RANDOM % 2)) = 0 ] && echo yes || echo no); fi
	master=a
	for host in "${hosts[@]}"; do
		rm -f "$work/disk.disk-$host"
		mkdir -p "$work/$host" "$work/disk-$host"
		turn_disk_on "$host"
		start "$host" "$([ "$host" = a ] && echo ASYNC_MASTER || echo SLAVE)"
	done
	new_load "$work/$master"
}

end_generation() {
	local host
	for host in "${hosts[@]}"; do
		stop_mqfs "$work/$host"
		views_are_the_log "$work/disk-$host/store"
		fsck_says_clean "$work/disk-$host/store"
		eventually 10 umount "$work/disk-$host"
	done
}

# --- sides ---

# tell HOST KEY VALUE   each call that can say how it went is listened to
tell() {
	timeout "$patience" python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, sys.argv[2].encode() + b"\n")
os.close(fd)' "$work/$1/config/$2" "$3" || fail "$what: config/$2 of $1 = $3"
}

# The one of two slaves whose log is longer: by its epoch, then by its end.
choose_heir() {
	local host best='' at most=-1
	for host in $(slaves); do
		at=$(($(status "$host" epoch) * 1000000000000 + $(status "$host" written)))
		if [ $at -gt $most ]; then best=$host most=$at; fi
	done
	heir=$best
}

fail_over() {
	local host old=$master
	choose_heir
	tell "$heir" brokerRole "$role"
	master=$heir
	for host in $(slaves); do
		[ "$host" = "$old" ] || tell "$host" master "$(address "$master")"
	done
	failovers=$((failovers + 1))
}

# A master that still runs gives way.
step_down() {
	tell "$1" master "$(address "$master")"
	tell "$1" brokerRole SLAVE
}

# --- harm, and what repairs it ---

pid_of() { broker_of "$work/disk-$1/store"; }

lose() {		# HOST kill|power
	local broker daemon=${daemons[$work/$1]}
	broker=$(pid_of "$1")
	if [ "$2" = power ]; then on_disk "$1" shutdown_disk > /dev/null; fi
	kill -KILL "$daemon" "$broker"		# both at once: no heir begins
	eventually 5 is_gone "$daemon"
	unset "daemons[$work/$1]"
	wait "$daemon" 2> /dev/null || true
}

bring_back() {		# HOST kill|power ROLE
	umount -l "$work/$1"
	if [ "$2" = power ]; then
		eventually 10 umount "$work/disk-$1"
		turn_disk_on "$1"
	fi
	start "$1" "$3"
}

pause() { sleep "$(up_to_ms "$1")"; }

stop_for_a_while() {	# PID
	kill -STOP "$1"
	pause 3000
	kill -CONT "$1"
}

mqrepld_of() { status "$1" mqrepld; }

# All of it: the work is over when it returns, and all three run.
harm() {
	local old=$master one
	one=$(a_slave $((RANDOM % 2)))
	case $1 in
	heir)		# nobody who has a file open notices
		if ((RANDOM % 2)); then one=$old; fi
		kill_broker "$work/disk-$one/store" "$work/$one"
		pause 1000 ;;
	kill | power)
		lose "$old" "$1"
		fail_over
		stop_load || fail "$what: the work"
		bring_back "$old" "$1" SLAVE ;;
	cut)		# both go on, each of them as a master
		net_cut "$old"
		pause 3000
		fail_over
		pause 1000
		stop_load || fail "$what: the work"
		net_heal
		step_down "$old" ;;
	freeze)		# when it goes on, another one is the master
		kill -STOP "$(pid_of "$old")"
		pause 3000
		fail_over
		kill -CONT "$(pid_of "$old")"
		pause 1000
		stop_load || fail "$what: the work"
		step_down "$old" ;;
	switch)
		tell "$old" brokerRole SLAVE
		stop_load || fail "$what: the work"
		for heir in $(slaves); do eventually 20 same_end "$heir"; done
		fail_over
		step_down "$old" ;;
	restart)
		lose "$old" kill
		stop_load || fail "$what: the work"
		bring_back "$old" kill "$role" ;;
	slave_kill | slave_power)
		lose "$one" "${1#slave_}"
		pause 1000
		bring_back "$one" "${1#slave_}" SLAVE
		pause 1000 ;;
	slave_cut) net_cut "$one"; pause 3000; net_heal; pause 1000 ;;
	slave_stop) stop_for_a_while "$(pid_of "$one")"; pause 1000 ;;
	stop) stop_for_a_while "$(pid_of "$old")"; pause 1000 ;;
	mqrepld)
		one=$(mqrepld_of "$([ $((RANDOM % 2)) = 0 ] && echo "$old" || echo "$one")")
		if ((RANDOM % 2)); then stop_for_a_while "$one"; else kill -KILL "$one"; fi
		pause 1000 ;;
	esac
	if [ -n "${worker:-}" ]; then stop_load || fail "$what: the work"; fi
	worker=''
}

# --- one cycle ---

pick() {		# WORD,WORD...
	local words
	IFS=, read -r -a words <<< "$1"
	echo "${words[RANDOM % ${#words[@]}]}"
}

judge_all() {		# OPTION...   of the judge of the master
	local host got
	for host in $(slaves); do
		eventually 30 follows "$host"
		eventually 30 same_end "$host"
		eventually 30 same_commits "$host"
	done
	got=$(judge "$work/$master" "$state" "$@") || fail "$what: master $master"
	lines=$((lines + got))
	for host in $(slaves); do
		eventually 30 same_end "$host"
		judge "$work/$host" "$state" --slave "$work/$master" || fail "$what: slave $host"
	done
}

cycle() {
	local what lost=() old=$master workers=abcdefghklmprw repeat=ETIMEDOUT
	choose "$1"
	role=$(pick "$roles")
	harm=$(pick "$harms")
	if [ "$harm,$supervised" = heir,no ]; then harm=restart; fi
	# Small files do not go on under an heir: who trims or makes would not know what was done.
	if [ "$harm" = heir ]; then workers=${workers//[hm]/} repeat=ETIMEDOUT,ESTALE; fi
	what="cycle $1, $role, $harm"
	tell "$master" brokerRole "$role"
	eventually 20 is_usable
	start_load "$work/$master" "$1" --slave "$work/$(a_slave 0)" --workers "$workers" --repeat "$repeat" \
		--again EHOSTDOWN --errors ENOTCONN,ECONNABORTED,ETIMEDOUT,EIO,EROFS,EHOSTDOWN
	pause 1500
	harm "$harm"
	tell "$master" brokerRole ASYNC_MASTER
	# An asynchronous master that is lost takes with it what no slave had; what a disk lost is nowhere.
	if [ "$role" = ASYNC_MASTER ]; then
		case $harm in
		kill | cut | freeze) lost=(--lost "$work/$old") ;;
		power) lost=(--lost) ;;
		esac
	fi
	judge_all "${lost[@]}"
	harmed+=" $harm"
}

for ((n = from; n < from + cycles; n++)); do
	if ((n == from || n % generation == 0)); then
		if [ -n "${daemons[$work/a]:-}" ]; then end_generation; fi
		choose "$n"
		begin_generation
	fi
	cycle "$n"
	forget_logs
done
end_generation
sum "$cycles cycles:$(tr ' ' '\n' <<< "$harmed" | sort | uniq -c | awk 'NF > 1 { printf " %s %s", $1, $2 }');" \
	"$failovers failovers; $lines lines judged"
