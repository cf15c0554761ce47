#!/bin/bash
# Queues and messages tell about themselves in user.mqfs.* attributes.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
seq_lines 0 4 >> "$mnt/topics/t/q2"
want 0 "$(xattr min_offset "$mnt/topics/t/q2")" "min_offset"
want 5 "$(xattr max_offset "$mnt/topics/t/q2")" "max_offset"

id=$(python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["msgId"])' < "$mnt/topics/t/q2@3:format=json")
message=$mnt/messages/$id
want 'line 3' "$(cat "$message")" "the message by its id"
want 'line 3' "$(cat "$mnt/messages/${id,,}")" "the message by its id in lower case"
want t "$(xattr topic "$message")" "topic"
want 2 "$(xattr queue_id "$message")" "queue_id"
want 3 "$(xattr queue_offset "$message")" "queue_offset"
getfattr -d --absolute-names "$message" | grep -q user.mqfs.phy_offset || fail "phy_offset is not listed"
want "" "$(ls "$mnt/messages")" "messages are not listed"
fails_with ENOENT cat "$mnt/messages/${id:0:28}FFFF"
if xattr no_such "$message" 2> /dev/null; then fail "there is a user.mqfs.no_such"; fi

# Whatever names a message's properties have, what is listed can be read.
python3 - "$mnt" << 'END'
import json, os, sys
mnt = sys.argv[1]
def listed(key, properties):
    with open(mnt + "/topics/t/q0:format=json", "ab", buffering=0) as queue:
        queue.write(json.dumps({"body": "b", "keys": key, "properties": properties}).encode() + b"\n")
    path = mnt + "/messages/" + key
    values = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return {name[16:]: value.decode() for name, value in values.items() if name.startswith("user.mqfs.prop.x")}
def want(wanted, got):
    if wanted != got:
        sys.exit("wanted %s, got %s" % (wanted, got))
want({"f" * 239: "just fits", "\n=": "odd"}, listed("names", {"x" + "f" * 239: "just fits", "x" + "f" * 240: "does not", "x\n=": "odd"}))
many = listed("many", {"x%d" % i: "v" for i in range(3900)})
want(True, 2900 < len(many) < 3900)
END
