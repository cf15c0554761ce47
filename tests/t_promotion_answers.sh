#!/bin/bash
# Whoever promotes a slave is told that it has happened, whatever writes have to wait for: there
# is no slave yet that could acknowledge anything, and a second promotion would be the worst answer.
. "$top_builddir/tests/functions.sh"
requires_fuse

promote() {		# ROLE; each call that can say how it went is listened to
	timeout "$patience" python3 - "$mnt/config/brokerRole" "$1" << 'END'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_SYNC)
os.write(fd, sys.argv[2].encode() + b"\n")
os.fsync(fd)
os.close(fd)
END
}

port=$(free_port)
start_mqfs "$work/store" "$mnt" -o "role=slave,master=127.0.0.1:$((port + 6)),listenPort=$port,haListen=127.0.0.1,flushDiskType=SYNC_FLUSH,slaveTimeout=1000"
for role in SYNC_MASTER SLAVE ASYNC_MASTER SLAVE SYNC_MASTER; do
	promote "$role" || fail "$role: it was not told that it had worked"
	want "$role" "$(cat "$mnt/status/role")" "the role"
done
stop_mqfs "$mnt"

# Who makes a master a slave is told that it has failed only if the broker is a master still.
touch "$work/cert" "$work/key" "$work/ca"
start_mqfs "$work/other" "$mnt" -o "tlsCert=$work/cert,tlsKey=$work/key,tlsCa=$work/ca"
rm "$work/cert"
fails_with ENOENT promote SLAVE
want ASYNC_MASTER "$(cat "$mnt/status/role")" "the role after a failure"
mkdir "$mnt/topics/t" || fail "a master that has stayed one takes nothing"
