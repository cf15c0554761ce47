#!/bin/bash
# Where writes wait, many producers of one queue wait at the same time: one flush serves them
# all.  It is one file to everybody all the same.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool "${CC%% *}"

cat > "$work/slow.c" << 'END'
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* While the file $SLOW is there, the disk does not answer. */
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

start_mqfs "$work/store" "$mnt" -o "flushDiskType=SYNC_FLUSH,syncFlushTimeout=${patience}000"
mkdir "$mnt/topics/t"
undo rm -f "$SLOW"
timeout "${patience}" python3 - "$mnt" "$SLOW" << 'END' || fail "python3"
import os, stat, sys, threading, time

mnt, slow = sys.argv[1:]
path = mnt + "/topics/t/q0"
inode = os.stat(path).st_ino
reader = os.open(path, os.O_RDONLY)

def stored():
    return os.pread(reader, 1 << 20, 0).decode().splitlines()

def wait_until(condition):
    while not condition():
        time.sleep(0.01)

# each producer has a file of its own open, and they come at the same time
N = 20
ready = threading.Barrier(N)
done = []

def produce(me):
    ready.wait()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    assert os.fstat(fd).st_ino == inode, "not the same file"
    ready.wait()
    for i in range(5):
        os.write(fd, b"%d %d\n" % (me, i))
        done.append((me, i))
    os.close(fd)

with open(slow, "w"):
    pass
producers = [threading.Thread(target=produce, args=(i,)) for i in range(N)]
for t in producers:
    t.start()
wait_until(lambda: len(stored()) > N // 2)      # a lane or two may be shared
assert not done, "a write that did not wait for the disk"
assert os.stat(path).st_ino == inode, "the name means another file"
os.unlink(slow)
for t in producers:
    t.join()
os.chmod(path, 0o640)
lines = stored()
assert sorted(lines) == sorted("%d %d" % (me, i) for me in range(N) for i in range(5)), lines
for me in range(N):
    mine = [int(line.split()[1]) for line in lines if line.split()[0] == str(me)]
    assert mine == list(range(5)), "the messages of producer %d: %s" % (me, mine)
os.close(reader)

# what one has changed is so for all
for _ in range(3):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
    os.write(fd, b"open\n")                     # and stays open: the next one gets another lane
END

# who follows the name sees every producer's lines
tail -n 1 -s 0.1 -F "$mnt/topics/t/q0" > "$work/tailed" 2> /dev/null &
eventually 10 grep -q . "$work/tailed"
exec 5>> "$mnt/topics/t/q0" 6>> "$mnt/topics/t/q0"
echo five >&5
echo six >&6
eventually 10 grep -q six "$work/tailed"
want 1 "$(grep -c five "$work/tailed")" "lines of the one before"
echo 'trim q0 3' > "$mnt/topics/t/ctl"
echo 'five again' >&5
exec 5>&- 6>&-
want 'five again' "$(tail -n 1 "$mnt/topics/t/q0")" "the last line after a trim"
