#!/usr/bin/env python3
"""scale.py - what grows as the work grows: one table, and one plot, for each kind of size.

    scale.py --build BUILD_TREE [--rows NAME,...] [--most N] [--dir DIR] [--plots DIR]

Rows are queue (its messages), topics, readers (that wait), producers (open files), connections
(of slaves). Each goes up to its largest size, or to --most. Times are medians. A plot is an SVG,
by gnuplot(1) where it is installed. Exit status 0 whatever is measured: it is a report.
"""
import argparse
import contextlib
import os
import random
import shutil
import socket
import statistics
import struct
import subprocess
import threading
import time

from bench import Bench, MIB, status, wait_until

LINE = 128
TRIES = 300
TABLES = {}		# name -> (what, sizes, function)


def row(name, what, *sizes):
    """A row: its function yields, for each size, a dict of what was measured."""
    def register(function):
        TABLES[name] = (what, sizes, function)
        return function
    return register


# --- measuring -----------------------------------------------------------------

def median_us(action, tries=TRIES):
    took = []
    for _ in range(tries):
        began = time.perf_counter()
        action()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


def once_ms(action):
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1e3


def append_us(paths, tries=TRIES):
    """One message to one of them, at random."""
    line = b"x" * (LINE - 1) + b"\n"
    files = [os.open(path, os.O_WRONLY | os.O_APPEND) for path in paths]
    try:
        return median_us(lambda: os.write(random.choice(files), line), tries)
    finally:
        for file in files:
            os.close(file)


def read_all(path):
    with open(path, "rb") as file:
        return file.read()


def one_of(path, count):
    """The name of a message of a queue, at random."""
    n = random.randrange(count)
    return "%s@%d..%d" % (path, n, n + 1)


def remount(bench, broker):
    """The broker of that store again, after a SIGKILL."""
    broker.kill()
    return bench.broker("diskMaxUsedSpaceRatio=95")


# --- the rows --------------------------------------------------------------------

@row("queue", "a queue of so many messages", 10**5, 10**6, 10**7, 10**8)
def queue(bench, sizes):
    broker = bench.broker("diskMaxUsedSpaceRatio=95")
    path = bench.topic(broker, "t") + "/q0"
    block = bench.lines(LINE, 8 * MIB)
    per_block, count = os.path.getsize(block) // LINE, 0
    for size in sizes:
        while count < size:
            bench.cat(block, path)
            count += per_block
        file = os.open(path, os.O_RDONLY)
        yield {
            "append us": append_us([path]),
            "read us": median_us(lambda: os.pread(file, LINE, random.randrange(count) * LINE)),
            "q0@N us": median_us(lambda: read_all(one_of(path, count))),
            "tail ms": once_ms(lambda: subprocess.run(["tail", "-n", "1", path], stdout=subprocess.DEVNULL, check=True)),
            "MiB": broker.anonymous_bytes() / MIB,
        }
        os.close(file)
        count += TRIES


@row("topics", "so many topics of 8 queues, a message in each queue", 10, 100, 1000, 10000, 20000)
def topics(bench, sizes):
    broker, made = bench.broker("diskMaxUsedSpaceRatio=95"), 0
    for size in sizes:
        for i in range(made, size):
            topic = bench.topic(broker, "t%d" % i)
            for q in range(8):
                with open("%s/q%d" % (topic, q), "ab", buffering=0) as first:
                    first.write(b"one message\n")
        made = size
        some = ["%s/topics/t%d/q0" % (broker.mnt, random.randrange(size)) for _ in range(min(size, 100))]
        snapshot = os.path.join(broker.mnt, ".snapshots/s")
        os.mkdir(snapshot)		# what was just written is on disk now
        os.rmdir(snapshot)
        measured = {
            "append us": append_us(some),
            "stat us": median_us(lambda: os.stat(random.choice(some))),
            "snapshot ms": once_ms(lambda: os.mkdir(snapshot)),
            "MiB": broker.anonymous_bytes() / MIB,
        }
        os.rmdir(snapshot)
        broker.close()
        broker = bench.broker("diskMaxUsedSpaceRatio=95")
        measured["mount ms"] = broker.start_seconds * 1e3
        broker = remount(bench, broker)
        measured["restart ms"] = broker.start_seconds * 1e3
        yield measured


def wait_for_one(path, ready):
    with open(path + "@last:follow", "rb", buffering=0) as file:
        ready.release()
        with contextlib.suppress(OSError):	# unmounted under it
            file.read(LINE)


