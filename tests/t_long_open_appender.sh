#!/bin/bash
# A logger that keeps its file open for days, writes parts of lines, and reopens on SIGHUP.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/log"
python3 - "$mnt/topics/log/q0" << 'END'
import os, sys
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC

def reopen():
    return os.open(sys.argv[1], FLAGS, 0o644)

log, other = reopen(), reopen()
for i in range(300):
    line = b"Nov 21 10:00:00 host app[42]: event %d\n" % i
    assert os.writev(log, [line[:17], line[17:]]) == len(line)
    if i % 100 == 99:
        os.fsync(log)
        os.close(log)
        log = reopen()
    os.write(other, b"other\n")
END
want "$(seq 0 299)" "$(sed -n 's/.*app\[42\]: event //p' "$mnt/topics/log/q0")" "events in order"
want 300 "$(grep -c '^other$' "$mnt/topics/log/q0")" "another logger's"
want 600 "$(wc -l < "$mnt/topics/log/q0")" "nothing else"
