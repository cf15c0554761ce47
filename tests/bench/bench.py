#!/usr/bin/env python3
"""bench.py - DESIGN's figures, each as a ratio measured side by side in one run.

A ratio is ours over theirs, both as rates, both of the same round; rounds are
interleaved and change sides, and the disk is idle when a side starts.  Printed
are the medians of both sides and the median ratio with its spread.

    bench.py --build BUILD_TREE [--rounds N] [--rows NAME,...] [--dir DIR] [--quick]

Exit status 0 also when a figure is not reached: it is a report, not a test.
"""
import argparse
import contextlib
import multiprocessing
import os
import pwd
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PATIENCE_SECONDS = 30
ROWS = []


# --- what is measured --------------------------------------------------------

class Process:
    """A server in the foreground, from its mount to its unmount."""

    def __init__(self, command, mnt, sign):
        with contextlib.suppress(FileExistsError):  # a dead mount cannot be looked at
            os.makedirs(mnt)
        self.mnt = mnt
        began = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        while not answers(os.path.join(mnt, sign)):
            if self.process.poll() is not None or time.monotonic() - began > PATIENCE_SECONDS:
                self.process.kill()
                raise RuntimeError("%s does not start: %s" % (
                    os.path.basename(command[0]), self.process.stderr.read().decode().strip()))
            time.sleep(0.0005)
        self.start_seconds = time.monotonic() - began

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as stat:
            fields = stat.read().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def anonymous_bytes(self):
        """Resident memory that is not a mapped file."""
        with open("/proc/%d/status" % self.process.pid) as status:
            fields = dict(line.split(":", 1) for line in status)
        return sum(int(fields[key].split()[0]) for key in ("RssAnon", "RssShmem")) * KIB

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            unmount(self.mnt)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                unmount("-l", self.mnt)
                self.kill()
        unmount("-l", self.mnt)


def answers(path):
    """Not stat: the kernel remembers what a dead server has said."""
    try:
        os.close(os.open(path, os.O_RDONLY))
        return True
    except OSError:
        return False


def unmount(*args):
    command = ["umount"] if os.getuid() == 0 else ["fusermount3", "-u"]
    subprocess.run(command + list(args), stderr=subprocess.DEVNULL, check=False)


