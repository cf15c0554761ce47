#!/bin/bash
# Consumers killed at any moment lose nothing, and only the last message comes again.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
n=0

# consume SHELL SUFFIX-OF-q0   writes down what it handles, until it is killed
consume() {
	# shellcheck disable=SC2016	# it is for the other shell
	exec "$1" -c 'while IFS= read -r m; do echo "$m" >> "$2"; done <> "$1"' \
		"$1" "$mnt/groups/g/t/q0$2" "$work/handled.$n"
}

shells=(bash)
suffixes=('' ':follow')
if command -v dash > /dev/null; then shells+=(dash); fi
for round in {1..32}; do
	n=$round
	seq $((round * 1000 - 999)) $((round * 1000)) >> "$mnt/topics/t/q0"
	: > "$work/handled.$n"
	consume "${shells[round % ${#shells[@]}]}" "${suffixes[round / 2 % 2]}" 2> /dev/null &
	pid=$!
	disown "$pid"
	eventually 10 test -s "$work/handled.$n"
	sleep "0.0$((RANDOM % 10))"
	kill -KILL "$pid" 2> /dev/null || true	# a quick one has come to the end, and ended
	eventually 5 is_gone "$pid"
done
# the rest of it
seq 32001 32100 >> "$mnt/topics/t/q0"
cat <> "$mnt/groups/g/t/q0" > "$work/handled.33"

python3 - "$work" << 'END'
import sys
last = 0
for n in range(1, 34):
    with open("%s/handled.%d" % (sys.argv[1], n)) as f:
        numbers = [int(line) for line in f]
    assert numbers, "consumer %d was given nothing" % n
    assert numbers[0] in (last, last + 1), "consumer %d began at %d after %d" % (n, numbers[0], last)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "consumer %d: a gap" % n
    last = numbers[-1]
assert last == 32100, last
END
want 32100 "$(cat "$mnt/groups/g/t/q0.offset")" "committed by the reader of the rest"
