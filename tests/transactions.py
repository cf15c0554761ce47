"""RocketMQ's producers of transactions: `python3 transactions.py PORT SCENE [ARG...]`."""

import collections
import json
import random
import select
import socket
import struct
import sys
import threading
import time

import remoting
from clients import Client
from messages import pull
from remoting import want

SEND, END, CHECK, HEART_BEAT = 10, 37, 39, 34
COMMIT, ROLLBACK, UNKNOWN = 8, 12, 0
ONE_WAY = 2

Half = collections.namedtuple("Half", "pos number id")


class Producer(Client):
    """What it is asked meanwhile is in self.checks: (ext fields, body)."""

    def __init__(self, port, name="p@1", group="shop"):
        super().__init__(port, name)
        self.group = group
        self.checks = []

    def hear(self, header, body=b""):
        want(CHECK, header["code"])
        want(ONE_WAY, header["flag"] & ONE_WAY)
        self.checks.append((header["extFields"], body))

    def answer(self):
        while True:
            header, body = self.frame()
            if header["flag"] & 1:
                want(self.opaque, header["opaque"])
                return header["code"], header.get("extFields", {})
            self.hear(header, body)

    def ask_raw(self, code, ext, body=b"", flag=0):
        self.opaque += 1
        self.sock.sendall(remoting.request(remoting.JSON, code, self.opaque, ext, body, flag))
        return None if flag else self.answer()

    def beat_once(self):
        want(0, self.ask_raw(HEART_BEAT, {}, json.dumps({
            "clientID": self.name, "producerDataSet": [{"groupName": self.group}]}).encode())[0])

    def half(self, body, topic="orders", queue=0, props="", code=SEND):
        """(code, Half)"""
        props = "TRAN_MSG\x01true\x02PGROUP\x01%s\x02UNIQ_KEY\x01%s\x02%s" % (self.group, body.decode(), props)
        code, ext = self.ask_raw(code, {
            "producerGroup": self.group, "topic": topic, "defaultTopic": "TBW102", "defaultTopicQueueNums": "4",
            "queueId": str(queue), "sysFlag": "4", "bornTimestamp": str(int(time.time() * 1000)), "flag": "0",
            "properties": props, "reconsumeTimes": "0", "unitMode": "false", "batch": "false"}, body)
        if code not in (0, 10, 11, 12):
            return code, None
        want(str(queue), ext["queueId"])
        return code, Half(int(ext["msgId"][16:], 16), int(ext["queueOffset"]), ext["msgId"])

    def end(self, half, how, group=None, one_way=False, from_check=False):
        answer = self.ask_raw(END, {
            "producerGroup": group or self.group, "tranStateTableOffset": str(half.number),
            "commitLogOffset": str(half.pos), "commitOrRollback": str(how), "msgId": half.id,
            "fromTransactionCheck": "true" if from_check else "false"}, flag=ONE_WAY if one_way else 0)
        return answer and answer[0]

    def wait_check(self, seconds=60):
        """(Half, body of the half, its record)"""
        self.sock.settimeout(seconds)
        while not self.checks:
            self.hear(*self.frame())
        ext, record = self.checks.pop(0)
        return half_of(ext), body_of(record), record


def half_of(ext):
    return Half(int(ext["commitLogOffset"]), int(ext["tranStateTableOffset"]), ext["offsetMsgId"])


def body_of(record):
    n, = struct.unpack_from(">i", record, 84)
    return record[88:88 + n]


def read(path):
    with open(path) as f:
        return f.read()


def bodies(c, topic="orders", queue=0):
    return [body for _, _, body in pull(c, topic, queue, 0)[2]]


def ended(port, mnt):
    """A half is not in its topic before its producer commits; a wrong word changes nothing."""
    p, c = Producer(port), Client(port, "c@1")
    code, half = p.half(b"first", queue=1, props="TAGS\x01a")
    want(0, code)
    want("", read(mnt + "/topics/orders/q1"))
    want("1\n", read(mnt + "/status/transactions_open"))
    want(1, p.end(half, COMMIT, group="thief"))
    want(1, p.end(half._replace(number=half.number + 1), COMMIT))
    want(1, p.end(half._replace(pos=half.pos + 1), COMMIT))
    p.sock.sendall(remoting.request(remoting.JSON, END, 999, {      # is not answered
        "producerGroup": "shop", "tranStateTableOffset": str(half.number), "commitLogOffset": str(half.pos),
        "commitOrRollback": "0"}))
    want(0, p.end(half, COMMIT))
    want("first\n", read(mnt + "/topics/orders/q1"))
    want("0\n", read(mnt + "/status/transactions_open"))
    want(True, p.end(half, ROLLBACK) == 1)
    want([b"first"], bodies(c, queue=1))
    want(1, len(pull(c, "orders", 1, 0, tags="a")[2]))
    # one-way, as RocketMQ's clients do it; in this order, because one connection is heard in order
    for i in range(20):
        code, half = p.half(b"%02d" % i, queue=2)
        p.end(half, ROLLBACK if i % 2 else COMMIT, one_way=True)
    want(b"%02d" % 18, wait_bodies(c, 2, 10)[-1])
    want(13, p.ask_raw(320, dict(zip("abcdefghijkm", ("shop", "orders", "TBW102", "4", "0", "4", "1700000000000", "0",
                                                      "TRAN_MSG\x01true\x02PGROUP\x01shop", "0", "false", "true"))),
                       struct.pack(">iiiiih", 22, 0, 0, 0, 0, 0))[0])
    want(17, p.half(b"x", topic="unknown")[0])
    want(16, p.half(b"x", topic="RMQ_SYS_TRANS_HALF_TOPIC")[0])


