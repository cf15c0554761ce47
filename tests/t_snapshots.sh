#!/bin/bash
# .snapshots: hidden but there; names as topics have; mkdir takes, rmdir drops all below; for the owner only.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=1048576,maxMessageSize=65536
mkdir "$mnt/topics/t"
seq_lines 1 30000 >> "$mnt/topics/t/q0"
shots=$mnt/.snapshots

want "" "$(find "$mnt" -maxdepth 1 -name '.s*')" "what a listing of / shows"
want "" "$(ls -A "$shots")" "no snapshots yet"
mkdir "$shots/one"
want one "$(ls -A "$shots")" "its name"
want 'MANIFEST abort commitlog config lmdb snapshot' "$(ls "$shots/one" | tr '\n' ' ' | sed 's/ $//')" "what is in it"
want '700 600' "$(stat -c %a "$shots/one" "$shots/one/MANIFEST" | tr '\n' ' ' | sed 's/ $//')" "modes"
if [ "$(id -u)" = 0 ]; then
	fails_with EACCES as_user ls "$shots"
	fails_with EACCES as_user mkdir "$shots/theirs"
fi

# names
fails_with EEXIST mkdir "$shots/one"
fails_with EINVAL mkdir "$shots/a.b"
fails_with EINVAL mkdir "$shots/one.new"
fails_with EINVAL mkdir "$shots/$(printf '%0128d' 0)"
mkdir "$shots/$(printf '%0127d' 0)" "$shots/%|a-Z_9"
rmdir "$shots/$(printf '%0127d' 0)" "$shots/%|a-Z_9"
fails_with ENOENT rmdir "$shots/none"

# nothing in it changes, not by hand and not by what comes later
(cd "$shots/one" && find . -type f -exec sha256sum {} + | sort -k 2) > "$work/one"
seq_lines 30001 60000 >> "$mnt/topics/t/q0"
want "$(cat "$work/one")" "$(cd "$shots/one" && find . -type f -exec sha256sum {} + | sort -k 2)" "what it holds"
last=$(ls "$shots/one/commitlog" | tail -n 1)
want 1048576 "$(stat -c %s "$shots/one/commitlog/$last")" "the length of the last segment"
fails_with EPERM rm "$shots/one/MANIFEST"
fails_with EPERM touch "$shots/one/new"
fails_with EPERM mkdir "$shots/one/new"
if bash -c "echo x >> '$shots/one/snapshot'" 2> /dev/null; then fail "wrote into a snapshot"; fi

# two at once
mkdir "$shots/two" & a=$!
mkdir "$shots/three" & b=$!
wait_for $a $b
for s in two three; do (cd "$shots/$s" && sha256sum --quiet -c MANIFEST) || fail "$s"; done
mkdir "$shots/same" 2> /dev/null & a=$!
mkdir "$shots/same" 2> /dev/null & b=$!
ok=0
for pid in $a $b; do if wait "$pid"; then ok=$((ok + 1)); fi; done
want 1 $ok "how many of two of one name were made"

# who has a file of it open can read on
exec 3< "$shots/one/commitlog/00000000000000000000" 4< "$shots/one/config/topics.json"
sum=$(sha256sum < "$shots/one/commitlog/00000000000000000000")
ino=$(stat -c %i "$shots/one")
rmdir "$shots/one"
want "$sum" "$(sha256sum <&3)" "an open segment of one that was dropped"
grep -q topicConfigTable <&4 || fail "an open file of one that was dropped"
fails_with ENOENT stat "$shots/one"
want "$(stat -c %s "$work/store/commitlog/00000000000000000000")" "$(stat -L -c %s /dev/fd/3)" "fstat of it"
eventually 5 bash -c "[ -z \"\$(ls '$work/store/snapshots' | grep gone)\" ]"
mkdir "$shots/one"
if [ "$(stat -c %i "$shots/one")" = "$ino" ]; then fail "another snapshot with the same inode number"; fi
exec 3<&- 4<&-

# a remount, and a read-only one, show the same
before=$(cd "$shots" && find . -type f -printf '%p %i %s %T@\n' | sort)
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt" -o ro
want "$before" "$(cd "$shots" && find . -type f -printf '%p %i %s %T@\n' | sort)" "read-only"
(cd "$shots/one" && sha256sum --quiet -c MANIFEST)
fails_with EROFS mkdir "$shots/four"
fails_with EROFS rmdir "$shots/one"
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
want "$before" "$(cd "$shots" && find . -type f -printf '%p %i %s %T@\n' | sort)" "after a remount"
find "$shots" -mindepth 1 -maxdepth 1 -exec rmdir {} +
want "" "$(ls -A "$shots")" "all are dropped"

# what retention takes from the log stays in a snapshot
mkdir "$shots/pins"
stop_mqfs "$mnt"
rm "$work/store/commitlog/00000000000000000000"
start_mqfs "$work/store" "$mnt"
if [ -e "$mnt/commitlog/00000000000000000000" ]; then fail "the log still begins at 0"; fi
(cd "$shots/pins" && sha256sum --quiet -c MANIFEST) || fail "it is not held"
cp -a "$shots/pins" "$work/copy"
start_mqfs "$work/copy" "$work/mnt2"
want "$(seq_lines 1 60000 | md5sum)" "$(md5sum < "$work/mnt2/topics/t/q0")" "a copy of it"
stop_mqfs "$work/mnt2"
mkdir "$shots/shorter"
want 00000000000001048576 "$(ls "$shots/shorter/commitlog" | head -n 1)" "where a new one begins"
