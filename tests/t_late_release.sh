#!/bin/bash
# What a close brings about is there for the next command, also when the thread that has taken the kernel's RELEASE
# gets no CPU for a while.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool "${CC%% *}"

# The thread that takes a RELEASE goes on 200 ms later, and does not sleep meanwhile.
cat > "$work/late.c" << 'END'
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

ssize_t
read(int fd, void *buf, size_t size)
{
	ssize_t n = syscall(SYS_read, fd, buf, size);
	const uint32_t *head = buf;	/* length, opcode */
	int64_t until;

	if (n == 64 && head[0] == 64 && head[1] == 18)
		for (until = now_ms() + 200; now_ms() < until; )
			;
	return n;
}
END
# shellcheck disable=SC2086	# words are wanted
$CC -shared -fPIC -o "$work/late.so" "$work/late.c"
MQFS_WRAP="${MQFS_WRAP:-} env LD_PRELOAD=$work/late.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"

mnt=$work/mnt
start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
topic=$mnt/topics/t
consumed=$mnt/groups/g/t/q1

for i in 1 2 3; do
	printf 'no newline' >> "$topic/q0"
	want "$i" "$(wc -l < "$topic/q0")" "messages without newline"
done

echo one >> "$topic/q1"
for i in 1 2 3; do
	read -r line <> "$consumed" || fail "the consumer before still has the queue"
	want one "$line" "what the next consumer reads"
done

echo two >> "$topic/q2"
for i in 1 2 3; do
	flock -n "$topic/q2" true || fail "a lock that was released is still held"
done
