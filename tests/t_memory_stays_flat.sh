#!/bin/bash
# What comes and goes leaves nothing behind: memory, open files, threads.
#
# MQFS_TIMES=N   N times as much of everything
. "$top_builddir/tests/functions.sh"
requires_fuse

times=${MQFS_TIMES:-1}
start_mqfs "$work/store" "$mnt" -o flushIntervalConsumeQueue=50
pid=${daemons[$mnt]}
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
seq_lines 1 100 >> "$mnt/topics/t/q0"

come_and_go() {
	timeout 200 python3 - "$mnt" "$times" "$1" << 'END'
import os, sys
mnt, times, round = sys.argv[1], int(sys.argv[2]), sys.argv[3]
queue = mnt + "/topics/t/q0"

def quietly(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        pass

for i in range(150 * times):
    name = "%s-%d" % (round, i)
    os.mkdir(mnt + "/topics/" + name)
    os.mkdir(mnt + "/groups/" + name)
    os.mkdir(mnt + "/groups/" + name + "/t")
    os.rmdir(mnt + "/groups/" + name + "/t")
    os.rmdir(mnt + "/groups/" + name)
    os.rmdir(mnt + "/topics/" + name)
for i in range(1000 * times):
    with open(queue, "rb", buffering=0) as f:
        f.read(100)
    with open(mnt + "/status/version", "rb", buffering=0) as f:
        f.read(100)
for i in range(10000 * times):
    quietly(os.stat, "%s@%s%d..%d" % (queue, round, i, 10**8))
    quietly(os.stat, "%s/topics/%s-none-%d" % (mnt, round, i))
for i in range(2000 * times):
    with open(queue, "ab", buffering=0) as f:
        f.write(b"message %d\n" % i)
END
}

rss_kib() { awk '/^RssAnon:/ { print $2 }' "/proc/$pid/status"; }
fds() { find "/proc/$pid/fd" -mindepth 1 | wc -l; }
threads() { find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l; }
let_go() { echo 2 > /proc/sys/vm/drop_caches 2> /dev/null || true; }

come_and_go 1		# caches and allocators get their size
let_go
before=$(rss_kib) fds=$(fds) threads=$(threads)
for round in 2 3 4; do
	come_and_go $round
	let_go
	say "round $round: RssAnon $(rss_kib) KiB"
done
say "RssAnon: $before KiB, then $(rss_kib) KiB; $fds files, then $(fds)"
grown=$(($(rss_kib) - before))
if keeps_freed; then grown=0; fi
if [ $grown -gt $((1024 + 512 * times)) ]; then fail "it has grown by $grown KiB"; fi
if [ "$(fds)" -gt $((fds + 4)) ]; then fail "files stay open: $fds, then $(fds)"; fi
want "$threads" "$(threads)" "threads"
