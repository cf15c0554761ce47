#!/bin/bash
# A master whose store was put back from an old copy goes another way in the same epoch:
# its slaves notice, change nothing, and both sides say so.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port) other=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
small=mappedFileSizeCommitLog=65536,maxMessageSize=20000,haSendHeartbeatInterval=300,haHousekeepingInterval=3000
slave_options=role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$small
start_master() { start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$small"; }
trouble() { grep -q "$1" "$slave/status/replication/trouble"; }

start_master
mkdir "$master/topics/t"
seq 500 >> "$master/topics/t/q0"
start_mqfs "$work/s" "$slave" -o "$slave_options"
eventually 30 caught_up
stop_mqfs "$master"
cp -a "$work/m" "$work/copy"
start_master
seq 501 1500 >> "$master/topics/t/q0"
eventually 30 caught_up
stop_mqfs "$slave"
stop_mqfs "$master"

rm -r "$work/m"
mv "$work/copy" "$work/m"
start_master
seq 50001 55000 >> "$master/topics/t/q0"	# it is longer than the slave's by now
start_mqfs "$work/s" "$slave" -o "$slave_options"
end=$(written "$slave")
eventually 20 trouble 'its log has other bytes than ours'
eventually 20 grep -q 'refuses this broker: its log has other bytes' "$master/status/log"
want "$end" "$(written "$slave")" "the end of the slave's log"
want "$(seq 1500)" "$(cat "$slave/topics/t/q0")" "what only the slave has now"

# Somebody has to decide which of the two it is: here it is the slave's.
echo ASYNC_MASTER > "$slave/config/brokerRole"
stop_mqfs "$slave"
start_mqfs "$work/s" "$slave" -o "haListen=127.0.0.1,listenPort=$other,$small"
stop_mqfs "$master"
rm -r "$work/m"
start_mqfs "$work/m" "$master" -o "role=slave,master=127.0.0.1:$((other + 1)),haListen=127.0.0.1,listenPort=$port,$small"
eventually 30 caught_up "$slave" "$master"
want "$(seq 1500)" "$(cat "$master/topics/t/q0")" "the old master's copy"
