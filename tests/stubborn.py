#!/usr/bin/env python3
"""stubborn.py QUEUE FILE [COUNT [PREFIX]] - a producer that never gives up.

Appends numbered lines with O_DSYNC.  What write(2) has returned for is noted in FILE, a line each; what failed with
ETIMEDOUT is stored but not acknowledged, and whatever failed otherwise is tried
again.  Ends after COUNT acknowledged lines, or when FILE.stop is there.
"""
import contextlib
import errno
import os
import sys
import time


def main(queue, noted, count=1 << 30, prefix="line"):
    done = tries = 0
    fd = -1
    with open(noted, "a", buffering=1) as acked:
        while done < int(count) and not os.path.exists(noted + ".stop"):
            tries += 1
            line = f"{prefix} {tries}"
            try:
                if fd < 0:
                    fd = os.open(queue, os.O_WRONLY | os.O_APPEND | os.O_DSYNC)
                os.write(fd, line.encode() + b"\n")
                acked.write(line + "\n")
                done += 1
            except OSError as e:
                if e.errno in (errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT, errno.EROFS) and fd >= 0:
                    with contextlib.suppress(OSError):
                        os.close(fd)
                    fd = -1
                time.sleep(0.02)


main(*sys.argv[1:])
