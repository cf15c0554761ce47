#!/bin/bash
# One message in 10,000 is found by its tag, and by its key, without reading the others.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
for part in 1 2; do
	printf '%01000d\n' {1..5000} >> "$q:tag=many"
	echo "found $part" >> "$q:tag=few,key=k$part"
done
broker=$(broker_of "$work/store")
bytes_read() { sed -n 's/^rchar: //p' "/proc/$broker/io"; }
[ -n "$(bytes_read)" ] || skip "no /proc/PID/io"

cost() {		# NAME: bytes that the broker reads for it
	local before
	before=$(bytes_read)
	cat "$mnt/topics/t/$1" > "$work/got"
	echo $(($(bytes_read) - before))
}

all=$(cost q0:format=json)
[ "$all" -gt 10000000 ] || fail "the whole queue cost only $all bytes"
few=$(cost q0:tag=few)
want 'found 1 found 2 ' "$(tr '\n' ' ' < "$work/got")" "by tag"
[ "$few" -lt 1000000 ] || fail "two messages by their tag cost $few bytes"
key=$(cost q0:key=k1)
want 'found 1' "$(cat "$work/got")" "by key"
[ "$key" -lt 100000 ] || fail "one message by its key cost $key bytes"
key=$(cost all:key=nowhere)
[ "$key" -lt 100000 ] || fail "a key that no message has cost $key bytes"

# a group passes over what it has not subscribed to as cheaply
mkdir "$mnt/groups/g" "$mnt/groups/g/t"
echo first > "$mnt/groups/g/t/q0.offset"
echo few > "$mnt/groups/g/t/subscription"
before=$(bytes_read)
cat <> "$mnt/groups/g/t/q0" > "$work/got"
want 'found 1 found 2 ' "$(tr '\n' ' ' < "$work/got")" "consumed"
few=$(($(bytes_read) - before))
[ "$few" -lt 1000000 ] || fail "consuming two messages cost $few bytes"
