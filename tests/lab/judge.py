#!/usr/bin/env python3
"""judge.py - holds what a mount shows against what load.py was told.

    judge.py MNT STATE [--cut TIME]     of the broker that was harmed; STATE becomes what there is now
    judge.py MNT STATE --slave MASTER   of a slave that has everything its MASTER has
    judge.py MNT STATE --lost [OLD]     of a slave that was promoted in the place of a master whose last
                                        acknowledged messages it may not have; OLD, the mount of that
                                        master, now its slave, must have kept them in lost+found
    judge.py MNT STATE --held           of a slave whose SYNC_MASTER died: it has all that was acknowledged

Without --cut the broker was killed: everything that was acknowledged must be
there.  With --cut the power was cut then (seconds since 1970): what was synced
must be there, and what the broker had said to be flushed.
"""
import argparse
import hashlib
import os
import re
import sys

from load import GROUP, QUEUES, TOPIC, Load, Wrong, load_json, must, queue_offset, read_all, read_text, \
    save_json, write_text


def is_torn(line, name, number):
    """Is it what a close makes of the beginning of that line?"""
    return (b"%s %d %s" % (name.encode(), number, b"x" * 4000)).startswith(line.rstrip(b"\n"))


def split_line(line):
    name, number, filler = line.decode(errors="replace").split(" ")
    must(filler.strip("x") == "\n", "a torn line: %r" % line[:60])
    return name, int(number)


