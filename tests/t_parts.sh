#!/bin/bash
# qN.parts: full parts never change, the last one grows, retention takes the first and leaves the rest in place.
. "$top_builddir/tests/functions.sh"
requires_fuse

part=65536
start_mqfs "$work/store" "$mnt" -o mappedFileSizeConsumeQueue=200000,mappedFileSizeCommitLog=4194304
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0 parts=$mnt/topics/t/q0.parts
name() { printf '%020d' $(($1 * part)); }
names() { ls "$parts"; }
want "" "$(names)" "parts of an empty queue"
seq_lines 1 $((2 * part + 1000)) >> "$q"
want "$(name 0; echo; name 1; echo; name 2)" "$(names)" "names of parts"
seq_lines 1 $part > "$work/0"
seq_lines $((part + 1)) $((2 * part)) > "$work/1"
seq_lines $((2 * part + 1)) $((2 * part + 1000)) > "$work/2"
for i in 0 1 2; do want_same "$work/$i" "$parts/$(name $i)" "part $i"; done
# A byte anywhere is where it should be, and what was read once is kept.
middle() { head -c 500100 "$1" | tail -c 100; }
want "$(middle "$work/1")" "$(middle "$parts/$(name 1)")" "bytes in the middle"
want_same "$work/1" "$parts/$(name 1)" "part 1 again"

# What a full one is, it stays; the last one grows.
what() { (cd "$parts" && stat -c '%n %i %s %Y' "$(name "$1")"); }
was0=$(what 0) was1=$(what 1)
seq_lines $((2 * part + 1001)) $((2 * part + 1500)) | tee -a "$work/2" >> "$q"
want_same "$work/2" "$parts/$(name 2)" "the last part"
want "$was0 $was1" "$(what 0) $(what 1)" "full parts"
want "$(stat -c %Y "$q")" "$(stat -c %Y "$parts/$(name 2)")" "the time of the last part"
mkdir "$work/copy"
rsync -a "$parts/" "$work/copy/"
echo more | tee -a "$work/2" >> "$q"
sent=$(rsync -ai "$parts/" "$work/copy/" | grep '^>f' | cut -d ' ' -f 2)
want "$(name 2)" "$sent" "what rsync sends the second time"

# Names that are none; nothing can be changed here.
for bad in 0 "$(name 3)" 00000000000000000001 0000000000000000000 "$(name 0)0" -1 "$(name 0)x"; do
	fails_with ENOENT cat "$parts/$bad"
done
fails_with ENOENT ls "$mnt/topics/t/q8.parts"
fails_with ENOENT ls "$mnt/topics/t/q00.parts"
fails_with EPERM rm "$parts/$(name 0)"
fails_with EPERM touch "$parts/new"
if bash -c "echo x >> '$parts/$(name 2)'" 2> /dev/null; then fail "a part was appended to"; fi
want "" "$(find "$mnt/topics/t" -name '*.parts')" "parts are not listed"

# Retention takes the first part; of the next one messages go, and the rest stays where it was.
exec 3< "$parts/$(name 0)" 4< "$parts/$(name 1)"
echo "trim q0 $((part + 1000))" > "$mnt/topics/t/ctl"
want "$(name 1; echo; name 2)" "$(names)" "parts after a trim"
want "$was1" "$(what 1)" "a part whose first messages have gone"
# Log shippers know a file by its first bytes: they are as they were read.
gone=$(head -n 1000 "$work/1" | wc -c)
{ head -c 4096 "$work/1"; head -c $((gone - 4096)) /dev/zero | tr '\0' '\n'; tail -n +1001 "$work/1"; } > "$work/1.left"
want_same "$work/1.left" <(dd if="$parts/$(name 1)" bs=1M iflag=direct status=none) "what is left of it"
fails_with ESTALE dd iflag=direct of=/dev/null bs=64k status=none <&3
want_same "$work/1" <(cat <&4) "what was read before, from the kernel's pages"
exec 3<&- 4<&-

# Across a restart, and a crash.
again() {
	want "$(name 1; echo; name 2)" "$(names)" "parts after $1"
	want "$was1" "$(what 1)" "a part after $1"
	want_same "$work/1.left" "$parts/$(name 1)" "what it holds after $1"
	want_same "$work/2" "$parts/$(name 2)" "the last part after $1"
}
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt" -o mappedFileSizeConsumeQueue=200000,mappedFileSizeCommitLog=4194304
again "a restart"
echo last | tee -a "$work/2" >> "$q"
kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt" -o mappedFileSizeConsumeQueue=200000,mappedFileSizeCommitLog=4194304
again "a crash"

# Everything goes but the part that grows, which goes on where it was.
size=$(stat -c %s "$parts/$(name 2)")
echo purge > "$mnt/topics/t/ctl"
want "$(name 2)" "$(names)" "parts after a purge"
echo new >> "$q"
want new "$(tail -c +$((size + 1)) "$parts/$(name 2)")" "what comes after a purge"

# Other formats; who may read the queue may read its parts.
mkdir "$mnt/topics/j"
echo 'format = json' > "$mnt/topics/j/config"
echo '{"body":"a"}' >> "$mnt/topics/j/q0"
want_same "$mnt/topics/j/q0" "$mnt/topics/j/q0.parts/$(name 0)" "a part in json"
echo 'format = raw' > "$mnt/topics/j/config"
want a "$(cat "$mnt/topics/j/q0.parts/$(name 0)")" "a part in another format"
chmod 640 "$q"
want "550 440" "$(stat -c %a "$parts" "$parts/$(name 2)" | tr '\n' ' ' | sed 's/ $//')" "modes"
if [ "$(id -u)" = 0 ]; then
	chmod 755 "$work"
	fails_with EACCES as_user cat "$parts/$(name 2)"
	if setfacl -m u:65534:r "$q" 2> /dev/null; then
		as_user cat "$parts/$(name 2)" > /dev/null || fail "an access list of the queue is not its parts'"
		as_user ls "$parts" > /dev/null || fail "who may read the queue may not list its parts"
	fi
fi
stop_mqfs "$mnt"

# A store that is mounted read-only stays as it is.
find "$work/store" -name '.part-*' -delete
start_mqfs "$work/store" "$mnt" -o ro
cat "$mnt/topics/j/q0.parts/$(name 0)" "$parts/$(name 2)" > /dev/null
want "" "$(find "$work/store" -name '.part-*')" "what was written to a read-only store"
stop_mqfs "$mnt"
fsck.mqfs -n "$work/store" > "$work/fsck" || fail "fsck.mqfs finds: $(cat "$work/fsck")"
