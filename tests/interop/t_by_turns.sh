#!/bin/bash
# RocketMQ and mqfs run on one store by turns, its commit log on another path: each knows the topics,
# groups and offsets of the other, nothing is consumed twice, nothing that was delayed comes again.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq
requires_tool python3

start_namesrv
elsewhere=(storePathCommitLog="$work/elsewhere/log" storePathConsumeQueue="$work/nowhere")
start_broker m "${elsewhere[@]}"
rocketmq <<END
topic 127.0.0.1:${port[m]} Orders 1
topic 127.0.0.1:${port[m]} Late 1
batch Orders 0 30 from RocketMQ
send Late 0 - - 1 delayed
consume G Late * 1
consume G Orders * 30
END
stop_broker m

# What mqfs does not know of a topic or a group: 5.x has a topic's type there.
attributes() { python3 -c 'import json, sys
for name, table in ("topics", "topicConfigTable"), ("subscriptionGroup", "subscriptionGroupTable"):
    of = json.load(open("%s/config/%s.json" % (sys.argv[1], name)))[table]
    print({key: (of[key].get("attributes"), of[key].get("notifyConsumerIdsChangedEnable")) for key in ("Orders", "G") if key in of})
' "$work/$1"; }
if [ "$rocketmq_version" = "$newest" ]; then
	sed -i '/"Orders":{/,/}/s/"attributes":{}/"attributes":{"message.type":"NORMAL"}/' "$work/m/config/topics.json"
	grep -q message.type "$work/m/config/topics.json"
fi
attributes m > "$work/attributes"

# The broker's own file, unchanged.
options=conf=$work/m.conf,brokerName=interop
start_mqfs "$work/m" "$mnt" -o "$options"
want 'delayed' "$(cat "$mnt/topics/Late/q0")" "delivered before"
want 30 "$(cat "$mnt/groups/G/Orders/q0.offset")" "where RocketMQ's consumers were"
seq_lines 1 40 'from mqfs' >> "$mnt/topics/Orders/q0"
want "$(seq_lines 1 40 'from mqfs')" "$(cat <> "$mnt/groups/G/Orders/q0")" "consumed here"
mkdir "$mnt/topics/Made" "$mnt/groups/H" "$mnt/groups/H/Made"
seq_lines 1 9 made >> "$mnt/topics/Made/q0"
want "$(seq_lines 1 4 made)" "$(head -n 4 <> "$mnt/groups/H/Made/q0")" "of a new topic, by a new group"
echo 4 > "$mnt/groups/H/Made/q0.offset"
mkdir "$mnt/.snapshots/s"
cp -r "$mnt/.snapshots/s" "$work/copy"
stop_mqfs "$mnt"
sound_store m
for store in m copy; do
	attributes "$store" | diff "$work/attributes" - >&9 || fail "$store: what RocketMQ alone knows is lost"
done

# Consumers tell the broker as they leave, and do not wait for it.
is_committed() {
	rocketmq <<-END
		offsets G Orders
		offsets H Made
		offsets G Late
	END
	[ "$(answer 1) $(answer 2 | head -n 1) $(answer 3)" = "0 71 71 0 9 9 0 2 2" ]
}

# not_again NAME   on the broker's store: what was consumed here, or delayed, does not come again
not_again() {
	rocketmq <<-END
		send Orders 0 - - - one more
		send Late 0 - - 1 delayed, too
		consume G Orders * 1
		consume H Made * 5
		consume G Late * 1
	END
	want "Orders 0 000070 - - one more" "$(answer 3)" "$1: the group goes on where it was"
	want "$(seq_lines 5 9 made)" "$(bodies 4)" "$1: the topic and the group that mqfs made"
	want "Late 0 000001 - - delayed, too" "$(answer 5)" "$1: delayed messages come once"
	eventually 60 is_committed
	stop_broker "$1"
}
start_broker m "${elsewhere[@]}"
not_again m
start_mqfs "$work/m" "$mnt" -o "$options"
want "71 9 2" "$(cd "$mnt/groups" && cat G/Orders/q0.offset H/Made/q0.offset G/Late/q0.offset | xargs)" \
	"what RocketMQ's consumers have consumed meanwhile"
stop_mqfs "$mnt"

start_broker copy
not_again copy
if grep 'correct delay offset' "$work/rocketmq.copy.log" >&9; then fail "delayed messages come again"; fi
start_mqfs "$work/copy" "$mnt" -o "$mqfs_small"
want "71 9 2" "$(cd "$mnt/groups" && cat G/Orders/q0.offset H/Made/q0.offset G/Late/q0.offset | xargs)" "the copy"
stop_mqfs "$mnt"
sound_store copy

# A mount that is killed has written them, too, a moment ago.
start_mqfs "$work/m" "$mnt" -o "$options,flushConsumerOffsetInterval=100,flushIntervalConsumeQueue=50"
seq_lines 1 5 'before the kill' >> "$mnt/topics/Orders/q0"
cat <> "$mnt/groups/G/Orders/q0" > "$work/got"
is_told() { grep -A 3 '"Orders@G"' "$work/m/config/consumerOffset.json" | grep -q 76; }
eventually 20 is_told
kill_mqfs "$mnt"
start_broker m "${elsewhere[@]}"
rocketmq <<END
send Orders 0 - - - after it
consume G Orders * 1
END
want "Orders 0 000076 - - after it" "$(answer 2)" "after kill -9"
stop_broker m