class Bench:
    """The means of one row; its end undoes all of it."""

    def __init__(self, options):
        self.build = options.build
        self.seconds = "0.3" if options.quick else "1"
        self.scale = 8 if options.quick else 1
        self.stack = contextlib.ExitStack()
        self.dir = tempfile.mkdtemp(prefix="mqfs-bench.", dir=options.dir)
        self.stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        self.count = 0

    def path(self, name):
        return os.path.join(self.dir, name)

    def tool(self, name):
        return os.path.join(self.build, "tests/bench", name)

    def broker(self, *options, name=""):
        """A broker on the store of this row, or on another one it names."""
        mnt = self.path("mnt" + name)
        command = [os.path.join(self.build, "fs/mount.mqfs"), "-f", self.path("store" + name), mnt]
        for option in options:
            command += ["-o", option]
        broker = Process(command, mnt, "README")
        self.stack.callback(broker.close)
        return broker

    def master(self, *options):
        """A broker that slaves can follow: what they are mounted with is beside it."""
        port = random.randrange(20000, 32000, 10)
        broker = self.broker("haListen=127.0.0.1,listenPort=%d" % port, "diskMaxUsedSpaceRatio=95", *options)
        self.slave_options = ("role=slave,master=127.0.0.1:%d" % (port + 1), "haListen=none",
                              "diskMaxUsedSpaceRatio=95")
        return broker

    def slave(self):
        return self.broker(*self.slave_options, name=".slave")

    def floor(self, name, *args):
        server = Process([self.tool(name), self.path(name), *args], self.path(name), "file")
        self.stack.callback(server.close)
        return os.path.join(server.mnt, "file")

    def topic(self, broker, name):
        path = os.path.join(broker.mnt, "topics", name)
        os.mkdir(path)
        return path

    def lines(self, line_bytes, total_bytes):
        """A plain file of lines, in the page cache."""
        path = self.path("lines.%d.%d" % (line_bytes, total_bytes))
        block = (b"x" * (line_bytes - 1) + b"\n") * (MIB // line_bytes)
        with open(path, "wb") as out:
            for _ in range(max(1, total_bytes // len(block))):
                out.write(block)
        return path

    def load(self, *args):
        out = subprocess.run([self.tool("load"), *args], stdout=subprocess.PIPE, check=True)
        return float(out.stdout)

    def write(self, path, size, *more):
        paths = [path] if isinstance(path, str) else path
        return self.load("-w", str(size), "-t", self.seconds, *more, *paths)

    def read(self, path, size=MIB):
        return self.load("-r", str(size), path)

    def cat(self, source, target=None):
        """Bytes a second of `cat source >> target`."""
        with open(target or "/dev/null", "ab") as out:
            began = time.monotonic()
            subprocess.run(["cat", source], stdout=out, check=True)
            took = time.monotonic() - began
        return os.path.getsize(source) / took


# --- running them -----------------------------------------------------------------

SCALES = {"MB/s": 1e6, "k/s": 1e3, "M/s": 1e6, "MiB": MIB, "s": 1, "ms": 1e-3}


def idle_disk():
    os.sync()


def run_ratio(row, bench, rounds):
    name, what, against, wanted, unit, function, _ = row
    sides = function(bench)
    samples = ([], [])
    for i in range(rounds):
        for side in ((0, 1), (1, 0))[i % 2]:
            idle_disk()
            samples[side].append(sides[side]())
    ratios = [ours / theirs for ours, theirs in zip(*samples)]
    got = statistics.median(ratios)
    ours, theirs = (statistics.median(side) / SCALES[unit] for side in samples)
    print("%-12s %9.1f %-5s %9.1f %-5s %5.2f [%.2f..%.2f]  >= %.2f  %s" % (
        name, ours, unit, theirs, unit, got, min(ratios), max(ratios), wanted,
        "PASS" if got >= wanted else "below"), flush=True)
    print("%12s %s | %s" % ("", what, against), flush=True)


def run_figure(row, bench, rounds):
    name, what, sense, wanted, unit, function, _ = row
    once = function(bench)
    samples = [once() for _ in range(rounds)]
    got = statistics.median(samples)
    good = got < wanted if sense == "below" else got >= wanted
    low, high = (edge / SCALES[unit] for edge in (min(samples), max(samples)))
    print("%-12s %9.2f %-5s [%.2f..%.2f]  %s %g %s  %s" % (
        name, got / SCALES[unit], unit, low, high, sense, wanted / SCALES[unit], unit,
        "PASS" if good else "missed"), flush=True)
    print("%12s %s" % ("", what), flush=True)


def ratio(name, what, against, wanted, unit):
    """A row that measures two sides: its function returns (ours, theirs)."""
    def register(function):
        ROWS.append((name, what, against, wanted, unit, function, run_ratio))
        return function
    return register


def figure(name, what, wanted, unit, below):
    """A row with one figure: its function returns a function that measures it once."""
    def register(function):
        ROWS.append((name, what, below, wanted, unit, function, run_figure))
        return function
    return register


# --- the rows ------------------------------------------------------------------

# The files of both sides grow from round to round, as the log does: one that is emptied before each
# gets the memory that was freed last, which the CPU's cache still has, and is written twice as fast.

def cat_into_queue(bench, line_bytes):
    """Into a queue, and through a server that writes each request to a plain file."""
    source = bench.lines(line_bytes, 256 * MIB // bench.scale)
    queue = bench.topic(bench.broker(), "t") + "/q0"
    floor = bench.floor("write_fuse", bench.path("written"))
    return lambda: bench.cat(source, queue), lambda: bench.cat(source, floor)


def cat_into_plain_file(bench, line_bytes):
    source = bench.lines(line_bytes, 256 * MIB // bench.scale)
    queue = bench.topic(bench.broker(), "t") + "/q0"
    return lambda: bench.cat(source, queue), lambda: bench.cat(source, bench.path("plain"))


WRITES_ON = "a FUSE server that writes each request to a plain file"


@ratio("cat_1k", "cat of 1 KiB lines into a queue", WRITES_ON, 0.70, "MB/s")
def cat_1k(bench):
    return cat_into_queue(bench, 1024)


@ratio("cat_100", "cat of 100-byte lines into a queue", WRITES_ON, 0.45, "MB/s")
def cat_100(bench):
    return cat_into_queue(bench, 100)


@ratio("cat_1k_file", "cat of 1 KiB lines into a queue", "cat >> a plain file", 0, "MB/s")
def cat_1k_file(bench):
    return cat_into_plain_file(bench, 1024)


@ratio("cat_100_file", "cat of 100-byte lines into a queue", "cat >> a plain file", 0, "MB/s")
def cat_100_file(bench):
    return cat_into_plain_file(bench, 100)


@figure("core_100", "100-byte messages per second and core", 3e6, "M/s", "at least")
def core_100(bench):
    source = bench.lines(100, 256 * MIB // bench.scale)
    broker = bench.broker()
    queue = bench.topic(broker, "t") + "/q0"

    def once():
        before = broker.cpu_seconds()
        bench.cat(source, queue)
        return os.path.getsize(source) / 100 / (broker.cpu_seconds() - before)
    return once


@ratio("append_128", "128-byte appends, one writer", "a FUSE server that throws them away", 0.85, "k/s")
def append_128(bench):
    queue = bench.topic(bench.broker(), "t") + "/q0"
    null = bench.floor("null_fuse")
    return lambda: bench.write(queue, 128), lambda: bench.write(null, 128)


def filled_queue(bench):
    """A warm queue of 1 KiB lines and the server of as much memory."""
    source = bench.lines(1024, 256 * MIB // bench.scale)
    queue = bench.topic(bench.broker(), "t") + "/q0"
    bench.cat(source, queue)
    bench.cat(queue)
    return queue, bench.floor("mem_fuse", str(os.path.getsize(source)))


@ratio("read_1m", "1 MiB reads of a queue of 1 KiB lines", "a FUSE server of memory", 0.80, "MB/s")
def read_1m(bench):
    queue, memory = filled_queue(bench)
    return lambda: bench.read(queue), lambda: bench.read(memory)


@ratio("read_cat", "cat of a queue of 1 KiB lines", "a FUSE server of memory", 0.80, "MB/s")
def read_cat(bench):
    queue, memory = filled_queue(bench)
    return lambda: bench.cat(queue), lambda: bench.cat(memory)


# The kernel can read a file of ours by itself where we may hand it over.
IMMUTABLE = 0.9 if os.getuid() == 0 else 0.6


@ratio("sealed", "1 MiB reads of a sealed segment", "the same file on the store's disk", IMMUTABLE, "MB/s")
def sealed(bench):
    size = 256 * MIB // bench.scale
    source = bench.lines(1024, size + size // 4)
    broker = bench.broker("mappedFileSizeCommitLog=%d" % size)
    bench.cat(source, bench.topic(broker, "t") + "/q0")
    segment = "commitlog/%020d" % 0
    ours, theirs = os.path.join(broker.mnt, segment), os.path.join(bench.path("store"), segment)
    bench.read(ours)
    return lambda: bench.read(ours), lambda: bench.read(theirs)


@ratio("range", "1 MiB reads of a finished range", "the same bytes in a plain file", IMMUTABLE, "MB/s")
def finished_range(bench):
    source = bench.lines(1024, 256 * MIB // bench.scale)
    queue = bench.topic(bench.broker(), "t") + "/q0"
    bench.cat(source, queue)
    name = "%s@0..%d" % (queue, os.path.getsize(source) // 1024)
    bench.read(name)
    return lambda: bench.read(name), lambda: bench.read(source)


# --- rows with properties ---------------------------------------------------------

def tagged_queue(bench, one_in):
    """A warm queue of 1 KiB lines, of which one in so many has the tag that is looked for."""
    queue = bench.topic(bench.broker(), "t") + "/q0"
    line = b"x" * 1023 + b"\n"
    with open(queue + ":tag=other", "ab", buffering=0) as others, open(queue + ":tag=it", "ab", buffering=0) as it:
        for _ in range(256 * KIB // bench.scale // one_in):
            for left in range(one_in - 1, 0, -1000):
                others.write(line * min(left, 1000))
            it.write(line)
    bench.cat(queue)
    return queue


def filtered(bench, one_in):
    """Both as bytes of the whole queue that are done with, a second."""
    queue = tagged_queue(bench, one_in)
    size = os.path.getsize(queue)

    def ours():
        began = time.monotonic()
        bench.cat(queue + ":tag=it")
        return size / (time.monotonic() - began)
    # a stream says that its size is 0: the time is ours
    return ours, lambda: bench.cat(queue)


@ratio("filter_10", "messages with a tag that one in 10 has", "cat of the whole queue", 1.0, "MB/s")
def filter_10(bench):
    return filtered(bench, 10)


@ratio("filter_10000", "messages with a tag that one in 10,000 has", "cat of the whole queue", 5.0, "MB/s")
def filter_10000(bench):
    return filtered(bench, 10000)


def json_lines(bench, body_bytes, count):
    path = bench.path("json")
    line = b'{"body":"%s","tags":"A","keys":"one two","properties":{"colour":"red"}}\n' % (b"x" * body_bytes)
    with open(path, "wb") as out:
        for _ in range(count):
            out.write(line)
    return path


@figure("json_in", "1 KiB messages written as json, with tag, keys and a property", 5e4, "k/s", "at least")
def json_in(bench):
    count = 100000 // bench.scale
    source = json_lines(bench, 1024, count)
    queue = bench.topic(bench.broker(), "t") + "/q0:format=json"
    return lambda: count * bench.cat(source, queue) / os.path.getsize(source)


@figure("json_out", "the same, read as json", 5e4, "k/s", "at least")
def json_out(bench):
    count = 100000 // bench.scale
    queue = bench.topic(bench.broker(), "t") + "/q0:format=json"
    bench.cat(json_lines(bench, 1024, count), queue)

    def once():
        began = time.monotonic()
        bench.cat(queue)
        return count / (time.monotonic() - began)
    return once


@figure("delay", "messages delivered that are due at one moment", 1e5, "k/s", "at least")
def delay(bench):
    broker = bench.broker()
    queue = bench.topic(broker, "t") + "/q0"
    count = 200000 // bench.scale
    source = bench.lines(100, 100 * count)

    def delivered():
        return int(os.getxattr(queue, "user.mqfs.max_offset"))

    def once():
        before, due = delivered(), time.time() + 3
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(due)) + ".%03dZ" % (due % 1 * 1000)
        bench.cat(source, "%s:at=%s" % (queue, at))
        stored = os.path.getsize(source) // 100
        began = max(due, time.time())
        wait_until(lambda: delivered() - before >= stored)
        return stored / (time.time() - began)
    return once


@ratio("sync_16", "SYNC_FLUSH, 16 writers on 16 queues", "16 writers with fdatasync on 16 files", 1.5, "k/s")
def sync_16(bench):
    broker = bench.broker("flushDiskType=SYNC_FLUSH", "defaultTopicQueueNums=16")
    topic = bench.topic(broker, "t")
    ours = ["%s/q%d" % (topic, i) for i in range(16)]
    theirs = [bench.path("plain.%d" % i) for i in range(16)]
    return lambda: bench.write(ours, 128), lambda: bench.write(theirs, 128, "-s")


def one_and_many(broker, bench, writers):
    """Writers of 128 bytes on one queue, and each of them on a queue of its own."""
    topic = bench.topic(broker, "t")
    queues = ["%s/q%d" % (topic, i) for i in range(writers)]
    return lambda: bench.write(queues[:1] * writers, 128), lambda: bench.write(queues, 128)


def one_queue(writers):
    @ratio("one_q_%d" % writers, "SYNC_FLUSH, %d writers of 128 bytes on one queue" % writers,
           "on as many queues", 0.7, "k/s")
    def row(bench):
        return one_and_many(bench.broker("flushDiskType=SYNC_FLUSH", "defaultTopicQueueNums=%d" % writers),
                            bench, writers)
    return row


for many in (16, 64, 256):
    one_queue(many)


@ratio("one_q_master", "SYNC_MASTER, 64 writers of 128 bytes on one queue", "on 64 queues", 0.7, "k/s")
def one_queue_of_a_sync_master(bench):
    master = bench.master("defaultTopicQueueNums=64")
    slave = bench.slave()
    sides = one_and_many(master, bench, 64)
    wait_until(lambda: follows(master, slave))
    with open(os.path.join(master.mnt, "config/brokerRole"), "w") as out:
        out.write("SYNC_MASTER")
    return sides


@ratio("sync_64k", "SYNC_FLUSH, 64 KiB of lines a write", "fdatasync after each 64 KiB", 0.8, "k/s")
def sync_64k(bench):
    queue = bench.topic(bench.broker("flushDiskType=SYNC_FLUSH"), "t") + "/q0"
    plain = bench.path("plain")
    return (lambda: bench.write(queue, 64 * KIB, "-l", "128"),
            lambda: bench.write(plain, 64 * KIB, "-l", "128", "-s"))


def big_store(bench):
    """A broker with a topic of 10 GiB; its queue."""
    wanted = 10 * GIB // bench.scale
    if shutil.disk_usage(bench.dir).free < wanted * 1.3:
        raise RuntimeError("it needs %.0f GiB of free disk" % (wanted * 1.3 / GIB))
    source = bench.lines(MIB, 64 * MIB)
    broker = bench.broker("diskMaxUsedSpaceRatio=95")
    queue = bench.topic(broker, "t") + "/q0"
    for _ in range(wanted // os.path.getsize(source)):
        bench.cat(source, queue)
    return broker, queue


@figure("restart", "restart after SIGKILL, 10 GiB store", 1.0, "s", "below")
def restart(bench):
    broker, queue = big_store(bench)
    source = bench.lines(MIB, 64 * MIB)

    def once():
        nonlocal broker
        bench.cat(source, queue)
        broker.kill()
        broker = bench.broker("diskMaxUsedSpaceRatio=95")
        return broker.start_seconds
    return once


def take_and_drop(broker):
    """Seconds that taking a snapshot takes."""
    name = os.path.join(broker.mnt, ".snapshots", "bench")
    began = time.monotonic()
    os.mkdir(name)
    took = time.monotonic() - began
    os.rmdir(name)
    return took


@figure("snapshot", "snapshot of a 10 GiB store", 0.1, "ms", "below")
def snapshot(bench):
    broker, _ = big_store(bench)

    def once():
        idle_disk()
        return take_and_drop(broker)
    return once


def write_until(done, broker, queues, seed):
    """8 KiB at a time, to one queue after another, 2.5 MB/s."""
    dice, files = random.Random(seed), {}
    while not done.is_set():
        q = dice.randrange(queues)
        if q not in files:
            files[q] = open("%s/topics/t%d/q%d" % (broker.mnt, q // 8, q % 8), "ab", buffering=0)
        files[q].write((b"x" * 1023 + b"\n") * 8)
        time.sleep(8192 / 2.5e6)
    for file in files.values():
        file.close()


@figure("snapshot_busy", "slowest but one of 100 snapshots while 400 queues are written to", 0.1, "ms", "below")
def snapshot_busy(bench):
    broker, queues, done = bench.broker(), 400, threading.Event()
    for i in range(queues // 8):
        bench.topic(broker, "t%d" % i)

    def once():
        done.clear()
        writers = [threading.Thread(target=write_until, args=(done, broker, queues, seed)) for seed in range(4)]
        for writer in writers:
            writer.start()
        try:
            took = []
            for _ in range(100 // bench.scale):
                time.sleep(random.uniform(0.05, 0.15))
                took.append(take_and_drop(broker))
        finally:
            done.set()
            for writer in writers:
                writer.join()
        return sorted(took)[-2]
    return once


@figure("held_up", "longest append while snapshots of a 10 GiB store are taken", 0.05, "ms", "below")
def held_up(bench):
    broker, _ = big_store(bench)
    small = bench.topic(broker, "small") + "/q0"

    def append_until(done, longest):
        with open(small, "ab", buffering=0) as out:
            while not done.is_set():
                began = time.monotonic()
                out.write(b"x" * 127 + b"\n")
                longest[0] = max(longest[0], time.monotonic() - began)
                time.sleep(0.0005)

    def once():
        idle_disk()
        done, longest = threading.Event(), [0.0]
        writer = threading.Thread(target=append_until, args=(done, longest))
        writer.start()
        for _ in range(5):
            take_and_drop(broker)
            time.sleep(0.05)
        done.set()
        writer.join()
        return longest[0]
    return once


@figure("idle_memory", "memory, 10,000 queues idle", 64 * MIB, "MiB", "below")
def idle_memory(bench):
    broker = bench.broker("defaultTopicQueueNums=4")
    for i in range(2500 // bench.scale):
        topic = bench.topic(broker, "t%d" % i)
        for q in range(4):
            with open("%s/q%d" % (topic, q), "ab", buffering=0) as queue:
                queue.write(b"one message\n")
    time.sleep(3)			# the views' own interval, and then idle
    return broker.anonymous_bytes


# --- rows with clients over the network -------------------------------------------

def remote(bench, *args):
    """Messages a second of a client, by remote.c."""
    out = subprocess.run([bench.tool("remote"), *args], stdout=subprocess.PIPE, check=True, text=True).stdout
    return float(out.split()[-2])


def network_broker(bench, queues=8):
    """A broker that clients reach, and its port."""
    port = random.randrange(20000, 32000, 10)
    broker = bench.broker("listen=127.0.0.1,listenPort=%d,remotingUser=%s" % (port, pwd.getpwuid(os.getuid())[0]),
                          "defaultTopicQueueNums=%d" % queues)
    bench.topic(broker, "t")

    def listens():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until(listens)
    return broker, str(port)


def pipelined(bench, connections, window):
    port, count = network_broker(bench)[1], str(400000 // bench.scale)
    return lambda: remote(bench, "send", port, "t", "4", connections, window, "1024", count)


@figure("remote_1", "1 KiB messages from a pipelined client, one connection", 1e5, "k/s", "at least")
def remote_1(bench):
    return pipelined(bench, "1", "256")


@figure("remote_64", "the same, 64 connections", 1e5, "k/s", "at least")
def remote_64(bench):
    return pipelined(bench, "64", "32")


@figure("remote_pull", "1 KiB messages pulled by one client", 1e5, "k/s", "at least")
def remote_pull(bench):
    port, count = network_broker(bench)[1], str(200000 // bench.scale)
    remote(bench, "send", port, "t", "1", "1", "256", "1024", count)
    return lambda: remote(bench, "pull", port, "t", "0", count, "1")


@figure("held_pulls", "one of 1,000 held pulls gets its message, from its send on, 99 of 100", 5e-3, "ms", "below")
def held_pulls(bench):
    broker, port = network_broker(bench, 1000)
    topics = iter(range(1000))

    def once():
        topic = "held%d" % next(topics)
        bench.topic(broker, topic)
        out = subprocess.run([bench.tool("remote"), "hold", port, topic, "1000"], stdout=subprocess.PIPE,
                             check=True, text=True).stdout
        return float(out.split()[1]) / 1e6
    return once


# --- rows with a slave -----------------------------------------------------------

def status(broker, name):
    with open(os.path.join(broker.mnt, "status", name)) as value:
        return int(value.read())


def wait_until(condition, seconds=120):
    """Asking costs the broker time, too: not all the time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError("it takes more than %d s" % seconds)
        time.sleep(0.005)


def follows(master, slave):
    return status(slave, "dispatched") == status(master, "written")


def as_sync_and_async(bench, size, *more, writers=16):
    """The same writers, while the broker is a SYNC_MASTER, and while it is not: until the
    slave has all of it, or who waits for nobody would be measured without a slave."""
    master = bench.master("defaultTopicQueueNums=16")
    topic = bench.topic(master, "t")
    slave = bench.slave()
    queues = ["%s/q%d" % (topic, i) for i in range(writers)]

    def as_role(role):
        wait_until(lambda: follows(master, slave))
        with open(os.path.join(master.mnt, "config/brokerRole"), "w") as out:
            out.write(role)
        began = time.monotonic()
        rate = bench.write(queues, size, *more)
        wrote = time.monotonic() - began
        wait_until(lambda: follows(master, slave))
        return rate * wrote / (time.monotonic() - began)
    return lambda: as_role("SYNC_MASTER"), lambda: as_role("ASYNC_MASTER")


@ratio("sync_master", "SYNC_MASTER, 16 writers of 128 bytes", "the same as ASYNC_MASTER", 0.70, "k/s")
def sync_master(bench):
    return as_sync_and_async(bench, 128)


@ratio("sync_one", "SYNC_MASTER, one writer of 128 bytes, nothing else running",
       "128 bytes to another process and back, loopback TCP", 0.25, "k/s")
def sync_master_one(bench):
    ours, _ = as_sync_and_async(bench, 128, writers=1)
    return ours, lambda: bench.load("-e", "128", "-t", bench.seconds)


@ratio("sync_m_4k", "SYNC_MASTER, 16 writers of 4 KiB of lines", "the same as ASYNC_MASTER", 0.90, "k/s")
def sync_master_4k(bench):
    return as_sync_and_async(bench, 4 * KIB, "-l", "128")


@ratio("sync_m_64k", "SYNC_MASTER, 16 writers of 64 KiB of lines", "the same as ASYNC_MASTER", 0.95, "k/s")
def sync_master_64k(bench):
    return as_sync_and_async(bench, 64 * KIB, "-l", "128")


def send_file(path, port):
    with socket.create_server(("127.0.0.1", port)) as server, open(path, "rb") as source:
        with server.accept()[0] as to:
            while os.sendfile(to.fileno(), source.fileno(), None, MIB):
                pass


def copy_over_tcp(source, target):
    """Bytes a second, down to the disk."""
    port = random.randrange(20001, 32000, 10)
    began = time.monotonic()
    sender = multiprocessing.Process(target=send_file, args=(source, port))
    sender.start()
    buffer = memoryview(bytearray(MIB))
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            got = socket.create_connection(("127.0.0.1", port))
            break
    with got, open(target, "wb", buffering=0) as out:
        while n := got.recv_into(buffer):
            out.write(buffer[:n])
        os.fdatasync(out.fileno())
    sender.join()
    return os.path.getsize(source) / (time.monotonic() - began)


@ratio("catch_up", "a slave catches up 4 GiB", "a file of them over loopback TCP", 0.80, "MB/s")
def catch_up(bench):
    size = 4 * GIB // bench.scale
    source = bench.lines(1024, 256 * MIB // bench.scale)
    master = bench.master()
    queue = bench.topic(master, "t") + "/q0"
    while status(master, "written") < size:
        bench.cat(source, queue)
    plain = bench.lines(KIB, status(master, "written"))
    bench.cat(plain)

    def ours():
        began = time.monotonic()
        slave = bench.slave()
        wait_until(lambda: status(slave, "flushed") == status(master, "written") == status(slave, "dispatched"))
        took = time.monotonic() - began
        slave.close()
        shutil.rmtree(bench.path("store.slave"))
        return status(master, "written") / took

    def theirs():
        rate = copy_over_tcp(plain, bench.path("copy"))
        os.unlink(bench.path("copy"))
        return rate
    return ours, theirs


LAG_LINES, LAG_BYTES_PER_S = 64, 50e6


def collect_lags(queue, count, results):
    """Each line begins with the time at which it was written."""
    lags, rest = [], b""
    with open(queue + "@last:follow", "rb", buffering=0) as source:
        results.send(None)
        while len(lags) < count:
            piece = rest + source.read(256 * KIB)
            now = time.monotonic()
            whole = len(piece) - len(piece) % KIB
            lags += [now - float(piece[at:at + 20]) for at in range(0, whole, LAG_LINES * KIB // 4)]
            rest = piece[whole:]
    results.send(lags)


def lag_quantile(bench, quantile):
    master = bench.master()
    queue = bench.topic(master, "t") + "/q0"
    with open(queue, "a") as out:
        out.write("first\n")
    slave = bench.slave()
    wait_until(lambda: follows(master, slave))

    def once():
        seconds = 2 * float(bench.seconds)
        ours, theirs = multiprocessing.Pipe()
        writes = int(seconds * LAG_BYTES_PER_S / (LAG_LINES * KIB))
        reader = multiprocessing.Process(target=collect_lags, args=(
            os.path.join(slave.mnt, "topics/t/q0"), writes, theirs))
        reader.start()
        ours.recv()
        began = time.monotonic()
        with open(queue, "ab", buffering=0) as out:
            for i in range(writes * 2):
                time.sleep(max(0, began + i * LAG_LINES * KIB / LAG_BYTES_PER_S - time.monotonic()))
                out.write((b"%020.9f" % time.monotonic() + b"x" * (KIB - 21) + b"\n") * LAG_LINES)
                if ours.poll():
                    break
        lags = sorted(ours.recv())
        reader.join()
        return lags[int(len(lags) * quantile)]
    return once


@figure("lag_p50", "replication lag at 50 MB/s, median", 0.01, "ms", "below")
def lag_p50(bench):
    return lag_quantile(bench, 0.50)


@figure("lag_p99", "replication lag at 50 MB/s, 99 of 100", 0.1, "ms", "below")
def lag_p99(bench):
    return lag_quantile(bench, 0.99)


# --- what was asked for ---------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description="DESIGN's figures, measured side by side.")
    parser.add_argument("--build", default=".", help="build tree")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", help="only these, separated by commas")
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/var/tmp"), help="where stores are made")
    parser.add_argument("--quick", action="store_true", help="an eighth of the data, a third of the time")
    options = parser.parse_args()

    known = [row[0] for row in ROWS]
    names = options.rows.split(",") if options.rows else known
    for name in names:
        if name not in known:
            parser.error("no row '%s'; there are: %s" % (name, ", ".join(known)))
    print("%-12s %15s %15s %5s [spread]  wanted; medians of %d rounds" % (
        "row", "ours", "theirs", "ratio", options.rounds), flush=True)
    for row in ROWS:
        if row[0] not in names:
            continue
        bench = Bench(options)
        with bench.stack:
            try:
                row[-1](row, bench, options.rounds)
            except (RuntimeError, OSError, subprocess.CalledProcessError) as why:
                print("%-12s not measured: %s" % (row[0], why), flush=True)


if __name__ == "__main__":
    main()
