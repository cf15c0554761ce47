#!/bin/bash
# A SYNC_MASTER's write waits for a slave and for no disk; with SYNC_FLUSH, O_DSYNC or fsync
# it waits for both.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool "${CC%% *}"

cat > "$work/slow.c" << 'END'
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* While the file $SLOW is there, the disk does not answer. */
int
fdatasync(int fd)
{
	while (access(getenv("SLOW"), F_OK) == 0)
		usleep(1000);
	return (int)syscall(SYS_fdatasync, fd);
}
END
# shellcheck disable=SC2086	# words are wanted
$CC -shared -fPIC -o "$work/slow.so" "$work/slow.c"
export SLOW=$work/slow

port=$(free_port)
master=$work/master slave=$work/slave
mkdir "$master" "$slave"
plain=${MQFS_WRAP:-}
MQFS_WRAP="$plain env LD_PRELOAD=$work/slow.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"
start_mqfs "$work/m" "$master" -o "role=SYNC_MASTER,haListen=127.0.0.1,listenPort=$port,slaveTimeout=${patience}000"
MQFS_WRAP=$plain
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none"
eventually 20 mkdir -p "$master/topics/t"
q=$master/topics/t/q0

: > "$SLOW"
undo rm -f "$SLOW"
for i in $(seq 20); do
	echo "order $i" >> "$q"
done
want "order 20" "$(tail -n 1 "$slave/topics/t/q0")" "the slave has what was answered"

echo 300 > "$master/config/slaveTimeout"
fails_with ETIMEDOUT python3 -c 'import os, sys
os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_DSYNC), b"synced\n")' "$q"
fails_with ETIMEDOUT python3 -c 'import os, sys
os.fsync(os.open(sys.argv[1], os.O_RDONLY))' "$q"
echo SYNC_FLUSH > "$master/config/flushDiskType"
fails_with ETIMEDOUT bash -c "echo flushed >> '$q'"
echo "${patience}000" > "$master/config/slaveTimeout"
grep -q "did not reach the disk in time" "$master/status/log" || fail "status/log does not say what is slow"
rm "$SLOW"
echo after >> "$q"
want after "$(tail -n 1 "$slave/topics/t/q0")" "the slave's last message"
