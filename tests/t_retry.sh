#!/bin/bash
# A message that its handler cannot handle comes again, and lands among the dead letters in the end.
. "$top_builddir/tests/functions.sh"
requires_fuse

mnt=$work/mnt
start_mqfs "$work/store" "$mnt" -o 'messageDelayLevel=1s 1s 1s 1s 1s 1s'
mkdir "$mnt/topics/orders" "$mnt/groups/billing" "$mnt/groups/billing/orders"
sed -i 's/^retryMaxTimes.*/retryMaxTimes = 2/' "$mnt/groups/billing/config" 2> /dev/null ||
	sed 's/^retryMaxTimes.*/retryMaxTimes = 2/' "$mnt/groups/billing/config" > "$work/conf" &&
	cat "$work/conf" > "$mnt/groups/billing/config"
grep -q 'retryMaxTimes = 2' "$mnt/groups/billing/config" || fail "retryMaxTimes is not set"

# bad is never handled, flaky is at the third time
tries=0
handle() {
	echo "$1" >> "$work/handled"
	case $1 in
	bad) return 1 ;;
	flaky) [ $((++tries)) -gt 2 ] ;;
	esac
}
# consume TOPIC QUEUE...: as mqfs(5) shows it, for a queue each
shown=$(sed -n '/^\.\\" tests\/t_retry/,/^\.EE/{/^\./d;s/\\-/-/g;p}' "$top_srcdir/fs/mqfs.5")
grep -q 'q0\.retry' <<< "$shown" || fail "mqfs(5) shows no consumer"
consume() {
	local topic=$1 q
	shift
	for q; do
		(cd "$mnt" && eval "${shown//orders\/q0/$topic/$q}"; echo "$tries" > "$work/tries") || fail "the consumer of $topic/$q failed"
		tries=$(cat "$work/tries")
	done
}

printf '%s\n' good bad flaky >> "$mnt/topics/orders/q0"
consume orders q0
want $'good\nbad\nflaky' "$(cat "$work/handled")" "what was handled first"
retry="$mnt/groups/billing/%RETRY%billing"
eventually 10 test -d "$retry"
again() {
	mapfile -t queues < <(find "$retry" -regex '.*/q[0-9]+' -printf '%f\n')
	consume %RETRY%billing "${queues[@]}"
	[ -d "$mnt/topics/%DLQ%billing" ] && [ "$(grep -c flaky "$work/handled")" = 3 ]
}
eventually 40 again
want 3 "$(grep -c bad "$work/handled")" "times that the bad one was handled"
want 1 "$(grep -c good "$work/handled")" "times that the good one was handled"
want bad "$(cat "$mnt/topics/%DLQ%billing/q0")" "the dead letter"
want 700 "$(stat -c %a "$mnt/topics/%DLQ%billing")" "mode of the dead letters"

# looked at, and sent again
cat "$mnt/topics/%DLQ%billing/q0:format=json" > "$work/json"
grep -q '"RETRY_TOPIC":"orders"' "$work/json" || fail "it does not say where it was: $(cat "$work/json")"
grep -q '"reconsumeTimes":3' "$work/json" || fail "it does not say how often it came: $(cat "$work/json")"
cat "$mnt/topics/%DLQ%billing/q0" >> "$mnt/topics/orders/q0"
want bad "$(cat "$mnt/groups/billing/orders/q0")" "what was sent again"

# a line that cannot be done leaves the others of its write undone, so that all can be written again
for wrong in '1 never' '99 dlq'; do
	printf '%s\n' '0 dlq' "$wrong" > "$work/orders"
	! cat "$work/orders" > "$mnt/groups/billing/orders/q0.retry" 2> "$work/err" || fail "'$wrong' was taken"
done
want bad "$(cat "$mnt/topics/%DLQ%billing/q0")" "the dead letters before"

# at once to the dead letters; and what there is not
echo '0 dlq' > "$mnt/groups/billing/orders/q0.retry"
want $'bad\ngood' "$(cat "$mnt/topics/%DLQ%billing/q0")" "the dead letters"
for line in 99 x '0 soon' '0 level7' '-1'; do
	! (echo "$line" > "$mnt/groups/billing/orders/q0.retry") 2> /dev/null || fail "'$line' was taken"
done
stop_mqfs "$mnt"
