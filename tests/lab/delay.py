#!/usr/bin/env python3
"""delay.py - messages that are delivered later, and whether each came once.

    delay.py feed TOPIC STATE SEED    appends numbered messages by every kind of delay, with fsync, until
                                      the broker is gone; STATE/told gets "NUMBER TIME" of each that was
                                      acknowledged, STATE/maybe the numbers of the others
    delay.py judge TOPIC STATE        all that was acknowledged is there once, the rest at most once

A line of STATE/cuts is a time at which the power went: what was acknowledged in the second before the
broker was gone again counts no more than the others.
"""
import collections
import errno
import os
import random
import sys
import time

QUEUES = 4
EXPECTED = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT, errno.ESTALE)


def option(choose):
    kind = choose.randrange(4)
    if kind == 0:
        return "delay=level%d" % choose.randint(1, 2)
    if kind == 1:
        at = time.time() + choose.uniform(-1, 3)
        return "at=" + time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + ".%03dZ" % (at % 1 * 1000)
    return "delay=%dms" % choose.randint(1, 4000)


def feed(topic, state, seed):
    choose = random.Random(seed)
    path = os.path.join(state, "told")
    number = seed * 1000000
    with open(path, "a", buffering=1) as told, open(os.path.join(state, "maybe"), "a", buffering=1) as maybe:
        while True:
            number += 1
            name = "%s/q%d:%s" % (topic, choose.randrange(QUEUES), option(choose))
            try:
                with open(name, "ab", buffering=0) as queue:
                    queue.write(b"%d\n" % number)
                    os.fsync(queue.fileno())
                told.write("%d %.6f\n" % (number, time.time()))
            except OSError as why:
                maybe.write("%d\n" % number)
                if why.errno not in EXPECTED:
                    raise
                return


def numbers(path):
    with open(path) as lines:
        return [line.split() for line in lines]


def judge(topic, state):
    cuts = [float(line[0]) for line in numbers(os.path.join(state, "cuts"))]
    must, may = set(), {int(line[0]) for line in numbers(os.path.join(state, "maybe"))}
    for number, at in numbers(os.path.join(state, "told")):
        late = any(cut <= float(at) < cut + 1 for cut in cuts)
        (may if late else must).add(int(number))
    came = collections.Counter()
    for queue in range(QUEUES):
        with open("%s/q%d" % (topic, queue)) as lines:
            came.update(int(line) for line in lines)
    missing, twice = sorted(must - set(came)), sorted(n for n, times in came.items() if times > 1)
    strange = sorted(set(came) - must - may)
    for what, found in (("missing", missing), ("twice", twice), ("never written", strange)):
        if found:
            print("%d %s: %s" % (len(found), what, " ".join(map(str, found[:20]))))
    print("%d acknowledged, %d came" % (len(must), len(came)))
    return 1 if missing or twice or strange else 0


if __name__ == "__main__":
    if sys.argv[1] == "feed":
        feed(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        sys.exit(judge(sys.argv[2], sys.argv[3]))
