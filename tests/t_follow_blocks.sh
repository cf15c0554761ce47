#!/bin/bash
# A reader at the end of a queue sleeps, and the next append wakes it.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0

head -n 1 "$q:follow" > "$work/got.line" &
reader=$!
eventually 5 is_waiting "$reader"
echo awake >> "$q"
wait_for "$reader"
want awake "$(cat "$work/got.line")" "the reader's message"

# From an offset, and only what comes after the end.
head -n 1 "$q@last:follow" > "$work/got.line" &
reader=$!
eventually 5 is_waiting "$reader"
echo news >> "$q"
wait_for "$reader"
want news "$(cat "$work/got.line")" "news only"

# A range that is not full yet, followed to its end, ends.
cat "$q@1..3:follow" > "$work/got.range" &
reader=$!
eventually 5 is_waiting "$reader"
printf 'third\nfourth\n' >> "$q"
wait_for "$reader"
want $'news\nthird' "$(cat "$work/got.range")" "a range that filled up"

# An unfinished line wakes nobody.
head -n 1 "$q@last:follow" > "$work/got.line" &
reader=$!
eventually 5 is_waiting "$reader"
exec 3>> "$q"
printf 'half ' >&3
want "" "$(cat "$work/got.line")" "half a line"
echo whole >&3
exec 3>&-
wait_for "$reader"
want 'half whole' "$(cat "$work/got.line")" "a whole line"
