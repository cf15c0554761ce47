#!/bin/bash
# The tools of every day find in the mount what they expect of append-only files.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool rsync tar less

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
t=$mnt/topics/t
seq_lines 1 1000 > "$work/lines"

tee -a "$t/q0" < "$work/lines" > /dev/null
dd if="$work/lines" of="$t/q1" oflag=append conv=notrunc bs=100 status=none
cat "$work/lines" >> "$t/q2"
for q in q0 q1 q2; do want_same "$work/lines" "$t/$q" "$q"; done

size=$(stat -c %s "$work/lines")
want "$size" "$(ls -l "$t/q0" | awk '{ print $5 }')" "ls -l"
want "1000 2000 $size" "$(wc "$t/q0" | awk '{ print $1, $2, $3 }')" "wc"
want "regular file" "$(stat -c %F "$t/q0")" "stat's type"
want "$(sort "$work/lines")" "$(sort "$t/q0")" "sort"
want 'line 1000' "$(tail -n 1 "$t/q0")" "tail"
want 'line 500' "$(sed -n 500p "$t/q0")" "sed"
want 'line 77' "$(grep -x 'line 77' "$t/q0")" "grep"
want 3 "$(grep -rlx 'line 999' "$mnt/topics" | wc -l)" "grep -r"
want 4 "$(find "$mnt/topics" -name 'q[0-9]*' -type f | wc -l)" "find"
want 1 "$(find "$mnt/topics" -name 'q*' -size 0 | wc -l)" "find -size"
want 'line 1' "$(less "$t/q0" | head -n 1 || true)" "less"
want 'line 3' "$(dd if="$t/q0" bs=7 skip=2 count=1 status=none | tr -d '\n')" "dd skip"
if [ "$(du -k "$t/q0" | cut -f 1)" -gt $((size * 8 / 1024 + 8)) ]; then fail "du: $(du -k "$t/q0")"; fi
want "$(df --output=size "$work/store" | tail -n 1)" "$(df --output=size "$mnt" | tail -n 1)" "df"

cp "$t/q0" "$work/copy"
want_same "$work/lines" "$work/copy" "cp"
rsync -a --exclude=ctl "$t/" "$work/synced/"
want_same "$work/lines" "$work/synced/q2" "rsync"
want "" "$(rsync -a --exclude=ctl --itemize-changes "$t/" "$work/synced/" | grep '^>f' || true)" "rsync again"
tar -C "$t" -cf - q0 | tar -C "$work" -xf -
want_same "$work/lines" "$work/q0" "tar"
grep -q topics "$mnt/README" || fail "README does not say what topics are"
