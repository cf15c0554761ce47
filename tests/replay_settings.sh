#!/bin/sh
# Text of settings, however broken, is taken or refused, never a crash.
exec "${top_builddir:-.}/tests/fuzz/replay_settings" "${top_srcdir:-$srcdir}/tests/fuzz/corpus/settings"
