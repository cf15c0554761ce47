#!/bin/bash
# mqtop shows a mount to any user, on terminals of any size, with and without colours, and while its broker is
# away; mqtop -b prints it once.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool tmux
[ -x "$top_builddir/contrib/mqtop/mqtop" ] || skip "it was built without ncurses"

export LC_ALL=C.UTF-8
unset NO_COLOR
# column NAME TABLE WORD: of the row that begins with WORD
column() { awk -v name="$1" -v word="$3" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i } $1 == word { print $at; exit }' "$2"; }

mnt=$work/bröker
start_mqfs "$work/store" "$mnt" -o "brokerName=hier-läuft's"
for topic in orders audit quiet; do mkdir "$mnt/topics/$topic"; done
for group in billing stats; do mkdir -p "$mnt/groups/$group/orders"; done
seq_lines 1 1500 >> "$mnt/topics/orders/q0"
seq_lines 1 20 >> "$mnt/topics/audit/q1"
echo 1490 > "$mnt/groups/billing/orders/q0.offset"

# For scripts
mqtop -b "$mnt" > "$work/all"
grep -qF "hier-läuft's  ASYNC_MASTER  $mnt" "$work/all" || fail "who it is: $(head -n 1 "$work/all")"
mqtop -b -v topics -s TOPIC "$mnt" > "$work/topics"
want "audit orders quiet" "$(awk 'NR > 1 { print $1 }' "$work/topics" | xargs)" "topics by name"
want "1500 20 0" "$(for t in orders audit quiet; do column MESSAGES "$work/topics" $t; done | xargs)" "messages"
want - "$(column IN/s "$work/topics" orders)" "the rate, at the first look"
mqtop -b -v gr -f BILL "$mnt" > "$work/groups"
want "GROUP billing" "$(awk '{ print $1 }' "$work/groups" | xargs)" "groups with bill in a word"
want 10 "$(column LAG "$work/groups" billing)" "lag"
(while sleep 0.05; do echo more >> "$mnt/topics/orders/q2" || exit; done) &
writer=$!
mqtop -b -n 2 -d 1 -v topics "$mnt" > "$work/twice"
want 2 "$(grep -c ^TOPIC "$work/twice")" "headings of -n 2"
want orders "$(awk '$1 == "TOPIC" { n++ } n == 2 && $1 != "TOPIC" { print $1; exit }' "$work/twice")" "the topic that most comes to"
awk '$1 == "orders" { rate = $2 } END { exit !(rate > 1 && rate < 30) }' "$work/twice" || fail "no such rate: $(cat "$work/twice")"
kill "$writer"
wait "$writer" 2> /dev/null || true
rc=0
mqtop -b -v nothing "$mnt" 2> "$work/err" || rc=$?
want 2 "$rc" "status of a mistake"
rc=0
mqtop -b "$work" 2> "$work/err" || rc=$?
want 1 "$rc" "status without a broker"
rc=0
mqtop "$mnt" < /dev/null > "$work/out" 2> "$work/err" || rc=$?
want "2 mqtop: this is no terminal; mqtop -b only prints" "$rc $(cat "$work/err")" "without a terminal"
if [ "$(id -u)" = 0 ] && as_user test -x "$work" -a -x "$top_builddir/contrib/mqtop/mqtop"; then
	as_user mqtop -b -v topics "$mnt" > "$work/others"
	want 1500 "$(column MESSAGES "$work/others" orders | sed 's/15[0-9][0-9]/1500/')" "messages, for another user"
fi

# On a screen
server=0		# each start has one of its own: the former one may still be about to end
tmux() { command tmux -L "mqfs.$$.$server" -f /dev/null "$@"; }
undo_tmux() { tmux kill-server 2> /dev/null || true; }
undo undo_tmux
screen() { tmux capture-pane -p -t top; }
shows() { screen | grep -qE -- "$1"; }
shows_not() { ! screen | grep -qE -- "$1"; }
press() { tmux send-keys -t top "$@"; }
# start_top TERM WIDTH HEIGHT; its stderr (a sanitizer's) and its status are in files
start_top() {
	rm -f "$work/status"
	server=$((server + 1))
	tmux new-session -d -s top -x "$2" -y "$3" \
		"env TERM=$1 $(command -v mqtop) -d 0.2 '$mnt' 2> '$work/top.err'; echo \$? > '$work/status'"
	eventually 20 shows 'orders'
}
end_top() {
	press q
	eventually 20 test -s "$work/status"
	want "0 " "$(cat "$work/status") $(cat "$work/top.err")" "how mqtop ended"
	eventually 20 no_session
}
no_session() { ! tmux has-session -t top 2> /dev/null; }

start_top tmux-256color 80 24
eventually 10 shows "hier-läuft's  ASYNC_MASTER"
eventually 10 shows '^TOPIC +IN/s'
eventually 10 shows 'is mounted on'
want 24 "$(screen | wc -l)" "lines of the screen"
press 2
eventually 10 shows '^stats +orders +15[0-9][0-9] '
press '<' '<'
eventually 10 shows 'sort: GROUP'
first_row() { screen | grep -A 1 '^GROUP' | tail -n 1 | grep -q "^$1"; }
eventually 10 first_row billing
press r
eventually 10 first_row stats
press /
press BIL Enter
eventually 10 shows_not '^stats'
shows '^billing' || fail "the filter hides what it should show"
press Escape
eventually 10 shows '^stats'
press h
eventually 10 shows 'Any key goes back'
press x
eventually 10 shows '^GROUP'
press Tab
eventually 10 shows '\[3 clients\]'
press 5
eventually 10 shows '\[5 log\]'
press 1

# Of any size
for size in 40x9 200x60 20x4 12x3 3x1 1x1 80x24; do
	tmux resize-window -t top -x "${size%x*}" -y "${size#*x}"
	case $size in
	40x9 | 200x60 | 80x24) eventually 10 shows '^orders' ;;
	20x4 | 12x3) eventually 10 shows '^(TOPIC|orders)' ;;
	*) eventually 10 shows '^' ;;
	esac
done

# Away, and back
kill_mqfs "$mnt"
eventually 10 shows 'AWAY for .*Transport endpoint is not connected'
shows '^orders' || fail "what it said last is not shown"
umount -l "$mnt"
eventually 10 shows 'AWAY for .*No such file'
start_mqfs "$work/store" "$mnt" -o "brokerName=hier-läuft's"
echo more >> "$mnt/topics/quiet/q0"
eventually 10 shows_not AWAY
eventually 10 shows '^quiet .* 1 '
end_top

# Without colours, and without UTF-8
export LC_ALL=C
start_top vt100 80 24
eventually 10 shows 'hier-l\?\?uft'
press 5
eventually 10 shows '\[5 log\]'
end_top
