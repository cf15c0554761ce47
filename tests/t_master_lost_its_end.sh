#!/bin/bash
# A SYNC_MASTER with ASYNC_FLUSH comes back from a power cut without what its slave has and it had
# acknowledged: the slave keeps it and says so, no write succeeds, and after a promotion all is there.
. "$top_builddir/tests/functions.sh"
requires_fuse

port_m=$(free_port) port_s=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
fast=haSendHeartbeatInterval=300,haHousekeepingInterval=60000,slaveTimeout=${patience}000
fast+=,haListen=127.0.0.1,flushDiskType=ASYNC_FLUSH
rare=flushIntervalCommitLog=3600000,flushIntervalConsumeQueue=3600000,flushConsumerOffsetInterval=3600000
start_master() { start_mqfs "$work/m" "$master" -o "brokerRole=$1,listenPort=$port_m,$fast,$rare"; }
ha_of_master=127.0.0.1:$((port_m + 1)) ha_of_slave=127.0.0.1:$((port_s + 1))
says() { grep -q "$2" "$1"; }
follows() { [ "$(cat "$1/status/replication/master/state")" = transfer ]; }

# lose_power   of what the master has not synced nothing is left
lose_power() {
	local flushed
	flushed=$(cat "$master/status/flushed")
	[ "$flushed" -lt "$(written "$master")" ] || fail "all of the master's log was on its disk"
	kill_mqfs "$master"
	truncate -s "$flushed" "$work/m/commitlog/00000000000000000000"
	truncate -s 1048576 "$work/m/commitlog/00000000000000000000"
}

rare+=,mappedFileSizeCommitLog=1048576,maxMessageSize=65536
start_master SYNC_MASTER
echo degrade > "$master/config/onSlaveUnavailable"
mkdir "$master/topics/t"
echo fail > "$master/config/onSlaveUnavailable"
start_mqfs "$work/s" "$slave" -o "role=slave,master=$ha_of_master,listenPort=$port_s,$fast,mappedFileSizeCommitLog=1048576"
usable() { sh -c "echo probe >> '$master/topics/t/q1'" 2> /dev/null; }
eventually 20 usable
sync "$master/topics/t/q1"
seq_lines 1 100 >> "$master/topics/t/q0"
lose_power

start_master SYNC_MASTER
want '' "$(cat "$master/topics/t/q0")" "what is left on the master's disk"
eventually 20 says "$slave/status/replication/trouble" 'its disk has lost what it may have acknowledged'
eventually 20 says "$master/status/log" 'promote the slave with the longest log'
fails_with EHOSTDOWN bash -c "echo new >> '$master/topics/t/q0'"
want "$(seq_lines 1 100)" "$(cat "$slave/topics/t/q0")" "what the slave has"
want '' "$(ls "$slave/lost+found")" "what the slave has given up"

# The slave becomes the master; the old one follows it and has all again.
echo degrade > "$slave/config/onSlaveUnavailable"
echo SYNC_MASTER > "$slave/config/brokerRole"
echo "$ha_of_slave" > "$master/config/master"
echo SLAVE > "$master/config/brokerRole"
eventually 20 follows "$master"
seq_lines 101 110 >> "$slave/topics/t/q0"
same() { cmp "$slave/topics/t/q0" "$master/topics/t/q0"; }
eventually 20 same
want "$(seq_lines 1 110)" "$(cat "$master/topics/t/q0")" "the queue of the old master"

# The other way: the operator gives it up.
echo SLAVE > "$slave/config/brokerRole"
echo ASYNC_MASTER > "$master/config/brokerRole"
echo "$ha_of_master" > "$slave/config/master"
eventually 20 follows "$slave"
echo SYNC_MASTER > "$master/config/brokerRole"
eventually 20 usable
sync "$master/topics/t/q1"
echo lost >> "$master/topics/t/q0"
lose_power
start_master SYNC_MASTER
eventually 20 says "$slave/status/replication/trouble" 'its disk has lost'
want lost "$(tail -n 1 "$slave/topics/t/q0")" "what the slave has"
echo ASYNC_MASTER > "$master/config/brokerRole"
eventually 20 follows "$slave"
eventually 20 same
want "$(seq_lines 1 110)" "$(cat "$slave/topics/t/q0")" "the queue of the slave"
grep -q lost "$slave"/lost+found/commitlog-* || fail "what was given up is not in lost+found"
echo SYNC_MASTER > "$master/config/brokerRole"
eventually 20 usable
stop_mqfs "$slave"
stop_mqfs "$master"
