#!/bin/bash
# A queue behaves like a file with chattr +a: it grows, and that is all.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
echo precious >> "$q"

fails_with EPERM bash -c ": > '$q'"
fails_with EPERM truncate -s 0 "$q"
fails_with EPERM truncate -s 100 "$q"
fails_with EPERM rm -f "$q"
fails_with EPERM mv "$q" "$mnt/topics/t/q9"
fails_with EPERM ln "$q" "$mnt/topics/t/q9"
fails_with EPERM ln -s "$q" "$mnt/topics/t/q9"
fails_with EPERM touch "$mnt/topics/t/newfile"
fails_with EPERM fallocate -l 1M "$q"
fails_with EPERM fallocate -p -l 4096 "$q"
fails_with EPERM cp /etc/hostname "$q"
want precious "$(cat "$q")" "the queue after all that"
