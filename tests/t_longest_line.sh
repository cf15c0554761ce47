#!/bin/bash
# A line of maxMessageSize goes through; a longer one is EMSGSIZE and leaves nothing.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
line() { head -c "$1" /dev/zero | tr '\0' "$2"; echo; }

line 4194304 a > "$work/longest"
cat "$work/longest" >> "$q"
cat "$q" > "$work/got.longest"
want_same "$work/longest" "$work/got.longest" "a line of 4 MiB"

{ echo before; line 4194305 b; echo after; } > "$work/too-long"
fails_with EMSGSIZE dd if="$work/too-long" of="$q" oflag=append conv=notrunc bs=1M
want 0 "$(tail -c +4194306 "$q" | grep -c b$ || true)" "lines that end in b"
want 'before' "$(tail -c +4194306 "$q" | grep -v '^after' | head -c 100)" "what a line too long leaves"

# A writer that takes a short count for all of it hears it from close(2), unless it has gone on.
cat > "$work/careless.py" << 'END'
import os, sys
for more in ("", "more"):
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"c" * 5000000 + b"\n")
    if more:
        os.write(fd, b"c\n" * 100)     # refused or not, the line after it is one
        os.write(fd, b"more\n")
    try:
        os.close(fd)
        print(more)
    except OSError as why:
        print(why.strerror)
END
want $'Message too long\nmore' "$(python3 "$work/careless.py" "$q")" "what close says"
grep -q 'the last message was over maxMessageSize (4194304 bytes) and is not stored' "$mnt/status/log" ||
	fail "the log does not say it"
want more "$(tail -n 1 "$q")" "the line after it"

line 1000000 c | dd of="$q" oflag=append conv=notrunc bs=777 status=none
want 1000001 "$(tail -n 1 "$q" | wc -c)" "a long line in small writes"

stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt" -o maxMessageSize=10
echo 1234567890 >> "$q"
fails_with EMSGSIZE bash -c "echo 12345678901 >> '$q'"
want 1234567890 "$(tail -n 1 "$q")" "the last message"
