#!/bin/bash
# A name with tag=, key= or where= shows the messages that are so, and no other.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
t=$mnt/topics/t
echo one >> "$t/q0:tag=A,key=k1,prop.n=1"
echo two >> "$t/q1:tag=B,key=k1,key=k2,prop.n=2"
echo three >> "$t/q0"
echo four >> "$t/q0:tag=A,key=k2,prop.n=4"
echo five >> "$t/q0:tag=Aa"
echo six >> "$t/q0:tag=BB"		# the hash of Aa

shows() { want "$1" "$(tr '\n' ' ' < "$t/$2" | sed 's/ $//')" "$2"; }

shows "one four" q0:tag=A
shows "one two four" 'all:tag=A||B'
shows "five" q0:tag=Aa
shows "six" q0:tag=BB
shows "" q0:tag=C
shows "one two" all:key=k1
shows "two four" all:key=k2
shows "two" all:key=k1,key=k2
shows "" all:key=k3
shows "one four" "q0:where=n BETWEEN 1 AND 4"
shows "three five six" "q0:where=n IS NULL"
shows "two four" "all:where=TAGS IN ('A','B') AND n > 1"
shows "four" "all:tag=A,key=k2,where=n > 1"

# ... with ranges, times, and formats
shows "four" q0@1:tag=A
shows "one" q0@0..2:tag=A
shows "four" all@-3:tag=A
shows "one four" q0@-1h:tag=A
shows "" q0@..-1h:tag=A
want onefour "$(cat "$t/q0:format=raw,tag=A")" "raw"
want 'one four' "$(of_json 'm["body"]' < "$t/q0:format=json,tag=A" | tr '\n' ' ' | sed 's/ $//')" "json"
want four "$(tail -n 1 "$t/q0:tag=A")" "tail"
want 0 "$(stat -c %s "$t/q0:tag=A")" "a stream's size"

# ... read again from any place, by bytes of all sizes
want "one four" "$(dd if="$t/q0:tag=A" bs=1 status=none | tr '\n' ' ' | sed 's/ $//')" "byte by byte"
want our "$(dd if="$t/q0:tag=A" bs=1 skip=5 count=3 status=none)" "in the middle"

# a message is known by its ids and by its key
id=$(head -n 1 "$t/q0@2:format=json" | of_json 'p["UNIQ_KEY"]')
want four "$(cat "$mnt/messages/$id")" "by UNIQ_KEY"
shows four "all:key=$id"
want four "$(cat "$mnt/messages/k2")" "by key: the newest"
fails_with ENOENT cat "$mnt/messages/k3"

# what follows is shown when it comes
cat "$t/q0@last:tag=A,follow" > "$work/followed" & reader=$!
head -n 1 "$t/all@last:key=k9,follow" > "$work/key" & key=$!
head -n 1 "$t/q0@last:where=n = 9,follow" > "$work/where" & where=$!
eventually 5 is_waiting "$key"
eventually 5 is_waiting "$where"
echo other >> "$t/q0:tag=B"
echo seven >> "$t/q0:tag=A"
echo eight >> "$t/q0:tag=C,key=k9,prop.n=9"
wait "$key" "$where"
want eight "$(cat "$work/key")" "the key that was followed"
want eight "$(cat "$work/where")" "the expression that was followed"
is_seven() { [ "$(cat "$work/followed")" = seven ]; }
eventually 5 is_seven
kill "$reader"

# all of it is as it was after a remount, and after a crash
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
shows "one four seven" q0:tag=A
shows "two four" all:key=k2

reason() { want "$2" "$(tail -n 1 "$mnt/status/log" | grep -o "$2")" "why not $1"; }
fails_with EINVAL cat "$t/q0:where=n >"
fails_with EINVAL cat "$t/q0:where=n = 1 m = 2"
reason where 'follows a complete expression'
fails_with EINVAL cat "$t/q0:tag="
reason tag 'tag needs a value'
if echo x 2> /dev/null >> "$t/q0:where=n = 1"; then fail "appended by an expression"; fi
reason append 'only for reading'
