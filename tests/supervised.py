#!/usr/bin/env python3
"""supervised.py - a producer and a consumer who outlive the broker.

    supervised.py produce QUEUE NAME ACKED STOP
        appends "NAME 1", "NAME 2", ...; what was not acknowledged is sent again.
        ACKED holds the number of the last acknowledged one; STOP, once there, ends it.
    supervised.py consume QUEUE SEEN STOP
        consumes line by line, opens again after an error; SEEN gets each line.
        Ends at the end of the queue, once STOP is there.
    supervised.py check CONTENT NAME ACKED [once]
        CONTENT must hold NAME 1 to NAME ACKED, in order but for repetitions; with
        `once` without any.
"""
import os
import sys
import time


def keep_opening(path, flags):
    while True:
        try:
            return os.open(path, flags)
        except OSError:
            time.sleep(0.005)


def produce(path, name, acked_path, stop):
    acked = os.open(acked_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    queue = keep_opening(path, os.O_WRONLY | os.O_APPEND)
    number = errors = 0
    while not os.path.exists(stop):
        line = b"%s %d\n" % (name.encode(), number + 1)
        try:
            if os.write(queue, line) == len(line):
                number += 1
                os.pwrite(acked, b"%d\n" % number, 0)
        except OSError:
            errors += 1
            os.close(queue)
            queue = keep_opening(path, os.O_WRONLY | os.O_APPEND)
    print("%s: %d acknowledged, %d errors" % (name, number, errors))


def consume(path, seen_path, stop):
    errors = lines = 0
    with open(seen_path, "wb", buffering=0) as seen:
        queue = os.fdopen(keep_opening(path, os.O_RDWR), "rb", buffering=0)
        while True:
            try:
                line = b""
                while not line.endswith(b"\n"):
                    byte = queue.read(4096 if not line else 1)
                    if not byte:
                        break
                    cut = byte.find(b"\n") + 1
                    if cut and cut < len(byte):
                        os.lseek(queue.fileno(), cut - len(byte), os.SEEK_CUR)
                        byte = byte[:cut]
                    line += byte
            except OSError:
                errors += 1
                queue.close()
                queue = os.fdopen(keep_opening(path, os.O_RDWR), "rb", buffering=0)
                continue
            if line:
                seen.write(line)
                lines += 1
            elif os.path.exists(stop):
                break
            else:
                time.sleep(0.005)
    print("consumer: %d lines, %d errors" % (lines, errors))


def check(content_path, name, acked_path, how="again"):
    with open(acked_path) as acked:
        wanted = int(acked.read() or 0)
    got = 0
    with open(content_path, "rb") as content:
        for line in content:
            who, number = line.decode().split()
            if who != name:
                continue
            if int(number) > got + 1 or (how == "once" and int(number) != got + 1):
                sys.exit("%s: after %d comes %s" % (name, got, number))
            got = max(got, int(number))
    if got < wanted:
        sys.exit("%s: %d were acknowledged, %d are there" % (name, wanted, got))
    print("%s: %d acknowledged, %d there" % (name, wanted, got))


{"produce": produce, "consume": consume, "check": check}[sys.argv[1]](*sys.argv[2:])
