#!/bin/bash
# Each system call on a store's files fails once, one broker after the other: nothing that was
# acknowledged is lost, no broker crashes, each error is told, and after a remount all is well.
#
#	--hows E,E...    ways to fail: EIO, ENOSPC, short (a write of half the bytes)
#	--step K         every K-th call
#	--cycles N       at most so many calls of each way, 0: all there are
#	--from N         from the N-th call on
. "$top_srcdir/tests/lab/kit.sh"
requires_fuse

lab_options "cycles=0 seed=1 step=100 hows=EIO,ENOSPC,short" "step=1" "$@"
choose 0
failing=$top_builddir/tests/lab/failing.so
[ -e "$failing" ] || skip "tests/lab/failing.so was not built"
settings=mappedFileSizeCommitLog=131072,mappedFileSizeConsumeQueue=2000,maxMessageSize=65536
settings+=,maxHashSlotNum=100,maxIndexNum=400,haListen=none
settings+=,flushIntervalCommitLog=20,flushIntervalConsumeQueue=20,flushConsumerOffsetInterval=20
store=$work/store
runs=0 unmountable=0 untold=0 broker=''
undo end_failing

# A store as a killed broker leaves it, and what a mount of it shows.
make_base() {
	start_mqfs "$work/base" "$mnt" -o "$settings"
	new_load "$mnt"
	mkdir "$mnt/.snapshots/kept"
	start_load "$mnt" base --errors ENOTCONN,ECONNABORTED
	sleep 0.1
	kill_mqfs "$mnt"
	stop_load || fail "the load of the base"
	cp -a "$work/base" "$store"
	judge_after "the base"
	mv "$state" "$work/base.state"
}

# start_failing HOW N   a broker whose N-th call fails; 1: it does not start
start_failing() {
	: > "$work/told"
	: > "$work/broker.log"
	setsid env LD_PRELOAD="$failing" FAILING_STORE="$store" FAILING_HOW="$1" FAILING_AT="$2" \
		FAILING_TOLD="$work/told" ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}" \
		mount.mqfs -f "$store" "$mnt" -o "$settings" > "$work/broker.log" 2>&1 9>&- < /dev/null &
	broker=$!
	eventually "$patience" is_up_or_dead "$broker" "$mnt"
	! is_gone "$broker"
}

end_failing() {
	if [ -z "$broker" ]; then return 0; fi
	say "the broker is still there"
	umount -l "$mnt"
	kill -KILL "$broker"
	return 1
}

# However it ends, it is by its own will.
reap_failing() {
	local rc=0
	eventually "$patience" is_gone "$broker"
	wait "$broker" || rc=$?
	broker=''
	[ $rc -lt 124 ] || fail "$1: the broker ended with status $rc"
	if grep -qE 'Sanitizer|runtime error|must hold' "$work/broker.log"; then fail "$1: see its log"; fi
	return 0
}

# Somebody was told of the error: a worker, or who reads the log.  A read is asked twice, a directory
# may be there already, a checkpoint for RocketMQ or a sum may be missing; but what is to be kept may not.
kept_by='^(p?writev?|f(data)?sync|syncfs|ftruncate|fallocate|renameat|linkat) /(commitlog|lmdb|consumequeue|byteindex|index)/'
was_told() {
	grep -qE '^(ended by|refused) ' "$work/load.out" && return 0
	grep -qiE 'input/output error|no space left|failed|cannot' "$work/broker.log" && return 0
	if grep -qE "$kept_by" "$work/told"; then fail "nobody was told of $1: $(head -n 1 "$work/told")"; fi
	untold=$((untold + 1))
	sed -E "/^calls/d; s/[0-9]+/N/g; s/^/nobody was told of $1: /" "$work/told" >> "$work/untold"
}

judge_after() {
	local what=$1
	start_mqfs "$store" "$mnt" -o "$settings"
	judge "$mnt" "$state" > /dev/null || { tail -n 20 "$work/broker.log" "$work/load.out" >&9; fail "$what"; }
	stop_mqfs "$mnt"
	fsck_says_clean "$store"
}

# one HOW N   and then all must be as if nothing had been
one() {
	local what
	rm -rf "$store" "$state"
	cp -a "$work/base" "$store"
	cp -a "$work/base.state" "$state"
	: > "$work/load.out"
	if start_failing "$1" "$2"; then
		start_load "$mnt" "$2" --errors EIO,ENOSPC --steps 5
		wait_for "$worker" || { cat "$work/load.out" "$work/told" >&9; fail "$1 $2: the load"; }
		eventually 10 unmount "$mnt"
	else
		unmountable=$((unmountable + 1))
	fi
	what="$1 of call $2: $(head -n 1 "$work/told")"
	reap_failing "$what"
	if grep -q '^[a-z]* /' "$work/told"; then
		runs=$((runs + 1))
		if [ "$1" != short ]; then was_told "$1"; fi
	elif [ "$2" != 0 ]; then
		return 0	# there were not so many calls this time
	fi
	judge_after "$what"
	forget_logs
}

sweep() {
	local how=$1 n count
	one "$how" 0
	count=$(sed -n 's/^calls //p' "$work/told")
	[ "${count:-0}" -gt 0 ] || fail "$how: no calls are seen"
	say "$how: $count calls"
	for ((n = from; n <= count && (cycles == 0 || n < from + cycles * step); n += step)); do
		one "$how" "$n"
	done
}

make_base
: > "$work/untold"
for how in ${hows//,/ }; do sweep "$how"; done
sort "$work/untold" | uniq -c >&9
sum "$runs failed calls, of which $unmountable kept the store from being mounted; $untold were told to nobody"
