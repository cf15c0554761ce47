#!/bin/bash
# A group consumes what its subscription says; what it passes over is committed with the rest.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/groups/g"
mkdir "$mnt/groups/g/t"
g=$mnt/groups/g/t t=$mnt/topics/t
echo 'A || C' > "$g/subscription"
want 'A || C' "$(cat "$g/subscription")" "the subscription"

i=0
for tag in B A B B A B C B; do echo "$((i++)) $tag" >> "$t/q0:tag=$tag"; done
want '1 A 4 A 6 C ' "$(tr '\n' ' ' < "$g/q0")" "a peek"
want 0 "$(cat "$g/q0.offset")" "a peek commits nothing"
want 8 "$(cat "$g/q0.lag")" "the lag counts every message"

consume_one() { IFS= read -r line <&3; echo "$line"; }
{
	want '1 A' "$(consume_one)" "the first"
	want 0 "$(cat "$g/q0.offset")" "nothing is done yet"
	want '4 A' "$(consume_one)" "the second"
	want 4 "$(cat "$g/q0.offset")" "the first is done, with what was passed over"
} 3<> "$g/q0"
want '4 A' "$(head -n 1 "$g/q0")" "who dies gets the last one again"
cat <> "$g/q0" > "$work/rest"
want '4 A 6 C ' "$(tr '\n' ' ' < "$work/rest")" "the rest"
want 0 "$(cat "$g/q0.lag")" "all is done"

# a consumer that waits is not given what it has not subscribed to
head -n 1 0<> "$g/q0:follow" > "$work/got" & reader=$!
eventually 5 is_waiting "$reader"
echo no >> "$t/q0:tag=B"
echo yes >> "$t/q0:tag=C"
wait "$reader"
want yes "$(cat "$work/got")" "what was waited for"

# what a remount finds
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
want 'A || C' "$(cat "$g/subscription")" "after a remount"
echo last > "$g/q0.offset"
echo no >> "$t/q0:tag=B"
want '' "$(cat "$g/q0")" "still chosen after a remount"
echo '*' > "$g/subscription"
want no "$(cat "$g/q0")" "every message again"

reason() { tail -n 1 "$mnt/status/log" | grep -qF "$1" || fail "status/log does not say \"$1\""; }
if echo ' || ' 2> /dev/null > "$g/subscription"; then fail "no tag was taken for a subscription"; fi
reason 'names no tag'
want '*' "$(cat "$g/subscription")" "nothing has changed"
fails_with EINVAL cat "$g/q0:tag=A"
reason 'by the subscription file'
