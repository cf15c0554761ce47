#!/bin/bash
# A thousand connections that pipeline small requests do not hold up another client: work in a turn is
# bounded for all connections together, in requests.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port"
eventually 20 is_listened_to "$port"
cat > "$work/crowd.py" << 'END'
import json, os, signal, socket, struct, sys
port, pid = int(sys.argv[1]), int(sys.argv[2])
CROWD, EACH = 1000, 64

def frame(code):
    header = json.dumps({"code": code, "flag": 0, "language": "CPP", "opaque": 1, "version": 409}).encode()
    return struct.pack(">II", 4 + len(header), len(header)) + header

def waiting(sock):
    try:
        return len(sock.recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return 0

crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(CROWD)]
honest = socket.create_connection(("127.0.0.1", port))
for sock in crowd + [honest]:           # all are known to it, and one answer's length to us
    sock.sendall(frame(99))
    length = len(sock.recv(4096))
os.kill(pid, signal.SIGSTOP)
for sock in crowd:
    sock.sendall(frame(99) * EACH)
honest.sendall(frame(99))
os.kill(pid, signal.SIGCONT)
honest.recv(4096)
os.kill(pid, signal.SIGSTOP)
answers = sum(waiting(sock) for sock in crowd) // length
os.kill(pid, signal.SIGCONT)
print(answers)
if answers > CROWD * EACH // 2:
    sys.exit("the crowd had %d of %d answers before another client had one" % (answers, CROWD * EACH))
END
ulimit -n "$(($(ulimit -Hn) < 4096 ? $(ulimit -Hn) : 4096))"
said=$(timeout 100 python3 "$work/crowd.py" "$port" "$(cat "$mnt/status/mqremoted")" 2>&1) || fail "$said"
say "$said answers for the crowd before one for another client"
