#!/bin/bash
# Mounting a copy of a snapshot is the restore: a broker of its own, with the offsets of that moment.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=1048576,maxMessageSize=65536
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t"
seq_lines 1 30000 >> "$mnt/topics/t/q0"
echo 1234 > "$mnt/groups/g/t/q0.offset"
chmod 640 "$mnt/topics/t/q1"
mkdir "$mnt/.snapshots/s"
seq_lines 30001 30100 >> "$mnt/topics/t/q0"
echo 20000 > "$mnt/groups/g/t/q0.offset"
mkdir "$mnt/topics/later"
cp -a "$mnt/.snapshots/s" "$work/copy"
cp -a "$work/copy" "$work/looked-at"

as_it_was() {
	want "$(seq_lines 1 30000 | md5sum)" "$(md5sum < "$mnt2/topics/t/q0")" "$1: the queue"
	want 1234 "$(cat "$mnt2/groups/g/t/q0.offset")" "$1: the committed offset"
	want 640 "$(stat -c %a "$mnt2/topics/t/q1")" "$1: a mode"
	want t "$(ls "$mnt2/topics")" "$1: topics"
}

# where it was taken it shares its last segment with the log
if mount.mqfs -f -o ro "$work/store/snapshots/s" "$mnt" 2> "$work/said"; then fail "mounted a snapshot in its store"; fi
grep -q 'mount the copy' "$work/said" || fail "it does not say what to do: $(cat "$work/said")"

# to look at it changes nothing; and both brokers run side by side
mnt2=$work/mnt2
start_mqfs "$work/looked-at" "$mnt2" -o ro
as_it_was "read-only"
stop_mqfs "$mnt2"
diff -r "$work/copy" "$work/looked-at" >&9 || fail "a read-only mount has changed it"
start_mqfs "$work/copy" "$mnt2"
as_it_was "restored"
grep -q 'identity of its own' "$mnt2/status/log" || fail "it passes for its origin"
echo 'line 30001' >> "$mnt2/topics/t/q0"
want "$(seq_lines 1 30001 | md5sum)" "$(md5sum < "$mnt2/topics/t/q0")" "an append to it"
mkdir "$mnt2/.snapshots/of-the-copy"
stop_mqfs "$mnt2"
for file in snapshot MANIFEST; do
	if [ -e "$work/copy/$file" ]; then fail "it is still called a copy"; fi
done
python3 "$top_srcdir/tests/reader/mqstore.py" check --quiet "$work/copy"
start_mqfs "$work/copy" "$mnt2"
if grep -q 'identity of its own' "$mnt2/status/log"; then fail "a new identity at each mount"; fi
stop_mqfs "$mnt2"
want "20000 30100" "$(cat "$mnt/groups/g/t/q0.offset") $(wc -l < "$mnt/topics/t/q0")" "the origin"

# a backup whose files are hard links to another's: the other one stays what it was
cp -a "$mnt/.snapshots/s" "$work/first"
cp -al "$work/first" "$work/second"
start_mqfs "$work/second" "$mnt2"
as_it_was "of hard links"
echo 'line 30001' >> "$mnt2/topics/t/q0"
mkdir "$mnt2/topics/new"
stop_mqfs "$mnt2"
(cd "$work/first" && sha256sum --quiet -c MANIFEST) || fail "mounting a backup has changed another one"
fsck.mqfs "$work/first" > "$work/said" || fail "mounting a backup has harmed another one: $(cat "$work/said")"
fsck.mqfs "$work/second" > "$work/said" || fail "the restored one: $(cat "$work/said")"

# what LMDB knew is in the log, too
rm -r "$work/looked-at/lmdb"
start_mqfs "$work/looked-at" "$mnt2"
as_it_was "without lmdb"
stop_mqfs "$mnt2"

# a slave takes them, too, and a copy that becomes a slave is a broker of its own
slave=role=slave,master=127.0.0.1:19
start_mqfs "$work/looked-at" "$mnt2" -o $slave
mkdir "$mnt2/.snapshots/s"
(cd "$mnt2/.snapshots/s" && sha256sum --quiet -c MANIFEST)
cp -a "$mnt2/.snapshots/s" "$work/slave"
stop_mqfs "$mnt2"
start_mqfs "$work/slave" "$mnt2" -o $slave
as_it_was "a slave's"
grep -q 'identity of its own' "$mnt2/status/log" || fail "a slave with the identity of another"
