#!/usr/bin/env python3
"""crash_load.py - mixed work on a mount until its broker dies, and its judge.

    crash_load.py run MNT STATE SEED SECONDS   works until the broker is gone (or SECONDS are over);
                                               STATE says what was tried and what was acknowledged
    crash_load.py judge MNT STATE [CUT]        holds what a new broker shows against it, and STATE
                                               becomes what there is now

STATE is a directory.  Without CUT the broker was killed: everything that was
acknowledged must be there.  With CUT (seconds since the epoch) the power was
cut then: what was synced must be there, and what is older than INTERVAL.

Each worker is a thread that writes down what it is about to do and what it was
told, so that a step in flight may have happened or not, and no other.
"""
import errno
import json
import os
import random
import sys
import threading
import time

TOPIC, GROUP = "load", "readers"
GONE = {errno.ENOTCONN, errno.ECONNABORTED}
DISK_GONE = {errno.EIO, errno.EROFS}
INTERVAL = 2.5          # s: flushIntervalCommitLog, and what a slow machine adds
CUT_MARGIN = 0.05       # s: clocks are read before and after what they time
PAUSE = 0.02            # s: the judge must keep up


class Wrong(Exception):
    pass


def must(condition, why):
    if not condition:
        raise Wrong(why)


def load_json(path, default):
    try:
        with open(path, encoding="ascii") as f:
            return json.load(f)
    except FileNotFoundError:
        return default


def save_json(path, value):
    with open(path + ".new", "w", encoding="ascii") as f:
        json.dump(value, f)
    os.rename(path + ".new", path)


