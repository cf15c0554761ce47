"""RocketMQ's clients, as a broker sees them, for the shell tests: `python3 clients.py PORT SCENE [ARG...]`."""

import json
import re
import socket
import struct
import sys

import remoting
from remoting import want

HEART_BEAT, UNREGISTER, LIST, NOTIFY, LOCK, UNLOCK = 34, 35, 38, 40, 41, 42
SUCCESS, ERROR, NO_PERMISSION, TOPIC_NOT_EXIST, NOT_FOUND, NOT_ONLINE = 0, 1, 16, 17, 22, 206


class Client:
    def __init__(self, port, name):
        self.sock = remoting.connect(port)
        self.name = name
        self.opaque = 0
        self.told = []          # groups of NOTIFY_CONSUMER_IDS_CHANGED

    def frame(self):
        length, head = struct.unpack(">iI", remoting.receive(self.sock, 8))
        header = json.loads(remoting.receive(self.sock, head & 0xffffff))
        return header, remoting.receive(self.sock, length - 4 - (head & 0xffffff))

    def ask(self, code, ext=None, body=None):
        """(code, ext fields, body)"""
        self.opaque += 1
        text = json.dumps(body).encode() if body is not None else b""
        self.sock.sendall(remoting.request(remoting.JSON, code, self.opaque, ext, text))
        while True:
            header, got = self.frame()
            if header["flag"] & 1:
                want(self.opaque, header["opaque"])
                return header["code"], header.get("extFields", {}), got
            self.hear(header)

    def hear(self, header):
        want(NOTIFY, header["code"])
        self.told.append(header["extFields"]["consumerGroup"])

    def wait_told(self, group):
        while group not in self.told:
            self.hear(self.frame()[0])
        self.told = []

    def beat(self, groups=(), producers=(), topic="orders", model="CLUSTERING"):
        code, _, _ = self.ask(HEART_BEAT, body={
            "clientID": self.name,
            "consumerDataSet": [{"groupName": g, "consumeType": "CONSUME_PASSIVELY", "messageModel": model,
                                 "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET", "unitMode": False,
                                 "subscriptionDataSet": [{"topic": topic, "subString": "*", "subVersion": 1,
                                                          "tagsSet": [], "codeSet": [], "expressionType": "TAG"}]}
                                for g in groups],
            "producerDataSet": [{"groupName": p} for p in producers]})
        return code

    def members(self, group):
        code, _, body = self.ask(LIST, {"consumerGroup": group})
        return sorted(json.loads(body)["consumerIdList"]) if code == SUCCESS else code

    def lock(self, group, queues, code=LOCK):
        rc, _, body = self.ask(code, body={"consumerGroup": group, "clientId": self.name, "mqSet": [
            {"brokerName": "b", "topic": "orders", "queueId": q} for q in queues]})
        want(SUCCESS, rc)
        return [q["queueId"] for q in json.loads(body)["lockOKMQSet"]] if code == LOCK else None


def members(port):
    """Who consumes in a group is known to the others of it, until it says goodbye or its connection ends."""
    a, b = Client(port, "a@1"), Client(port, "b@2")
    want(ERROR, a.members("billing"))
    want(SUCCESS, a.beat(["billing"], ["shop"]))
    want(["a@1"], a.members("billing"))
    a.told = []
    want(SUCCESS, b.beat(["billing", "audit"]))
    a.wait_told("billing")
    want(["a@1", "b@2"], a.members("billing"))
    code, _, body = a.ask(203, {"consumerGroup": "billing"})
    want(SUCCESS, code)
    body = json.loads(body)
    want(["a@1", "b@2"], sorted(c["clientId"] for c in body["connectionSet"]))
    want("CLUSTERING", body["messageModel"])
    want("*", body["subscriptionTable"]["orders"]["subString"])
    if len(sys.argv) > 3:       # the mount
        lines = sorted(line.split()[0::2] for line in open(sys.argv[3] + "/groups/billing/clients"))
        want([["a@1", "JAVA/409", ], ["b@2", "JAVA/409"]], [line[:2] for line in lines])
        counts = {line.split()[0]: line.split()[6] for line in open(sys.argv[3] + "/status/groups")}
        want(["2", "1"], [counts["billing"], counts["audit"]])
    want(SUCCESS, a.ask(204, {"producerGroup": "shop"})[0])
    want(ERROR, a.ask(204, {"producerGroup": "none"})[0])
    want(NOT_ONLINE, a.ask(203, {"consumerGroup": "none"})[0])
    want(SUCCESS, b.ask(UNREGISTER, {"clientID": "a@1", "consumerGroup": "billing"})[0])   # not b's to say
    want(["a@1", "b@2"], a.members("billing"))
    b.sock.close()
    a.wait_told("billing")
    want(["a@1"], a.members("billing"))
    want(ERROR, a.members("audit"))
    want(SUCCESS, a.ask(UNREGISTER, {"clientID": "a@1", "consumerGroup": "billing"})[0])
    want(ERROR, a.members("billing"))


