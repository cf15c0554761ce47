#!/bin/bash
# A queue of 100 million messages in a store of some 20 GiB, served with little
# memory.  By hand (`make scale`): it needs 30 GiB of disk and some minutes.
#
#	MESSAGES=1000000 ./run tests/scale.sh     a smaller one
#	MEMORY_MIB=256                            what the broker may hold, without mapped files
. "$top_builddir/tests/functions.sh"
requires_fuse

messages=${MESSAGES:-100000000}
memory_mib=${MEMORY_MIB:-256}
line=$(printf '%0100d' 0)		# with its newline 101 bytes: some 20 GiB of log
free_gib=$(df --output=avail -BG "$work" | tail -n 1 | tr -dc 0-9)
need_gib=$((messages * 260 / 1000000000 + 1))
[ "$free_gib" -gt $need_gib ] || skip "$need_gib GiB of disk are needed in $work, $free_gib are free"

anonymous_mib() { awk '/^Rss(Anon|Shmem)/ { kib += $2 } END { print int(kib / 1024) }' "/proc/${daemons[$mnt]}/status"; }

# timed WHAT COMMAND...   says how long it took, and what the broker holds
timed() {
	local what=$1 began
	shift
	began=$(date +%s%N)
	"$@"
	say "$what: $((($(date +%s%N) - began) / 1000000)) ms, broker holds $(anonymous_mib) MiB"
	[ "$(anonymous_mib)" -le "$memory_mib" ] || fail "the broker holds more than $memory_mib MiB"
}

fill() { (yes "$line" || true) | head -n "$messages" | cat >> "$mnt/topics/t/q0"; }
restart() {
	kill_mqfs "$mnt"
	start_mqfs "$work/store" "$mnt" -o diskMaxUsedSpaceRatio=95
}
random_reads() {
	python3 - "$mnt/topics/t/q0" "$messages" << 'END'
import os, random, sys
path, messages = sys.argv[1], int(sys.argv[2])
q = os.open(path, os.O_RDONLY)
random.seed(1)
for _ in range(2000):
    at = random.randrange(messages) * 101
    assert os.pread(q, 101, at) == b"0" * 100 + b"\n", at
for _ in range(200):
    n = random.randrange(messages)
    with open("%s@%d..%d" % (path, n, n + 1), "rb") as one:
        assert one.read() == b"0" * 100 + b"\n", n
END
}
read_all() { want $((messages * 101)) "$(dd if="$mnt/topics/t/q0" bs=1M status=none | wc -c)" "bytes read"; }

start_mqfs "$work/store" "$mnt" -o diskMaxUsedSpaceRatio=95
mkdir "$mnt/topics/t"
timed "append $messages messages" fill
want "$messages" "$(xattr max_offset "$mnt/topics/t/q0")" "messages"
timed "restart after SIGKILL" restart
timed "2,200 random reads" random_reads
timed "read all" read_all
timed "tail" want "$line" "$(tail -n 1 "$mnt/topics/t/q0")" "the last message"
du -sh --apparent-size "$work/store" | sed "s|$work/||" >&9
