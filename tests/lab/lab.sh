#!/bin/bash
# lab.sh - long runs of the laboratory, by hand.
#
#	make lab                             every part with its long numbers
#	make lab LAB='kill --cycles 1000'    one part
#
# What each part says at its end is shown again, together, at the end of all.
set -u

if [ $# -gt 0 ]; then exec bash "$top_srcdir/tests/lab/$1.sh" --long "${@:2}"; fi
said=$(mktemp)
rc=0
for part in damage full syscalls soak power losing plain liars torn kill delay failover; do
	bash "$top_srcdir/tests/lab/$part.sh" --long 2>&1 | tee "$said.part"
	if [ "${PIPESTATUS[0]}" = 0 ]; then grep ': sum: ' "$said.part"; else echo "$part: FAILED"; rc=1; fi >> "$said"
done
printf '\nThe laboratory, in all:\n'
cat "$said"
rm -f "$said" "$said.part"
exit $rc
