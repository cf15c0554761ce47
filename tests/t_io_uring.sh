#!/bin/bash
# What is written through io_uring is stored once; whoever opens the file with O_DIRECT, or marks the
# operation IOSQE_ASYNC, spares the kernel and the broker more than a hundred polls for each write.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool fio
[ "$(cat /proc/sys/kernel/io_uring_disabled 2> /dev/null || echo 2)" != 2 ] || skip "this kernel has no io_uring"

start_mqfs "$work/store" "$mnt" -d
log=$work/mqfs.1.log
mkdir "$mnt/topics/t"
echo 'format = raw' > "$mnt/topics/t/config"

# polls QUEUE [OPTION...]   how often the broker was polled while ten messages were written
polls() {
	local q=$mnt/topics/t/$1 before
	shift
	before=$(grep -ac 'opcode: POLL' "$log" || true)
	timeout "$patience" fio --name=writer --filename="$q" --ioengine=io_uring --rw=write --bs=4k --size=40k \
		--file_append=1 --fallocate=none --buffer_pattern='"message "' "$@" > "$work/fio" 2>&1 || { cat "$work/fio" >&9; return 1; }
	echo $(($(grep -ac 'opcode: POLL' "$log") - before))
}

plain=$(polls q0)
direct=$(polls q1 --direct=1)
async=$(polls q2 --force_async=1)
say "polls for ten writes: $plain; with O_DIRECT $direct; with IOSQE_ASYNC $async"
for q in q0 q1 q2; do
	want 10 "$(xattr max_offset "$mnt/topics/t/$q")" "messages of $q"
	want 40960 "$(grep -o 'message ' "$mnt/topics/t/$q" | tr -d '\n' | wc -c)" "bytes of $q that were meant"
done
[ "$direct" -le 20 ] || fail "$direct polls for ten writes with O_DIRECT"
[ "$async" -le 30 ] || fail "$async polls for ten writes with IOSQE_ASYNC"

# And read.
timeout "$patience" fio --name=reader --filename="$mnt/topics/t/q0" --ioengine=io_uring --rw=read --bs=4k --size=40k \
	--readonly --verify=pattern --verify_pattern='"message "' --verify_only=0 --do_verify=1 > "$work/fio" 2>&1 ||
	{ cat "$work/fio" >&9; fail "reading through io_uring"; }
