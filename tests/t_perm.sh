#!/bin/bash
# perm in a topic's config binds everybody, root too; so does consumeEnable in a group's.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
set_perm() {
	sed "s/^perm = .*/perm = $1/" "$mnt/topics/t/config" > "$work/conf"
	cat "$work/conf" > "$mnt/topics/t/config"
}

echo one >> "$mnt/topics/t/q0"
set_perm r
fails_with EACCES bash -c "echo x >> '$mnt/topics/t/q0'"
want one "$(cat "$mnt/topics/t/q0")" "a topic that is only read"
set_perm w
echo two >> "$mnt/topics/t/q0"
fails_with EACCES cat "$mnt/topics/t/q0"
fails_with EACCES cat "$mnt/groups/g/t/q0"
set_perm rw
want 2 "$(wc -l < "$mnt/topics/t/q0")" "messages"

# a group that does not consume: not by files, either; to look, and to set its offset, is allowed
echo 'consumeEnable = false' > "$mnt/groups/g/config"
for name in q0 all any any:follow; do
	fails_with EACCES bash -c ": <> '$mnt/groups/g/t/$name'"
done
grep -q 'groups/g/config: consumeEnable is false' "$mnt/status/log" || fail "no reason: $(tail -n 3 "$mnt/status/log")"
echo first > "$mnt/groups/g/t/q0.offset"
want 2 "$(wc -l < "$mnt/groups/g/t/q0")" "messages to peek at"
echo 'consumeEnable = true' > "$mnt/groups/g/config"
want "$(printf 'one\ntwo')" "$(cat <> "$mnt/groups/g/t/q0")" "what is consumed again"

# who may not read a topic may not have a group read it, either
if [ "$(id -u)" = 0 ]; then
	chmod 755 "$work"
	chmod 1777 "$mnt/groups"
	as_user mkdir "$mnt/groups/theirs" "$mnt/groups/theirs/t"
	rmdir "$mnt/groups/theirs/t"
	chmod 750 "$mnt/topics/t"
	fails_with EACCES as_user mkdir "$mnt/groups/theirs/t"
	chown 65534 "$mnt/topics/t"
	as_user mkdir "$mnt/groups/theirs/t"
fi
