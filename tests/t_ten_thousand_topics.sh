#!/bin/bash
# Ten thousand topics of four queues: made, listed, written, found again after a kill.
. "$top_builddir/tests/functions.sh"
requires_fuse

topics=10000
if [ -n "${MQFS_WRAP:-}" ] || grep -qs 'SANITIZE_FLAGS = -f' "$top_builddir/Makefile"; then topics=1000; fi
start_mqfs "$work/store" "$mnt" -o defaultTopicQueueNums=4
python3 - "$mnt/topics" $topics << 'END'
import os, sys
top, topics = sys.argv[1], int(sys.argv[2])
for i in range(topics):
    os.mkdir("%s/t%05d" % (top, i))
for i in range(0, topics, 7):
    for q in range(4):
        fd = os.open("%s/t%05d/q%d" % (top, i, q), os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"message of t%05d/q%d\n" % (i, q))
        os.close(fd)
END
want $topics "$(ls "$mnt/topics" | wc -l)" "topics"
kill_mqfs "$mnt"
start_mqfs "$work/store" "$mnt" -o defaultTopicQueueNums=4
want $topics "$(ls "$mnt/topics" | wc -l)" "topics after a kill"
want 'message of t00700/q3' "$(cat "$mnt/topics/t00700/q3")" "a message"
want "" "$(cat "$mnt/topics/t00701/q3")" "an empty queue"
written=$(seq 0 7 $((topics - 1)) | wc -l)
want $((written * 4)) "$(find "$mnt/topics" -name 'q*' -size +0 | wc -l)" "queues with messages"

# Whoever monitors gets a bounded text, and is told what is not in it.
echo 100 > "$mnt/config/metricsTopics"
cat "$mnt/status/metrics.prom" > "$work/metrics"
[ "$(wc -c < "$work/metrics")" -lt 300000 ] || fail "metrics.prom has $(wc -c < "$work/metrics") bytes"
want 100 "$(grep -c '^mqfs_topic_messages_total{' "$work/metrics")" "topics with metrics"
want $((topics - 100)) "$(sed -n 's/^mqfs_topics_left_out{.*} //p' "$work/metrics")" "topics without"
want $((written * 4)) "$(sed -n 's/^mqfs_retained_messages{.*} //p' "$work/metrics")" "messages of all of them"
want $((topics + 1)) "$(wc -l < "$mnt/status/topics")" "lines of status/topics"
