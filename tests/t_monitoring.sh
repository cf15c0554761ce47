#!/bin/bash
# Who monitors a broker sees topics, groups, lag, dead letters and slaves, the same in metrics, JSON and tables.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

master=$work/'a"quoted"master' slave=$work/slave
mkdir "$master" "$slave"
port=$(free_port)
metric() { python3 "$top_srcdir/tests/metrics.py" "$@"; }
is_metric() { [ "$(metric "$mnt" "${@:2}")" = "$1" ]; }
promtool_is_content() {
	promtool check metrics < "$1/status/metrics.prom" > "$work/promtool" 2>&1 && [ ! -s "$work/promtool" ] && return
	cat "$work/promtool" >&9
	fail "promtool has something to say of $1/status/metrics.prom"
}
# cell TABLE COLUMN WORD...: of the one row that begins with these words
cell() {
	awk -v column="$2" -v words="${*:3}" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i; n = split(words, w) }
		NR > 1 { for (i = 1; i <= n; i++) if ($i != w[i]) next; print $at }' "$1"
}

mnt=$master
start_mqfs "$work/m" "$mnt" -o "listen=none,haListen=127.0.0.1,listenPort=$port,brokerName=here"
mkdir "$mnt/topics/orders" "$mnt/topics/idle" "$mnt/groups/billing" "$mnt/groups/billing/orders" "$mnt/groups/nobody"
seq_lines 1 30 >> "$mnt/topics/orders/q1"
seq_lines 1 5 >> "$mnt/topics/orders/q3"

# One message was handled, two were sent back: for a retry, and for good.
head -n 1 <> "$mnt/groups/billing/orders/q1" > /dev/null
echo 3 > "$mnt/groups/billing/orders/q1.offset"
sed 's/^retryMaxTimes.*/retryMaxTimes = 0/' "$mnt/groups/billing/config" > "$work/conf"
cat "$work/conf" > "$mnt/groups/billing/config"
echo 1 > "$mnt/groups/billing/orders/q1.retry"
eventually 10 is_metric 1 mqfs_group_dead_messages_total group=billing
want 1 "$(cell "$mnt/status/groups" DEAD billing orders)" "dead letters in status/groups"

want 27 "$(cell "$mnt/groups/billing/lag" LAG orders q1)" "lag of q1"
want 32 "$(cell "$mnt/status/groups" LAG billing orders)" "lag in status/groups"
want 32 "$(metric "$mnt" mqfs_subscription_lag_messages group=billing topic=orders)" "lag, as a metric"
want 0 "$(cell "$mnt/status/groups" LAG nobody -)" "lag of a group without a subscription"
want 35 "$(cell "$mnt/status/topics" MESSAGES orders)" "messages in status/topics"
want - "$(cell "$mnt/status/topics" OLDEST idle)" "the oldest message of a topic that has none"
sooner=$(metric "$mnt" mqfs_subscription_lag_seconds group=billing topic=orders)
is_later() { python3 -c "import sys; sys.exit(not $(metric "$mnt" mqfs_subscription_lag_seconds group=billing topic=orders) > $sooner + 0.2)"; }
eventually 10 is_later

# Who consumes
exec 3<> "$mnt/groups/billing/orders/q3"
want "$$" "$(cell "$mnt/groups/billing/lag" CONSUMER orders q3)" "who consumes q3"
want 1 "$(metric "$mnt" mqfs_group_consumers group=billing)" "consumers of the group"
exec 3>&-
nobody_consumes() { is_metric 0 mqfs_group_consumers group=billing; }
eventually 10 nobody_consumes

# A slave is a peer of its master, and the master of its slave.
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none,brokerId=1,brokerName=here"
eventually 20 caught_up
follows() { is_metric 1 mqfs_replication_peer_connected peer=slave-1 && is_metric 0 mqfs_replication_peer_behind_bytes peer=slave-1; }
eventually 20 follows
want 1 "$(metric "$slave" mqfs_replication_peer_connected peer=master)" "the slave's connection to its master"
want 32 "$(metric "$slave" mqfs_group_lag_messages group=billing)" "lag on the slave"
want 1 "$(metric "$slave" mqfs_info role=SLAVE id=1)" "who the slave is"

for at in "$master" "$slave"; do
	python3 "$top_srcdir/tests/metrics.py" "$at" >&9 || fail "the forms of $at/status differ"
	if command -v promtool > /dev/null; then promtool_is_content "$at"; fi
done

# What the alerts and the dashboard ask for is there.
monitoring=$top_srcdir/contrib/monitoring
python3 "$top_srcdir/tests/dashboard.py" names "$master/status/metrics.prom" "$monitoring/alerts.yml" "$monitoring/dashboard.json" >&9 ||
	fail "contrib/monitoring names metrics that there are not"
if command -v promtool > /dev/null; then
	promtool check rules "$monitoring/alerts.yml" >&9
	promtool test rules "$monitoring/alerts.test.yml" >&9
fi

# What there are too many of is left out, the busiest last; what is left out is counted.
echo 1 > "$mnt/config/metricsTopics"
want 35 "$(metric "$mnt" mqfs_topic_messages_total)" "the only topic that is named is the busiest"
want 32 "$(metric "$mnt" mqfs_group_lag_messages)" "the only group that is named is the one with most lag"
want "2 1" "$(metric "$mnt" mqfs_topics_left_out) $(metric "$mnt" mqfs_groups_left_out)" "what is left out"
want 3 "$(tail -n +2 "$mnt/status/topics" | wc -l)" "lines of status/topics, which has all"
echo 0 > "$mnt/config/metricsTopics"
want 32 "$(metric "$mnt" mqfs_lag_messages)" "sums have what is left out"
if command -v promtool > /dev/null; then promtool_is_content "$mnt"; fi
