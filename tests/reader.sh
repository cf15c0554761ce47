#!/bin/bash
# The independent reader of stores reads known bytes, and says what is damaged.
# No mount is needed.

if ! python3 -c '' 2> /dev/null; then
	if [ "${MQFS_NO_SKIP:-}" = 1 ]; then exit 1; fi
	echo 'skipped: no python3'
	exit 77
fi
exec python3 "$top_srcdir/tests/reader/mqstore.py" selftest
