#!/bin/bash
# Every file of config/ and status/ says what it is, in user.mqfs.help; mqfs(5) says the same of status/.
# `./run tests/t_help.sh --write` brings the page up to date.
. "$top_builddir/tests/functions.sh"
requires_fuse

page=$top_srcdir/fs/mqfs.5
begin='^\.\\" From the files themselves' end='^\.\\" Edit again'
start_mqfs "$work/store" "$mnt"
help() { getfattr --only-values -n user.mqfs.help "$1" 2> /dev/null || fail "$1 does not say what it is"; }

for file in "$mnt"/config/*; do
	said=$(help "$file")
	[ "${#said}" -gt 30 ] || fail "$file says no more than: $said"
done
{
	sed -n "/$begin/p" "$page"
	for file in $(find "$mnt/status" -type f | LC_ALL=C sort); do
		printf '.TP\n.I %s\n%s\n' "${file#"$mnt/status/"}" "$(help "$file")" | sed 's/-/\\-/g'
	done
	sed -n "/$end/p" "$page"
} > "$work/wanted.man"
if [ "${1:-}" = --write ]; then
	sed -i -e "/$begin/,/$end/{/$end/!d}" -e "/$end/{r $work/wanted.man
	d}" "$page"
fi
sed -n "/$begin/,/$end/p" "$page" > "$work/page.man"
diff -u "$work/page.man" "$work/wanted.man" >&9 || fail "mqfs(5) says something else: ./run tests/t_help.sh --write"

# A name that is none is told what is near.
for wrong in flushDiskTipe=ASYNC_FLUSH brokerRol=SLAVE 'File_Reserved_Tim=1'; do
	if mount.mqfs -f "$work/other" "$work/no" -o "$wrong" 2> "$work/said"; then fail "$wrong was taken"; fi
	case $wrong,$(grep -o 'the nearest known is .*' "$work/said") in
	flush*,*flushDiskType | broker*,*brokerRole | File*,*fileReservedTime) ;;
	*) fail "$wrong: $(cat "$work/said")" ;;
	esac
	if [ "$wrong" = brokerRol=SLAVE ]; then
		echo "${wrong/=/ = }" > "$work/wrong.conf"
		if mount.mqfs -f "$work/other" "$work/no" -o "conf=$work/wrong.conf" 2> "$work/said"; then fail "it was taken from a file"; fi
		grep -q 'nearest known is brokerRole' "$work/said" || fail "mqfs.conf: $(cat "$work/said")"
	fi
done
