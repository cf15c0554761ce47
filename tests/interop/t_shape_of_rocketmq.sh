#!/bin/bash
# mqfs keeps the file sizes of a RocketMQ store, whatever its own settings say, and a clean remount makes no view
# anew, also where the last message of a queue is compressed; the broker goes on with the store.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

packed=$(seq -s, 3000)
start_namesrv
start_broker m
rocketmq <<END
topic 127.0.0.1:${port[m]} Orders 2
batch Orders 0 150 of small files
send Orders 1 - k1 - $packed
transaction Orders committed
END
stop_broker m

sizes() { (cd "$work/m" && stat -c %s commitlog/* consumequeue/Orders/0/* index/* | sort -u | xargs); }
sizes > "$work/sizes"
want 2 "$(find "$work/m/consumequeue/Orders/0" -type f | wc -l)" "files of a queue, so they are small"

# Without a word of sizes.
start_mqfs "$work/m" "$mnt" -o brokerName=interop
grep -q 'consume queue files of this store have 2000 bytes' "$mnt/status/log" || fail "it does not say which sizes it keeps"
want "$packed" "$(head -n 1 "$mnt/topics/Orders/q1")" "the compressed message"
grep -h '"body":"committed"' "$mnt"/topics/Orders/{q0,q1}:format=json > "$work/json"
grep -q '"preparedTransactionOffset":[1-9]' "$work/json" || fail "json does not show where the half message is: $(cat "$work/json")"
stop_mqfs "$mnt"
want "$(cat "$work/sizes")" "$(sizes)" "the sizes of files after the first mount"
(cd "$work/m" && find consumequeue byteindex -type f -printf '%i %P\n' | sort) > "$work/views"

start_mqfs "$work/m" "$mnt" -o brokerName=interop
if grep 'made anew' "$mnt/status/log" >&9; then fail "a clean remount makes the views anew"; fi
(cd "$work/m" && find consumequeue byteindex -type f -printf '%i %P\n' | sort) | diff "$work/views" - >&9 ||
	fail "a clean remount makes files of views anew"
seq_lines 1 120 'from mqfs' >> "$mnt/topics/Orders/q0"
stop_mqfs "$mnt"
sound_store m

start_broker m
rocketmq <<END
send Orders 1 - - - the last one
consume All Orders * 273
END
want 273 "$(answer 2 | wc -l)" "what RocketMQ's consumer gets"
want "$(seq_lines 1 150 'of small files'; seq_lines 1 120 'from mqfs')" \
	"$(bodies 2 | grep -E 'of small files|from mqfs')" "of both"
stop_broker m

if [ "$rocketmq_version" = "$oldest" ]; then exit 0; fi

# RocketMQ 5 can have its log in several directories: refused by name, and with none of them named; nothing changes.
refused() { ! timeout 60 mount.mqfs -f "$work/several" "$mnt" -o "brokerName=interop,$1" 2> "$work/said" >&2; }
start_broker several storePathCommitLog="$work/a,$work/b"
rocketmq <<END
topic 127.0.0.1:${port[several]} Many 1
$(for _ in $(seq 8); do echo "batch Many 0 20 of several directories $(printf '%01000d' 7)"; done)
END
test -s "$work/a/00000000000000000000" -a -s "$work/b/00000000000000065536" || fail "the log is not in two directories"
stop_broker several
sums() { (cd "$work" && find a b several/consumequeue -type f -exec sha256sum {} + | sort -k 2); }
sums > "$work/before"
refused "conf=$work/several.conf" || fail "one of several directories is taken for the log"
grep -q 'storePathCommitLog.*one directory' "$work/said" || fail "it does not say why: $(cat "$work/said")"
refused "$mqfs_small" || fail "a store without its log is mounted"
grep -q 'no commit log.*storePathCommitLog' "$work/said" || fail "it does not say why: $(cat "$work/said")"
sums | diff "$work/before" - >&9 || fail "a refused mount has changed something"
