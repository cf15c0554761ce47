"""Pulls that follow each other at once, for t_pull_ahead.sh: `python3 pull_ahead.py PORT SCENE ARGUMENT...`."""

import json
import os
import struct
import sys
import time

from remoting import BINARY, connect, request, response

PULL, RUNTIME = 11, 28
FOUND, NO_PERMISSION, OFFSET_MOVED = 0, 16, 21


def pull(sock, offset, n=4):
    """The answer's code, and the offsets of its messages."""
    sock.sendall(request(BINARY, PULL, ext={
        "consumerGroup": "load", "topic": "t", "queueId": "0", "queueOffset": str(offset), "maxMsgNums": str(n),
        "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "0", "subscription": "*", "subVersion": "0"}))
    _, code, _, _, _, body = response(sock)
    offsets = []
    while body:
        total, = struct.unpack(">i", body[:4])
        offsets += struct.unpack(">q", body[20:28])
        body = body[total:]
    return code, offsets


def go_on(sock, offset, pulls):
    for _ in range(pulls):
        code, offsets = pull(sock, offset)
        assert (code, offsets) == (FOUND, list(range(offset, offset + 4))), (code, offset, offsets)
        offset += 4
    return offset


def counted(port, n):
    """The answers that were looked ahead are told a moment later."""
    sock = connect(port)
    until = time.monotonic() + 60
    while True:
        sock.sendall(request(BINARY, RUNTIME))
        got = json.loads(response(sock)[5])["table"]["msgGetTotalTodayNow"]
        if got == n:
            return
        assert time.monotonic() < until, got
        time.sleep(0.1)


def changes(port, mnt):
    """Each change comes between two pulls, at several places of what was looked ahead."""
    sock = connect(port)
    ctl = os.path.join(mnt, "topics", "t", "ctl")
    config = os.path.join(mnt, "topics", "t", "config")
    for before in 2, 3, 5, 9:
        offset = go_on(sock, 0, before)
        with open(config, "w") as f:
            f.write("perm = w\n")
        code, _ = pull(sock, offset)
        assert code == NO_PERMISSION, code
        with open(config, "w") as f:
            f.write("perm = rw\n")
    offset = go_on(sock, 0, 5)
    with open(ctl, "w") as f:
        f.write("purge\n")
    code, _ = pull(sock, offset)
    assert code == OFFSET_MOVED, code


globals()[sys.argv[2]](int(sys.argv[1]), *sys.argv[3:])
