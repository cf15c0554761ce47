#!/bin/bash
# A reader that looks through a long queue holds nobody else up, can be stopped, and finds what is there.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t"
t=$mnt/topics/t
for part in 1 2 3; do
	seq 100000 >> "$t/q0"
	echo "found $part" >> "$t/q0:prop.part=$part"
done

# more searches than there are workers, and others are served
for i in {1..12}; do
	cat "$t/q0:where=part > 1" > "$work/found.$i" &
	searches+=($!)
done
echo 'in between' >> "$t/q1"
want 'in between' "$(cat "$t/q1")" "who searches nothing"
wait_for "${searches[@]}"
for i in {1..12}; do
	want 'found 2 found 3 ' "$(tr '\n' ' ' < "$work/found.$i")" "search $i"
done

# those that have found nothing yet obey signals
cat "$t/q0:where=part > 7,follow" & forever=$!
eventually 10 is_waiting "$forever"
for i in 1 2 3; do cat "$t/q0:where=part > 7,follow" & pids[i]=$!; done
for pid in "${pids[@]}"; do eventually 10 is_waiting "$pid"; done
kill "$forever" "${pids[@]}"
for pid in "$forever" "${pids[@]}"; do eventually 10 is_gone "$pid"; done

# from far within a json file, too
want 1 "$(dd if="$t/q0:format=json" bs=1 count=1 skip=60000000 status=none | wc -c)" "a byte of json"

# an unmount does not wait for them
for i in 1 2 3 4; do (cat "$t/q0:where=part > 7" || true) 2> /dev/null & done
lazily=(umount -l)
if [ "$(id -u)" != 0 ]; then lazily=(fusermount3 -uz); fi
"${lazily[@]}" "$mnt"
