#!/bin/bash
# What the broker that comes after a killed one goes on with, and what it refuses.
. "$top_builddir/tests/functions.sh"
requires_fuse
[ "$(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || skip "Linux is older than 6.9"

start_mqfs "$work/store" "$mnt" -o supervise,mappedFileSizeCommitLog=65536,maxMessageSize=4096
mkdir "$mnt/topics/t" "$mnt/topics/gone" "$mnt/topics/anew"
mkdir -p "$mnt/groups/g/t"
seq_lines 1 3000 >> "$mnt/topics/t/q0"
first=$mnt/commitlog/00000000000000000000
cp "$first" "$work/segment"
echo SYNC_FLUSH > "$mnt/config/flushDiskType"

exec 3< "$mnt/topics/t/q0@100..2000" 4<> "$mnt/groups/g/t/any" 5< "$first" 6>> "$mnt/topics/gone/q0"
exec 7< "$mnt/topics/t/all@-2" 8< "$mnt/status/version"
read -r line <&3
want 'line 101' "$line" "the first line of a range"
head -n 1 "$mnt/topics/t/q7:follow" > "$work/out" &
reader=$!
eventually 5 is_waiting "$reader"
rmdir "$mnt/topics/gone" "$mnt/topics/anew"
mkdir "$mnt/topics/gone" "$mnt/topics/anew"
exec {anew}>> "$mnt/topics/anew/q0"
(cd "$mnt/topics/t" && until [ -e "$work/go" ]; do sleep 0.02; done; echo from here >> q1) &
stays=$!
sleep 0.6
for _ in 1 2; do
	kill_broker "$work/store" "$mnt"
	sleep 0.6
done

# Its place in a range, in a segment (which the kernel may read by itself), in all queues.
cat <&3 > "$work/rest"
want_same <(seq_lines 102 2000) "$work/rest" "the rest of a range"
cat <&5 > "$work/again"
want_same "$work/segment" "$work/again" "a segment opened before"
want_same "$work/segment" "$first" "the same segment opened anew"
want "$(seq_lines 2999 3000)" "$(cat <&7)" "all queues as one"
# Who consumed still does; nobody else can.
fails_with EBUSY bash -c "exec 4<> '$mnt/groups/g/t/q0'"
fails_with EBUSY bash -c "exec 4<> '$mnt/groups/g/t/q0'"
seq_lines 1 2 >> "$mnt/topics/t/q0"
# A topic that was made again is another one; a small text is not read on.
fails_with ESTALE bash -c 'echo lost >&6'
fails_with ESTALE bash -c 'cat <&8'
want '' "$(cat "$mnt/topics/gone/q0")" "the topic made again"
want 0 "$(stat -c %s "$mnt/topics/anew/q0")" "size of another one"
echo new >&"$anew"
want new "$(cat "$mnt/topics/anew/q0")" "what was opened in it before"
# A directory of the mount is still somebody's own.
touch "$work/go"
wait_for "$stays"
want 'from here' "$(cat "$mnt/topics/t/q1")" "an append by a relative name"
# A reader that waits obeys signals, as if nothing had been.
kill -TERM "$reader"
eventually 3 is_gone "$reader"
want SYNC_FLUSH "$(cat "$mnt/config/flushDiskType")" "a setting that was changed"

exec 3<&- 4>&- 5<&- 7<&- 8<&- {anew}>&-
{ exec 6>&-; } 2> "$work/closed" || true
exec 4<> "$mnt/groups/g/t/q0"
exec 4>&-
stop_mqfs "$mnt"
