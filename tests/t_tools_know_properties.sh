#!/bin/bash
# mqdump shows, and fsck.mqfs knows, properties, messages that wait and those that are sent back, also where
# messageDelayLevel is another one than fsck.mqfs has been told.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

store=$work/store
start_mqfs "$store" "$mnt" -o 'messageDelayLevel=1s 7s 9m 2h'
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
t=$mnt/topics/t
echo tagged >> "$t/q0:tag=A,key=one,key=two,prop.colour=red"
for i in 1 2 3; do echo "level $i" >> "$t/q1:delay=level3"; done
echo 'seven seconds' >> "$t/q1:delay=7s"
echo 'some time' >> "$t/q2:delay=100m"
echo 0 > "$mnt/groups/g/t/q0.retry"

# of TOPIC EXPRESSION: of each of its messages, what Python says of m and its properties p
of() { mqdump -j -t "$1" "$store" | of_json "$2"; }
want "A one two red" "$(of t 'm["tags"], m["keys"], p["colour"]' | tr -d "(),'")" "properties"
want "level 1 level 2 level 3 seven seconds" "$(of SCHEDULE_TOPIC_XXXX 'm["body"]' | grep -v tagged | tr '\n' ' ' | sed 's/ $//')" "what waits by level"
want "t 1 3" "$(of SCHEDULE_TOPIC_XXXX 'p["REAL_TOPIC"], p["REAL_QID"], p["DELAY"]' | tr -d "(),'" | head -n 2 | tail -n 1)" "where it goes"
want "t 2" "$(of MQFS_DELAY 'p["REAL_TOPIC"], p["REAL_QID"]' | tr -d "(),'")" "what waits by time"
want "tagged %RETRY%g t" "$(of SCHEDULE_TOPIC_XXXX 'm["body"], p["REAL_TOPIC"], p.get("RETRY_TOPIC")' | grep tagged | tr -d "(),'")" "what was sent back"
stop_mqfs "$mnt"

# with and without a word about levels
checked() { fsck.mqfs -n "$@" "$store" > "$work/fsck" || { cat "$work/fsck" >&9; fail "fsck.mqfs $*"; }; }
checked
checked -o 'messageDelayLevel=1s 7s 9m 2h'

# but what no level can be is found: a byte of an entry's tagsCode
entry=$store/consumequeue/SCHEDULE_TOPIC_XXXX/2/00000000000000000000
[ -e "$entry" ] || fail "there is no $entry"
byte=$(od -An -tu1 -j19 -N1 "$entry")
printf '%b' "\\0$(printf %03o $((byte ^ 1)))" | dd of="$entry" bs=1 seek=19 conv=notrunc status=none
if fsck.mqfs -n "$store" > "$work/fsck"; then fail "a wrong tagsCode was not found"; fi
grep -q 'SCHEDULE_TOPIC_XXXX/2: entry 0: its tagsCode' "$work/fsck" || fail "fsck.mqfs says: $(cat "$work/fsck")"
fsck.mqfs -y -o 'messageDelayLevel=1s 7s 9m 2h' "$store" > "$work/fsck" || [ $? = 1 ] || fail "fsck.mqfs -y: $(cat "$work/fsck")"
checked

# What waited is delivered after that.
start_mqfs "$store" "$mnt" -o 'messageDelayLevel=1s 7s 9m 2h'
delivered() { grep -q 'seven seconds' "$t/q1"; }
eventually 20 delivered
