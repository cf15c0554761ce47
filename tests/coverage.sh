#!/bin/bash
# coverage.sh BUILD_TREE - lines that the tests ran, per file, worst first.
set -eu
cd "$1"

find . -name '*.gcda' ! -path './tests/*' -print0 |
	xargs -0 gcov -r -s "$(sed -n 's/^abs_top_srcdir = //p' Makefile)" 2> /dev/null |
	awk -F"[':% ]+" '
		/^File/ { file = $2 }
		/^Lines executed/ && file != "" { print $3, $5, file; file = "" }' |
	sort -n |
	awk '{ printf "%6.1f %%  of %5d  %s\n", $1, $2, $3; ran += $1 * $2 / 100; all += $2 }
		END { if (all) printf "%6.1f %%  of %5d  in all\n", 100 * ran / all, all }'
