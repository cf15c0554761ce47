#!/bin/bash
# Power cuts on a disk that loses any page and any name that was not synced, at random (losing.c):
# what was synced stays, nothing is EIO for ever, and what had to be cut is in lost+found.
# A message or an offset is synced, then much is written that is not, and then the power goes.
#
#	--cycles N       so many, on one disk
#	--settings S     of the broker
. "$top_srcdir/tests/lab/kit.sh"
. "$top_srcdir/tests/power.sh"
requires_fuse
requires_root

lab_options "cycles=8 seed=$RANDOM settings=" "cycles=400" "$@"
say "$cycles cuts, seed $seed"
options=mappedFileSizeConsumeQueue=2000000,haListen=none${settings:+,$settings}
cuts=0 lines=0
q=$mnt/topics/t

power_up() {
	power_on losing -o "$options,flushIntervalCommitLog=$((50 + RANDOM % 2000)),flushIntervalConsumeQueue=$((50 + RANDOM % 3000))"
}
produce() { python3 "$top_srcdir/tests/producer.py" write "$q/$1" "$2" "$work/acked.$2" "${@:3}" 2>> "$work/said"; }
judge_producer() {
	python3 "$top_srcdir/tests/producer.py" check "$work/now.$1" "$2" "$work/acked.$2" "$3" > "$work/said" 2>&1 ||
		fail "$what: $(cat "$work/said")"
}

# What was there after the last cut is there, and what has been synced since.
judge_all() {
	local queue
	for queue in q0 q1 q2; do
		cat "$q/$queue" > "$work/now.$queue" || fail "$what: $queue cannot be read"
		cmp -n "$(stat -c %s "$work/kept.$queue")" "$work/kept.$queue" "$work/now.$queue" >&9 ||
			fail "$what: $queue is not what it was"
		cp "$work/now.$queue" "$work/kept.$queue"
	done
	judge_producer q0 "d$n" all
	judge_producer q1 "p$n" prefix
	want "$committed" "$(cat "$mnt/groups/g/t/q0.offset")" "$what: the committed offset"
	lines=$((lines + $(cat "$work"/kept.* | wc -l)))
}

cycle() {
	local what="cut $1" writer
	choose "$1"
	produce q0 "d$n" dsync $((1 + RANDOM % 50))
	committed=$((committed + 1))
	echo $committed > "$mnt/groups/g/t/q0.offset"
	sync "$mnt/groups/g/t/q0.offset"
	produce q1 "p$n" plain &
	writer=$!
	for ((i = 0; i <= RANDOM % 8; i++)); do seq_lines 1 $((RANDOM % 3000)) "n$n.$i" >> "$q/q2"; done
	sleep "$(up_to_ms 400)"
	power_cut
	cuts=$((cuts + 1))
	wait_for "$writer" || fail "$what: not only because of the cut"
	power_up
	judge_all
	echo "after cut $n" >> "$q/q2"
	want "after cut $n" "$(tail -n 1 "$q/q2")" "$what: an append after it"
	sync "$q/q2"
	cat "$q/q2" > "$work/kept.q2"
}

power_up
mkdir "$q" "$mnt/groups/g" "$mnt/groups/g/t"
sync "$q/q0"
committed=0
for queue in q0 q1 q2; do : > "$work/kept.$queue"; done
for ((n = from; n < from + cycles; n++)); do
	cycle "$n"
	forget_logs
done
pieces=$(cat "$mnt/status/lostfound_pieces")
stop_mqfs "$mnt"
views_are_the_log "$disk/store" --strict
fsck_says_clean "$disk/store"
sum "$cuts power cuts, $pieces pieces in lost+found; $lines lines judged"
