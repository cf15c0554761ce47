#!/usr/bin/env python3
"""An mqrepld that has gone mad: takes the mount's first messages, and sends them back changed.

Started by the mount as $MQREPLD, with the link as descriptor 3.  What it has done is counted in
$HOSTILE_LOG, a byte a message."""

import array
import os
import random
import socket
import struct
import sys

VERSION_AND_KIND = struct.Struct("=II")
KINDS = 12          # and some that there are not
SEALS = 0xf         # seal, shrink, grow, write
F_ADD_SEALS = 1033

link = socket.socket(fileno=3)
random.seed(os.environ.get("MQFS_SEED"))


def any_blob(size):
    """A blob as it should be, or not."""
    fd = os.memfd_create("hostile", os.MFD_ALLOW_SEALING)
    text = random.choice([b'{"a":"b"}', b"{}", b"[", b"", b"\xff" * 20, b'{"a":' * 5000])
    os.write(fd, (text + bytes(size))[:size] if random.random() < 0.9 else text)
    if random.random() < 0.9:
        import fcntl
        fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    return fd


def any_change(message, kind):
    """Some numbers of it are others; texts stay texts, mostly."""
    out = bytearray(message)
    for _ in range(random.choice([0, 0, 1, 1, 2, 5])):
        at = 8 + 4 * random.randrange(30)
        if at + 8 <= len(out):
            value = random.choice([0, 1, 7, 3, 300, -1, 2 ** 31 - 1, 2 ** 62, random.randrange(65536)])
            out[at:at + 8] = struct.pack("=q", value)
    version = 0 if random.random() < 0.01 else VERSION_AND_KIND.unpack_from(message)[0]
    out[:8] = VERSION_AND_KIND.pack(version, kind)
    return bytes(out)


def main():
    link.recv(65536)                    # the configuration
    message = link.recv(65536)          # the marks
    if not message:
        return
    log = open(os.environ["HOSTILE_LOG"], "ab", buffering=0)
    while True:
        packet = any_change(message, random.randrange(KINDS + 2))
        ancillary = []
        if random.random() < 0.2:
            fds = [any_blob(random.randrange(100)) for _ in range(random.choice([1, 1, 1, 2]))]
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        link.sendmsg([packet[:random.choice([len(packet)] * 50 + [3])]], ancillary)
        log.write(b".")
        for cmsg in ancillary:
            for fd in cmsg[2]:
                os.close(fd)


try:
    main()
except OSError:
    sys.exit(1)
