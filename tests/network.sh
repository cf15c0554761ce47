# network.sh - hosts of their own for brokers: network namespaces on one bridge.
#
#	. "$top_builddir/tests/functions.sh"
#	. "$top_srcdir/tests/network.sh"
#	net_open a b c			# hosts; net_address a is what the others call it
#	on_host a start_mqfs ...	# a broker there (its mount is seen everywhere)
#	net_cut a			# the cable is pulled: nobody is told anything
#	net_deaf a b			# what a sends to b gets lost, the rest does not
#	net_heal
#
# shellcheck shell=bash disable=SC2154	# $work is of functions.sh

net_hosts=()
net=mq$$

requires_net() {
	[ "$(id -u)" = 0 ] || skip "network namespaces are made by root"
	ip netns add "$net-probe" 2> /dev/null || skip "no network namespaces here"
	ip netns del "$net-probe"
}

net_address() {
	local i
	for i in "${!net_hosts[@]}"; do
		if [ "${net_hosts[i]}" = "$1" ]; then echo "10.77.0.$((i + 1))"; return; fi
	done
	fail "no host $1"
}

net_mac() { printf '02:00:00:00:00:%02x' "${1##*.}"; }

net_close() {
	local host
	for host in "${net_hosts[@]}" hub; do ip netns del "$net-$host" 2> /dev/null || true; done
}

net_open() {
	local host address
	net_hosts=("$@")
	undo net_close
	ip netns add "$net-hub"
	ip -n "$net-hub" link add bridge type bridge
	ip -n "$net-hub" link set bridge up
	for host; do
		address=$(net_address "$host")
		ip netns add "$net-$host"
		ip link add eth0 netns "$net-$host" address "$(net_mac "$address")" \
			type veth peer name "to-$host" netns "$net-hub"
		ip -n "$net-hub" link set "to-$host" master bridge up
		ip -n "$net-$host" addr add "$address/24" dev eth0
		ip -n "$net-$host" link set lo up
		ip -n "$net-$host" link set eth0 up
	done
	net_heal
}

# Neighbours are given, so that a cut is a cut, and not an unreachable host.
net_heal() {
	local host other
	for host in "${net_hosts[@]}"; do
		ip -n "$net-hub" link set "to-$host" master bridge
		for other in "${net_hosts[@]}"; do
			[ "$other" = "$host" ] || ip -n "$net-$host" neigh replace "$(net_address "$other")" \
				lladdr "$(net_mac "$(net_address "$other")")" nud permanent dev eth0
		done
	done
}

net_cut() { ip -n "$net-hub" link set "to-$1" nomaster; }

net_deaf() {
	ip -n "$net-$1" neigh replace "$(net_address "$2")" lladdr 02:00:00:00:00:ff nud permanent dev eth0
}

# on_host HOST COMMAND...   start_mqfs, or any program
on_host() {
	local host=$1 MQFS_WRAP="nsenter --net=/run/netns/$net-$1 ${MQFS_WRAP:-}"
	shift
	if [ "$1" = start_mqfs ]; then "$@"; else nsenter --net="/run/netns/$net-$host" "$@"; fi
}
