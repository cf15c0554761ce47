#!/bin/bash
# O_DSYNC, O_SYNC, RWF_DSYNC, fsync and SYNC_FLUSH wait for the disk, for messages,
# offsets and configurations alike; plain writes do not.
. "$top_builddir/tests/functions.sh"
requires_fuse

# nothing comes to disk by itself, nor into the log
start_mqfs "$work/store" "$mnt" -o flushIntervalCommitLog=3600000,flushIntervalConsumeQueue=3600000 \
	-o flushConsumerOffsetInterval=3600000
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
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
for name, text in (("groups/g/t/q0.offset", b"2\n"), ("topics/t/config", b"queues = 9\n"),
                   ("groups/g/t/subscription", b"*\n")):
    fd = os.open(mnt + "/" + name, os.O_WRONLY | os.O_DSYNC)
    os.write(fd, text)
    os.close(fd)
    assert behind() == 0, name + " with O_DSYNC"
    fd = os.open(mnt + "/" + name, os.O_WRONLY)
    os.write(fd, text)
    os.fsync(fd)
    os.close(fd)
    assert behind() == 0, name + " and fsync"
    os.write(plain, b"plain\n")
os.mkdir(mnt + "/topics/new")
assert behind() > 0, "mkdir waited for the disk"
fd = os.open(mnt + "/topics", os.O_RDONLY)
os.fsync(fd)
assert behind() == 0, "fsync of a directory"
os.write(plain, b"plain\n")
with open(mnt + "/config/flushDiskType", "w") as f:
    f.write("SYNC_FLUSH\n")
os.write(plain, b"now everything\n")
assert behind() == 0, "SYNC_FLUSH"
END
