#!/bin/bash
# O_DSYNC, O_SYNC, RWF_DSYNC, fsync and SYNC_FLUSH wait for the disk; plain writes do not.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o flushIntervalCommitLog=3600000
mkdir "$mnt/topics/t"
python3 - "$mnt" << 'END'
import os, sys
mnt = sys.argv[1]
q = mnt + "/topics/t/q0"

def status(name):
    with open("%s/status/%s" % (mnt, name)) as f:
        return int(f.read())

def behind():
    return status("written") - status("flushed")

plain = os.open(q, os.O_WRONLY | os.O_APPEND)
os.write(plain, b"plain\n")
assert behind() > 0, "a plain write waited for the disk"
os.fsync(plain)
assert behind() == 0, "fsync"
os.write(plain, b"plain\n")
os.fdatasync(plain)
assert behind() == 0, "fdatasync"
os.write(plain, b"plain\n")
for flag in (os.O_DSYNC, os.O_SYNC):
    fd = os.open(q, os.O_WRONLY | os.O_APPEND | flag)
    os.write(fd, b"sync\n")
    assert behind() == 0, "flag %#o" % flag
    os.close(fd)
    os.write(plain, b"plain\n")
os.pwritev(plain, [b"this one\n"], 0, os.RWF_DSYNC)
assert behind() == 0, "RWF_DSYNC"
os.write(plain, b"plain\n")
with open(mnt + "/config/flushDiskType", "w") as f:
    f.write("SYNC_FLUSH\n")
os.write(plain, b"now everything\n")
assert behind() == 0, "SYNC_FLUSH"
END
