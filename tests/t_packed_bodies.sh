#!/bin/bash
# Bodies that a RocketMQ client has packed read as they were sent; what cannot be unpacked, as stored.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool lz4 zstd

PYTHONPATH=$top_srcdir/tests/reader python3 - "$work" <<'END'
import base64, random, subprocess, sys, zlib
import mqstore

work = sys.argv[1]
random.seed(1)
noise = base64.b64encode(random.randbytes(600000))
store = mqstore.Writer(f'{work}/store', segment_bytes=4 << 20, queue_bytes=2000)
shown = open(f'{work}/shown', 'wb')

def send(sent, sysflag=0, stored=None, **options):
    store.append('t', 0, sent if stored is None else stored, sysflag=sysflag, **options)
    shown.write(sent + b'\n')

def packed(sent, sysflag, level=5):
    send(sent, sysflag, zlib.compress(sent, level))

send(b'as it is')
packed(b'packed', 1)
packed(b'', 1)
packed(b'0123456789' * 1000, 1)
packed(b'by a later client ' * 1000, 0x301)
packed(b'not smaller by it', 1, level=0)
packed(noise, 1)				# longer than what is read at once, packed as well
packed(b'x' * 1000000, 1)
send(b'no zlib', 1)
send(zlib.compress(b'LZ4 says its flag'), 0x101)
for tool, sysflag in ('lz4', 0x101), ('zstd', 0x201):
    def packed_by(sent, *options):
        stored = subprocess.run([tool, '-q', '-c', *options], input=sent, capture_output=True, check=True).stdout
        send(sent, sysflag, stored)
        return stored

    packed_by(b'')
    packed_by(b'by a later client ' * 1000)
    packed_by(noise)
    stored = packed_by(b'x' * 3000000, '-9')	# many times longer than what is stored
    packed_by(b'not smaller by it')
    send(stored[:-3], sysflag)			# torn
    send(stored + b'more', sysflag)
send(b'the last')
store.finish()
END

as_it_was_sent() {
	local q=$mnt/topics/t/q0
	want_same "$work/shown" "$q" "$1: read at once"
	want "$(stat -c %s "$work/shown")" "$(stat -c %s "$q")" "$1: size"
	want "$(tail -n 3 "$work/shown" | md5sum)" "$(tail -n 3 "$q" | md5sum)" "$1: from behind"
	for at in 5 9 15 5000 30000 500000 1300000; do
		want "$(dd if="$work/shown" bs=1 skip=$at count=64 2> /dev/null | md5sum)" \
			"$(dd if="$q" bs=1 skip=$at count=64 2> /dev/null | md5sum)" "$1: at $at"
	done
}

start_mqfs "$work/store" "$mnt"
as_it_was_sent "mounted"
want_same "$work/shown" "$mnt/topics/t/q0" "the second time"
# Each read renders the whole line of which it gets a piece, so it gets large ones.
json_of_2() { dd if="$mnt/topics/t/q0:format=json" bs=1M status=none | sed -n "2s/.*$1.*/$2/p"; }
want 'packed 0' "$(json_of_2 '"body":"\([^"]*\)".*"sysFlag":\([0-9]*\)' '\1 \2')" "json: it is not packed now"
id=$(json_of_2 '"msgId":"\([^"]*\)"' '\1')
want packed "$(cat "$mnt/messages/$id")" "by its id"
stop_mqfs "$mnt"
fsck.mqfs -n "$work/store" > "$work/out" || { cat "$work/out" >&9; fail "fsck.mqfs"; }

rm -r "$work/store/byteindex"
start_mqfs "$work/store" "$mnt"
as_it_was_sent "made anew"
