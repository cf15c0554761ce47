#!/bin/bash
# O_NONBLOCK, poll and epoll tell when a queue with :follow has something to read; without it
# a queue is always ready, as a regular file is.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
timeout 60 python3 - "$mnt/topics/t/q0" << 'END'
import errno, fcntl, os, select, sys, threading

q = sys.argv[1]
producer = os.open(q, os.O_WRONLY | os.O_APPEND)

# At the end: plain is end of file, :follow would block.
plain = os.open(q, os.O_RDONLY | os.O_NONBLOCK)
assert os.read(plain, 10) == b""
follow = os.open(q + ":follow", os.O_RDONLY | os.O_NONBLOCK)
try:
    os.read(follow, 10)
    sys.exit("a non-blocking read at the end gave something")
except BlockingIOError:
    pass

fd = os.open(q + ":follow", os.O_RDONLY)
poll, epoll = select.poll(), select.epoll()
poll.register(fd, select.POLLIN)
epoll.register(fd, select.EPOLLIN)
assert poll.poll(100) == [], "readable at its end"
assert epoll.poll(0.1) == [], "readable at its end"
threading.Timer(0.2, os.write, (producer, b"news\n")).start()
assert poll.poll(60000) == [(fd, select.POLLIN)]
assert epoll.poll(60) == [(fd, select.EPOLLIN)]
assert os.read(fd, 100) == b"news\n"
assert poll.poll(0) == [], "readable after reading"

# O_NONBLOCK may come and go while a file is open.
fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
try:
    os.read(fd, 10)
    sys.exit("a read that became non-blocking at the end gave something")
except BlockingIOError:
    pass
fcntl.fcntl(fd, fcntl.F_SETFL, 0)
threading.Timer(0.2, os.write, (producer, b"more\n")).start()
assert os.read(fd, 100) == b"more\n"
os.close(fd)
assert os.read(follow, 100) == b"news\nmore\n"

# Without :follow: ready for all that it is open for, at the end and before it.
both = select.POLLIN | select.POLLOUT
for fd in (os.open(q, os.O_RDONLY), os.open(q, os.O_RDWR), producer):
    for at in ("its beginning", "its end"):
        poll = select.poll()
        poll.register(fd, both)
        assert poll.poll(0) == [(fd, both)], "not ready at " + at
        if fd != producer:
            os.read(fd, 100)
END

# Whoever asks poll(2) before each read comes to the end of the file.
ends() { timeout "$patience" "$@" < "$mnt/topics/t/q0" > "$work/got" || fail "$*"; }
for tool in "busybox sh -c 'while read -r l; do echo \"\$l\"; done'" "yash -c 'while read -r l; do echo \"\$l\"; done'" \
	"socat -u - STDOUT" "pv -q"; do
	command -v "${tool%% *}" > /dev/null || continue
	ends bash -c "$tool"
	want "$(printf 'news\nmore')" "$(cat "$work/got")" "$tool"
done
