#!/usr/bin/env python3
"""load.py - mixed work on a mount, by workers who write down what they were told.

    load.py MNT STATE SEED [OPTION...]

    --seconds N         works so long (30), or until SIGTERM, or until the broker is gone
    --steps N           each worker takes so many steps, as fast as it can
    --errors E,E...     a worker that meets one of these ends, and its last step may have
                        happened or not; any other error is wrong
    --again E,E...      what these refuse has not happened at all; it is tried again
    --repeat E,E...     a write that these end is stored: the same bytes are written again, through the
                        same open file, and are not to come twice
    --slave MNT         of the same queues, for the worker who consumes there
    --synced            the broker is a SYNC_FLUSH one: all that is acknowledged is on the disk
    --workers abc...    only these of a to m and s; the others, k to w, when they are named

STATE is a directory.  STATE/going says that the work has begun, STATE/told at the end
what was tried and what was acknowledged, so that a step in flight may have happened
or not, and no other.  judge.py holds what a mount shows against it.
"""
import argparse
import errno
import json
import os
import random
import signal
import sys
import threading
import time

TOPIC, GROUP = "load", "readers"
QUEUES = ("q0", "q1", "q2", "q3", "q4")
DISK_ERRORS = {errno.EIO, errno.ENOSPC}
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
    """Once more, if the broker was replaced while it was open."""
    for last in (False, True):
        try:
            with open(path, encoding="ascii") as f:
                return f.read()
        except OSError as why:
            if last or why.errno != errno.ESTALE:
                raise


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


def write_new(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))


def queue_offset(path, which):
    return int(os.getxattr(path, "user.mqfs." + which))


class Load:
    """Where the work is done, how long, and what may go wrong."""

    def __init__(self, mnt, state, seed=0):
        self.mnt = mnt
        self.state = state
        self.seed = seed
        self.seconds, self.steps = 30, None
        self.errors, self.again, self.repeat = set(), set(), set()
        self.slave = None
        self.synced = False
        self.stopped = False
        self.seen = load_json(os.path.join(state, "seen"), {})

    def start(self):
        self.end = time.time() + self.seconds
        signal.signal(signal.SIGTERM, self.stop)
        write_new(os.path.join(self.state, "going"))

    def stop(self, *_):
        self.stopped = True

    def pause(self, seconds):
        if not self.steps:
            time.sleep(seconds)

    def topic(self, name):
        return os.path.join(self.mnt, "topics", TOPIC, name)

    def group(self, name):
        return os.path.join(self.mnt, "groups", GROUP, TOPIC, name)


class Worker(threading.Thread):
    """Takes steps until the work is over; an error that nobody expects is wrong."""

    def __init__(self, load, name):
        super().__init__(name=name)
        self.load = load
        self.random = random.Random("%s %s" % (load.seed, name))
        self.wrong = None
        self.error = None       # that ended it
        self.refused = 0        # times that a step, or the end of one, was not done
        self.steps = 0
        self.told = {}          # goes to STATE

    def run(self):
        try:
            self.work()
        except OSError as why:
            self.error = errno.errorcode[why.errno]
            if why.errno not in self.load.errors:
                self.wrong = "%s: %s" % (self.name, why)
        except (Wrong, ValueError) as why:
            self.wrong = "%s: %s" % (self.name, why)

    def going(self):
        self.steps += 1
        if self.load.stopped or time.time() > self.load.end:
            return False
        return not self.load.steps or self.steps <= self.load.steps

    def done(self, step, *arguments):
        """Was it done?  If not, not at all."""
        try:
            step(*arguments)
            return True
        except OSError as why:
            if why.errno not in self.load.again:
                raise
            self.refused += 1
            time.sleep(PAUSE)
            return False


class Watcher(threading.Thread):
    """Notes what the broker says of its disk: all that was stored at one time was flushed at another."""

    def __init__(self, load):
        super().__init__(daemon=True)
        self.load = load
        self.flushed = []       # [stored, flushed]

    def status(self, name):
        return int(read_text(os.path.join(self.load.mnt, "status", name)))

    def run(self):
        try:
            while not self.load.stopped:
                at, written = time.time(), self.status("written")
                while self.status("flushed") < written:
                    time.sleep(PAUSE)
                self.flushed.append((at, time.time()))
                time.sleep(PAUSE)
        except (OSError, ValueError):
            pass                # it is gone


