#!/bin/bash
# groups/G/T/all is every queue of the topic for one consumer, in the order of the log: a read at a place
# commits, of each queue, what ends at or before it.
. "$top_builddir/tests/functions.sh"
requires_fuse

supervise=
if [ "$(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.9 ]; then supervise=,supervise; fi
start_mqfs "$work/store" "$mnt" -o "defaultTopicQueueNums=3$supervise"
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
t=$mnt/topics/t g=$mnt/groups/g/t
offsets() { cat "$g"/q?.offset | tr '\n' ' '; }
for i in 2 0 1 1 2 0; do echo "to q$i" >> "$t/q$i"; done
all=$(printf 'to q%d\n' 2 0 1 1 2 0)

# Who only reads peeks, and holds nothing.
want "$all" "$(cat "$g/all")" "what is to be consumed"
want "$(printf '%s\n' "$all" | wc -c)" "$(stat -c %s "$g/all")" "its size"
exec 3< "$g/all" 4<> "$g/q1"
want "0 0 0 " "$(offsets)" "offsets after a peek"

# One who has a queue keeps all of them from another one, and the other way round.
fails_with EBUSY bash -c ": <> '$g/all'"
exec 3<&- 4>&-
exec 3<> "$g/all"
for q in q0 q1 q2 any all; do fails_with EBUSY bash -c ": <> '$g/$q'"; done

# To ask for the next one is to commit the last.
read -r -u 3 a
want "to q2 0 0 0 " "$a $(offsets)" "the first message"
read -r -u 3 a
want "to q0 0 0 1 " "$a $(offsets)" "the second message"
read -r -u 3 a
want "to q1 1 0 1 " "$a $(offsets)" "the third message"
exec 3>&-
want "$(printf 'to q%d\n' 1 1 2 0)" "$(cat "$g/all")" "what is left: the last one comes again"

# A consumer that runs for ever; the broker may be killed under it.
: > "$work/got"
while IFS= read -r m; do echo "$m" >> "$work/got"; done <> "$g/all:follow" 9>&- &
consumer=$!
got() { [ "$(wc -l < "$work/got")" -ge "$1" ]; }
eventually 10 got 4
for i in 0 1 2 0; do echo "more for q$i" >> "$t/q$i"; done
eventually 10 got 8
if [ "$supervise" ]; then
	kill_broker "$work/store" "$mnt"
	for i in 2 1; do echo "later for q$i" >> "$t/q$i"; done
	eventually 10 got 10
	want "$(printf 'later for q%d\n' 2 1)" "$(tail -n 2 "$work/got")" "after the broker was killed"
	fails_with EBUSY bash -c ": <> '$g/q0'"
fi
want "$(printf '%s\n' "$(printf 'to q%d\n' 1 1 2 0)" "$(printf 'more for q%d\n' 0 1 2 0)")" "$(head -n 8 "$work/got")" \
	"what the consumer got"
kill "$consumer"
wait "$consumer" || true
is_free() { (: <> "$g/all") 2> /dev/null; }
eventually 10 is_free

# What the subscription passes over is consumed with what comes after it.
cat <> "$g/all" > /dev/null
echo wanted > "$g/subscription"
echo no >> "$t/q0:tag=other"
echo yes >> "$t/q1:tag=wanted"
echo no >> "$t/q2:tag=other"
want yes "$(cat <> "$g/all")" "what the group has subscribed to"
lag() { cat "$g"/q?.lag | awk '{ n += $1 } END { print n }'; }
want 0 "$(lag)" "lag"

# By json, and with more queues than were there at first.
echo '*' > "$g/subscription"
echo 'queues = 5' > "$t/config"
echo fifth >> "$t/q4"
want fifth "$(cat <> "$g/all:format=json" | of_json 'm["body"]')" "json, of the fifth queue"
want 0 "$(lag)" "lag"
fails_with EINVAL cat "$g/all@3"

# As README.md shows them: one that runs for ever, and a pool of four.
# shown WORD   the indented block that has it
shown() { grep -A1 -- "^    .*$1" "$top_srcdir/README.md" | sed 's/^    //'; }
end_pool() { kill -KILL -- "-$1" 2> /dev/null || true; }
unclaimed() { (: <> "$g/all") 2> /dev/null; }
handle() { echo "$1" >> "${handled:?}"; cat > /dev/null; }
export -f handle
export handled=$work/handled
all_handled() { [ "$(sort "$work/handled" | uniq | wc -l)" = "$1" ] && [ "$(lag)" -le "$2" ]; }
mkdir "$mnt/topics/orders" "$mnt/groups/billing" "$mnt/groups/billing/orders"
g=$mnt/groups/billing/orders
cd "$mnt"
for shown in 'orders/all:follow' 'orders/any:follow'; do
	run=$(shown "$shown" | sed '/^$/d')
	grep -q "$shown" <<< "$run" || fail "README.md shows no $shown"
	: > "$work/handled"
	setsid bash -c "$run; wait" < /dev/null 9>&- &
	pool=$!
	undo end_pool "$pool"
	for i in {1..30}; do echo "$i" >> "$mnt/topics/orders/q$((i % 3))"; done
	eventually 20 all_handled 30 0
	end_pool "$pool"
	eventually 10 unclaimed
done
cd /