def locks(port):
    """A queue is locked by one client of a group at a time."""
    a, b = Client(port, "a@1"), Client(port, "b@2")
    want([0, 1], a.lock("billing", [0, 1]))
    want([0, 1], a.lock("billing", [0, 1]))
    want([2], b.lock("billing", [1, 2]))
    want([0], b.lock("audit", [0]))
    b.lock("billing", [0], UNLOCK)      # it is not b's
    want([], b.lock("billing", [0]))
    a.lock("billing", [0], UNLOCK)
    want([0], b.lock("billing", [0]))


def nonsense(port):
    """What is no heartbeat, no lock and no group is refused, and the next request is served."""
    a = Client(port, "a@1")
    for body in None, [], {}, {"clientID": 7, "consumerDataSet": [{"groupName": "g"}]}, \
            {"clientID": "a", "consumerDataSet": [{"groupName": ""}]}, \
            {"clientID": "a", "consumerDataSet": [{"groupName": "x" * 300}]}, \
            {"clientID": "a", "consumerDataSet": [{"groupName": "no/such name"}]}:
        if body != {}:
            want(ERROR, a.ask(HEART_BEAT, body=body)[0])
    want(ERROR, a.ask(HEART_BEAT, body={"clientID": "a", "consumerDataSet": [
        {"groupName": "g%d" % i} for i in range(300)]})[0])
    for code in LOCK, UNLOCK, 200:
        want(ERROR, a.ask(code, body=[1])[0])
    for code in 17, 29, 30, 31, 32, 202:
        want(TOPIC_NOT_EXIST if code != 17 else ERROR, a.ask(code, {"topic": "none", "queueId": "0"})[0])
    for queue in "-1", "99", "x", "", "9" * 40:
        want(ERROR, a.ask(30, {"topic": "orders", "queueId": queue})[0])
    want(ERROR, a.ask(33, {"offset": "-5"})[0])
    want(ERROR, a.ask(33, {"offset": "7"})[0])


def parsed(body):
    """RocketMQ's JSON has objects as names: a queue's becomes its id."""
    return json.loads(re.sub(r'(\{"brokerName":"[^"]*","queueId":(\d+),"topic":"[^"]*"\}):', r'"\2":', body.decode()))


def queues_of(body):
    """An offsetTable's entries by queue id."""
    return {int(k): v for k, v in parsed(body)["offsetTable"].items()}


def offsets(port):
    """Ends, times, messages and commits are those of the files."""
    a = Client(port, "a@1")
    place = {"topic": "orders", "queueId": "0"}
    want(("3", "0"), (a.ask(30, place)[1]["offset"], a.ask(31, place)[1]["offset"]))
    want("0", a.ask(29, dict(place, timestamp="0"))[1]["offset"])
    want("3", a.ask(29, dict(place, timestamp="99999999999999"))[1]["offset"])
    want(True, int(a.ask(32, place)[1]["timestamp"]) > 1600000000000)
    want("0", a.ask(14, dict(place, consumerGroup="billing"))[1]["offset"])     # a young queue's rule
    want(SUCCESS, a.beat(["billing"]))
    commit = dict(place, consumerGroup="billing", commitOffset="2")
    want(SUCCESS, a.ask(15, commit)[0])
    want("2", a.ask(14, dict(place, consumerGroup="billing"))[1]["offset"])
    want(ERROR, a.ask(15, dict(commit, consumerGroup="no/group"))[0])
    code, _, body = a.ask(351, {"topic": "orders"})
    want((SUCCESS, 8), (code, json.loads(body)["writeQueueNums"]))
    code, _, body = a.ask(202, {"topic": "orders"})
    want(SUCCESS, code)
    table = queues_of(body)
    want((0, 3), (table[0]["minOffset"], table[0]["maxOffset"]))
    code, _, body = a.ask(208, {"consumerGroup": "billing"})
    table = queues_of(body)
    want((3, 2), (table[0]["brokerOffset"], table[0]["consumerOffset"]))
    code, _, body = a.ask(33, {"offset": "%d" % int(sys.argv[3])})
    want((SUCCESS, True), (code, b"two" in body))
    code, _, body = a.ask(12, {"topic": "orders", "key": "k2", "maxNum": "8", "beginTimestamp": "0",
                               "endTimestamp": "99999999999999"})
    want((SUCCESS, True), (code, b"keyed" in body))
    want(NOT_FOUND, a.ask(12, {"topic": "orders", "key": "none", "maxNum": "8", "beginTimestamp": "0",
                               "endTimestamp": "99999999999999"})[0])


