#!/bin/bash
# While messages are delivered that were to come later, the broker is killed, the power goes (on the disk of
# losing.c), the clock jumps: what was acknowledged comes, and nothing comes twice.
#
#	--cycles N       so many, on one store
. "$top_srcdir/tests/lab/kit.sh"
. "$top_srcdir/tests/power.sh"
requires_fuse
requires_root
requires_tool python3

lab_options "cycles=6 seed=$RANDOM" "cycles=300" "$@"
say "$cycles cycles, seed $seed"
${CC:-cc} -shared -fPIC -o "$work/clock.so" "$top_srcdir/tests/clock_shift.c"
head -c 8 /dev/zero > "$work/clock"
export MQFS_CLOCK_SHIFT=$work/clock
shift_clock() {
	python3 -c 'import struct, sys
with open(sys.argv[1], "r+b") as f:
    f.write(struct.pack("q", int(sys.argv[2])))' "$work/clock" "$1"
}
power_up() {
	MQFS_WRAP="env LD_PRELOAD=$work/clock.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 ${MQFS_WRAP:-}" \
		power_on losing -o "messageDelayLevel=1s 2s,haListen=none,flushIntervalCommitLog=$((50 + RANDOM % 1000))"
}
value() { cat "$mnt/status/$1"; }
nothing_waits() { [ "$(value delayed)" = 0 ]; }

kills=0 cuts=0 jumps=0
feed() { python3 "$lab/delay.py" feed "$mnt/topics/t" "$state" "$1" > "$work/feed.out" 2>&1 & feeder=$!; }
harm() {
	if ((RANDOM % 2)); then
		date +%s.%6N >> "$state/cuts"
		power_cut
		cuts=$((cuts + 1))
	else
		kill_mqfs "$mnt"
		leave_disk
		kills=$((kills + 1))
	fi
}
cycle() {
	choose "$1"
	power_up
	feed "$1"
	sleep "$(up_to_ms 1500)"
	if ((RANDOM % 2)); then		# to the true time, or half an hour or an hour ahead of it
		shift_clock $((RANDOM % 3 * 1800))
		jumps=$((jumps + 1))
		sleep "$(up_to_ms 1000)"
	fi
	harm
	wait_for "$feeder" || fail "cycle $1: $(cat "$work/feed.out")"
}

mkdir -p "$state"
for file in told maybe cuts; do : > "$state/$file"; done
power_up
mkdir "$mnt/topics/t"
sync "$mnt/topics/t/q0"
stop_mqfs "$mnt"
eventually 10 umount "$disk"
for ((n = from; n < from + cycles; n++)); do cycle "$n"; done

# In three hours all of it is due.
shift_clock 10800
power_up
eventually 60 nothing_waits
judged=$(python3 "$lab/delay.py" judge "$mnt/topics/t" "$state") || fail "$judged"
stop_mqfs "$mnt"
fsck_says_clean "$disk/store"
eventually 10 umount "$disk"
sum "$kills kills, $cuts power cuts, $jumps jumps of the clock: $judged"
