#!/bin/bash
# A slave that was away for too long begins anew, and its old log is in lost+found: but not
# at the word of a peer that says so and has no record to show.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
hours=$(seq -s ';' -w 0 23)
small=mappedFileSizeCommitLog=1048576,maxMessageSize=65536,haSendHeartbeatInterval=300
opts=$small,listenPort=$port,haListen=127.0.0.1,fileReservedTime=24,deleteWhen=$hours
opts+=,cleanResourceInterval=100,deleteCommitLogFilesInterval=10,diskSpaceWarningLevelRatio=100
slave_opts=role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$small,fileReservedTime=9999
trouble() { grep -q "$1" "$slave/status/replication/trouble"; }
lines() { seq_lines "$1" "$2" 'a line of some length, so that a few segments are soon full: number'; }

start_mqfs "$work/m" "$master" -o "$opts"
mkdir "$master/topics/t"
lines 1 12000 >> "$master/topics/t/q0"
start_mqfs "$work/s" "$slave" -o "$slave_opts"
eventually 20 caught_up
stop_mqfs "$slave"
cp -r "$work/s/commitlog" "$work/old"
lines 12001 40000 >> "$master/topics/t/q0"
sync "$master/topics/t/q0"
touch -d '25 hours ago' "$work"/m/commitlog/0000000000000{0000000,1048576,2097152}
begins_at() { [ "$(cat "$master/status/begin")" = "$1" ]; }
eventually 20 begins_at 3145728
stop_mqfs "$master"

# The liar says what it has just heard of the slave, as a master whose log begins later.
cat > "$work/liar.py" <<'PY'
import json, socket, struct, sys, threading
import remoting

def serve(sock):
    while True:
        length, head = struct.unpack(">iI", remoting.receive(sock, 8))
        header = json.loads(remoting.receive(sock, head & 0xffffff))
        body = remoting.receive(sock, length - 4 - (head & 0xffffff))
        code = 0 if header["code"] == 0x6d71 else 1
        if code == 0:
            hello = json.loads(body)
            hello.update(role="ASYNC_MASTER", begin=3145728, end=3145728 + 4096, brokerId=0, instance="00" * 16)
            hello.pop("tail", None)
            body = json.dumps(hello).encode()
        reply = {"code": code, "flag": 1, "language": "JAVA", "opaque": header["opaque"],
                 "serializeTypeCurrentRPC": "JSON", "version": 409}
        sock.sendall(remoting.frame(remoting.JSON, json.dumps(reply).encode(), body if code == 0 else b""))

server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
PY
PYTHONPATH=$top_srcdir/tests python3 "$work/liar.py" "$port" 2> /dev/null &
liar=$!
eventually 20 is_listened_to "$port"
start_mqfs "$work/s" "$slave" -o "$slave_opts"
eventually 30 trouble 'the master does not give the log from 3145728 on'
want "$(lines 1 12000)" "$(cat "$slave/topics/t/q0")" "what the slave has"
want 0 "$(cat "$slave/status/cuts")" "cuts"
kill "$liar"
eventually 20 is_gone "$liar"

# The real one has it.
start_mqfs "$work/m" "$master" -o "$opts"
eventually 60 caught_up
begun() { [ "$(cat "$slave/status/begin")" = 3145728 ]; }
eventually 20 begun
want_same "$master/topics/t/q0" "$slave/topics/t/q0" "what both have"
want 1 "$(cat "$slave/status/cuts")" "cuts"
for segment in "$work"/old/*; do
	kept=$slave/lost+found/commitlog-${segment##*/}
	[ ! -e "$kept" ] || cmp -n "$(stat -c %s "$kept")" "$kept" "$segment"
done
grep -q 'begins at 3145728 now' "$slave/lost+found/commitlog-00000000000000000000.txt"
mqdump -t t "$slave/lost+found/commitlog-00000000000000000000" | grep 'number 12' > /dev/null
[ "$(cat "$slave/status/lostfound_pieces")" -ge 2 ]
stop_mqfs "$slave"
fsck.mqfs -n "$work/s"
