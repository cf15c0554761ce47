#!/bin/bash
# mqremoted, the mount, or both are killed while clients send: each message that was answered
# with SEND_OK is there, once and whole, and nothing is there that nobody sent.
. "$top_builddir/tests/functions.sh"
requires_fuse

remote=$top_builddir/tests/bench/remote
count=400000
port=$(free_port)
begin() {
	start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un)"
	eventually 20 is_listened_to "$port"
}

# judge TOPIC: against what its producer was answered.
judge() {
	cat "$mnt/topics/$1"/q[0-3] | cut -c 1-16 | sort > "$work/there"
	sort "$work/$1.stored" > "$work/stored"
	want '' "$(uniq -d "$work/there" | head -n 3)" "$1: messages that are there twice"
	want '' "$(comm -13 "$work/there" "$work/stored" | head -n 3)" "$1: messages that were stored and are not there"
	want '' "$(cat "$mnt/topics/$1"/q[0-3] | sed -nE '/^[0-9a-f]{16}x{84}$/!p' | head -n 3)" "$1: what nobody sent"
	[ -s "$work/stored" ] || fail "$1: nothing was stored before the kill"
}

begin
for victim in mqremoted mount both; do
	mkdir "$mnt/topics/$victim"
	"$remote" send "$port" "$victim" 4 8 64 100 "$count" "$work/$victim.stored" >&9 &
	producer=$!
	has_some() { [ "$(wc -l < "$mnt/topics/$victim/q3")" -gt 200 ]; }
	eventually 60 has_some
	remoted=$(cat "$mnt/status/mqremoted")
	[ "$victim" = mount ] || kill -KILL "$remoted"
	[ "$victim" = mqremoted ] || kill_mqfs "$mnt"
	wait_for "$producer"
	if [ "$victim" != mqremoted ]; then begin; fi
	is_another() { local now; now=$(cat "$mnt/status/mqremoted") && [ "$now" != "$remoted" ] && [ "$now" != 0 ]; }
	eventually 60 is_another
	eventually 60 is_listened_to "$port"
	judge "$victim"
	[ "$(wc -l < "$work/stored")" -lt "$count" ] || fail "$victim: was killed too late"
	"$remote" send "$port" "$victim" 4 1 16 100 100 >&9 || fail "$victim: no sends afterwards"
done