class Producer(Worker):
    """Numbered lines, a few in each write; how: plain, dsync or fsync."""

    def __init__(self, load, name, queue, how):
        super().__init__(load, name)
        self.how = how
        self.path = load.topic(queue)
        self.told = {"queue": queue, "how": how, "synced": how != "plain" or load.synced,
                     "tried": 0, "acked": 0, "times": [],
                     "tears": bool(load.repeat)}    # it may end within a write, and close within a line

    def work(self):
        fd = os.open(self.path, self.open_flags())
        try:
            while self.going():
                self.step(fd)
                self.load.pause(self.random.random() * PAUSE)
        finally:
            os.close(fd)

    def sizes(self):
        return self.random.choice((1, 1, 1, 2, 7, 40)), self.random.choice((10, 100, 1000, 4000))

    def open_flags(self):
        return os.O_WRONLY | os.O_APPEND | (os.O_DSYNC if self.how == "dsync" else 0)

    def step(self, fd):
        told = self.told
        lines, size = self.sizes()
        first = told["acked"] + 1
        data = b"".join(line_of(self.name, n, size) for n in range(first, first + lines))
        told["tried"] += lines
        if self.load.repeat:
            self.write_all(fd, data)        # or it ends here, and may have happened
        elif not self.done(self.write_once, fd, data):
            told["tried"] = told["acked"]
            return
        while self.how == "fsync" and not self.done(os.fdatasync, fd):
            if not self.going():
                return
        told["acked"] = told["tried"]
        now = time.time()
        if told["synced"] or not told["times"] or now > told["times"][-1][0] + 0.02:
            told["times"].append((now, told["acked"]))

    def put(self, fd, data):
        return os.write(fd, data)

    def write_all(self, fd, data):
        """Until all of it is acknowledged, as cat and cp do; and again what was only stored."""
        while data:
            data = data[self.insist(self.put, fd, data):]

    def insist(self, call, *arguments):
        while True:
            try:
                return call(*arguments)
            except OSError as why:
                if why.errno not in self.load.repeat | self.load.again or not self.going():
                    raise
                self.refused += 1
                time.sleep(PAUSE)

    def write_once(self, fd, data):
        """A full or broken disk may take the first lines only."""
        taken = data[:os.write(fd, data)]
        if taken != data:
            must(DISK_ERRORS & (self.load.again | self.load.errors), "a short write")
            must(taken.endswith(b"\n"), "a short write within a line")
            self.refused += 1
            self.told["tried"] -= data.count(b"\n") - taken.count(b"\n")


def line_of(name, number, size):
    return b"%s %d %s\n" % (name.encode(), number, b"x" * size)


class Pwriter(Producer):
    """Says where in the file each write belongs."""

    def work(self):
        self.at = os.stat(self.path).st_size
        super().work()

    def open_flags(self):
        return os.O_WRONLY

    def put(self, fd, data):
        n = os.pwrite(fd, data, self.at)
        self.at += n
        return n


class Buffered(Producer):
    """Python's own buffer, which holds what could not be written until the next flush."""

    def write_all(self, fd, data):
        if not hasattr(self, "buffer"):
            self.buffer = os.fdopen(fd, "wb", 3000, closefd=False)
        for line in data.splitlines(keepends=True):
            self.insist(self.buffer.write, line)
        self.insist(self.buffer.flush)


class Large(Producer):
    """Writes of megabytes, which the kernel cuts."""

    def sizes(self):
        return self.random.choice((20, 400, 3000)), 1000