class Judge:
    def __init__(self, mnt, state, cut=None, lost=None):
        self.load = Load(mnt, state)
        self.cut = cut
        self.lost = lost        # None: nothing is; else of whose master, or ""
        self.seen = self.load.seen
        self.least = {}         # of each queue: the messages that must be there
        self.told = load_json(os.path.join(state, "told"), {})
        self.flushed = max((at for at, seen in load_json(os.path.join(state, "flushed"), [])
                            if cut is None or seen < cut), default=0)
        self.state = state
        self.lines = 0

    def of_kind(self, key):
        return {name: told for name, told in self.told.items() if key in told}

    def judge(self):
        for queue in QUEUES:
            self.judge_queue(queue, {n: t for n, t in self.of_kind("how").items() if t["queue"] == queue})
        for name, told in self.of_kind("commits").items():
            self.judge_offset(name, told)
        for name, told in self.of_kind("resets").items():
            self.judge_reset(name, told)
        for name, told in self.of_kind("trims").items():
            self.judge_min(name, told)
        for judge, letter in ((self.judge_steps, "m"), (self.judge_snapshot, "s")):
            for worker, steps in self.told.items():
                for name, told in steps.items() if worker[0] == letter else ():
                    judge(name, told)
        save_json(os.path.join(self.state, "seen"), self.seen)
        save_json(os.path.join(self.state, "told"), {})

    # --- messages ---

    def judge_queue(self, queue, producers):
        """What came since the last judgement is what its producers wrote; what was seen is unchanged."""
        path = self.load.topic(queue)
        seen = self.seen.get(queue, 0)
        first, end = queue_offset(path, "min_offset"), queue_offset(path, "max_offset")
        must(first <= seen <= end, "%s: was seen up to %d, has %d to %d" % (queue, seen, first, end))
        lines = read_all("%s@%d" % (path, seen)).splitlines(keepends=True)
        must(len(lines) == end - seen, "%s: %d lines from %d to %d" % (queue, len(lines), seen, end))
        got = dict.fromkeys(producers, 0)
        may_tear = {name for name, told in producers.items() if told["tears"]}
        for line in lines:
            torn = [name for name in may_tear if is_torn(line, name, got[name] + 1)]
            if torn and line.count(b" ") < 2:
                may_tear.remove(torn[0])
                continue
            name, number = split_line(line)
            must(name in got, "%s: %r came from nowhere" % (queue, line[:60]))
            must(number == got[name] + 1, "%s: after %d of %s comes %s" % (queue, got[name], name, number))
            got[name] += 1
        for name, told in producers.items():
            wanted = self.wanted(told)
            must(wanted <= got[name] <= told["tried"], "%s: of %s there are %d; %d must be there, %d were tried"
                 % (queue, name, got[name], wanted, told["tried"]))
            if self.lost:
                self.judge_kept(name, got[name] + 1, told["acked"])
        self.compare_with_model(queue, path, lines)
        self.least[queue] = seen + sum(self.wanted(told) for told in producers.values())
        self.seen[queue] = end
        self.lines += len(lines)

    def wanted(self, told):
        """An answer that came while the power went, no program has seen."""
        if self.lost is not None:
            return 0
        if self.cut is None:
            return told["acked"]
        return self.last_before(self.cut if told["synced"] else self.flushed, told["times"])

    def sure(self, told):
        return 0 if self.cut or self.lost is not None else told["acked"]

    def last_before_the_cut(self, times):
        return self.last_before(self.cut, times)

    @staticmethod
    def last_before(end, times):
        return max((n for at, n in times if end is None or at < end), default=0)

    def compare_with_model(self, queue, path, lines):
        """The model holds each line that was ever judged; what is retained is its end."""
        model = os.path.join(self.state, queue)
        with open(model, "ab") as f:
            f.writelines(lines)
        content = read_all(path)
        with open(model, "rb") as f:
            f.seek(-len(content), os.SEEK_END)
            must(f.read() == content, "%s: what was judged before has changed" % queue)

    def judge_kept(self, name, first, last):
        """What was acknowledged and is not there, is in lost+found."""
        if first > last:
            return
        folder = os.path.join(self.lost, "lost+found")
        kept = set()
        for file in os.listdir(folder):
            content = read_all(os.path.join(folder, file))
            kept.update(int(n) for n in re.findall(b"%s ([0-9]+) x" % name.encode(), content))
        missing = [number for number in range(first, last + 1) if number not in kept]
        must(not missing, "%s: %d to %d were acknowledged and cut, and %d of them were not kept, as %s"
             % (name, first, last, len(missing), missing[:1]))

    # --- offsets ---

    def judge_offset(self, name, told):
        at = self.consumed(name, told["queue"])
        synced = told["commits"][0][1] if self.lost is not None else self.last_before_the_cut(told["commits"])
        must(synced <= at <= told["tried"], "%s: %s.offset is %d, %d was synced, %d tried"
             % (name, told["queue"], at, synced, told["tried"]))

    def judge_reset(self, name, told):
        at = self.consumed(name, told["queue"])
        possible = told["resets"][0 if self.cut or self.lost is not None else told["sure"]:]
        queue = told["queue"]
        # what was set in a longer queue, which was cut, ends where this one did when it was told of that
        shortened = (self.cut or self.lost is not None) and at < max(possible) and \
            self.least.get(queue, 0) <= at <= self.seen[queue]
        must(at in possible or shortened, "%s: %s.offset is %d; it was set to %s last"
             % (name, queue, at, possible[-9:]))

    def consumed(self, name, queue):
        """The committed offset, which the group's files agree with."""
        self.seen[queue + ".offset"] = at = int(read_text(self.load.group(queue + ".offset")))
        end = self.seen[queue]
        must(int(read_text(self.load.group(queue + ".lag"))) == end - at, "%s: %s.lag" % (name, queue))
        first = read_all("%s@%d..%d" % (self.load.topic(queue), at, at + 1)) if at < end else b""
        with open(self.load.group(queue), "rb") as f:
            must(f.readline() == first, "%s: the group's next message is not message %d" % (name, at))
        return at

    def judge_min(self, name, told):
        at = queue_offset(self.load.topic(told["queue"]), "min_offset")
        acked = self.sure(told)
        must(acked <= at <= told["tried"], "%s: min_offset is %d, %d was acknowledged, %d tried"
             % (name, at, told["acked"], told["tried"]))
        self.seen[told["queue"] + ".min"] = at

    # --- topics, groups, snapshots ---

    def judge_steps(self, name, told):
        topic = os.path.join(self.load.mnt, "topics", name)
        group = os.path.join(self.load.mnt, "groups", name)
        possible = range(self.sure(told), told["tried"] + 1)
        have = (os.path.isdir(topic), os.path.isdir(group), os.path.isdir(os.path.join(group, TOPIC)))
        fitting = [n for n in possible if (1 <= n < 8, 3 <= n < 7, 4 <= n < 6) == have]
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

    def judge_snapshot(self, name, told):
        """It is there as a whole or not at all; its mkdir and rmdir are durable when they return."""
        path = os.path.join(self.load.mnt, ".snapshots", name)
        there = os.path.isdir(path)
        possible = range(self.last_before_the_cut(told["times"]), told["tried"] + 1)
        must(any((n == 1) == there for n in possible), "snapshot %s is %s; steps %d to %d were done"
             % (name, "there" if there else "not there", possible[0], possible[-1]))
        if there:
            judge_manifest(path)
            os.rmdir(path)

    # --- slaves ---

    def judge_slave(self, master):
        """Its queues and groups are the master's, which have been judged."""
        for queue in QUEUES:
            path = self.load.topic(queue)
            must(queue_offset(path, "max_offset") == self.seen[queue], "the slave's %s has another end" % queue)
            self.compare_with_model(queue, path, ())
            for name in (queue + ".offset", queue + ".lag"):
                ours, theirs = read_text(self.load.group(name)), read_text(Load(master, "").group(name))
                must(ours == theirs, "the slave's %s is %s, the master's %s" % (name, ours, theirs))
        for name in ("topics", "groups", "groups/" + GROUP):
            ours, theirs = (sorted(os.listdir(os.path.join(m, name))) for m in (self.load.mnt, master))
            must(ours == theirs, "the slave's %s: %r, the master's: %r" % (name, ours, theirs))

    def judge_held(self):
        for name, told in self.of_kind("how").items():
            path = self.load.topic(told["queue"])
            lines = read_all("%s@%d" % (path, self.seen.get(told["queue"], 0))).splitlines(keepends=True)
            got = sum(1 for line in lines if split_line(line)[0] == name)
            must(told["acked"] <= got, "the slave has %d of %s, %d were acknowledged"
                 % (got, name, told["acked"]))


def judge_manifest(path):
    for line in read_text(os.path.join(path, "MANIFEST")).splitlines():
        digest, name = line.split("  ", 1)
        with open(os.path.join(path, name), "rb") as f:
            must(hashlib.file_digest(f, "sha256").hexdigest() == digest, "%s/%s is not what it was" % (path, name))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("mnt")
    p.add_argument("state")
    p.add_argument("--cut", type=float)
    p.add_argument("--slave")
    p.add_argument("--held", action="store_true")
    p.add_argument("--lost", nargs="?", const="")
    args = p.parse_args()
    judge = Judge(args.mnt, args.state, args.cut, args.lost)
    try:
        if args.slave:
            judge.judge_slave(args.slave)
        elif args.held:
            judge.judge_held()
        else:
            judge.judge()
            print(judge.lines)
    except (Wrong, OSError) as why:
        sys.exit("judge: %s" % why)


if __name__ == "__main__":
    main()
