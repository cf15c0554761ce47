#!/bin/bash
# A broker that dies after it has taken or dropped a snapshot, and before it has answered: its
# heir answers that it was done.
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

/* The file $DIES, if it is there, ends the process after a rename to or from "nightly", once. */
int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	int rc = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);

	if ((strcmp(from, "nightly") == 0 || strcmp(to, "nightly") == 0) && unlink(getenv("DIES")) == 0)
		_exit(1);
	return rc;
}
END
# shellcheck disable=SC2086	# words are wanted
$CC -shared -fPIC -o "$work/dies.so" "$work/dies.c"
export DIES=$work/dies
MQFS_WRAP="${MQFS_WRAP:-} env LD_PRELOAD=$work/dies.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"

start_mqfs "$work/store" "$mnt" -o supervise
mkdir "$mnt/topics/t"
echo kept >> "$mnt/topics/t/q0"
before=$(broker_of "$work/store")

: > "$DIES"
mkdir "$mnt/.snapshots/nightly"
[ ! -e "$DIES" ] || fail "the broker did not die when it took the snapshot"
[ -s "$mnt/.snapshots/nightly/commitlog/00000000000000000000" ] || fail "the snapshot is empty"
fails_with EEXIST mkdir "$mnt/.snapshots/nightly"
: > "$DIES"
rmdir "$mnt/.snapshots/nightly"
[ ! -e "$DIES" ] || fail "the broker did not die when it dropped the snapshot"
want '' "$(ls "$mnt/.snapshots")" "the snapshots"
[ "$before" != "$(broker_of "$work/store")" ] || fail "no broker died"
want kept "$(cat "$mnt/topics/t/q0")" "the queue"
stop_mqfs "$mnt"
