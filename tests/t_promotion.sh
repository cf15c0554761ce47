#!/bin/bash
# A mounted slave becomes the master, and a mounted master a slave, under who reads.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
small=mappedFileSizeCommitLog=65536,maxMessageSize=20000,haSendHeartbeatInterval=300,haHousekeepingInterval=3000
master_options=haListen=127.0.0.1,listenPort=$port,$small
slave_options=role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$small

start_mqfs "$work/m" "$master" -o "$master_options"
want 1 "$(cat "$master/status/epoch")" "the epoch of a new store"
mkdir "$master/topics/orders" "$master/groups/billing" "$master/groups/billing/orders"
seq 1000 >> "$master/topics/orders/q0"
start_mqfs "$work/s" "$slave" -o "$slave_options"
eventually 20 caught_up
want 1 "$(cat "$slave/status/epoch")" "the slave's epoch is the master's"
want 1 "$(cat "$slave/config/brokerId")" "the slave's number"

# A reader that sleeps at the end, and one in the middle, see nothing of it.
exec 5< "$slave/topics/orders/q0"
IFS= read -r first <&5
head -n 1 "$slave/topics/orders/q1:follow" > "$work/got" &
reader=$!
eventually 5 is_waiting "$reader"

fails_with EROFS sh -c "echo no >> '$slave/topics/orders/q1'"
fails_with EINVAL bash -c "echo EMPEROR > '$slave/config/brokerRole'"
kill_mqfs "$master"
echo SYNC_MASTER > "$slave/config/brokerRole"
echo ASYNC_MASTER > "$slave/config/brokerRole"
want ASYNC_MASTER "$(cat "$slave/status/role")" "the role"
want 0 "$(cat "$slave/config/brokerId")" "the number of a master"
want 2 "$(cat "$slave/status/epoch")" "the epoch after the promotion"
echo mine >> "$slave/topics/orders/q1"
wait "$reader"
want mine "$(cat "$work/got")" "what the sleeping reader was woken by"
want "$(seq 1000)" "$(echo "$first"; cat <&5)" "the reader in the middle"
exec 5<&-
mkdir "$slave/topics/mine"
echo 10 > "$slave/groups/billing/orders/q0.offset"
mqdump "$work/s" | grep '"op":"epoch".*epoch 1 from 0 on, by store' > /dev/null
mqdump "$work/s" | grep '"op":"epoch".*epoch 2 from [1-9][0-9]* on, by store' > /dev/null

# And back: whoever has a queue open for appending hears of it.
exec 6>> "$slave/topics/orders/q2"
echo before >&6
echo SLAVE > "$slave/config/brokerRole"
fails_with EROFS bash -c 'echo after >&6'
exec 6>&-
fails_with EROFS mkdir "$slave/topics/no"
want SLAVE "$(cat "$slave/status/role")" "the role"
want 1 "$(cat "$slave/config/brokerId")" "the number of a slave"
want before "$(cat "$slave/topics/orders/q2")" "what was appended while it was one"

# A slave without a master follows nobody, and says so.
echo > "$slave/config/master"
want "" "$(cat "$slave/config/master")" "no master"
eventually 5 grep -q 'without a master' "$slave/status/replication/trouble"
echo ASYNC_MASTER > "$slave/config/brokerRole"
want 3 "$(cat "$slave/status/epoch")" "the epoch after another promotion"
echo again >> "$slave/topics/orders/q2"
stop_mqfs "$slave"
fsck.mqfs -n "$work/s"

# A clean exit of a master begins no epoch, a crash does.
start_mqfs "$work/s" "$slave" -o "haListen=none,listenPort=$((port + 4)),$small"
want 3 "$(cat "$slave/status/epoch")" "the epoch after a clean exit"
want "$(printf 'before\nagain')" "$(cat "$slave/topics/orders/q2")" "all that was appended"
kill_mqfs "$slave"
start_mqfs "$work/s" "$slave" -o "haListen=none,listenPort=$((port + 4)),$small"
want 4 "$(cat "$slave/status/epoch")" "the epoch after a crash"
stop_mqfs "$slave"
fsck.mqfs -n "$work/s"
