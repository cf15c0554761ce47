#!/usr/bin/env python3
"""damage.py - every kind of damage to every file of a store: what does fsck.mqfs say?

    damage.py find STORE WORK [SEED [COUNT]]     flips of bits, each in a copy of its own: those that
                                                 matter must be found; nothing may crash
    damage.py repair STORE WORK [SEED [COUNT]]   the same, and more, repaired: what is left is as before,
                                                 but for what the log has lost

fsck.mqfs and mqdump are looked for in PATH.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'reader'))
import mqstore  # noqa: E402

FSCK = ['fsck.mqfs']


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors='replace', timeout=120)
    if done.returncode < 0 or any(s in done.stderr for s in ('Sanitizer', 'runtime error', 'must hold')):
        raise AssertionError(f'{command}: status {done.returncode}\n{done.stdout}{done.stderr}')
    return done


def files(store):
    for directory, _, names in sorted(os.walk(store)):
        for name in sorted(names):
            path = os.path.relpath(os.path.join(directory, name), store)
            if path not in ('lock', 'lmdb/lock.mdb') and not path.startswith('lost+found'):
                yield path


# --- what matters ----------------------------------------------------------------------

class Map:
    """Which bytes of a store must not change unnoticed: [(path, from, to, what)]."""

    def __init__(self, store):
        self.parts = []
        self.records = []
        self.first, self.end = {}, {}
        self.trimmed = {}
        problems = mqstore.Problems()
        log = mqstore.Log(store, problems)
        for record in log.records():
            self.add_record(log, record)
        assert not problems.list, problems.list
        self.add_rest(log)
        self.size = {}
        for path in files(store):
            self.size[path] = os.path.getsize(os.path.join(store, path))
            kind = path.split('/')[0]
            if kind in ('consumequeue', 'byteindex'):
                self.add_queue(path, 20 if kind == 'consumequeue' else 8)
            elif kind == 'index':
                self.add_index(os.path.join(store, path), path)
            elif kind == 'checkpoint':
                self.parts.append((path, 24, 4096, 'behind the times'))

    def add(self, path, at, length, what):
        if length > 0:
            self.parts.append((path, at, at + length, what))

    def add_record(self, log, r):
        base, _ = [s for s in log.segments if s[0] <= r.pos][-1]
        path, at = f'commitlog/{base:020}', r.pos - base
        self.records.append(r)
        self.add(path, at, 16, 'TOTALSIZE, MAGICCODE, BODYCRC, QUEUEID')
        self.add(path, at + 20, 16, 'QUEUEOFFSET, PHYSICALOFFSET')
        body = at + 84
        assert r.sysflag & 0x30 == 0
        self.add(path, body, 4 + len(r.body), 'BODYLENGTH, body')
        topic = body + 4 + len(r.body)
        self.add(path, topic, 1 + len(r.topic) + 2, 'topic, PROPERTIESLENGTH')
        if r.topic == 'MQFS_META':
            meta = json.loads(r.body)
            if meta['op'] == 'trim':
                self.trimmed[meta['topic'], meta['queue']] = meta['offset']
        queue = r.topic, r.queue_id
        self.first.setdefault(queue, r.queue_offset)
        self.end[queue] = r.queue_offset + 1

    def add_rest(self, log):
        base, file = log.segments[-1]
        self.add(f'commitlog/{base:020}', log.end - base, base + file.size - log.end, 'behind the end')

    def add_queue(self, path, entry):
        _, topic, queue, name = path.split('/')
        queue = topic, int(queue)
        first = max(self.first[queue], self.trimmed.get(queue, 0))
        begin, end = first * entry - int(name), self.end[queue] * entry - int(name)
        size = 2000 if entry == 20 else 800
        self.add(path, max(begin, 0), min(end, size) - max(begin, 0), 'entries')
        if entry == 20 and end < size:
            self.add(path, end, size - end, 'behind the last entry')

    def add_index(self, path, name):
        data = open(path, 'rb').read()
        count = struct.unpack_from('>i', data, 36)[0]
        slots = (len(data) - 40) // 84
        self.add(name, 0, 40 + 4 * slots, 'header, slots')
        self.add(name, 40 + 4 * slots + 20, 20 * (count - 1), 'entries')


def flip(path, at, bit):
    with open(path, 'r+b') as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))


# --- finding ----------------------------------------------------------------------------

def copy(store, work):
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(store, work)
    return work


def find(store, work, rng, count):
    whole = Map(store)
    want(run(*FSCK, '-n', store).returncode, 0, 'the store before')
    paths = list(files(store))
    missed = []
    for i in range(count):
        if i % 3 == 0:         # anywhere at all
            path = rng.choice(paths)
            at = rng.randrange(os.path.getsize(os.path.join(store, path)) or 1)
            matters = next((p for p in whole.parts if p[0] == path and p[1] <= at < p[2]), None)
        else:                   # where it matters
            kind = rng.choice(('commitlog', 'consumequeue', 'byteindex', 'index', 'checkpoint'))
            matters = rng.choice([p for p in whole.parts if p[0].startswith(kind)])
            path, at = matters[0], rng.randrange(matters[1], matters[2])
        bad = copy(store, work)
        bit = rng.randrange(8)
        flip(os.path.join(bad, path), at, bit)
        done = run(*FSCK, '-n', bad)
        if done.returncode not in (0, 4):
            raise AssertionError(f'{path} byte {at} bit {bit}: status {done.returncode}\n{done.stdout}{done.stderr}')
        if matters and done.returncode == 0:
            missed.append(f'{path} byte {at} bit {bit}: {matters[3]}')
    for line in missed:
        print('not found:', line)
    return not missed


def want(got, wanted, what):
    if got != wanted:
        raise AssertionError(f'{what}: {got}, not {wanted}')


# --- repairing ---------------------------------------------------------------------------

def messages(store):
    done = run('mqdump', '-j', store)
    return [json.loads(line) for line in done.stdout.splitlines()]


def log_bytes(store):
    found = {}
    for path in files(store):
        if path.startswith('commitlog/'):
            with open(os.path.join(store, path), 'rb') as f:
                found[path] = f.read()
    return found


def damage(store, whole, rng):
    """One damage of a random kind; says what it was."""
    paths = list(files(store))
    top = rng.choice(sorted({p.split('/')[0] for p in paths}))
    path = rng.choice([p for p in paths if p.split('/')[0] == top])
    full = os.path.join(store, path)
    size = os.path.getsize(full)
    kind = rng.choice(('flip', 'flip', 'zero', 'noise', 'cut', 'remove', 'append'))
    at = rng.randrange(size or 1)
    length = min(rng.choice((1, 8, 100, 5000)), max(size - at, 0))
    if kind == 'flip' and size:
        flip(full, at, rng.randrange(8))
    elif kind in ('zero', 'noise'):
        with open(full, 'r+b') as f:
            f.seek(at)
            f.write(bytes(length) if kind == 'zero' else rng.randbytes(length))
    elif kind == 'cut':
        os.truncate(full, at)
    elif kind == 'remove':
        os.remove(full)
    elif kind == 'append':
        with open(full, 'ab') as f:
            f.write(rng.randbytes(length or 1))
    return f'{kind} {path} at {at} length {length}'


def repair(store, work, rng, count):
    whole = Map(store)
    for i in range(count):
        bad = copy(store, work)
        what = damage(bad, whole, rng)
        before = log_bytes(bad)
        first = run(*FSCK, '-n', bad)
        want(log_bytes(bad), before, f'{what}: the log after -n')
        done = run(*FSCK, '-y', bad)
        report = f'{what}\n{first.stdout}{first.stderr}--- -y\n{done.stdout}{done.stderr}'
        if first.returncode not in (0, 4) or done.returncode not in (0, 1, 4, 5):
            raise AssertionError(f'status {first.returncode}, {done.returncode}: {report}')
        if (first.returncode == 0) != (done.returncode == 0):
            raise AssertionError(f'status {first.returncode}, then {done.returncode}: {report}')
        again = run(*FSCK, '-n', bad)
        want(again.returncode, 4 if done.returncode & 4 else 0, f'{report}--- again\n{again.stdout}status')
        after = log_bytes(bad)
        for name, data in before.items():
            kept = after[name]
            same = len(os.path.commonprefix([data, kept]))
            # only a torn end may have been made zero, and a short file longer
            if same < min(len(data), len(kept)) and (any(kept[same:]) or 'torn' not in first.stdout):
                raise AssertionError(f'the log was changed: {report}')
            if len(kept) > len(data) and any(kept[len(data):]):
                raise AssertionError(f'the log has grown: {report}')
        yield what, report, done.returncode


def main():
    what, store, work = sys.argv[1:4]
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    count = int(sys.argv[5]) if len(sys.argv) > 5 else 200
    rng = random.Random(seed)
    if what == 'find':
        return 0 if find(store, work, rng, count) else 1
    codes = {}
    for _, _, code in repair(store, work, rng, count):
        codes[code] = codes.get(code, 0) + 1
    print(f'repaired: {codes}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
