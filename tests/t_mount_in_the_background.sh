#!/bin/bash
# Without -f it returns when the mount is usable, and the broker goes on by itself.
. "$top_builddir/tests/functions.sh"
requires_fuse

# A default store is made with all its parents.
export HOME=$work/home XDG_STATE_HOME=$work/home/.state
if [ "$(id -u)" = 0 ]; then store=$work/explicit; else store=; fi
undo let_go_of "$mnt"
# shellcheck disable=SC2086	# none or one word
mount.mqfs $store "$mnt" > "$work/out" 2>&1 < /dev/null
mkdir "$mnt/topics/t"
echo hello >> "$mnt/topics/t/q0"
want "" "$(cat "$work/out")" "what it said"
pid=$(cut -d ' ' -f 1 "${store:-$XDG_STATE_HOME/mqfs}/lock")
want mount.mqfs "$(cat "/proc/$pid/comm")" "who holds the lock"
for thread in mount.mqfs worker answers flusher retention; do
	grep -qx "$thread" "/proc/$pid/task/"*/comm || fail "none of its threads is called $thread"
done
want / "$(readlink "/proc/$pid/cwd")" "its directory"
if [ "$(readlink "/proc/$pid/fd/0")" != /dev/null ]; then fail "it keeps its standard input"; fi

exec 3< "$mnt/topics/t/q0"
if unmount "$mnt" 2> "$work/said"; then fail "unmounted while busy"; fi
grep -qi busy "$work/said" || fail "not busy: $(cat "$work/said")"
exec 3<&-
eventually 5 unmount "$mnt"
eventually 10 is_gone "$pid"
if [ -e "${store:-$XDG_STATE_HOME/mqfs}/abort" ]; then fail "abort is still there"; fi
