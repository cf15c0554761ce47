#!/bin/bash
# raw, len32 and json, by the topic's config and by a name's :format.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/lines" "$mnt/topics/raw" "$mnt/topics/len32" "$mnt/topics/json"
for format in raw len32 json; do
	sed "s/^format.*/format = $format/" "$mnt/topics/$format/config" > "$work/config"
	cat "$work/config" > "$mnt/topics/$format/config"
	grep -qx "format *= *$format" "$mnt/topics/$format/config" || fail "config is not $format"
done

# The same three messages, each written in its topic's own way.
printf 'one\n\ntwo\0\n' >> "$mnt/topics/lines/q0"
for body in 'one' '' 'two\0'; do
	# an empty write(2) is no write: the second message is none here
	# shellcheck disable=SC2059
	printf "$body" >> "$mnt/topics/raw/q0"
done
printf '\0\0\0\3one\0\0\0\0\0\0\0\4two\0' > "$work/len32"
dd if="$work/len32" of="$mnt/topics/len32/q0" bs=5 oflag=append conv=notrunc status=none
printf '{"body":"one"}\n{"body64":""}\n{"body":"two\\u0000"}\n' >> "$mnt/topics/json/q0"

for topic in lines len32 json; do
	q=$mnt/topics/$topic/q0
	want 3 "$(xattr max_offset "$q")" "messages of $topic"
	cat "$q:format=len32" > "$work/got.len32"
	want_same "$work/len32" "$work/got.len32" "$topic as len32"
	printf 'onetwo\0' > "$work/raw"
	cat "$q:format=raw" > "$work/got.raw"
	want_same "$work/raw" "$work/got.raw" "$topic as raw"
	want 0,1,2 "$(python3 -c '
import json, sys
print(",".join(str(json.loads(line)["queueOffset"]) for line in sys.stdin))' < "$q:format=json")" "$topic as json"
done
want 2 "$(xattr max_offset "$mnt/topics/raw/q0")" "messages of raw"

# What json gives, json takes.
cat "$mnt/topics/lines/q0:format=json" >> "$mnt/topics/lines/q1:format=json"
cat "$mnt/topics/lines/q0" > "$work/q0"
cat "$mnt/topics/lines/q1" > "$work/q1"
want_same "$work/q0" "$work/q1" "through json and back"

fails_with EINVAL bash -c "echo '{\"body\":' >> '$mnt/topics/json/q0'"
fails_with EINVAL bash -c "echo '{\"boody\":\"x\"}' >> '$mnt/topics/json/q0'"
want 3 "$(xattr max_offset "$mnt/topics/json/q0")" "messages after bad json"
