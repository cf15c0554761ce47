#!/bin/bash
# O_NONBLOCK, poll and epoll tell when a queue has something to read.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
timeout 200 python3 - "$mnt/topics/t/q0" << 'END'
import errno, os, select, sys, threading

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

for name in (q, q + ":follow"):
    fd = os.open(name, os.O_RDONLY)
    end = os.fstat(fd).st_size
    while end and os.read(fd, 4096) and os.lseek(fd, 0, os.SEEK_CUR) < end:
        pass
    poll, epoll = select.poll(), select.epoll()
    poll.register(fd, select.POLLIN)
    epoll.register(fd, select.EPOLLIN)
    assert poll.poll(100) == [], "%s is readable at its end" % name
    assert epoll.poll(0.1) == [], "%s is readable at its end" % name
    threading.Timer(0.2, os.write, (producer, b"news\n")).start()
    assert poll.poll(60000) == [(fd, select.POLLIN)], name
    assert epoll.poll(60) == [(fd, select.EPOLLIN)], name
    assert os.read(fd, 100) == b"news\n"
    assert poll.poll(0) == [], "%s is readable after reading" % name
    os.close(fd)
assert os.read(follow, 100) == b"news\nnews\n"
END
