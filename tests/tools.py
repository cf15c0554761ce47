"""RocketMQ's tools, as a broker sees them, for the shell tests: `python3 tools.py PORT SCENE [ARG...]`."""

import json
import struct
import sys
import time

import clients
import remoting
from clients import Client, parsed, queues_of
from remoting import want

RESET, STATUS_OF_CLIENT, INVOKE_RESET, INVOKE_STATUS = 220, 221, 222, 223
BY_WHO, TIME_SPAN, SYSTEM_TOPICS, CLEAN_QUEUES, RUNNING_INFO, CORRECTION, CONSUME = 300, 303, 305, 306, 307, 308, 309
CLONE, STATS_DATA, CLEAN_TOPICS, ALL_STATS, ENTRIES, PRODUCERS, EXPIRE = 314, 315, 316, 317, 321, 328, 329
CONFIG_SET, CONFIG, CHECK_CLIENT = 25, 26, 46
SUCCESS, ERROR, NO_PERMISSION, TOPIC_NOT_EXIST, NOT_ONLINE, TIMEOUT = 0, 1, 16, 17, 206, 207
PARSE_FAILED = 23


class Consumer(Client):
    def asked(self):
        """The next request of the broker's, but for notices that the group has changed."""
        while True:
            header, body = self.frame()
            if header["flag"] & 1 == 0 and header["code"] != clients.NOTIFY:
                return header, body

    def answer(self, header, code, body=b"", ext=None, remark=None):
        fields = {"code": code, "extFields": ext or {}, "flag": 1, "language": "JAVA", "opaque": header["opaque"],
                  "serializeTypeCurrentRPC": "JSON", "version": 409}
        if remark:
            fields["remark"] = remark
        self.sock.sendall(remoting.frame(remoting.JSON, json.dumps(fields).encode(), body))


class Tool(Client):
    def send(self, code, ext=None, body=b""):
        self.opaque += 1
        self.sock.sendall(remoting.request(remoting.JSON, code, self.opaque, ext, body))

    def result(self):
        """(code, remark, body) of the answer to what was sent"""
        header, body = self.frame()
        want((self.opaque, 1), (header["opaque"], header["flag"] & 1))
        return header["code"], header.get("remark", ""), body


def relayed(port):
    """What a tool asks a client reaches it by way of the broker, and so does the answer."""
    tool, c = Tool(port, "tool@1"), Consumer(port, "c@1")
    where = {"consumerGroup": "billing", "clientId": "c@1"}
    want(ERROR, tool.ask(RUNNING_INFO, where)[0])
    want(SUCCESS, c.beat(["billing"]))
    want(ERROR, tool.ask(RUNNING_INFO, dict(where, clientId="other@1"))[0])

    tool.send(RUNNING_INFO, dict(where, jstackEnable="false"))
    header, _ = c.asked()
    want((RUNNING_INFO, "billing", "false"), (header["code"], header["extFields"]["consumerGroup"],
                                              header["extFields"]["jstackEnable"]))
    c.answer(dict(header, opaque=header["opaque"] + 1), SUCCESS, b"not asked")
    c.answer(header, SUCCESS, b'{"properties":{}}')
    want((SUCCESS, "", b'{"properties":{}}'), tool.result())
    tool.send(RUNNING_INFO, where)
    c.answer(c.asked()[0], ERROR, remark="it does not want to")
    want((ERROR, "it does not want to", b""), tool.result())

    # Two clients' states, with objects as names, one of which refuses.
    other = Consumer(port, "d@2")
    want(SUCCESS, other.beat(["billing"]))
    tool.send(INVOKE_STATUS, {"topic": "orders", "group": "billing", "clientAddr": ""})
    header, _ = c.asked()
    want((STATUS_OF_CLIENT, "orders"), (header["code"], header["extFields"]["topic"]))
    c.answer(header, SUCCESS, b'{"consumerTable":{},"messageQueueTable":{{"brokerName":"a}\\"{","queueId":0}:5}}')
    other.answer(other.asked()[0], ERROR)
    code, _, body = tool.result()
    want((SUCCESS, b'{"messageQueueTable":{},"consumerTable":{"c@1":{{"brokerName":"a}\\"{","queueId":0}:5}}}'),
         (code, body))
    tool.send(INVOKE_STATUS, {"topic": "orders", "group": "billing", "clientAddr": "d@2"})
    other.answer(other.asked()[0], SUCCESS, b'{"messageQueueTable":{}}')
    want((SUCCESS, "", b'{"messageQueueTable":{},"consumerTable":{"d@2":{}}}'), tool.result())
    want(ERROR, tool.ask(INVOKE_STATUS, {"topic": "orders", "group": "none"})[0])

    # A client that goes, and one that says nothing.
    tool.send(RUNNING_INFO, dict(where, clientId="d@2"))
    other.asked()
    other.sock.close()
    want(ERROR, tool.result()[0])
    began = time.monotonic()
    tool.send(RUNNING_INFO, where)
    want(TIMEOUT, tool.result()[0])
    if time.monotonic() - began < 9:
        sys.exit("the client had no time to answer")


