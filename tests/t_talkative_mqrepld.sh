#!/bin/bash
# An mqrepld that has been taken over does not fill the log: so many lines a second are
# told, errors among them, and that the others are dropped.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

export MQREPLD=$work/mqrepld
cat > "$work/talk.py" << 'END'
import socket, struct, sys, time
SAY, LINES = 9, 5000
link = socket.socket(fileno=3)
link.recv(65536)                        # the configuration
marks = link.recv(65536)
for i in range(LINES):
    level = 4 if i % 2 else 3           # a warning, an error
    link.send(struct.pack("=II", struct.unpack_from("=I", marks)[0], SAY) + bytes(len(marks) - 216) +
              struct.pack("=iI200s", level, 0, b"line %d" % i))
with open(sys.argv[1], "w"):
    pass
while link.recv(65536):
    pass
END
printf '#!/bin/sh\nexec python3 "%s" "%s"\n' "$work/talk.py" "$work/done" > "$MQREPLD"
chmod 755 "$MQREPLD"

SECONDS=0
start_mqfs "$work/store" "$mnt" -o "listenPort=$(free_port),haListen=127.0.0.1"
is_done() { [ -e "$work/done" ]; }
eventually 30 is_done
dropped() { grep -q 'mqrepld says more than 50 lines a second' "$mnt/status/log"; }
eventually 10 dropped
log=$work/mqfs.$daemon_count.log
lines=$(grep -c ': line [0-9]' "$log")
[ "$lines" -gt 0 ] || fail "nothing was told"
[ "$lines" -le $(((SECONDS + 2) * 50)) ] || fail "$lines lines in $SECONDS s"
mkdir "$mnt/topics/t"
echo works >> "$mnt/topics/t/q0"
want works "$(cat "$mnt/topics/t/q0")" "the broker"