class Consumer(Worker):
    """Reads its queue of the group, which commits, and syncs now and then."""

    def __init__(self, load, name, queue):
        super().__init__(load, name)
        self.path = load.group(queue)
        at = load.seen.get(queue + ".offset", 0)
        self.told = {"queue": queue, "tried": at, "acked": at, "commits": [(0, at)]}

    def start_offset(self):
        at = int(read_text(self.path + ".offset"))
        must(at == self.told["acked"], "the offset moved to %d by itself" % at)
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
                if self.random.random() < 0.2 and self.done(self.sync):
                    self.note_synced(told["acked"])
                lines += data.count(b"\n")
                if not data:
                    self.load.pause(0.01)
        finally:
            os.close(fd)

    def sync(self):
        fd = os.open(self.path + ".offset", os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def done(self, step, *arguments):
        """An fsync that times out says nothing, and may come again; so does a small file whose broker was replaced."""
        try:
            return super().done(step, *arguments)
        except OSError as why:
            if why.errno not in self.load.repeat:
                raise
            self.refused += 1
            return False

    def note_synced(self, at):
        self.told["commits"].append((time.time(), at))


class SlaveConsumer(Consumer):
    """Consumes on a slave, which tells its master."""

    def __init__(self, load, name, queue):
        super().__init__(load, name, queue)
        if load.slave:
            self.path = self.path.replace(load.mnt, load.slave, 1)


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
                at = self.commit(at, at + step)
                told["acked"] = at
                must(int(read_text(self.path + ".offset")) == at, "the offset is not what was set")
            self.load.pause(0.01)

    def commit(self, at, to):
        """Where it is then: what was set and could not be synced is set all the same."""
        if self.done(write_text, self.path + ".offset", "%d %d\n" % (at, to), True):
            self.note_synced(to)
            return to
        return int(read_text(self.path + ".offset"))


class Resetter(Consumer):
    """Sets an offset forth and back, each time synced; nobody else moves it."""

    def __init__(self, load, name, queue):
        super().__init__(load, name, queue)
        at = self.told["acked"]
        # all that it was ever set to, and from where on in that list it may be now
        self.told = {"queue": queue, "acked": at, "resets": [at], "sure": 0}

    def work(self):
        told = self.told
        at = self.start_offset()
        while self.going():
            end = queue_offset(self.load.topic(told["queue"]), "max_offset")
            to = self.random.choice((0, end, self.random.randint(0, end)))
            told["resets"].append(to)
            if self.done(write_text, self.path + ".offset", "%d\n" % to, True):
                told["sure"] = len(told["resets"]) - 1
                at = to
            now = int(read_text(self.path + ".offset"))
            must(now in (at, to), "the offset is %d, and not %d, which was set" % (now, to))
            at = now
            self.load.pause(0.01)


class Trimmer(Worker):
    """Drops old messages of a queue; only what the judge has seen already."""

    def __init__(self, load, name, queue):
        super().__init__(load, name)
        self.queue = queue
        self.seen = load.seen.get(queue, 0)
        at = load.seen.get(queue + ".min", 0)
        self.told = {"queue": queue, "tried": at, "acked": at, "trims": True}

    def work(self):
        told = self.told
        at = queue_offset(self.load.topic(self.queue), "min_offset")
        must(at == told["acked"], "the first message was %d, is now %d" % (told["acked"], at))
        while self.going() and at < self.seen:
            to = at + self.random.randint(1, 1 + (self.seen - at) // 4)
            told["tried"] = to
            if not self.done(write_text, self.load.topic("ctl"), "trim %s %d\n" % (self.queue, to)):
                continue
            told["acked"] = at = to
            must(queue_offset(self.load.topic(self.queue), "min_offset") >= at, "trimmed, but not gone")
            self.load.pause(self.random.random() / 10)


class Maker(Worker):
    """Topics, groups and subscriptions come and go; each name is used once."""

    def work(self):
        count = 0
        while self.going():
            count += 1
            self.make_and_remove("%s-%d" % (self.name, count))

    def make_and_remove(self, name):
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
            if not self.done(step):
                break
            steps["acked"] = number
            self.load.pause(self.random.random() * PAUSE)


class Snapper(Worker):
    """Takes and drops snapshots; each name is used once."""

    def work(self):
        count = 0
        while self.going():
            count += 1
            name = "%s-%d" % (self.name, count)
            path = os.path.join(self.load.mnt, ".snapshots", name)
            self.told[name] = steps = {"tried": 1, "times": [(0, 0)]}
            if not self.done(os.mkdir, path):
                continue
            steps["times"].append((time.time(), 1))
            self.load.pause(self.random.random() / 2)
            if self.random.random() < 0.7:
                steps["tried"] = 2
                if self.done(os.rmdir, path):
                    steps["times"].append((time.time(), 2))


def workers_of(load):
    """The first letter of a name says what it is; the rest makes it new each time."""
    s = load.seed
    return (
        Producer(load, "a%s" % s, "q0", "plain"),
        Producer(load, "b%s" % s, "q0", "plain"),
        Producer(load, "c%s" % s, "q1", "dsync"),
        Producer(load, "d%s" % s, "q1", "fsync"),
        Producer(load, "e%s" % s, "q2", "plain"),
        Consumer(load, "f%s" % s, "q0"),
        Stepper(load, "g%s" % s, "q1"),
        Trimmer(load, "h%s" % s, "q2"),
        Maker(load, "m%s" % s),
        Snapper(load, "s%s" % s),
        SlaveConsumer(load, "k%s" % s, "q3"),
        Large(load, "l%s" % s, "q3", "plain"),
        Pwriter(load, "p%s" % s, "q4", "plain"),
        Resetter(load, "r%s" % s, "q4"),
        Buffered(load, "w%s" % s, "q3", "plain"),
    )


def errors_of(words):
    return {getattr(errno, word) for word in words.split(",") if word}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("mnt")
    p.add_argument("state")
    p.add_argument("seed")
    p.add_argument("--seconds", type=float, default=30)
    p.add_argument("--steps", type=int)
    p.add_argument("--errors", type=errors_of, default=set())
    p.add_argument("--again", type=errors_of, default=set())
    p.add_argument("--repeat", type=errors_of, default=set())
    p.add_argument("--slave")
    p.add_argument("--synced", action="store_true")
    p.add_argument("--workers", default="abcdefghms")
    args = p.parse_args()
    load = Load(args.mnt, args.state, args.seed)
    load.seconds, load.steps, load.synced = args.seconds, args.steps, args.synced
    load.errors, load.again, load.repeat, load.slave = args.errors, args.again, args.repeat, args.slave
    load.start()
    workers = [w for w in workers_of(load) if w.name[0] in args.workers]
    watcher = Watcher(load)
    watcher.start()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    save_json(os.path.join(load.state, "told"), {w.name: w.told for w in workers})
    save_json(os.path.join(load.state, "flushed"), watcher.flushed[-500:])
    errors = {w.name: w.error for w in workers if w.error}
    if errors:
        print("ended by", errors)
    refused = {w.name: w.refused for w in workers if w.refused}
    if refused:
        print("refused", refused)
    wrong = [w.wrong for w in workers if w.wrong]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
