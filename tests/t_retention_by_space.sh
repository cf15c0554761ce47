#!/bin/bash
# On a small disk a topic that drops is written for ever; one that blocks gets ENOSPC, loses
# nothing, and goes on by itself when its oldest segments are past their time.
. "$top_builddir/tests/functions.sh"
requires_fuse
loop_disk ext4 64M "$work/disk"

opts=mappedFileSizeCommitLog=1048576,maxMessageSize=65536
opts+=,cleanResourceInterval=100,deleteCommitLogFilesInterval=0,flushIntervalConsumeQueue=100
start_mqfs "$work/disk/store" "$mnt" -o "$opts"
mkdir "$mnt/topics/logs" "$mnt/topics/orders"
sed 's/^onFull.*/onFull = drop/' "$mnt/topics/logs/config" > "$work/config"
grep -q drop "$work/config" || echo 'onFull = drop' >> "$work/config"
cat "$work/config" > "$mnt/topics/logs/config"
logs=$mnt/topics/logs/q0 orders=$mnt/topics/orders/q0
q_min() { xattr min_offset "$1"; }

seq_lines 1 10000 "$(printf '%01000d' 0)" > "$work/ten"	# 10 MiB
# It may be refused for a moment, if removing is slower than writing.
timeout 200 python3 - "$logs" "$work/ten" << 'END' >&9
import errno, os, sys, time
with open(sys.argv[2], "rb") as f:
    ten = f.read()
queue = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
refused = 0
for _ in range(10):
    left = memoryview(ten)
    while left:
        try:
            left = left[os.write(queue, left[:1000000]):]
            time.sleep(0.05)
        except OSError as why:
            if why.errno != errno.ENOSPC:
                raise
            refused += 1
            time.sleep(0.1)
print("refused %d times" % refused)
END
want 0 "$(cat "$mnt/status/disk_full")" "disk_full"
[ "$(q_min "$logs")" -gt 30000 ] || fail "it begins at $(q_min "$logs")"
want 100000 "$(xattr max_offset "$logs")" "all was taken"
tail -n 20 "$work/ten" > "$work/last"
tail -n 20 "$logs" > "$work/got"
want_same "$work/last" "$work/got" "the newest"

# from here on there is something that must not be lost: what lies before it goes, no more
is_full_for_good() {
	local rounds
	rounds=$(cat "$mnt/status/retention_rounds")
	eventually 10 rounds_are_beyond $((rounds + 5))
	grep -q 1 "$mnt/status/disk_full"
}
rounds_are_beyond() { [ "$(cat "$mnt/status/retention_rounds")" -gt "$1" ]; }
for _ in $(seq 100); do
	split -l 1000 "$work/ten" --filter="cat >> $orders" 2> "$work/said" || ! is_full_for_good || break
done
grep -qF "${errno_text[ENOSPC]}" "$work/said" || fail "it never got ENOSPC: $(cat "$work/said")"
want 0 "$(q_min "$orders")" "orders begins at"
kept=$(xattr max_offset "$orders")
want "$kept" "$(wc -l < "$orders")" "readers go on"
fails_with ENOSPC bash -c "echo refused >> '$orders'"

touch -c -d '100 hours ago' "$work"/disk/store/commitlog/0*
eventually 20 bash -c "echo 'space again' >> '$orders' 2> /dev/null"
want 'space again' "$(tail -n 1 "$orders")" "by itself"
want "$((kept + 1))" "$(xattr max_offset "$orders")" "nothing half stored"
[ "$(q_min "$orders")" -gt 0 ] || fail "orders still begins at 0"
