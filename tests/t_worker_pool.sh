#!/bin/bash
# Workers on any:follow, fewer and more than queues, killed at random: every message is handled, none
# is left while a worker is idle.
. "$top_builddir/tests/functions.sh"
requires_fuse

mnt=$work/mnt
start_mqfs "$work/store" "$mnt" -o defaultTopicQueueNums=4
mkdir "$mnt/topics/t" "$mnt/groups/g" "$mnt/groups/g/t"
# As mqfs(5) shows it; the handler reads its standard input, which is not the messages.
shown=$(sed -n '/^\.\\" tests\/t_worker_pool/,/^\.EE/{/^\./d;s/\\-/-/g;p}' "$top_srcdir/fs/mqfs.5")
grep -q 'any:follow' <<< "$shown" || fail "mqfs(5) shows no worker"
handle() { echo "$1" >> "$mine"; cat > /dev/null; }

# worker N   handles messages until it is killed; each has a file of its own
worker() {
	(mine=$work/handled.$1; cd "$mnt"; eval "${shown//billing\/orders/g/t}") < /dev/null 9>&- &
	workers[$1]=$!
	undo kill_jobs
}
handled() { cat "$work"/handled.* 2> /dev/null | sort -n | uniq; }
has_handled() { [ "$(handled | wc -l)" = "$1" ]; }
lag() { cat "$mnt"/groups/g/t/q?.lag | awk '{ n += $1 } END { print n }'; }
nothing_left() { [ "$(lag)" -le "$1" ]; }

# One worker for four queues: what is there, and what comes; it waits for any of them.
worker 1
eventually 10 is_waiting "${workers[1]}"
for i in 1 2 3 4 5 6 7 8; do echo "$i" >> "$mnt/topics/t/q$((i % 4))"; done
eventually 20 has_handled 8
eventually 20 nothing_left 0
want "$(seq 8)" "$(handled)" "what one worker has handled"
want "" "$(sort "$work/handled.1" | uniq -d)" "handled twice"

# As many as queues, and more: they wait as well, nobody is refused.
for n in 2 3 4 5 6 7; do worker $n; done
for i in $(seq 9 200); do echo "$i"; done > "$work/more"
split -n r/4 "$work/more" "$work/part."
q=0
for part in "$work"/part.*; do
	cat "$part" >> "$mnt/topics/t/q$q"
	q=$((q + 1))
done
eventually 30 has_handled 200
want "$(seq 200)" "$(handled)" "what seven workers have handled"

# Killed at random, and others come.
for round in $(seq 6); do
	victim=$((RANDOM % 7 + 1))
	for i in $(seq 10); do echo $((200 + 10 * (round - 1) + i)) >> "$mnt/topics/t/q$((i % 4))"; done
	kill -KILL "${workers[$victim]}"
	wait "${workers[$victim]}" 2> /dev/null || true
	worker $victim
done
eventually 30 has_handled 260
want "$(seq 260)" "$(handled)" "what was handled in spite of kills"

# A queue whose offset goes back is wanted again.
for n in 1 2 3 4 5 6 7; do kill -KILL "${workers[$n]}"; wait "${workers[$n]}" 2> /dev/null || true; done
: > "$work/handled.1"
worker 1
eventually 20 nothing_left 0
echo '-1' > "$mnt/groups/g/t/q2.offset"
came_again() { [ -s "$work/handled.1" ] && nothing_left 0; }
eventually 20 came_again

# With a subscription: what it passes over does not keep a worker.
kill -KILL "${workers[1]}"; wait "${workers[1]}" 2> /dev/null || true
echo wanted > "$mnt/groups/g/t/subscription"
: > "$work/handled.1"
worker 1
echo no >> "$mnt/topics/t/q0:tag=other"
echo 261 >> "$mnt/topics/t/q1:tag=wanted"
echo no >> "$mnt/topics/t/q2:tag=other"
eventually 20 grep -q 261 "$work/handled.1"
eventually 20 nothing_left 0
! grep -q no "$work/handled.1" || fail "what the subscription passes over was handled"
kill -KILL "${workers[1]}"; wait "${workers[1]}" 2> /dev/null || true
eventually 10 unmount "$mnt"
