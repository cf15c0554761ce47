#!/bin/bash
# A RocketMQ master that has lost the end of its log, and goes on otherwise, is no longer followed: not while
# its log is shorter than the slave's, and not when it has grown longer; nothing of the slave's changes.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

options=role=slave,haListen=none,haSendHeartbeatInterval=300,$mqfs_small
trouble() { grep -q "$1" "$mnt/status/replication/trouble"; }
is_same() { same_log m s && [ "$(cat "$mnt/status/dispatched")" = "$(cat "$mnt/status/written")" ]; }
log_of() { (cd "$work/$1/commitlog" && sha256sum 0*); }
long=$(printf '%01000d' 7)

start_namesrv
start_broker m
options=$options,master=127.0.0.1:$((port[m] + 1))
start_mqfs "$work/s" "$mnt" -o "$options"
rocketmq <<END
topic 127.0.0.1:${port[m]} Orders 1
batch Orders 0 20 kept
END
eventually 60 is_same
stop_broker m
cp -a "$work/m" "$work/before"

# What the master acknowledges now is not on its disk when the power goes.
start_broker m
rocketmq <<< "batch Orders 0 20 lost $long"
eventually 60 is_same
kill_broker m
rm -r "$work/m"
mv "$work/before" "$work/m"
log_of s > "$work/log"
end=$(cat "$mnt/status/written")

start_broker m
rocketmq <<< "send Orders 0 - - - of another log"
eventually 60 trouble 'its log is another one (or ours is ahead of it)'
want "$end" "$(cat "$mnt/status/written")" "the end of the slave's log, longer than the master's"

rocketmq <<END
batch Orders 0 25 anew $long
batch Orders 0 25 anew $long
END
eventually 60 trouble 'has other bytes than this log .*its log is another one'

# Neither patience nor a remount changes that.
stop_mqfs "$mnt"
start_mqfs "$work/s" "$mnt" -o "$options"
eventually 60 trouble 'has other bytes than this log .*its log is another one'
want "$end" "$(cat "$mnt/status/written")" "the end of the slave's log, shorter than the master's"
want "$(cat "$work/log")" "$(log_of s)" "the slave's log"
want "$(seq_lines 1 20 kept; seq_lines 1 20 "lost $long")" "$(cat "$mnt/topics/Orders/q0")" "what the slave has"
stop_mqfs "$mnt"
sound_store s

# An empty store follows it.
rm -r "$work/s"
start_mqfs "$work/s" "$mnt" -o "$options"
eventually 60 is_same
want "" "$(cat "$mnt/status/replication/trouble")" "the trouble of a slave that began anew"
