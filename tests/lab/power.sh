#!/bin/bash
# Power cuts at any moment, again and again, under mixed work: what was synced stays,
# of the rest only what the broker had not yet flushed is lost.
#
#	--cycles N       so many
#	--types T,T      file systems, in turns; losing (losing.c): pages and names go at random
#	--brokers WHICH  alone, pair (a master and its slave), both in turns
#	--victims V,V    of a pair: slave, master, both.  A master may lose an end that its
#	                 slave has, which the slave must be able to cut
#	--generation N   cycles of one disk: what is judged grows with it
. "$top_srcdir/tests/lab/kit.sh"
. "$top_srcdir/tests/power.sh"
requires_fuse
requires_loop

lab_options "cycles=5 seed=$RANDOM types=ext4,xfs brokers=both victims=slave,master,both generation=1" "cycles=200 generation=10" "$@"
say "$cycles cuts on $types, $brokers, seed $seed"
power_size=4G
settings=flushIntervalCommitLog=200,flushIntervalConsumeQueue=50,flushConsumerOffsetInterval=100
settings+=,mappedFileSizeConsumeQueue=20000
ha=haSendHeartbeatInterval=300,haHousekeepingInterval=3000
cuts=0

# --- brokers ---

on_slave() {
	local disk=$work/slave-disk mnt=$slave
	"$@"
}

start_master() {
	local options=$settings,haListen=none
	if is_pair; then options=$settings,$ha,haListen=127.0.0.1,listenPort=$port; fi
	power_on "$type" -o "$options,flushDiskType=$flush"
}
start_slave() { on_slave power_on "$type" -o "$settings,$ha,role=slave,master=127.0.0.1:$((port + 1)),haListen=none"; }

# Each generation another kind of pair or broker on another file system.
begin_generation() {
	local number=$(($1 / generation)) list
	IFS=, read -r -a list <<< "$types"
	type=${list[number % ${#list[@]}]}
	choose_pair "$brokers" $((number / ${#list[@]}))
	port=$(free_port)
	flush=ASYNC_FLUSH
	start_master
	new_load "$mnt"
	sync "$mnt/topics/load/q0"
	if is_pair; then start_slave; fi
}

end_broker() {
	cut_from_the_log "$disk/store" "$type, ${mnt##*/}"
	stop_mqfs "$mnt"
	views_are_the_log "$disk/store" --strict
	fsck_says_clean "$disk/store"
	umount "$disk"
	rm -r "$work/disk.${disk##*/}"
}

end_generation() {
	end_broker
	if is_pair; then on_slave end_broker; fi
}

# --- harm and judgement ---

# Both at once: their disks first.
harm() {
	if [ "$1" != slave ]; then cut_at=$(shutdown_disk); fi
	if [ "$1" != master ]; then on_slave shutdown_disk > /dev/null; fi
	if [ "$1" != slave ]; then kill_mqfs "$mnt"; fi
	if [ "$1" != master ]; then kill_mqfs "$slave"; fi
	cuts=$((cuts + 1))
}

cycle() {
	local n=$1 victim what cut_at='' synced=()
	choose "$n"
	# shellcheck disable=SC2086	# words are wanted
	choose_victim ${victims//,/ }
	what="cut $n, $type, $flush, $victim"
	if [ "$flush" = SYNC_FLUSH ]; then synced=(--synced); fi
	start_load "$mnt" "$n" --errors ENOTCONN,ECONNABORTED,EIO,EROFS "${synced[@]}"
	sleep "$(up_to_ms 3000)"
	harm "$victim"
	stop_load || fail "$what: not only because of the cut"
	if ! running "$mnt"; then
		leave_disk
		flush=ASYNC_FLUSH
		if ((RANDOM % 2)); then flush=SYNC_FLUSH; fi
		start_master
	fi
	if is_pair && ! running "$slave"; then
		on_slave leave_disk
		start_slave
	fi
	# shellcheck disable=SC2086	# two words, or none
	judge_brokers "$what" ${cut_at:+--cut $cut_at}
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
sum "$cuts power cuts; $lines lines judged"
