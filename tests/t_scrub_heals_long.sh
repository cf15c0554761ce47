#!/bin/bash
# A slave heals a message that is longer than an answer of its master, too.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
segment=33554432
large=mappedFileSizeCommitLog=$segment,maxMessageSize=16000000
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$large"
mkdir "$master/topics/t"
for i in 1 2 3; do
	head -c 15000000 /dev/urandom > "$work/message.$i"
	cat "$work/message.$i" >> "$master/topics/t/q0:whole"
	seq_lines 1 100 >> "$master/topics/t/q1"
done
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$large"
eventually 60 caught_up
first=00000000000000000000
eventually 60 test -e "$work/s/sums/$first"

dd if=/dev/urandom of="$work/s/commitlog/$first" bs=1M seek=20 count=2 conv=notrunc,fsync status=none
echo scrub > "$slave/ctl"
healed() { [ "$(cat "$slave/status/scrub_healed_bytes")" -gt 15000000 ]; }
eventually 60 healed
want_same "$work/m/commitlog/$first" "$work/s/commitlog/$first" "the segment"
want 0 "$(cat "$slave/status/scrub_bad_ranges")" "bad ranges"
want_same <(head -c 15000000 "$master/topics/t/q0@1..2:format=raw") "$work/message.2" "the message on the master"
want_same <(cat "$slave/topics/t/q0@1..2:format=raw") "$work/message.2" "the message on the slave"
