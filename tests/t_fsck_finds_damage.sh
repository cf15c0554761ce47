#!/bin/bash
# Bits are flipped in every file of a store, files are cut, emptied, filled, removed: fsck.mqfs finds
# what matters, never crashes, and repairs what the log can bring again.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

# a long run: MQFS_DAMAGES=5000 MQFS_SEED=7 ./run tests/t_fsck_finds_damage.sh
damages=${MQFS_DAMAGES:-120}
seed=${MQFS_SEED:-1}

options=mappedFileSizeCommitLog=65536,maxMessageSize=32000,mappedFileSizeConsumeQueue=2000
start_mqfs "$work/store" "$mnt" -o "$options,maxHashSlotNum=100,maxIndexNum=400"
mkdir "$mnt/topics/t" "$mnt/topics/j" "$mnt/topics/gone" "$mnt/groups/g" "$mnt/groups/g/t"
rmdir "$mnt/topics/gone"
seq_lines 1 1500 >> "$mnt/topics/t/q0"
for i in $(seq 300); do
	echo "{\"body\":\"number $i\",\"tags\":\"T\",\"keys\":\"k$i all\",\"properties\":{\"P\":\"x y\"}}"
done >> "$mnt/topics/j/q3:format=json"
echo 100 > "$mnt/groups/g/t/q0.offset"
echo 'trim q0 10' > "$mnt/topics/t/ctl"
chmod 600 "$mnt/topics/j/q3"
stop_mqfs "$mnt"

python3 "$top_srcdir/tests/lab/damage.py" find "$work/store" "$work/bad" "$seed" "$damages" >&9
python3 "$top_srcdir/tests/lab/damage.py" repair "$work/store" "$work/bad" "$seed" $((damages / 2)) >&9
