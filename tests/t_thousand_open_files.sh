#!/bin/bash
# A thousand open files, each where it was.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
seq_lines 1 1000 >> "$mnt/topics/t/q0"
python3 - "$mnt/topics/t/q0" << 'END'
import os, sys
q = sys.argv[1]
readers = [os.open(q + "@%d" % i, os.O_RDONLY) for i in range(500)]
writers = [os.open(q, os.O_WRONLY | os.O_APPEND) for i in range(500)]
for i, w in enumerate(writers):
    assert os.write(w, b"from %d\n" % i)
for i, r in enumerate(readers):
    line = os.read(r, 100).split(b"\n")[0]
    assert line == b"line %d" % (i + 1), line
for w in writers:
    os.close(w)
assert os.read(readers[0], 1 << 20).endswith(b"from 499\n")
END
want 1500 "$(wc -l < "$mnt/topics/t/q0")" "lines"
