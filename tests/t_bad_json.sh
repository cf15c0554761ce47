#!/bin/bash
# A bad json line is refused by the write that ends it, with nothing of it stored,
# what came before it stored, and the writer still in step.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o maxMessageSize=4096
mkdir "$mnt/topics/t"
timeout 200 python3 - "$mnt/topics/t/q0:format=json" << 'END'
import errno, json, os, sys

q = sys.argv[1]
fd = os.open(q, os.O_WRONLY | os.O_APPEND)

def bodies():
    with open(q) as f:
        return [json.loads(line)["body"] for line in f]

def refused(err, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == err, e
    else:
        assert False, "not refused"

first = b'{"body":"a"}\n'
rest = b'no json\n{"body":"lost?"}\n'
assert os.write(fd, first + rest) == len(first), "the write ends before the bad line"
refused(errno.EINVAL, os.write, fd, rest)
assert bodies() == ["a"]
os.write(fd, b'{"body":')
refused(errno.EINVAL, os.write, fd, b'oops}\n')
os.write(fd, b'{"body":"b"}\n')
assert bodies() == ["a", "b"]

# the limit is the body's, whatever its line takes
line = b'{"body":"%s"}\n'
os.write(fd, line % (b"x" * 4096))
refused(errno.EMSGSIZE, os.write, fd, line % (b"x" * 4097))
os.write(fd, line % (b"\\u0041" * 4096))
assert bodies()[2:] == ["x" * 4096, "A" * 4096]

# close says it of a line that never ended
os.write(fd, b'{"body":"c"')
refused(errno.EINVAL, os.close, fd)
fd = os.open(q, os.O_WRONLY | os.O_APPEND)
os.write(fd, b'{"body":"d"}')
os.close(fd)
assert bodies()[4:] == ["d"]

torn = os.open(q.replace("=json", "=len32"), os.O_WRONLY | os.O_APPEND)
os.write(torn, b"\0\0\0\5abc")
refused(errno.EINVAL, os.close, torn)
END
