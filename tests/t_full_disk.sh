#!/bin/bash
# A full disk is ENOSPC before anything is half done; with space again, appends work again.
. "$top_builddir/tests/functions.sh"
requires_fuse
loop_disk ext4 96M "$work/disk"

fallocate -l 20M "$work/disk/ballast"
start_mqfs "$work/disk/store" "$mnt" -o mappedFileSizeCommitLog=1048576,diskMaxUsedSpaceRatio=95
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
rc=0
python3 "$top_srcdir/tests/producer.py" write "$q" p "$work/acked" plain 2000000 2> "$work/said" || rc=$?
grep -q "${errno_text[ENOSPC]}" "$work/said" || fail "the producer ended with: $(cat "$work/said")"
cat "$q" > "$work/content"
python3 "$top_srcdir/tests/producer.py" check "$work/content" p "$work/acked" >&9
acked=$(cat "$work/acked")
want "$acked" "$(grep -c '^p ' "$work/content")" "exactly what was acknowledged"
want "p $acked" "$(tail -n 1 "$q" | cut -d ' ' -f 1,2)" "readers go on"

rm "$work/disk/ballast"
eventually 30 bash -c "echo 'space again' >> '$q' 2> /dev/null"
want 'space again' "$(tail -n 1 "$q")" "after space returned"
stop_mqfs "$mnt"
start_mqfs "$work/disk/store" "$mnt" -o mappedFileSizeCommitLog=1048576,diskMaxUsedSpaceRatio=95
want "$((acked + 1))" "$(wc -l < "$q")" "after a remount"
