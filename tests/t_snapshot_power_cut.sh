#!/bin/bash
# A snapshot whose mkdir has returned survives a power cut as a whole; others are whole or not there.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/power.sh"
requires_fuse
requires_loop

# come_and_go NAME   notes what has returned, on another disk
come_and_go() {
	local i
	for ((i = 0; i < 1000; i++)); do
		mkdir "$mnt/.snapshots/$1$i" || return 0
		echo "$1$i" >> "$work/taken"
		seq_lines 1 5000 >> "$mnt/topics/t/q0" || return 0
		if ((i % 3 == 0)); then
			sed -i "/^$1$i\$/d" "$work/taken"
			rmdir "$mnt/.snapshots/$1$i" || return 0
			echo "$1$i" >> "$work/dropped"
		fi
	done
}

for type in ext4 xfs; do
	command -v mkfs.$type > /dev/null || continue
	rm -f "$work/disk.disk"
	: > "$work/taken"
	: > "$work/dropped"
	for round in 1 2; do
		power_on $type
		mkdir -p "$mnt/topics/t"
		come_and_go "r$round-" 2> /dev/null &
		job=$!
		eventually 10 test -s "$work/taken"
		sleep 0.$((round * 3))
		# (what returns while the disk goes down, ext4 may lose)
		cp "$work/taken" "$work/taken.before"
		cp "$work/dropped" "$work/dropped.before"
		power_cut
		wait_for $job
		power_on $type
		while read -r name; do
			grep -qx "$name" "$work/taken" || continue	# it was about to be dropped
			[ -d "$mnt/.snapshots/$name" ] || fail "$type: $name was taken and is lost"
		done < "$work/taken.before"
		while read -r name; do
			if [ -d "$mnt/.snapshots/$name" ]; then fail "$type: $name was dropped and is back"; fi
		done < "$work/dropped.before"
		for s in "$mnt"/.snapshots/*; do
			(cd "$s" && sha256sum --quiet -c MANIFEST) >&9 2>&9 || fail "$type: $s is not whole"
		done
		last=$(ls "$mnt/.snapshots" | tail -n 1)
		if [ "$round" = 2 ]; then
			cp -a "$mnt/.snapshots/$last" "$work/copy.$type"
			start_mqfs "$work/copy.$type" "$work/mnt2"
			want 0 "$(grep -acv '^line [0-9]*$' "$work/mnt2/topics/t/q0" || true)" "$type: torn lines in a copy"
			stop_mqfs "$work/mnt2"
		fi
		find "$mnt/.snapshots" -mindepth 1 -maxdepth 1 -exec rmdir {} +
		: > "$work/taken"
		stop_mqfs "$mnt"
		umount "$disk"
	done
done
