"""RocketMQ's clients with accounts, for the shell tests: `python3 acl.py PORT SCENE [ARG...]`."""

import base64
import hashlib
import hmac
import json
import sys

import clients
import remoting
from remoting import want

SEND, SEND_BATCH, PULL, ADMIN, END, REPLY = 310, 320, 11, 17, 37, 325
SUCCESS, ERROR, NOT_FOUND = 0, 1, 19


class Signer(clients.Client):
    """A client of an account: each request is signed as AclClientRPCHook does it."""

    def __init__(self, port, key=None, secret="", host="127.0.0.1"):
        super().__init__(port, "%s@1" % key)
        self.key, self.secret = key, secret

    def request(self, code, ext=None, body=b""):
        """(code, remark, ext fields, body)"""
        ext = dict(ext or {})
        if self.key:
            ext["AccessKey"] = self.key
            signed = "".join(ext[name] for name in sorted(ext) if name != "_UNIQUE_KEY_QUERY").encode() + body
            ext["Signature"] = base64.b64encode(
                hmac.new(self.secret.encode(), signed, hashlib.sha1).digest()).decode()
        self.opaque += 1
        self.sock.sendall(remoting.request(remoting.JSON, code, self.opaque, ext, body))
        while True:
            header, got = self.frame()
            if header["flag"] & 1:
                want(self.opaque, header["opaque"])
                return header["code"], header.get("remark", ""), header.get("extFields", {}), got
            self.hear(header)

    def ask(self, code, ext=None, body=None):
        answer = self.request(code, ext, json.dumps(body).encode() if body is not None else b"")
        return answer[0], answer[2], answer[3]

    def send(self, topic, text="x", group="p"):
        return self.request(SEND, {"a": group, "b": topic, "c": "", "d": "1", "e": "0", "f": "0", "g": "1", "h": "0",
                                   "i": "KEYS\1k\2", "j": "0"}, text.encode())[:2]

    def send_batch(self, topic, texts):
        body = b"".join((22 + len(t)).to_bytes(4, "big") + bytes(12) + len(t).to_bytes(4, "big") + t + bytes(2)
                        for t in (text.encode() for text in texts))
        return self.request(SEND_BATCH, {"a": "p", "b": topic, "c": "", "d": "1", "e": "0", "f": "0", "g": "1", "h": "0",
                                         "i": "", "j": "0", "m": "true"}, body)[:2]

    def pull(self, topic, group, offset=0, wait_ms=0):
        return self.request(PULL, {"topic": topic, "queueId": "0", "consumerGroup": group, "queueOffset": "%d" % offset,
                                   "maxMsgNums": "8", "sysFlag": "6" if wait_ms else "4", "commitOffset": "0",
                                   "suspendTimeoutMillis": "%d" % wait_ms, "subVersion": "0", "subscription": "*"})[:2]


def refused(answer, words):
    code, remark = answer[:2]
    want(ERROR, code)
    if "org.apache.rocketmq.acl.common.AclException: " + words not in remark:
        sys.exit("wanted %r, got %r" % (words, remark))


def accounts(port):
    """Who has no account, or the wrong key, or no permission, hears RocketMQ's reason."""
    refused(Signer(port).send("t"), "No accessKey is configured")
    refused(Signer(port, "stranger", "12345678").send("t"), "No acl config for stranger")
    refused(Signer(port, "producer", "wrong-key").send("t"), "Check signature failed for accessKey=producer")
    refused(Signer(port, "producer", "wrong-key").request(28), "Check signature failed")
    refused(Signer(port).request(28), "No accessKey is configured")
    a = Signer(port, "producer", "12345678")
    want(SUCCESS, a.send("t", "of producer")[0])
    want(SUCCESS, a.send_batch("t", ["batch 1", "batch 2"])[0])
    refused(a.send("u"), "No default permission for topic:u")
    refused(a.send_batch("u", ["x"]), "No default permission for topic:u")
    refused(a.pull("t", "g"), "No default permission for topic:t")
    refused(a.request(15, {"topic": "t", "queueId": "0", "consumerGroup": "g", "commitOffset": "1"}), "No default")
    want(SUCCESS, a.request(28)[0])
    transactions(port, a)
    b = Signer(port, "consumer", "87654321")
    refused(b.send("t"), "No default permission for topic:t")
    refused(b.pull("t", "other"), "No default permission for group:other")
    want(SUCCESS, b.pull("t", "g")[0])
    want(NOT_FOUND, b.pull("t", "g", 3, wait_ms=200)[0])     # judged again when its time is over
    want(SUCCESS, b.beat(["g"], topic="t"))
    want(ERROR, b.beat(["other"], topic="t"))
    want(ERROR, b.beat(["g"], topic="u"))
    want(["consumer@1"], b.members("g"))
    refused(b.request(38, {"consumerGroup": "other"}), "No default permission for group:other")
    want(SUCCESS, b.request(15, {"topic": "t", "queueId": "0", "consumerGroup": "g", "commitOffset": "2"})[0])
    want("2", b.request(14, {"topic": "t", "queueId": "0", "consumerGroup": "g"})[2]["offset"])


