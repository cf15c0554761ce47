"""Many connections that are idle, for t_many_connections.sh: `python3 many_connections.py PORT COUNT`.

One in ten says a heartbeat of its own group; "there" is printed when all of these have been answered.
For each line of standard input the first, the middle and the last of these ask who is in their group."""

import resource
import socket
import sys

import remoting
from clients import Client
from remoting import want

port, count = int(sys.argv[1]), int(sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))


class Idle(Client):
    def __init__(self, name, source):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
        self.name, self.opaque, self.told = name, 0, []


clients, silent = [], []
for i in range(count):
    client = Idle("c@%d" % i, "127.0.0.%d" % (1 + i % 4))
    (silent if i % 10 else clients).append(client)
for client in clients:
    want(0, client.beat(producers=["p" + client.name[2:]]))
print("there", flush=True)
for _ in sys.stdin:
    for client in clients[0], clients[len(clients) // 2], clients[-1]:
        want(0, client.ask(204, {"producerGroup": "p" + client.name[2:]})[0])
    print("answered", flush=True)
