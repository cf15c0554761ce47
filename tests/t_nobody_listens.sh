#!/bin/bash
# A broker that nobody was told to follow listens nowhere and runs no mqrepld, whatever its
# role was in between; so no local user gets past the modes of its files.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)

# No socket of the broker or its children but those to systemd and to each other.
children() { cat /proc/"${daemons[$mnt]}"/task/*/children; }
no_mqrepld() { [ "$(cat "$mnt/status/mqrepld")" = 0 ] && [ -z "$(children)" ]; }
an_mqrepld() { [ "$(cat "$mnt/status/mqrepld")" != 0 ]; }
nobody_listens() {
	local p
	for p in $((port - 2)) "$port" $((port + 1)); do
		if is_listened_to "$p"; then fail "somebody listens on port $p $1"; fi
	done
}

start_mqfs "$work/store" "$mnt" -o "listenPort=$port"
want none "$(cat "$mnt/config/haListen")" "haListen by default"
mkdir -m 700 "$mnt/topics/t"
echo secret >> "$mnt/topics/t/q0"
no_mqrepld || fail "an mqrepld runs: $(cat "$mnt/status/mqrepld"), $(children)"
nobody_listens "of a master"
want "" "$(cat "$mnt/status/replication/trouble")" "trouble"

# A SYNC_MASTER that no slave can reach says so.
echo SYNC_MASTER > "$mnt/config/brokerRole"
fails_with EHOSTDOWN bash -c "echo lost >> '$mnt/topics/t/q0'"
eventually 5 grep -q 'haListen=none' "$mnt/status/log"
echo ASYNC_MASTER > "$mnt/config/brokerRole"

# A slave needs one, and does not listen either; when it is the master it has none again.
echo "127.0.0.1:$((port + 6))" > "$mnt/config/master"
echo SLAVE > "$mnt/config/brokerRole"
eventually 20 an_mqrepld
nobody_listens "of a slave"
echo ASYNC_MASTER > "$mnt/config/brokerRole"
eventually 20 no_mqrepld
echo SLAVE > "$mnt/config/brokerRole"
eventually 20 an_mqrepld
echo ASYNC_MASTER > "$mnt/config/brokerRole"
eventually 20 no_mqrepld
echo more >> "$mnt/topics/t/q0"
want $'secret\nmore' "$(cat "$mnt/topics/t/q0")" "what was written"
