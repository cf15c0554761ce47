#!/bin/bash
# What is consumed from a slave is committed on its master; while that is away it is
# kept, served here, and told when the master is back.  No offset moves back by itself.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
small=mappedFileSizeCommitLog=65536,maxMessageSize=20000,haSendHeartbeatInterval=300
master_options=haListen=127.0.0.1,listenPort=$port,flushConsumerOffsetInterval=300,$small
slave_options=role=slave,master=127.0.0.1:$((port + 1)),listenPort=$((port + 5)),haListen=none,slaveTimeout=${patience}000,$small

follows() { [ "$(cat "$slave/status/replication/master/state")" = transfer ]; }
at() { cat "$1/groups/g/t/q${2:-0}.offset"; }
is_at() { [ "$(at "$1" "$2")" = "$3" ]; }
debts() { cat "$slave/status/debts"; }
no_debts() { [ "$(debts)" = 0 ]; }
# consume MNT COUNT   reads so many messages, and asks for one more
consume() {
	local i
	for ((i = 0; i <= $2; i++)); do IFS= read -r; done <> "$1/groups/g/t/q0"
}

start_mqfs "$work/m" "$master" -o "$master_options"
mkdir "$master/topics/t" "$master/groups/g"
echo 'consumeFromWhere = first' > "$master/groups/g/config"
mkdir "$master/groups/g/t"
seq 100 >> "$master/topics/t/q0"
seq 100 >> "$master/topics/t/q1"
start_mqfs "$work/s" "$slave" -o "$slave_options"
eventually 20 caught_up
eventually 10 follows

# The master hears of it at once, and by its log the slave hears that it has.
consume "$slave" 10
want 10 "$(at "$slave")" "the slave's offset"
eventually 5 is_at "$master" 0 10
sync "$slave/groups/g/t/q0.offset"
eventually 10 no_debts
want 10 "$(at "$slave")" "the slave's offset when the log says so, too"

# Resets go the same way, either way; and so do compare and set, and a time.
echo 50 > "$slave/groups/g/t/q0.offset"
echo 5 > "$slave/groups/g/t/q0.offset"
eventually 5 is_at "$master" 0 5
echo '5 7' > "$slave/groups/g/t/q0.offset"
fails_with ESTALE bash -c "echo '5 9' > '$slave/groups/g/t/q0.offset'"
eventually 5 is_at "$master" 0 7
touch -d '1 hour ago' "$slave/groups/g/t/q1.offset"
sync "$slave/groups/g/t/q1.offset"
want 0 "$(at "$master" 1)" "reset by time"
echo last > "$master/groups/g/t/q1.offset"
eventually 5 is_at "$slave" 1 100
fails_with EROFS mkdir "$slave/groups/mine"

# The master is away: it is kept on this disk, also when the slave is killed.
eventually 10 no_debts
kill_mqfs "$master"
consume "$slave" 20
echo 30 > "$slave/groups/g/t/q1.offset"
want "27 30" "$(at "$slave") $(at "$slave" 1)" "commits without a master"
eventually 10 bash -c "! [ \"\$(cat '$slave/status/replication/master/state')\" = transfer ]"
fails_with EHOSTDOWN sync "$slave/groups/g/t/q0.offset"
want 2 "$(debts)" "what the master does not know"
kill_mqfs "$slave"
start_mqfs "$work/s" "$slave" -o "$slave_options"
want "27 30" "$(at "$slave") $(at "$slave" 1)" "after the slave was killed"
consume "$slave" 3

# Somebody has committed more, meanwhile, on the master: that counts.
start_mqfs "$work/m" "$master" -o "haListen=none,$small"
echo +60 > "$master/groups/g/t/q0.offset"
want 67 "$(at "$master")" "the master's own"
stop_mqfs "$master"
start_mqfs "$work/m" "$master" -o "$master_options"
eventually 20 is_at "$slave" 0 67
eventually 10 is_at "$master" 1 30
eventually 10 no_debts
want "67 30" "$(at "$slave") $(at "$slave" 1)" "both know of all"

# What is owed when the slave becomes the master is in its log.
kill_mqfs "$master"
consume "$slave" 5
echo 11 > "$slave/groups/g/t/q1.offset"
echo ASYNC_MASTER > "$slave/config/brokerRole"
sync "$slave/groups/g/t/q0.offset"
want "72 11" "$(at "$slave") $(at "$slave" 1)" "after the promotion"
kill_mqfs "$slave"
start_mqfs "$work/s" "$slave" -o "haListen=none,$small"
want "72 11" "$(at "$slave") $(at "$slave" 1)" "after its crash"
want 0 "$(debts)" "a master owes nobody"
stop_mqfs "$slave"
fsck.mqfs -n "$work/s"
