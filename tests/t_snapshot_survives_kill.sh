#!/bin/bash
# After SIGKILL in the middle of taking and dropping, each snapshot is there as a whole or not at all.
. "$top_builddir/tests/functions.sh"
requires_fuse

small=mappedFileSizeCommitLog=262144,maxMessageSize=65536
start_mqfs "$work/store" "$mnt" -o $small
mkdir "$mnt/topics/t"
seq_lines 1 10000 >> "$mnt/topics/t/q0"
mkdir "$mnt/.snapshots/stays"
(cd "$mnt/.snapshots/stays" && sha256sum -- commitlog/* lmdb/* config/* snapshot MANIFEST) > "$work/stays"
ls -iR "$mnt/.snapshots/stays" | sed 's/^.*mnt//' > "$work/inodes"

come_and_go() {
	local i
	for ((i = 0; i < 1000; i++)); do
		mkdir "$mnt/.snapshots/$1$i" || return 0
		if ((i % 2)); then rmdir "$mnt/.snapshots/$1$i" || return 0; fi
		seq_lines 1 500 >> "$mnt/topics/t/q0" || return 0
	done
}

for round in 1 2 3 4 5; do
	come_and_go "a$round-" 2> /dev/null & one=$!
	come_and_go "b$round-" 2> /dev/null & two=$!
	sleep 0.$((round * 3 % 7 + 1))
	kill_mqfs "$mnt"
	wait_for "$one" "$two"
	start_mqfs "$work/store" "$mnt" -o $small
	for s in "$mnt"/.snapshots/*; do
		(cd "$s" && sha256sum --quiet -c MANIFEST) >&9 2>&9 || fail "$s is not whole"
	done
	eventually 10 bash -c "[ -z \"\$(find '$work/store/snapshots' -name '*.new' -o -name '*.gone')\" ]"
	find "$mnt/.snapshots" -mindepth 1 -maxdepth 1 ! -name stays -exec rmdir {} +
done
want "$(cat "$work/stays")" "$(cd "$mnt/.snapshots/stays" && sha256sum -- commitlog/* lmdb/* config/* snapshot MANIFEST)" \
	"one that was not touched"
want "$(cat "$work/inodes")" "$(ls -iR "$mnt/.snapshots/stays" | sed 's/^.*mnt//')" "its inode numbers"

# what a crash may leave in the middle
stop_mqfs "$mnt"
mkdir -p "$work/store/snapshots/x.new/commitlog" "$work/store/snapshots/9.gone/config"
ln "$work/store/commitlog/00000000000000000000" "$work/store/snapshots/x.new/commitlog/"
echo '{}' > "$work/store/snapshots/9.gone/config/topics.json"
rm "$work/store/snapshots/stays/MANIFEST"
start_mqfs "$work/store" "$mnt" -o $small
want stays "$(ls "$mnt/.snapshots")" "snapshots after that"
eventually 5 bash -c "[ \"\$(ls '$work/store/snapshots')\" = stays ]"
want "$(cat "$work/stays")" "$(cd "$mnt/.snapshots/stays" && sha256sum -- commitlog/* lmdb/* config/* snapshot MANIFEST)" \
	"with its MANIFEST made again"
