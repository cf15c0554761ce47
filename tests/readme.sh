#!/bin/bash
# What README.md and the manual pages show is what happens.
. "$top_builddir/tests/functions.sh"
requires_fuse

shopt -s nullglob
for document in "$top_srcdir"/README.md "$top_srcdir"/{conf,store,offsets,repl,remoting,fs,contrib/mqtop}/*.[1578]; do
	start_mqfs "$work/store" "$mnt"
	(cd "$mnt" && timeout 60 python3 "$top_srcdir/tests/examples.py" "$document" >&9)
	stop_mqfs "$mnt"
	rm -rf "$work/store"
done
