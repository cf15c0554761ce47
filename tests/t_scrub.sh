#!/bin/bash
# The scrub finds what the disk has lost of the log, says which messages that are, and says it
# until they are there again; only these are EIO.
. "$top_builddir/tests/functions.sh"
requires_fuse

options=mappedFileSizeCommitLog=65536,maxMessageSize=32000
store=$work/store
start_mqfs "$store" "$mnt" -o "$options"
mkdir "$mnt/topics/t" "$mnt/topics/p"
seq_lines 1 1000 >> "$mnt/topics/t/q0"
for i in $(seq 1000); do
	echo "{\"body\":\"number $i\",\"tags\":\"T\",\"properties\":{\"P\":\"value $i\"}}"
done > "$work/json"
cat "$work/json" >> "$mnt/topics/p/q1:format=json"
seq_lines 1001 2000 >> "$mnt/topics/t/q0"

status() { cat "$mnt/status/$1"; }
is() { [ "$(status "$1")" = "$2" ]; }

# scrubbed   everything was read from the disk since now
scrubbed() {
	local passes
	eventually 20 rests
	passes=$(status scrub_passes)
	echo scrub > "$mnt/ctl"
	eventually 20 is_beyond "$passes"
}
rests() { grep -q "^sealed   $sealed segments, 0 to be read now\$" "$mnt/status/scrub"; }
is_beyond() { [ "$(status scrub_passes)" -gt "$1" ]; }

# Sealed segments get their sums by themselves.
sealed=$(($(status written) / 65536))
sums() { [ "$(find "$store/sums" -name '0*' | wc -l)" = "$sealed" ]; }
eventually 20 sums
for sum in "$store"/sums/0*; do
	want "$(sha256sum < "$store/commitlog/${sum##*/}" | cut -c-64) 65536" "$(head -n 1 "$sum" | cut -d' ' -f1,2)" "sum of ${sum##*/}"
done
scrubbed
is scrub_bad_ranges 0 || fail "there is nothing bad: $(status scrub)"
[ "$(status scrub_checked)" -gt 1700000000000 ] || fail "when it was checked: $(status scrub)"
grep -q "^sealed   $sealed segments, 0 to be read now\$" "$mnt/status/scrub" || fail "status/scrub: $(status scrub)"

# The disk is read, and nothing of it stays in memory that was not there.
segment=$store/commitlog/00000000000000065536
in_memory() { fincore -nb -o RES "$segment" | tr -d ' '; }
if command -v fincore > /dev/null; then
	sync "$segment"
	dd if="$segment" iflag=nocache count=0 status=none
	if [ "$(in_memory)" = 0 ]; then
		scrubbed
		want 0 "$(in_memory)" "bytes of the segment in memory"
	fi
fi

# flip POSITION   another bit on the disk and in memory
flip() {
	local file byte
	file=$store/commitlog/$(printf %020d $(($1 / 65536 * 65536)))
	byte=$(od -An -tu1 -j $(($1 % 65536)) -N 1 "$file")
	printf '%b' "\\x$(printf %x $((byte ^ 1)))" |
		dd of="$file" bs=1 seek=$(($1 % 65536)) conv=notrunc,fsync status=none
}

# A body, in the middle of a segment
mqdump -t t "$store" > "$work/records"
read -r at len _ < <(grep ' t/q0@700 ' "$work/records")
flip $((at + 90))
scrubbed
want 1 "$(status scrub_bad_ranges)" "bad ranges"
want "${len#+}" "$(status scrub_bad_bytes)" "bad bytes"
want 1 "$(status scrub_bad_messages)" "bad messages"
what="$at..$((at + ${len#+})): ${len#+} bytes, 1 messages: t/q0@700: its body does not match its CRC; not healed: "
grep -qF "$what" "$mnt/status/scrub" || fail "status/scrub does not say which: $(status scrub)"
told() { grep -c "scrub: ${len#+} bytes at position $at of the log are bad on the disk: .*: t/q0@700\$" "$mnt/status/log"; }
want 1 "$(told)" "lines of the log"
want "$(seq_lines 1 700)" "$(cat "$mnt/topics/t/q0@0..700")" "messages before"
want "$(seq_lines 702 2000)" "$(cat "$mnt/topics/t/q0@701..2000")" "messages behind"
fails_with EIO cat "$mnt/topics/t/q0@700..701"
grep -q '^mqfs_scrub_bad_ranges{.*} 1$' "$mnt/status/metrics.prom" || fail "no metric says so"

# Only once, but again by the next mount, without asking
scrubbed
want 1 "$(told)" "lines of the log after one more pass"
stop_mqfs "$mnt"
start_mqfs "$store" "$mnt" -o "$options"
eventually 20 is scrub_bad_ranges 1
is_told() { [ "$(told)" = 1 ]; }
eventually 5 is_told

# A snapshot's MANIFEST has what should be there.
mkdir "$mnt/.snapshots/s"
(cd "$mnt/.snapshots/s" && sha256sum --quiet -c MANIFEST > "$work/said" 2> /dev/null) && fail "the MANIFEST is right"
want "commitlog/$(printf %020d $((at / 65536 * 65536))): FAILED" "$(cat "$work/said")" "what sha256sum says"
rmdir "$mnt/.snapshots/s"

# What comes back is fine.
flip $((at + 90))
scrubbed
want 0 "$(status scrub_bad_ranges)" "bad ranges when all is there again"
want "$(seq_lines 1 2000)" "$(cat "$mnt/topics/t/q0")" "all messages"

# A property: no CRC of a record covers it
read -r at len _ < <(mqdump -t p "$store" | grep ' p/q1@500 ')
flip $((at + ${len#+} - 1))
scrubbed
want 1 "$(status scrub_bad_ranges)" "bad ranges, with a property"
grep 'p/q1@[0-9]*\.\.[0-9]*: it has changed since the segment was sealed' "$mnt/status/scrub" > "$work/said" ||
	fail "status/scrub: $(status scrub)"
from=$(sed 's/.*p.q1@\([0-9]*\)\.\..*/\1/' "$work/said")
to=$(sed 's/.*p.q1@[0-9]*\.\.\([0-9]*\):.*/\1/' "$work/said")
{ [ "$from" -le 500 ] && [ 500 -lt "$to" ] && [ $((to - from)) -lt 60 ]; } || fail "the range is not near: $(cat "$work/said")"
flip $((at + ${len#+} - 1))

# A segment that is gone
mv "$store/commitlog/00000000000000065536" "$work/gone"
scrubbed
grep -q '^65536\.\.131072: 65536 bytes, .*: the segment is missing; not healed' "$mnt/status/scrub" ||
	fail "status/scrub: $(status scrub)"
mv "$work/gone" "$store/commitlog/00000000000000065536"
scrubbed
want 0 "$(status scrub_bad_ranges)" "bad ranges at the end"

# Not at all
echo 0 > "$mnt/config/scrubRate"
fails_with EINVAL bash -c "echo scrub > '$mnt/ctl'"
grep -q 'scrubRate is 0' "$mnt/status/log" || fail "no reason is given"
off() { grep -q '^state    off$' "$mnt/status/scrub"; }
eventually 5 off
