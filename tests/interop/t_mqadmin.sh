#!/bin/bash
# mqadmin, walked through command by command, says the same of an mqfs broker as of a Java one.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq
requires_tool python3

walk=$interop/mqadmin.walk

# walk NAME   all of it, in one process, at the broker of that name
walk() {
	mkdir "$work/dir.$1"
	grep -v '^#' "$walk" | cut -f 2 | grep . | (cd "$work/dir.$1" && timeout 300 "${java_command[@]}" \
		-cp "$(classpath_of Driver)" Tools "$namesrv" "127.0.0.1:${port[$1]}" "$work/dir.$1" \
		> "$work/walk.$1" 2> "$work/walk.$1.err") || fail "the walk at $1: $(tail -n 5 "$work/walk.$1.err")"
}

[ "$built/Tools.class" -nt "$interop/Tools.java" ] || javac -cp "$(jars_of "$oldest")" -d "$built" "$interop/Tools.java"

# What the manual says of each command is about these.
"${java_command[@]}" -cp "$(jars_of "$oldest")" org.apache.rocketmq.tools.command.MQAdminStartup |
	sed -n 's/^   \([a-zA-Z]*\) .*/\1/p' | sort > "$work/commands"
[ "$(wc -l < "$work/commands")" -gt 50 ] || fail "mqadmin lists no commands"
sed -n '/^command\t/,/^\.TE/s/^\([a-zA-Z, ]*\)\t.*/\1/p' "$top_srcdir/remoting/mqremoted.8" |
	sed 1d | tr -s ', ' '\n' | sort > "$work/told"
want "$(cat "$work/commands")" "$(cat "$work/told")" "the commands that the manual tells of"

# Both at once, each with its name server.  A Java broker makes the topic of half messages when it first
# checks them, a minute after its start if not told otherwise: in the midst of a slow walk.
start_namesrv
start_broker java autoCreateTopicEnable=false traceTopicEnable=true transactionCheckInterval=3600000
(walk java) &
java_walk=$!
rm "$work/rocketmq.namesrv.log"
start_namesrv
port[mqfs]=$(free_port)
start_mqfs "$work/store" "$mnt" -o "$mqfs_small,listen=127.0.0.1,listenPort=${port[mqfs]},brokerIP1=127.0.0.1" \
	-o "brokerName=interop,namesrvAddr=$namesrv,remotingUser=$(id -un),traceTopicEnable"
walk mqfs
wait "$java_walk"
python3 "$interop/walked.py" "$walk" "$work/walk.java" "$work/walk.mqfs" >&9 || fail "mqadmin says something else"
want 70 "$(cat "$mnt/config/fileReservedTime")" "the setting that mqadmin has changed"
stop_mqfs "$mnt"
sound_store store
