#!/bin/bash
# A write or fsync whose bytes the background flusher takes to the disk is answered like any other.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o flushIntervalCommitLog=1
mkdir "$mnt/topics/t"
timeout 200 python3 - "$mnt/topics/t" << 'END'
import os, sys, threading

def produce(path, flags, sync):
    queue = os.open(path, os.O_WRONLY | os.O_APPEND | flags)
    try:
        for _ in range(1500):
            os.write(queue, b"a line\n")
            sync(queue)
    except OSError as why:
        wrong.append(why)
    os.close(queue)

wrong = []
threads = [threading.Thread(target=produce, args=("%s/q%d" % (sys.argv[1], n), *how))
           for n, how in enumerate(((os.O_DSYNC, lambda _: None), (0, os.fdatasync)))]
for t in threads:
    t.start()
for t in threads:
    t.join()
if wrong:
    sys.exit(str(wrong))
END
want 3000 $(($(xattr max_offset "$mnt/topics/t/q0") + $(xattr max_offset "$mnt/topics/t/q1"))) "messages"
