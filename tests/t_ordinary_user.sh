#!/bin/bash
# An ordinary user mounts through fusermount3, and has the mount for himself.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_root		# to become an ordinary user
requires_tool fusermount3

# In a private view of the system where /dev/fuse is for everybody, as it usually is.
chmod 755 "$work"
mknod "$work/fuse" c 10 229
chmod 666 "$work/fuse"
mkdir "$work/home" "$work/roots"
chown -R 65534:65534 "$work/home" "$mnt"

cat > "$work/inside" << 'END'
set -eu
cd "$1"
user() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$1/home" PATH="$PATH" "${@:2}"; }
mount --bind "$1/fuse" /dev/fuse
user "$1" mount.mqfs "$1/mnt"
user "$1" mkdir "$1/mnt/topics/t"
user "$1" bash -c "echo mine >> '$1/mnt/topics/t/q0'"
test "$(user "$1" cat "$1/mnt/topics/t/q0")" = mine
test "$(user "$1" stat -c %u "$1/mnt/topics/t/q0")" = 65534
test -d "$1/home/.local/state/mqfs/commitlog"
others=$(find "$1/home" -mindepth 1 -perm /077 ! -type l)
if [ -n "$others" ]; then echo "others than the user may look into $others"; exit 1; fi
if ls "$1/mnt" 2> /dev/null; then echo "root may look without allow_other"; exit 1; fi
user "$1" fusermount3 -u "$1/mnt"
if said=$(user "$1" mount.mqfs "$1/home/other" "$1/roots" 2>&1); then echo "mounted on root's directory"; exit 1; fi
if ! grep -q '^mount.mqfs: .*/roots: not mounted: fusermount3 has said why' <<< "$said"; then echo "$said"; exit 1; fi
user "$1" mount.mqfs "$1/mnt" -o supervise
broker=$(cut -d ' ' -f 1 "$1/home/.local/state/mqfs/lock")
user "$1" bash -c "exec 3>> '$1/mnt/topics/t/q0'; kill -KILL $broker; echo again >&3"
test "$(user "$1" tail -n 1 "$1/mnt/topics/t/q0")" = again
user "$1" fusermount3 -u "$1/mnt"
END
if ! unshare -m bash -c "mount --bind '$work/fuse' /dev/fuse && : < /dev/fuse" 2> /dev/null; then
	skip "device nodes do not work in $work"
fi
unshare -m bash "$work/inside" "$work" >&9 2>&9
eventually 10 test ! -e "$work/home/.local/state/mqfs/abort"
