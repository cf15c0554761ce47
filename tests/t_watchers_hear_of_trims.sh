#!/bin/bash
# inotify watchers of a queue hear that its head has moved: the name is another file now.
. "$top_builddir/tests/functions.sh"
requires_fuse

cat > "$work/watch.py" << 'END'
import ctypes, os, select, struct, sys
IN_DELETE_SELF = 0x400
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.inotify_init1(0)
libc.inotify_add_watch(fd, sys.argv[1].encode(), IN_DELETE_SELF)
print("watching", flush=True)
if not select.select([fd], [], [], float(sys.argv[2]))[0]:
    sys.exit("nothing was heard")
if not struct.unpack_from("iIII", os.read(fd, 4096))[1] & IN_DELETE_SELF:
    sys.exit("something else was heard")
END

# watched MESSAGE_NUMBER [FILE]   trim to it, with a watcher there
watched() {
	local watcher
	: > "$work/out"
	python3 "$work/watch.py" "$mnt/topics/t/${2:-q0}" "$patience" > "$work/out" &
	watcher=$!
	eventually 10 grep -q watching "$work/out"
	echo "trim q0 $1" > "$mnt/topics/t/ctl"
	wait_for "$watcher" || fail "watchers did not hear of trim $1"
}

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
seq_lines 1 10 >> "$mnt/topics/t/q0"
watched 2
watched 4
want 6 "$(wc -l < "$mnt/topics/t/q0")" "lines of the queue"

stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
watched 7

# Of a part, when its last message has gone.
seq_lines 11 70000 >> "$mnt/topics/t/q0"
watched 65536 q0.parts/00000000000000000000
