#!/bin/bash
# RocketMQ's Java client and mqadmin in TLS and with accounts of plain_acl.yml, by RocketMQ's own
# files, which its name server reads as well.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_fuse
requires_rocketmq
requires_tool openssl

sh "$top_srcdir/tests/certificates.sh" "$work/tls"
cat > "$work/tls.properties" << EOF
tls.test.mode.enable=false
tls.server.need.client.auth=require
tls.server.authClient=true
tls.server.certPath=$work/tls/names.pem
tls.server.keyPath=$work/tls/names.key
tls.server.trustCertPath=$work/tls/ca.pem
tls.client.authServer=true
tls.client.certPath=$work/tls/plain.pem
tls.client.keyPath=$work/tls/plain.key
tls.client.trustCertPath=$work/tls/ca.pem
EOF
cat > "$work/plain_acl.yml" << EOF
globalWhiteRemoteAddresses:
  - 10.10.103.*
accounts:
  - accessKey: RocketMQ
    secretKey: 12345678
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - topicA=DENY
      - topicB=PUB|SUB
  - accessKey: rocketmq2
    secretKey: 12345678
    admin: true
EOF
printf 'accessKey: rocketmq2\nsecretKey: 12345678\n' > "$work/conf/tools.yml"
port[mqfs]=$(free_port)
broker=127.0.0.1:${port[mqfs]}
java_command+=("$tls_too" "-Dtls.config.file=$work/tls.properties" -Dmqfs.accessKey=RocketMQ -Dmqfs.secretKey=12345678)
start_namesrv
java_command+=(-Dtls.enable=true)
start_mqfs "$work/store" "$mnt" -o "$mqfs_small,listen=127.0.0.1,listenPort=${port[mqfs]},brokerIP1=127.0.0.1" \
	-o "brokerName=interop,namesrvAddr=$namesrv,remotingUser=$(id -un),tls.server.mode=enforcing" \
	-o "tls.config.file=$work/tls.properties,aclEnable=true,aclFile=$work/plain_acl.yml"
says() {
	local words=$1
	shift
	mqadmin "$@" > "$work/said" 2>&1
	grep -qE -- "$words" "$work/said"
}

eventually 60 says success updateTopic -b "$broker" -t topicB -r 4 -w 4
mkdir "$mnt/topics/topicA"
rocketmq <<END
send topicB 0 TagA k1 - hello in secret
batch topicB 2 3 of a batch
transaction topicB and a transaction
consume billing topicB * 5
END
want "SEND_OK 0 0" "$(answer 1)" "the first message sent"
want 5 "$(answer 4 | wc -l)" "messages consumed"
want "hello in secret" "$(head -n 1 "$mnt/topics/topicB/q0")" "the message as a line"
if rocketmq <<< 'send topicA 0 - - - no' 2> "$work/refused"; then fail "a message to topicA was let in"; fi
grep -q 'AclException: No default permission for topic:topicA' "$work/refused" || fail "$(cat "$work/refused")"

# The tools that change accounts.
eventually 60 says success updateAclConfig -b "$broker" -a made-here -s 87654321 -t topicA=PUB -u SUB
grep -q made-here "$work/plain_acl.yml" || fail "no such account in $(cat "$work/plain_acl.yml")"
eventually 60 says 'made-here' getAclConfig -c DefaultCluster
eventually 60 says 'plain_acl.yml +1 ' clusterAclConfigVersion -c DefaultCluster
java_command+=(-Dmqfs.accessKey=made-here -Dmqfs.secretKey=87654321)
rocketmq <<< 'send topicA 0 - - - by a new account'
want "by a new account" "$(cat "$mnt/topics/topicA/q0")" "what the new account sent"
stop_mqfs "$mnt"
sound_store store
