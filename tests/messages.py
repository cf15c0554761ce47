"""RocketMQ's producers and consumers, as a broker sees them: `python3 messages.py PORT SCENE [ARG...]`."""

import errno
import json
import os
import struct
import sys
import threading
import time

from clients import Client
from remoting import want

SEND, PULL, SEND_V2, SEND_BATCH = 10, 11, 310, 320
FOUND, BUSY, NOT_FOUND, RETRY, MOVED = 0, 2, 19, 20, 21


def send(c, topic, queue, body, props="", code=SEND_V2, template="TBW102", sysflag=0, times=None):
    """(code, ext fields)"""
    long = {"producerGroup": "p", "topic": topic, "defaultTopic": template, "defaultTopicQueueNums": "4",
            "queueId": str(queue), "sysFlag": str(sysflag), "bornTimestamp": "1700000000000", "flag": "0", "properties": props,
            "reconsumeTimes": "0", "unitMode": "false", "batch": "false"}
    if times:
        long["reconsumeTimes"], long["maxReconsumeTimes"] = str(times[0]), str(times[1])
    letters = dict(zip(("producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId", "sysFlag",
                        "bornTimestamp", "flag", "properties", "reconsumeTimes", "unitMode", "batch", "maxReconsumeTimes"), "abcdefghijkml"))
    ext = long if code == SEND else {letters[k]: v for k, v in long.items()}
    c.opaque += 1
    import remoting
    c.sock.sendall(remoting.request(remoting.JSON, code, c.opaque, ext, body))
    header, _ = c.frame()
    want(c.opaque, header["opaque"])
    return header["code"], header.get("extFields", {})


def pull(c, topic, queue, offset, tags="*", suspend_ms=0, commit=-1, flags=4, group="billing", most=32, raw=False):
    """(code, ext fields, records)"""
    flags |= 2 if suspend_ms else 0
    flags |= 1 if commit >= 0 else 0
    code, ext, body = c.ask(PULL, {
        "consumerGroup": group, "topic": topic, "queueId": str(queue), "queueOffset": str(offset),
        "maxMsgNums": str(most), "sysFlag": str(flags), "commitOffset": str(max(commit, 0)),
        "suspendTimeoutMillis": str(suspend_ms), "subscription": tags, "subVersion": "0"})
    return code, ext, [(r[1], r[3]) for r in records(body)] if raw else [r[:3] for r in records(body)]


def records(body):
    """(queue offset, position, body, all of its bytes) of each"""
    while body:
        total, = struct.unpack_from(">i", body, 0)
        offset, pos = struct.unpack_from(">qq", body, 20)
        n, = struct.unpack_from(">i", body, 84)
        yield offset, pos, body[88:88 + n], body[:total]
        body = body[total:]


