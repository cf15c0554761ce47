#!/bin/bash
# What mqfs.conf(5) says of each setting is what the table says (else: make man).
set -eu

page=${top_srcdir:-$srcdir}/conf/mqfs.conf.5
diff -u <(sed -n '/^\.\\" From conf/,/^\.\\" Edit again/p' "$page") <("${top_builddir:-.}/conf/print_settings")
