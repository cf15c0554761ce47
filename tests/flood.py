#!/usr/bin/env python3
"""flood.py SECONDS PORT... - peers as nobody wants them, on ports of 127.0.0.1.

For each port, all the time, 240 connections that misbehave in turns: they say
nothing; send bytes without end; claim a frame of 4 GiB, or of nearly what is
allowed, and begin it; say one byte a second of something reasonable; begin a TLS
handshake and stop; ask, and never read the answer.  Who is thrown out comes
again.  Prints how many connections there were.
"""
import os
import select
import socket
import sys
import time

REQUEST = b'{"code":%d,"flag":0,"language":"CPP","opaque":1,"serializeTypeCurrentRPC":"JSON","version":409}'


def frame(code):
    header = REQUEST % code
    return (4 + len(header)).to_bytes(4, "big") + len(header).to_bytes(4, "big") + header


class Peer:
    def __init__(self, port, kind):
        self.port, self.kind = port, kind
        self.sock = None
        self.said = 0
        self.next = 0

    def connect(self):
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.said = 0
        try:
            self.sock.connect(("127.0.0.1", self.port))
        except BlockingIOError:
            pass

    def close(self):
        self.sock.close()
        self.sock = None

    def words(self):
        """What to say now; None: nothing more."""
        if self.kind == "silent":
            return None
        if self.kind == "garbage":
            return os.urandom(16384)
        if self.kind == "huge":
            return b"\xff" * 4 if self.said == 0 else os.urandom(16384)
        if self.kind == "large":
            return b"\x00\xff\xff\xf0\x00\x00\x10\x00" if self.said == 0 else bytes(16384)
        if self.kind == "slow":
            return frame(21)[self.said % 100:self.said % 100 + 1] or b"\0"
        if self.kind == "half":
            return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" if self.said == 0 else None
        return frame(21)        # "deaf": and does not read

    def turn(self, now):
        if self.sock is None:
            self.connect()
            return 1
        if now < self.next:
            return 0
        self.next = now + (1 if self.kind == "slow" else 0.05)
        try:
            if self.kind not in ("deaf", "slow") and self.sock.recv(4096) == b"":
                self.close()
                return 0
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return 0
        try:
            words = self.words()
            if words:
                self.said += self.sock.send(words)
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        return 0


KINDS = ("silent", "garbage", "huge", "large", "slow", "half", "deaf", "silent")


def main():
    end = time.monotonic() + float(sys.argv[1])
    peers = [Peer(int(port), KINDS[i % len(KINDS)]) for port in sys.argv[2:] for i in range(240)]
    connections = 0
    while (now := time.monotonic()) < end:
        for peer in peers:
            connections += peer.turn(now)
        select.select([], [], [], 0.02)
    print(connections)


main()
