#!/bin/bash
# What RocketMQ's producers send is a line for tail -f, and what >> appends is pulled by its consumers.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
scene() { timeout 100 python3 "$top_srcdir/tests/messages.py" "$port" "$@" >&9 2>&9 || fail "$1"; }

start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un)" -o "messageDelayLevel=1s 1s 1s 1s 1s 1s"
mkdir "$mnt/topics/orders"
printf '%s\n' one two three >> "$mnt/topics/orders/q0"
eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"

tail -n +1 -f "$mnt/topics/orders/q1" > "$work/seen" &
seen=$!
scene produced
saw_all() { [ "$(cat "$work/seen")" = "$(printf '%s\n' first second third fourth)" ]; }
eventually 20 saw_all
kill "$seen"
want a "$(getfattr --absolute-names --only-values -n user.mqfs.tags "$mnt/messages/$(sed -n '1s/.*"msgId":"\([0-9A-F]*\)".*/\1/p' "$mnt/topics/orders/q1:format=json")")" "the tag of what a client sent"

scene pulled one
scene waits "echo by a file >> '$mnt/topics/orders/q2'"
want "$(printf '%s\n' 'by a client' 'by a file')" "$(cat "$mnt/topics/orders/q2")" "both"
scene gone
scene later
mkdir "$mnt/topics/more"
scene senders "$mnt"
[ -n "$(find "$mnt/topics/more" -name producers)" ] || fail "producers is not listed"
scene moved
echo 2 > "$mnt/config/brokerPermission"
scene forbidden
echo 6 > "$mnt/config/brokerPermission"
scene sent_back
scene replies
stop_mqfs "$mnt"

start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un)" \
	-o storeReplyMessageEnable=false,longPollingEnable=false,shortPollingTimeMills=500
eventually 20 is_listened_to "$port"
scene replies false
scene short
stop_mqfs "$mnt"
