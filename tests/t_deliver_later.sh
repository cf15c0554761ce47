#!/bin/bash
# What is appended with :delay= or :at= arrives later, once, also when the broker dies meanwhile.
. "$top_builddir/tests/functions.sh"
requires_fuse

mnt=$work/mnt
start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"

echo level >> "$mnt/topics/t/q0:delay=level1"
echo 1s >> "$mnt/topics/t/q1:delay=1s,tag=A"
printf '%s\n' one two >> "$mnt/topics/t/q2:delay=700ms"
echo '{"body":"json","keys":"k"}' >> "$mnt/topics/t/q3:format=json,delay=600ms"
echo at >> "$mnt/topics/t/q4:at=$(date -d '+1 second' +%Y-%m-%dT%H:%M:%S)"
echo past >> "$mnt/topics/t/q5:at=2020-01-01T00:00:00Z"
echo far >> "$mnt/topics/t/q6:delay=300d"
want 0 "$(stat -c %s "$mnt/topics/t/q6")" "bytes of a queue whose message waits"

kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"

is_there() { [ "$(cat "$mnt/topics/t/q$1")" = "$2" ]; }
eventually 20 is_there 0 level
eventually 20 is_there 1 1s
eventually 20 is_there 2 $'one\ntwo'
eventually 20 is_there 3 json
eventually 20 is_there 4 at
eventually 20 is_there 5 past
want 1 "$(cat "$mnt/status/delayed")" "messages that wait"
want 0 "$(cat "$mnt/status/delayed_late")" "ms late"
[ "$(cat "$mnt/status/delayed_next")" -gt "$(date -d '+299 days' +%s000)" ] || fail "the next one is due too soon"
want 1s "$(cat "$mnt/topics/t/q1:tag=A")" "the tagged message"
is_there 6 '' || fail "what is due in 300 days is there"

refused() { # NAME WHY
	! (echo x >> "$mnt/topics/t/$1") 2> "$work/err" || fail "$1 was taken"
	tail -n 3 "$mnt/status/log" | grep -q "$2" || fail "$1: no reason in status/log: $(tail -n 1 "$mnt/status/log")"
}
refused q0:delay=400d 'a year'
refused q0:delay=level19 'has 18 levels'
refused q0:delay=soon 'a duration'
refused q0:delay=1s,at=2030-01-01 'give one of them'
refused q0:at=tomorrow 'a time is'
stop_mqfs "$mnt"
"$top_builddir/offsets/fsck.mqfs" -n "$work/store" || fail "fsck finds something"
grep -q '"1": 2' "$work/store/config/delayOffset.json" || fail "delayOffset.json does not say how far level 1 is"
