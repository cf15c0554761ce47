#!/bin/bash
# qN.offset is read and written: numbers, steps, words, times, compare and set.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t"
offset=$mnt/groups/g/t/q0.offset
seq_lines 0 9 >> "$mnt/topics/t/q0"
sleep 0.05
middle=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
sleep 0.05
seq_lines 10 19 >> "$mnt/topics/t/q0"

# set TEXT RESULT
set_to() {
	echo "$1" > "$offset"
	want "$2" "$(cat "$offset")" "offset after '$1'"
}
want 0 "$(cat "$offset")" "where it starts"
set_to 7 7
want 'line 7' "$(head -n 1 "$mnt/groups/g/t/q0")" "the next message"
set_to +3 10
set_to -2 8
set_to last 20
set_to first 0
set_to "$middle" 10
set_to -1h 0
set_to '0 5' 5
set_to '5 6' 6
fails_with ESTALE bash -c "echo '5 9' > '$offset'"
want 6 "$(cat "$offset")" "after a lost compare and set"

# Out of range is clamped, nonsense is refused.
set_to 1000 20
set_to -1000 0
set_to 4 4
for bad in x '1 2 3' '' 1.5 '99999999999999999999'; do
	fails_with EINVAL bash -c "echo '$bad' > '$offset'"
done
want 4 "$(cat "$offset")" "after nonsense"
want 16 "$(cat "$mnt/groups/g/t/q0.lag")" "lag"
