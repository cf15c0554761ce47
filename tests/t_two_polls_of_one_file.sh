#!/bin/bash
# Threads that poll one open file at the same time leave nothing behind: once it is closed,
# its group's queue is free for the next consumer, though no message came.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
timeout 200 python3 - "$mnt/groups/g/t/q0:follow" << 'END'
import os, select, sys, threading

THREADS, ROUNDS = 4, 100

def poll_once(fd, together):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    together.wait()
    for _ in range(5):
        assert poll.poll(1) == []

for turn in range(ROUNDS):
    try:
        fd = os.open(sys.argv[1], os.O_RDWR)
    except OSError as why:
        sys.exit("turn %d: %s" % (turn, why))
    together = threading.Barrier(THREADS)
    threads = [threading.Thread(target=poll_once, args=(fd, together)) for _ in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    os.close(fd)
END
