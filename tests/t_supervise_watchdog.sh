#!/bin/bash
# A supervised broker that hangs is replaced, under open files; one that is only slow is not.
. "$top_builddir/tests/functions.sh"
requires_fuse
[ "$(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || skip "Linux is older than 6.9"
requires_loop
requires_tool "${CC%% *}"

# Who lists lost+found hangs, once, when $HANG is there.
cat > "$work/hang.c" << 'END'
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dirent *
readdir(DIR *dir)
{
	struct dirent *(*real)(DIR *) = dlsym(RTLD_NEXT, "readdir");
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd(dir));
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	while (strstr(path, "/lost+found") && unlink(getenv("HANG")) == 0)
		for (;;)
			pause();
	return real(dir);
}

struct dirent64 *readdir64(DIR *) __attribute__((alias("readdir")));
END
# shellcheck disable=SC2086	# words are wanted
$CC -shared -fPIC -o "$work/hang.so" "$work/hang.c"
export HANG=$work/hang
MQFS_WRAP="${MQFS_WRAP:-} env LD_PRELOAD=$work/hang.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0"

loop_disk ext4 200M "$work/disk"
small=haListen=none,mappedFileSizeCommitLog=4194304,maxMessageSize=65536
start_mqfs "$work/disk/store" "$mnt" -o "supervise,watchdog=2,$small"
log() { echo "$work/mqfs.$daemon_count.log"; }
deaths() { grep -c 'was killed by' "$(log)" || true; }
has() { [ "$(cat "$mnt/topics/t/q0")" = "$1" ]; }
# Has the broker served so many seconds?  Then its death is no quick one.
steady() { [ "$(cat "$mnt/status/uptime")" -ge "$1" ]; }
mkdir "$mnt/topics/t"
echo one >> "$mnt/topics/t/q0"

# A disk that does not answer for a while.  (No file is open here: a process ends only
# when the broker has heard that its files are closed.)
fsfreeze -f "$work/disk"
thaw() { fsfreeze -u "$work/disk" 2> /dev/null || true; }
undo thaw
echo two >> "$mnt/topics/t/q0" &
writers=($!)
timeout 60 dd if=/dev/zero bs=64k count=64 status=none >> "$mnt/topics/t/q1:format=raw" &
writers+=($!)
sleep 6
want 0 "$(deaths)" "deaths while the disk was frozen"
thaw
wait_for "${writers[@]}"
want 0 "$(cat "$mnt/status/restarts")" "restarts while the disk was frozen"

# A broker that is stopped: who has files open goes on.
stands_still() { is_stopped "$1" || is_gone "$1"; }
exec 5>> "$mnt/topics/t/q0"
was=$(broker_of "$work/disk/store")
kill -STOP "$was"
eventually 20 stands_still "$was"
echo three >&5
if [ "$(broker_of "$work/disk/store")" = "$was" ]; then fail "it is the same broker"; fi
want 1 "$(cat "$mnt/status/restarts")" "restarts"
grep -q 'the broker hangs: for 2 s it was stopped' "$(log)" || fail "the log does not say why"
want "one two three" "$(tr '\n' ' ' < "$mnt/topics/t/q0" | sed 's/ $//')" "what was written"

exec 5>&-

# One that hangs in a single request, while others are served.
: > "$HANG"
cat "$mnt/status/lostfound_pieces" > "$work/pieces" &
reader=$!
while [ -e "$HANG" ]; do sleep 0.05; done
echo served >> "$mnt/topics/t/q2"
wait_for "$reader"
want 0 "$(cat "$work/pieces")" "what the next broker answers"
grep -q 'the broker hangs: for 2 s it has not got on with a request' "$(log)" || fail "the log does not say why"
want 2 "$(cat "$mnt/status/restarts")" "restarts"

# Switched off it does nothing, and that is kept by the brokers to come.
eventually "$patience" steady 2
echo 0 > "$mnt/config/watchdog"
kill -KILL "$(broker_of "$work/disk/store")"
want 3 "$(cat "$mnt/status/restarts")" "restarts"
want 0 "$(cat "$mnt/config/watchdog")" "the setting"
broker=$(broker_of "$work/disk/store")
kill -STOP "$broker"
eventually 20 is_stopped "$broker"
echo four >> "$mnt/topics/t/q0" &
writer=$!
sleep 5
want T "$(state_of "$broker")" "a broker without a watchdog"
kill -CONT "$broker"
wait_for "$writer"
echo 2 > "$mnt/config/watchdog"

# Again and again, as a request may be what hangs it: the third in a row mounts anew.
exec 5>> "$mnt/topics/t/q0"
for ((i = 0; i < 3; i++)); do
	eventually "$patience" timeout 5 stat "$mnt/README"
	if grep -q 'mounts anew' "$(log)"; then break; fi
	kill -STOP "$(broker_of "$work/disk/store")"
	timeout 60 stat "$mnt/topics/t" > "$work/out" 2>&1 || true
done
eventually "$patience" grep -q 'mounts anew' "$(log)"
eventually "$patience" has "$(printf '%s\n' one two three four)"
if echo five 2> "$work/err" >&5; then fail "an open file of the old mount works"; fi
exec 5>&- || true
