#!/bin/bash
# A broker is registered at all of its name servers, whichever of them come and go, and
# with what has changed, at once; a slave learns from them who its master is.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

a=$(free_port) b=$((a + 1)) c=$((a + 2))	# name servers
port=$((a + 8)) slave_port=$((a + 13))
declare -A namesrv=()

# start_namesrv PORT   its state is in $work/PORT
start_namesrv() {
	python3 "$top_srcdir/tests/namesrv.py" "$1" "$work/$1" >&9 2>&9 < /dev/null &
	namesrv[$1]=$!
	undo end_namesrv "$1"
	eventually 20 test -e "$work/$1"
}
end_namesrv() {
	[ -n "${namesrv[$1]:-}" ] || return 0
	kill -KILL "${namesrv[$1]}" 2> /dev/null || true
	wait "${namesrv[$1]}" 2> /dev/null || true
	unset "namesrv[$1]"
	rm -f "$work/$1"
}
# knows PORT TEXT...   that name server has a broker with all of these
knows() {
	local line=$work/$1 text
	shift
	[ -e "$line" ] || return 1
	for text; do grep -qF -- "$text" "$line" || return 1; done
}
forgot() { ! grep -q . "$work/$1"; }

servers="127.0.0.1:$a;127.0.0.1:$b;localhost:$c"
start_namesrv "$a"
start_namesrv "$b"
start_mqfs "$work/store" "$mnt" \
	-o "listen=127.0.0.1,listenPort=$port,haListen=127.0.0.1,brokerIP1=127.0.0.1,brokerName=m,namesrvAddr=$servers"
eventually 20 knows "$a" "\"address\": \"127.0.0.1:$port\"" "\"ha\": \"127.0.0.1:$((port + 1))\"" '"id": 0' '"cluster": "DefaultCluster"'
eventually 20 knows "$b" '"name": "m"'
eventually 10 knows "$a" '"BenchmarkTest": [1024, 6]' '"DefaultCluster": [16, 7]' '"m": [1, 7]' \
	'"DefaultCluster_REPLY_TOPIC": [1, 6]'
if knows "$a" TBW102; then fail "topics are made after TBW102, which nobody wants"; fi
echo true > "$mnt/config/autoCreateTopicEnable"
eventually 10 knows "$a" '"TBW102": [8, 7]'
echo false > "$mnt/config/autoCreateTopicEnable"
made_no_more() { knows "$a" '"m": [1, 7]' && ! knows "$a" TBW102; }
eventually 10 made_no_more

# What a file changes is in the route.
mkdir "$mnt/topics/orders"
eventually 10 knows "$a" '"orders": [8, 6]'
eventually 10 knows "$b" '"orders": [8, 6]'
sed 's/^perm = .*/perm = r/' "$mnt/topics/orders/config" > "$work/config"
cat "$work/config" > "$mnt/topics/orders/config"
eventually 10 knows "$b" '"orders": [8, 4]'
rmdir "$mnt/topics/orders"
gone() { knows "$a" '"name": "m"' && ! knows "$a" orders; }
eventually 10 gone
echo 4 > "$mnt/config/brokerPermission"
mkdir "$mnt/topics/orders"
eventually 10 knows "$a" '"orders": [8, 4]'
echo 6 > "$mnt/config/brokerPermission"
eventually 10 knows "$a" '"orders": [8, 6]'

mkdir "$mnt/groups/g"
eventually 10 knows "$a" '"%RETRY%g": [1, 6]'

# One that was away, and one that was never there before.
end_namesrv "$a"
mkdir "$mnt/topics/more"
start_namesrv "$c"
eventually 30 knows "$c" '"more": [8, 6]'
start_namesrv "$a"
eventually 30 knows "$a" '"more": [8, 6]'

# A slave that was not told of a master.
echo hello >> "$mnt/topics/orders/q0"
start_mqfs "$work/slave_store" "$work/slave" -o "brokerRole=SLAVE,brokerId=1,brokerName=m,brokerIP1=127.0.0.1" \
	-o "listen=127.0.0.1,listenPort=$slave_port,namesrvAddr=$servers,compressedRegister,forceRegister=false"
eventually 20 knows "$b" '"id": 1' "\"address\": \"127.0.0.1:$slave_port\""
has_it() { [ "$(cat "$work/slave/topics/orders/q0")" = hello ]; }
eventually 30 has_it
want "127.0.0.1:$((port + 1))" "$(cat "$work/slave/config/master")" "the slave's master"
eventually 20 knows "$b" '"id": 1' '"more": [8, 6]'

stop_mqfs "$work/slave"
stop_mqfs "$mnt"
for server in "$a" "$b" "$c"; do
	eventually 5 forgot "$server"
done
