"""shown.py - everything that a mount of a store shows, for what compares two of them.

A value that cannot be had is the name of the error; numbers and bytes are what
they are, so that a wrong one is never taken for a missing one.
"""
import errno
import hashlib
import os
import subprocess
import time

UP_SECONDS = 60


class Refused(Exception):
    """The store was not mounted; says why."""


class Mount:
    """A broker in the foreground, and what it has said at the end."""

    def __init__(self, store, mnt, options):
        self.mnt = mnt
        self.said = ''
        with open(mnt + '.log', 'wb') as log:
            self.broker = subprocess.Popen(['mount.mqfs', '-f', store, mnt, '-o', options],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        end = time.time() + UP_SECONDS
        while not self.is_up():
            if self.broker.poll() is not None:
                raise Refused(self.end())
            if time.time() > end:
                self.broker.kill()
                raise AssertionError(f'not mounted within {UP_SECONDS} s: {self.end()}')
            time.sleep(0.01)
        return self

    def is_up(self):
        return os.path.ismount(self.mnt) and os.path.exists(os.path.join(self.mnt, 'README'))

    def __exit__(self, *_):
        subprocess.run(['umount', self.mnt], check=True, timeout=30)
        self.end()

    def end(self):
        self.broker.wait(UP_SECONDS)
        self.said = read(self.mnt + '.log').decode(errors='replace')
        if self.broker.returncode not in (0, 1, 2, 32) or 'Sanitizer' in self.said:
            raise AssertionError(f'the broker ended with {self.broker.returncode}: {self.said}')
        return self.said


def had(call, *arguments):
    try:
        return call(*arguments)
    except OSError as why:
        return errno.errorcode[why.errno]


def read(path):
    """All of it; how long it says it is, is not believed."""
    parts = []
    with open(path, 'rb', buffering=0) as f:
        while part := f.read(1 << 20):
            parts.append(part)
    return b''.join(parts)


def attribute(path, name):
    return had(lambda: int(os.getxattr(path, 'user.mqfs.' + name)))


def mode(path):
    return oct(os.stat(path).st_mode)


def queue(path, shown, key):
    """Each message by itself, if they cannot be had together."""
    first, end = (attribute(path, name) for name in ('min_offset', 'max_offset'))
    shown[f'{key} begins'], shown[f'{key} ends'] = first, end
    shown[f'{key} mode'] = had(mode, path)
    if isinstance(first, str) or isinstance(end, str):
        return
    whole = had(read, path)
    lines = whole.split(b'\n')[:-1] if isinstance(whole, bytes) else ()
    for n in range(first, end):
        together = len(lines) == end - first
        shown[f'{key} message {n}'] = lines[n - first] + b'\n' if together else had(read, f'{path}@{n}..{n + 1}')


def manifest(path):
    """Does a snapshot hold what its MANIFEST says?"""
    for line in read(os.path.join(path, 'MANIFEST')).decode(errors='replace').splitlines():
        digest, _, name = line.partition('  ')
        if not name or hashlib.sha256(read(os.path.join(path, name))).hexdigest() != digest:
            return 'not what it says'
    return 'whole'


def everything(mnt, keys=()):
    """{what: value}; keys: [(queue, key)] to be looked up."""
    shown = {}
    for top in ('topics', 'groups', '.snapshots'):
        shown[top] = names = had(lambda d: sorted(os.listdir(d)), os.path.join(mnt, top))
        for name in names if isinstance(names, list) else ():
            path = os.path.join(mnt, top, name)
            shown[f'{top}/{name} mode'] = had(mode, path)
            if top == '.snapshots':
                shown[f'{top}/{name}'] = had(manifest, path)
            for below in had(os.listdir, path) if top == 'topics' else ():
                if below[0] == 'q':
                    queue(os.path.join(path, below), shown, f'{name}/{below}')
    for group in shown['groups'] if isinstance(shown['groups'], list) else ():
        topics = had(os.listdir, os.path.join(mnt, 'groups', group))
        for topic in topics if isinstance(topics, list) else ():
            for name in ('q0.offset', 'q0.lag', 'subscription'):
                path = os.path.join('groups', group, topic, name)
                if os.path.isdir(os.path.join(mnt, 'groups', group, topic)):
                    shown[path] = had(read, os.path.join(mnt, path))
    for path, key in keys:
        shown[f'{path} key {key}'] = had(read, os.path.join(mnt, 'topics', f'{path}:key={key}'))
    return shown
