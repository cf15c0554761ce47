#!/bin/bash
# The last 40 lines of a failed test's log, which is all that a run of many tests shows of it, tell which
# line of it failed, why, and what its brokers said last.
. "$top_builddir/tests/functions.sh"

# failing NAME   a test, from standard input, that is to fail; prints the end of its log
failing() {
	{
		cat <<-'END'
			. "$top_builddir/tests/functions.sh"
			for log in mqfs.1 mqfs.2 rocketmq.m; do seq_lines 1 200 "$log" > "$work/$log.log"; done
			printf '\tat some.Java.code\n' >> "$work/rocketmq.m.log"
		END
		cat
	} > "$work/$1.sh"
	if TMPDIR=$work bash "$work/$1.sh" > "$work/$1.log" 2>&1; then fail "$1 passes"; fi
	tail -n 40 "$work/$1.log"
}

# tells WHAT LINE...   of $work/end
tells() {
	local what=$1 line
	shift
	for line in "$@" 'mqfs.1 200' 'mqfs.2 200' 'rocketmq.m 200'; do
		grep -qxF -- "$line" "$work/end" || fail "the log of $what does not end with '$line': $(cat "$work/end")"
	done
}

failing waits > "$work/end" <<'END'
patience=1
is_open() {
	echo "the door is $1"
	[ "$1" = open ]
}
eventually 1 is_open shut
END
tells "a condition that never holds" 'the door is shut' 'waits: FAILED: not within 1 s: is_open shut (line 9)'

failing differs > "$work/end" <<'END'
has() { want "$1" "$(seq 2)" "the numbers"; }
has "$(seq 3)"
END
tells "a wrong value" '-3' 'differs: FAILED: the numbers (line 5)'

failing ends > "$work/end" <<'END'
does() { false; }
does it
END
tells "a command that fails" 'ends: line 4: failed: false (line 5)'
