#!/usr/bin/env python3
"""supervised.py - a producer and a consumer who outlive the broker.

    supervised.py produce QUEUE NAME ACKED STOP [steady|dsync]
        appends "NAME 1", "NAME 2", ...; what was not acknowledged is sent again.
        ACKED holds the number of the last acknowledged one; STOP, once there, ends it.
        steady, dsync: an error is a failure; dsync: each write waits for the disk.
    supervised.py consume QUEUE SEEN STOP [steady]
        consumes line by line, opens again after an error; SEEN gets each line.
        Ends at the end of the queue, once STOP is there.
    supervised.py poll QUEUE SEEN STOP
        reads what is there whenever poll(2) says so.
    supervised.py check CONTENT NAME ACKED [once]
        CONTENT must hold NAME 1 to NAME ACKED, in order but for repetitions; with
        `once` without any.
"""
import os
import select
import sys
import time


def keep_opening(path, flags):
    while True:
        try:
            return os.open(path, flags)
        except OSError:
            time.sleep(0.005)


def close(fd):
    try:
        os.close(fd)
    except OSError:
        pass                    # what was to be said was said


def produce(path, name, acked_path, stop, how="retry"):
    acked = os.open(acked_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    flags = os.O_WRONLY | os.O_APPEND | (os.O_DSYNC if how == "dsync" else 0)
    queue = keep_opening(path, flags)
    number = errors = 0
    while not os.path.exists(stop):
        line = b"%s %d\n" % (name.encode(), number + 1)
        try:
            if os.write(queue, line) == len(line):
                number += 1
                os.pwrite(acked, b"%d\n" % number, 0)
        except OSError as why:
            if how != "retry":
                sys.exit("%s: %s" % (name, why))
            errors += 1
            close(queue)
            queue = keep_opening(path, flags)
    print("%s: %d acknowledged, %d errors" % (name, number, errors))


def read_line(fd):
    """As a shell does: a block, then back to the byte after the line."""
    block = os.read(fd, 4096)
    line = block[:block.find(b"\n") + 1]
    if len(line) < len(block):
        os.lseek(fd, len(line) - len(block), os.SEEK_CUR)
    return line


def consume(path, seen_path, stop, how="retry"):
    errors = lines = 0
    queue = keep_opening(path, os.O_RDWR)
    with open(seen_path, "wb", buffering=0) as seen:
        while True:
            ending = os.path.exists(stop)       # what was there then is read before the end
            try:
                line = read_line(queue)
            except OSError as why:
                if how == "steady":
                    sys.exit("consumer: %s" % why)
                errors += 1
                close(queue)
                queue = keep_opening(path, os.O_RDWR)
                continue
            if line:
                seen.write(line)
                lines += 1
            elif ending:
                break
            else:
                time.sleep(0.005)
    print("consumer: %d lines, %d errors" % (lines, errors))


def poll(path, seen_path, stop):
    queue = os.open(path + ":follow", os.O_RDONLY | os.O_NONBLOCK)
    news = select.poll()
    news.register(queue, select.POLLIN)
    with open(seen_path, "wb", buffering=0) as seen:
        ending = False
        while news.poll(200) or not ending:
            ending = os.path.exists(stop)
            try:
                seen.write(os.read(queue, 65536))
            except BlockingIOError:
                pass


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


{"produce": produce, "consume": consume, "poll": poll, "check": check}[sys.argv[1]](*sys.argv[2:])
