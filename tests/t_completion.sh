#!/bin/bash
# bash and zsh complete flags, settings and their values, and the topics and groups of what is mounted.
. "$top_builddir/tests/functions.sh"
requires_fuse
requires_tool tmux findmnt

export LC_ALL=C.UTF-8
completions=$top_srcdir/contrib/completions
start_mqfs "$work/store" "$mnt"
mkdir -p "$mnt/topics/unusual-orders" "$mnt/groups/unusual-billing"

# Each shell has a server of its own: the former one may still be about to end.
tmux() { command tmux -L "mqfs.$$.${shell:-}" -f /dev/null "$@"; }
undo_tmux() { tmux kill-server 2> /dev/null || true; }
undo undo_tmux
shows() { tmux capture-pane -p -J -t shell | grep -qF -- "$1"; }
prompt_is_empty() { [ "$(tmux capture-pane -p -t shell | sed '/^$/d' | tail -n 1)" = '%' ]; }

# completes TYPED SHOWN: after a Tab behind TYPED the line is SHOWN
completes() {
	tmux send-keys -t shell C-u C-l
	eventually 20 prompt_is_empty
	tmux send-keys -t shell -l "$1"
	tmux send-keys -t shell Tab
	if ! within 20 shows "% $2"; then
		tmux capture-pane -p -t shell >&9
		fail "$shell: '$1' does not become '$2'"
	fi
}

for shell in bash zsh; do
	if ! command -v $shell > /dev/null; then continue; fi
	if [ $shell = bash ]; then
		echo "PS1='% '; . '$completions/mqfs'" > "$work/rc"
		start="bash --noprofile --rcfile '$work/rc'"
	else
		mkdir -p "$work/zsh"
		cat > "$work/zsh/.zshrc" <<-END
			PS1='%% '; fpath=('$completions' \$fpath); autoload -Uz compinit; compinit -u -d '$work/zsh/dump'
			unsetopt automenu beep; setopt nolistambiguous
		END
		start="env ZDOTDIR='$work/zsh' zsh -d"
	fi
	tmux new-session -d -s shell -x 160 -y 40 "$start"
	completes 'mount.mqfs -o flushDiskT' 'mount.mqfs -o flushDiskType='
	completes 'mount.mqfs -o flushDiskType=S' 'mount.mqfs -o flushDiskType=SYNC_FLUSH'
	completes 'mount.mqfs -o ro,supervise=t' 'mount.mqfs -o ro,supervise=true'
	completes 'mount.mqfs -o supervise=true,watchd' 'mount.mqfs -o supervise=true,watchdog='
	completes 'mount.mqfs -o role=sl' 'mount.mqfs -o role=slave'
	completes 'mount.mqfs -o brokerRole=SY' 'mount.mqfs -o brokerRole=SYNC_MASTER'
	completes 'mqdump -t unu' 'mqdump -t unusual-orders'
	completes 'mqtop -f unusual-b' 'mqtop -f unusual-billing'
	completes 'mqtop -v repl' 'mqtop -v replication'
	completes "fsck.mqfs --he" 'fsck.mqfs --help'
	completes "cat $mnt/topics/unu" "cat $mnt/topics/unusual-orders/"
	if [ -x "$top_builddir/contrib/mqtop/mqtop" ] && [ "$(findmnt -n -t fuse.mqfs -o TARGET | wc -l)" = 1 ]; then
		completes 'mqtop -v groups -s RETR' 'mqtop -v groups -s RETRIED'
	fi
	tmux kill-server
done
