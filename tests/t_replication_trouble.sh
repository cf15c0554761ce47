#!/bin/bash
# status/replication/trouble has what keeps slaves away as long as it does: a port that is
# taken, a mqrepld that cannot be started, does not stay, or has no descriptor left.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool prlimit

port=$(free_port)
options=haListen=127.0.0.1,listenPort=$port,haSendHeartbeatInterval=300
trouble() { grep -q "$1" "$mnt/status/replication/trouble"; }
no_trouble() { [ ! -s "$mnt/status/replication/trouble" ]; }

# hold PORT   until "$work/go.PORT" is there
hold() {
	rm -f "$work/go.$1" "$work/held"
	python3 - "$1" "$work" <<-'END' &
		import os, socket, sys, time
		s = socket.socket()
		s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		s.bind(("127.0.0.1", int(sys.argv[1])))
		s.listen(1)
		open(sys.argv[2] + "/held", "w")
		while not os.path.exists(sys.argv[2] + "/go." + sys.argv[1]):
		    time.sleep(0.05)
	END
	holder=$!
	eventually 10 test -e "$work/held"
}

for taken in 1 0 -2; do
	hold $((port + taken))
	start_mqfs "$work/store" "$mnt" -o "$options"
	eventually 10 trouble "port $((port + taken)), for .*: Address already in use"
	sleep 0.5				# what mqrepld can do is not what it cannot
	trouble "port $((port + taken)), for" || fail "the taken port $((port + taken)) is no trouble any more"
	touch "$work/go.$((port + taken))"
	wait_for "$holder"
	eventually 20 no_trouble
	stop_mqfs "$mnt"
done

# Of two ports that are taken the one is named that still is.
hold $((port - 2))
first=$holder
hold "$port"
start_mqfs "$work/store" "$mnt" -o "$options"
eventually 10 trouble "Address already in use"
touch "$work/go.$((port - 2))"
wait_for "$first"
eventually 20 trouble "port $port, for .*: Address already in use"
touch "$work/go.$port"
wait_for "$holder"
eventually 20 no_trouble
stop_mqfs "$mnt"

export MQREPLD=$work/mqrepld
start_mqfs "$work/store" "$mnt" -o "$options"
eventually 10 trouble "$MQREPLD: No such file or directory"
printf '#!/bin/sh\nexit 3\n' > "$MQREPLD"
eventually 10 trouble "Permission denied"
chmod 755 "$MQREPLD"
eventually 10 trouble 'mqrepld ended with status 3; it is started again'
cp "$top_builddir/repl/mqrepld" "$work/good"
mv "$work/good" "$MQREPLD"
eventually 20 no_trouble
kill -KILL "$(cat "$mnt/status/mqrepld")"
eventually 10 grep -q 'mqrepld was killed by signal 9' "$mnt/status/log"
eventually 20 no_trouble

# Somebody knocks, and there is no descriptor to let him in.
running() { [ "$(cat "$mnt/status/mqrepld")" != 0 ]; }
eventually 10 running
pid=$(cat "$mnt/status/mqrepld")
id_of() { sed -n "s/^$1:\t\([0-9]*\)\t.*/\1/p" "/proc/$pid/status"; }
as_it() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid="$(id_of Uid)" --regid="$(id_of Gid)" --clear-groups "$@"
	else
		"$@"
	fi
}
limit=$(as_it prlimit --pid "$pid" --nofile --output SOFT --noheadings --raw)
as_it prlimit --pid "$pid" --nofile=3:
exec 5<> "/dev/tcp/127.0.0.1/$((port + 1))"
eventually 10 trouble 'accept: Too many open files'
as_it prlimit --pid "$pid" --nofile="$limit:"
eventually 10 no_trouble
exec 5>&-
