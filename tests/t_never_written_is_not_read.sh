#!/bin/bash
# Of a segment of 1 GiB with a little in it, the tools and a read-only mount read the little: what was
# never written is not read, also when somebody has read it into memory before; and snapshots show holes.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool fincore

segment=$work/store/commitlog/00000000000000000000
in_memory() { fincore --bytes --noheadings --output RES "$segment" | tr -d ' '; }

# reads_little NAME COMMAND...
reads_little() {
	"${@:2}" > "$work/out" 2>&1 || fail "$1: $(cat "$work/out")"
	[ "$(in_memory)" -lt $((16 << 20)) ] || fail "$1: $(in_memory) bytes of the segment are in memory"
}

all_in_memory() { python3 -c 'import sys; f = open(sys.argv[1], "rb", 0); all(iter(lambda: f.read(1 << 20), b""))' "$segment"; }
none_in_memory() { dd if="$segment" iflag=nocache count=0 2> "$work/err"; }

mount_read_only() {
	start_mqfs "$work/store" "$mnt" -o ro
	want 1000 "$(wc -l < "$mnt/topics/t/q0")" "lines"
	stop_mqfs "$mnt"
}

start_mqfs "$work/store" "$mnt"
[ "$(stat -c %s "$segment")" = $((1 << 30)) ] || fail "the segment has $(stat -c %s "$segment") bytes"
mkdir "$mnt/topics/t"
seq_lines 1 1000 'a line that has a hundred bytes with all that there is around it in the log of messages:' > "$mnt/../sent"
cat "$work/sent" >> "$mnt/topics/t/q0"
sync "$mnt/topics/t/q0"

# A snapshot's last segment is a hole behind its mark, for whoever asks.
mkdir "$mnt/.snapshots/s"
shown=$mnt/.snapshots/s/commitlog/00000000000000000000
want $((1 << 30)) "$(stat -c %s "$shown")" "size of a snapshot's segment"
python3 - "$shown" "$mnt/topics/t/q0" "$mnt/commitlog/00000000000000000000" << 'END' || fail "SEEK_DATA and SEEK_HOLE"
import os, sys
shown = os.open(sys.argv[1], os.O_RDONLY)
hole = os.lseek(shown, 0, os.SEEK_HOLE)
assert 100_000 < hole < 1_000_000, hole
assert os.lseek(shown, 5, os.SEEK_DATA) == 5
assert os.lseek(shown, hole + 5, os.SEEK_HOLE) == hole + 5
for at in hole, hole + 5, 1 << 30:
    try:
        raise AssertionError(os.lseek(shown, at, os.SEEK_DATA))
    except OSError as e:
        assert e.errno == 6, e		# ENXIO
for path in sys.argv[2:]:		# what has none says so
    fd = os.open(path, os.O_RDONLY)
    assert os.lseek(fd, 3, os.SEEK_DATA) == 3
    assert os.lseek(fd, 3, os.SEEK_HOLE) == os.fstat(fd).st_size
END
tar -C "$mnt/.snapshots" -cSf "$work/s.tar" s
[ "$(stat -c %s "$work/s.tar")" -lt $((4 << 20)) ] || fail "tar -S: $(stat -c %s "$work/s.tar") bytes"
cp -r "$mnt/.snapshots/s" "$work/copy"
[ "$(du -sk "$work/copy" | cut -f 1)" -lt 4096 ] || fail "cp: $(du -sk "$work/copy" | cut -f 1) KiB"
tar -C "$work" -xSf "$work/s.tar"
want_same "$work/s/commitlog/00000000000000000000" "$shown" "what tar has kept"
rmdir "$mnt/.snapshots/s"

eventually 10 test -s "$work/store/flushed"
kill_mqfs "$mnt"
umount -l "$mnt"
all_in_memory
reads_little 'mqdump of a segment' mqdump "$segment"
want 1000 "$(grep -c 'a line that' "$work/out")" "messages that mqdump shows"
all_in_memory
reads_little 'mqdump of a store' mqdump "$work/store"
all_in_memory
reads_little 'fsck.mqfs -n' fsck.mqfs -n "$work/store"
none_in_memory
reads_little 'a read-only mount' mount_read_only
