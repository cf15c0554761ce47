#!/bin/bash
# A copy of a store costs what is in it: segments that are hardly begun, and what is behind the moment of a
# snapshot, are holes, by SEEK_DATA and in st_blocks, for whatever copies.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool rsync tar

start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=268435456
mkdir "$mnt/topics/t"
seq_lines 1 80000 'a line of about a hundred bytes, as log files have many of them, and as people like to send' >> "$mnt/topics/t/q0"
held=$(cat "$mnt/status/written")
mkdir "$mnt/.snapshots/s"
snapshot=$mnt/.snapshots/s
taken() { du -s --block-size=1 "$1" | cut -f 1; }
# costs WHAT PLACE
costs() {
	local bytes
	bytes=$(taken "$2")
	say "$1: $bytes bytes for $held of log"
	[ "$bytes" -lt $((held + held / 4 + 2000000)) ] || fail "$1 takes $bytes bytes"
}
want 268435456 "$(stat -c %s "$snapshot/commitlog/00000000000000000000")" "size of a segment"
costs "the snapshot itself" "$snapshot"
cp -a "$snapshot" "$work/cp"			# --sparse=auto
costs "cp" "$work/cp"
rsync -aS "$snapshot/" "$work/rsync/"
costs "rsync -aS" "$work/rsync"
tar -S -cf "$work/tar" -C "$mnt/.snapshots" s
costs "tar -S" "$work/tar"
(cd "$work/cp" && sha256sum --quiet -c MANIFEST) || fail "it is no copy"
rmdir "$snapshot"

# mqfs-backup says what the copies cost.
bytes_of() { grep -o '[0-9]* of [0-9]* bytes were new' <<< "$1" | tr -dc '0-9 \n'; }
read -r new all < <(bytes_of "$("$top_srcdir/contrib/mqfs-backup" "$mnt" "$work/backups")")
if [ "$new" != "$all" ] || [ "$all" -lt "$held" ] || [ "$all" -gt $((2 * held)) ]; then
	fail "mqfs-backup: $new of $all bytes for $held of log"
fi
costs "mqfs-backup" "$work/backups"

# And to another machine, which is this one: what is sent is no more, either.
mkdir "$work/bin"
cat > "$work/bin/ssh" << 'END'
#!/bin/bash
while [ "${1#-}" != "$1" ]; do if [ "$1" = -o ]; then shift; fi; shift; done
exec bash -c "${*:2}" < <(tee "$SENT.$$")
END
chmod +x "$work/bin/ssh"
SENT=$work/sent PATH=$work/bin:$PATH "$top_srcdir/contrib/mqfs-backup" -q "$mnt" "there:$work/elsewhere" < /dev/null
costs "mqfs-backup to another machine" "$work/elsewhere"
sent=$(cat "$work"/sent.* | wc -c)
[ "$sent" -lt $((held + 1000000)) ] || fail "$sent bytes were sent for $held of log"
