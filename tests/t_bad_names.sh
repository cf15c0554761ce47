#!/bin/bash
# A bad name is EINVAL, and status/log says what was wrong with it.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
t=$mnt/topics/t

for name in q0@ q0@x q0@5..x q0@7...9 q0:nonsense q0:format=xml q0:follow=maybe q0@2026-13-01T00:00; do
	fails_with EINVAL cat "$t/$name"
done
grep -q nonsense "$mnt/status/log" || fail "status/log does not name the bad option"
grep -q xml "$mnt/status/log" || fail "status/log does not name the bad format"
fails_with ENOENT cat "$t/q8"
fails_with EPERM tee -a "$t/q8"
grep -q "in its config says how many" "$mnt/status/log" || fail "status/log does not say how a topic gets more queues"
fails_with ENOENT cat "$t/nothing"
fails_with ENOENT cat "$mnt/topics/unknown/q0"

fails_with EINVAL mkdir "$mnt/topics/a.b"
fails_with EINVAL mkdir "$mnt/topics/a b"
fails_with EINVAL mkdir "$mnt/groups/a:b"
fails_with EEXIST mkdir "$mnt/topics/t"
long=$(printf 'x%.0s' {1..127})
mkdir "$mnt/topics/$long"
fails_with EINVAL mkdir "$mnt/topics/${long}x"
