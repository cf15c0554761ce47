#!/bin/bash
# mqdump prints what an independent reader reads, of a store, a mount and a segment; says what
# is damaged, goes on behind it, and writes nothing.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

store=$work/store
start_mqfs "$store" "$mnt" -o mappedFileSizeCommitLog=65536,maxMessageSize=32000
mkdir "$mnt/topics/t" "$mnt/topics/j"
seq_lines 1 2000 >> "$mnt/topics/t/q0"
head -c 3000 /dev/urandom >> "$mnt/topics/t/q1:whole"
printf '%s\n' '{"body":"\u0001\u0002\t","tags":"A"}' >> "$mnt/topics/t/q2:format=json"
for i in $(seq 50); do
	echo "{\"body\":\"zw\\u00f6lf $i\",\"tags\":\"T\",\"keys\":\"k$i all\",\"properties\":{\"P\":\"x y\"}}"
done >> "$mnt/topics/j/q3:format=json"

# normal FILE   mqdump's lines of JSON as the reader has them
normal() {
	python3 -c '
import base64, json, sys
for line in sys.stdin:
    m = json.loads(line)
    if "blank" in m: continue
    m["body"] = m.pop("body64") if "body64" in m else base64.b64encode(m["body"].encode()).decode()
    m.setdefault("tags", None), m.setdefault("keys", None)
    print(json.dumps(m, sort_keys=True))'
}
reader() {
	python3 "$top_srcdir/tests/reader/mqstore.py" dump "$@" |
		python3 -c 'import json, sys; [print(json.dumps(json.loads(line), sort_keys=True)) for line in sys.stdin]'
}

# a store in use, and its mount
mqdump -j -t t "$store" | normal > "$work/got"
reader "$store" t > "$work/wanted"
want_same "$work/wanted" "$work/got" "topic t, mounted"
mqdump -j -t j -q 3 "$mnt" | normal > "$work/got"
reader "$store" j 3 > "$work/wanted"
want_same "$work/wanted" "$work/got" "topic j, through the mount"
stop_mqfs "$mnt"

mqdump -j "$store" | normal > "$work/got"
reader "$store" > "$work/wanted"
want_same "$work/wanted" "$work/got" "the whole store"
for segment in "$store"/commitlog/*; do mqdump -j "$segment"; done | normal > "$work/got"
want_same "$work/wanted" "$work/got" "segment by segment"
mqdump "$store" > "$work/text"
blanks=$(grep -c ' blank$' "$work/text")
want "$(wc -l < "$work/wanted")" "$(($(wc -l < "$work/text") - blanks))" "lines of text"
grep -q '  t/q0@1999  line 2000$' "$work/text" || fail "no line for line 2000"
grep -qE '  j/q3@1  "P=x y" TAGS=T "KEYS=k2 all" UNIQ_KEY=[0-9A-F]{32}  zw.+lf 2$' "$work/text" || fail "no line for keys"
grep -q "  t/q2@0  TAGS=A UNIQ_KEY=[0-9A-F]*  .x01.x02.t$" "$work/text" || fail "control characters"
grep -q "  t/q1@0  base64:.*\.\.\. (3000 bytes)$" "$work/text" || fail "a long body is not cut"

# ranges: a position within a record is as good as the next one's
at=$(sed -n 100p "$work/text" | cut -d' ' -f1)
to=$(sed -n 110p "$work/text" | cut -d' ' -f1)
sed -n 100,109p "$work/text" > "$work/wanted"
for range in $at..$to $((at - 5))..$to $at..$((to - 1)); do
	mqdump "$store" "$range" > "$work/got"
	want_same "$work/wanted" "$work/got" "range $range"
done
sed -n '100,$p' "$work/text" > "$work/wanted"
mqdump "$store" "$at" > "$work/got"
want_same "$work/wanted" "$work/got" "from $at on"

# damage: a body, a header; a segment that is gone
cp -a "$store" "$work/bad"
first=$work/bad/commitlog/00000000000000000000
printf '\377' | dd of="$first" bs=1 seek=$((at + 90)) conv=notrunc status=none
printf '\377' | dd of="$first" bs=1 seek=$((to + 5)) conv=notrunc status=none
rm "$work/bad/commitlog/00000000000000065536"
status=0
mqdump "$work/bad" > "$work/got" 2> "$work/said" || status=$?
want 1 $status "exit status for damage"
grep -q "^mqdump: $at +[0-9]*  damaged: its body does not match its CRC$" "$work/said" || fail "the body's damage"
grep -q "^mqdump: $to +[0-9]*  damaged: it has no magic number$" "$work/said" || fail "the header's damage"
grep -q '^mqdump: 65536 +65536  missing: ' "$work/said" || fail "the missing segment"
want 3 "$(wc -l < "$work/said")" "lines of complaint"
awk -v a="$at" -v b="$to" '$1 != a && $1 != b && ($1 < 65536 || $1 >= 131072)' "$work/text" > "$work/wanted"
grep -v '\[damaged: ' "$work/got" > "$work/whole"
want_same "$work/wanted" "$work/whole" "what is whole beside the damage"
grep -q "^$at .*\[damaged: its body does not match its CRC\]$" "$work/got" || fail "the damaged one is not shown"

# what recovery cuts can be read where it is kept
cp -a "$store" "$work/cut"
last=$(find "$work/cut/commitlog" -type f | sort | tail -n 1)
end=$(tail -n 1 "$work/text" | awk '{ print $1 + $2 }')
printf 'not a record at all' |
	dd of="$last" bs=1 seek=$((end - 10#$(basename "$last"))) conv=notrunc status=none
start_mqfs "$work/cut" "$mnt"
stop_mqfs "$mnt"
kept=$work/cut/lost+found/commitlog-$(printf %020d "$end")
status=0
mqdump "$kept" 2> "$work/said" || status=$?
want 1 $status "exit status for what was cut"
grep -q "^mqdump: $end +19  torn end: " "$work/said" || fail "the torn end is not told"
cp "$first" "$work/commitlog-00000000000000000000.2"
mqdump "$work/commitlog-00000000000000000000.2" 2> "$work/said" > "$work/got" || true
[ "$(wc -l < "$work/got")" -gt 100 ] || fail "nothing from lost+found"

# usage
for arguments in '' "$store 5..4" "$store x" "$store 1 2" '-q x /' '-Z /' "$work/none" "$top_srcdir/README.md"; do
	status=0
	# shellcheck disable=SC2086	# words are wanted
	mqdump $arguments > "$work/got" 2>&1 || status=$?
	want 2 $status "exit status of mqdump $arguments"
	[ -s "$work/got" ] || fail "mqdump $arguments says nothing"
done
