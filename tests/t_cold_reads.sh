#!/bin/bash
# Readers that wait for a disk, more than there are CPUs, hold up no producer and no other reader.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool "${CC%% *}"

# Reads of the first segment find nothing in the page cache, and get no answer while $COLD is there.
cat > "$work/cold.c" << 'END'
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int
is_cold(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	return strstr(path, "/commitlog/00000000000000000000") && access(getenv("COLD"), F_OK) == 0;
}

ssize_t
preadv2(int fd, const struct iovec *iov, int n, off64_t at, int flags)
{
	if ((flags & RWF_NOWAIT) && is_cold(fd)) {
		errno = EAGAIN;
		return -1;
	}
	return syscall(SYS_preadv2, fd, iov, n, at, 0L, flags);
}

ssize_t preadv64v2(int, const struct iovec *, int, off64_t, int) __attribute__((alias("preadv2")));

ssize_t
pread(int fd, void *buf, size_t len, off64_t at)
{
	while (is_cold(fd))
		usleep(1000);
	return syscall(SYS_pread64, fd, buf, len, at);
}

ssize_t pread64(int, void *, size_t, off64_t) __attribute__((alias("pread")));

/* Of any mapping: there are none but of the log. */
int
mincore(void *at, size_t len, unsigned char *cached)
{
	if (access(getenv("COLD"), F_OK) != 0)
		return (int)syscall(SYS_mincore, at, len, cached);
	memset(cached, 0, (len + (size_t)getpagesize() - 1) / (size_t)getpagesize());
	return 0;
}
END
# shellcheck disable=SC2086	# words are wanted
$CC -shared -fPIC -o "$work/cold.so" "$work/cold.c"
export COLD=$work/cold
MQFS_WRAP="${MQFS_WRAP:-} env LD_PRELOAD=$work/cold.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"

mnt=$work/mnt
start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=1048576,maxMessageSize=65536
mkdir "$mnt/topics/t" "$mnt/topics/new"
head -c 1500000 /dev/zero | tr '\0' x | fold -w 999 | sed 's/$/ /' >> "$mnt/topics/t/q0"
: > "$COLD"
undo rm -f "$COLD"

readers=()
for i in $(seq $(($(nproc) + 2))); do
	head -n 1 "$mnt/topics/t/q0" > "$work/got.$i" &
	readers+=($!)
done
undo kill_jobs
wait_for_disk() {
	for reader in "${readers[@]}"; do is_waiting "$reader" || return 1; done
}
eventually 10 wait_for_disk

for i in $(seq 50); do
	timeout 60 tee -a "$mnt/topics/new/q0" <<< "$i" > "$work/tee" || fail "a producer waits for somebody else's disk"
done
want "$(seq 50)" "$(timeout 60 cat "$mnt/topics/new/q0")" "what another reader gets meanwhile"

rm "$COLD"
for reader in "${readers[@]}"; do wait "$reader"; done
for i in "${!readers[@]}"; do
	want "$(head -n 1 "$mnt/topics/t/q0")" "$(cat "$work/got.$((i + 1))")" "what a reader of the cold segment gets"
done
