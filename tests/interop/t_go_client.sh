#!/bin/bash
# Apache's Go client produces to and consumes from an mqfs broker: synchronously, asynchronously,
# one-way, by tag, pushed and pulled; what it sends is a line for files.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq
requires_tool go

client=$work/client
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly
(cd "$interop/go" && timeout 300 go mod download) > "$work/go.log" 2>&1 || skip "the Go client cannot be had"
(cd "$interop/go" && timeout 300 go build -buildvcs=false -o "$client" .) > "$work/go.log" 2>&1 || {
	tail -n 20 "$work/go.log" >&9
	fail "the Go client cannot be built"
}
go_client() { timeout 150 "$client" "$namesrv" "$@"; }

port[mqfs]=$(free_port)
start_namesrv
start_mqfs "$work/store" "$mnt" -o "$mqfs_small,listen=127.0.0.1,listenPort=${port[mqfs]},brokerIP1=127.0.0.1" \
	-o "brokerName=interop,namesrvAddr=$namesrv,remotingUser=$(id -un),defaultTopicQueueNums=4"
mkdir "$mnt/topics/Orders"
routed() { mqadmin topicRoute -t Orders | grep -q '"writeQueueNums":4'; }
eventually 60 routed

count=50
go_client send Orders $count | sort > "$work/stored"
want "$(for how in async sync; do seq_lines 0 $((count - 1)) "$how"; done | sort)" "$(cat "$work/stored")" "SEND_OK"
all_sent() { for how in async oneway sync; do seq_lines 0 $((count - 1)) "$how"; done | sort; }
stored() { cat "$mnt/topics/Orders/"q? | sort; }
all_there() { [ "$(stored)" = "$(all_sent)" ]; }
eventually 20 all_there		# nobody answers those that are sent one-way

echo 'of a file' >> "$mnt/topics/Orders/q3"
want "$( (echo 'of a file'; all_sent) | sort)" "$(go_client consume Pushed Orders '*' $((3 * count + 1)) | sort)" "pushed"
want "$(all_sent | awk '$2 % 2 == 1')" "$(go_client consume Tagged Orders TagB $((3 * count / 2)) | sort)" "by tag"
want "$( (echo 'of a file'; all_sent) | sort)" "$(go_client pull Pulled Orders $((3 * count + 1)) | sort)" "pulled"
stop_mqfs "$mnt"
sound_store store
