#!/bin/bash
# A disk that does not answer: durable writes time out, their messages are stored, the
# same pwrite again confirms them, and nobody else is held up.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool "${CC%% *}"

cat > "$work/slow.c" << 'END'
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int
fdatasync(int fd)
{
	while (access(getenv("SLOW"), F_OK) == 0)
		usleep(1000);
	return (int)syscall(SYS_fdatasync, fd);
}
END
# shellcheck disable=SC2086	# words are wanted
$CC -shared -fPIC -o "$work/slow.so" "$work/slow.c"
export SLOW=$work/slow
MQFS_WRAP="${MQFS_WRAP:-} env LD_PRELOAD=$work/slow.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"

start_mqfs "$work/store" "$mnt" -o syncFlushTimeout=300
mkdir "$mnt/topics/t"
: > "$SLOW"
undo rm -f "$SLOW"
timeout 200 python3 - "$mnt" "$SLOW" << 'END'
import errno, os, sys, threading, time

mnt, slow = sys.argv[1:]
path = mnt + "/topics/t/q0"
q = os.open(path, os.O_RDWR | os.O_DSYNC)

def times_out(call, *args):
    began = time.monotonic()
    try:
        call(*args)
    except OSError as e:
        assert e.errno == errno.ETIMEDOUT, e
        assert time.monotonic() - began > 0.2, "after %g s" % (time.monotonic() - began)
    else:
        assert False, "no timeout"

times_out(os.pwrite, q, b"one\n", 0)
assert os.pread(q, 100, 0) == b"one\n", "its message is stored"
times_out(os.pwrite, q, b"one\n", 0)
times_out(os.fsync, q)

# twenty wait for the disk, and plain writers and readers do not notice
plain = os.open(path.replace("q0", "q1"), os.O_RDWR | os.O_APPEND)
with open(mnt + "/config/syncFlushTimeout", "w") as f:
    f.write("150000\n")
waiting = [threading.Thread(target=os.fsync, args=(q,)) for _ in range(20)]
for t in waiting:
    t.start()
for i in range(100):
    os.write(plain, b"plain\n")
    assert os.pread(plain, 6, 6 * i) == b"plain\n"
assert all(t.is_alive() for t in waiting), "an fsync that did not wait"

os.unlink(slow)
for t in waiting:
    t.join()
assert os.pwrite(q, b"one\n", 0) == 4, "the retry"
assert os.pread(q, 100, 0) == b"one\n", "no duplicate"
END
