# power.sh - a disk whose power can be cut, for tests that ask what survives.
#
#	power_on FSTYPE [MOUNT_OPTION...]    makes the disk the first time; starts the broker.  FSTYPE
#	                                     losing: tests/lab/losing.c, any part of what was not synced goes
#	power_cut                            nothing more reaches the disk
#
# $disk, of $power_size (400M), is where it is mounted; the broker is on $mnt.
#
# shellcheck shell=bash

disk=$work/disk

# What the kernel has not written is lost, and the journal is not flushed.  Says
# when that began: what is acknowledged later (ext4 does so until it has ended)
# may be lost, too.
shutdown_disk() {
	if [ -e "$disk/.cut" ]; then
		date +%s.%6N
		echo $RANDOM > "$disk/.cut"
		return 0
	fi
	python3 - "$disk" << 'END'
import fcntl, os, struct, sys, time
GOING_DOWN, WITHOUT_LOG_FLUSH = 0x8004587d, 2		# XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN
disk = os.open(sys.argv[1], os.O_RDONLY)
began = time.time()
fcntl.ioctl(disk, GOING_DOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
print("%.6f" % began)
END
}

losing_disk() {
	local program=$top_builddir/tests/lab/losing
	[ -x "$program" ] || skip "tests/lab/losing was not built"
	mkdir -p "$1" "$disk"
	"$program" "$1" "$disk" -s -o allow_other,default_permissions 9>&- || skip "no FUSE for tests/lab/losing"
	undo let_go_of "$disk"
}

power_on() {
	local type=$1 image
	image=$work/disk.$(basename "$disk")
	shift
	if [ "$type" = losing ]; then
		losing_disk "$image"
	elif [ ! -e "$image" ]; then
		loop_disk "$type" "${power_size:-400M}" "$disk"
	else
		mount -o loop "$image" "$disk"
	fi
	start_mqfs "$disk/store" "$mnt" -o mappedFileSizeCommitLog=4194304,maxMessageSize=65536 "$@"
}

# After kill_mqfs.
leave_disk() {
	umount -l "$mnt"
	eventually 10 umount "$disk"
}

power_cut() {
	shutdown_disk > /dev/null
	kill_mqfs "$mnt"
	leave_disk
}
