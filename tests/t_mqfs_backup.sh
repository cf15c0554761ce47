#!/bin/bash
# mqfs-backup copies what is new, proves it, keeps the newest copies, and drops its snapshot however it ends.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool rsync

backup=$top_srcdir/contrib/mqfs-backup
start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=1048576,maxMessageSize=65536
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t"
seq_lines 1 30000 >> "$mnt/topics/t/q0"
"$backup" -k 2 "$mnt" "$work/to here" > "$work/first"
say "$(cat "$work/first")"
first=$(ls "$work/to here")

seq_lines 30001 31000 >> "$mnt/topics/t/q0"
echo 777 > "$mnt/groups/g/t/q0.offset"
sleep 1
"$backup" -k 2 "$mnt" "$work/to here" > "$work/second"
say "$(cat "$work/second")"
want 2 "$(ls "$work/to here" | wc -l)" "copies"
segment=commitlog/00000000000000000000
want 2 "$(stat -c %h "$work/to here/$first/$segment")" "a sealed segment is in both copies, once on the disk"
sleep 1
"$backup" -q -k 2 "$mnt" "$work/to here" > "$work/third"
want "" "$(cat "$work/third")" "what -q says"
want 2 "$(ls "$work/to here" | wc -l)" "copies after the third"
[ ! -e "$work/to here/$first" ] || fail "the oldest copy stays"
want "" "$(ls -A "$mnt/.snapshots")" "snapshots left behind"

# it fails: nothing is left, on either side
rc=0
"$backup" "$mnt" /proc/no-such-place 2> "$work/said" || rc=$?
want 1 $rc "its status"
fake=$work/bin
mkdir "$fake"
printf '#!/bin/sh\nexit 23\n' > "$fake/rsync"
chmod +x "$fake/rsync"
rc=0
PATH=$fake:$PATH "$backup" "$mnt" "$work/to here" 2> "$work/said" || rc=$?
want 1 $rc "its status when rsync fails"
want 2 "$(ls "$work/to here" | wc -l)" "copies when rsync failed"
want "" "$(ls -A "$mnt/.snapshots")" "snapshots when rsync failed"
mkdir "$mnt/.snapshots/backup"
if "$backup" "$mnt" "$work/to here" 2> "$work/said"; then fail "two at once"; fi
grep -q 'already' "$work/said" || fail "it does not say why"
want backup "$(ls "$mnt/.snapshots")" "somebody else's snapshot"

# it is a restore
last=$(ls "$work/to here" | tail -n 1)
cp -a "$work/to here/$last" "$work/restored"
mnt2=$work/mnt2
start_mqfs "$work/restored" "$mnt2"
want "$(seq_lines 1 31000 | md5sum)" "$(md5sum < "$mnt2/topics/t/q0")" "the queue, restored"
want 777 "$(cat "$mnt2/groups/g/t/q0.offset")" "the offset, restored"
stop_mqfs "$mnt2"
(cd "$work/to here/$last" && sha256sum --quiet -c MANIFEST) || fail "the backup has changed"