def wait_bodies(c, queue, n):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        got = bodies(c, queue=queue)
        if len(got) >= n:
            return got
        time.sleep(0.02)
    sys.exit("only %d messages have come to queue %d" % (len(got), queue))


def checked(port, mnt):
    """Whoever has not decided is asked, as often as it takes, and not for ever."""
    p, c = Producer(port), Client(port, "c@1")
    other = Producer(port, "o@1", group="others")
    p.beat_once()
    other.beat_once()
    code, half = p.half(b"asked", queue=3)
    want(0, code)
    p.end(half, UNKNOWN, one_way=True)
    asked, body, record = p.wait_check()
    want(b"asked", body)
    topic_len = record[88 + len(body)]
    want(b"orders", record[89 + len(body):89 + len(body) + topic_len])
    want((3, asked.number, asked.pos), struct.unpack_from(">i", record, 12) + struct.unpack_from(">qq", record, 20))
    again, _, _ = p.wait_check()
    want(True, again.pos > asked.pos and again.number > asked.number)
    want(0, p.end(asked, COMMIT, from_check=True))      # an answer to the first question
    want([b"asked"], bodies(c, queue=3))
    want(1, p.end(half, COMMIT))
    code, half = p.half(b"in vain", queue=3)
    want(0, code)
    end = time.monotonic() + 60
    while not read(mnt + "/topics/TRANS_CHECK_MAX_TIME_TOPIC/q0") if "TRANS_CHECK_MAX_TIME_TOPIC" in tried(mnt) else True:
        if time.monotonic() > end:
            sys.exit("it is asked for for ever")
        time.sleep(0.05)
    want("in vain\n", read(mnt + "/topics/TRANS_CHECK_MAX_TIME_TOPIC/q0"))
    want("0\n", read(mnt + "/status/transactions_open"))
    aside = json.loads(read(mnt + "/topics/TRANS_CHECK_MAX_TIME_TOPIC/q0:format=json"))
    want(1, p.ask_raw(323, {"msgId": half.id})[0])
    want(0, p.ask_raw(323, {"msgId": half.id[:16] + "%016X" % aside["phyOffset"]})[0])
    again, body, _ = p.wait_check()
    while again.pos < aside["phyOffset"]:       # it was asked for before, too
        again, body, _ = p.wait_check()
    want(b"in vain", body)
    want(0, p.end(again, ROLLBACK, from_check=True))
    want([], other.checks)
    if select.select([other.sock], [], [], 0)[0]:
        sys.exit("a producer of another group was asked")
    want([b"asked"], bodies(c, queue=3))


def tried(mnt):
    try:
        read(mnt + "/topics/TRANS_CHECK_MAX_TIME_TOPIC/q0")
        return ["TRANS_CHECK_MAX_TIME_TOPIC"]
    except OSError:
        return []


def on_slave(port):
    """A slave takes no halves and ends none."""
    p = Producer(port)
    want(14, p.half(b"x")[0])
    want(11, p.end(Half(0, 0, "x"), COMMIT))


# --- an oracle ------------------------------------------------------------------------------------------------------

class Worker(threading.Thread):
    """Sends transactions until `stop`, answers checks until nothing is open.  The first letter of a body is what
    becomes of it: c and C are committed, r and R rolled back, C and R only when asked."""

    def __init__(self, ports, number, out, stop, quit_):
        super().__init__(daemon=True)
        self.ports, self.number, self.out, self.stop, self.quit = ports, number, out, stop, quit_
        self.n = 0

    def run(self):
        while not self.quit.is_set():
            for port in self.ports:
                try:
                    self.work(port)
                except (OSError, EOFError, struct.error, ValueError):
                    time.sleep(0.05)

    def work(self, port):
        p = Producer(port, "w%d@1" % self.number)
        p.sock.settimeout(20)
        p.beat_once()
        beaten = time.monotonic()
        while not self.quit.is_set():
            self.answer_checks(p)
            if time.monotonic() - beaten > 1:
                p.beat_once()
                beaten = time.monotonic()
            if self.stop.is_set():
                time.sleep(0.02)
            elif not self.transact(p):
                return

    def transact(self, p):
        self.n += 1
        body = b"%s %d %d" % (random.choice((b"c", b"c", b"r", b"C", b"R")), self.number, self.n)
        code, half = p.half(body, queue=self.n % 4)
        if half is None:
            time.sleep(0.05)
            return False
        if code == 0:
            self.out.write(body.decode() + "\n")
        if body[:1] in b"cr":
            p.end(half, COMMIT if body[:1] == b"c" else ROLLBACK, one_way=random.random() < 0.5)
        return True

    def answer_checks(self, p):
        while select.select([p.sock], [], [], 0)[0]:
            p.hear(*p.frame())
        for ext, record in p.checks:
            how = COMMIT if body_of(record)[:1] in b"cC" else ROLLBACK
            p.end(half_of(ext), how, one_way=True, from_check=True)
        p.checks = []


def work(port, out_path, stop_path, *more_ports):
    """Until the file at stop_path is there; then until that says that nothing is open."""
    stop, quit_ = threading.Event(), threading.Event()
    with open(out_path, "w", buffering=1) as out:
        workers = [Worker([port] + [int(p) for p in more_ports], i, out, stop, quit_) for i in range(4)]
        for w in workers:
            w.start()
        while not quit_.is_set():
            time.sleep(0.05)
            try:
                told = read(stop_path)
            except OSError:
                continue
            stop.set()
            if told.strip() == "quit":
                quit_.set()
        for w in workers:
            w.join(30)


if __name__ == "__main__":
    globals()[sys.argv[2]](int(sys.argv[1]), *sys.argv[3:])
