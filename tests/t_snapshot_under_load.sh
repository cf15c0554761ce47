#!/bin/bash
# A snapshot holds what was acknowledged before it, nothing behind its mark, and the offsets of that moment.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool rsync

small=mappedFileSizeCommitLog=1048576,maxMessageSize=65536
start_mqfs "$work/store" "$mnt" -o $small
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t"

producers=()
for p in a b c; do
	python3 "$top_srcdir/tests/producer.py" write "$mnt/topics/t/q0" $p "$work/acked.$p" &
	producers+=($!)
done
for p in a b c; do eventually 10 test -s "$work/acked.$p"; done
(while read -r _; do :; done <> "$mnt/groups/g/t/q0:follow") 2> /dev/null &
consumer=$!
offset() { cat "$1/groups/g/t/q0.offset"; }
has_begun() { [ "$(offset "$mnt")" -gt 0 ]; }
eventually 10 has_begun

for name in first second third; do
	sleep 0.2
	for p in a b c; do cp "$work/acked.$p" "$work/before.$name.$p"; done
	offset "$mnt" > "$work/offset.before.$name"
	mkdir "$mnt/.snapshots/$name"
	offset "$mnt" > "$work/offset.after.$name"
	for p in a b c; do cp "$work/acked.$p" "$work/after.$name.$p"; done
done
for name in first second third; do
	rsync -a "$mnt/.snapshots/$name/" "$work/$name/"
	(cd "$work/$name" && sha256sum --quiet -c MANIFEST) || fail "$name: MANIFEST"
done
kill "$consumer" "${producers[@]}" 2> /dev/null || true
stop_mqfs "$mnt"

for name in first second third; do
	start_mqfs "$work/$name" "$mnt"
	cat "$mnt/topics/t/q0" > "$work/content"
	for p in a b c; do
		python3 "$top_srcdir/tests/producer.py" check "$work/content" $p "$work/before.$name.$p" >&9
		there=$(grep -c "^$p " "$work/content")
		# one write of each may have been stored and not yet acknowledged
		[ "$there" -le $(($(cat "$work/after.$name.$p") + 1)) ] || fail "$name: $there of $p are from behind the mark"
	done
	at=$(offset "$mnt")
	[ "$at" -ge "$(cat "$work/offset.before.$name")" ] || fail "$name: offset $at is too old"
	[ "$at" -le "$(cat "$work/offset.after.$name")" ] || fail "$name: offset $at is too new"
	want "$at" "$(python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["offsetTable"]["t@g"]["0"])' "$work/$name/config/consumerOffset.json")" \
		"$name: RocketMQ's file says the same"
	stop_mqfs "$mnt"
	python3 "$top_srcdir/tests/reader/mqstore.py" check --quiet "$work/$name"
done
