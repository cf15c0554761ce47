"""A RocketMQ master as a slave of it sees it, for the shell tests.

    python3 rocketmq.py PORT [COMMITLOG [SECONDS]]

It answers at PORT what a RocketMQ broker answers (and refuses what that does not know),
and replicates at PORT + 1 the log of that directory, as long as it is when it begins.
It has a topic `orders` of two queues, and a group `billing` that is at 7 of queue 1, or where
a commit (request 15) has moved it to.  SECONDS are what it takes it to say how it is (request 28)."""

import json
import os
import socket
import struct
import sys
import threading
import time

import remoting

TABLES = {
    21: {"dataVersion": {"counter": 1, "timestamp": 1}, "topicConfigTable": {
        "orders": {"topicName": "orders", "readQueueNums": 2, "writeQueueNums": 2, "perm": 6}}},
    43: {"offsetTable": {"orders@billing": {"0": 0, "1": 7}}},
    45: {"offsetTable": {}},
    201: {"dataVersion": {"counter": 1, "timestamp": 1}, "subscriptionGroupTable": {
        "billing": {"groupName": "billing", "consumeEnable": True}}},
}


class Log:
    def __init__(self, directory):
        names = sorted(os.listdir(directory)) if directory else []
        self.begin = int(names[0]) if names else 0
        self.data = b"".join(open(os.path.join(directory, name), "rb").read() for name in names)
        size = 0
        while self.data[size:size + 4] != bytes(4) and size < len(self.data):
            size += struct.unpack(">i", self.data[size:size + 4])[0]
        self.data = self.data[:size]
        self.end = self.begin + size


def answer(log, header):
    code = header["code"]
    if code == 28:
        time.sleep(float(sys.argv[3]) if len(sys.argv) > 3 else 0)
        return 0, {"table": {"brokerVersionDesc": "V4_9_7", "commitLogMinOffset": str(log.begin),
                             "commitLogMaxOffset": str(log.end)}}
    if code == 15:
        ext = header["extFields"]
        TABLES[43]["offsetTable"][ext["topic"] + "@" + ext["consumerGroup"]][ext["queueId"]] = int(ext["commitOffset"])
        return 0, None
    if code in TABLES:
        return 0, TABLES[code]
    return 3, None


def serve(log, sock):
    while True:
        try:
            length, head = struct.unpack(">iI", remoting.receive(sock, 8))
        except (EOFError, OSError):
            return
        header = json.loads(remoting.receive(sock, head & 0xffffff))
        remoting.receive(sock, length - 4 - (head & 0xffffff))
        code, body = answer(log, header)
        reply = {"code": code, "flag": 1, "language": "JAVA", "opaque": header["opaque"],
                 "serializeTypeCurrentRPC": "JSON", "version": 409}
        sock.sendall(remoting.frame(remoting.JSON, json.dumps(reply).encode(),
                                    json.dumps(body).encode() if body else b""))


def replicate(log, sock):
    try:
        at = struct.unpack(">q", remoting.receive(sock, 8))[0]
        while True:
            part = log.data[at - log.begin:at - log.begin + 32768]
            sock.sendall(struct.pack(">qi", at, len(part)) + part)
            at += len(part)
            if not part:
                time.sleep(0.3)
    except (EOFError, OSError):
        return


def listen(port, log, what):
    sock = socket.create_server(("127.0.0.1", port))
    while True:
        peer = sock.accept()[0]
        threading.Thread(target=what, args=(log, peer), daemon=True).start()


def main():
    port = int(sys.argv[1])
    log = Log(sys.argv[2] if len(sys.argv) > 2 else None)
    threading.Thread(target=listen, args=(port + 1, log, replicate), daemon=True).start()
    listen(port, log, serve)


if __name__ == "__main__":
    main()
