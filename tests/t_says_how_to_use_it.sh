#!/bin/bash
# Every program says how it is used and what it did not understand, and bash and zsh complete
# what it says.
. "$top_builddir/tests/functions.sh"

declare -A usage_status=([mount.mqfs]=1 [mqdump]=2 [fsck.mqfs]=16 [mqrepld]=2 [mqremoted]=2 [mqtop]=2)
declare -A page=([mount.mqfs]=fs/mount.mqfs.8 [mqdump]=store/mqdump.1 [fsck.mqfs]=offsets/fsck.mqfs.8
	[mqrepld]=repl/mqrepld.8 [mqremoted]=remoting/mqremoted.8 [mqtop]=contrib/mqtop/mqtop.1)
PATH=$top_builddir/repl:$top_builddir/remoting:$PATH

# misused PROGRAM WORDS ARGUMENT...
misused() {
	local program=$1 words=$2 rc=0
	shift 2
	"$program" "$@" > "$work/out" 2> "$work/said" < /dev/null || rc=$?
	want "${usage_status[$program]}" $rc "exit status of $program $*"
	want "" "$(cat "$work/out")" "standard output of $program $*"
	grep -qF -- "$program: $words" "$work/said" || fail "$program $*: no '$words' in: $(cat "$work/said")"
	grep -q "^usage: $program" "$work/said" || fail "$program $*: no usage in: $(cat "$work/said")"
	want 2 "$(wc -l < "$work/said")" "lines said by $program $*"
}

programs="mount.mqfs mqdump fsck.mqfs mqrepld mqremoted"
if [ -x "$top_builddir/contrib/mqtop/mqtop" ]; then programs="$programs mqtop"; fi
for program in $programs; do
	"$program" -h > "$work/help"
	"$program" --help > "$work/same"
	want_same "$work/help" "$work/same" "$program -h and --help"
	grep -q "^usage: $program" "$work/help" || fail "$program -h: no usage"
	"$program" -V > "$work/version"
	"$program" --version > "$work/same"
	want_same "$work/version" "$work/same" "$program -V and --version"
	grep -qE '[0-9]+\.[0-9]+' "$work/version" || fail "$program -V: $(cat "$work/version")"
	misused "$program" '-%: unknown option' -%
	misused "$program" '--helpless: unknown option' --helpless
	[[ "$program" = mqre* ]] && continue
	# every flag is in the manual page, and is completed
	COMP_WORDS=("$program" -) COMP_CWORD=1 COMP_LINE="$program -" COMP_POINT=$((${#program} + 2))
	# shellcheck source=/dev/null
	. "$top_srcdir/contrib/completions/mqfs"
	"_${program//./_}" "$program" - "$program"
	for flag in $(grep -oE '^  -[a-zA-Z](, -[a-zA-Z])?' "$work/help" | tr -d ,) --help --version; do
		grep -q -- "${flag//-/\\\\-}" "$top_srcdir/${page[$program]}" || fail "${page[$program]} has no $flag"
		[[ " ${COMPREPLY[*]} " = *" $flag "* ]] || fail "contrib/completions/mqfs has no $flag of $program"
		sed -n "/^$program)/,/;;/p" "$top_srcdir/contrib/completions/_mqfs" | grep -qF -- "$flag" ||
			fail "contrib/completions/_mqfs has no $flag of $program"
	done
done
misused mount.mqfs '-o needs a value' -o
misused mqdump '-t needs a value' -t
misused mqdump 'which store?'
misused fsck.mqfs 'which store?'
misused fsck.mqfs '-n and -y say different things' -n -y /
misused mqrepld 'there is no link to a mount'
misused mqremoted 'there is no link to a mount'

# Settings are completed as the broker knows them.
COMP_WORDS=(mount.mqfs -o flushDisk) COMP_CWORD=2 COMP_LINE='mount.mqfs -o flushDisk' COMP_POINT=23
compopt() { :; }
_mount_mqfs mount.mqfs flushDisk -o
want flushDiskType= "${COMPREPLY[*]}" "what -o flushDisk becomes"
