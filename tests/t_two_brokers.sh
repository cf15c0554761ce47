#!/bin/bash
# Two brokers on one machine, with all defaults, do not meet; so do two instances of the unit.
. "$top_builddir/tests/functions.sh"
requires_fuse

listens() { ss -H -l -t -p | grep "pid=$1," || true; }
works() {
	mkdir "$1/topics/t" "$1/groups/g" "$1/groups/g/t"
	echo "$2" >> "$1/topics/t/q0"
	want "$2" "$(cat "$1/topics/t/q0")" "what is in $1"
	want "$2" "$(cat <> "$1/groups/g/t/q0")" "what is consumed in $1"
}

start_mqfs "$work/a" "$work/mnt.a"
start_mqfs "$work/b" "$work/mnt.b"
works "$work/mnt.a" one
works "$work/mnt.b" other
want one "$(cat "$work/mnt.a/topics/t/q0")" "what is in the first one still"
for at in "$work/mnt.a" "$work/mnt.b"; do
	want "" "$(listens "${daemons[$at]}")" "who listens"
	if grep -i 'port\|address' "$at/status/log" >&9; then fail "its log has words about ports"; fi
done
stop_mqfs "$work/mnt.a"
stop_mqfs "$work/mnt.b"

# What systemd does with contrib/mqfs@.service, as far as it concerns which broker is started.
# unit_line INSTANCE PATH   its command line, with the environment of that instance
# shellcheck disable=SC1090,SC2034	# files of the test, variables of the unit
unit_line() {
	local instance=$1 path=$2 line MQFS_STORE='' MQFS_OPTIONS=''
	while IFS= read -r line; do
		line=${line//%i/$instance} line=${line//%f/$path}
		line=${line//\/etc\/default/$work\/default} line=${line//\/var\/lib/$work\/lib}
		case $line in
		Environment=*) eval "${line#*=}" ;;
		EnvironmentFile=-*) if [ -e "${line#*=-}" ]; then . "${line#*=-}"; fi ;;
		ExecStart=*) eval "echo \"${line#*=/usr/sbin/}\"" ;;
		esac
	done < "$top_srcdir/contrib/mqfs@.service"
}
mkdir "$work/default" "$work/lib"
echo "MQFS_OPTIONS=ro" > "$work/default/mqfs"
echo "MQFS_STORE=$work/lib/mqfs-test MQFS_OPTIONS=rw,supervise" > "$work/default/mqfs-mnt-test"
want "mount.mqfs -f $work/lib/mqfs /mnt/mq -o ro" "$(unit_line mnt-mq /mnt/mq)" "one instance"
want "mount.mqfs -f $work/lib/mqfs-test /mnt/test -o rw,supervise" "$(unit_line mnt-test /mnt/test)" "the other"
rm "$work/default/mqfs"

# unit_starts INSTANCE PATH
unit_starts() {
	mkdir -p "$2"
	# shellcheck disable=SC2046	# words are wanted
	setsid $(unit_line "$1" "$2") > "$work/mqfs.$1.log" 2>&1 9>&- < /dev/null &
	daemons[$2]=$!
	undo end_mqfs "$2" "$!"
	eventually "$patience" is_up_or_dead "$!" "$2"
	works "$2" "$1"
}
unit_starts mnt-mq "$work/mnt.mq"
unit_starts mnt-test "$work/mnt.test"
want mnt-mq "$(cat "$work/mnt.mq/topics/t/q0")" "what is in the first instance still"
stop_mqfs "$work/mnt.mq"
stop_mqfs "$work/mnt.test"
if command -v systemd-analyze > /dev/null; then
	cp "$top_srcdir/contrib/mqfs@.service" "$work/mqfs@.service"
	sed -i "s#/usr/sbin/mount.mqfs#$(command -v mount.mqfs)#" "$work/mqfs@.service"
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$work/mqfs@mnt-test.service" 2> "$work/verify" || true
	if grep -F 'mqfs@' "$work/verify" >&9; then fail "systemd-analyze does not like the unit"; fi
fi
