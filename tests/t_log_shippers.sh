#!/bin/bash
# rsyslog follows qN.parts as files of a log rotator, and ships each message once: through full parts,
# retention, its own restart, and that of the broker.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool rsyslogd

supervise=
if [ "$(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.9 ]; then supervise=,supervise; fi
start_mqfs "$work/store" "$mnt" -o "defaultTopicQueueNums=1$supervise"
mkdir "$mnt/topics/t"
q=$mnt/topics/t/q0 parts=$mnt/topics/t/q0.parts
shipped=$work/shipped

# As mqfs(5) shows it.
shown=$(sed -n '/^\.\\" tests\/t_log_shippers: rsyslog/,/^\.EE/{/^\./d;s/\\-/-/g;s/\\&//g;s/\\e/\\/g;p}' "$top_srcdir/fs/mqfs.5")
grep -q imfile <<< "$shown" || fail "mqfs(5) shows no rsyslog"
mkdir "$work/state"
{
	echo "global(workDirectory=\"$work/state\")"
	printf '%s\n' 'template(name="message" type="string" string="%msg%\n")'
	sed -e "s#/mnt/mq/topics/orders#$mnt/topics/t#; s#PollingInterval=\"[0-9]*\"#PollingInterval=\"1\"#" <<< "$shown" |
		sed "s#^action.*#action(type=\"omfile\" file=\"$shipped\" template=\"message\")#"
} > "$work/rsyslog.conf"
rsyslogd -N1 -f "$work/rsyslog.conf" > "$work/check" 2>&1 || fail "rsyslog: $(cat "$work/check")"

start_shipper() {
	rsyslogd -n -i "$work/pid" -f "$work/rsyslog.conf" > "$work/rsyslog.log" 2>&1 9>&- &
	shipper=$!
}
stop_shipper() { kill "$shipper"; wait "$shipper" || true; }
has_shipped() { [ -e "$shipped" ] && [ "$(wc -l < "$shipped")" -ge "$1" ]; }
# shipped_all N   numbers 1 to N, each once
shipped_all() {
	if ! within $((2 * patience)) has_shipped "$1"; then :; fi
	want "$1" "$(wc -l < "$shipped")" "messages shipped"
	sort -n "$shipped" | cmp -s <(seq "$1") - || fail "not each of $1 messages was shipped once: $(sort -n "$shipped" | uniq -d | head -n 3)"
}

seq 1 1000 >> "$q"
start_shipper
shipped_all 1000
seq 1001 150000 >> "$q"			# two parts become full
shipped_all 150000
echo 'trim q0 100000' > "$mnt/topics/t/ctl"	# one goes, the next is trimmed
want 2 "$(ls "$parts" | wc -l)" "parts that are left"
seq 150001 150100 >> "$q"
shipped_all 150100
stop_shipper
seq 150101 150200 >> "$q"
start_shipper
shipped_all 150200

# A broker that is killed under its eyes, and one that is mounted anew.
if [ "$supervise" ]; then
	kill_broker "$work/store" "$mnt"
	seq 150201 160000 >> "$q"
	shipped_all 160000
else
	seq 150201 160000 >> "$q"
fi
stop_shipper
stop_mqfs "$mnt"
start_mqfs "$work/store" "$mnt"
seq 160001 200000 >> "$q"		# a third part becomes full
start_shipper
shipped_all 200000
echo purge > "$mnt/topics/t/ctl"
seq 200001 200100 >> "$q"
shipped_all 200100
stop_shipper
