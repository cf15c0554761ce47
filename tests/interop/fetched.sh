#!/bin/bash
# RocketMQ's jars are there, and the programs that need them: before the tests, each of which has a limit of
# its own and would have to fetch them within that.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
fetch_seconds=1200
requires_rocketmq
