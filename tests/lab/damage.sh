#!/bin/bash
# Flipped bits, zeros and cuts at each structure of each file of a store: what a mount shows then is
# right or an error, never something else; no crash; fsck.mqfs -y brings all back but what the log lost.
#
#	--cycles N       so many of the damages, in an order that the seed says
#	--from N         from the N-th on
. "$top_srcdir/tests/lab/kit.sh"
requires_fuse

lab_options "cycles=15 seed=1" "cycles=100000" "$@"
options=mappedFileSizeCommitLog=65536,maxMessageSize=32000,mappedFileSizeConsumeQueue=2000
options+=,maxHashSlotNum=100,maxIndexNum=400,haListen=none
start_mqfs "$work/store" "$mnt" -o "$options"
mkdir "$mnt/topics/t" "$mnt/topics/j" "$mnt/topics/gone" "$mnt/groups/g" "$mnt/groups/g/t"
rmdir "$mnt/topics/gone"
seq_lines 1 700 >> "$mnt/topics/t/q0"
for i in $(seq 300); do
	echo "{\"body\":\"number $i\",\"tags\":\"T\",\"keys\":\"k$i all\",\"properties\":{\"P\":\"x y\"}}"
done >> "$mnt/topics/j/q3:format=json"
mkdir "$mnt/.snapshots/kept"
cat "$mnt/.snapshots/kept/MANIFEST" > "$work/MANIFEST"
seq_lines 701 1200 >> "$mnt/topics/t/q0"
echo 100 > "$mnt/groups/g/t/q0.offset"
echo 'trim q0 10' > "$mnt/topics/t/ctl"
chmod 600 "$mnt/topics/j/q3"
stop_mqfs "$mnt"

python3 "$lab/damage.py" mount "$work/store" "$work/bad" "$options" "$seed" $((from - 1)) "$cycles" \
	> "$work/said" || { head -n 200 "$work/said" >&9; fail "damage that is not told, or not repaired"; }
sum "$(tail -n 1 "$work/said")"
