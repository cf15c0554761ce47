#!/bin/bash
# package.sh BUILD_TREE - the Debian package is installed, upgraded under a mounted store, removed and
# purged, on this very system, of which an overlay keeps all changes.
#
# What is upgraded is the package of the commit before (in a source tree without a history, the same
# package under a lower version).
set -Eeuo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

build=$(cd "$1" && pwd)
top=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)

fail() { echo "package: FAILED: $*" >&2; exit 1; }
want() { [ "$1" = "$2" ] || fail "$3: wanted '$1', got '$2'"; }

# --- inside: $root is the system, in a mount namespace of its own -----------------------

inside() { chroot "$root" "$@"; }
install() { inside apt-get install -qq -y --no-install-recommends "/packages/$1" > "$root/apt.log" 2>&1 || { tail -n 20 "$root/apt.log"; fail "install of $1"; }; }
messages() { inside cat /mnt/mq/topics/t/q0 | tr '\n' ' '; }

as_if_alone() {
	root=$1/root
	mkdir "$root"
	mkdir "$1/changes"
	mount -t tmpfs tmpfs "$1/changes"
	mkdir "$1/changes/upper" "$1/changes/work"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes/upper,workdir=$1/changes/work" "$root"
	for dir in proc sys dev; do mount --rbind "/$dir" "$root/$dir"; done
	mkdir "$root/packages"
	cp "$1"/packages/*.deb "$root/packages/"
	rm -rf "$root/var/lib/mqfs" "$root/usr/local/sbin/mount.mqfs"

	install old.deb
	inside getent passwd _mqfs > /dev/null || fail "there is no user _mqfs"
	inside mkdir -p /mnt/mq
	inside mount -t mqfs /var/lib/mqfs /mnt/mq
	inside sh -c 'mkdir /mnt/mq/topics/t && echo before >> /mnt/mq/topics/t/q0'
	install new.deb
	inside sh -c 'echo during >> /mnt/mq/topics/t/q0'
	want 'before during ' "$(messages)" "messages after the upgrade, still mounted"
	inside umount /mnt/mq
	inside mount -t mqfs /var/lib/mqfs /mnt/mq
	inside mount -o remount,ro /mnt/mq
	inside mount -o remount,rw /mnt/mq
	inside sh -c 'echo after >> /mnt/mq/topics/t/q0'
	want 'before during after ' "$(messages)" "messages of a broker of the new package"
	# shellcheck disable=SC2016	# dpkg-query's
	want "$(inside dpkg-query -W -f '${Version}' mqfs)" "$2" "the version installed"
	inside umount /mnt/mq
	inside fsck.mqfs -n /var/lib/mqfs
	if [ -x "$root/usr/bin/systemd-analyze" ]; then
		inside systemd-analyze verify /usr/lib/systemd/system/mqfs@.service \
			/usr/lib/systemd/system/mqfs-backup@.timer || fail "the units"
	fi
	inside man -w mount.mqfs mqfs mqfs-cookbook mqfs.conf mqrepld fsck.mqfs mqdump mqtop mqfs-backup > /dev/null || fail "a manual page"

	inside apt-get remove -qq -y mqfs > "$root/apt.log" 2>&1 || fail "remove"
	[ ! -e "$root/usr/sbin/mount.mqfs" ] || fail "mount.mqfs is there after remove"
	[ -e "$root/etc/default/mqfs" ] || fail "remove took what only purge takes"
	inside apt-get purge -qq -y mqfs > "$root/apt.log" 2>&1 || fail "purge"
	[ ! -e "$root/etc/default/mqfs" ] || fail "purge left /etc/default/mqfs"
	[ -e "$root/var/lib/mqfs/commitlog/00000000000000000000" ] || fail "purge took the messages"
	echo "package: installed, upgraded, removed, purged"
}

if [ "${2:-}" = inside ]; then
	as_if_alone "$3" "$4"
	exit
fi

# --- outside ---------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || fail "needs root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/packages" "$work/old"

make -s -C "$build" dist > /dev/null
tarball=$(echo "$build"/mqfs-*.tar.xz)
version=$(basename "$tarball" .tar.xz)
version=${version#mqfs-}
"$top/contrib/make-deb" "$tarball" "$version" "$work/packages"
mv "$work/packages"/mqfs_*.deb "$work/packages/new.deb"

if git -C "$top" cat-file -e HEAD~1:contrib/make-deb 2> /dev/null; then
	git -C "$top" archive --prefix=mqfs/ HEAD~1 | tar -x -C "$work/old"
	(cd "$work/old/mqfs" && autoreconf -fi > /dev/null 2>&1)
	tar -C "$work/old" -cJf "$work/old.tar.xz" mqfs
	tarball=$work/old.tar.xz
fi
DEB_BUILD_OPTIONS="noopt noautodbgsym" "$top/contrib/make-deb" "$tarball" "$version~before" "$work/packages"
mv "$work/packages"/mqfs_*.deb "$work/packages/old.deb"

unshare --mount --propagation private "$0" "$build" inside "$work" "$version"
