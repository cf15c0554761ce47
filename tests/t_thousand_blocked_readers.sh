#!/bin/bash
# A thousand blocked readers hold no threads of the broker, and all of them wake.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
before=$(ls "/proc/${daemons[$mnt]}/task" | wc -l)
timeout 200 python3 - "$mnt/topics/t/q0" "/proc/${daemons[$mnt]}/task" "$before" << 'END' >&9
import os, sys, threading, time

path, tasks, before = sys.argv[1], sys.argv[2], int(sys.argv[3])
readers, woken = 1000, []
threading.stack_size(128 * 1024)

def read():
    fd = os.open(path + ":follow", os.O_RDONLY)
    opened.release()
    data = os.read(fd, 100)
    woken.append((data, time.monotonic()))
    os.close(fd)

opened = threading.Semaphore(0)
threads = [threading.Thread(target=read) for _ in range(readers)]
for t in threads:
    t.start()
for _ in threads:
    opened.acquire()
time.sleep(0.2)				# for the last reads to arrive

began = time.monotonic()
os.stat(path)
assert time.monotonic() - began < 60, "the mount does not answer"
now = len(os.listdir(tasks))
assert now <= before + 20, "the broker has %d threads, it had %d" % (now, before)
assert not woken, "woken too early"
fd = os.open(path, os.O_WRONLY | os.O_APPEND)
began = time.monotonic()
os.write(fd, b"wake up\n")
for t in threads:
    t.join(100)
assert len(woken) == readers, "%d woke" % len(woken)
assert all(data == b"wake up\n" for data, _ in woken), "read something else"
late = sorted(at - began for _, at in woken)
print("woken after %.1f ms (first), %.1f ms (last)" % (late[0] * 1e3, late[-1] * 1e3))
assert late[-1] < 60, "woken too late"
END