def read_text(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def read_all(path):
    with open(path, "rb", buffering=0) as f:
        return f.readall()


def write_text(path, text, sync=False):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def queue_offset(path, which):
    return int(os.getxattr(path, "user.mqfs." + which))


# --- work ----------------------------------------------------------------------


class Worker(threading.Thread):
    """Does steps until the broker is gone; anything else that fails is wrong."""

    def __init__(self, load, name):
        super().__init__(name=name)
        self.load = load
        self.random = random.Random("%s %s" % (load.seed, name))
        self.wrong = None
        self.told = {}          # goes to STATE

    def run(self):
        try:
            self.work()
        except OSError as why:
            if why.errno == errno.ENOENT and self.load.power and not os.path.ismount(self.load.mnt):
                pass
            elif why.errno not in GONE | DISK_GONE:
                self.wrong = "%s: %s" % (self.name, why)
            elif why.errno in DISK_GONE and not self.load.power:
                self.wrong = "%s: %s from a broker that was only killed" % (self.name, why)
        except (Wrong, ValueError) as why:
            self.wrong = "%s: %s" % (self.name, why)

    def going(self):
        return time.time() < self.load.end


class Producer(Worker):
    """Numbered lines, a few in each write; how: plain, dsync or fsync."""

    def __init__(self, load, name, queue, how):
        super().__init__(load, name)
        self.how = how
        self.path = load.topic(queue)
        self.told = {"queue": queue, "how": how, "tried": 0, "acked": 0, "times": []}

    def work(self):
        flags = os.O_WRONLY | os.O_APPEND | (os.O_DSYNC if self.how == "dsync" else 0)
        fd = os.open(self.path, flags)
        try:
            while self.going():
                self.write(fd)
                time.sleep(self.random.random() * PAUSE)
        finally:
            os.close(fd)

    def write(self, fd):
        told = self.told
        lines = self.random.choice((1, 1, 1, 2, 7, 40))
        size = self.random.choice((10, 100, 1000, 4000))
        first = told["tried"] + 1
        told["tried"] += lines
        data = b"".join(line_of(self.name, n, size) for n in range(first, first + lines))
        must(os.write(fd, data) == len(data), "a short write")
        if self.how == "fsync":
            os.fdatasync(fd)
        told["acked"] = told["tried"]
        now = time.time()
        if self.how != "plain" or not told["times"] or now > told["times"][-1][0] + 0.02:
            told["times"].append((now, told["acked"]))


def line_of(name, number, size):
    return b"%s %d %s\n" % (name.encode(), number, b"x" * size)


class Consumer(Worker):
    """Reads its queue of the group, which commits, and syncs now and then."""

    def __init__(self, load, name, queue):
        super().__init__(load, name)
        self.path = load.group(queue)
        at = load.seen.get(queue + ".offset", 0)
        self.told = {"queue": queue, "tried": at, "acked": at, "synced": at, "synced_times": [(0, at)]}

    def start_offset(self):
        at = int(read_text(self.path + ".offset"))
        must(at == self.told["synced"], "the offset moved to %d by itself" % at)
        return at

    def work(self):
        told = self.told
        base = self.start_offset()
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT)
        lines = 0
        try:
            while self.going():
                told["tried"] = base + lines
                data = os.read(fd, self.random.choice((100, 5000, 100000)))
                told["acked"] = base + lines
                if self.random.random() < 0.2:
                    self.sync()
                lines += data.count(b"\n")
                if not data:
                    time.sleep(0.01)
        finally:
            os.close(fd)

    def sync(self):
        acked = self.told["acked"]
        fd = os.open(self.path + ".offset", os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        self.note_synced(acked)

    def note_synced(self, at):
        self.told["synced_times"].append((time.time(), at))
        self.told["synced"] = at


class Stepper(Consumer):
    """Commits by writing qN.offset, each time synced."""

    def work(self):
        told = self.told
        at = self.start_offset()
        while self.going():
            end = queue_offset(self.load.topic(told["queue"]), "max_offset")
            step = min(self.random.choice((1, 3)), end - at)
            if step:
                told["tried"] = at + step
                write_text(self.path + ".offset", "%d %d\n" % (at, at + step), sync=True)
                at += step
                told["acked"] = at
                self.note_synced(at)
                must(int(read_text(self.path + ".offset")) == at, "the offset is not what was set")
            time.sleep(0.01)


class Trimmer(Worker):
    """Drops old messages of a queue; only what the judge has seen already."""

    def __init__(self, load, name, queue):
        super().__init__(load, name)
        self.queue = queue
        self.seen = load.seen.get(queue, 0)
        at = load.seen.get(queue + ".min", 0)
        self.told = {"queue": queue, "tried": at, "acked": at}

    def work(self):
        told = self.told
        at = queue_offset(self.load.topic(self.queue), "min_offset")
        must(at == told["acked"], "the first message was %d, is now %d" % (told["acked"], at))
        while self.going() and at < self.seen:
            at += self.random.randint(1, 1 + (self.seen - at) // 4)
            told["tried"] = at
            write_text(self.load.topic("ctl"), "trim %s %d\n" % (self.queue, at))
            told["acked"] = at
            must(queue_offset(self.load.topic(self.queue), "min_offset") >= at, "trimmed, but not gone")
            time.sleep(self.random.random() / 10)


class Maker(Worker):
    """Topics, groups and subscriptions come and go; each name is used once."""

    def work(self):
        count = 0
        while self.going():
            count += 1
            name = "%s-%d" % (self.name, count)
            topic = os.path.join(self.load.mnt, "topics", name)
            group = os.path.join(self.load.mnt, "groups", name)
            sub = os.path.join(group, TOPIC)
            mode = self.random.choice((0o700, 0o750, 0o711))
            self.told[name] = steps = {"tried": 0, "acked": 0, "mode": mode}
            last = self.random.randint(1, 8)
            for number, step in enumerate((
                    lambda: os.mkdir(topic),
                    lambda: os.chmod(topic, mode),
                    lambda: os.mkdir(group),
                    lambda: os.mkdir(sub),
                    lambda: write_text(sub + "/q0.offset", "1\n"),
                    lambda: os.rmdir(sub),
                    lambda: os.rmdir(group),
                    lambda: os.rmdir(topic)), 1):
                if number > last:
                    break
                steps["tried"] = number
                step()
                steps["acked"] = number
                time.sleep(self.random.random() * PAUSE)


class Load:
    def __init__(self, mnt, state, seed, seconds, power):
        self.mnt = mnt
        self.state = state
        self.seed = seed
        self.end = time.time() + seconds
        self.power = power
        self.seen = load_json(os.path.join(state, "seen"), {})

    def topic(self, name):
        return os.path.join(self.mnt, "topics", TOPIC, name)

    def group(self, name):
        return os.path.join(self.mnt, "groups", GROUP, TOPIC, name)


def run(mnt, state, seed, seconds, how="kill"):
    load = Load(mnt, state, seed, float(seconds), how == "power")
    workers = [
        Producer(load, "a%s" % seed, "q0", "plain"),
        Producer(load, "b%s" % seed, "q0", "plain"),
        Producer(load, "c%s" % seed, "q1", "dsync"),
        Producer(load, "d%s" % seed, "q1", "fsync"),
        Producer(load, "e%s" % seed, "q2", "plain"),
        Consumer(load, "f%s" % seed, "q0"),
        Stepper(load, "g%s" % seed, "q1"),
        Trimmer(load, "h%s" % seed, "q2"),
        Maker(load, "m%s" % seed),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    save_json(os.path.join(state, "told"), {w.name: w.told for w in workers})
    wrong = [w.wrong for w in workers if w.wrong]
    if wrong:
        sys.exit("\n".join(wrong))


# --- judgement -------------------------------------------------------------------


class Judge:
    def __init__(self, mnt, state, cut):
        self.load = Load(mnt, state, 0, 0, cut is not None)
        self.cut = cut
        self.seen = self.load.seen
        self.told = load_json(os.path.join(state, "told"), {})
        self.state = state

    def judge(self):
        producers = {n: t for n, t in self.told.items() if "how" in t}
        consumers = {n: t for n, t in self.told.items() if "synced" in t}
        trimmers = {n: t for n, t in self.told.items() if n.startswith("h")}
        makers = [t for n, t in self.told.items() if n.startswith("m")]
        for queue in ("q0", "q1", "q2"):
            self.judge_queue(queue, {n: t for n, t in producers.items() if t["queue"] == queue})
        for name, told in consumers.items():
            self.judge_offset(name, told)
        for name, told in trimmers.items():
            self.judge_min(name, told)
        for steps in makers:
            for name, told in steps.items():
                self.judge_steps(name, told)
        save_json(os.path.join(self.state, "seen"), self.seen)
        save_json(os.path.join(self.state, "told"), {})

    def judge_queue(self, queue, producers):
        """What came since the last judgement is what its producers wrote; what was seen is unchanged."""
        path = self.load.topic(queue)
        seen = self.seen.get(queue, 0)
        first, end = queue_offset(path, "min_offset"), queue_offset(path, "max_offset")
        must(first <= seen <= end, "%s: was seen up to %d, has %d to %d" % (queue, seen, first, end))
        lines = read_all("%s@%d" % (path, seen)).splitlines(keepends=True)
        must(len(lines) == end - seen, "%s: %d lines from %d to %d" % (queue, len(lines), seen, end))
        got = dict.fromkeys(producers, 0)
        for line in lines:
            name, number, filler = line.decode(errors="replace").split(" ")
            must(name in got, "%s: %r came from nowhere" % (queue, line[:60]))
            must(int(number) == got[name] + 1, "%s: after %d of %s comes %s" % (queue, got[name], name, number))
            must(filler.strip("x") == "\n", "%s: a torn line: %r" % (queue, line[:60]))
            got[name] += 1
        for name, told in producers.items():
            wanted = self.wanted(told)
            must(wanted <= got[name] <= told["tried"], "%s: of %s there are %d; %d must be there, %d were tried"
                 % (queue, name, got[name], wanted, told["tried"]))
        self.compare_with_model(queue, path, lines)
        self.seen[queue] = end

    def wanted(self, told):
        """An answer that came while the power went, no program has seen."""
        if self.cut is None:
            return told["acked"]
        old_enough = self.cut - (INTERVAL if told["how"] == "plain" else 0)
        return max((n for at, n in told["times"] if at < old_enough), default=0)

    def compare_with_model(self, queue, path, lines):
        """The model holds each line that was ever judged; what is retained is its end."""
        model = os.path.join(self.state, queue)
        with open(model, "ab") as f:
            f.writelines(lines)
        content = read_all(path)
        with open(model, "rb") as f:
            f.seek(-len(content), os.SEEK_END)
            must(f.read() == content, "%s: what was judged before has changed" % queue)

    def judge_offset(self, name, told):
        queue = told["queue"]
        self.seen[queue + ".offset"] = at = int(read_text(self.load.group(queue + ".offset")))
        end = self.seen[queue]
        synced = max(n for when, n in told["synced_times"] if self.cut is None or when < self.cut)
        must(synced <= at <= told["tried"], "%s: %s.offset is %d, %d was synced, %d tried"
             % (name, queue, at, synced, told["tried"]))
        must(int(read_text(self.load.group(queue + ".lag"))) == end - at, "%s: %s.lag" % (name, queue))
        first = read_all("%s@%d..%d" % (self.load.topic(queue), at, at + 1)) if at < end else b""
        with open(self.load.group(queue), "rb") as f:
            must(f.readline() == first, "%s: the group's next message is not message %d" % (name, at))

    def judge_min(self, name, told):
        at = queue_offset(self.load.topic(told["queue"]), "min_offset")
        acked = 0 if self.cut else told["acked"]
        must(acked <= at <= told["tried"], "%s: min_offset is %d, %d was acknowledged, %d tried"
             % (name, at, told["acked"], told["tried"]))
        self.seen[told["queue"] + ".min"] = at

    def judge_steps(self, name, told):
        topic = os.path.join(self.load.mnt, "topics", name)
        group = os.path.join(self.load.mnt, "groups", name)
        possible = range(0 if self.cut else told["acked"], told["tried"] + 1)
        have = (os.path.isdir(topic), os.path.isdir(group), os.path.isdir(os.path.join(group, TOPIC)))
        after = lambda n: (1 <= n < 8, 3 <= n < 7, 4 <= n < 6)
        fitting = [n for n in possible if after(n) == have]
        must(fitting, "%s: topic, group, subscription are there: %r; steps %d to %d were done"
             % (name, have, possible[0], possible[-1]))
        if have[0]:
            mode = os.stat(topic).st_mode & 0o777
            must(min(fitting) < 2 or mode == told["mode"], "%s: mode is %o" % (name, mode))
        if have[2]:
            write_text(os.path.join(group, TOPIC, "q0.offset"), "0\n")
            os.rmdir(os.path.join(group, TOPIC))
        if have[1]:
            os.rmdir(group)
        if have[0]:
            os.rmdir(topic)


def judge(mnt, state, cut=None):
    try:
        Judge(mnt, state, float(cut) - CUT_MARGIN if cut else None).judge()
    except (Wrong, OSError) as why:
        sys.exit("judge: %s" % why)


{"run": run, "judge": judge}[sys.argv[1]](*sys.argv[2:])
