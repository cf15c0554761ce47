#!/bin/bash
# Reading a group's queue read-only only peeks; reading it read-write to the end drains it.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
echo 'before the subscription' >> "$mnt/topics/t/q0"
mkdir -p "$mnt/groups/g/t"
q=$mnt/groups/g/t/q0
want "" "$(cat "$q")" "a subscription starts at the end"
seq_lines 1 3 >> "$mnt/topics/t/q0"

want "$(seq_lines 1 3)" "$(cat "$q")" "a peek"
want "$(seq_lines 1 3)" "$(cat "$q")" "another peek"
want 3 "$(cat "$q.lag")" "lag after peeking"
want 1 "$(cat "$q.offset")" "offset after peeking"

want "$(seq_lines 1 3)" "$(cat <> "$q")" "draining"
want 0 "$(cat "$q.lag")" "lag after draining"
want 4 "$(cat "$q.offset")" "offset after draining"
want "" "$(cat "$q")" "nothing is left to peek at"

# Position 0 is the committed offset at open; writing is not what it is for.
echo 'line 4' >> "$mnt/topics/t/q0"
want 'line 4' "$(cat "$q")" "after the committed offset"
if bash -c "echo x >> '$q'" 2> /dev/null; then fail "appended to a group's queue"; fi

# With consumeFromWhere=first a subscription starts at the first message.
mkdir "$mnt/groups/h"
sed -i 's/^consumeFromWhere.*/consumeFromWhere = first/' "$mnt/groups/h/config" 2> /dev/null ||
	echo 'consumeFromWhere = first' > "$mnt/groups/h/config"
mkdir "$mnt/groups/h/t"
want 'before the subscription' "$(head -n 1 "$mnt/groups/h/t/q0")" "the first message"
want 0 "$(cat "$mnt/groups/h/t/q0.offset")" "the first offset"
