#!/bin/bash
# Who is followed is asked once more, behind the connection, until there is an answer.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
fast=haSendHeartbeatInterval=300
start_mqfs "$work/m" "$master" -o "haListen=127.0.0.1,listenPort=$port,$fast"
mkdir "$master/topics/t"

# In front of the remoting port: one question is answered, then nobody is there until "go".
cat > "$work/relay.py" <<'END'
import os, socket, sys, threading, time
here, there, work = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def listen():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", here))
    s.listen(8)
    return s
def frame(s):
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        more = s.recv(65536)
        if not more:
            raise EOFError
        data += more
    return data
def answer(near, questions):
    far = socket.create_connection(("127.0.0.1", there))
    try:
        for _ in range(questions):
            far.sendall(frame(near))
            near.sendall(frame(far))
    except (EOFError, OSError):
        pass
    near.close()
    far.close()
s = listen()
near = s.accept()[0]
s.close()
answer(near, 1)
while not os.path.exists(work + "/go"):
    time.sleep(0.05)
s = listen()
while True:
    threading.Thread(target=answer, args=(s.accept()[0], 1 << 30), daemon=True).start()
END
python3 "$work/relay.py" $((port + 5)) "$port" "$work" &
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),masterRemoting=127.0.0.1:$((port + 5)),haListen=none,$fast"

follows() { grep -qx transfer "$slave/status/replication/master/state"; }
trouble() { grep -q "asked at 127.0.0.1:$((port + 5))" "$slave/status/replication/trouble"; }
no_trouble() { [ ! -s "$slave/status/replication/trouble" ]; }
eventually 20 follows
eventually 20 trouble
follows || fail "a master that was good is left because it does not answer"
touch "$work/go"
eventually 30 no_trouble
echo news >> "$master/topics/t/q0"
has_it() { [ "$(cat "$slave/topics/t/q0")" = news ]; }
eventually 20 has_it
