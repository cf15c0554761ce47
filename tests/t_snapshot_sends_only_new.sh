#!/bin/bash
# rsync of a second snapshot sends only what is new; the copy is the same as a whole one.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool rsync

start_mqfs "$work/store" "$mnt" -o mappedFileSizeCommitLog=1048576,maxMessageSize=65536
mkdir "$mnt/topics/t"
seq_lines 1 100000 >> "$mnt/topics/t/q0"	# ten segments

# sent NAME   rsync it over what is in copy/; prints the bytes that were transferred
sent() {
	rsync -a --stats "$mnt/.snapshots/$1/" "$work/copy/" |
		sed -n 's/^Total transferred file size: \([0-9,]*\) bytes/\1/p' | tr -d ,
}

mkdir "$mnt/.snapshots/one"
first=$(sent one)
seq_lines 100001 110000 >> "$mnt/topics/t/q0"	# one more, within the same second
mkdir "$mnt/.snapshots/two"
second=$(sent two)
say "the first took $first bytes, the second $second"
[ "$second" -le $((3 * 1048576 + 200000)) ] || fail "the second sent $second bytes of $first"
[ "$first" -ge $((9 * 1048576)) ] || fail "the first sent only $first bytes"
diff -r "$mnt/.snapshots/two" "$work/copy" >&9 || fail "the copy differs"
(cd "$work/copy" && sha256sum --quiet -c MANIFEST) || fail "MANIFEST"
# A sum is kept of each sealed segment; the log may have gone on by one since.
names() { (cd "$1" && printf '%s\n' 0* | sort); }
want "" "$(names "$work/copy/commitlog" | sed '$d' | comm -23 - <(names "$work/store/sums"))" "sealed ones without a sum"
want "" "$(names "$work/store/sums" | comm -23 - <(names "$work/store/commitlog" | sed '$d'))" "sums of what is not sealed"

# every tool that copies trees
tar -C "$mnt/.snapshots/two" -cf - . | (mkdir "$work/tar" && tar -C "$work/tar" --warning=no-timestamp -xf -)
cp -a "$mnt/.snapshots/two" "$work/cp"
for copy in tar cp; do diff -r "$work/copy" "$work/$copy" >&9 || fail "$copy differs"; done
want "$(stat -c %Y "$work/store/commitlog/00000000000000000000")" \
	"$(stat -c %Y "$work/copy/commitlog/00000000000000000000")" "the mtime of a sealed segment"
