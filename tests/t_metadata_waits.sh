#!/bin/bash
# mkdir, rmdir, chmod, chown, access lists, configurations, commands, offsets and what is sent back, also over
# the network, are writes like any other: with SYNC_FLUSH they wait for the disk; a SYNC_MASTER without slaves
# refuses them and stores nothing, and with slaves it answers when these have them.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool setfacl

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"

# Each changes something that is in the log, and can be done again and again.
n=0
changes=(make change_mode change_owner set_acl drop_acl configure subscribe configure_group set_expression reset
	touch_offset send_back command remove)
make() { mkdir "$master/topics/new"; }
change_mode() { chmod "0$((700 + n++ % 8))" "$master/topics/t/q0"; }
change_owner() { chown "$(id -u):$(id -g)" "$master/topics/t"; }
set_acl() { setfacl -m "u:$((1 + n++)):rx" "$master/topics/t"; }
drop_acl() { setfacl -b "$master/topics/t"; }
configure() { echo "fileReservedTime = $((++n))" > "$master/topics/t/config"; }
subscribe() { mkdir "$master/groups/g/new"; }
configure_group() { echo "retryMaxTimes = $((++n))" > "$master/groups/g/config"; }
set_expression() { echo '*' > "$master/groups/g/t/subscription"; }
reset() { echo "$((n++ % 4))" > "$master/groups/g/t/q0.offset"; }
touch_offset() { touch "$master/groups/g/t/q0.offset"; }
send_back() { echo '0 dlq' > "$master/groups/g/t/q1.retry"; }
command() { echo "trim q0 $((++n > 0))" > "$master/topics/t/ctl"; }
remove() { rmdir "$master/groups/g/new" && rmdir "$master/topics/new"; }

# ask CODE FIELD=VALUE...   A client's request: the code of the answer, and why
ask() {
	PYTHONPATH=$top_srcdir/tests timeout 200 python3 - "$port" "$@" << 'END'
import sys, remoting
sock = remoting.connect(int(sys.argv[1]))
sock.settimeout(180)
sock.sendall(remoting.request(remoting.JSON, int(sys.argv[2]), ext=dict(f.split("=", 1) for f in sys.argv[3:])))
_, code, _, _, remark, _ = remoting.response(sock)
print(code, remark or "")
END
}
bad_pos() { od -An -t d8 --endian=big -N 8 "$master/consumequeue/t/1/00000000000000000000" | tr -d ' '; }
client_sends_back() { ask 36 group=g "offset=$(bad_pos)" delayLevel=-1; }
client_looks() { ask 30 topic=t queueId=0; }

options=listen=127.0.0.1,remotingUser=$(id -un),brokerRole=ASYNC_MASTER,listenPort=$port,slaveTimeout=${patience}000,haListen=127.0.0.1
options+=,flushIntervalCommitLog=3600000,flushIntervalConsumeQueue=3600000,flushConsumerOffsetInterval=3600000
options+=,haSendHeartbeatInterval=300,haHousekeepingInterval=60000
start_mqfs "$work/m" "$master" -o "$options,flushDiskType=SYNC_FLUSH"
mkdir "$master/topics/t" "$master/groups/g" "$master/groups/g/t"
seq 5 >> "$master/topics/t/q0"
echo bad >> "$master/topics/t/q1"
send_back				# makes the topic of dead letters

for change in "${changes[@]}"; do
	before=$(written "$master")
	"$change" || fail "$change"
	[ "$(written "$master")" -gt "$before" ] || fail "$change is not in the log"
	want "$(written "$master")" "$(cat "$master/status/flushed")" "on the disk after: $change"
done
before=$(written "$master")
want "0 " "$(client_sends_back)" "a client sends back"
[ "$(written "$master")" -gt "$before" ] || fail "what a client sends back is not in the log"
want "$(written "$master")" "$(cat "$master/status/flushed")" "on the disk after a client has sent back"
echo ASYNC_FLUSH > "$master/config/flushDiskType"
mkdir "$master/topics/plain"
[ "$(written "$master")" -gt "$(cat "$master/status/flushed")" ] || fail "ASYNC_FLUSH waited for the disk"

