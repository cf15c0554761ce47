#!/bin/bash
# Prometheus has the metrics of two brokers of this machine by way of node_exporter, loads the alerts, and has an
# answer to everything that the dashboard asks.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3 prometheus prometheus-node-exporter

monitoring=$top_srcdir/contrib/monitoring
port=$(free_port)
exporter=127.0.0.1:$((port + 5)) prometheus=127.0.0.1:$((port + 6))
slave=$work/slave

# start WHAT ADDRESS COMMAND...: ended with the test
start() {
	local what=$1 address=$2
	shift 2
	"$@" > "$work/$what.log" 2>&1 < /dev/null 9>&- &
	eventually 20 listens_or_gone $! "$address"
	is_listened_to "${address#*:}" || fail "$what ended: $(tail -n 3 "$work/$what.log")"
}
listens_or_gone() { is_gone "$1" || is_listened_to "${2#*:}"; }

start_mqfs "$work/store" "$mnt" -o "haListen=127.0.0.1,listenPort=$port"
start_mqfs "$work/store2" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none"
mkdir "$mnt/topics/orders" "$mnt/groups/billing" "$mnt/groups/billing/orders"
seq_lines 1 100 >> "$mnt/topics/orders/q0"

# As mqfs(5) says
mkdir "$work/textfile"
ln -s "$mnt/status/metrics.prom" "$work/textfile/mq.prom"
ln -s "$slave/status/metrics.prom" "$work/textfile/slave.prom"
start exporter "$exporter" prometheus-node-exporter --web.listen-address="$exporter" \
	--collector.disable-defaults --collector.textfile --collector.textfile.directory="$work/textfile"
cat > "$work/prometheus.yml" <<-END
	global: { scrape_interval: 1s, evaluation_interval: 1s }
	rule_files: [ "$monitoring/alerts.yml" ]
	scrape_configs:
	  - job_name: mqfs
	    static_configs: [ { targets: [ "$exporter" ] } ]
END
start prometheus "$prometheus" prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
	--web.listen-address="$prometheus"

# rows EXPRESSION: how many series it has now
rows() {
	python3 - "http://$prometheus/api/v1/query?" "$1" <<-'END'
		import json, sys, urllib.parse, urllib.request
		with urllib.request.urlopen(sys.argv[1] + urllib.parse.urlencode({"query": sys.argv[2]}), timeout=20) as answer:
		    print(len(json.load(answer)["data"]["result"]))
	END
}
are_rows() { [ "$(rows "$2")" = "$1" ]; }
eventually 30 are_rows 2 'mqfs_subscription_lag_messages{group="billing", topic="orders"} == 100'
want 2 "$(rows 'mqfs_info{broker!="", mount!=""}')" "brokers"
want 1 "$(rows 'mqfs_info{role="SLAVE"}')" "slaves"
want 0 "$(rows 'node_textfile_scrape_error == 1')" "files that node_exporter could not read"

# Whoever consumes has clients and retries, too: without them two expressions have no rows.
has_answers() {
	echo more >> "$mnt/topics/orders/q0"
	python3 "$top_srcdir/tests/dashboard.py" ask "http://$prometheus" "$monitoring/dashboard.json" > "$work/asked" || true
	want 'Who consumes' "$(sed 's/.*without rows: //' "$work/asked")" "panels without an answer"
}
may_answer() { (has_answers) 9> /dev/null; }
eventually 40 may_answer
cat "$work/asked" >&9
healthy() {
	python3 - "http://$prometheus/api/v1/rules" <<-'END'
		import json, sys, urllib.request
		with urllib.request.urlopen(sys.argv[1], timeout=20) as answer:
		    rules = json.load(answer)["data"]["groups"][0]["rules"]
		sys.exit(len(rules) < 10 or any(rule["health"] != "ok" for rule in rules))
	END
}
eventually 30 healthy
