#!/bin/bash
# flock and fcntl locks keep processes apart, whichever way they have opened a file, and
# outlive a broker that is killed.
. "$top_builddir/tests/functions.sh"
requires_fuse

cat > "$work/locks.py" << 'END'
import errno, fcntl, os, signal, struct, sys, traceback

path, broker_of = sys.argv[1], sys.argv[2:]

def opened(flags=os.O_RDWR | os.O_APPEND):
    return os.open(path, flags)

def refused(call, *args, by=errno.EAGAIN):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == by, e
    else:
        assert False, "not refused"

def child(body, *args):
    """A process that runs body and ends; it says when it has begun."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        os.closerange(3, w)		# the parent's files are open as long as anybody has them
        os.closerange(w + 1, 100)
        try:
            body(w, *args)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(w)
    assert os.read(r, 1) == b"x", "the child did not come so far"
    os.close(r)
    return pid

def ends_well(pid):
    assert os.waitpid(pid, 0)[1] == 0, "a child has failed"

EX, SH, NB, UN = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_NB, fcntl.LOCK_UN

# flock: of the open file; others wait, a close lets them in
a, b = opened(), opened()
fcntl.flock(a, EX)
refused(fcntl.flock, b, EX | NB)
refused(fcntl.flock, b, SH | NB)
fcntl.flock(a, SH)
fcntl.flock(b, SH | NB)
refused(fcntl.flock, b, EX | NB)
fcntl.flock(b, UN)
fcntl.flock(a, EX)

def waits_for_flock(w):
    fd = opened()
    refused(fcntl.flock, fd, EX | NB)
    os.write(w, b"x")
    fcntl.flock(fd, EX)
    os.write(fd, b"second\n")

pid = child(waits_for_flock)
os.write(a, b"first\n")
assert os.waitpid(pid, os.WNOHANG)[0] == 0, "it did not wait"
os.close(a)
ends_well(pid)
fcntl.flock(b, EX)
fcntl.flock(b, UN)

# a process that is killed leaves no lock; one that waits can be killed
def holds(w):
    fd = opened()
    fcntl.flock(fd, EX)
    fcntl.lockf(fd, EX, 10, 0)
    os.write(w, b"x")
    signal.pause()

pid = child(holds)
waiting = child(waits_for_flock)
os.kill(waiting, signal.SIGKILL)
os.waitpid(waiting, 0)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
fcntl.flock(b, EX)
fcntl.flock(b, UN)

# a process that has ended has no lock, also to a request that does not wait
def takes_and_ends(w):
    fd = opened()
    fcntl.flock(fd, EX | NB)
    os.write(w, b"x")

for _ in range(30):
    ends_well(child(takes_and_ends))
    fcntl.flock(b, EX | NB)
    fcntl.flock(b, UN)

# fcntl: of the process, for bytes
def flock_of(kind, start, length):
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)

def holder(fd, start, length):
    kind, _, at, n, pid = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, flock_of(fcntl.F_WRLCK, start, length)))
    return None if kind == fcntl.F_UNLCK else (kind, at, n, pid)

c = opened()
fcntl.lockf(b, EX, 100, 0)
fcntl.lockf(b, UN, 20, 40)
fcntl.lockf(c, EX, 5, 0)			# the same process

def sees(w, parent):
    fd = opened()
    assert holder(fd, 0, 10) == (fcntl.F_WRLCK, 0, 40, parent) or holder(fd, 5, 10)[3] == parent
    assert holder(fd, 45, 10) is None, "the middle is unlocked"
    assert holder(fd, 50, 100) == (fcntl.F_WRLCK, 60, 40, parent), holder(fd, 50, 100)
    refused(fcntl.lockf, fd, EX | NB, 10, 90)
    fcntl.lockf(fd, EX | NB, 20, 40)
    fcntl.lockf(fd, EX | NB, 0, 1000)
    os.write(w, b"x")
    fcntl.lockf(fd, EX, 100, 0)
    fcntl.lockf(fd, UN, 0, 0)

pid = child(sees, os.getpid())
assert os.waitpid(pid, os.WNOHANG)[0] == 0, "it did not wait"
os.close(c)					# any close of a process drops all that it has
ends_well(pid)

# two that wait for one another
fcntl.lockf(b, EX, 1, 0)

def refused_as_deadlock(fd, at):
    try:
        fcntl.lockf(fd, EX, 1, at)
    except OSError as e:
        assert e.errno == errno.EDEADLK, e
        return True
    return False

def other_way_round(w):
    fd = opened()
    fcntl.lockf(fd, EX, 1, 1)
    os.write(w, b"x")
    if refused_as_deadlock(fd, 0):
        os._exit(errno.EDEADLK)

pid = child(other_way_round)
mine = refused_as_deadlock(b, 1)	# whoever comes second is
fcntl.lockf(b, UN, 0, 0)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert code == (0 if mine else errno.EDEADLK), "refused here: %s, the child's exit code: %d" % (mine, code)

# the broker is killed: who has a lock has it, who waits goes on waiting
if broker_of:
    fcntl.flock(b, EX)
    pid = child(waits_for_flock)
    os.kill(int(broker_of[0]), signal.SIGKILL)
    d = opened()
    refused(fcntl.flock, d, EX | NB)
    assert os.waitpid(pid, os.WNOHANG)[0] == 0, "it did not wait on"
    fcntl.flock(b, UN)
    ends_well(pid)
    fcntl.flock(d, EX | NB)
END

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
timeout "$patience" python3 "$work/locks.py" "$mnt/topics/t/q0" || fail "with ASYNC_FLUSH"

# Holders close one descriptor after the other, as children do that end: others are refused all the same, and need
# not wait for a moment without a close.
python3 - "$mnt/topics/t/q0" "$work/refused" << 'END' &
import fcntl, os, sys

fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
fcntl.flock(fd, fcntl.LOCK_EX)
os.fork()
while not os.path.exists(sys.argv[2]):
    os.close(os.dup(fd))
END
holder=$!
is_locked() { ! timeout "$patience" flock -n "$mnt/topics/t/q0" true; }
eventually 5 is_locked
# shellcheck disable=SC2016	# that shell's variables
timeout "$patience" sh -c 'for i in $(seq 20); do ! flock -n "$1" true || exit 1; done' sh "$mnt/topics/t/q0" && rc=0 || rc=$?
touch "$work/refused"
want 0 "$rc" "the exit status of refused requests"
wait_for "$holder"

echo SYNC_FLUSH > "$mnt/config/flushDiskType"	# where a queue has lanes
timeout "$patience" python3 "$work/locks.py" "$mnt/topics/t/q0" || fail "with SYNC_FLUSH"
stop_mqfs "$mnt"

[ "$(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || exit 0
start_mqfs "$work/store" "$mnt" -o supervise,flushDiskType=SYNC_FLUSH
broker=$(broker_of "$work/store")
timeout "$patience" python3 "$work/locks.py" "$mnt/topics/t/q0" "$broker" || fail "with a killed broker"
[ "$broker" != "$(broker_of "$work/store")" ] || fail "no broker died"
