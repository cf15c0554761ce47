#!/bin/bash
# fuzz.sh SOURCE_TREE SECONDS [TARGET...] - each fuzz target for so long, with
# clang's fuzzer and sanitizers; what it finds joins its corpus, minimised.
set -eu

top=$(cd "$1" && pwd)
seconds=$2
shift 2
build=$top/build-check/fuzz
sanitizers=address,undefined

mkdir -p "$build"
cd "$build"
if [ ! -e config.status ]; then
	"$top/configure" -q CC=clang CFLAGS='-O1 -g' --enable-sanitize=fuzzer-no-link,$sanitizers
fi
make -s -j "$(nproc)" conf/libconf.a store/libstore.a offsets/liboffsets.a net/libnet.a repl/librepl.a remoting/libremoting.a remoting/libmqremoted.a fs/libfs.a
libs=$(pkg-config --libs fuse3 jansson inih libdeflate liblz4 libzstd libcrypto libssl libseccomp yaml-0.1)
flags=$(pkg-config --cflags fuse3 jansson inih libdeflate liblz4 libzstd libcrypto libssl libseccomp yaml-0.1)

if [ $# = 0 ]; then
	for source in "$top"/tests/fuzz/fuzz_*.c; do
		noun=$(basename "$source" .c)
		set -- "$@" "${noun#fuzz_}"
	done
fi
rc=0
for noun; do
	echo "--- $noun, $seconds s"
	floors=
	# mqremoted's first: it and the mount each have a locks.o
	for lib in remoting/libmqremoted.a fs/libfs.a repl/librepl.a remoting/libremoting.a net/libnet.a offsets/liboffsets.a store/libstore.a conf/libconf.a; do
		if [ -e "$lib" ]; then floors="$floors $lib"; fi
	done
	# shellcheck disable=SC2086	# words are wanted
	clang -std=gnu17 -O1 -g -D_GNU_SOURCE -I"$top" -I. $flags -fsanitize=fuzzer,$sanitizers \
		-o "fuzz_$noun" "$top/tests/fuzz/fuzz_$noun.c" $floors $libs -llmdb -lpthread
	corpus=$top/tests/fuzz/corpus/$noun
	mkdir -p "found/$noun" "merged/$noun" "$corpus"
	if ! "./fuzz_$noun" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=0 \
		-verbosity=0 -artifact_prefix="$build/crash-$noun-" "found/$noun" "$corpus"; then
		rc=1
		echo "fuzz: $noun: a finding is in $build/crash-$noun-*"
	fi
	"./fuzz_$noun" -merge=1 -verbosity=0 "$corpus" "found/$noun" || rc=1
done
exit $rc
