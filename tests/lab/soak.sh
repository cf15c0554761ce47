#!/bin/bash
# Everything at once, for a while: memory, open files, threads and LMDB's readers stay what they were.
#
#	--seconds N      so long, half of it measured against the quarter before
. "$top_srcdir/tests/lab/kit.sh"
requires_fuse
requires_tool python3

lab_options "seconds=6 seed=$RANDOM" "seconds=600" "$@"
start_mqfs "$work/store" "$mnt" -o "mappedFileSizeCommitLog=4194304,mappedFileSizeConsumeQueue=20000,haListen=none" \
	-o maxMessageSize=65536,flushIntervalConsumeQueue=100,flushConsumerOffsetInterval=100
pid=${daemons[$mnt]}
new_load "$mnt"
mkdir "$mnt/topics/churn"
seq_lines 1 1000 >> "$mnt/topics/churn/q0"
sync "$mnt/topics/churn/q0"
: > "$work/stop.not"

# --- work ---

# Opens, reads, polls and closes, by names that are new each time.
churn() {
	python3 - "$mnt" "$work/stop.not" << 'END'
import os, select, sys
mnt, going = sys.argv[1:]
queue = mnt + "/topics/churn/q0"
turn = 0
while os.path.exists(going):
    turn += 1
    at = turn * 7919 % 990
    with open("%s@%d..%d" % (queue, at, at + 10), "rb", buffering=0) as f:
        assert f.read(100000).count(b"\n") == 10, turn
    with open("%s@%d:format=json" % (queue, at), "rb", buffering=0) as f:
        f.read(4000)
    follower = os.open(queue + "@last:follow", os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(follower, select.POLLIN)
    poll.poll(1)
    os.close(follower)
    for name in ("status/status.json", "README", "config/brokerRole", "topics/churn/none-%d" % turn):
        if os.path.exists(os.path.join(mnt, name)):
            with open(os.path.join(mnt, name), "rb") as f:
                f.read()
    os.listdir(mnt + "/topics/churn")
    topic, group = ("%s/%s/turn-%d" % (mnt, kind, turn % 50) for kind in ("topics", "groups"))
    os.mkdir(topic)
    os.mkdir(group)
    os.mkdir(group + "/churn")
    os.rmdir(group + "/churn")
    os.rmdir(group)
    os.rmdir(topic)
END
}

# What reads and lists files for a living; each runs as long as it is told.
tools() {
	mkdir "$mnt/topics/fio"
	while [ -e "$work/stop.not" ]; do
		if command -v fio > /dev/null; then
			fio --name=read --filename="$mnt/topics/churn/q0" --readonly --rw=randread --bs=1k --size=8k \
				--numjobs=2 --thread --time_based --runtime=2 --output="$work/fio.out" || return 1
			fio --name=append --filename="$mnt/topics/fio/q0" --rw=write --bs=4k --size=256k --thread \
				--file_append=1 --fallocate=none --end_fsync=1 --output="$work/fio.out" || return 1
		fi
		# (not stress-ng: what of it suits these files looks through all others of the machine, too)
		find "$mnt" -ls > "$work/find.out" 2>&1 || true
		sleep 0.1
	done
}

# --- what must stay ---

rss_kib() { awk '/^RssAnon:/ { print $2 }' "/proc/$pid/status"; }
# But for the files of the store that are kept open, some hundreds at most, while they are there.
kept_open="$work/store/(commitlog|consumequeue|byteindex|index)/[^ ]*\$"
fds() { { find "/proc/$pid/fd" -mindepth 1 -printf '%l\n' 2> /dev/null || true; } | grep -cvE "^$kept_open" || true; }
threads() { find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l; }
readers() {
	if ! command -v mdb_stat > /dev/null; then echo 0; return; fi
	mdb_stat -r "$work/store/lmdb" | grep -cE '^ *[0-9]+ ' || true
}

# Sets most_kib, most_fds, most_threads, most_readers to the most of some looks.
look_for() {
	local end=$((SECONDS + $1)) n name
	most_kib=0 most_fds=0 most_threads=0 most_readers=0
	while [ "$SECONDS" -lt $end ]; do
		sleep 0.5
		for name in kib:rss_kib fds:fds threads:threads readers:readers; do
			n=$("${name#*:}")
			declare -n most=most_${name%:*}
			if [ "$n" -gt "$most" ]; then most=$n; fi
		done
	done
	say "at most $most_kib KiB (RssAnon), $most_fds files, $most_threads threads, $most_readers LMDB readers"
}

churn & churner=$!
tools & tooler=$!
# without the maker: names of topics and groups are remembered for ever, as ids are
start_load "$mnt" 1 --seconds 100000 --workers abcdefghs
look_for $((seconds / 4 + 2)) > /dev/null	# things get their size
look_for $((seconds / 4 + 1))
kib=$most_kib fds=$most_fds threads=$most_threads readers=$most_readers
look_for $((seconds / 2 + 1))
rm "$work/stop.not"
stop_load || fail "the load"
wait_for $churner $tooler || { cat "$work/fio.out" >&9; fail "a worker"; }
got=$(judge "$mnt" "$state") || fail "the judge"

# Valgrind and the sanitizers keep what was freed, for a while.
if keeps_freed; then kib=$most_kib; fi
if [ "$most_kib" -gt $((kib + 2048 + kib / 8)) ]; then fail "memory has grown from $kib to $most_kib KiB"; fi
if [ "$most_fds" -gt $((fds + 16)) ]; then fail "files stay open: $fds, then $most_fds"; fi
if [ "$most_threads" -gt $((threads + 4)) ]; then fail "threads: $threads, then $most_threads"; fi
if [ "$most_readers" -gt $((readers + 1)) ]; then fail "LMDB readers: $readers, then $most_readers"; fi
stop_mqfs "$mnt"
fsck_says_clean "$work/store"
sum "$seconds s: $got lines judged; $kib KiB, then $most_kib; $fds files, then $most_fds;" \
	"$threads threads, then $most_threads; $readers LMDB readers, then $most_readers"
