#!/bin/bash
# trim drops what lies before a point of one queue or of all, never by mistake, and says what it did.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/topics/fresh"
t=$mnt/topics/t
for q in q0 q1; do seq_lines 1 10 >> "$t/$q"; done
seq_lines 1 5 >> "$t/q2"

left() { wc -l < "$t/$1"; }
logged() { grep -qF -- "$1" "$mnt/status/log" || fail "status/log does not say '$1'"; }
trim() { echo "trim $*" > "$t/ctl"; }

trim q0 2
want 8 "$(left q0)" "after a number"
logged "topics/t: trim q0 2: 2 messages dropped; it begins at 2"
trim q0 -3
want 3 "$(left q0)" "after -3"
trim q0 first
want 3 "$(left q0)" "after first"

# A number behind the end drops nothing, in no queue.
fails_with EINVAL trim q0 11
fails_with EINVAL trim all 7
want "3 10 5" "$(left q0) $(left q1) $(left q2)" "after refusals"
logged "topics/t/ctl: trim q2 7: it ends at 5; nothing is dropped"
fails_with EINVAL trim q9 1
fails_with EINVAL trim q0 soon
want 3 "$(left q0)" "after nonsense"

# Times, and all queues.
trim all -1h
want "3 10 5" "$(left q0) $(left q1) $(left q2)" "after trimming what is older than an hour"
trim all 4
want "3 6 1" "$(left q0) $(left q1) $(left q2)" "after trim all 4"
sleep 0.01
trim all "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)"
want "0 0 0" "$(left q0) $(left q1) $(left q2)" "after trimming what is older than now"
logged "trim q1"
echo again >> "$t/q1"
trim all last
want "0 0 0" "$(left q0) $(left q1) $(left q2)" "after trim all last"
echo again >> "$t/q1"
echo purge > "$t/ctl"
logged "topics/t: purge: 1 messages dropped"
rmdir "$t"
logged "topic t was removed"

# A new topic, whose queues are empty, may have fewer of them; one in use may not.
f=$mnt/topics/fresh
echo 'queues = 2' > "$f/config"
want "q0 q1" "$(cd "$f" && echo q*)" "a topic made smaller"
echo one >> "$f/q0"
echo 'queues = 1' > "$f/config"
want q0 "$(cd "$f" && echo q*)" "a topic whose other queue is empty"
echo 'queues = 3' > "$f/config"
echo three >> "$f/q2"
fails_with EINVAL bash -c "echo 'queues = 2' > '$f/config'"
logged "q2 has held messages"
kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
want "q0 q1 q2" "$(cd "$f" && echo q*)" "after a crash"
want "one three" "$(tr '\n' ' ' < "$f/all" | sed 's/ $//')" "its messages"

# The largest number is only a number.
for q in q0@9223372036854775807 q0@9223372036854775806 all@9223372036854775807; do
	want "" "$(cat "$f/$q")" "$q"
	want 0 "$(stat -c %s "$f/$q")" "the size of $q"
done
