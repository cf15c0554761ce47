#!/bin/bash
# A slave can follow a slave: begun in any order, and never at the cost of what it has;
# one that follows itself, or who follows it, says so.
. "$top_builddir/tests/functions.sh"
requires_fuse

small=mappedFileSizeCommitLog=65536,maxMessageSize=20000,haSendHeartbeatInterval=300,haHousekeepingInterval=3000
at() { echo "127.0.0.1:$(($1 + 1))"; }
port_a=$(free_port) port_b=$(free_port) port_c=$(free_port)
for name in a b c; do mkdir "$work/$name"; done
a=$work/a b=$work/b c=$work/c

master() { start_mqfs "$work/store.a" "$a" -o "haListen=127.0.0.1,listenPort=$port_a,$small"; }
slave_b() { start_mqfs "$work/store.b" "$b" -o "role=slave,master=$(at "$port_a"),haListen=127.0.0.1,listenPort=$port_b,$small"; }
same_end() { [ "$(written "$1")" -gt 0 ] && [ "$(written "$1")" = "$(dispatched "$2")" ]; }
trouble() { grep -q "$2" "$1/status/replication/trouble"; }
no_trouble() { [ ! -s "$1/status/replication/trouble" ]; }

# The last of the chain is there first, when nobody has a log.
slave_b
start_mqfs "$work/store.c" "$c" -o "role=slave,master=$(at "$port_b"),haListen=127.0.0.1,listenPort=$port_c,$small"
eventually 20 grep -qx transfer "$c/status/replication/master/state"
want 0 "$(cat "$c/status/replication/master/behind")" "nothing is behind nothing"
eventually 20 trouble "$c" 'a slave itself: .*Connection refused$'
master
mkdir "$a/topics/t"
seq 1000 >> "$a/topics/t/q0"
eventually 30 same_end "$a" "$b"
eventually 30 same_end "$b" "$c"
eventually 20 no_trouble "$c"
want_same "$a/topics/t/q0" "$c/topics/t/q0" "what came through the chain"
grep -q '^mqfs .* 1$' "$c/status/replication/master/broker" || fail "who the master is"

# It has the newest from the master itself, which is gone then: it does not give them up
# for a slave that has not heard of them.
kill_mqfs "$b"
at "$port_a" > "$c/config/master"
seq 1001 2000 >> "$a/topics/t/q0"
eventually 30 same_end "$a" "$c"
kill_mqfs "$a"
slave_b
at "$port_b" > "$c/config/master"
eventually 20 trouble "$c" 'it is a slave itself and has the log up to'
want "$(seq 2000)" "$(cat "$c/topics/t/q0")" "what the slave of the slave has"
want "" "$(ls "$c/lost+found")" "nothing was cut"
master
eventually 30 same_end "$a" "$b"
eventually 30 same_end "$b" "$c"
eventually 20 no_trouble "$c"

# In a circle nobody has a master.
at "$port_c" > "$b/config/master"
circle() { trouble "$b" 'follows this broker, so neither' || trouble "$c" 'follows this broker, so neither'; }
eventually 30 circle
at "$port_b" > "$b/config/master"
eventually 20 trouble "$b" 'it is this broker itself'
at "$port_a" > "$b/config/master"
echo last >> "$a/topics/t/q0"
eventually 30 same_end "$a" "$b"
eventually 30 same_end "$b" "$c"
eventually 20 no_trouble "$b"

# The remoting port in the place of the other one is told by what was asked.
echo "127.0.0.1:$port_a" > "$b/config/master"
eventually 20 trouble "$b" "asked at 127.0.0.1:$((port_a - 1)): Connection refused"
