#!/bin/bash
# An mqremoted that has been taken over is ended at its first lie, with a line in the log, and the next
# one is started: files are served meanwhile, what was stored before is there, and nothing of a lie is.
. "$top_builddir/tests/functions.sh"
requires_fuse

built=$(readlink -f "$top_builddir")
liar=$built/tests/lying_mqremoted
brokers=4		# each waits longer from one start to the next, so they share the lies
export MQREMOTED=$work/mqremoted
printf '#!/bin/sh\nexec "%s" "%s" "%s" "%s"\n' \
	"$liar" "$work/runs" "$work/stored" "$built/remoting/mqremoted" > "$MQREMOTED"
chmod 755 "$MQREMOTED"

fds() { find "/proc/${daemons[$1]}/fd" -mindepth 1 | wc -l; }
few_fds() { [ "$(fds "$1")" -lt $((before[$2] + 10)) ]; }
topics() { echo "$work"/mnt[0-9]/topics/t; }

ports=() before=()
for ((i = 0; i < brokers; i++)); do
	ports[i]=$(free_port)
	start_mqfs "$work/store$i" "$work/mnt$i" -o "listen=127.0.0.1,listenPort=${ports[i]},remotingUser=$(id -un)"
	before[i]=$(fds "$work/mnt$i")
	mkdir "$work/mnt$i/topics/t"
done

# The lies, while files are written and read.  The last run of each broker is an honest one.
"$liar" | sort > "$work/lies"
runs=$(($(wc -l < "$work/lies") + brokers))
written=0
all_told() {
	written=$((written + 1))
	for topic in $(topics); do
		echo "line $written" >> "$topic/q0"
		[ "$(tail -n 1 "$topic/q0")" = "line $written" ] || fail "$topic/q0 is not served"
	done
	[ "$(stat -c %s "$work/runs")" -ge "$runs" ]
}
eventually 60 all_told
each_line() { awk '/the line before was repeated/ { for (n = $(NF - 1); n > 0; n--) print last; next } { print last = $0 }' "$@"; }
each_line "$work"/mqfs.*.log |		# two lies are told in the same words
	sed -nE 's/.*mqremoted(:| was ended:) (mqremoted )?((submits|sends|link:) .*)/\3/p' | sort > "$work/logged"
want_same "$work/lies" "$work/logged" "each lie is logged, once"

# An honest one serves clients at last.
for ((i = 0; i < brokers; i++)); do
	eventually 20 is_listened_to "${ports[i]}"
	mkdir "$work/mnt$i/topics/after"
	"$built/tests/bench/remote" send "${ports[i]}" after 1 1 16 100 100 >&9 || fail "no sends afterwards"
	within 20 few_fds "$work/mnt$i" "$i" || fail "descriptors: ${before[i]}, then $(fds "$work/mnt$i")"
done

for topic in $(topics); do
	want "$(seq -f 'line %.0f' "$written")" "$(cat "$topic/q0")" "what was written to files"
	want '' "$(cat "$topic/q2")" "of lies"
done
want "$(sort "$work/stored")" "$(cat "$work"/mnt[0-9]/topics/t/q1 | sort)" "what was stored before the lies"
for ((i = 0; i < brokers; i++)); do
	stop_mqfs "$work/mnt$i"
	fsck.mqfs -n "$work/store$i" > "$work/fsck" || fail "fsck: $(cat "$work/fsck")"
done