def busy(path):
    """Why a file may not consume; None: it may."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as e:
        want(errno.EBUSY, e.errno)
        return True
    return False


def soon(what, *condition):
    end = time.monotonic() + 60
    while condition[0](*condition[1:]):
        if time.monotonic() > end:
            raise SystemExit(what)
        time.sleep(0.02)


def senders(port, mnt):
    """topics/T/producers says who sends there, as long as the connection lasts."""
    def lines(topic):
        with open("%s/topics/%s/producers" % (mnt, topic)) as f:
            return sorted(f.read().splitlines())

    a, b = Client(port, "a@1"), Client(port, "b@2")
    want(0, a.beat(producers=["p"]))
    for topic in "orders", "orders", "more":
        want(0, send(a, topic, 0, b"by a")[0])
    want(0, send(b, "orders", 0, b"by somebody")[0])    # it has sent no heartbeat
    address = ["%s:%d" % c.sock.getsockname() for c in (a, b)]
    want(["- %s - p" % address[1], "a@1 %s JAVA/409 p" % address[0]], lines("orders"))
    want(["a@1 %s JAVA/409 p" % address[0]], lines("more"))
    a.sock.close()
    soon("a producer that has gone", lambda: len(lines("orders")) != 1)
    want([], lines("more"))


def moved(port):
    """Who pulls beyond the end is corrected, and an event says so; the VIP port serves pulls, too."""
    a = Client(port - 2, "a@1")
    want(0, a.beat(["billing"]))
    code, ext, _ = pull(a, "orders", 0, 1000)
    want((MOVED, True), (code, int(ext["nextBeginOffset"]) < 1000))
    code, _, got = pull(a, "OFFSET_MOVED_EVENT", 0, 0, suspend_ms=60000)
    want(FOUND, code)
    event = [e for e in (json.loads(body) for _, _, body in got) if e["offsetRequest"] == 1000][0]
    want({"consumerGroup": "billing", "offsetRequest": 1000, "offsetNew": int(ext["nextBeginOffset"])},
         {k: v for k, v in event.items() if k != "messageQueue"})
    want(("orders", 0), (event["messageQueue"]["topic"], event["messageQueue"]["queueId"]))


def short(port):
    """Without long polling a pull is held for shortPollingTimeMills, not for as long as it asks."""
    a = Client(port, "a@1")
    end = int(pull(a, "orders", 3, 0)[1]["maxOffset"])
    began = time.monotonic()
    want(NOT_FOUND, pull(a, "orders", 3, end, suspend_ms=60000)[0])
    waited = time.monotonic() - began
    if not 0.3 <= waited < 30:
        raise SystemExit("it was held for %f s" % waited)


def forbidden(port):
    """A broker that may not be read serves no pulls."""
    want(16, pull(Client(port, "a@1"), "orders", 0, 0)[0])


def exclusive(port, mnt):
    """A queue of a group is consumed by a file or by clients: who comes second is refused, until the first has gone."""
    queues = [mnt + "/groups/billing/orders/q%d" % i for i in range(4)]
    a = Client(port, "a@1")
    fd = os.open(queues[0], os.O_RDWR)
    want(0, a.beat(["billing"]))
    want(BUSY, pull(a, "orders", 0, 0, suspend_ms=100)[0])
    want([1, 2, 3], a.lock("billing", [0, 1, 2, 3]))
    want(FOUND, pull(a, "orders", 1, 0)[0])
    want(False, busy(queues[2]))        # nobody has asked for it
    os.close(fd)
    soon("the queue of a closed file", lambda: pull(a, "orders", 0, 0)[0] == BUSY)
    want([0], a.lock("billing", [0]))
    want((True, True, False), tuple(busy(queues[i]) for i in (0, 1, 3)))
    with open(queues[0], "rb") as peeks:
        want(b"one\n", peeks.read(4))
    with open(mnt + "/groups/billing/lag") as lag:
        want("network", [line.split()[-1] for line in lag if " q1 " in line][0])

    b = Client(port, "b@2")             # the last one that goes takes its share along
    want(0, b.beat(["billing"]))
    want(0, a.ask(35, {"clientID": "a@1", "consumerGroup": "billing"})[0])
    want(True, busy(queues[0]))
    b.sock.close()
    soon("clients that have gone", busy, queues[0])
    pull(a, "orders", 0, 0)             # it is in no group
    want(False, busy(queues[0]))

    want(0, a.beat(["billing"], model="BROADCASTING"))  # each for itself
    want(FOUND, pull(a, "orders", 0, 0)[0])
    want(False, busy(queues[0]))
    want(FOUND, pull(a, "orders", 0, 0, flags=0)[0])
    want(0, a.ask(200, body={"groupName": "billing", "consumeBroadcastEnable": False})[0])
    want(16, pull(a, "orders", 0, 0, flags=0)[0])
    want(0, a.beat(["billing"]))
    want(FOUND, pull(a, "orders", 0, 0, flags=0)[0])


def holds(port, mnt):
    """Is killed while it consumes."""
    a = Client(port, "a@1")
    want(0, a.beat(["billing"]))
    want(FOUND, pull(a, "orders", 0, 0)[0])
    want(True, busy(mnt + "/groups/billing/orders/q0"))
    print("holds", flush=True)
    time.sleep(100)


def produced(port):
    """A message is stored where its answer says, whichever request it came by."""
    c = Client(port, "a@1")
    code, ext = send(c, "orders", 1, b"first", "TAGS\x01a\x02KEYS\x01k1\x02")
    want(0, code)
    want(("1", "0"), (ext["queueId"], ext["queueOffset"]))
    want(32, len(ext["msgId"]))
    code, ext = send(c, "orders", 1, b"second", code=SEND)
    want((0, "1"), (code, ext["queueOffset"]))
    items = b""
    for body in (b"third", b"fourth"):
        item = struct.pack(">iiii", 0, 0, 0, len(body))[:12] + struct.pack(">ii", 7, len(body)) + body + struct.pack(">h", 0)
        items += struct.pack(">i", len(item)) + item[4:]
    code, ext = send(c, "orders", 1, items, code=SEND_BATCH)
    want((0, "2"), (code, ext["queueOffset"]))
    ids = ext["msgId"].split(",")
    want(2, len(ids))
    code, _, got = pull(c, "orders", 1, 0)
    want(FOUND, code)
    want([b"first", b"second", b"third", b"fourth"], [body for _, _, body in got])
    want([int(i[16:], 16) for i in ids], [pos for _, pos, _ in got[2:]])
    want(13, send(c, "orders", 1, items[:-1], code=SEND_BATCH)[0])
    want(17, send(c, "unknown", 0, b"x")[0])
    want(1, send(c, "or/ders", 0, b"x")[0])
    want(1, send(c, "orders", 99, b"x")[0])


def later(port):
    """A message with a delay level comes when it is due, and not before."""
    c = Client(port, "a@1")
    began = time.monotonic()
    code, ext = send(c, "orders", 4, b"later", "DELAY\x011\x02")
    want((0, "4"), (code, ext["queueId"]))
    code, _, got = pull(c, "orders", 4, 0, suspend_ms=60000)
    want((FOUND, [b"later"]), (code, [body for _, _, body in got]))
    if time.monotonic() - began < 0.9:
        raise SystemExit("a delayed message came too early")


def pulled(port, first):
    """What was appended by files is pulled, by tags too, and offsets outside are answered as RocketMQ does."""
    c = Client(port, "a@1")
    code, ext, got = pull(c, "orders", 0, 0)
    want(FOUND, code)
    want(first.encode(), got[0][2])
    want(len(got), int(ext["nextBeginOffset"]))
    end = int(ext["maxOffset"])
    want(NOT_FOUND, pull(c, "orders", 0, end)[0])
    want(MOVED, pull(c, "orders", 0, end + 1)[0])
    want(1, len(pull(c, "orders", 1, 0, tags="a")[2]))
    want(RETRY, pull(c, "orders", 1, 0, tags="none")[0])
    want(24, pull(c, "orders", 0, 0, flags=0, group="nobody")[0])
    want(17, pull(c, "unknown", 0, 0)[0])


def waits(port, command):
    """A pull that finds nothing waits, until a message comes, by a file or by a client; or its time is over."""
    import subprocess
    c, d = Client(port, "a@1"), Client(port, "b@2")
    end = int(pull(c, "orders", 2, 0)[1]["maxOffset"])
    began = time.monotonic()
    want(NOT_FOUND, pull(c, "orders", 2, end, suspend_ms=300)[0])
    if time.monotonic() - began < 0.29:
        raise SystemExit("a pull did not wait for its time")
    for i, produce in enumerate((lambda: want(0, send(d, "orders", 2, b"by a client")[0]),
                                 lambda: subprocess.check_call(command, shell=True))):
        t = threading.Timer(0.2, produce)
        t.start()
        code, _, got = pull(c, "orders", 2, end + i, suspend_ms=60000)
        t.join()
        want((FOUND, 1), (code, len(got)))


def gone(port):
    """A thousand pulls wait, and their connections end: nobody else notices."""
    waiting = [Client(port, "w@%d" % i) for i in range(100)]
    import remoting
    end = pull(waiting[0], "orders", 3, 0)[1]["maxOffset"]
    for c in waiting:
        for i in range(10):
            c.sock.sendall(remoting.request(remoting.JSON, PULL, i, {
                "consumerGroup": "billing", "topic": "orders", "queueId": "3", "queueOffset": end, "maxMsgNums": "32",
                "sysFlag": "6", "commitOffset": "0", "suspendTimeoutMillis": "60000", "subscription": "*",
                "subVersion": "0"}, b""))
    for c in waiting[:50]:
        c.sock.close()
    want(0, send(Client(port, "p@1"), "orders", 3, b"x")[0])
    for c in waiting[50:]:
        want({0}, {c.frame()[0]["code"] for _ in range(10)})


def send_back(c, pos, level=0, times=None, group="billing"):
    ext = {"offset": str(pos), "group": group, "delayLevel": str(level), "originMsgId": "x", "originTopic": "orders",
           "unitMode": "false"}
    if times is not None:
        ext["maxReconsumeTimes"] = str(times)
    return c.ask(36, ext)[0]


def wait_record(c, topic, queues):
    """(position, record) of the newest message there, once there is one"""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for queue in range(queues):
            code, _, got = pull(c, topic, queue, 0, raw=True)
            if code == FOUND:
                return got[-1]
        time.sleep(0.05)
    sys.exit("nothing has come to " + topic)


def properties(record):
    """The properties of a record of the log: RECONSUMETIMES among them, as a number."""
    n, = struct.unpack_from(">i", record, 84)
    topic_len = record[88 + n]
    text = record[88 + n + 1 + topic_len + 2:].decode()
    props = dict(p.split("\x01", 1) for p in text.split("\x02") if p)
    props["RECONSUMETIMES"], = struct.unpack_from(">i", record, 72)
    return props


def narrowed(port):
    """Clients are told to append to fewer queues than they read; later to read fewer, too."""
    c = Client(port, "c@1")
    topic = {"topic": "wide", "defaultTopic": "TBW102", "readQueueNums": "8", "writeQueueNums": "8", "perm": "6",
             "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false"}

    def told():
        conf = json.loads(c.ask(21)[2])["topicConfigTable"]["wide"]
        return conf["readQueueNums"], conf["writeQueueNums"]

    want((0, (8, 8)), (c.ask(17, topic)[0], told()))
    want(0, send(c, "wide", 7, b"old")[0])
    want((0, (8, 2)), (c.ask(17, dict(topic, writeQueueNums="2"))[0], told()))
    queues = {int(send(c, "wide", -1, b"anywhere")[1]["queueId"]) for _ in range(40)}
    want({0, 1}, queues)
    want((FOUND, [(0, b"old")]), (lambda r: (r[0], [(o, b) for o, _, b in r[2]]))(pull(c, "wide", 7, 0)))
    want(0, send(c, "wide", 7, b"by one who has not heard of it")[0])
    want((0, (2, 2)), (c.ask(17, dict(topic, readQueueNums="2", writeQueueNums="2"))[0], told()))
    want(1, pull(c, "wide", 7, 0)[0])
    want(1, send(c, "wide", 7, b"no more")[0])
    want(FOUND, pull(c, "wide", 1, 0)[0])


def sent_back(port):
    """What a consumer sends back comes again in its retry topic, later each time, and then is a dead letter."""
    c = Client(port, "a@1")
    want(0, c.beat(["billing"]))
    want(0, send(c, "orders", 5, b"back", "TAGS\x01a\x02")[0])
    pos = pull(c, "orders", 5, 0)[2][0][1]
    want(26, send_back(c, pos, group="stranger"))
    want(1, send_back(c, pos + 1))
    want(1, send_back(c, -1))
    want(1, send_back(c, 1 << 40))
    want(0, send_back(c, pos, level=1))
    again, record = wait_record(c, "%RETRY%billing", 1)
    props = properties(record)
    want(("orders", "a", 1), (props["RETRY_TOPIC"], props["TAGS"], props["RECONSUMETIMES"]))
    want(pos, int(props["ORIGIN_MESSAGE_ID"][16:], 16))
    want(0, send_back(c, again, times=1))       # as often as it may
    dead, record = wait_record(c, "%DLQ%billing", 1)
    props = properties(record)
    want(("orders", 2), (props["RETRY_TOPIC"], props["RECONSUMETIMES"]))
    want(pos, int(props["ORIGIN_MESSAGE_ID"][16:], 16))
    want(0, send_back(c, pos, level=-1))        # at once
    want(2, len(pull(c, "%DLQ%billing", 0, 0)[2]))
    # a client whose request has failed sends it by itself
    want(0, send(c, "%RETRY%billing", 0, b"by itself", "RETRY_TOPIC\x01orders\x02DELAY\x013\x02", times=(3, 3))[0])
    want(b"by itself", pull(c, "%DLQ%billing", 0, 2)[2][0][2])
    # a group without retry queues is told that all is well
    want(0, c.ask(200, body={"groupName": "careless", "retryQueueNums": 0})[0])
    want(0, send_back(c, pos, level=-1, group="careless"))
    want(17, pull(c, "%DLQ%careless", 0, 0)[0])


def replies(port, stored="true"):
    """A reply goes to the producer that its REPLY_TO_CLIENT names, and its sender hears what became of it."""
    import json
    import remoting
    asker, replier = Client(port, "asker@1"), Client(port, "replier@2")
    want(0, asker.beat(producers=["ask"]))
    topic = "DefaultCluster_REPLY_TOPIC"
    props = "CORRELATION_ID\x01c1\x02REPLY_TO_CLIENT\x01%s\x02MSG_TYPE\x01reply"
    ext = dict(zip("abcdefghijkm", ("p", topic, "TBW102", "8", "0", "0", "1700000000000", "5", "", "0", "false",
                                    "false")))

    def reply(body, client="asker@1", response=0, **other):
        replier.opaque += 1
        replier.sock.sendall(remoting.request(remoting.JSON, 325, replier.opaque,
                                              dict(ext, **dict({"i": props % client}, **other)), body))
        if response is not None:
            header, got = asker.frame()
            want((326, body, 0), (header["code"], got, header["flag"]))
            asker.sock.sendall(remoting.frame(remoting.JSON, json.dumps({
                "code": response, "flag": 1, "language": "JAVA", "opaque": header["opaque"], "version": 409}).encode()))
            e = header["extFields"]
            want((topic, "0", "5", "p"), (e["topic"], e["queueId"], e["flag"], e["producerGroup"]))
            want(("127.0.0.1", 2), (e["bornHost"].split(":")[0], len(e["storeHost"].split(":"))))
            want({"CORRELATION_ID", "REPLY_TO_CLIENT", "MSG_TYPE", "PUSH_REPLY_TIME"},
                 {p.split("\x01")[0] for p in e["properties"].split("\x02") if p})
        header, _ = replier.frame()
        want(replier.opaque, header["opaque"])
        return header["code"], header.get("extFields", {})

    code, e = reply(b"the answer")
    want((0, "0"), (code, e["queueId"]))
    want(stored == "true", len(e["msgId"]) == 32)
    if stored == "false":
        want("0", e["msgId"])
        return
    want(b"the answer", pull(replier, topic, 0, 0)[2][0][2])
    want(1, reply(b"refused", response=1)[0])
    want(1, reply(b"nobody", client="nobody@9", response=None)[0])
    want(1, reply(b"unnamed", response=None, i="MSG_TYPE\x01reply")[0])
    want(17, reply(b"x", response=None, b="unknown", c="none")[0])
    want(1, reply(b"x", response=None, e="99")[0])
    # many at a time; the asker answers when all have come
    n = 40
    replier.sock.sendall(b"".join(remoting.request(remoting.JSON, 325, 1000 + i, dict(ext, i=props % "asker@1"),
                                                   b"%d" % i) for i in range(n)))
    for header in [asker.frame()[0] for _ in range(n)]:
        asker.sock.sendall(remoting.frame(remoting.JSON, json.dumps({
            "code": 0, "flag": 1, "language": "JAVA", "opaque": header["opaque"], "version": 409}).encode()))
    want({(1000 + i, 0) for i in range(n)}, {(h["opaque"], h["code"]) for h in (replier.frame()[0] for _ in range(n))})
    # the asker goes before it has answered
    replier.sock.sendall(remoting.request(remoting.JSON, 325, 7, dict(ext, i=props % "asker@1"), b"too late"))
    asker.frame()
    asker.sock.close()
    want((7, 1), (lambda h: (h["opaque"], h["code"]))(replier.frame()[0]))


if __name__ == "__main__":
    globals()[sys.argv[2]](int(sys.argv[1]), *sys.argv[3:])
