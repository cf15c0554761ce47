#!/bin/bash
# Log shippers follow qN.parts as files of a log rotator, and ship each message once: through full parts,
# retention, their own restart, and that of the broker.  rsyslog, and syslog-ng where it is installed
# (Debian has one of the two at a time).
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool rsyslogd

# shown SHIPPER: its configuration, as mqfs(5) shows it, for this test's topic
shown() {
	sed -n '/^\.\\" tests\/t_log_shippers: '"$1"'/,/^\.EE/{/^\./d;s/\\-/-/g;s/\\&//g;s/\\e/\\/g;p}' "$top_srcdir/fs/mqfs.5" |
		sed "s#/mnt/mq/topics/orders#$topic#; s#PollingInterval=\"[0-9]*\"#PollingInterval=\"1\"#"
}

rsyslog_begins() {
	mkdir -p "$work/state"
	{
		echo "global(workDirectory=\"$work/state\")"
		printf '%s\n' 'template(name="message" type="string" string="%msg%\n")'
		shown rsyslog | sed "s#^action.*#action(type=\"omfile\" file=\"$shipped\" template=\"message\")#"
	} > "$work/rsyslog.conf"
	grep -q imfile "$work/rsyslog.conf" || fail "mqfs(5) shows no rsyslog"
	rsyslogd -n -i "$work/pid" -f "$work/rsyslog.conf" > "$work/rsyslog.log" 2>&1 9>&- &
	shipper=$!
}

syslog_ng_begins() {
	{
		echo '@version: 3.38'
		shown syslog-ng
		# shellcheck disable=SC2016	# its own word
		printf 'destination d { file("%s" template("$MSG\\n")); };\n' "$shipped"
		echo 'log { source(s_orders); destination(d); };'
	} > "$work/ng.conf"
	grep -q wildcard-file "$work/ng.conf" || fail "mqfs(5) shows no syslog-ng"
	syslog-ng -F --no-caps -f "$work/ng.conf" -R "$work/ng.persist" -c "$work/ng.ctl" -p "$work/ng.pid" \
		> "$work/ng.log" 2>&1 9>&- &
	shipper=$!
}

shipper_ends() { kill "$shipper"; wait "$shipper" || true; }
has_shipped() { [ -e "$shipped" ] && [ "$(wc -l < "$shipped")" -ge "$1" ]; }
# shipped_all N   numbers 1 to N, each once
shipped_all() {
	if ! within $((2 * patience)) has_shipped "$1"; then :; fi
	want "$1" "$(wc -l < "$shipped")" "messages shipped by $name"
	sort -n "$shipped" | cmp -s <(seq "$1") - ||
		fail "$name did not ship each of $1 messages once: $(sort -n "$shipped" | uniq -d | head -n 3)"
}

# ships NAME BEGIN
ships() {
	name=$1 topic=$mnt/topics/$1 shipped=$work/shipped.$1
	local begin=$2 q=$topic/q0
	start_mqfs "$work/store" "$mnt" -o "defaultTopicQueueNums=1$supervise"
	mkdir "$topic"
	seq 1 1000 >> "$q"
	$begin
	shipped_all 1000
	seq 1001 150000 >> "$q"			# two parts become full
	shipped_all 150000
	echo 'trim q0 100000' > "$topic/ctl"	# one goes, the next loses its first messages
	want 00000000000000065536 "$(find "$topic/q0.parts" -type f -printf '%f\n' | sort | head -n 1)" "the first part left"
	seq 150001 150100 >> "$q"
	shipped_all 150100
	shipper_ends
	seq 150101 150200 >> "$q"
	$begin
	shipped_all 150200
	if [ "$supervise" ]; then		# a broker that is killed under its eyes
		kill_broker "$work/store" "$mnt"
		seq 150201 160000 >> "$q"
		shipped_all 160000
	else
		seq 150201 160000 >> "$q"
	fi
	shipper_ends
	stop_mqfs "$mnt"
	start_mqfs "$work/store" "$mnt"
	seq 160001 200000 >> "$q"		# a third part becomes full
	$begin
	shipped_all 200000
	echo purge > "$topic/ctl"
	seq 200001 200100 >> "$q"
	shipped_all 200100
	shipper_ends
	stop_mqfs "$mnt"
}

supervise=
if [ "$(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.9 ]; then supervise=,supervise; fi
ships rsyslog rsyslog_begins
if command -v syslog-ng > /dev/null; then ships syslog-ng syslog_ng_begins; fi
