#!/bin/bash
# Whoever reads on gets the same bytes as whoever jumps about, also while the
# queue grows, when its head goes away, and in any size of read.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
seq_lines 1 400000 > "$work/plain"
cat "$work/plain" >> "$q"

for size in 4096 20000 131072 1048576 3000000; do
	dd if="$q" bs=$size status=none | cmp - "$work/plain"
done

python3 - "$q" "$work/plain" << 'END'
import os, random, sys
random.seed(7)
queue, plain = (os.open(p, os.O_RDONLY) for p in sys.argv[1:])
size = os.fstat(plain).st_size
assert os.fstat(queue).st_size == size
for _ in range(40):
    at = random.randrange(size)
    for _ in range(random.randrange(1, 30)):        # a few in a row, then elsewhere
        n = random.choice([16384, 65536, 200000])
        assert os.pread(queue, n, at) == os.pread(plain, n, at), at
        at += n
END

# One read(2) gets all that it asks for, however the kernel cuts it into requests.
python3 - "$mnt/topics/t/q1" << 'END'
import os, sys
size = 8 << 20
whole = (b"x" * 1023 + b"\n") * (3 * size >> 10)
queue = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
assert os.write(queue, whole) == len(whole)
for _ in range(40):
    queue = os.open(sys.argv[1], os.O_RDONLY)
    for at in range(0, len(whole), size):
        got = os.pread(queue, size, at)
        assert got == whole[at:at + size], (at, len(got))
    os.close(queue)
END

# A reader that has come to the end goes on with what is appended then.
python3 - "$q" "$work/plain" << 'END'
import os, sys
reader = os.open(sys.argv[1], os.O_RDONLY)
writer = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
want = open(sys.argv[2], "rb").read()
got = b""
while len(got) < len(want):
    got += os.read(reader, 65536)
assert got == want
for i in range(200):
    line = b"later %d " % i + b"x" * 5000 + b"\n"
    assert os.read(reader, 65536) == b""
    assert os.write(writer, line * 20) == 20 * len(line)
    more = b""
    while len(more) < 20 * len(line):
        more += os.read(reader, 65536)
    assert more == line * 20, i
END

# What is gone is gone, for a reader in the middle of it too.
exec 3< "$q"
head -c 1000000 <&3 > /dev/null
echo purge > "$mnt/topics/t/ctl"
fails_with ESTALE dd bs=8M count=4 iflag=fullblock of=/dev/null <&3
exec 3<&-

# A segment that somebody has cut short is EIO for whoever reads on, and the mount lives.
mkdir "$mnt/topics/u"
for _ in 1 2 3; do cat "$work/plain" >> "$mnt/topics/u/q0"; done
exec 3< "$mnt/topics/u/q0"
dd bs=64K count=10 iflag=fullblock status=none <&3 | cmp -n $((10 * 65536)) - "$work/plain"
truncate -s 1M "$work/store/commitlog/00000000000000000000"
fails_with EIO dd bs=64K of=/dev/null <&3
exec 3<&-
want "q0 q1 q2 q3 q4 q5 q6 q7" "$(echo "$mnt"/topics/u/q? | sed "s|$mnt/topics/u/||g")" "the names, from a mount that lives"
