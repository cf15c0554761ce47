#!/bin/bash
# Whatever is refused leaves a line in status/log that says what was wrong, and who is in the way.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/t" "$mnt/groups/g/t" "$mnt/groups/h/t"
q=$mnt/topics/t/q0

# reason WORDS ERRNO COMMAND...   COMMAND fails with ERRNO, and the log says why
reason() {
	local words=$1
	shift
	fails_with "$@"
	grep -qF -- "$words" "$mnt/status/log" || {
		tail -n 3 "$mnt/status/log" >&9
		fail "'${*:2}' leaves no '$words' in status/log"
	}
}

# as programs do: a part of a long write is taken, the rest is written again
write_all() { python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
data = b"x" * int(sys.argv[2]) + b"\n"
while data: data = data[os.write(fd, data):]' "$@"; }

pwrite_at() { python3 -c 'import os, sys
os.pwrite(os.open(sys.argv[1], os.O_WRONLY), b"other\n", int(sys.argv[2]))' "$@"; }

seq_lines 1 3 >> "$q"
reason "topics/t/q0: cannot be truncated: append with >> instead of >" EPERM bash -c ": > '$q'"
reason "topics/t/q0: cannot be truncated: a queue only grows" EPERM truncate -s 0 "$q"
reason "topics/t/q0: files cannot be removed" EPERM rm -f "$q"
reason "topics/t/q0: nothing can be renamed" EPERM mv "$q" "$mnt/topics/t/old"
reason "topics/t/new: no file can be made" EPERM touch "$mnt/topics/t/new"
reason "status/new: no directory can be made" EPERM mkdir "$mnt/status/new"
reason "topics/t/q0: a message is over maxMessageSize (4194304 bytes)" EMSGSIZE write_all "$q" 5000000
reason " new: no directory can be made" EPERM mkdir "$mnt/new"
reason "topics/t/q0:fast: unknown option" EINVAL cat "$q:fast"
reason "topics/t/config: line 1: queus: no such key" EINVAL bash -c "echo 'queus = 3' > '$mnt/topics/t/config'"
reason "topics/t/ctl: trim q0 99: it ends at 3" EINVAL bash -c "echo 'trim q0 99' > '$mnt/topics/t/ctl'"
reason "groups/g/t/q0.offset: \"soon\" is no place" EINVAL bash -c "echo soon > '$mnt/groups/g/t/q0.offset'"
reason "topic t still holds messages" ENOTEMPTY rmdir "$mnt/topics/t"
reason "group g has subscriptions" ENOTEMPTY rmdir "$mnt/groups/g"
reason "other bytes are there" EEXIST pwrite_at "$q" 0
reason "which ends at 21" EINVAL pwrite_at "$q" 1000
reason "perm does not allow to write" EACCES bash -c "echo 'perm = r' > '$mnt/topics/t/config'; echo x >> '$q'"
echo 'perm = rw' > "$mnt/topics/t/config"
echo "0 1" > "$mnt/groups/g/t/q0.offset" 2> /dev/null || true
reason "q0.offset: it is " ESTALE bash -c "echo '77 1' > '$mnt/groups/g/t/q0.offset'"

# Who is in the way: the process that consumes, the groups that subscribe.
exec 3<> "$mnt/groups/g/t/q0"
reason "groups/g/t/q0 is being consumed by process $$" EBUSY bash -c "exec 4<> '$mnt/groups/g/t/q0'"
exec 3>&-
exec 3< "$q"
echo purge > "$mnt/topics/t/ctl"
reason "topics/t/q0: messages that were there are no longer retained" ESTALE cat <&3
exec 3<&-
reason "topic t is subscribed to by g, h" EBUSY rmdir "$mnt/topics/t"

# What a loop of refusals leaves is bounded, and counted.
python3 - "$q" << 'END'
import os, sys
for i in range(3000):
    try:
        os.open(sys.argv[1] + ":bad%d" % i, os.O_RDONLY)
    except OSError:
        pass
END
eventually 5 bash -c "cat '$mnt/topics/t/q0:bad' 2> /dev/null; grep -q 'more requests were refused' '$mnt/status/log'"

# What a slave cannot do, its master can.
mkdir "$work/slave"
start_mqfs "$work/slave_store" "$work/slave" -o role=slave,master=127.0.0.1:9,haListen=none
echo ASYNC_MASTER > "$work/slave/config/brokerRole"
mkdir "$work/slave/topics/t"
exec 3>> "$work/slave/topics/t/q0"
echo SLAVE > "$work/slave/config/brokerRole"
mnt=$work/slave
reason "topics/t/q0: this broker is a slave" EROFS bash -c 'echo x >&3'
exec 3>&-
reason "this broker is a slave; its master" EROFS bash -c "echo x >> '$mnt/topics/t/q0'"
reason "this broker is a slave: topics and groups are changed on its master" EROFS mkdir "$mnt/topics/new"
