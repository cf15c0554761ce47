#!/bin/bash
# An heir finds out how much of a begun write is stored before others append to that queue: messages
# that are due meanwhile are not taken for the write's own.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool "${CC%% *}"
[ "$(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || skip "Linux is older than 6.9"

cat > "$work/dies.c" << 'END'
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The file $DIES, if it is there, ends the process instead of a write that contains "begun", once, and
 * some time later: the queue is locked meanwhile, and messages for it become due. */
ssize_t
pwrite(int fd, const void *buf, size_t len, off_t at)
{
	if (memmem(buf, len, "begun", 5) && unlink(getenv("DIES")) == 0) {
		sleep(2);
		_exit(1);
	}
	return syscall(SYS_pwrite64, fd, buf, len, at);
}

ssize_t
pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	return pwrite(fd, buf, len, at);
}
END
# shellcheck disable=SC2086	# words are wanted
$CC -shared -fPIC -o "$work/dies.so" "$work/dies.c"
export DIES=$work/dies
MQFS_WRAP="${MQFS_WRAP:-} env LD_PRELOAD=$work/dies.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"

start_mqfs "$work/store" "$mnt" -o supervise
mkdir "$mnt/topics/t"
before=$(broker_of "$work/store")
# Heirs resume the files that were opened last first: before it comes to the writer's, it has much to do.
python3 - "$mnt/topics/t/q" "$DIES" <<'END'
import os, resource, sys
queue, dies = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
writer = os.open(queue + "0", os.O_WRONLY | os.O_APPEND)
others = [os.open(queue + "1", os.O_RDONLY) for i in range(3000)]
later = os.open(queue + "0:delay=1s", os.O_WRONLY | os.O_APPEND)
os.write(later, b"due 1\ndue 2\n")
open(dies, "w").close()
os.write(writer, b"begun\n")
END
[ "$before" != "$(broker_of "$work/store")" ] || fail "no broker died"
all_there() { [ "$(wc -l < "$mnt/topics/t/q0")" -ge 3 ]; }
eventually 20 all_there
want $'begun\ndue 1\ndue 2' "$(sort "$mnt/topics/t/q0")" "the queue"
stop_mqfs "$mnt"
