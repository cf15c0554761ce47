"""A producer, a consumer, and a judge of both, of RocketMQ's remoting protocol, for torn.sh:

    torn.py produce PORT NAME DIR           NAME 0, NAME 1, ... to topic torn, until SIGTERM
    torn.py consume PORT NAME DIR QUEUE...  what group G is to consume of these queues, for ever
    torn.py judge DIR                       prints what is wrong; nothing: all is well

DIR/NAME.tried, .stored and .given have a line for each message: what is about to be sent, what was
answered with SEND_OK, what has been given to the consumer and is about to be committed.  Each
line is one write, so a process that is killed has written what it says.  Whoever loses the
connection comes again.
"""

import glob
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from clients import Client      # noqa: E402
from messages import FOUND, pull, send  # noqa: E402

TOPIC, GROUP = "torn", "G"
LOST = EOFError, OSError, ConnectionError


def appender(directory, name, what):
    fd = os.open(os.path.join(directory, name + "." + what), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    return lambda text: os.write(fd, text.encode() + b"\n")


def connected(port, name, work):
    """work(client) on one connection after the other, until it returns."""
    while True:
        try:
            client = Client(port, name)
            client.sock.settimeout(5)
            return work(client)
        except LOST:
            time.sleep(0.02)


def produce(port, name, directory):
    tried, stored = appender(directory, name, "tried"), appender(directory, name, "stored")
    ends = []
    count = 0
    signal.signal(signal.SIGTERM, lambda *_: ends.append(True))

    def work(client):
        nonlocal count
        while not ends:
            body = "%s %d" % (name, count)
            count += 1
            tried(body)
            if send(client, TOPIC, count % 4, body.encode())[0] == 0:
                stored(body)

    connected(port, name, work)


def consume(port, name, directory, *queues):
    given = appender(directory, name, "given")

    def take(client, queue, at):
        code, ext, got = pull(client, TOPIC, queue, at, commit=at, suspend_ms=100, group=GROUP)
        if code == FOUND:
            for _, _, body in got:
                given(body.decode())
        return int(ext.get("nextBeginOffset", at))

    def work(client):
        at = {}
        client.beat([GROUP], topic=TOPIC)
        for queue in queues:
            code, ext, _ = client.ask(14, {"consumerGroup": GROUP, "topic": TOPIC, "queueId": queue})
            at[queue] = int(ext["offset"]) if code == 0 else 0
        while True:
            for queue in queues:
                at[queue] = take(client, queue, at[queue])

    connected(port, name, work)


def lines(directory, what):
    found = set()
    for path in glob.glob(os.path.join(directory, "*." + what)):
        with open(path) as f:
            found.update(f)
    return found


def judge(directory):
    stored, given, tried = (lines(directory, what) for what in ("stored", "given", "tried"))
    if not stored:
        print("nothing was stored")
    for text, wrong in ("was stored and not given", stored - given), ("was given and never sent", given - tried):
        if wrong:
            print("%d %s: %s" % (len(wrong), text, min(wrong).strip()))


command, *rest = sys.argv[1:]
if command == "judge":
    judge(*rest)
else:
    {"produce": produce, "consume": consume}[command](int(rest[0]), *rest[1:])