def transactions(port, a):
    """Halves, their ends, and replies are judged as messages are."""
    ext = {"a": "p", "b": "t", "c": "", "d": "1", "e": "0", "f": "0", "g": "1", "h": "0", "j": "0",
           "i": "TRAN_MSG\1true\2PGROUP\1p\2"}
    refused(a.request(SEND, dict(ext, b="u"), b"half"), "No default permission for topic:u")
    code, _, half, _ = a.request(SEND, ext, b"half")
    want(SUCCESS, code)
    end = {"producerGroup": "p", "tranStateTableOffset": half["queueOffset"], "commitOrRollback": "12",
           "commitLogOffset": "%d" % int(half["msgId"][16:], 16), "msgId": half["msgId"]}
    refused(Signer(port).request(END, end), "No accessKey is configured")
    refused(Signer(port, "producer", "wrong-key").request(END, end), "Check signature failed")
    want(SUCCESS, a.request(END, end)[0])
    reply = dict(ext, e="1", i="REPLY_TO_CLIENT\1nobody\2")
    refused(Signer(port).request(REPLY, reply, b"x"), "No accessKey is configured")
    refused(a.request(REPLY, dict(reply, b="u"), b"x"), "No default permission for topic:u")
    code, remark = a.request(REPLY, reply, b"x")[:2]
    want((ERROR, "push reply message fail, channel of <nobody> not found."), (code, remark))


def administrators(port):
    """What changes a broker is an administrator's."""
    topic = {"topic": "made", "readQueueNums": "4", "writeQueueNums": "4", "perm": "6", "order": "false"}
    a, admin = Signer(port, "producer", "12345678"), Signer(port, "operator", "12345678")
    for code in 17, 25, 50, 51, 53, 54, 200, 207, 215:
        refused(a.request(code, topic), "Need admin permission for request code=%d, but accessKey=producer" % code)
    want(SUCCESS, admin.request(ADMIN, topic)[0])
    want(SUCCESS, admin.ask(200, body={"groupName": "made", "retryMaxTimes": 3})[0])
    want(SUCCESS, admin.request(207, {"groupName": "made"})[0])
    want(SUCCESS, admin.request(215, {"topic": "made"})[0])
    want(SUCCESS, admin.send("u", "of operator")[0])


def edits(port):
    """mqadmin's commands change the file."""
    admin, a = Signer(port, "operator", "12345678"), Signer(port, "made-here", "12345678")
    refused(a.send("u"), "No acl config")
    account = {"accessKey": "made-here", "secretKey": "12345678", "admin": "false", "topicPerms": "u=PUB"}
    want(209, admin.request(50, {"accessKey": "made-here"})[0])
    want(209, admin.request(50, dict(account, whiteRemoteAddress="10.1"))[0])
    want(SUCCESS, admin.request(50, account)[0])
    want(SUCCESS, a.send("u", "of made-here")[0])
    configs = json.loads(admin.request(54)[3])
    want(["u=PUB"], [c for c in configs["plainAccessConfigs"] if c["accessKey"] == "made-here"][0]["topicPerms"])
    version = json.loads(admin.request(52)[2]["version"])
    want(1, version["counter"])
    want(SUCCESS, admin.request(51, {"accessKey": "made-here"})[0])
    want(210, admin.request(51, {"accessKey": "made-here"})[0])
    refused(a.send("u"), "No acl config")
    want(211, admin.request(53, {"globalWhiteAddrs": "10.1", "aclFileFullPath": ""})[0])
    want(211, admin.request(53, {"globalWhiteAddrs": "10.1.1.1", "aclFileFullPath": "/etc/passwd"})[0])
    want(SUCCESS, admin.request(53, {"globalWhiteAddrs": "10.1.1.1", "aclFileFullPath": ""})[0])
    want(["10.1.1.1"], json.loads(admin.request(54)[3])["globalWhiteAddrs"])


def send(port):
    """acl.py PORT send KEY SECRET TOPIC TEXT: the answer's code."""
    print(Signer(port, *sys.argv[3:5]).send(*sys.argv[5:7])[0])


if __name__ == "__main__":
    globals()[sys.argv[2]](int(sys.argv[1]))
