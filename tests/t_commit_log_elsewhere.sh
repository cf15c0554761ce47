#!/bin/bash
# storePathCommitLog is served: mount, read-only mount, fsck.mqfs, mqdump, snapshots and a supervised
# broker that was killed find the log where it lies; without it a mount is refused and removes nothing.
. "$top_builddir/tests/functions.sh"
requires_fuse

store=$work/store log=$work/elsewhere/log q=$mnt/topics/t/q0
conf=$work/broker.conf
printf '%s\n' brokerName=a namesrvAddr= "storePathRootDir=$store" "storePathCommitLog=$log" \
	"storePathConsumeQueue=$work/nobody/reads/this" mappedFileSizeCommitLog=1048576 > "$conf"

# What a RocketMQ broker leaves: a log elsewhere, queues in the store, no tables of ours.
start_mqfs "$store" "$mnt" -o mappedFileSizeCommitLog=1048576,maxMessageSize=65536
mkdir "$mnt/topics/t"
seq_lines 1 1000 >> "$q"
stop_mqfs "$mnt"
mkdir -p "${log%/*}"
mv "$store/commitlog" "$log"
rm -r "$store/lmdb" "$store/byteindex"
views() { (cd "$store" && find consumequeue index -type f -exec sha256sum {} + | sort -k 2); }
views > "$work/before"

refused() { ! timeout 20 mount.mqfs -f "$@" 2> "$work/said"; }
refused "$store" "$mnt" -o mappedFileSizeCommitLog=1048576 || fail "it is mounted without its log"
grep -q 'no commit log.*storePathCommitLog' "$work/said" || fail "it does not say why: $(cat "$work/said")"
views | diff "$work/before" - >&9 || fail "a refused mount has changed the views"
refused "$mnt" -o "conf=$conf,storePathCommitLog=$work/a\\,$work/b" || fail "two directories are taken for one"
grep -q 'storePathCommitLog.*one directory' "$work/said" || fail "it does not say why: $(cat "$work/said")"

start_mqfs "$store" "$mnt" -o "ro,conf=$conf"
want "$(seq_lines 1 1000)" "$(cat "$q")" "read-only"
stop_mqfs "$mnt"
[ ! -e "$store/commitlog/." ] || [ -z "$(ls "$store/commitlog")" ] || fail "a read-only mount has made a log"

fsck.mqfs -n -o "storePathCommitLog=$log" "$store" > "$work/fsck" 2>&1 || [ $? -lt 8 ]
grep -q "1002 records\|records, log from 0" "$work/fsck"

start_mqfs "$store" "$mnt" -o "conf=$conf,supervise"
want "$(seq_lines 1 1000)" "$(cat "$q")" "mounted"
want 00000000000000000000 "$(ls "$mnt/commitlog")" "commitlog/"
seq_lines 1001 2000 >> "$q"
mkdir "$mnt/.snapshots/s"
cp -r "$mnt/.snapshots/s" "$work/copy"

kill_broker "$store" "$mnt"
echo 'after its death' >> "$q"
stop_mqfs "$mnt"

# From now on the store says itself where its log is.
fsck.mqfs -n "$store" > "$work/fsck" || fail "$(cat "$work/fsck")"
want 1 "$(mqdump -j -t t "$store" | grep -c 'after its death')" "mqdump of the store"
want 1 "$(mqdump -j -t t "$log" | grep -c 'after its death')" "mqdump of the log"
start_mqfs "$store" "$mnt"
want "$(seq_lines 1 2000; echo 'after its death')" "$(cat "$q")" "mounted without being told"
stop_mqfs "$mnt"
want "" "$(find "$store/commitlog/" -type f ! -name '0*')" "beside the segments, where RocketMQ wants nothing else"

# A copy of a snapshot has a log of its own, whatever the old file says.
fsck.mqfs -n "$work/copy" >&9
refused "$work/copy" "$mnt" -o "conf=$conf" || fail "the copy is mounted with the original's log"
start_mqfs "$work/copy" "$mnt" -o "conf=$conf,storePathCommitLog="
want "$(seq_lines 1 2000)" "$(cat "$q")" "the restored snapshot"
stop_mqfs "$mnt"