def direct(port):
    """A client consumes one message at once, with its broker's name and all of its record."""
    tool, c = Tool(port, "tool@1"), Consumer(port, "c@1")
    want(SUCCESS, c.beat(["billing"]))
    msg_id = "7F00000100002A9F%016X" % int(sys.argv[3])
    tool.send(CONSUME, {"consumerGroup": "billing", "clientId": "c@1", "msgId": msg_id})
    header, body = c.asked()
    want((CONSUME, True, True), (header["code"], b"two" in body, len(header["extFields"]["brokerName"]) > 0))
    want(len(body), struct.unpack(">i", body[:4])[0])
    c.answer(header, SUCCESS, b'{"consumeResult":"CR_SUCCESS"}')
    want((SUCCESS, "", b'{"consumeResult":"CR_SUCCESS"}'), tool.result())
    for bad in "", "7F00000100002A9F0000000000000003", "no id":
        want(ERROR, tool.ask(CONSUME, {"consumerGroup": "billing", "clientId": "c@1", "msgId": bad})[0])


def resets(port):
    """An offset moves back when a tool says so, with clients of the group and without."""
    tool = Tool(port, "tool@1")
    place = {"topic": "orders", "queueId": "0", "consumerGroup": "billing"}

    def offset(group="billing"):
        return tool.ask(14, dict(place, consumerGroup=group))[1]["offset"]

    def commit(client, to):
        """As a consumer does: without an answer, and then something that has one."""
        client.sock.sendall(remoting.request(remoting.JSON, 15, 0, dict(place, commitOffset=to), flag=2))
        client.beat(["billing"])

    ask = {"topic": "orders", "group": "billing", "timestamp": "0", "isForce": "true"}
    c = Consumer(port, "c@1")
    want(SUCCESS, c.beat(["billing"]))
    commit(c, "3")
    want("3", offset())
    commit(c, "1")
    want("3", offset())
    want(ERROR, tool.ask(INVOKE_RESET, dict(ask, topic="none"))[0])
    want(ERROR, tool.ask(INVOKE_RESET, dict(ask, group="none"))[0])
    want(ERROR, tool.ask(INVOKE_RESET, dict(ask, timestamp="yesterday"))[0])

    code, _, body = tool.ask(INVOKE_RESET, ask)
    want((SUCCESS, 0), (code, queues_of(body)[0]))
    header, told = c.asked()
    want((RESET, "orders", "billing"), (header["code"], header["extFields"]["topic"], header["extFields"]["group"]))
    want(queues_of(body), queues_of(told))
    want("0", offset())
    commit(c, "2")              # the client goes on for some seconds,
    want("2", offset())
    commit(c, "0")              # and then does what it was told
    want("0", offset())
    commit(c, "3")
    commit(c, "0")              # once
    want("3", offset())

    code, _, body = tool.ask(INVOKE_RESET, dict(ask, timestamp="99999999999999", isForce="false"))
    want((SUCCESS, 3), (code, queues_of(body)[0]))
    tool.ask(INVOKE_RESET, ask)
    code, _, body = tool.ask(INVOKE_RESET, dict(ask, timestamp="-1", isForce="false"))
    want((SUCCESS, 0), (code, queues_of(body)[0]))
    code, _, body = tool.ask(INVOKE_RESET, dict(ask, timestamp="-1"))
    want((SUCCESS, 3), (code, queues_of(body)[0]))
    c.sock.close()

    end = time.monotonic() + 60
    while tool.ask(INVOKE_RESET, ask)[0] != NOT_ONLINE:
        if time.monotonic() > end:
            sys.exit("a client that has gone is online")
    want(SUCCESS, tool.ask(15, dict(place, commitOffset="1"))[0])       # so a tool does it by itself
    want("1", offset())
    want(SUCCESS, tool.ask(15, dict(place, consumerGroup="cloned", commitOffset="2"))[0])
    want("2", offset("cloned"))
    want(SUCCESS, tool.ask(CLONE, {"srcGroup": "billing", "destGroup": "cloned", "topic": "orders"})[0])
    want("1", offset("cloned"))
    want(ERROR, tool.ask(CLONE, {"srcGroup": "billing", "destGroup": "no/name"})[0])


