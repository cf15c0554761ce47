#!/bin/bash
# What the disk has lost and memory still has is written again; the scrub reads the disk, not memory.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool filefrag

loop_disk ext4 64M "$work/disk"
store=$work/disk/store
start_mqfs "$store" "$mnt" -o mappedFileSizeCommitLog=65536,maxMessageSize=32000
mkdir "$mnt/topics/t"
seq_lines 1 3000 >> "$mnt/topics/t/q0"
sync "$mnt/topics/t/q0"
sync -f "$work/disk"

status() { cat "$mnt/status/$1"; }
summed() { [ "$(find "$store/sums" -name '0*' | wc -l)" = $(($(status written) / 65536)) ]; }
eventually 20 summed
segment=$store/commitlog/00000000000000065536
cp "$segment" "$work/good"

# Its blocks, below the file system: memory knows nothing of what happens to them.
filefrag -v -b512 "$segment" > "$work/extents"
block=$(awk '$1 == "0:" { sub(/\.\..*/, "", $4); print $4 }' "$work/extents")
[ "$block" -gt 0 ] || fail "where is it? $(cat "$work/extents")"
printf 'decay' | dd of="$work/disk.disk" bs=1 seek=$((block * 512 + 400)) conv=notrunc status=none
cmp "$segment" "$work/good" || fail "memory has it, too"

echo scrub > "$mnt/ctl"
healed() { [ "$(status scrub_healed_ranges)" = 1 ]; }
eventually 20 healed
want 0 "$(status scrub_bad_ranges)" "bad ranges"
grep -q decay "$mnt"/lost+found/commitlog-*[0-9] || fail "what was bad is not kept"
sync -f "$work/disk"
dd if="$work/disk.disk" bs=512 skip="$block" count=1 status=none > "$work/block"
head -c 512 "$work/good" > "$work/wanted"
want_same "$work/wanted" "$work/block" "the block on the disk"
