#!/bin/bash
# The remoting port answers what is asked in both dialects, on the VIP port, too;
# and whoever talks nonsense, or slowly, or too much, harms nobody.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

port=$(free_port)
scene() { timeout 200 python3 "$top_srcdir/tests/remoting.py" "$1" "$2" >&9 2>&9 || fail "$2"; }
rss_kb() { awk '$1 == "VmHWM:" { print $2 }' "/proc/$1/status"; }

start_mqfs "$work/store" "$mnt" -o "listenPort=$port,haListen=127.0.0.1"
mkdir "$mnt/topics/t"
eventually 10 scene "$port" ask
repld=$(cat "$mnt/status/mqrepld")
scene $((port - 2)) ask
scene "$port" pipeline
scene "$port" one_way
scene "$port" garbage
scene "$port" deaf
echo still here >> "$mnt/topics/t/q0"

# The slave of a flooded master is served as if nothing was.
mkdir "$work/slave"
start_mqfs "$work/s" "$work/slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none"
has_it() { [ "$(cat "$work/slave/topics/t/q0")" = "$(cat "$mnt/topics/t/q0")" ]; }
scene "$port" flood
echo and now >> "$mnt/topics/t/q0"
eventually 10 has_it
scene $((port - 2)) slow
want "$repld" "$(cat "$mnt/status/mqrepld")" "mqrepld is the same process"
limit=200000
if keeps_freed; then limit=600000; fi
[ "$(rss_kb "$repld")" -lt $limit ] || fail "mqrepld has taken $(rss_kb "$repld") KiB"

# A port that is taken is a line in the log; all else goes on.
other=$((port + 4))
start_mqfs "$work/store2" "$work/mnt2" -o "listenPort=$port,haListen=127.0.0.1,haListenPort=$other"
eventually 10 grep -q "listen on 127.0.0.1, port $port, for the remoting protocol: Address already in use" \
	"$work/mnt2/status/log"
eventually 10 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$other"
