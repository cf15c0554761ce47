#!/bin/bash
# What README.md and the manual pages show is what happens.
. "$top_builddir/tests/functions.sh"
requires_fuse

for document in README.md $(cd "$top_srcdir" && ls ./*/*.[158] | grep -v autom4te); do
	start_mqfs "$work/store" "$mnt"
	(cd "$mnt" && timeout 60 python3 "$top_srcdir/tests/examples.py" "$top_srcdir/$document" >&9)
	stop_mqfs "$mnt"
	rm -rf "$work/store"
done