# No slave: nothing is stored; what is no metadata can be changed.
set_acl
echo SYNC_MASTER > "$master/config/brokerRole"
before=$(written "$master")
for change in "${changes[@]}"; do
	[ "$change" = remove ] && continue	# what could not be made
	fails_with EHOSTDOWN "$change"
done
fails_with EHOSTDOWN rmdir "$master/topics/plain"
want "$before" "$(written "$master")" "nothing was stored"
want "1 SLAVE_NOT_AVAILABLE" "$(client_sends_back)" "a client sends back"
echo SYNC_FLUSH > "$master/config/flushDiskType"
want "0 " "$(ask 17 topic=by_client defaultTopic=TBW102 readQueueNums=1 writeQueueNums=1 perm=6 topicSysFlag=0 \
	topicFilterType=SINGLE_TAG order=false)" "a client makes a topic, which waits for the disk alone"
echo ASYNC_FLUSH > "$master/config/flushDiskType"
echo scrub > "$master/ctl"
echo 2000 > "$master/config/slaveTimeout"
: > "$master/topics/t/config"
touch "$master/topics/t/q0"
echo degrade > "$master/config/onSlaveUnavailable"
mkdir "$master/topics/degraded"
echo fail > "$master/config/onSlaveUnavailable"

# A slave: it has each change when that returns.
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,haSendHeartbeatInterval=300"
usable() { chmod 0711 "$master/topics/plain" 2> /dev/null; }
eventually 20 usable
echo "${patience}000" > "$master/config/slaveTimeout"
for change in "${changes[@]}"; do
	"$change" || fail "$change"
	want "$(written "$master")" "$(written "$slave")" "in the slave's log after: $change"
done
want "0 " "$(client_sends_back)" "a client sends back"
want "$(written "$master")" "$(written "$slave")" "in the slave's log after a client has sent back"
for i in $(seq 20); do		# the slave's log has it, and its tree soon after
	mkdir "$master/topics/made$i"
	want "$(written "$master")" "$(written "$slave")" "in the slave's log after mkdir made$i"
	eventually 20 test -d "$slave/topics/made$i"
done

# Its broker stops: changes wait, and hold no thread of the master's.
pid=$(cat "$slave/status/pid")
kill -STOP "$pid"
eventually 20 is_stopped "$pid"
echo 60000 > "$master/config/slaveTimeout"
waiters=()
for i in $(seq 20); do
	chmod 0700 "$master/topics/made$i" &
	waiters+=($!)
done
client_sends_back > "$work/sent_back" &
waiters+=($!)
all_wait() { [ "$(cat "$master/status/waiting_requests")" -ge 20 ]; }
eventually 20 all_wait
want "$(seq 2 5)" "$(cat "$master/topics/t/q0")" "a reader meanwhile"
want "0 " "$(client_looks)" "another client meanwhile"
want "" "$(cat "$work/sent_back")" "a client whose message the slave does not have"
kill -CONT "$pid"
for waiter in "${waiters[@]}"; do
	wait "$waiter" || fail "a change that waited for its slave"
done
want "0 " "$(cat "$work/sent_back")" "a client that waited for the slave"

# In vain: that is said, and the change is made all the same.
kill -STOP "$pid"
eventually 20 is_stopped "$pid"
echo 500 > "$master/config/slaveTimeout"
fails_with ETIMEDOUT mkdir "$master/topics/late"
fails_with ETIMEDOUT chmod 0750 "$master/topics/made1"
want "1 FLUSH_SLAVE_TIMEOUT" "$(client_sends_back)" "a client's wait in vain"
kill -CONT "$pid"
echo "${patience}000" > "$master/config/slaveTimeout"
[ -d "$master/topics/late" ] || fail "a topic whose wait ran out is not there"
want 750 "$(stat -c %a "$master/topics/made1")" "its mode"
appears() { [ -d "$slave/topics/late" ]; }
eventually 20 appears
