#!/bin/bash
# Access lists of setfacl are kept and enforced, where the kernel allows.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_root
requires_tool setfacl getfacl
chmod 755 "$work"

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0
fails_with EACCES as_user sh -c "echo x >> '$q'"
setfacl -m u:65534:rw "$q"
as_user sh -c "echo allowed >> '$q'"
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
as_user sh -c "echo allowed >> '$q'"
getfacl -n "$q" 2> /dev/null | grep -qx 'user:65534:rw-' || fail "getfacl shows $(getfacl -n "$q")"
setfacl -b "$q"
fails_with EACCES as_user sh -c "echo x >> '$q'"
