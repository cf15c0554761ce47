#!/bin/bash
# fsck.mqfs: a closed store is clean, a killed one is a note; one in use is refused, naming who has
# it; looking changes nothing.
. "$top_builddir/tests/functions.sh"
requires_fuse

# fsck STATUS ARGUMENT...   what it says is in $work/said
fsck() {
	local wanted=$1 status=0
	shift
	fsck.mqfs "$@" > "$work/said" 2>&1 || status=$?
	if [ $status != "$wanted" ]; then cat "$work/said" >&9; fi
	want "$wanted" $status "exit status of fsck.mqfs $*"
}
says() { grep -qE "$1" "$work/said" || { cat "$work/said" >&9; fail "it does not say: $1"; }; }

options=mappedFileSizeCommitLog=65536,maxMessageSize=32000,mappedFileSizeConsumeQueue=2000
start_mqfs "$work/store" "$mnt" -o "$options,maxHashSlotNum=100,maxIndexNum=400"
mkdir "$mnt/topics/t" "$mnt/topics/j" "$mnt/groups/g" "$mnt/groups/g/t"
seq_lines 1 1000 >> "$mnt/topics/t/q0"
for i in $(seq 300); do echo "{\"body\":\"$i\",\"tags\":\"T\",\"keys\":\"k$i all\"}"; done >> "$mnt/topics/j/q3:format=json"
echo 100 > "$mnt/groups/g/t/q0.offset"
echo 'trim q0 50' > "$mnt/topics/t/ctl"

fsck 8 "$work/store"
says "in use by process ${daemons[$mnt]} on "
stop_mqfs "$mnt"

fsck 0 -n "$work/store"
says ': [0-9]+ records, log from 0 to [0-9]+: clean$'
want 1 "$(wc -l < "$work/said")" "lines for a clean store"
fsck 0 -y "$work/store"

# looking writes nothing, and needs no right to
tree() { (cd "$1" && find . -type f ! -name lock.mdb -printf '%p %s %T@\n' | sort && find . -type f -exec cksum {} + | sort); }
cp -a "$work/store" "$work/copy"
echo junk >> "$work/copy/checkpoint"
tree "$work/copy" > "$work/before"
fsck 4 -n "$work/copy"
fsck 4 "$work/copy"
tree "$work/copy" > "$work/after"
want_same "$work/before" "$work/after" "the store that was looked at"

# progress, for people and for programs
fsck 0 -C "$work/store"
says '100 %'
fsck.mqfs -C5 "$work/store" 5> "$work/progress" > /dev/null
grep -q "^1 100 100 $work/store\$" "$work/progress" || fail "no lines of progress"

# killed: the next mount does what is left, and it is clean
start_mqfs "$work/store" "$mnt" -o "$options,maxHashSlotNum=100,maxIndexNum=400"
seq_lines 1001 3000 >> "$mnt/topics/t/q0"
kill_mqfs "$mnt"
umount -l "$mnt" 2> /dev/null || fusermount3 -uz "$mnt"
fsck 0 -n "$work/store"
says '^note: abort: the last exit was not clean'
start_mqfs "$work/store" "$mnt" -o "$options,maxHashSlotNum=100,maxIndexNum=400"
stop_mqfs "$mnt"
fsck 0 "$work/store"
want 1 "$(wc -l < "$work/said")" "lines after the mount"

# no store, wrong usage; nothing is made
fsck 8 -y "$work/none"
[ ! -e "$work/none" ] || fail "a store was made"
says 'none: No such file or directory$'
fsck 8 "$work"
says 'is no store: it has no commitlog'
fsck 16
fsck 16 -n -y "$work/store"
fsck 16 -Z "$work/store"
fsck 16 -o nonsense=1 "$work/store"
fsck 16 "$work/store" "$work/copy"
