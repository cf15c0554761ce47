#!/bin/bash
# What is in lost+found has a note, and who does what it says has the messages again.
. "$top_builddir/tests/functions.sh"
requires_fuse

options=mappedFileSizeCommitLog=65536,maxMessageSize=32000
start_mqfs "$work/store" "$mnt" -o "$options"
mkdir "$mnt/topics/t" "$mnt/topics/it|s"
seq_lines 1 1000 >> "$mnt/topics/t/q0"
for i in $(seq 20); do
	echo "{\"body\":\"zw\\u00f6lf '$i'\",\"tags\":\"T\",\"keys\":\"k$i\",\"properties\":{\"P\":\"x y\"}}"
done >> "$mnt/topics/it|s/q3:format=json"
seq_lines 1 1000 >> "$mnt/topics/t/q5"
stop_mqfs "$mnt"

# did NOTE   runs the commands of a note where it says, as they are
did() {
	(cd "$mnt" && sed -n 's/^    //p' "$1" > "$work/commands" && sh -e "$work/commands")
}

# A segment whose file has the next ones behind it: fsck.mqfs cuts whole messages.
cp -a "$work/store" "$work/long"
mqdump "$work/store" 65536..196608 > "$work/told"
cat "$work/store/commitlog/00000000000000065536" "$work/store/commitlog/00000000000000131072" \
	>> "$work/long/commitlog/00000000000000000000"
fsck.mqfs -y "$work/long" > "$work/said" || [ $? = 1 ] || fail "fsck.mqfs -y: $(cat "$work/said")"
start_mqfs "$work/long" "$mnt" -o "$options"
want 1 "$(cat "$mnt/status/lostfound_pieces")" "pieces in lost+found"
want 131072 "$(cat "$mnt/status/lostfound_bytes")" "bytes in them"
grep -q 'pieces in lost+found: 1, 131072 bytes' "$mnt/status/log" || fail "the log does not say that there is something"
piece=$mnt/lost+found/commitlog-00000000000000065536
[ "$(stat -c %s "$piece")" = 131072 ] || fail "the piece is not there"
mqdump "$piece" > "$work/got"
grep -v blank "$work/told" > "$work/wanted"
grep -v blank "$work/got" > "$work/whole"
want_same "$work/wanted" "$work/whole" "what is in the piece"
note=$piece.txt
grep -q "^131072 bytes that lay at positions 65536 to 196607 of the commit log" "$note" || fail "what it is: $(cat "$note")"
grep -q "^Messages in them: $(wc -l < "$work/wanted") whole, 0 damaged" "$note" || fail "how many: $(cat "$note")"
grep -q '^Why:  the file of their segment was longer than the others: cut by fsck.mqfs' "$note" || fail "why: $(cat "$note")"
grep -q '^When: 20[0-9-]*T[0-9:]*Z$' "$note" || fail "when: $(cat "$note")"
# they are all there still; what the note does comes behind
before_t=$(cat "$mnt/topics/t/q5")
did "$note" > "$work/out" || fail "the advice fails: $(cat "$note" "$work/out")"
again=$(mqdump -j -t t -q 5 "$piece" | sed 's/.*"body":"\([^"]*\)".*/\1/')
want "$before_t
$again" "$(cat "$mnt/topics/t/q5")" "messages of t/q5, and those stored again"
fields='s/"phyOffset.*"msgId":"[^"]*",//; s/"storeTimestamp":[0-9]*,//; s/"queueOffset":[0-9]*,//; s/"[a-z]*Host":"[^"]*",//g'
grep -qF "mqdump -r -t 'it|s' -q 3 \"\$piece\" >> 'topics/it|s/q3:format=json'" "$note" || fail "no command for it|s/q3"
mqdump -r -t 'it|s' "$piece" | sed "$fields" > "$work/wanted"
n=$(wc -l < "$work/wanted")
[ "$n" -gt 0 ] || fail "the piece has nothing of it|s"
tail -n "$n" "$mnt/topics/it|s/q3:format=json" | sed "$fields" > "$work/got"
want_same "$work/wanted" "$work/got" "messages stored again with all they had"
stop_mqfs "$mnt"

# A torn end has no message to get back, and the note says so.
cp -a "$work/store" "$work/torn"
end=$(mqdump "$work/store" | tail -n 1 | awk '{ print $1 + $2 }')
last=$work/torn/commitlog/$(printf %020d $((end / 65536 * 65536)))
mqdump -t 'it|s' "$work/store" | tail -n 1 > "$work/copied"
read -r at len rest < "$work/copied"
dd if="$work/store/commitlog/$(printf %020d $((at / 65536 * 65536)))" bs=1 skip=$((at % 65536)) count="${len#+}" status=none |
	dd of="$last" bs=1 seek=$((end % 65536)) conv=notrunc status=none
start_mqfs "$work/torn" "$mnt"
note=$mnt/lost+found/commitlog-$(printf %020d "$end").txt
grep -q '^Messages in them: 0 whole, 1 damaged\.$' "$note" || fail "what is in the torn end: $(cat "$note")"
grep -q 'lost+found/.*: no valid record began there when the store was mounted' "$mnt/status/log" || fail "nothing in status/log"
did "$note" > "$work/out" 2> "$work/err" || true
grep -qF "${rest#* }  [damaged: it says that it lies elsewhere]" "$work/out" || fail "it is not shown: $(cat "$work/out")"
stop_mqfs "$mnt"

# Tables that cannot be read.
cp -a "$work/store" "$work/tables"
truncate -s 8192 "$work/tables/lmdb/data.mdb"
start_mqfs "$work/tables" "$mnt"
note=$mnt/lost+found/lmdb.broken-1.txt
grep -q 'nothing else needs to be got back' "$note" || fail "what became of the tables: $(cat "$note")"
grep -q "^    mdb_dump -a '$work/tables/lost+found/lmdb.broken-1'$" "$note" || fail "how to look: $(cat "$note")"
[ -f "$work/tables/lost+found/lmdb.broken-1/data.mdb" ] || fail "they are not where the note says"
want "$(seq_lines 1 1000)" "$(cat "$mnt/topics/t/q0")" "t/q0"
