#!/bin/bash
# A group's queue says which broker to read it from: the group's own, or another one
# when its backlog is more than memory holds.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
printf 'brokerId = 3\nwhichBrokerWhenConsumeSlowly = 5\n' > "$mnt/groups/g/config"
queue=$mnt/groups/g/t/q0
suggested() { xattr suggest_broker_id "$1"; }

want 3 "$(suggested "$queue")" "nothing to read"
seq 100 >> "$mnt/topics/t/q0"
want 3 "$(suggested "$queue")" "a backlog that memory holds"
echo 0 > "$mnt/config/accessMessageInMemoryMaxRatio"
want 5 "$(suggested "$queue")" "a backlog beyond memory"
want 5 "$(suggested "$queue:format=raw")" "the same, with options"
want 3 "$(suggested "$mnt/groups/g/t/q1")" "a queue without a backlog"
echo last > "$queue.offset"
want 3 "$(suggested "$queue")" "all consumed"
echo first > "$queue.offset"
want 5 "$(suggested "$queue")" "from the begin"
echo false > "$mnt/config/slaveReadEnable"
want 0 "$(suggested "$queue")" "slaves are not there to be read"
getfattr --absolute-names -d "$queue" | grep -q '^user.mqfs.suggest_broker_id="0"$'
if suggested "$mnt/groups/g/t/any" 2> /dev/null; then fail "any queue has one"; fi
stop_mqfs "$mnt"
