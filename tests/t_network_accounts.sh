#!/bin/bash
# With aclEnable clients need accounts of RocketMQ's plain_acl.yml, which may change at any time.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3
chmod 755 "$work"

port=$(free_port)
scene() { timeout 100 python3 "$top_srcdir/tests/acl.py" "$port" "$@" >&9 2>&9 || fail "$*"; }
send() { timeout 100 python3 "$top_srcdir/tests/acl.py" "$port" send "$@" 2>&9; }
sends() { [ "$(send "${@:2}")" = "$1" ]; }

acl=$work/plain_acl.yml
cat > "$acl" << 'YML'
accounts:
  - accessKey: producer
    secretKey: 12345678
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: DENY
    topicPerms:
      - t=PUB
  - accessKey: consumer
    secretKey: 87654321
    topicPerms:
      - t=SUB
    groupPerms:
      # the group should convert to retry topic
      - g=SUB
  - accessKey: operator
    secretKey: 12345678
    admin: true
YML
start_mqfs "$work/store" "$mnt" \
	-o "listen=127.0.0.1,listenPort=$port,remotingUser=$(id -un),aclEnable=true,aclFile=$acl,haListen=127.0.0.1"
mkdir "$mnt/topics/t" "$mnt/topics/u"
mkdir -p "$mnt/groups/g/t"
eventually 20 timeout 5 bash -c "exec 3<> /dev/tcp/127.0.0.1/$port"

scene accounts
want "of producer
batch 1
batch 2" "$(cat "$mnt/topics/t/q0")" "what was let in"
scene administrators
scene edits
grep -q 'accessKey: producer' "$acl" || fail "edits have lost an account"

# A file that is no good changes nothing, and is told of; the next one is in force at once.
cp "$acl" "$work/good.yml"
says() { grep -q "plain_acl.yml: $1" "$mnt/status/log"; }
echo 'accounts: [' > "$acl"
eventually 20 says 'line 2: .* what it said before stays in force'
want 0 "$(send producer 12345678 t again)" "the last good file's account"
sed 's/12345678/another-key/' "$work/good.yml" > "$work/new.yml"
mv "$work/new.yml" "$acl"
eventually 20 sends 1 producer 12345678 t no
want 0 "$(send producer another-key t anew)" "the new key"
mkdir "$work/acl"
printf 'accounts:\n- { accessKey: besides, secretKey: 12345678, defaultTopicPerm: PUB }\n' > "$work/acl/more.yml"
eventually 20 sends 0 besides 12345678 u besides
rm "$work/acl/more.yml"
eventually 20 sends 1 besides 12345678 u no
printf 'globalWhiteRemoteAddresses: [ 127.0.0.* ]\n' > "$acl"
eventually 20 sends 0 nobody-here 12345678 u white

# A slave of mqfs needs no account.
slave=$work/slave
mkdir "$slave"
start_mqfs "$work/s" "$slave" -o "role=slave,master=127.0.0.1:$((port + 1)),haListen=none"
follows() { cmp -s "$mnt/topics/t/q0" "$slave/topics/t/q0"; }
eventually 20 follows
echo 1 > "$slave/groups/g/t/q1.offset"
has_come() { [ "$(cat "$mnt/groups/g/t/q1.offset")" = "$(cat "$slave/groups/g/t/q1.offset")" ]; }
eventually 20 has_come
stop_mqfs "$slave"

# What was let in is what modes allow the account's user.
if [ "$(id -u)" = 0 ]; then
	printf 'accounts:\n- { accessKey: mortal-key, secretKey: 12345678, admin: true, user: nobody }\n' > "$acl"
	eventually 20 sends 16 mortal-key 12345678 t no
	chmod 666 "$mnt/topics/t/q0"
	want 0 "$(send mortal-key 12345678 t mortal)" "a queue that all may write"
fi
want again "$(sed -n 4p "$mnt/topics/t/q0")" "a message by an account of the last good file"
