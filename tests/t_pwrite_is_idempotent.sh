#!/bin/bash
# pwrite at the end appends; below it, the same bytes are a success, others EEXIST; beyond it EINVAL.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
python3 - "$mnt/topics/t/q0" << 'END'
import errno, os, sys

def code(call, *args):
    try:
        return call(*args)
    except OSError as why:
        return errno.errorcode[why.errno]

q = os.open(sys.argv[1], os.O_RDWR)
def is_(got, wanted):
    if got != wanted:
        sys.exit("got %r, wanted %r; the queue is %r" % (got, wanted, os.pread(q, 100, 0)))

is_(code(os.pwrite, q, b"one\n", 0), 4)
is_(code(os.pwrite, q, b"two\nthree\n", 4), 10)
is_(code(os.pwrite, q, b"two\nthree\n", 4), 10)		# the retry
is_(code(os.pwrite, q, b"two\n", 4), 4)
is_(code(os.pwrite, q, b"one\n", 0), 4)
is_(code(os.pwrite, q, b"TWO\n", 4), "EEXIST")
is_(code(os.pwrite, q, b"four\n", 15), "EINVAL")
is_(os.pread(q, 100, 0), b"one\ntwo\nthree\n")
# A retry whose first part was stored, and whose rest was not.
is_(code(os.pwrite, q, b"three\nfour\n", 8), 11)
is_(os.pread(q, 100, 0), b"one\ntwo\nthree\nfour\n")
is_(os.fstat(q).st_size, 19)
# Confirmed with O_DSYNC is confirmed on the disk, though its own rest is not whole.
def status(name):
    return int(open(os.path.join(os.path.dirname(sys.argv[1]), "../../status", name)).read())
synced = os.open(sys.argv[1], os.O_WRONLY | os.O_DSYNC)
is_(code(os.pwrite, synced, b"four\nfi", 14), 7)
is_(status("written") - status("flushed"), 0)
END
