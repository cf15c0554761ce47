#!/bin/bash
# A RocketMQ slave of an mqfs master has its log, and serves it to RocketMQ's consumers when the
# master is gone; a SYNC_MASTER waits for it.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

port[master]=$(free_port)
here=127.0.0.1:${port[master]} ha=127.0.0.1:$((port[master] + 1))
long=$(printf '%01000d' 7)
q=$mnt/topics/Orders
start_master() {
	start_mqfs "$work/m" "$mnt" -o "brokerName=interop,brokerIP1=127.0.0.1,haListen=127.0.0.1,haAllow=127.0.0.1,listenPort=${port[master]}" \
		-o "haSendHeartbeatInterval=300,slaveTimeout=${patience}000,$mqfs_small"
}
start_master
mkdir "$q"
echo 'before the slave' >> "$q/q0"

# A name server tells the slave who its master is; 5.5.0 does not find one by haMasterAddress.
start_namesrv
start_registrar interop "$here" "$ha" Orders

# start_slave NAME ID
start_slave() {
	start_broker "$1" brokerRole=SLAVE brokerId="$2" haSendHeartbeatInterval=300 slaveReadEnable=true
}
start_slave s 1
eventually 60 same_log s m
seq_lines 1 200 "$long" >> "$q/q1"
mkdir -p "$mnt/groups/G/Orders"
echo 150 > "$mnt/groups/G/Orders/q1.offset"
echo '{"body":"hello rocket","tags":"TagA","keys":"k1"}' >> "$q/q3:format=json"
eventually 60 same_log s m

# The master dies, and comes back.
kill_mqfs "$mnt"
start_master
echo 'after its death' >> "$q/q0"
eventually 60 same_log s m

# A write that must be safe returns when the slave has it.
echo SYNC_MASTER > "$mnt/config/brokerRole"
for i in $(seq 50); do
	echo "order $i" >> "$q/q2"
	grep -qF "order $i" "$work"/s/commitlog/* || fail "the slave does not have order $i"
done
echo 1000 > "$mnt/config/slaveTimeout"
kill -STOP "${java[s]}"
eventually 20 is_stopped "${java[s]}"
fails_with ETIMEDOUT bash -c "echo late >> '$q/q2'"
kill -CONT "${java[s]}"
echo "${patience}000" > "$mnt/config/slaveTimeout"
eventually 60 same_log s m
kill_broker s
is_left() { grep -qx gone "$mnt"/status/replication/*/state; }
eventually 5 is_left
fails_with EHOSTDOWN bash -c "echo nobody >> '$q/q2'"
start_slave s 1
usable() { sh -c "echo again >> '$q/q2'"; }
eventually 60 usable
same_log s m || fail "the slave does not have what was stored safely"

# A slave that comes late gets all that is retained, which a RocketMQ master does not give it.
start_slave late 2
eventually 60 same_log late m
kill_broker late

# Consumers find the slave when the master has left the name server.
slave_knows() {
	grep -q '"Orders"' "$work/s/config/topics.json" &&
		tr -d '[:space:]' < "$work/s/config/consumerOffset.json" | grep -q '"Orders@G":{[^}]*1:150'
}
eventually 60 slave_knows
if grep -E 'NullPointer|not supported' "$work/rocketmq.s.log" >&9; then fail "the slave does not like an answer"; fi
kill_broker registrar
rocketmq <<END
consume G Orders TagA 1
consume Another Orders * $(cat "$q"/q? | wc -l)
END
want "Orders 3 000000 TagA k1 hello rocket" "$(answer 1)" "by tag"
want "$(cat "$q"/q?)" "$(bodies 2)" "all of it"
