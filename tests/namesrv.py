"""A name server of RocketMQ's, for the shell tests: `python3 namesrv.py PORT FILE`.

FILE is a line of JSON for each broker that is registered now, written anew with each change:
name, id, address, ha, topics (name: [queues, perm]), and `times`, how often it has registered."""

import json
import os
import socketserver
import struct
import sys
import threading
import zlib

import remoting

brokers, versions, lock = {}, {}, threading.Lock()


def topics_of(ext, body):
    if int(ext["bodyCrc32"]) not in (0, zlib.crc32(body) & 0x7fffffff):
        raise ValueError("crc32 not match")
    if ext["compressed"] != "true":
        wrapper = json.loads(body)["topicConfigSerializeWrapper"]
        return wrapper["dataVersion"], {t: [c["writeQueueNums"], c["perm"]]
                                        for t, c in wrapper["topicConfigTable"].items()}
    plain, parts, topics = zlib.decompress(body), [], {}
    at = 0

    def part():
        nonlocal at
        size = struct.unpack_from(">i", plain, at)[0]
        at += 4 + size
        return plain[at - size:at].decode()

    version = json.loads(part())
    count = struct.unpack_from(">i", plain, at)[0]
    at += 4
    for _ in range(count):
        parts = part().split(" ")
        topics[parts[0]] = [int(parts[2]), int(parts[3])]
    if part() != "[]" or at != len(plain):
        raise ValueError("what follows the topics")
    return version, topics


def save():
    with open(sys.argv[2] + ".new", "w") as out:
        for broker in brokers.values():
            out.write(json.dumps(broker, sort_keys=True) + "\n")
    os.rename(sys.argv[2] + ".new", sys.argv[2])


def serve(code, ext, body, owner):
    """(code, ext fields)"""
    key = (ext["brokerName"], int(ext["brokerId"]))
    if code == 104:
        brokers.pop(key, None)
        return 0, {}
    if code == 322:
        return 0, {"changed": "false" if versions.get(key) == json.loads(body) else "true"}
    if code != 103:
        return 3, {}
    version, topics = topics_of(ext, body)
    if key in brokers and versions[key] == version:     # nothing new, to RocketMQ's
        topics = brokers[key]["topics"]
    versions[key] = version
    times = brokers.get(key, {"times": 0})["times"] + 1
    brokers[key] = {"name": key[0], "id": key[1], "address": ext["brokerAddr"], "ha": ext["haServerAddr"],
                    "topics": topics, "times": times, "cluster": ext["clusterName"]}
    owner.add(key)
    master = brokers.get((key[0], 0))
    if key[1] == 0 or not master:
        return 0, {}
    return 0, {"masterAddr": master["address"], "haServerAddr": master["ha"]}


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        mine = set()
        try:
            while True:
                length, head = struct.unpack(">iI", remoting.receive(self.request, 8))
                header = json.loads(remoting.receive(self.request, head & 0xffffff))
                body = remoting.receive(self.request, length - 4 - (head & 0xffffff))
                with lock:
                    code, ext = serve(header["code"], header.get("extFields", {}), body, mine)
                    save()
                text = json.dumps({"code": code, "flag": 1, "opaque": header["opaque"], "language": "JAVA",
                                   "version": 401, "extFields": ext}).encode()
                self.request.sendall(remoting.frame(remoting.JSON, text))
        except (EOFError, ConnectionError):
            with lock:          # a broker whose connection ends is forgotten
                for key in mine:
                    brokers.pop(key, None)
                save()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


save()
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
