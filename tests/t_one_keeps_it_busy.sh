#!/bin/bash
# Whoever else calls is served, too, while one program sends request after request; and
# the broker ends while it does.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"

# until its file is gone
cat > "$work/busy.py" << 'END'
import os, sys
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
try:
    while os.path.exists(sys.argv[2]):
        for _ in range(1000):
            os.write(out, b"x" * 127 + b"\n")
except OSError as why:
    print(why.strerror)
END
busy() {
	touch "$work/goes_on"
	python3 "$work/busy.py" "$mnt/topics/t/q0" "$work/goes_on" &
	busy=$!
	eventually 10 has_grown
}
has_grown() {
	[ "$(wc -c < "$mnt/topics/t/q0")" -gt "$((size + 100000))" ]
}

size=0
busy
python3 - "$mnt" << 'END'
import os, random, sys
random.seed(7)
mnt = sys.argv[1]
queue = os.open(mnt + "/topics/t/q1", os.O_WRONLY | os.O_APPEND)
for i in range(100):                # calls of another program, at any moment of the first one's
    for _ in range(random.randrange(20)):
        os.close(os.open(mnt + "/README", os.O_RDONLY))
    os.write(queue, b"line %d\n" % i)
END
want 100 "$(wc -l < "$mnt/topics/t/q1")" "messages of the other program"

# A line that was left open is stored by its close, which others wait for.
for i in $(seq 20); do
	printf 'no newline' >> "$mnt/topics/t/q2"
	want "$i" "$(wc -l < "$mnt/topics/t/q2")" "messages without newline"
done
rm "$work/goes_on"
wait_for "$busy"

# The end of the mount finds those who stay away, too.
size=$(wc -c < "$mnt/topics/t/q0")
busy
broker=${daemons[$mnt]}
kill -TERM "$broker"
eventually "$patience" is_gone "$broker"
wait_for "$busy"
reap_mqfs "$mnt" "$broker"
