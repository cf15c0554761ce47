#!/bin/bash
# The programs that people point at files find in queues what tools.table says they print.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt" -o defaultTopicQueueNums=1
mkdir "$mnt/topics/t" "$mnt/topics/bin" "$mnt/groups/g"
echo 'format = raw' > "$mnt/topics/bin/config"
printf 'one two\n' >> "$mnt/topics/bin/q0"
printf '%s\n' one two three >> "$mnt/topics/t/q0"
mkdir "$mnt/groups/g/t"
export q=$mnt/topics/t/q0 bin=$mnt/topics/bin/q0 g=$mnt/groups/g/t/q0 new out port
port=$(free_port)
count=0 missing=

# run COMMAND WANTED   one row
run() {
	local rc=0
	count=$((count + 1))
	out=$work/scratch.$count
	new=$mnt/topics/new$count/q0
	mkdir "$mnt/topics/new$count"
	echo first > "$g.offset"
	timeout -k 5 "$patience" bash -c "$1" > "$work/printed" 2> "$work/complained" < /dev/null || rc=$?
	if [ $rc = 124 ]; then fail "does not end: $1"; fi
	[ $rc = 0 ] || { head -n 5 "$work/complained" >&9; fail "status $rc: $1"; }
	want "$2" "$(cat "$work/printed")" "$1"
}

# A paragraph at a time: the program, the command, what it prints.
program='' command='' wanted=''
row_ends() {
	if [ -n "$command" ] && command -v "$program" > /dev/null; then
		run "$command" "$wanted"
	elif [ -n "$command" ]; then
		missing="$missing $program"
	fi
	program='' command='' wanted=''
}
while IFS= read -r line <&5; do
	case $line in
	'#'*) ;;
	'') row_ends ;;
	'> '*) wanted=$wanted${wanted:+$'\n'}${line#> } ;;
	*) if [ -z "$program" ]; then program=$line; else command=$line; fi ;;
	esac
done 5< "$top_srcdir/tests/tools.table"
row_ends
if [ -n "$missing" ] && [ "${MQFS_NO_SKIP:-}" = 1 ]; then fail "not installed:$missing"; fi
say "$count commands as they should be${missing:+; not installed:$missing}"