def admin(port):
    """Topics and groups are made, changed and removed as by files."""
    a = Client(port, "a@1")
    topic = {"topic": "made", "defaultTopic": "TBW102", "readQueueNums": "4", "writeQueueNums": "4", "perm": "6",
             "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false"}
    want(SUCCESS, a.ask(17, topic)[0])
    want(SUCCESS, a.ask(17, dict(topic, readQueueNums="6", writeQueueNums="6", perm="4"))[0])
    want(ERROR, a.ask(17, dict(topic, topic="TBW102"))[0])
    want(ERROR, a.ask(17, dict(topic, readQueueNums="0"))[0])
    for name in "MQFS_META", "mqfs_meta", "MQFS_other", "SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC":
        want(ERROR, a.ask(17, dict(topic, topic=name))[0])
    want(ERROR, a.ask(215, {"topic": "MQFS_META"})[0])
    for name in "MQFS_group", "CID_RMQ_SYS_TRANS":
        want(False, SUCCESS == a.ask(200, body={"groupName": name})[0])
        want(False, SUCCESS == a.beat([name]))
        want(False, name in json.loads(a.ask(201)[2])["subscriptionGroupTable"])
    made = json.loads(a.ask(21)[2])["topicConfigTable"]["made"]
    want((6, 4), (made["readQueueNums"], made["perm"]))
    want(SUCCESS, a.ask(200, body={"groupName": "made", "retryMaxTimes": 3, "consumeEnable": False})[0])
    want(3, json.loads(a.ask(201)[2])["subscriptionGroupTable"]["made"]["retryMaxTimes"])
    want(SUCCESS, a.ask(207, {"groupName": "made"})[0])
    want(SUCCESS, a.ask(215, {"topic": "made"})[0])
    want(False, "made" in json.loads(a.ask(21)[2])["topicConfigTable"])
    code, ext, body = a.ask(26)
    want((SUCCESS, True), (code, b"brokerName=" in body and "version" in ext))
    want("409", json.loads(a.ask(28)[2])["table"]["brokerVersion"])


def stranger(port):
    """Whoever has no rights changes nothing."""
    a = Client(port, "a@1")
    topic = {"topic": "evil", "readQueueNums": "4", "writeQueueNums": "4", "perm": "6"}
    want(NO_PERMISSION, a.ask(17, topic)[0])
    want(NO_PERMISSION, a.ask(215, {"topic": "orders"})[0])
    want(NO_PERMISSION, a.ask(200, body={"groupName": "evil"})[0])
    want(NO_PERMISSION, a.beat(["evil"]))
    want(NO_PERMISSION, a.ask(30, {"topic": "secret", "queueId": "0"})[0])
    want(3, a.ask(0x6d71, body={"v": 1})[0])    # nobody may follow: haListen=none


def attempts(port):
    """What a client can do of append, read, pull, commit, offset, make, group: those words.  Who may read the queue
    may read its messages by their position."""
    a = Client(port, "a@1")
    place = {"topic": "t", "queueId": "0"}
    pull = dict(place, consumerGroup="g", queueOffset="0", maxMsgNums="1", sysFlag="5", commitOffset="0",
                suspendTimeoutMillis="0", subVersion="0", subscription="*")
    send = {"a": "p", "b": "t", "c": "", "d": "1", "e": "0", "f": "0", "g": "1", "h": "0", "i": "", "j": "0"}
    topic = dict(place, readQueueNums="8", writeQueueNums="8", perm="6")
    done = {"append": a.ask(310, send), "read": a.ask(30, place), "pull": a.ask(11, pull),
            "commit": a.ask(15, dict(place, consumerGroup="g", commitOffset="1")),
            "offset": a.ask(14, dict(place, consumerGroup="g")),
            "make": a.ask(17, dict(topic, topic="new")),
            "group": a.ask(200, body={"groupName": "new"})}
    want(done["read"][0] == SUCCESS, a.ask(33, {"offset": sys.argv[3]})[0] == SUCCESS)
    if done["make"][0] == SUCCESS:      # what could be made goes again
        want(SUCCESS, a.ask(215, {"topic": "new"})[0])
    if done["group"][0] == SUCCESS:
        want(SUCCESS, a.ask(207, {"groupName": "new"})[0])
    print(*(name for name, (code, _, _) in done.items() if code == SUCCESS))


if __name__ == "__main__":
    sys.path.insert(0, ".")
    globals()[sys.argv[2]](int(sys.argv[1]))
