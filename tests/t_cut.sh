#!/bin/bash
# An old master comes back as a slave: what only it has goes to lost+found, while it
# is mounted and read; who has read of it hears ESTALE, all others notice nothing.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
old=$work/old new=$work/new
mkdir "$old" "$new"
small=mappedFileSizeCommitLog=65536,maxMessageSize=20000,haSendHeartbeatInterval=300,haHousekeepingInterval=3000
old_options=haListen=127.0.0.1,listenPort=$port,$small
new_options=role=slave,master=127.0.0.1:$((port + 1)),haListen=127.0.0.1,listenPort=$((port + 5)),$small

same_end() { [ "$(written "$old")" = "$(written "$new")" ] && [ "$(dispatched "$1")" = "$(written "$1")" ]; }
was_cut() { [ "$(cat "$old/status/cuts")" -ge 1 ] && same_end "$old"; }
same_trees() { diff <(cd "$old" && ls -R topics groups) <(cd "$new" && ls -R topics groups) > "$work/diff"; }

start_mqfs "$work/o" "$old" -o "$old_options"
mkdir "$old/topics/t" "$old/topics/quiet" "$old/groups/g" "$old/groups/g/t"
seq_lines 1 500 >> "$old/topics/t/q0"
seq_lines 1 100 >> "$old/topics/quiet/q0"
start_mqfs "$work/n" "$new" -o "$new_options"
eventually 20 same_end "$new"
common=$(written "$old")
cp -r "$old/commitlog" "$work/common"

# They lose sight of each other, and both go on.
echo ASYNC_MASTER > "$new/config/brokerRole"
mkdir "$old/.snapshots/before"
seq_lines 501 700 >> "$old/topics/t/q0"
seq_lines 1 50 >> "$old/topics/t/q1"
mkdir "$old/topics/only-here" "$old/groups/only-here"
echo mine >> "$old/topics/only-here/q0"
for i in $(seq 40); do printf 'filler %d %01000d\n' "$i" 0; done >> "$old/topics/t/q2"
mkdir "$old/.snapshots/after"
sha256sum "$old"/.snapshots/*/commitlog/* > "$work/sums"
for i in $(seq 501 520); do echo "other $i"; done >> "$new/topics/t/q0"
mkdir "$new/topics/made-there"
want "$(seq_lines 100 160)" "$(cat "$old/topics/t/q0@99..160")" "a range that stays"
cat "$old/topics/t/q0@499..600" "$old"/commitlog/* > "$work/seen"
stat -c %s "$old/topics/t/q0@499..600" > /dev/null

# Open files: within what is common, beyond it, at the end, of what will be gone.
exec 4< "$old/topics/t/q0" 5< "$old/topics/t/q0" 6< "$old/topics/quiet/q0" 7< "$old/topics/only-here/q0"
dd bs="$(seq_lines 1 100 | wc -c)" count=1 status=none <&4 > /dev/null
cat <&5 > /dev/null
IFS= read -r line <&6
head -n 1 "$old/topics/quiet/q1:follow" > "$work/got" &
reader=$!
eventually 5 is_waiting "$reader"

echo "127.0.0.1:$((port + 6))" > "$old/config/master"
echo SLAVE > "$old/config/brokerRole"
eventually 30 was_cut
eventually 10 same_trees
want "$(cat "$new/topics/t/q0")" "$(cat "$old/topics/t/q0")" "the new master's messages"
want "$(cat "$new/topics/t/q0@499..600")" "$(cat "$old/topics/t/q0@499..600")" "a range that was another"
want "$(stat -c %s "$new/topics/t/q0@499..600")" "$(stat -c %s "$old/topics/t/q0@499..600")" "its length"
want "$(seq_lines 100 160)" "$(cat "$old/topics/t/q0@99..160")" "a range that stayed"
want "" "$(cat "$old/topics/t/q1" "$old/topics/t/q2")" "queues of which nothing is left"
end=$(written "$new")
for segment in "$old"/commitlog/*; do
	left=$((end - 10#${segment##*/}))
	[ $left -le 0 ] || cmp -n $((left < 65536 ? left : 65536)) "$segment" "$new/commitlog/${segment##*/}"
done

# Who had read of what is gone hears of it; who had not reads on.
want "$(seq_lines 101 500; for i in $(seq 501 520); do echo "other $i"; done)" "$(cat <&4)" "who was in the middle"
fails_with ESTALE cat <&5
want "$(seq_lines 2 100)" "$(cat <&6)" "a queue that nothing happened to"
fails_with ESTALE cat <&7
exec 4<&- 5<&- 6<&- 7<&-
echo awake >> "$new/topics/quiet/q1"
wait "$reader"
want awake "$(cat "$work/got")" "who slept at the end"

# What went is kept, says why, and can be printed; snapshots hold what they held.
kept=$old/lost+found/commitlog-$(printf %020d "$common")
mqdump -t t "$kept" | grep 'line 501' > /dev/null
grep -q 'Why: .*another one than that of the master' "$kept.txt"
grep -q 127.0.0.1 "$kept.txt"
sha256sum --quiet -c "$work/sums"
want "$(cat "$old/status/epoch")" "$(cat "$new/status/epoch")" "the epoch of both"
fails_with EROFS mkdir "$old/topics/no"
rmdir "$old/.snapshots/after" "$old/.snapshots/before"

# It is a slave like any other, also after a restart, and can be the master again.
stop_mqfs "$old"
fsck.mqfs -n "$work/o"
start_mqfs "$work/o" "$old" -o "role=slave,master=127.0.0.1:$((port + 6)),$old_options"
echo more >> "$new/topics/t/q3"
eventually 20 same_end "$old"
want more "$(cat "$old/topics/t/q3")" "what came after the restart"
stop_mqfs "$new"
fsck.mqfs -n "$work/n"
echo ASYNC_MASTER > "$old/config/brokerRole"
echo back >> "$old/topics/t/q3"
want "$(printf 'more\nback')" "$(cat "$old/topics/t/q3")" "what it appends as the master again"
stop_mqfs "$old"
fsck.mqfs -n "$work/o"
