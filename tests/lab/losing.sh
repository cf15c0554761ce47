#!/bin/bash
# Power cuts on a disk that loses any page and any name that was not synced, at random: what was
# synced stays, nothing is EIO for ever, and what had to be cut is in lost+found.
# Options as of power.sh.
exec bash "$top_srcdir/tests/lab/power.sh" --types losing --cycles 6 --brokers alone --generation 3 "$@"
