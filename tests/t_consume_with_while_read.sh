#!/bin/bash
# `while read` on a group's queue commits a message when it asks for the next one.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool dash

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
for shell in bash dash; do
	group=$mnt/groups/$shell
	mkdir -p "$group/t"
	seq_lines 1 5 "$shell" >> "$mnt/topics/t/q0"
	want 5 "$(cat "$group/t/q0.lag")" "lag before"

	# It dies in the middle of the third.
	# shellcheck disable=SC2016	# for the inner shell
	"$shell" -c 'while IFS= read -r m; do echo "$m"; if [ "$m" = "$0 3" ]; then kill -KILL $$; fi; done <> "$1"' \
		"$shell" "$group/t/q0" > "$work/handled" || true
	want "$(seq_lines 1 3 "$shell")" "$(cat "$work/handled")" "what the first $shell handled"
	eventually 5 test "$(cat "$group/t/q0.lag")" = 3

	# The next one has the third again, and no other.
	eventually 5 bash -c ": <> '$group/t/q0'"
	# shellcheck disable=SC2016
	"$shell" -c 'while IFS= read -r m; do echo "$m"; done <> "$1"' "$shell" "$group/t/q0" > "$work/handled"
	want "$(seq_lines 3 5 "$shell")" "$(cat "$work/handled")" "what the second $shell handled"
	want 0 "$(cat "$group/t/q0.lag")" "lag after"
done

# A consumer that stops by itself has its last message again.
seq_lines 1 3 >> "$mnt/topics/t/q0"
q=$mnt/groups/bash/t/q0
first() { while IFS= read -r m; do echo "$m"; break; done <> "$q"; }
want 'line 1' "$(first)" "taken once"
eventually 5 bash -c ": <> '$q'"
want 'line 1' "$(first)" "and again"
