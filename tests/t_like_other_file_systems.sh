#!/bin/bash
# Modes, times, long names, file handles and remounts are what Unix says they are.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_root
chmod 755 "$work"

start_mqfs "$work/store" "$mnt"
t=$mnt/topics/t
mkdir "$t"
logged() { grep -qF -- "$1" "$mnt/status/log" || fail "status/log does not say '$1'"; }

# A setgid directory hands its group on; files have no setuid and setgid bits.
chgrp 4242 "$mnt/topics"
chmod 2777 "$mnt/topics"
as_user mkdir "$mnt/topics/shared"
echo true > "$mnt/config/autoCreateTopicEnable"
echo x >> "$mnt/topics/made_by_appending/q0"
echo false > "$mnt/config/autoCreateTopicEnable"
want "4242:2755 4242:2755" "$(stat -c %g:%a "$mnt/topics/shared" "$mnt/topics/made_by_appending" | xargs)" "topics in a setgid directory"
want 4242 "$(stat -c %g "$mnt/topics/shared/q0")" "the group of a queue there"
chmod 6644 "$t/q0"
want 644 "$(stat -c %a "$t/q0")" "a queue after chmod 6644"

# The time of a queue is that of its last message.
echo x >> "$t/q0"
touch "$t/q0"
fails_with EPERM touch -d '2001-01-01' "$t/q0"
logged "topics/t/q0: times cannot be set"

# Names that are too long, not wrong.
long=$(printf 'x%.0s' {1..256})
for name in "$t/$long" "$t/q0@$long" "$mnt/topics/$long" "$mnt/messages/$long"; do
	if ls "$name" 2> "$work/said"; then fail "$name is there"; fi
	grep -q 'File name too long' "$work/said" || fail "not too long: $(cat "$work/said")"
done

# A file handle outlives the kernel's memory of its inode, and a broker.
cat > "$work/handles.py" << 'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_char * 128)]
def take(path):
    h, mount_id = Handle(bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(h), ctypes.byref(mount_id), 0) != 0:
        sys.exit("%s: name_to_handle_at: %s" % (path, os.strerror(ctypes.get_errno())))
    return h
root, paths = sys.argv[1], sys.argv[2:]
handles = [take(p) for p in paths]
with open("/proc/sys/vm/drop_caches", "w") as f:
    f.write("2")
where = os.open(root, os.O_RDONLY)
for path, h in zip(paths, handles):
    fd = libc.open_by_handle_at(where, ctypes.byref(h), os.O_RDONLY)
    if fd < 0:
        sys.exit("%s: open_by_handle_at: %s" % (path, os.strerror(ctypes.get_errno())))
    if os.fstat(fd).st_ino != os.stat(path).st_ino:
        sys.exit("%s: another file" % path)
    os.close(fd)
END
mkdir -p "$mnt/groups/g/t"
python3 "$work/handles.py" "$mnt" "$t/q0" "$t" "$mnt/groups/g/t" "$mnt/groups/g/t/q0.lag" "$mnt/consumequeue/t/0" \
	"$mnt/status/role" || fail "a file handle went stale"
want topics "$(cd "$t/.." && basename "$PWD")" ".."

# remount: ro and back, and a clear word for what it cannot do.
exec 3>> "$t/q0"
if mount.mqfs "$work/store" "$mnt" -o remount,ro 2> "$work/said"; then fail "remounted under a writer"; fi
grep -q 'a file is open for writing' "$work/said" || fail "remount says: $(cat "$work/said")"
exec 3>&-
mount.mqfs "$work/store" "$mnt" -o remount,ro
fails_with EROFS bash -c "echo x >> '$t/q0'"
want x "$(tail -n 1 "$t/q0")" "reading what is mounted ro"
mount.mqfs "$work/store" "$mnt" -o rw,remount
echo again >> "$t/q0"
if mount.mqfs "$work/store" "$mnt" -o remount,flushDiskType=SYNC_FLUSH 2> "$work/said"; then fail "a setting by remount"; fi
grep -q 'flushDiskType is ASYNC_FLUSH: write it to config/' "$work/said" || fail "remount says: $(cat "$work/said")"
mkdir "$work/nothing"
if mount.mqfs "$work/store" "$work/nothing" -o remount,ro 2> "$work/said"; then fail "nothing was remounted"; fi
grep -q 'no mqfs is mounted there' "$work/said" || fail "remount says: $(cat "$work/said")"
stop_mqfs "$mnt"

# Options of SELinux, and those that mean nothing here.
start_mqfs "$work/store" "$mnt" -o 'ro,nosymfollow,context=system_u:object_r:mnt_t:s0,rootcontext=system_u:object_r:mnt_t:s0:c1\,c2'
if mount.mqfs "$work/store" "$mnt" -o remount,rw 2> "$work/said"; then fail "a read-only store was made writable"; fi
grep -q 'was opened read-only' "$work/said" || fail "remount says: $(cat "$work/said")"
stop_mqfs "$mnt"

# A port that is in use is said by a mount in the background.
port=$(free_port)
start_mqfs "$work/store" "$mnt" -o "haListen=127.0.0.1,listenPort=$port"
mkdir "$work/other"
undo let_go_of "$work/other"
eventually 10 is_listened_to $((port + 1))
mount.mqfs "$work/other_store" "$work/other" -o "haListen=127.0.0.1,listenPort=$port" 2> "$work/said"
grep -qE 'warning: .*(Address already in use|in use)' "$work/said" || fail "the mount says: $(cat "$work/said")"
ls "$work/other/topics" > /dev/null
