#!/bin/bash
# A topic or subscription that was removed and made again is another one: it works, and
# whoever still has a file of the old one open is told so.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
timeout 200 python3 - "$mnt" << 'END'
import errno, os, sys, threading

os.chdir(sys.argv[1])

def write(path, text):
    with open(path, "a") as f:
        f.write(text)

def read(path):
    with open(path) as f:
        return f.read()

def is_gone(call, *args):
    try:
        got = call(*args)
    except OSError as e:
        assert e.errno in (errno.ESTALE, errno.EIO), e	# the kernel's own answer is EIO
    else:
        assert False, "%r" % got

write("topics/t/q0", "1\n2\n3\n")
write("groups/g/t/q0.offset", "first\n")
consumer = os.open("groups/g/t/q0", os.O_RDWR)
assert os.read(consumer, 2) == b"1\n"
os.rmdir("groups/g/t")
is_gone(os.read, consumer, 2)
os.mkdir("groups/g/t")
write("groups/g/t/q0.offset", "first\n")
is_gone(os.read, consumer, 2)
assert read("groups/g/t/q0.offset") == "0\n"
os.close(consumer)
os.rmdir("groups/g/t")

reader = os.open("topics/t/q0", os.O_RDONLY)
appender = os.open("topics/t/q0", os.O_WRONLY | os.O_APPEND)
follower = os.open("topics/t/q0@last:follow", os.O_RDONLY)
waiting = threading.Thread(target=is_gone, args=(os.read, follower, 10))
waiting.start()
write("topics/t/ctl", "purge\n")
os.rmdir("topics/t")
waiting.join()
is_gone(os.write, appender, b"ghost\n")
is_gone(os.read, reader, 10)
assert os.listdir("topics") == []

os.mkdir("topics/t")
write("topics/t/q0", "new\n")
assert read("topics/t/q0") == "new\n"
is_gone(os.write, appender, b"ghost\n")
is_gone(os.read, reader, 10)
assert read("topics/t/all") == "new\n"
assert "q0" in os.listdir("topics/t")
END
