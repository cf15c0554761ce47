#!/usr/bin/env python3
"""An mqrepld that has gone mad: takes the mount's first messages, and sends them back changed.

Started by the mount as $MQREPLD, with the link as descriptor 3.  What it has done is counted in
$HOSTILE_LOG, a byte a message."""

import array
import fcntl
import itertools
import mmap
import os
import random
import select
import socket
import struct
import sys

# struct link_message, as far as it goes: version, kind, pos, ring_at, len, ext_len, id, code, timeout_ms
FIELDS = struct.Struct("=IIqQIIQii")
READY, APPEND, PEER, SAY, REQUEST, RESPONSE = 6, 7, 8, 9, 10, 11
OWN = READY, PEER, PEER, SAY, REQUEST, REQUEST, REQUEST, RESPONSE, RESPONSE
SEALS = 0xf         # seal, shrink, grow, write
F_ADD_SEALS = 1033

link = socket.socket(fileno=3)
random.seed(os.environ.get("MQFS_SEED") or None)


def any_number():
    return random.choice([0, 1, 7, 300, 2 ** 31 - 1, random.randrange(65536)])


def pairs(**fields):
    """Ext fields as they cross the link."""
    return b"".join(struct.pack(">H", len(name)) + name.encode() + struct.pack(">I", len(value)) + value.encode()
                    for name, value in fields.items())


def any_blob(right):
    """(descriptor, its bytes, those of its ext fields): ext fields as they should be, or not."""
    ext = random.choice([pairs(a="b"), pairs(topic="t", queueId="0"), pairs(consumerGroup="g", topic="t"), b""])
    if not right:
        ext = random.choice([b"\0", b"\xff" * 20, b"\0\1a\xff\xff\xff\xff", pairs(a="b") + b"\0\7a", b"\0\0" * 500])
    body = random.choice([b"", b'{"v":1}', b'{"v":1,"epochs":[{}]}', b"x" * 100,
                          b"\7\0\0\0\1\0\0\0\1v\3\0\0\0\0\0\0\0\1", b"\7\0\0\0\1\0\0\0\1v\6\0\0\0\x20" + b"\7" * 200])
    fd = os.memfd_create("hostile", os.MFD_ALLOW_SEALING)
    os.write(fd, ext + body)
    if random.random() < 0.995:
        fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    return fd, len(ext) + len(body), len(ext)


def any_message(like, kind):
    """(packet, descriptors): mostly what could be, so that it gets further than the first check."""
    out = bytearray(like)
    version, *_ = FIELDS.unpack_from(like)
    fds, size, ext = [], 0, 0
    if kind in (REQUEST, RESPONSE) and random.random() < 0.7 or random.random() < 0.01:
        fd, size, ext = any_blob(random.random() < (0.99 if kind == RESPONSE else 0.6))
        fds = [fd] if size else []
    for at in range(FIELDS.size, len(out) - 8, 4):      # the rest is numbers, then a text
        if random.random() < 0.05:
            struct.pack_into("=i", out, at, any_number())
    out[-1] = 0
    FIELDS.pack_into(out, 0, version if random.random() < 0.999 else 0, kind, any_number(),
                     any_number(), size if random.random() < 0.995 else any_number(), ext, any_number(),
                     random.choice([0, 15, 21, 28, 43, 45, 201, 0x6d71, -5, any_number()]), any_number())
    return bytes(out), fds


def take_board():
    """(a message of the mount, the memory that says what slaves have): see repl/board.h."""
    fds = []
    for _ in range(3):
        packet, got, *_ = socket.recv_fds(link, 65536, 1)
        fds += got
    return packet, mmap.mmap(fds[1], 0)


def scribble(acks):
    """On all of it; its first words wake the mount and keep it awake."""
    for at in range(0, len(acks), 8):
        if at < 128 or random.random() < 0.1:
            struct.pack_into("=q", acks, at, random.choice([any_number(), -1, 2 ** 63 - 1]))


def main():
    link.recv(65536)                    # the configuration
    like, acks = take_board()
    log = open(os.environ["HOSTILE_LOG"], "ab", buffering=0)
    for count in itertools.count():
        kind = random.choice(OWN) if random.random() < 0.99 else random.randrange(20)
        packet, fds = any_message(like, kind)
        scribble(acks)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        link.sendmsg([packet], ancillary)
        log.write(b".")
        for fd in fds:
            os.close(fd)
        while count % 8 == 0 and select.select([link], [], [], 0)[0] and link.recv(65536):
            pass                        # what the mount answers


try:
    main()
except OSError:
    sys.exit(1)
