#!/usr/bin/env python3
"""damage.py - every kind of damage to every file of a store: what does fsck.mqfs say?

    damage.py find STORE WORK [SEED [COUNT]]     flips of bits, each in a copy of its own: those that
                                                 matter must be found; nothing may crash
    damage.py repair STORE WORK [SEED [COUNT]]   the same, and more, repaired: what is left is as before,
                                                 but for what the log has lost
    damage.py mount STORE WORK OPTIONS SEED FROM COUNT
                                                 flips, zeros and cuts at each structure of each file:
                                                 what a mount of it (with these options) shows is right,
                                                 or an error; after a repair all but what the log has lost

fsck.mqfs and mqdump are looked for in PATH.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'reader'))
import mqstore  # noqa: E402
import shown  # noqa: E402

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


# --- mounting ----------------------------------------------------------------------------

PIECE = {'lmdb': 4096, 'checkpoint': 8, 'sums': 64, 'config': 64, 'snapshots': 4096}


def pieces(store):
    """Files without a structure of ours: [(path, from, to, what)]."""
    for path in files(store):
        piece = PIECE.get(path.split('/')[0], 0)
        size = os.path.getsize(os.path.join(store, path))
        for at in range(0, size, piece) if piece else ():
            yield path, at, min(at + piece, size), 'piece'


def record_fields(whole):
    """What may change without harm to a message, too: times, hosts, properties."""
    bases = sorted(int(os.path.basename(p)) for p in whole.size if p.startswith('commitlog/'))
    for r in whole.records:
        base = max(b for b in bases if b <= r.pos)
        path, at = f'commitlog/{base:020}', r.pos - base
        yield path, at + 36, at + 84, 'times, hosts'
        if r.raw_properties:
            yield path, at + r.total - len(r.raw_properties), at + r.total, 'properties'


def damages_of(store, whole, rng):
    """Of each kind of structure in each file the first, the last, one between: each damaged in three ways."""
    groups = {}
    for place in [*whole.parts, *record_fields(whole), *pieces(store)]:
        groups.setdefault((place[0], place[3]), []).append(place)
    chosen = []
    for places in groups.values():
        for place in {places[0], places[-1], rng.choice(places)}:
            chosen += [(how, *place) for how in ('flip', 'zero', 'cut')]
    chosen.sort()
    rng.shuffle(chosen)
    return chosen


def apply_damage(path, how, begin, end, rng):
    """False: nothing has changed."""
    if how == 'cut':
        os.truncate(path, begin)
        return True
    if how == 'flip':
        flip(path, rng.randrange(begin, end), rng.randrange(8))
        return True
    with open(path, 'r+b') as f:
        f.seek(begin)
        was = f.read(end - begin)
        f.seek(begin)
        f.write(bytes(end - begin))
    return any(was)


def lost_messages(whole, path, how, begin, end):
    """Keys of shown.everything() that the log cannot bring again."""
    if not path.startswith('commitlog/'):
        return set()
    base = int(os.path.basename(path))
    begin, end = base + begin, base + (whole.size[path] if how == 'cut' else end)
    return {f'{r.topic}/q{r.queue_id} message {r.queue_offset}'
            for r in whole.records if r.pos < end and r.pos + r.total > begin}


def is_error(value):
    return isinstance(value, str) and value[0] == 'E'


def is_told(key, was, now, lost, path, said):
    """Is the difference an honest one?"""
    if key.startswith('.snapshots') and 'is not shown' in said:
        return True
    if is_error(now) or key in lost and now is None:
        return ' message ' not in key or key in lost or not path.startswith('commitlog/')
    if ' key ' in key and isinstance(now, bytes):     # found by a hash: the index may have lost it
        return set(now.splitlines()) <= set(was.splitlines())
    if key.startswith('.snapshots/'):
        return now == 'not what it says'
    queue = key.replace(' ends', '').replace(' begins', '')
    return key.endswith((' ends', ' begins')) and any(m.startswith(queue + ' ') for m in lost)


def differences(before, after, lost, path, said):
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if now != was and not is_told(key, was, now, lost, path, said):
            yield f'{key}: was {str(was)[:200]}, is {str(now)[:200]}'


IDENTITY = ('TOTALSIZE', 'QUEUEOFFSET', 'topic')       # fields that say whose message it is


def only_kept(before, after, lost, what):
    """Where the log has lost a change of the tables, they are as it says now; and a message
    may have become one of another queue.  All others must be what they were."""
    if any(m.startswith('MQFS_META/') for m in lost) or lost and what.startswith(IDENTITY):
        before = {k: v for k, v in before.items() if ' message ' in k}
        after = {k: v for k, v in after.items() if k in before}
    return before, after


def show(store, mnt, options, keys):
    """What it shows, and what its broker says."""
    with shown.Mount(store, mnt, options) as mount:
        all_of_it = shown.everything(mount.mnt, keys)
    return all_of_it, mount.said


def check_one(bad, mnt, options, keys, before, lost, path, what, counts):
    """Mount it as it is, repair it, mount it again.  Returns what is wrong."""
    first = run(*FSCK, '-n', bad)
    try:
        after, said = show(bad, mnt, options, keys)
        wrong = [*differences(before, after, lost, path, said)]
    except shown.Refused as why:
        counts['refused'] += 1
        wrong = [] if str(why) else ['not mounted, and nobody says why']
    done = run(*FSCK, '-y', bad)
    counts['reported'] += first.returncode != 0
    try:
        after, said = show(bad, mnt, options, keys)
        wrong += ['repaired: ' + d for d in differences(*only_kept(before, after, lost, what), lost, path, said)]
    except shown.Refused as why:
        wrong += [f'repaired, and not mounted: {why}']
    return [f'{w}\n--- fsck -n: {first.returncode}\n{first.stdout}{first.stderr}--- fsck -y: {done.returncode}\n'
            f'{done.stdout}{done.stderr}' for w in wrong[:3]]


def mount(store, work, options, rng, begin, count):
    whole = Map(store)
    mnt = work + '.mnt'
    os.makedirs(mnt, exist_ok=True)
    keys = [('j/q3', 'k7'), ('j/q3', 'k150'), ('j/q3', 'k300')]
    before, _ = show(copy(store, work), mnt, options, keys)
    chosen = damages_of(store, whole, rng)
    counts = {'reported': 0, 'refused': 0}
    bad = done = 0
    for number, (how, path, at, end, what) in enumerate(chosen[begin:begin + count], begin):
        copied = copy(store, work)
        if not apply_damage(os.path.join(copied, path), how, at, end, random.Random(number)):
            continue
        lost = lost_messages(whole, path, how, at, end)
        done += 1
        for line in check_one(copied, mnt, options, keys, before, lost, path, what, counts):
            print(f'number {number}: {how} {path} {at} to {end} ({what}): {line}')
            bad += 1
    print(f'{done} of {len(chosen)} damages, {counts["reported"]} of them found by fsck.mqfs -n; '
          f'{counts["refused"]} kept the store from being mounted')
    return not bad


def main():
    what, store, work = sys.argv[1:4]
    if what == 'mount':
        options, seed, begin, count = sys.argv[4], *map(int, sys.argv[5:8])
        return 0 if mount(store, work, options, random.Random(seed), begin, count) else 1
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
