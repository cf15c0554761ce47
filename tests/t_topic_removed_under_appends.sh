#!/bin/bash
# While a topic is removed and made again, no append is acknowledged into one that is gone.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
timeout 100 python3 - "$mnt/topics/t" << 'END'
import errno, os, sys, threading, time

topic = sys.argv[1]
ends = time.monotonic() + 4
# What each writer was told is stored.
acked = [set() for _ in range(3)]
faults = []
# EIO is the kernel's own answer, of a file whose topic was made again.
GONE = errno.ENOENT, errno.ESTALE, errno.EIO

removed = refused = 0

def goes_on():
    now = time.monotonic()
    return now < ends or (now < ends + 60 and not (removed and refused))

def append(mine, name):
    i = 0
    while goes_on():
        i += 1
        try:
            fd = os.open(topic + "/q%d" % (i % 2), os.O_WRONLY | os.O_APPEND)
        except OSError as e:
            assert e.errno in GONE, e
            continue
        try:
            for k in range(5):
                os.write(fd, b"%s-%d-%d\n" % (name, i, k))
                mine.add(b"%s-%d-%d" % (name, i, k))
        except OSError as e:
            assert e.errno in GONE, e
        try:
            os.close(fd)
        except OSError as e:
            assert e.errno in GONE, e

def guarded(*args):
    try:
        append(*args)
    except BaseException as e:
        faults.append(e)

writers = [threading.Thread(target=guarded, args=(acked[i], b"%d" % i)) for i in range(len(acked))]
for w in writers:
    w.start()
while goes_on():
    with open(topic + "/ctl", "w") as ctl:
        ctl.write("purge\n")
    try:
        os.rmdir(topic)
    except OSError as e:
        assert e.errno == errno.ENOTEMPTY, e
        refused += 1
        continue
    removed += 1
    before = set().union(*(m.copy() for m in acked))
    os.mkdir(topic)
    for q in "q0", "q1":
        with open(topic + "/" + q, "rb") as f:
            left = before.intersection(f.read().split())
            assert not left, "acknowledged, and removed with the topic: %s" % left
for w in writers:
    w.join()
assert not faults, faults
assert removed and refused, (removed, refused)
print("removed %d times, refused %d times, %d messages" % (removed, refused, sum(map(len, acked))))
END