def tables(port):
    """Who consumes, how far, since when, and what a queue's entries are."""
    tool, c = Tool(port, "tool@1"), Consumer(port, "c@1")
    place = {"topic": "orders", "queueId": "0"}
    want(SUCCESS, c.beat(["audit"], ["shop"]))
    want(SUCCESS, tool.ask(15, dict(place, consumerGroup="billing", commitOffset="2"))[0])
    groups = json.loads(tool.ask(BY_WHO, {"topic": "orders"})[2])["groupList"]
    want((True, True), ("audit" in groups, "billing" in groups))
    want([], json.loads(tool.ask(BY_WHO, {"topic": "none"})[2])["groupList"])

    spans = json.loads(tool.ask(TIME_SPAN, {"topic": "orders", "group": "billing"})[2])["consumeTimeSpanSet"]
    span = next(s for s in spans if s["messageQueue"]["queueId"] == 0)
    want(True, 1600000000000 < span["minTimeStamp"] <= span["consumeTimeStamp"] <= span["maxTimeStamp"])
    want(True, span["delayTime"] > 0)
    want((-1, -1, 0), tuple(spans[1][k] for k in ("minTimeStamp", "maxTimeStamp", "delayTime")))
    want(TOPIC_NOT_EXIST, tool.ask(TIME_SPAN, {"topic": "none", "group": "billing"})[0])

    body = parsed(tool.ask(ALL_STATS, {"isOrder": "false"})[2])
    progress = next(g["billing"] for g in body["consumeStatsList"] if "billing" in g)
    queue = progress[0]["offsetTable"]["0"]
    want((3, 2, True), (queue["brokerOffset"], queue["consumerOffset"], queue["lastTimestamp"] > 1600000000000))
    want(True, body["totalDiff"] >= 1)
    body = json.loads(tool.ask(ALL_STATS, {"isOrder": "true"})[2])
    want([], next(g["billing"] for g in body["consumeStatsList"] if "billing" in g))

    # A group that is there, and does not subscribe to it any more.
    want(SUCCESS, tool.ask(15, dict(place, consumerGroup="audit", commitOffset="1"))[0])
    want(True, 0 in queues_of(tool.ask(208, {"consumerGroup": "audit"})[2]))
    want(SUCCESS, c.beat(["audit"], topic="another"))
    want({}, queues_of(tool.ask(208, {"consumerGroup": "audit"})[2]))

    low = json.loads(tool.ask(CORRECTION, {"topic": "orders", "filterGroups": "audit,cloned"})[2])["correctionOffsets"]
    want(2, low["0"])
    low = json.loads(tool.ask(CORRECTION, {"topic": "orders", "filterGroups": "", "compareGroup": "audit"})[2])
    want(1, low["correctionOffsets"]["0"])

    code, _, body = tool.ask(ENTRIES, dict(place, index="1", count="5"))
    body = json.loads(body)
    want((SUCCESS, 2, 3, 0), (code, len(body["queueData"]), body["maxQueueIndex"], body["minQueueIndex"]))
    want(True, body["queueData"][0]["physicOffset"] < body["queueData"][1]["physicOffset"])
    want((SUCCESS, b""), tool.ask(ENTRIES, dict(place, index="3", count="5"))[::2])
    body = json.loads(tool.ask(ENTRIES, dict(place, index="0", count="1", consumerGroup="billing"))[2])
    want("billing@orders is not online!", body["filterData"])
    want(SUCCESS, c.beat(["audit"]))
    body = json.loads(tool.ask(ENTRIES, dict(place, index="0", count="1", consumerGroup="audit"))[2])
    want("*", body["subscriptionData"]["subString"])

    made = json.loads(tool.ask(PRODUCERS)[2])["data"]["shop"]
    want([("c@1", "JAVA", 409)], [(p["clientId"], p["language"], p["version"]) for p in made])
    want(True, made[0]["remoteIP"].startswith("/127.0.0.1:") and made[0]["lastUpdateTimestamp"] > 1600000000000)
    want(True, "TBW102" in json.loads(tool.ask(SYSTEM_TOPICS)[2])["topicList"])
    for code in CLEAN_QUEUES, CLEAN_TOPICS, EXPIRE:
        want(SUCCESS, tool.ask(code)[0])


