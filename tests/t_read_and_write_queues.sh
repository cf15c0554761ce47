#!/bin/bash
# A topic may have fewer queues to append to than to read, and fewer of both than there are, as RocketMQ's operators
# narrow it: clients are told so, `all` appends to no others, and what the others hold stays in the tree.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
start() {
	start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un)"
	eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"
}
numbers() { grep -o '"\(read\|write\)QueueNums": [0-9]*' "$work/store/config/topics.json" | sort | tr '\n' ' '; }

start
timeout 100 python3 "$top_srcdir/tests/messages.py" "$port" narrowed >&9 2>&9 || fail "narrowed"
topic=$mnt/topics/wide
want "$(printf 'old\nby one who has not heard of it')" "$(cat "$topic/q7")" "the queue that clients do not use any more"
grep -qx 'queues = 8' "$topic/config"
grep -qx 'readQueueNums = 2' "$topic/config"
grep -qx 'writeQueueNums = 2' "$topic/config"
for _ in {1..20}; do echo spread >> "$topic/all"; done
want 20 "$(cat "$topic/q0" "$topic/q1" | grep -c spread)" "lines in the queues to append to"
stop_mqfs "$mnt"
fsck.mqfs -n "$work/store"
want '"readQueueNums": 2 "writeQueueNums": 2 ' "$(numbers)" "what RocketMQ is told by the store"

# By files: as many as there are again, also of those that come.
start
grep -qx 'readQueueNums = 2' "$topic/config"
fails_with EINVAL bash -c "echo 'writeQueueNums = 9' > '$topic/config'"
grep -q 'writeQueueNums = 9: there are 8 queues' "$mnt/status/log" || fail "no reason: $(tail -n 3 "$mnt/status/log")"
printf 'queues = 10\nreadQueueNums = 0\nwriteQueueNums = 9\n' > "$topic/config"
stop_mqfs "$mnt"
want '"readQueueNums": 10 "writeQueueNums": 9 ' "$(numbers)" "what RocketMQ is told then"
