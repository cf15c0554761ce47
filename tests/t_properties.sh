#!/bin/bash
# What is appended has the tag, the keys and the properties that the name gives, and a UNIQ_KEY.
. "$top_builddir/tests/functions.sh"
requires_fuse

start_mqfs "$work/store" "$mnt"
mkdir "$mnt/topics/t" "$mnt/topics/u"
t=$mnt/topics/t
jsons() { cat "$t/$1:format=json"; }

printf 'a\nb\n' >> "$t/q0:tag=A,key=k1,key=k2,prop.color=red"
want 'A|k1 k2|red A|k1 k2|red ' "$(jsons q0 | of_json '"|".join((m["tags"], m["keys"], p["color"]))' | tr '\n' ' ')" "both lines"
want 2 "$(jsons q0 | of_json 'p["UNIQ_KEY"]' | grep -cE '^[0-9A-F]{32}$')" "two UNIQ_KEYs"
want 2 "$(jsons q0 | of_json 'p["UNIQ_KEY"]' | sort -u | wc -l)" "different ones"

# RocketMQ's clients write the address first; the pid is the broker's
host=$(jsons q0 | head -n 1 | of_json 'm["msgId"]')
want "${host:0:8}" "$(jsons q0 | head -n 1 | of_json 'p["UNIQ_KEY"][:8]')" "the address in UNIQ_KEY"

# a line without properties stays as it is
echo plain >> "$t/q1"
want '{}' "$(jsons q1 | of_json p)" "a plain line's properties"

# every byte that a property can have can be said
printf x >> "$t/q2:tag=%C3%A9%2C,key=a%2Fb,prop.what%3F=1%3A2%25%0A,whole"
want 'é,|a/b|1:2%' "$(jsons q2 | of_json '"|".join((m["tags"], m["keys"], p["what?"]))' | head -n 1)" "escaped"
want x "$(cat "$t/q2:tag=%C3%A9%2C")" "the same on the side of readers"

# json: what a line says wins, the name says the rest; keys as text or as list
echo '{"body":"j","tags":"J","keys":["x","y"],"properties":{"p":"1"}}' >> "$t/q3:format=json,tag=N,prop.p=2,prop.q=3"
want 'J|x y|1|3' "$(jsons q3 | of_json '"|".join((m["tags"], m["keys"], p["p"], p["q"]))')" "json and a name"
want 1 "$(jsons q3 | of_json 'p["UNIQ_KEY"]' | grep -cE '^[0-9A-F]{32}$')" "a json line's UNIQ_KEY"

# what is read as json can be written again, and is the same
for q in q0 q2 q3; do
	jsons $q > "$work/$q"
	cat "$work/$q" >> "$mnt/topics/u/$q:format=json"
	want "$(of_json 'm["body"], m["tags"], m["keys"], p' < "$work/$q")" \
		"$(of_json 'm["body"], m["tags"], m["keys"], p' < "$mnt/topics/u/$q:format=json")" "json written again"
done

# every property is an attribute of the message
message=$mnt/messages/$(jsons q2 | of_json 'm["msgId"]')
want 'é,' "$(xattr tags "$message")" "tags"
want 'a/b' "$(xattr keys "$message")" "keys"
want '1:2%' "$(xattr 'prop.what?' "$message")" "a property"

refused() {		# NAME REASON
	if echo x 2> /dev/null >> "$t/$1"; then fail "$1 was taken"; fi
	tail -n 1 "$mnt/status/log" | grep -qF -- "$2" || fail "$1: status/log does not say \"$2\""
}
refused 'q4:tag=A||B' 'a message has one tag'
refused 'q4:prop.UNIQ_KEY=1' 'uses this property itself'
refused 'q4:key=a%20b' 'cannot hold a space'
refused 'q4:tag=%' '%2C'
want 0 "$(stat -c %s "$t/q4")" "nothing of it is stored"

# nothing is too long only because of its name
big=$(head -c 32750 /dev/zero | tr '\0' v)
if echo "{\"body\":\"x\",\"properties\":{\"big\":\"$big\"}}" 2> /dev/null >> "$t/q4:format=json,tag=A"; then
	fail "properties over 32767 bytes were taken"
fi
want 0 "$(stat -c %s "$t/q4")" "nothing of it is stored"