@row("readers", "so many readers that wait at the end of another queue", 1, 10, 100, 1000)
def readers(bench, sizes):
    broker = bench.broker("diskMaxUsedSpaceRatio=95")
    topic, waiting, ready = bench.topic(broker, "t"), [], threading.Semaphore(0)
    threading.stack_size(256 << 10)
    for size in sizes:
        while len(waiting) < size:
            waiting.append(threading.Thread(target=wait_for_one, args=(topic + "/q1", ready), daemon=True))
            waiting[-1].start()
            ready.acquire()
        yield {"append us": append_us([topic + "/q0"])}

    def wake():
        with open(topic + "/q1", "ab", buffering=0) as other:
            other.write(b"news\n")
        for thread in waiting:
            thread.join()
    print("%10s all of them are woken in %.0f ms" % ("", once_ms(wake)), flush=True)


@row("producers", "so many producers, each with its open file on one queue", 1, 10, 100, 1000)
def producers(bench, sizes):
    broker = bench.broker("diskMaxUsedSpaceRatio=95")
    path = bench.topic(broker, "t") + "/q0"
    for size in sizes:
        yield {"append us": append_us([path] * size), "MiB": broker.anonymous_bytes() / MIB}


def follow_as_slave(port, stop):
    """RocketMQ's HA protocol: offsets go there, (offset, size, bytes) come back."""
    at = 0
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(0.2)
        s.sendall(struct.pack(">q", at))
        got = b""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                got += s.recv(MIB)
            while len(got) >= 12:
                offset, size = struct.unpack(">qi", got[:12])
                if len(got) < 12 + size:
                    break
                at, got = offset + size, got[12 + size:]
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(struct.pack(">q", at))


@row("connections", "so many connections of slaves that follow", 1, 4, 16, 32)
def connections(bench, sizes):
    broker = bench.master("haAllow=127.0.0.1")
    path, stop, slaves = bench.topic(broker, "t") + "/q0", threading.Event(), []
    with open(os.path.join(broker.mnt, "config/haListenPort")) as value:
        port = int(value.read())
    for size in sizes:
        while len(slaves) < size:
            slaves.append(threading.Thread(target=follow_as_slave, args=(port, stop), daemon=True))
            slaves[-1].start()
        wait_until(lambda: len(os.listdir(os.path.join(broker.mnt, "status/replication"))) >= size)
        yield {"append us": append_us([path]), "MiB": broker.anonymous_bytes() / MIB}
    stop.set()
    for slave in slaves:
        slave.join()


# --- showing it -------------------------------------------------------------------

def plot(name, what, results, to):
    """An SVG of all that was measured, as multiples of what it was at the smallest size."""
    columns, data = list(results[0][1]), os.path.join(to, name + ".dat")
    with open(data, "w") as out:
        for size, measured in results:
            print(size, *(measured[c] / max(results[0][1][c], 1e-9) for c in columns), file=out)
    lines = ", ".join("'%s' using 1:%d with linespoints title '%s'" % (data, i + 2, c) for i, c in enumerate(columns))
    script = ("set terminal svg size 720,480; set output '%s/%s.svg'; set title '%s'; set logscale xy; "
              "set ylabel 'times its first value'; set key left top; plot %s" % (to, name, what, lines))
    subprocess.run(["gnuplot", "-e", script], check=True)


def main():
    parser = argparse.ArgumentParser(description="What grows as the work grows.")
    parser.add_argument("--build", default=".", help="build tree")
    parser.add_argument("--rows", default=",".join(TABLES), help="only these, separated by commas")
    parser.add_argument("--most", type=int, default=10**7, help="no larger sizes than this")
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/var/tmp"), help="where stores are made")
    parser.add_argument("--plots", help="where plots go (none without it)")
    options = parser.parse_args()
    options.quick = True
    if options.plots and not shutil.which("gnuplot"):
        parser.error("plots need gnuplot")
    for name in options.rows.split(","):
        if name not in TABLES:
            parser.error("no row '%s'; there are: %s" % (name, ", ".join(TABLES)))
        what, sizes, function = TABLES[name]
        sizes = [size for size in sizes if size <= options.most]
        print("%s: %s" % (name, what), flush=True)
        bench, results = Bench(options), []
        with bench.stack:
            for measured, size in zip(function(bench, sizes), sizes):	# so that it comes to its own end
                results.append((size, measured))
                print("%10d  %s" % (size, "  ".join("%s %.1f" % pair for pair in measured.items())), flush=True)
        if options.plots:
            plot(name, what, results, options.plots)


main()
