#!/bin/bash
# What README.md and the manual pages show of more than one mount, or machine, is run as
# it stands there; only its places are those of this test.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/network.sh"
requires_fuse
requires_net
requires_tool openssl

readme=$top_srcdir/README.md

# page FILE   a manual page's examples, one command a line
page() { sed -n '/^\.EX/,/^\.EE/{/^\./d;s/\\-/-/g;s/\\e$/\\/;p}' "$top_srcdir/$1" | sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba}'; }

# shown TEXT LINES   the lines of a text that match, with places of this test
shown() {
	grep -E -- "$2" <<< "$1" > "$work/lines" || fail "nothing shows $2"
	sed -e 's/^ *//' -e "s,/var/lib/mqfs,$work/store," -e "s,/mnt/mq,$mnt,g" -e "s,/etc/mqfs,$work/tls,g" \
		-e "s,/srv/backup,$work/backup,; s,/mnt/look,$work/look," -e 's/10\.1\.0\.0/10.77.0.0/' "$work/lines"
}

# done_by HOST COMMANDS
done_by() {
	echo "on $1: $2" >&9
	on_host "$1" bash -euc "$2" >&9 2>&9 < /dev/null || fail "$1: that fails: $2"
}

# A mount that went into the background is taken away, and its broker ends with it.
put_away() {
	while mounted "$1"; do umount "$1" || umount -l "$1"; done
	if [ -e "$2/lock" ]; then within "$patience" test ! -e "$2/abort"; fi
}
clean_up() {
	put_away "$mnt" "$work/store"
	put_away "$work/other" "$work/other-store"
	put_away "$work/look" "$work/nothing"
}
undo clean_up
mkdir "$work/other" "$work/look"
net_open one two

# The first lines of README.md, in a broker's mount.
done_by one "$(shown "$(< "$readme")" '^    mount\.mqfs -o haListen=0\.0\.0\.0 /var')"
intro=$(shown "$(sed -n '/^    mkdir topics/,/^$/p' "$readme")" . | sed 's/^tail -f/timeout 3 tail -f/; /^timeout/s/#.*/|| true/')
done_by one "cd '$mnt'; handle() { echo \"handled \$1\"; }; $intro; echo 'order 18 paid' >> topics/orders/q0
	${intro##*$'\n'}"
want 0 "$(cat "$mnt/groups/billing/orders/q0.lag")" "what README's consumer has left over"

# A second machine, which becomes the master; the old one comes back.
slave_line=$(shown "$(< "$readme")" '^    mount\.mqfs -o role=slave')
slave_line=${slave_line//"$mnt"/"$work/other-store $work/other"}
done_by two "$(sed "s/host:10912/$(net_address one):10912/; s/ -o / -o haListen=0.0.0.0,/" <<< "$slave_line")"
eventually 30 caught_up "$mnt" "$work/other"
failover=$(page repl/mqrepld.8)
done_by two "$(shown "$failover" '^echo SYNC_MASTER' | sed "s,$mnt,$work/other,")
	echo ASYNC_MASTER > '$work/other/config/brokerRole'"		# there is no other slave
echo 'order 19 paid' >> "$work/other/topics/orders/q0"
done_by one "$(shown "$failover" '^echo (new-master.*old master|SLAVE)' | sed "s/new-master/$(net_address two)/")"
eventually 30 caught_up "$work/other" "$mnt"
want 'order 19 paid' "$(tail -n 1 "$mnt/topics/orders/q0")" "the old master follows"
put_away "$work/other" "$work/other-store"
put_away "$mnt" "$work/store"

# Certificates, and a master that asks for them.
mkdir "$work/tls"
done_by one "cd '$work/tls'; $(shown "$failover" '^openssl')"
done_by one "$(shown "$(sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba}' "$readme")" 'tlsCert=/etc')"
is_trusted() {
	on_host one timeout 10 openssl s_client -connect 127.0.0.1:10912 -CAfile "$work/tls/ca.pem" \
		-cert "$work/tls/cert.pem" -key "$work/tls/key.pem" < /dev/null > "$work/tls/said" 2>&1 || true
	grep -q 'Verify return code: 0 (ok)' "$work/tls/said"
}
within 20 is_trusted || fail "$(cat "$work/tls/said" "$mnt/status/replication/trouble")"

# A copy of a snapshot is looked at, and put in the place of the store.
mkdir "$mnt/.snapshots/s" "$work/backup"
cp -r "$mnt/.snapshots/s" "$work/backup/20261121T023000Z"
put_away "$mnt" "$work/store"
mv "$work/store" "$work/lost"
restore=$(shown "$(page fs/mqfs.5)" '/srv/backup|^mount\.mqfs /var')
done_by one "$restore"
want 'order 19 paid' "$(tail -n 1 "$mnt/topics/orders/q0")" "the restored store"
want 'order 19 paid' "$(tail -n 1 "$work/look/topics/orders/q0")" "the copy that is looked at"
