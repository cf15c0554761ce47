#!/usr/bin/env python3
"""liars.py - peers that say every wrong thing at every step, on 127.0.0.1.

    liars.py slaves SECONDS SEED HA_PORT REMOTING_PORT
        slaves and clients of a master: reports of every wrong kind, requests that are
        none, thousands of small ones, readers that do not read
    liars.py master SEED LISTEN_PORT HA_PORT HONEST_FILE
        stands between a slave and its master, on LISTEN_PORT for the log and one below for
        requests: what the master sends or answers arrives with one lie in it, and then the
        connection ends; when HONEST_FILE is there, as it is
    liars.py names SEED PORT
        is a name server, of which no answer is right

All print at their end what was said, and how often.
"""
import collections
import contextlib
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time

said = collections.Counter()
HELLO, READ_LOG = 0x6d71, 0x6d72


# --- to a master ------------------------------------------------------------------------

def frame(header, body=b"", dialect=0, length=None, header_len=None):
    length = 4 + len(header) + len(body) if length is None else length
    header_len = len(header) if header_len is None else header_len
    return struct.pack(">I", length & 0xffffffff) + struct.pack(">I", dialect << 24 | header_len) + header + body


def request(code, ext=None, flag=0, **more):
    return json.dumps({"code": code, "extFields": ext or {}, "flag": flag, "language": "JAVA", "opaque": 1,
                       "serializeTypeCurrentRPC": "JSON", "version": 409, **more}).encode()


def any_number(r):
    return r.choice([0, 1, -1, 7, 8, 4096, 2 ** 31 - 1, -2 ** 31, 2 ** 50, 2 ** 62, -2 ** 63, r.randrange(1 << 20)])


def any_member(r):
    return r.choice([any_number(r), "", "x" * 1000, None, [], {}, [[[]]], "f" * 32, "\n\x1b[2J",
                     [{"epoch": any_number(r), "start": any_number(r), "id": "a" * 32, "by": "b" * 32}] * 3])


def any_hello(r):
    hello = {"v": 1, "program": "liar", "cluster": "DefaultCluster", "brokerName": "b", "brokerId": 1, "role": "SLAVE",
             "storeId": "0" * 32, "segment": 4194304, "begin": 0, "end": 0, "epochs": [], "trouble": ""}
    for key in r.sample(sorted(hello), 2):
        hello[key] = any_member(r)
    return json.dumps(hello).encode()


# What RocketMQ's clients and tools ask of a broker, and the names of what they say with it.
CODES = (10, 11, 12, 14, 15, 29, 30, 33, 34, 35, 36, 37, 38, 39, 41, 42, 46, 200, 202, 203, 206, 208, 210, 220, 221, 222, 223,
         300, 303, 307, 309, 310, 314, 315, 317, 320, 321, 325, 361, 362)
FIELDS = ("topic", "consumerGroup", "producerGroup", "group", "queueId", "queueOffset", "maxMsgNums", "sysFlag", "commitOffset",
          "suspendTimeoutMillis", "subscription", "subVersion", "expressionType", "defaultTopic", "bornTimestamp", "flag",
          "properties", "reconsumeTimes", "batch", "offset", "msgId", "key", "timestamp", "clientID", "clientId", "originTopic",
          "delayLevel", "tranStateTableOffset", "commitLogOffset", "commitOrRollback", "transactionId", "uniqMsgId", *"abcdefghijklm")


def client_request(r):
    ext = {name: r.choice([str(any_number(r)), str(any_number(r)), "t", "liars", "*", "", "x" * 300, "\x01\x02", "\n%s%n"])
           for name in FIELDS if r.random() < 0.8}
    body = r.choice([b"", r.randbytes(r.randrange(1, 300)), json.dumps({"clientID": "l", "consumerDataSet": any_member(r),
                                                                       "producerDataSet": any_member(r)}).encode()])
    return frame(request(r.choice(CODES), ext, r.choice([0, 0, 2])), body)


