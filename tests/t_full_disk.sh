#!/bin/bash
# A full disk is ENOSPC before anything is half done; with space again, everything works again.
. "$top_builddir/tests/functions.sh"
requires_fuse
loop_disk ext4 96M "$work/disk"

broker() {
	start_mqfs "$work/disk/store" "$mnt" -o mappedFileSizeCommitLog=1048576,maxMessageSize=65536 \
		-o mappedFileSizeConsumeQueue=20000,flushIntervalConsumeQueue=100,diskMaxUsedSpaceRatio=95
}
judge() { python3 "$top_srcdir/tests/producer.py" check "$work/content" "$1" "$work/acked.$1" >&9; }

# Appends until the disk is full; exactly what was acknowledged is there.
fill() {
	local name=$1 how=$2 rc=0 acked
	python3 "$top_srcdir/tests/producer.py" write "$q" "$name" "$work/acked.$name" "$how" 2000000 \
		2> "$work/said" || rc=$?
	grep -q "${errno_text[ENOSPC]}" "$work/said" || fail "the producer ended with: $(cat "$work/said")"
	cat "$q" > "$work/content"
	judge "$name"
	acked=$(cat "$work/acked.$name")
	want "$acked" "$(grep -c "^$name " "$work/content")" "exactly what was acknowledged"
}

# Whatever is refused leaves nothing behind, and what needs no space goes on.
look_around() {
	local name size before
	for ((size = 60000; size > 100; size = size * 2 / 3)); do
		head -c "$size" /dev/zero | tr '\0' z >> "$mnt/topics/t/q1" 2> /dev/null || true
	done
	before=$(wc -c < "$mnt/topics/t/q1")
	fails_with ENOSPC bash -c "head -c 60000 /dev/zero | tr '\\0' z >> '$mnt/topics/t/q1:whole'"
	want "$before" "$(wc -c < "$mnt/topics/t/q1")" "nothing of what was refused"
	for name in full-{1..400}; do mkdir "$mnt/topics/$name" 2> /dev/null || break; done
	if [ -d "$mnt/topics/$name" ]; then fail "400 topics on a full disk"; fi
	fails_with ENOSPC mkdir "$mnt/topics/$name"
	want "$(ls "$mnt/topics")" "$(find "$mnt/topics" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort)" "topics"
	want "$(head -n 3 "$work/content")" "$(head -n 3 "$mnt/groups/g/t/q0")" "peeking"
	(for _ in 1 2 3; do IFS= read -r _; done) <> "$mnt/groups/g/t/q0"
	timeout 60 sync "$mnt/groups/g/t/q0.offset" 2> /dev/null || true
}

fallocate -l 20M "$work/disk/ballast"
broker
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
q=$mnt/topics/t/q0
fill p plain
look_around
want 2 "$(cat "$mnt/groups/g/t/q0.offset")" "the committed offset on a full disk"

# Space returns without a remount, and goes once more.
rm "$work/disk/ballast"
eventually 30 bash -c "echo 'space again' >> '$q' 2> /dev/null"
want 'space again' "$(tail -n 1 "$q")" "after space returned"
mkdir "$mnt/topics/again"
timeout 60 sync "$mnt/groups/g/t/q0.offset"
fallocate -l 18M "$work/disk/ballast"
fill d dsync

# Killed and mounted on the full disk: readable at once.
kill_mqfs "$mnt"
broker
cat "$q" > "$work/content"
judge p
judge d
want 2 "$(cat "$mnt/groups/g/t/q0.offset")" "the committed offset after a kill"
if [ ! -d "$mnt/topics/again" ]; then fail "a topic is gone"; fi
lines=$(wc -l < "$q")
stop_mqfs "$mnt"
python3 "$top_srcdir/tests/reader/mqstore.py" check --strict "$work/disk/store" >&9 2>&9
broker
want "$lines" "$(wc -l < "$q")" "after a remount"
