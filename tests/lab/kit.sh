# kit.sh - what the parts of the laboratory share, on top of functions.sh; see README.
#
#	lab_options "cycles=15 seed=$RANDOM" "cycles=1000" "$@"
#
# gives each name its short value, with --long the long one; --NAME VALUE says
# another.  Cycle N's choices depend on seed and N alone: --from N goes on with
# a run that was stopped.
#
# shellcheck shell=bash
. "$top_builddir/tests/functions.sh"

export PYTHONDONTWRITEBYTECODE=1
lab=$top_srcdir/tests/lab
state=$work/state		# of load.py and judge.py

lab_options() {
	local long=$2 word names
	# shellcheck disable=SC2086,SC2034	# words are wanted, by the parts
	declare -g from=1 $1
	names=" from $(sed -E 's/=[^ ]*//g' <<< "$1") "
	shift 2
	while [ $# -gt 0 ]; do
		word=${1#--}
		if [ "$1" = --long ]; then
			# shellcheck disable=SC2086
			declare -g $long
			shift
		elif [ "$word" != "$1" ] && [ $# -gt 1 ] && [[ $names = *" $word "* ]]; then
			declare -g "$word=$2"
			shift 2
		else
			fail "usage: [--long] [--NAME VALUE]..., where NAME is one of:$names"
		fi
	done
}

# choose CYCLE   from here on $RANDOM depends on the cycle
choose() { RANDOM=$((seed * 7919 + $1)); }

# A time of less than so many ms, in seconds.
up_to_ms() {
	local ms=$((RANDOM * 32768 + RANDOM))
	ms=$((ms % $1))
	printf '%d.%03d\n' $((ms / 1000)) $((ms % 1000))
}

sum() { say "sum: $*"; }		# the last line of a part; tests/lab/lab.sh shows it again

# start_load MNT SEED [OPTION...]
start_load() {
	rm -f "$state/going"
	python3 "$lab/load.py" "$1" "$state" "${@:2}" > "$work/load.out" 2>&1 &
	worker=$!
	eventually "$patience" test -e "$state/going"
}

# It has met nothing but what it was told to expect.
stop_load() {
	kill -TERM "$worker" 2> /dev/null || true
	wait_for "$worker" && return 0
	cat "$work/load.out" >&9
	return 1
}

judge() { python3 "$lab/judge.py" "$@"; }

# --- a broker on $mnt, alone or with a slave on $slave ---

master=$mnt slave=$work/slave
paired=no			# yes: there is a slave
lines=0				# that were judged

is_pair() { [ $paired = yes ]; }
running() { [ -n "${daemons[$1]:-}" ]; }

# choose_pair WHICH TURN   alone, pair, or both in turns
choose_pair() {
	paired=no
	if [ "$1" = pair ] || { [ "$1" = both ] && (($2 % 2 == 1)); }; then paired=yes; fi
}

# choose_victim VICTIM...   of a pair; a broker alone is the only one
choose_victim() {
	local n=$((RANDOM % $#))
	shift $n
	victim=master
	# shellcheck disable=SC2034	# the parts use it
	if is_pair; then victim=$1; fi
}

# judge_brokers WHAT [JUDGE_OPTION...]   the one that was harmed, and that its slave is as it is
judge_brokers() {
	local got
	got=$(judge "$mnt" "$state" "${@:2}") || fail "$1"
	lines=$((lines + got))
	if is_pair; then
		eventually 60 caught_up
		judge "$slave" "$state" --slave "$mnt" || fail "$1: the slave"
	fi
}

# --- brokers that have ended ---

# new_load MNT   an empty broker gets what load.py works on
new_load() {
	rm -rf "$state"
	mkdir "$state"
	mkdir "$1/topics/load" "$1/groups/readers" "$1/groups/readers/load"
}

# views_are_the_log STORE [OPTION...]   by the reader that shares nothing with the broker
views_are_the_log() {
	python3 "$top_srcdir/tests/reader/mqstore.py" check "${@:2}" "$1" > "$work/reader.out" 2>&1 && return 0
	cat "$work/reader.out" >&9
	fail "views are not the log"
}

# forget_logs   the brokers' logs so far tell nothing that matters
forget_logs() {
	local log
	for log in "$work"/mqfs.*.log; do
		[ -s "$log" ] || continue
		if grep -qE 'Sanitizer|runtime error|must hold' "$log"; then fail "see $log"; fi
		: > "$log"
	done
}

# fsck_says_clean STORE
fsck_says_clean() {
	fsck.mqfs -n "$1" > "$work/fsck.out" 2>&1 && return 0
	cat "$work/fsck.out" >&9
	fail "fsck finds something in $1"
}

# cut_from_the_log STORE WHO   what recovery has put into lost+found
cut_from_the_log() {
	find "$1/lost+found" -type f -printf "$2: lost+found/%f, %s bytes\n" >&9
}
