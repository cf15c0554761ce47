#!/bin/bash
# When the head of a queue is dropped its name gets a new inode: tail -F follows it,
# and whoever still reads the old one is told what is gone.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
seq_lines 1 5 >> "$q"
inode=$(stat -c %i "$q")

tail -n 1 -s 0.1 -F "$q" > "$work/tailed" 2> "$work/said" &
eventually 5 grep -q 'line 5' "$work/tailed"
exec 3< "$q"
echo 'trim q0 3' > "$mnt/topics/t/ctl"
want "$(seq_lines 4 5)" "$(cat "$q")" "the queue without its first three"
has_new_inode() { [ "$(stat -c %i "$q")" != "$inode" ]; }
eventually 5 has_new_inode		# the kernel remembers names for a second
fails_with ESTALE cat <&3
exec 3<&-

echo 'line 6' >> "$q"
eventually 10 grep -q 'line 6' "$work/tailed"
want 3 "$(xattr min_offset "$q")" "min_offset"
want 6 "$(xattr max_offset "$q")" "max_offset"
