#!/bin/bash
# A RocketMQ slave of an mqfs master has its log, and a SYNC_MASTER waits for it.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

new_port master
here=127.0.0.1:${port[master]} ha=127.0.0.1:$((port[master] + 1))
long=$(printf '%01000d' 7)
start_mqfs "$work/m" "$mnt" -o "brokerName=interop,brokerIP1=127.0.0.1,listenPort=${port[master]},haListen=127.0.0.1,\
haSendHeartbeatInterval=300,slaveTimeout=1000,$mqfs_small"
mkdir "$mnt/topics/Orders"
q=$mnt/topics/Orders
echo 'before the slave' >> "$q/q0"

start_namesrv
start_slave() {
	start_broker s brokerRole=SLAVE brokerId=1 haMasterAddress="$ha" haSendHeartbeatInterval=300
}
start_slave
eventually 20 same_log s m
seq_lines 1 300 "$long" >> "$q/q1"
eventually 20 same_log s m

# A write that must be safe returns when the slave has it.
echo SYNC_MASTER > "$mnt/config/brokerRole"
for i in $(seq 50); do
	echo "order $i" >> "$q/q2"
	grep -qF "order $i" "$work"/s/commitlog/* || fail "the slave does not have order $i"
done
kill -STOP "${java[s]}"
fails_with ETIMEDOUT bash -c "echo late >> '$q/q2'"
kill -CONT "${java[s]}"
eventually 20 same_log s m
kill_broker s
fails_with EHOSTDOWN bash -c "echo nobody >> '$q/q2'"
start_slave
usable() { sh -c "echo again >> '$q/q2'"; }
eventually 20 usable
same_log s m || fail "the slave does not have what was stored safely"
kill_mqfs "$mnt"
