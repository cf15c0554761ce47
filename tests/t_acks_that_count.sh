#!/bin/bash
# A SYNC_MASTER believes its slaves, and nobody else: not a stranger who acknowledges all
# that it is sent, nor a process on a slave's host that says it has what it was not sent.
# A slave that comes back need not wait for the next message to be believed.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
fast=haSendHeartbeatInterval=300,haHousekeepingInterval=60000
start_master() {
	start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,slaveTimeout=${patience}000,$fast,$1"
}

# Connects to port $1 and begins at $2; with $3 it acknowledges what comes.
cat > "$work/stranger.py" <<'PY'
import socket, struct, sys

sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
position = int(sys.argv[2])
sock.sendall(struct.pack(">q", position))
stream = sock.makefile("rb")
while True:
    head = stream.read(12)
    if len(head) < 12:
        break
    start, length = struct.unpack(">qi", head)
    stream.read(length)
    print(start + length, flush=True)
    sock.sendall(struct.pack(">q", start + length if len(sys.argv) > 3 else position))
PY
heard() { grep -qx "$1" "$work/heard"; }
stranger() { python3 "$work/stranger.py" "$((port + 1))" "$@" > "$work/heard" & strangers_pid=$!; }

start_master brokerRole=ASYNC_MASTER
mkdir "$master/topics/t"
q=$master/topics/t/q0
echo first >> "$q"
stranger 1 acks
eventually 20 heard "$(written "$master")"
echo SYNC_MASTER > "$master/config/brokerRole"
fails_with EHOSTDOWN bash -c "echo nobody >> '$q'"
want first "$(cat "$q")" "nothing was stored"
kill "$strangers_pid"

start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$fast"
usable() { sh -c "echo probe >> '$q'" 2> /dev/null; }
eventually 20 usable

# The slave stops; somebody else there says that it has the log up to its end.
pid=$(cat "$slave/status/pid")
kill -STOP "$pid"
eventually 20 is_stopped "$pid"
echo 1000 > "$master/config/slaveTimeout"
fails_with ETIMEDOUT bash -c "echo late >> '$q'"
stranger "$(written "$master")"
eventually 20 heard "$(written "$master")"
size=$(stat -c %s "$q")
again="import os; os.pwrite(os.open('$q', os.O_WRONLY), b'late\n', $((size - 5)))"
fails_with ETIMEDOUT python3 -c "$again"
kill "$strangers_pid"
kill -CONT "$pid"
echo "${patience}000" > "$master/config/slaveTimeout"
python3 -c "$again"

# The master is another process now and knows nothing of before; nothing new is written.
stop_mqfs "$master"
start_master brokerRole=SYNC_MASTER
in_sync() { python3 -c "$again" 2> /dev/null; }
eventually 20 in_sync
want "$(cat "$q")" "$(cat "$slave/topics/t/q0")" "both have the same"