# name: the bytes that are said, once or in a row
REPORTS = {
    "a report beyond the end": lambda r: struct.pack(">q", 2 ** 40),
    "a negative report": lambda r: struct.pack(">q", -r.randrange(1, 2 ** 62)),
    "a report too large": lambda r: struct.pack(">q", 2 ** 62),
    "part of a report": lambda r: bytes(r.randrange(1, 8)),
    "a report, then one beyond what was sent": lambda r: struct.pack(">qq", 1, 2 ** 30),
    "reports that go back": lambda r: struct.pack(">qqqq", 100, 50, 1, 0),
    "thousands of reports": lambda r: struct.pack(">q", 1) * 20000,
    "no report": lambda r: b"",
    "TLS": lambda r: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "noise": lambda r: r.randbytes(r.randrange(1, 4096)),
}
REQUESTS = {
    "a frame of a length that cannot be": lambda r: frame(b"{}", length=r.choice([-1, 0, 3, 2 ** 24, 2 ** 31 - 1])),
    "a header longer than its frame": lambda r: frame(b"{}", header_len=r.randrange(3, 2 ** 24)),
    "an unknown dialect": lambda r: frame(b"{}", dialect=r.randrange(2, 256)),
    "a header that is no object": lambda r: frame(r.choice([b"[]", b"7", b"", b"\xff\xfe", b"[" * 60000])),
    "ext fields that are none": lambda r: frame(request(r.choice([14, 15, READ_LOG]), r.choice([{"a": {}}, {"queueId": "x"}]))),
    "a binary header that is none": lambda r: frame(r.randbytes(r.randrange(1, 60)), dialect=1),
    "a code that nobody knows": lambda r: frame(request(any_number(r) % 2 ** 31)),
    "a code out of range": lambda r: frame(request(any_number(r) * 2 ** 40)),
    "an answer to what nobody asked": lambda r: frame(request(0, flag=1)) * 500,
    "requests that want no answer": lambda r: frame(request(21, flag=2)) * 500,
    "thousands of small requests": lambda r: frame(request(21)) * 5000,
    "thousands of unknown requests": lambda r: frame(b'{"code":99}') * 20000,
    "a wrong hello": lambda r: frame(request(HELLO), any_hello(r)),
    "a hello that is no JSON": lambda r: frame(request(HELLO), r.randbytes(100)),
    "a wrong place of the log": lambda r: frame(request(READ_LOG, {"from": str(any_number(r)), "at": str(any_number(r))})),
    "a client's request with wrong fields": lambda r: b"".join(client_request(r) for _ in range(200)),
    "thousands of pulls of what there is": lambda r: frame(request(11, {
        "topic": "t", "consumerGroup": "liars", "queueId": "0", "queueOffset": "0", "maxMsgNums": "32", "sysFlag": "6", "subVersion": "1",
        "commitOffset": "0", "suspendTimeoutMillis": "15000", "subscription": "*", "expressionType": "TAG"})) * 3000,
    "a large frame that does not end": lambda r: frame(request(21), bytes(1000), length=8 << 20),
    "noise": lambda r: r.randbytes(r.randrange(1, 4096)),
}


class Liar:
    """One connection: says its lie as fast as it is taken, and reads the answer or not."""

    def __init__(self, port, name, words, reads):
        self.name, self.left, self.reads = name, words, reads
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.connect_ex(("127.0.0.1", port))
        self.until = time.monotonic() + 1.5

    def turn(self):
        """False: it is over."""
        try:
            if self.left:
                self.left = self.left[self.sock.send(self.left):]
                if not self.left:
                    said[self.name] += 1
            if self.reads and not self.sock.recv(65536):
                return False
        except BlockingIOError:
            pass
        except OSError:
            return False
        return time.monotonic() < self.until


def lie_to_master(seconds, seed, ha_port, remoting_port):
    r = random.Random(seed)
    end = time.monotonic() + seconds
    liars = []
    while time.monotonic() < end:
        while len(liars) < 100:
            port, lies = r.choice([(ha_port, REPORTS), (remoting_port, REQUESTS)])
            name = r.choice(sorted(lies))
            liars.append(Liar(port, name, lies[name](r), r.random() < 0.5))
        for liar in [liar for liar in liars if not liar.turn()]:
            liar.sock.close()
            liars.remove(liar)
        select.select([], [], [], 0.01)


# --- to a slave ----------------------------------------------------------------------------

