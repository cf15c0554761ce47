#!/bin/bash
# What modes and access lists forbid a process of remotingUser, no client can do over the network.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_root
requires_tool python3 setfacl
chmod 755 "$work"

port=$(free_port)
start_mqfs "$work/store" "$mnt" -o "listen=127.0.0.1,listenPort=$port,remotingUser=nobody"
t=$mnt/topics/t g=$mnt/groups/g
mkdir -p "$t" "$g/t"
echo one >> "$t/q0"
pos=$(sed -n 's/.*"phyOffset":\([0-9]*\).*/\1/p' "$t/q0:format=json")
eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"

# The same attempts by files.
by_files() {
	# shellcheck disable=SC2016
	as_user bash -c 't=$0/topics/t g=$0/groups/g
		echo x >> "$t/q0" && echo append
		head -c 1 "$t/q0" > /dev/null && echo read
		(exec 3<> "$g/t/q0") && { echo pull; echo commit; }
		head -c 1 "$g/t/q0.offset" > /dev/null && echo offset
		mkdir "$0/topics/new" && rmdir "$0/topics/new" && echo make
		mkdir "$0/groups/new" && rmdir "$0/groups/new" && echo group' "$mnt" 2>&9 |
		grep -aoE '(append|read|pull|commit|offset|make|group)$' | xargs || true
}
by_network() { timeout 60 python3 "$top_srcdir/tests/clients.py" "$port" attempts "$pos"; }

# both CAN WHEN: the words of CAN are what either can do
both() {
	want "$1" "$(by_files)" "files, when $2"
	want "$1" "$(by_network)" "the network, when $2"
}

both "read offset" "nothing was changed"
chmod 666 "$t/q0"
both "append read offset" "the queue is writable"
chmod 600 "$t/q0"
both "offset" "the queue is private"
setfacl -m u:nobody:r "$t/q0"
both "read offset" "a list lets the user read it"
chmod 666 "$g/t/q0"
both "read pull commit offset" "and the group's queue is writable"
setfacl -b "$t/q0"
both "offset" "the group's queue is writable, and what it shows is private"
setfacl -m u:nobody:- "$g/t/q0.offset"
chmod 644 "$t/q0"
both "read pull commit" "the offset is hidden by a list"
chmod 700 "$t"
both "" "the topic cannot be entered"
chmod 755 "$t"
chmod 700 "$mnt/topics"
both "" "no topic can be entered"
chmod 755 "$mnt/topics"
chmod 700 "$mnt/groups"
both "read" "no group can be entered"
chmod 777 "$mnt/topics" "$mnt/groups"
both "read pull commit make group" "names can be made"
