#!/bin/bash
# Snapshots taken one after another while topics come and go, queues are trimmed, segments removed and offsets
# committed: a copy of each is whole, and has what was acknowledged before its mkdir.
. "$top_builddir/tests/functions.sh"
requires_fuse

rounds=${MQFS_ROUNDS:-4}
hours=$(seq -s ';' -w 0 23)
opts=mappedFileSizeCommitLog=524288,maxMessageSize=65536,flushIntervalConsumeQueue=20,deleteWhen=$hours
opts+=,fileReservedTime=1,cleanResourceInterval=50,deleteCommitLogFilesInterval=0
opts+=,diskSpaceWarningLevelRatio=100,diskSpaceCleanForciblyRatio=100
start_mqfs "$work/store" "$mnt" -o "$opts"
mkdir "$mnt/topics/t" "$mnt/topics/trimmed" "$mnt/groups/g" "$mnt/groups/g/t"
seq_lines 1 100 >> "$mnt/topics/trimmed/q0"
touch "$work/goes-on"
goes_on() { [ -e "$work/goes-on" ]; }

# Each of them writes down, when a call has returned, what a snapshot from then on must have.
note() { echo "$2" > "$work/$1.new" && mv "$work/$1.new" "$work/$1"; }

producers=()
for p in a b; do
	python3 "$top_srcdir/tests/producer.py" write "$mnt/topics/t/q0" $p "$work/acked.$p" 2>&9 &
	producers+=($!)
done

make_topics() {
	local i
	for ((i = 1; ; i++)); do
		goes_on || break
		mkdir "$mnt/topics/n$i"
		echo "of n$i" >> "$mnt/topics/n$i/q0"
		note made "$i"
		if ((i > 3)); then
			echo purge > "$mnt/topics/n$((i - 3))/ctl"
			rmdir "$mnt/topics/n$((i - 3))"
			note removed "$((i - 3))"
		fi
	done
}

commit() {
	local i
	for ((i = 1; ; i++)); do
		goes_on || break
		echo "more" >> "$mnt/topics/t/q1"	# so that the offset is within the queue
		echo "$i" > "$mnt/groups/g/t/q1.offset"
		note committed "$i"
	done
}

trim() {
	local i
	for ((i = 1; ; i++)); do
		goes_on || break
		echo "more" >> "$mnt/topics/trimmed/q0"
		echo "trim q0 $i" > "$mnt/topics/trimmed/ctl"
		note trimmed "$i"
	done
}

# Segments but the newest ones are past their time at once.
expire() {
	while goes_on; do
		find "$work/store/commitlog" -name '0*' | sort | head -n -3 | xargs -r touch -c -d '2 hours ago'
		sleep 0.05
	done
}

jobs=()
for job in make_topics commit trim expire; do
	$job &
	jobs+=($!)
done
for file in acked.a acked.b made removed committed trimmed; do eventually 20 test -s "$work/$file"; done

has_removed() { [ "$(cat "$mnt/status/removed_segments")" -gt 0 ]; }
eventually 60 has_removed

# noted FILE   what is written there
noted() { cat "$work/$1"; }
state() { echo "$(noted made) $(noted removed) $(noted committed) $(noted trimmed)"; }
for ((i = 1; i <= rounds; i++)); do
	for p in a b; do cp "$work/acked.$p" "$work/before.$i.$p"; done
	state > "$work/before.$i"
	mkdir "$mnt/.snapshots/s$i"
	state > "$work/after.$i"
	mkdir "$mnt/.snapshots/dropped"
	rmdir "$mnt/.snapshots/dropped"
	cp -a "$mnt/.snapshots/s$i" "$work/copy$i"
	(cd "$work/copy$i" && sha256sum --quiet -c MANIFEST) || fail "s$i: MANIFEST"
done
rm "$work/goes-on"
wait_for "${jobs[@]}"
kill "${producers[@]}"
stop_mqfs "$mnt"

# has_it I HOW   the copy of snapshot I, as it is mounted, holds what was noted
has_it() {
	local made removed committed trimmed made2 removed2 committed2 at min n p
	read -r made removed committed trimmed < "$work/before.$1"
	read -r made2 removed2 committed2 _ < "$work/after.$1"
	for ((n = removed2 + 2; n <= made; n++)); do
		want 1 "$(xattr max_offset "$mnt/topics/n$n/q0")" "s$1, $2: messages of topic n$n"
	done
	for ((n = 1; n <= removed; n++)); do
		if [ -e "$mnt/topics/n$n" ]; then fail "s$1, $2: n$n was removed"; fi
	done
	if [ -e "$mnt/topics/n$((made2 + 2))" ]; then fail "s$1, $2: n$((made2 + 2)) came later"; fi
	at=$(cat "$mnt/groups/g/t/q1.offset")
	if [ "$at" -lt "$committed" ] || [ "$at" -gt $((committed2 + 1)) ]; then
		fail "s$1, $2: offset $at is not in $committed..$((committed2 + 1))"
	fi
	min=$(xattr min_offset "$mnt/topics/trimmed/q0")
	if [ "$min" -lt "$trimmed" ]; then fail "s$1, $2: it begins at $min, and was trimmed to $trimmed"; fi
	for p in a b; do
		n=$(awk -v p=$p '$1 == p { if (n && $2 != n + 1) { print "a gap at " $2; exit } n = $2 } END { print n + 0 }' \
			"$mnt/topics/t/q0")
		[ "$n" -ge "$(cat "$work/before.$1.$p")" ] || fail "s$1, $2: $p ends at $n"
	done
}

for ((i = 1; i <= rounds; i++)); do
	fsck.mqfs "$work/copy$i" > "$work/said" 2>&1 || fail "s$i: fsck: $(cat "$work/said")"
	start_mqfs "$work/copy$i" "$mnt" -o ro
	has_it "$i" "read-only"
	stop_mqfs "$mnt"
	start_mqfs "$work/copy$i" "$mnt"
	has_it "$i" restored
	stop_mqfs "$mnt"
	fsck.mqfs "$work/copy$i" > "$work/said" 2>&1 || fail "s$i, restored: fsck: $(cat "$work/said")"
	rm -r "$work/copy$i"
done
