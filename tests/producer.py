#!/usr/bin/env python3
"""producer.py - a producer that knows what was acknowledged, and its judge.

    producer.py write FILE NAME ACKED [plain|dsync|fsync] [MESSAGES]
        appends "NAME 1", "NAME 2", ... until the broker is gone (or MESSAGES
        are out); ACKED holds the number of the last one that was acknowledged.
    producer.py check CONTENT NAME ACKED [all|prefix]
        CONTENT must hold NAME's messages once each and in order, without a gap:
        all: at least the acknowledged ones; prefix: as many as there are.
"""
import os
import sys

FILLER = "x" * 50


def write(path, name, acked_path, how="plain", messages="0"):
    flags = os.O_WRONLY | os.O_APPEND | (os.O_DSYNC if how == "dsync" else 0)
    acked = os.open(acked_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    number = 0
    try:
        queue = os.open(path, flags)
        while messages == "0" or number < int(messages):
            line = b"%s %d %s\n" % (name.encode(), number + 1, FILLER.encode())
            if os.write(queue, line) != len(line):
                return
            if how == "fsync":
                os.fdatasync(queue)
            number += 1
            os.pwrite(acked, b"%d\n" % number, 0)
    except OSError as why:
        print("producer %s: %s after %d" % (name, why.strerror, number), file=sys.stderr)


def check(content_path, name, acked_path, what="all"):
    with open(acked_path) as acked:
        wanted = int(acked.read() or 0)
    got = 0
    with open(content_path, "rb") as content:
        for line in content:
            fields = line.decode(errors="replace").split(" ")
            if fields[0] != name:
                continue
            if fields[1:] != [str(got + 1), FILLER + "\n"]:
                sys.exit("%s: after %d comes %r" % (name, got, line[:80]))
            got += 1
    if what == "all" and got < wanted:
        sys.exit("%s: %d were acknowledged, %d are there" % (name, wanted, got))
    print("%s: %d acknowledged, %d there" % (name, wanted, got))


{"write": write, "check": check}[sys.argv[1]](*sys.argv[2:])
