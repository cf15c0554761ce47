#!/bin/bash
# Who opens a queue to append never hears that its head is moving.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o haListen=none
mkdir "$mnt/topics/t"
seq_lines 1 5000 >> "$mnt/topics/t/q0"
timeout 200 python3 - "$mnt/topics/t" << 'END'
import os, sys, threading
topic = sys.argv[1]
done = False

def trim():
    for n in range(1, 5000):
        ctl = os.open(topic + "/ctl", os.O_WRONLY)
        os.write(ctl, b"trim q0 %d\n" % n)
        os.close(ctl)
        if done:
            return

trimmer = threading.Thread(target=trim)
trimmer.start()
try:
    for n in range(1500):
        queue = os.open(topic + "/q0", os.O_WRONLY | os.O_APPEND)
        os.write(queue, b"a line\n")
        os.close(queue)
finally:
    done = True
    trimmer.join()
END
want 6500 "$(xattr max_offset "$mnt/topics/t/q0")" "messages"