# name: what becomes of a frame's header and body.  A body is never made longer: its bytes are the log's.
FRAMES = {
    "another position": lambda r, pos, body: struct.pack(">qi", pos + r.choice([1, -1, 4096, 2 ** 40]), len(body)) + body,
    "a negative position": lambda r, pos, body: struct.pack(">qi", -1, len(body)) + body,
    "a negative length": lambda r, pos, body: struct.pack(">qi", pos, -len(body) - 1) + body,
    "a length that nobody has room for": lambda r, pos, body: struct.pack(">qi", pos, 2 ** 31 - 1),
    "a length, and less": lambda r, pos, body: struct.pack(">qi", pos, len(body)) + body[:len(body) // 2],
    "part of a header": lambda r, pos, body: struct.pack(">qi", pos, len(body))[:r.randrange(1, 12)],
    "a frame twice": lambda r, pos, body: (struct.pack(">qi", pos, len(body)) + body) * 2 if body else b"\xff" * 12,
    "a frame, then noise": lambda r, pos, body: struct.pack(">qi", pos, len(body)) + body + b"\xff" * 100,
    "heartbeats of another place": lambda r, pos, body: struct.pack(">qi", pos + 1000, 0) * 1000,
    "thousands of heartbeats": lambda r, pos, body: struct.pack(">qi", pos, 0) * 50000,
    "TLS": lambda r, pos, body: b"\x15\x03\x03\x00\x02\x02\x46",
    "silence": lambda r, pos, body: b"",
    "noise": lambda r, pos, body: b"\xff" * 8 + r.randbytes(100),
}


def answer(header, body):
    return frame(json.dumps(header).encode(), body)


def wrong_members(r, body):
    try:
        members = json.loads(body)
        for key in r.sample(sorted(members), min(len(members), r.randrange(1, 3))):
            members[key] = any_member(r)
    except (ValueError, TypeError):
        members = any_member(r)
    return json.dumps(members).encode()


# name: what becomes of an answer's header and body
ANSWERS = {
    "an answer with another code": lambda r, h, body: answer({**h, "code": any_number(r)}, body),
    "an answer to another request": lambda r, h, body: answer({**h, "opaque": h["opaque"] + 1}, body),
    "a request in place of an answer": lambda r, h, body: answer({**h, "flag": 0}, body),
    "an answer without a body": lambda r, h, body: answer(h, b""),
    "an answer with a body of noise": lambda r, h, body: answer(h, r.randbytes(100)),
    "an answer with wrong members": lambda r, h, body: answer(h, wrong_members(r, body)),
    "an answer with wrong ext fields": lambda r, h, body: answer({**h, "extFields": any_member(r)}, body),
    "half an answer": lambda r, h, body: answer(h, body)[:r.randrange(1, 60)],
    "an answer of a length that cannot be": lambda r, h, body: frame(json.dumps(h).encode(), body, length=r.choice([-1, 3, 2 ** 31 - 1])),
    "answers that nobody wants": lambda r, h, body: answer({**h, "opaque": h["opaque"] + 7}, body) * 500,
    "an answer of megabytes": lambda r, h, body: answer(h, bytes(12 << 20)),
    "no answer": lambda r, h, body: b"",
    "an answer of noise": lambda r, h, body: r.randbytes(r.randrange(1, 4096)),
}


def receive(sock, size):
    got = b""
    while len(got) < size:
        part = sock.recv(size - len(got))
        if not part:
            raise EOFError
        got += part
    return got


def carry(source, sink):
    """Bytes as they are, until one of the two ends."""
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def lie_once(r, name, master, slave):
    for _ in range(r.randrange(4)):             # it begins well
        head = receive(master, 12)
        slave.sendall(head + receive(master, struct.unpack(">qi", head)[1]))
    head = receive(master, 12)
    pos, length = struct.unpack(">qi", head)
    slave.sendall(FRAMES[name](r, pos, receive(master, length)))
    said[name] += 1
    if name == "silence":
        time.sleep(1)


def receive_frame(sock):
    """(header, body) of a request or an answer"""
    length, header_len = struct.unpack(">II", receive(sock, 8))
    content = receive(sock, length - 4)
    return json.loads(content[:header_len]), content[header_len:]


def lie_in_answer(r, name, master, slave):
    for _ in range(r.randrange(3)):
        slave.sendall(answer(*receive_frame(master)))
    slave.sendall(ANSWERS[name](r, *receive_frame(master)))
    said[name] += 1


def stand_between(r, slave, to_port, lie, names, honest):
    with slave, socket.create_connection(("127.0.0.1", to_port)) as master:
        threading.Thread(target=carry, args=(slave, master), daemon=True).start()
        if os.path.exists(honest):
            carry(master, slave)
            return
        with contextlib.suppress(OSError, EOFError):
            lie(r, r.choice(sorted(names)), master, slave)
        for sock in (slave, master):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def serve(seed, port, what, *arguments):
    """what(random, connection, *arguments) for each that comes"""
    r = random.Random(seed)
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            sock, _ = server.accept()
            threading.Thread(target=what, args=(random.Random(r.random()), sock, *arguments), daemon=True).start()


def lie_to_slave(seed, port, ha_port, honest):
    threading.Thread(target=serve, args=(seed + "a", port - 1, stand_between, ha_port - 1, lie_in_answer, ANSWERS, honest),
                     daemon=True).start()
    serve(seed, port, stand_between, ha_port, lie_once, FRAMES, honest)


# --- to a broker that looks for its name server ---------------------------------------------

def misname(r, broker):
    """Answers one request after the other, until one answer ends the connection."""
    with broker, contextlib.suppress(OSError, EOFError, ValueError):
        while True:
            header, _ = receive_frame(broker)
            name = r.choice(sorted(ANSWERS))
            header = {"code": 0, "flag": 1, "language": "JAVA", "opaque": header["opaque"], "version": 409,
                      "serializeTypeCurrentRPC": "JSON"}
            broker.sendall(ANSWERS[name](r, header, json.dumps({"brokerDatas": [], "queueDatas": []}).encode()))
            said[name] += 1


def tell(*_):
    for name, times in sorted(said.items()):
        print("%6d  %s" % (times, name))
    sys.stdout.flush()
    os._exit(0)


signal.signal(signal.SIGTERM, tell)
if sys.argv[1] == "slaves":
    lie_to_master(float(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
elif sys.argv[1] == "names":
    serve(sys.argv[2], int(sys.argv[3]), misname)
else:
    lie_to_slave(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
tell()
