#!/bin/bash
# A SYNC_MASTER's write waits for a slave, and not for the disk; without one nothing is stored, or (degrade)
# it goes on as if async; a slave that stops answering costs ETIMEDOUT, not the message;
# and no write is acknowledged because its master is none any more.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
fast=haSendHeartbeatInterval=300,haHousekeepingInterval=60000
options=brokerRole=ASYNC_MASTER,haListen=127.0.0.1,listenPort=$port,slaveTimeout=${patience}000,$fast
options+=,flushIntervalCommitLog=3600000,flushIntervalConsumeQueue=3600000,flushConsumerOffsetInterval=3600000

start_mqfs "$work/m" "$master" -o "$options"
mkdir "$master/topics/t"
q=$master/topics/t/q0
echo SYNC_MASTER > "$master/config/brokerRole"
fails_with EHOSTDOWN bash -c "echo nobody >> '$q'"
want "" "$(cat "$q")" "nothing was stored"
echo degrade > "$master/config/onSlaveUnavailable"
echo degraded >> "$q"
echo fail > "$master/config/onSlaveUnavailable"

start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,$fast"
usable() { sh -c "echo probe >> '$q'" 2> /dev/null; }
eventually 20 usable
for i in $(seq 50); do
	echo "order $i" >> "$q"
	want "order $i" "$(tail -n 1 "$slave/topics/t/q0")" "the slave has it when write returns"
done

# It waits for slaves alone: the disk is flushDiskType's, and O_DSYNC's and fsync's.
[ "$(written "$master")" -gt "$(cat "$master/status/flushed")" ] || fail "ASYNC_FLUSH waited for the disk"
printf 'synced\n' | dd of="$q" oflag=append,dsync conv=notrunc status=none
want "$(written "$master")" "$(cat "$master/status/flushed")" "on the disk when a write with O_DSYNC returns"
echo SYNC_FLUSH > "$master/config/flushDiskType"
echo both >> "$q"
want "$(written "$master")" "$(cat "$master/status/flushed")" "on the disk when a write of SYNC_FLUSH returns"
want both "$(tail -n 1 "$slave/topics/t/q0")" "and on the slave"
echo ASYNC_FLUSH > "$master/config/flushDiskType"

# A close that has succeeded holds: the line is stored although slaves are missing by the time when the kernel releases
# the file, which a mapping has kept open.
python3 - "$q" "$master/config/inSyncReplicas" << 'END'
import ctypes, mmap, os, sys

def set_copies(n):
    with open(sys.argv[2], "w") as f:
        f.write("%d\n" % n)

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
os.write(fd, b"closed")
at = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, 0)
assert at and at != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())
os.close(fd)
set_copies(3)
assert libc.munmap(at, 4096) == 0
assert os.pread(os.open(sys.argv[1], os.O_RDONLY), 1 << 20, 0).endswith(b"\nclosed\n")
set_copies(2)
END

# The slave's broker stops in its tracks: the write is stored here, and says that it waited in vain.
pid=$(cat "$slave/status/pid")
echo 1000 > "$master/config/slaveTimeout"
kill -STOP "$pid"
eventually 20 is_stopped "$pid"
fails_with ETIMEDOUT bash -c "echo late >> '$q'"
kill -CONT "$pid"
echo "${patience}000" > "$master/config/slaveTimeout"
want late "$(tail -n 1 "$q")" "it is stored all the same"
eventually 20 grep -q late "$slave/topics/t/q0"
echo after >> "$q"
want after "$(tail -n 1 "$slave/topics/t/q0")" "it goes on"

# The master becomes a slave while a write waits: nobody knows whether the others have it,
# and when they do not it is cut from this log.
kill -STOP "$pid"
eventually 20 is_stopped "$pid"
echo 60000 > "$master/config/slaveTimeout"
exec 5>> "$q"
(echo forsaken >&5) 2> "$work/forsaken" &
writer=$!
stored() { cat "$q" > "$work/now" && grep -qx forsaken "$work/now"; }	# tail would wait for the writer
eventually 10 stored
echo "127.0.0.1:$((port + 6))" > "$master/config/master"
echo SLAVE > "$master/config/brokerRole"
eventually 20 is_gone "$writer"
if wait "$writer"; then fail "a write that no slave has was acknowledged"; fi
grep -qF "${errno_text[ETIMEDOUT]}" "$work/forsaken" || fail "not with ETIMEDOUT: $(cat "$work/forsaken")"
fails_with EROFS python3 -c 'import os; os.fsync(5)'
exec 5>&-
kill -CONT "$pid"
