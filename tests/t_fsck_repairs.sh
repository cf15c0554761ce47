#!/bin/bash
# fsck.mqfs -y: then a mount works, and shows everything but what the log has lost.
. "$top_builddir/tests/functions.sh"
requires_fuse

options=mappedFileSizeCommitLog=65536,maxMessageSize=32000,mappedFileSizeConsumeQueue=2000
options=$options,maxHashSlotNum=100,maxIndexNum=400
start_mqfs "$work/store" "$mnt" -o "$options"
mkdir "$mnt/topics/t" "$mnt/topics/j" "$mnt/topics/gone" "$mnt/groups/g" "$mnt/groups/g/t"
rmdir "$mnt/topics/gone"
seq_lines 1 1500 >> "$mnt/topics/t/q0"
for i in $(seq 300); do
	echo "{\"body\":\"number $i\",\"tags\":\"T\",\"keys\":\"k$i all\"}"
done >> "$mnt/topics/j/q3:format=json"
echo 100 > "$mnt/groups/g/t/q0.offset"
chmod 600 "$mnt/topics/j/q3"

# what a user sees of the store that is mounted
shown() {
	(cd "$mnt" && ls topics groups groups/g && stat -c '%n %a %s %i' topics/j/q3 topics/t/q0 &&
		cat groups/g/t/q0.offset topics/t/q0 'topics/j/q3:format=json')
}
shown > "$work/wanted"
stop_mqfs "$mnt"
bad=$work/bad

# repaired STATUS   -y ends with that, and the store can be mounted
repaired() {
	local status=0
	fsck.mqfs -y "$bad" > "$work/said" 2>&1 || status=$?
	if [ $status != "$1" ]; then cat "$work/said" >&9; fi
	want "$1" $status "exit status of -y, $damage"
	start_mqfs "$bad" "$mnt" -o "$options"
}

# views: whatever happens to them, all comes again from the log
for damage in 'rm -r lmdb' 'rm -r consumequeue byteindex index' 'rm -r byteindex/t' 'rm -r index' \
	'truncate -s 1000 consumequeue/t/0/00000000000000004000' 'truncate -s 5000 lmdb/data.mdb' \
	'shred -n 1 lmdb/data.mdb' 'shred -n 1 index/*' 'shred -n 1 byteindex/*/*/*' \
	'cp consumequeue/t/0/00000000000000022000 consumequeue/t/0/00000000000000024000'; do	# other messages, as long
	rm -rf "$bad" && cp -a "$work/store" "$bad"
	(cd "$bad" && eval "$damage")
	repaired 1
	shown > "$work/got"
	want_same "$work/wanted" "$work/got" "the tree after: $damage"
	stop_mqfs "$mnt"
	fsck.mqfs -n "$bad" > "$work/said" || fail "not clean after: $damage"
done

# a torn end is cut and kept
damage='a torn end'
rm -rf "$bad" && cp -a "$work/store" "$bad"
end=$(sed -nE 's/.* log from 0 to ([0-9]+): clean/\1/p' "$work/said")
last=$bad/commitlog/$(printf %020d $((end / 65536 * 65536)))
echo torn | dd of="$last" bs=1 seek=$((end % 65536)) conv=notrunc status=none
repaired 1
shown > "$work/got"
want_same "$work/wanted" "$work/got" "the tree after a torn end"
want torn "$(cat "$bad/lost+found/commitlog-$(printf %020d "$end")")" "what was cut"
stop_mqfs "$mnt"

# one message of the log, and it is said which: the rest can be read
damage='a damaged message'
rm -rf "$bad" && cp -a "$work/store" "$bad"
at=$(mqdump -t t "$bad" | sed -n 's,^\([0-9]*\) .* t/q0@700 .*,\1,p')
segment=$bad/commitlog/$(printf %020d $((at / 65536 * 65536)))
printf X | dd of="$segment" bs=1 seek=$((at % 65536 + 90)) conv=notrunc status=none
cksum < "$segment" > "$work/sum"
status=0
fsck.mqfs -y "$bad" > "$work/said" || status=$?
want 4 $status "exit status of -y, $damage"
grep -q "^log at $at: .*t/q0@700" "$work/said" || fail "the damaged record is not told"
grep -q "^t/q0: message 700 is lost, it was at $at of the log\$" "$work/said" || fail "the lost message is not told"
want "$(cat "$work/sum")" "$(cksum < "$segment")" "the segment"
rm -r "$bad/lmdb"		# and now the views go, too
repaired 5
want "$(seq_lines 1 700)" "$(cat "$mnt/topics/t/q0@0..700")" "messages before the lost one"
want "$(seq_lines 702 1500)" "$(cat "$mnt/topics/t/q0@701..1500")" "messages behind it"
stop_mqfs "$mnt"

# a segment that is gone, and one that was cut
damage='segments'
rm -rf "$bad" && cp -a "$work/store" "$bad"
truncate -s 30000 "$bad/commitlog/00000000000000000000"
rm "$bad/commitlog/00000000000000065536"
repaired 5
grep -q '^log at 30000: 101072 bytes are missing' "$work/said" || fail "the missing segment is not told"
want "$(seq_lines 1 200)" "$(cat "$mnt/topics/t/q0@0..200")" "messages before"
want "$(seq_lines 1401 1500)" "$(cat "$mnt/topics/t/q0@1400..1500")" "messages behind"
stop_mqfs "$mnt"

# the last segment was cut behind the last record: nothing is lost, but no mount takes it
damage='a short last segment'
rm -rf "$bad" && cp -a "$work/store" "$bad"
last=$(find "$bad/commitlog" -type f | sort | tail -n 1)
truncate -s 65000 "$last"
repaired 1
grep -q ': 65000 bytes long, not 65536$' "$work/said" || fail "the short segment is not told"
shown > "$work/got"
want_same "$work/wanted" "$work/got" "the tree after: $damage"
stop_mqfs "$mnt"
