#!/bin/bash
# What an old master had alone is cut when it follows the new one; the note beside it says how
# the messages get to the new master, and they do.
. "$top_builddir/tests/functions.sh"
requires_fuse

port=$(free_port)
old=$work/old new=$work/new
mkdir "$old" "$new"
small=mappedFileSizeCommitLog=65536,maxMessageSize=20000,haSendHeartbeatInterval=300
follow() { echo "role=slave,master=127.0.0.1:$(($1 + 1)),$small"; }
status() { cat "$1/status/$2"; }

start_mqfs "$work/o" "$old" -o "haListen=127.0.0.1,listenPort=$port,$small"
mkdir "$old/topics/t"
seq_lines 1 100 >> "$old/topics/t/q0"
start_mqfs "$work/n" "$new" -o "haListen=127.0.0.1,listenPort=$((port + 5)),$(follow "$port")"
eventually 20 caught_up "$old" "$new"

# The new one takes over, while the old one goes on alone.
kill_mqfs "$new"
seq_lines 101 1200 lonely >> "$old/topics/t/q0"
mkdir "$old/topics/other"
printf '{"body":"w\\u00f6rth","tags":"A","keys":"k1","properties":{"P":"x"}}\n' >> "$old/topics/other/q2:format=json"
want 1 "$(wc -l < "$old/topics/other/q2")" "a message of another topic"
stop_mqfs "$old"
start_mqfs "$work/n" "$new" -o "listenPort=$((port + 5)),haListen=127.0.0.1,role=master,$small"
seq_lines 101 200 >> "$new/topics/t/q0"

start_mqfs "$work/o" "$old" -o "haListen=127.0.0.1,listenPort=$port,$(follow $((port + 5)))"
eventually 30 caught_up "$new" "$old"
want "$(seq_lines 1 200)" "$(cat "$old/topics/t/q0")" "messages of the old master that follows"
[ "$(status "$old" lostfound_pieces)" -ge 2 ] || fail "pieces: $(ls "$old/lost+found")"

# As the notes say, on the new master, with copies.
mkdir "$work/copies"
cp "$old"/lost+found/* "$work/copies"
for note in "$work"/copies/*.txt; do
	grep -q '^A slave takes no messages' "$note" || continue
	sed -n 's/^    //p' "$note" | grep -v '^mqdump lost' |
		sed "s,^piece=.*,piece='${note%.txt}'," > "$work/commands"
	(cd "$new" && sh -e "$work/commands" 2> "$work/err") || fail "the advice fails: $(cat "$note" "$work/err")"
done
want "$(seq_lines 1 200; seq_lines 101 1200 lonely)" "$(cat "$new/topics/t/q0")" "messages of the new master"
grep -q '^{"body":"wörth",.*"tags":"A","keys":"k1"' "$new/topics/other/q2:format=json" || fail "the other topic's message"
eventually 20 caught_up "$new" "$old"
want_same "$new/topics/t/q0" "$old/topics/t/q0" "both of them"