def statistics(port):
    """What came through files counts, too, under RocketMQ's names."""
    tool = Tool(port, "tool@1")
    code, _, body = tool.ask(STATS_DATA, {"statsName": "TOPIC_PUT_NUMS", "statsKey": "orders"})
    body = json.loads(body)
    want((SUCCESS, ["statsDay", "statsHour", "statsMinute"]), (code, sorted(body)))
    want(["avgpt", "sum", "tps"], sorted(body["statsDay"]))
    for name, key in ("TOPIC_PUT_NUMS", "none"), ("NO_SUCH_NUMS", "orders"), ("GROUP_GET_NUMS", "orders@billing"):
        want(ERROR, tool.ask(STATS_DATA, {"statsName": name, "statsKey": key})[0])
    code, ext, _ = tool.ask(11, {"consumerGroup": "billing", "topic": "orders", "queueId": "0", "queueOffset": "0",
                                 "maxMsgNums": "32", "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "0",
                                 "subscription": "*", "subVersion": "1", "expressionType": "TAG"})
    want((SUCCESS, "3"), (code, ext["nextBeginOffset"]))
    for name in "GROUP_GET_NUMS", "GROUP_GET_SIZE", "GROUP_GET_LATENCY":
        want(SUCCESS, tool.ask(STATS_DATA, {"statsName": name, "statsKey": "orders@billing"})[0])
    want(SUCCESS, tool.ask(STATS_DATA, {"statsName": "BROKER_GET_NUMS", "statsKey": "DefaultCluster"})[0])
    table = json.loads(tool.ask(28)[2])["table"]
    want(("3", "3"), (table["msgPutTotalTodayNow"], table["msgGetTotalTodayNow"]))
    want(True, int(table["earliestMessageTimeStamp"]) > 1600000000000)
    want(3, len(table["putTps"].split()))
    want(True, table["commitLogDirCapacity"].startswith("Total : "))


def settings(port):
    """What changes in config/ changes so, and all of it or nothing."""
    tool = Tool(port, "tool@1")

    def change(text):
        tool.send(CONFIG_SET, None, text.encode())
        return tool.result()[:2]

    def value(key):
        lines = tool.ask(CONFIG)[2].decode().splitlines()
        return next(line.split("=", 1)[1] for line in lines if line.startswith(key + "="))

    want((SUCCESS, ""), change("# a note\nfileReservedTime=70\nbrokerPermission=4\n"))
    want(("70", "4"), (value("fileReservedTime"), value("brokerPermission")))
    want((SUCCESS, ""), change("brokerPermission=6"))
    for text, code, why in ("fileReservedTime=60\nlistenPort=1\n", NO_PERMISSION, "listenPort"), \
            ("fileReservedTime=60\nnoSuchKey=1\n", ERROR, "noSuchKey"), \
            ("fileReservedTime=a while\n", ERROR, "fileReservedTime"):
        got = change(text)
        want((code, True), (got[0], why in got[1]))
        want("70", value("fileReservedTime"))
    want((SUCCESS, ""), change(""))


def subscriptions(port):
    """A client hears whether its filter would be served."""
    tool = Tool(port, "tool@1")

    def check(kind, text):
        return tool.ask(CHECK_CLIENT, body={"clientId": "tool@1", "group": "g", "subscriptionData": {
            "topic": "orders", "expressionType": kind, "subString": text}})[0]

    want(SUCCESS, check("TAG", "a || b"))
    if sys.argv[3] == "true":
        want((SUCCESS, PARSE_FAILED), (check("SQL92", "a = 1"), check("SQL92", "a = = 1")))
    else:
        want(ERROR, check("SQL92", "a = 1"))


def stranger(port):
    """Who may not write there changes nothing."""
    tool, c = Tool(port, "tool@1"), Consumer(port, "c@1")
    tool.send(CONFIG_SET, None, b"fileReservedTime=1\n")
    want(NO_PERMISSION, tool.result()[0])
    for code in CLEAN_QUEUES, CLEAN_TOPICS, EXPIRE:
        want(NO_PERMISSION, tool.ask(code)[0])
    want(NO_PERMISSION, tool.ask(INVOKE_RESET, {"topic": "orders", "group": "owned", "timestamp": "0",
                                                "isForce": "true"})[0])
    want(NO_PERMISSION, tool.ask(CLONE, {"srcGroup": "owned", "destGroup": "owned"})[0])
    want(NO_PERMISSION, tool.ask(ENTRIES, {"topic": "secret", "queueId": "0", "index": "0", "count": "1"})[0])
    want(ERROR, tool.ask(CONSUME, {"consumerGroup": "owned", "clientId": "c@1",
                                   "msgId": "7F00000100002A9F%016X" % int(sys.argv[3])})[0])
    c.sock.close()


if __name__ == "__main__":
    globals()[sys.argv[2]](int(sys.argv[1]))
