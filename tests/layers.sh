#!/bin/bash
# Includes go downstairs only: fs, repl and remoting (neither includes the other), net,
# offsets, store, conf.
# layers.sh [SOURCE_TREE]
set -u

top=${1:-${top_srcdir:-.}}
cd "$top" || exit 1

# floor: what it may include
may_include() {
	case $1 in
	fs) echo 'fs|remoting|repl|net|offsets|store|conf' ;;
	repl) echo 'repl|net|offsets|store|conf' ;;
	remoting) echo 'remoting|net|offsets|store|conf' ;;
	net) echo 'net|offsets|store|conf' ;;
	offsets) echo 'offsets|store|conf' ;;
	store) echo 'store|conf' ;;
	conf) echo 'conf' ;;
	contrib/mqtop) echo 'contrib|conf' ;;	# the rest it knows from the files of a mount
	esac
}

rc=0
for floor in fs repl remoting net offsets store conf contrib/mqtop; do
	[ -d "$floor" ] || continue
	upstairs=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[a-z]+/' "$floor"/*.[ch] |
		grep -vE "\"($(may_include "$floor"))/")
	if [ -n "$upstairs" ]; then
		echo "$floor includes what lies above it or beside it:"
		echo "$upstairs"
		rc=1
	fi
done
exit $rc
