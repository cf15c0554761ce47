#!/bin/bash
# RocketMQ's Java client has transactions, retries, dead letters and replies at an mqfs broker as at
# its own; and its own broker goes on with transactions in the store, and mqfs with the broker's.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq

port[mqfs]=$(free_port) port[broker]=${port[mqfs]}
broker=127.0.0.1:${port[mqfs]}
checks=transactionTimeOut=500,transactionCheckInterval=500,transactionCheckMax=1000
begin() {
	start_mqfs "$work/broker" "$mnt" -o "$mqfs_small,listen=127.0.0.1,listenPort=${port[mqfs]},brokerIP1=127.0.0.1" \
		-o "brokerName=interop,namesrvAddr=$namesrv,remotingUser=$(id -un)" \
		-o "$checks"
}
# times BODY TOPIC   how often it is there
times() { cat "$mnt/topics/$2"/q? | grep -cx "$1" || true; }

start_namesrv
begin
rocketmq <<END
topic $broker Sure 2
transaction Sure committed
takeback Sure rolled back
half Sure asked
half Sure asked again
decide Sure 2 commit
half Sure taken back
decide Sure 1 rollback
topic $broker Orders 1
send Orders 0 - - - never handled
retry billing Orders 3
topic $broker Questions 1
ask Questions anybody there?
END
want $'asked\nasked again' "$(answer 6)" "what the producer was asked"
want 'taken back' "$(answer 8)" "what the producer was asked"
for body in committed asked 'asked again'; do want 1 "$(times "$body" Sure)" "how often '$body' is there"; done
for body in 'rolled back' 'taken back'; do want 0 "$(times "$body" Sure)" "how often '$body' is there"; done
want $'0 Orders\n1 Orders\n2 Orders' "$(answer 11 | sed 's/%RETRY%billing/Orders/')" "how often it was sent back"
has_dead() { [ "$(cat "$mnt/topics/%DLQ%billing/q0")" = 'never handled' ]; }
eventually 20 has_dead
want 're: anybody there?' "$(answer 13)" "the reply"

# By turns: what one has left open the other asks for, once.
rocketmq <<END
half Sure of mqfs
END
stop_mqfs "$mnt"
# whoever answers it after its next round is asked again, and has committed twice
start_broker broker transactionTimeOut=500 transactionCheckInterval=15000
rocketmq <<END
decide Sure 1 commit
half Sure of RocketMQ
END
want 'of mqfs' "$(answer 1)" "what RocketMQ asks its producer for"
stop_broker broker
begin
want 1 "$(times 'of mqfs' Sure)" "how often it is there"
want 1 "$(cat "$mnt/status/transactions_open")" "what RocketMQ has left open"
rocketmq <<END
decide Sure 1 commit
END
want 'of RocketMQ' "$(answer 1)" "what mqfs asks its producer for"
eventually 20 sh -c "[ \$(cat '$mnt/status/transactions_open') = 0 ]"
want 1 "$(times 'of RocketMQ' Sure)" "how often it is there"
want 1 "$(times 'of mqfs' Sure)" "how often it is there"
stop_mqfs "$mnt"
sound_store broker
