#!/bin/bash
# A RocketMQ slave is told by remoting calls what topics, groups and offsets there are,
# and RocketMQ's clients may ask and set an offset.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
start_mqfs "$work/store" "$mnt" -o "listenPort=$port,haListen=127.0.0.1"
mkdir "$mnt/topics/orders" "$mnt/groups/billing" "$mnt/groups/billing/orders"
seq 40 >> "$mnt/topics/orders/q0"

# call CODE [NAME=VALUE...]   code, ext fields and body of the answer
call() {
	PYTHONPATH=$top_srcdir/tests timeout 100 python3 - "$port" "$@" <<-'END'
	import json, struct, sys
	import remoting

	port, code = int(sys.argv[1]), int(sys.argv[2])
	ext = dict(word.split("=", 1) for word in sys.argv[3:])
	sock = remoting.connect(port)
	sock.sendall(remoting.request(remoting.JSON, code, ext=ext))
	length, head = struct.unpack(">iI", remoting.receive(sock, 8))
	header = json.loads(remoting.receive(sock, head & 0xffffff))
	body = remoting.receive(sock, length - 4 - (head & 0xffffff))
	body = struct.unpack(">%dq" % (len(body) // 8), body) if code == 60 else body.decode()
	print(header["code"], json.dumps(header.get("extFields") or {}), body)
	END
}
place=(consumerGroup=billing topic=orders queueId=0)
at() { cat "$mnt/groups/billing/orders/q0.offset"; }

eventually 10 call 43
offsets() { call 43 | sed 's/"dataVersion":{"counter":[0-9]*,"timestamp":[0-9]\{13\}}/VERSION/'; }
want '0 {} {"offsetTable":{"orders@billing":{0:0,1:0,2:0,3:0,4:0,5:0,6:0,7:0}},VERSION}' "$(offsets)" "offsets"
want '0 {} {"offsetTable":{}}' "$(call 45)" "delays"

# What slaves of 5.x ask besides: no group has its messages popped, and of timers nothing
# is left to be read.
want '0 {} {"messageRequestModeMap":{}}' "$(call 402)" "modes"
want '0 {} {"timingCount":{},"dataVersion":{"counter":0,"stateVersion":0,"timestamp":0}}' "$(call 61)" "metrics"
before=$(date +%s)000
read -r -a timers <<< "$(call 60 | tr -d '(),')"
want "0 {} 0 0 0 0 0 0" "${timers[0]} ${timers[1]} ${timers[*]:3}" "timers"
[ "${timers[2]}" -ge "$before" ] && [ "${timers[2]}" -le "$(date +%s)000" ]
call 21 | grep '"topicConfigTable":{"orders":{"topicName":"orders","readQueueNums":8,"writeQueueNums":8,"perm":6,' > /dev/null
call 201 | grep '"subscriptionGroupTable":{"billing":{"groupName":"billing","consumeEnable":true,' > /dev/null
before=$(call 21 | grep -o '"dataVersion":.*')
eventually 10 test -d "$mnt/topics/MQFS_META"	# found in the store a moment later, and not told
want "$before" "$(call 21 | grep -o '"dataVersion":.*')" "the version of what has not changed"
mkdir "$mnt/topics/more"
[ "$before" != "$(call 21 | grep -o '"dataVersion":.*')" ]

# Offsets: forward only, but for a reset.
commit() { call 15 "${place[@]}" "$@"; }
want '0 {} ' "$(commit commitOffset=12)" "a commit"
want 12 "$(at)" "committed by a client"
want '0 {"offset": "12"} ' "$(call 14 "${place[@]}")" "asked for"
want '0 {} ' "$(commit commitOffset=7)" "a lower one is taken"
want 12 "$(at)" "but has no effect"
want '0 {} ' "$(commit commitOffset=1000)" "one too high"
want 40 "$(at)" "is the end"
want '0 {} ' "$(commit commitOffset=5 reset=true)" "a reset"
want 5 "$(at)" "reset by a client"
want '0 {} ' "$(commit commitOffset=9 seen=0)" "of before the reset"
want 5 "$(at)" "it was overtaken"

# What cannot be is refused, each with RocketMQ's code.
code() { call "$@" | cut -d ' ' -f 1; }
want 17 "$(code 15 consumerGroup=billing topic=none queueId=0 commitOffset=1)" "no such topic"
want 17 "$(code 15 consumerGroup=billing topic=orders queueId=99 commitOffset=1)" "no such queue"
want 26 "$(code 15 consumerGroup=none topic=orders queueId=0 commitOffset=1)" "no such group"
want 24 "$(code 15 consumerGroup=billing topic=more queueId=0 commitOffset=1)" "no such subscription"
want 22 "$(code 14 consumerGroup=billing topic=more queueId=0)" "no offset"
want 1 "$(code 15 topic=orders queueId=0)" "fields missing"
for bad in commitOffset=x commitOffset=-1 commitOffset=99999999999999999999 'commitOffset=1 seen=y'; do
	# shellcheck disable=SC2086	# words are wanted
	want 1 "$(code 15 "${place[@]}" $bad)" "$bad"
done
want 3 "$(code 999)" "a code of nobody"
want 5 "$(at)" "nothing of that"
stop_mqfs "$mnt"
