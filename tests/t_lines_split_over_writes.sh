#!/bin/bash
# A message is a line, however many writes it took, and whatever is in it.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
t=$mnt/topics/t

# In pieces, with another producer in between.
exec 3>> "$t/q0" 4>> "$t/q0"
printf 'one ' >&3
printf 'two ' >&4
want "" "$(cat "$t/q0")" "unfinished lines"
printf 'and one\nthree' >&3
printf 'and two\n' >&4
want $'one and one\ntwo and two' "$(cat "$t/q0")" "finished lines"
exec 3>&-
want $'one and one\ntwo and two\nthree' "$(cat "$t/q0")" "close ends the last line"
exec 4>&-
want 3 "$(xattr max_offset "$t/q0")" "messages"

# A child that ends does not close the file of its parent.
{ printf 'one '; /bin/true; echo 'line'; } >> "$t/q1"
want 'one line' "$(cat "$t/q1")" "a line with a child in its middle"
want 1 "$(xattr max_offset "$t/q1")" "messages"

# No newline at the end, empty lines, CR LF.
printf 'no newline' >> "$t/q2"
printf '\n\nx\r\n\n' >> "$t/q2"
printf 'no newline\n\n\nx\r\n\n' > "$work/wanted.q2"
cat "$t/q2" > "$work/got.q2"
want_same "$work/wanted.q2" "$work/got.q2" "empty lines and CR LF"
want 5 "$(xattr max_offset "$t/q2")" "messages"
