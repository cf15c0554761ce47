#!/bin/bash
# A disk that now and then does not answer in time: producers write again what they were told
# had failed, each in its own way, and every message is stored once.
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

start_mqfs "$work/store" "$mnt" -o syncFlushTimeout=150
undo rm -f "$SLOW"
mkdir "$mnt/topics/t" "$mnt/topics/a" "$mnt/topics/w"
timeout 300 python3 - "$mnt" "$SLOW" "$work" << 'END'
import errno, os, random, sys, threading, time

mnt, slow, work = sys.argv[1:]
failures = {}

def again(name, call, *args):
    """Until it works: an error that says "timed out" says that it is to be tried again."""
    while True:
        try:
            return call(*args)
        except OSError as why:
            assert why.errno == errno.ETIMEDOUT, why
            failures[name] = failures.get(name, 0) + 1

def lines(name, size):
    """About so many bytes."""
    text, n = bytearray(), 0
    while len(text) < size:
        n += 1
        text += b"%s %d %s\n" % (name.encode(), n, b"x" * (n * 37 % 200))
    return bytes(text)

def open_queue(path):
    return os.open(os.path.join(mnt, "topics", path), os.O_WRONLY | os.O_APPEND | os.O_DSYNC)

def writes_the_rest(path, data, most):
    """As cat and cp do; each time from other memory."""
    fd, name = open_queue(path), path
    rest = data
    while rest:
        rest = rest[again(name, os.write, fd, rest[:most]):]
    os.close(fd)

def buffers(path, data):
    """Python's own buffer, which is written again at the next flush."""
    f = os.fdopen(open_queue(path), "wb", 20000)
    for line in data.splitlines(keepends=True):
        again(path, f.write, line)
    again(path, f.flush)
    f.close()

def pwrites(path, data):
    fd = os.open(os.path.join(mnt, "topics", path), os.O_WRONLY | os.O_DSYNC)
    at = 0
    while at < len(data):
        at += again(path, os.pwrite, fd, data[at:at + 30011], at)     # lines are cut anywhere
    os.close(fd)

def whole_lines(path, data):
    fd = open_queue(path)
    for line in data.splitlines(keepends=True)[:40]:
        again(path, os.write, fd, line)
    os.close(fd)

jobs = {
    "t/q0": (writes_the_rest, 9000000, 5000000),
    "t/q1": (writes_the_rest, 200000, 10007),
    "t/q2": (buffers, 300000),
    "t/q3": (pwrites, 300000),
    "w/q0": (whole_lines, 20000),
    "a/all": (writes_the_rest, 200000, 10007),
}

def work_on(path, job, size, *more):
    data = lines(path.replace("/", "-"), size)
    with open(os.path.join(work, "want-" + path.replace("/", "-")), "wb") as f:
        f.write(b"".join(data.splitlines(keepends=True)[:40]) if job is whole_lines else data)
    job(path, data, *more)

threads = [threading.Thread(target=work_on, args=(path, *job), daemon=True) for path, job in jobs.items()]
dice = random.Random(1)
open(slow, "w").close()
for t in threads:
    t.start()
while len(failures) < len(jobs) or any(t.is_alive() for t in threads):
    time.sleep(0.2 + dice.random() / 10)
    if len(failures) < len(jobs):       # each of them is to meet one
        continue
    os.unlink(slow)
    time.sleep(0.02 * dice.random())
    open(slow, "w").close()
os.unlink(slow)
print("waits that failed:", failures)
END
for queue in t/q0 t/q1 t/q2 t/q3 w/q0; do
	cat "$mnt/topics/$queue" > "$work/got"
	want_same "$work/want-${queue/\//-}" "$work/got" "$queue"
done
sort "$work/want-a-all" > "$work/want"
sort "$mnt/topics/a/all" > "$work/got"
want_same "$work/want" "$work/got" "what was written through all"

# Commands, too: what is relative, compares or sends back happens once, and other commands, or the same
# one after a wait or fsync that was ok, are other ones.
mkdir "$mnt/groups/g" "$mnt/groups/g/t"
echo 0 > "$mnt/groups/g/t/q0.offset"
timeout 120 python3 - "$mnt" "$SLOW" << 'END'
import errno, os, sys

mnt, slow = sys.argv[1:]
offset = os.open(mnt + "/groups/g/t/q0.offset", os.O_WRONLY | os.O_DSYNC)
retry = os.open(mnt + "/groups/g/t/q0.retry", os.O_WRONLY | os.O_DSYNC)

# the disk answers only after the last of them: what has reached it meanwhile is ok at once
def fails(fd, *commands):
    open(slow, "w").close()
    for command in commands:
        try:
            os.write(fd, command)
            sys.exit("%s did not time out" % command)
        except OSError as why:
            assert why.errno == errno.ETIMEDOUT, why
    os.unlink(slow)

def until_ok(call, *args):
    while True:
        try:
            return call(*args)
        except OSError as why:
            assert why.errno == errno.ETIMEDOUT, why

def is_at(want):
    with open(mnt + "/groups/g/t/q0.offset") as f:
        got = int(f.read())
    assert got == want, "the offset is %d, not %d" % (got, want)

fails(offset, b"+2\n", b"+2\n")
until_ok(os.write, offset, b"+2\n")
is_at(2)
until_ok(os.write, offset, b"+2\n")
is_at(4)
fails(offset, b"4 5\n")
until_ok(os.write, offset, b"4 5\n")
is_at(5)
fails(offset, b"+1\n")
until_ok(os.fsync, offset)
until_ok(os.write, offset, b"+1\n")
is_at(7)
fails(offset, b"+1\n")
until_ok(os.write, offset, b"+2\n")
is_at(10)
fails(retry, b"0 dlq\n", b"0 dlq\n1 dlq\n")
until_ok(os.write, retry, b"0 dlq\n1 dlq\n")
until_ok(os.fsync, retry)
until_ok(os.write, retry, b"0 dlq\n")
END
want "$(head -n 2 "$mnt/topics/t/q0"; head -n 1 "$mnt/topics/t/q0")" "$(cat "$mnt/topics/%DLQ%g/q0")" "what was sent back"
