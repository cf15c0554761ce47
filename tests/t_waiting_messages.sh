#!/bin/bash
# Messages of a RocketMQ store that wait (half of a transaction, by level, in 5.x's timer wheel) are found by
# UNIQ_KEY with the rights of the queue that they are for; those that nobody would deliver are announced.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool python3

store=$work/store
python3 "$top_srcdir/tests/reader/mqstore.py" make-waiting "$store"

said="2 messages wait in RocketMQ 5's timer wheel (topic rmq_sys_wheel_timer), the first until 2027-01-15 08:01:00"
start_mqfs "$store" "$mnt"
grep -qF "$said" "$mnt/status/log" || fail "it is not said: $(cat "$mnt/status/log")"
want 2 "$(cat "$mnt/status/timer_wheel_waiting")" "how many wait"
chmod 640 "$mnt/topics/Orders/q0"
want "440 440 440" "$(cd "$mnt/messages" && stat -c %a H L T2 | xargs)" "the modes of those that wait"
for message in "D delivered" "H half" "L by level" "T2 timed T2"; do
	want "${message#* }" "$(cat "$mnt/messages/${message%% *}")" "by UNIQ_KEY"
done
is_delivered() { [ "$(cat "$mnt/topics/Orders/q0")" = $'delivered\nby level' ]; }
eventually 10 is_delivered	# what waits by level is due; the wheel is RocketMQ 5's alone
stop_mqfs "$mnt"

# A slave leaves them to its master, until it is promoted.
start_mqfs "$store" "$mnt" -o role=slave,master=127.0.0.1:1,haListen=none
want 0 "$(cat "$mnt/status/timer_wheel_waiting")" "on a slave"
echo ASYNC_MASTER > "$mnt/config/brokerRole"
want 2 "$(cat "$mnt/status/timer_wheel_waiting")" "after its promotion"
grep -qF "$said" "$mnt/status/log"
stop_mqfs "$mnt"

# Where no wheel has run, what is due by now was delivered by others.
mv "$store/config/timercheck" "$work/wheel"
start_mqfs "$store" "$mnt"
due=$(for s in 1799999999 1800003600 1800000060; do [ "$s" -gt "$(date +%s)" ] && echo "$s"; done | wc -l)
want "$due" "$(cat "$mnt/status/timer_wheel_waiting")" "without config/timercheck"
stop_mqfs "$mnt"

# A mount in the background says it to whoever mounts.
cp -r "$store" "$work/again"
cp "$work/wheel" "$work/again/config/timercheck"
mount.mqfs "$work/again" "$mnt" 2> "$work/said"
unmount "$mnt"
grep -q "timer wheel are not delivered" "$work/said" || fail "it is not said: $(cat "$work/said")"
