#!/usr/bin/env python3
"""mqstore.py - an independent reader of a RocketMQ 4.x store directory.

It shares nothing with the broker but the description of the format, so that
both can be held against each other.

    mqstore.py check [OPTION...] STORE           every record, queue, index file; counts on stdout,
                                                 problems on stderr, exit status 1 if there are any
    mqstore.py dump STORE [TOPIC [QUEUE]]        the messages in log order, one JSON object per line
    mqstore.py make STORE [MESSAGES]             a small store as RocketMQ would leave it
    mqstore.py make-waiting STORE                one in which messages wait to be delivered
    mqstore.py selftest                          this reader against known bytes and against damage

A store with `abort` (mounted, or not closed cleanly) may have views that lag
behind the log, and something torn at the log's end; `check --strict` allows
neither.  `check --rocketmq` allows what RocketMQ itself leaves behind: old bytes
after the log's end, store times that went back with the clock.

All integers are big-endian and signed.
"""

import argparse
import base64
import collections
import ipaddress
import json
import mmap
import os
import re
import shutil
import signal
import struct
import sys
import tempfile
import zlib

MAGIC_V1 = 0xDAA320A7
MAGIC_V2 = 0xDAA320AB
MAGIC_BLANK = 0xCBD43194
BLANK_BYTES = 8

PREPARED, COMMIT, ROLLBACK = 0x4, 0x8, 0xC  # SYSFLAG & 0xc
BORN_V6, STORED_V6 = 0x10, 0x20

ENTRY = struct.Struct('>qiq')  # of a consume queue: phyOffset, size, tagsCode
HOLE_SIZE = 0x7FFFFFFF  # with phyOffset 0: filled in, no message
HEADER = struct.Struct('>qqqqii')  # of an index file
ITEM = struct.Struct('>iqii')  # of an index file: keyHash, phyOffset, timeDiff, previous
DEFAULT_SLOTS = 5_000_000

DELAY_LEVELS = '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h'
UNITS_MS = {'s': 1000, 'm': 60_000, 'h': 3_600_000, 'd': 86_400_000}
SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX'


class Corrupt(Exception):
    """Bytes that are not a record."""


# --- Java's arithmetic ------------------------------------------------------------------

def signed32(n):
    n &= 0xFFFFFFFF
    return n - (1 << 32) if n & 0x80000000 else n


def java_hash(text):
    """String.hashCode: over UTF-16 code units."""
    units = text.encode('utf-16-be', 'surrogatepass')
    h = 0
    for (unit,) in struct.iter_unpack('>H', units):
        h = (31 * h + unit) & 0xFFFFFFFF
    return signed32(h)


def key_hash(key):
    """Of an index key: the absolute value, 0 for the one that has none."""
    h = abs(java_hash(key))
    return 0 if h == 1 << 31 else h


def delay_ms(level):
    levels = DELAY_LEVELS.split(' ')
    if not 1 <= level <= len(levels):
        return 1000
    text = levels[level - 1]
    return int(text[:-1]) * UNITS_MS[text[-1]]


# --- records ----------------------------------------------------------------------------

Record = collections.namedtuple('Record', '''
    total magic crc queue_id flag queue_offset pos sysflag born_ms born_host born_port store_ms
    store_host store_port reconsume_times prepared body topic raw_properties''')


class Cursor:
    """Fields one after the other, within [at, end)."""

    def __init__(self, data, at, end):
        self.data, self.at, self.end = data, at, end

    def take(self, n):
        if n < 0 or n > self.end - self.at:
            raise Corrupt(f'a field of {n} bytes where {self.end - self.at} are left')
        at = self.at
        self.at += n
        return self.data[at:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), 'big', signed=True)

    def host(self, v6):
        address = self.take(16 if v6 else 4)
        return ipaddress.ip_address(bytes(address)), self.number(4)


def decode_record(data, at=0, limit=None):
    """The record at data[at:limit]; raises Corrupt."""
    limit = len(data) if limit is None else limit
    if limit - at < 8:
        raise Corrupt(f'{limit - at} bytes are too few')
    total, magic = struct.unpack_from('>iI', data, at)
    if magic not in (MAGIC_V1, MAGIC_V2):
        raise Corrupt(f'magic {magic:#010x}')
    if not 91 <= total <= limit - at:
        raise Corrupt(f'TOTALSIZE {total} where {limit - at} bytes are left')
    c = Cursor(data, at + 8, at + total)
    crc, queue_id, flag = c.number(4), c.number(4), c.number(4)
    queue_offset, pos, sysflag = c.number(8), c.number(8), c.number(4)
    born_ms = c.number(8)
    born_host, born_port = c.host(sysflag & BORN_V6)
    store_ms = c.number(8)
    store_host, store_port = c.host(sysflag & STORED_V6)
    reconsume_times, prepared = c.number(4), c.number(8)
    body = bytes(c.take(c.number(4)))
    topic = bytes(c.take(c.number(1 if magic == MAGIC_V1 else 2)))
    properties = bytes(c.take(c.number(2)))
    if c.at != c.end:
        raise Corrupt(f'TOTALSIZE {total}, but its fields take {c.at - at}')
    if crc != (zlib.crc32(body) & 0x7FFFFFFF if body else 0):
        raise Corrupt(f'BODYCRC {crc:#x} is not that of the body')
    try:
        topic = topic.decode()
    except UnicodeDecodeError:
        raise Corrupt(f'topic {topic!r} is not UTF-8') from None
    return Record(total, magic, crc, queue_id, flag, queue_offset, pos, sysflag, born_ms, born_host,
                  born_port, store_ms, store_host, store_port, reconsume_times, prepared, body, topic,
                  properties)


def encode_record(r):
    """V1.  total, magic and crc of r do not matter."""
    topic = r.topic.encode()
    tail = struct.pack('>i', len(r.body)) + r.body + struct.pack('>b', len(topic)) + topic
    tail += struct.pack('>h', len(r.raw_properties)) + r.raw_properties
    head = struct.pack('>iiiqqiq', zlib.crc32(r.body) & 0x7FFFFFFF, r.queue_id, r.flag, r.queue_offset,
                       r.pos, r.sysflag, r.born_ms)
    head += r.born_host.packed + struct.pack('>iq', r.born_port, r.store_ms)
    head += r.store_host.packed + struct.pack('>iiq', r.store_port, r.reconsume_times, r.prepared)
    return struct.pack('>iI', 8 + len(head) + len(tail), MAGIC_V1) + head + tail


def parse_properties(raw):
    """name 0x01 value, parted by 0x02; what has no name or no value is dropped."""
    found = {}
    for entry in raw.split(b'\x02'):
        name, separator, value = entry.partition(b'\x01')
        if len(entry) >= 3 and separator and name and value:
            found[name.decode('utf-8', 'replace')] = value.decode('utf-8', 'replace')
    return found


def offset_message_id(record):
    return (record.store_host.packed + struct.pack('>iq', record.store_port, record.pos)).hex().upper()


def tags_code(record, properties):
    if record.topic == SCHEDULE_TOPIC and 'DELAY' in properties:
        try:
            level = int(properties['DELAY'])
        except ValueError:
            level = 0
        if level > 0:
            return record.store_ms + delay_ms(min(level, len(DELAY_LEVELS.split(' '))))
    return java_hash(properties.get('TAGS', ''))


def is_queued(record):
    """Prepared and rolled-back ones are in no consume queue."""
    return record.sysflag & 0xC in (0, COMMIT)


def index_keys(record, properties):
    """What the key index has of a record, in its order."""
    if record.sysflag & 0xC == ROLLBACK:
        return []
    keys = [properties['UNIQ_KEY']] if 'UNIQ_KEY' in properties else []
    keys += [k for k in properties.get('KEYS', '').split(' ') if k]
    return [f'{record.topic}#{k}' for k in keys]


def as_json(record):
    properties = parse_properties(record.raw_properties)
    return {
        'topic': record.topic, 'queueId': record.queue_id, 'queueOffset': record.queue_offset,
        'phyOffset': record.pos, 'msgId': offset_message_id(record),
        'body': base64.b64encode(record.body).decode(),
        'tags': properties.get('TAGS'), 'keys': properties.get('KEYS'), 'properties': properties,
        'bornTimestamp': record.born_ms, 'bornHost': f'{record.born_host}:{record.born_port}',
        'storeTimestamp': record.store_ms, 'storeHost': f'{record.store_host}:{record.store_port}',
        'flag': record.flag, 'sysFlag': record.sysflag, 'reconsumeTimes': record.reconsume_times,
        'preparedTransactionOffset': record.prepared, 'size': record.total,
    }


# --- files ------------------------------------------------------------------------------

class File:
    """A whole file, mapped."""

    def __init__(self, path):
        self.path = path
        with open(path, 'rb') as f:
            self.size = os.fstat(f.fileno()).st_size
            self.data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b''

    def first_nonzero(self, start, end=None):
        """Where the first byte that is not 0 lies, or None; holes are not read."""
        end = self.size if end is None else min(end, self.size)
        with open(self.path, 'rb') as f:
            while start < end:
                try:
                    start = os.lseek(f.fileno(), start, os.SEEK_DATA)
                except OSError:
                    return None
                chunk = self.data[start:min(start + (1 << 16), end)]
                rest = chunk.lstrip(b'\0')
                if rest:
                    return start + len(chunk) - len(rest)
                start += max(len(chunk), 1)
        return None


def segments(directory, problems):
    """[(base, File)] of a directory of files named by their first byte."""
    found = []
    for name in sorted(os.listdir(directory) if os.path.isdir(directory) else []):
        path = os.path.join(directory, name)
        if not re.fullmatch(r'[0-9]{20}', name) or not os.path.isfile(path):
            problems.add(path, 'is not a file named by 20 digits')
            continue
        found.append((int(name), File(path)))
    for (base, file), (next_base, next_file) in zip(found, found[1:]):
        if base + file.size != next_base:
            problems.add(next_file.path, f'should begin at {base + file.size}')
    return found


class Problems:
    def __init__(self):
        self.list = []
        self.notes = []

    def add(self, where, what):
        self.list.append(f'{where}: {what}')

    def note(self, where, what):
        self.notes.append(f'{where}: {what}')


# --- the commit log ---------------------------------------------------------------------

class Log:
    """The records of a store, in order.  `first` and `end` are positions."""

    def __init__(self, store, problems, torn_end=False):
        self.segments = segments(os.path.join(store, 'commitlog'), problems)
        self.problems = problems
        self.torn_end = torn_end  # something torn at the end is no problem
        self.first = self.end = self.segments[0][0] if self.segments else 0
        self.blanks = 0
        self.check_sizes()

    def check_sizes(self):
        """All alike; the last may be cut short (a snapshot's)."""
        if not self.segments:
            return
        size = self.segments[0][1].size
        for base, file in self.segments[:-1]:
            if file.size != size:
                self.problems.add(file.path, f'has {file.size} bytes, not {size}')
        last = self.segments[-1][1]
        if last.size > size:
            self.problems.add(last.path, f'has {last.size} bytes, more than {size}')

    def full_size(self, file):
        return max(file.size, self.segments[0][1].size)

    def records(self):
        for number, (base, file) in enumerate(self.segments):
            at = yield from self.segment_records(base, file)
            self.end = base + at
            if at < file.size or at < self.full_size(file):
                self.check_rest(at, number)
                return

    def segment_records(self, base, file):
        """Records of one segment; returns where they end: its size, if a blank record does."""
        at = 0
        while file.size - at >= 8:
            total, magic = struct.unpack_from('>iI', file.data, at)
            if total == 0 and magic == 0:
                return at
            if magic == MAGIC_BLANK:
                if total != self.full_size(file) - at:
                    self.damage(file, at, f'a blank record of {total}, {file.size - at} are left')
                    return at
                self.blanks += 1
                return file.size
            try:
                record = decode_record(file.data, at, file.size)
            except Corrupt as e:
                self.damage(file, at, str(e))
                return at
            if record.pos != base + at:
                self.damage(file, at, f'PHYSICALOFFSET {record.pos} at {base + at}')
                return at
            if at + record.total + BLANK_BYTES > self.full_size(file):
                self.problems.add(file.path, f'at {at}: no room for a blank record behind the record')
            yield record
            at += record.total
        if at < file.size:
            self.damage(file, at, f'{file.size - at} bytes where a record should be')
        return at

    def damage(self, file, at, what):
        (self.problems.note if self.torn_end else self.problems.add)(file.path, f'at {at}: {what}')

    def check_rest(self, at, number):
        """Behind the end there are zeros, in this segment and in a spare one."""
        for base, file in self.segments[number:]:
            nonzero = file.first_nonzero(at)
            if nonzero is not None:
                self.damage(file, nonzero, 'not zero behind the end of the log')
                return
            at = 0


class Known:
    """What the log says should be in the views."""

    def __init__(self):
        self.queues = collections.defaultdict(dict)  # (topic, queue) -> {offset: (pos, total, code)}
        self.keys = []  # (pos, hash, store_ms) in the index's order
        self.records = 0
        self.last_store_ms = 0


def read_log(log, problems, clock_may_step=False):
    """Known, from all records; checks what can be seen in the log alone."""
    known = Known()
    next_offset = {}
    for r in log.records():
        where = f'record at {r.pos}'
        properties = parse_properties(r.raw_properties)
        known.records += 1
        if not re.fullmatch(r'[%|a-zA-Z0-9_-]{1,127}', r.topic):
            problems.add(where, f'topic {r.topic!r}')
        if r.queue_id < 0:
            problems.add(where, f'QUEUEID {r.queue_id}')
        if r.store_ms < known.last_store_ms and not clock_may_step:
            problems.add(where, f'STORETIMESTAMP {r.store_ms} after {known.last_store_ms}')
        known.last_store_ms = r.store_ms
        if is_queued(r):
            queue = r.topic, r.queue_id
            expect = next_offset.get(queue, r.queue_offset)
            if r.queue_offset != expect:
                problems.add(where, f'QUEUEOFFSET {r.queue_offset} in {r.topic}/{r.queue_id}, '
                             f'where {expect} comes next')
            next_offset[queue] = r.queue_offset + 1
            known.queues[queue][r.queue_offset] = r.pos, r.total, tags_code(r, properties)
        for key in index_keys(r, properties):
            known.keys.append((r.pos, key_hash(key), r.store_ms))
    return known


# --- consume queues ---------------------------------------------------------------------

def queue_directories(store):
    root = os.path.join(store, 'consumequeue')
    for topic in sorted(os.listdir(root) if os.path.isdir(root) else []):
        for queue in sorted(os.listdir(os.path.join(root, topic))):
            yield topic, queue, os.path.join(root, topic, queue)


def queue_entries(directory, problems):
    """(offset, phyOffset, size, tagsCode) of each entry up to the first that was never written."""
    files = segments(directory, problems)
    size = files[0][1].size if files else 0
    for base, file in files:
        if file.size != size or size % ENTRY.size or base % ENTRY.size:
            problems.add(file.path, f'begins at {base} and has {file.size} bytes')
            return
    for number, (base, file) in enumerate(files):
        for at in range(0, file.size, ENTRY.size):
            pos, total, code = ENTRY.unpack_from(file.data, at)
            if pos < 0 or total <= 0:
                check_unwritten(files[number:], at, problems)
                return
            yield (base + at) // ENTRY.size, pos, total, code


def check_unwritten(files, at, problems):
    for _, file in files:
        nonzero = file.first_nonzero(at)
        if nonzero is not None:
            problems.add(file.path, f'at {nonzero}: not zero behind the last entry')
            return
        at = 0


def first_entry(directory):
    """Files before it were removed with the queue's head: what they held may still be in the log."""
    names = [name for name in os.listdir(directory) if name.isdigit()] if os.path.isdir(directory) else []
    return min(map(int, names)) // ENTRY.size if names else 0


def check_queue(topic, queue, directory, log, messages, may_lag, problems):
    """Each entry against the record it stands for; returns how many there are."""
    first = first_entry(directory)
    waiting = {offset: message for offset, message in messages.items() if offset >= first}
    messages = dict(waiting)
    count = 0
    for offset, pos, total, code in queue_entries(directory, problems):
        where = f'{directory}: entry {offset}'
        message = waiting.pop(offset, None)
        if pos == 0 and total == HOLE_SIZE:
            if message:
                problems.add(where, f'is a hole, but the message is at {message[0]}')
            continue
        count += 1
        if pos < log.first:
            continue  # the log has dropped it
        if not message:
            problems.add(where, f'phyOffset {pos}: no such message of {topic}/{queue} in the log')
        elif message != (pos, total, code):
            problems.add(where, f'(phyOffset, size, tagsCode) is {(pos, total, code)}, should be {message}')
    if waiting and not may_lag:
        problems.add(directory, f'has no entry for message {min(waiting)} at {waiting[min(waiting)][0]} '
                     f'and {len(waiting) - 1} more')
    check_lag(directory, messages, waiting, problems)
    return count


def check_lag(where, messages, waiting, problems):
    """What is missing because a view lags is missing at the end."""
    if waiting and any(offset > min(waiting) for offset in messages if offset not in waiting):
        problems.add(where, f'entry {min(waiting)} is missing, but later ones are there')


def check_queues(store, log, known, may_lag, problems):
    count = 0
    missing = dict(known.queues)
    for topic, queue, directory in queue_directories(store):
        if not queue.isdigit():
            problems.add(directory, 'is not named by a number')
            continue
        messages = missing.pop((topic, int(queue)), {})
        count += check_queue(topic, int(queue), directory, log, messages, may_lag, problems)
    for topic, queue in sorted(missing):
        if not may_lag:
            problems.add('consumequeue', f'there is none for {topic}/{queue}')
    return count


# --- the key index ----------------------------------------------------------------------

class Index:
    """One index file.  Sizes not given are RocketMQ's, or in its ratio of 4 entries a slot."""

    def __init__(self, path, slots=None, items=None):
        self.file = File(path)
        if not slots:
            slots = (self.file.size - HEADER.size) // 84
        self.slots = slots
        self.items = items or (self.file.size - HEADER.size - 4 * slots) // ITEM.size
        self.size_is_right = self.file.size == HEADER.size + 4 * self.slots + ITEM.size * self.items
        if self.size_is_right:
            (self.begin_ms, self.end_ms, self.begin_pos, self.end_pos,
             self.slot_count, self.count) = HEADER.unpack_from(self.file.data, 0)
            self.count = max(self.count, 1)

    def slot_at(self, slot):
        return HEADER.size + 4 * slot

    def slot(self, slot):
        return struct.unpack_from('>i', self.file.data, self.slot_at(slot))[0]

    def item_at(self, n):
        return HEADER.size + 4 * self.slots + ITEM.size * n

    def item(self, n):
        return ITEM.unpack_from(self.file.data, self.item_at(n))

    def find(self, key):
        """Positions of records that may have topic#key, newest first."""
        h = key_hash(key)
        n = self.slot(h % self.slots)
        found = []
        while 0 < n < self.count:
            item_hash, pos, _, previous = self.item(n)
            if item_hash == h:
                found.append(pos)
            if previous >= n:
                raise Corrupt(f'{self.file.path}: entry {n} goes on at {previous}')
            n = previous
        return found


def check_index_chains(index, loose, problems):
    """Slots and chains are what putting the entries one after the other gives."""
    path = index.file.path
    newest = {}
    for n in range(1, index.count):
        item_hash, _, _, previous = index.item(n)
        slot = item_hash % index.slots
        if item_hash < 0 or previous != newest.get(slot, 0):
            problems.add(path, f'entry {n}: previous is {previous}, should be {newest.get(slot, 0)}')
        newest[slot] = n
    for slot, n in newest.items():
        if index.slot(slot) != n:
            problems.add(path, f'slot {slot} holds {index.slot(slot)}, should be {n}')
    if index.slot_count != len(newest) and not loose:
        problems.add(path, f'hashSlotCount is {index.slot_count}, should be {len(newest)}')
    end = index.slot_at(index.slots)
    at = index.file.first_nonzero(index.slot_at(0), end)
    while at is not None:
        slot = (at - HEADER.size) // 4
        if slot not in newest:
            problems.add(path, f'slot {slot} is in use, but no entry is in it')
        at = index.file.first_nonzero(index.slot_at(slot + 1), end)
    if not loose and index.file.first_nonzero(index.item_at(index.count)) is not None:
        problems.add(path, f'not zero behind entry {index.count - 1}')


def check_index_items(index, log, keys, problems):
    """The entries against the records; takes those found from keys."""
    path = index.file.path
    for n in range(1, index.count):
        item_hash, pos, time_diff, _ = index.item(n)
        if pos < log.first:
            continue
        if not keys or (keys[0][0], keys[0][1]) != (pos, item_hash):
            expect = keys[0][:2] if keys else 'none'
            problems.add(path, f'entry {n}: (phyOffset, keyHash) is {(pos, item_hash)}, should be {expect}')
            return
        store_ms = keys.popleft()[2]
        expect = max(0, min((store_ms - index.begin_ms) // 1000, 0x7FFFFFFF)) if n > 1 else 0
        if time_diff != expect:
            problems.add(path, f'entry {n}: timeDiff is {time_diff}, should be {expect}')
        if n == 1 and (index.begin_ms, index.begin_pos) != (store_ms, pos):
            problems.add(path, f'begins with {(index.begin_ms, index.begin_pos)}, '
                         f'entry 1 with {(store_ms, pos)}')
        if n == index.count - 1 and (index.end_ms, index.end_pos) != (store_ms, pos):
            problems.add(path, f'ends with {(index.end_ms, index.end_pos)}, '
                         f'entry {n} with {(store_ms, pos)}')


def index_files(store, slots=None, items=None):
    root = os.path.join(store, 'index')
    for name in sorted(os.listdir(root) if os.path.isdir(root) else []):
        yield name, Index(os.path.join(root, name), slots, items)


def check_indexes(store, log, known, options, may_lag, problems):
    keys = collections.deque(known.keys)
    files = count = 0
    for name, index in index_files(store, options.slots, options.items):
        files += 1
        if not re.fullmatch(r'[0-9]{17}', name):
            problems.add(index.file.path, 'is not named by a time of 17 digits')
        if not index.size_is_right:
            problems.add(index.file.path, f'has {index.file.size} bytes (see --slots and --items)')
            continue
        if index.count > index.items:
            problems.add(index.file.path, f'indexCount is {index.count} of {index.items}')
            continue
        count += index.count - 1
        check_index_chains(index, options.rocketmq, problems)
        check_index_items(index, log, keys, problems)
    if keys and not may_lag and not options.no_index:
        problems.add('index', f'has no entry for the record at {keys[0][0]} and {len(keys) - 1} more')
    return files, count


# --- the rest ---------------------------------------------------------------------------

def read_checkpoint(store):
    """(physic, logics, index) in ms, None if there is no file."""
    path = os.path.join(store, 'checkpoint')
    if not os.path.exists(path):
        return None
    file = File(path)
    if file.size != 4096:
        raise Corrupt(f'{path}: has {file.size} bytes, not 4096')
    if file.data[24:].strip(b'\0'):
        raise Corrupt(f'{path}: not zero behind the three times')
    return struct.unpack_from('>qqq', file.data, 0)


def check_checkpoint(store, known, clean, problems):
    try:
        times = read_checkpoint(store)
    except Corrupt as e:
        problems.add('checkpoint', e)
        return None
    if times is None:
        if known.records:
            problems.note('checkpoint', 'is not there')
        return None
    if known.records and max(times) > known.last_store_ms:
        problems.add('checkpoint', f'{times} is later than the last record, {known.last_store_ms}')
    if min(times) < 0:
        problems.add('checkpoint', f'{times}')
    if clean and known.records and times[0] != known.last_store_ms:
        problems.note('checkpoint', f'physic is {times[0]}, the last record {known.last_store_ms}')
    return times


def read_lock(store):
    path = os.path.join(store, 'lock')
    if not os.path.exists(path):
        return None
    with open(path, 'rb') as f:
        return f.read(256).decode('utf-8', 'replace').strip('\0\n ')


def check(store, options):
    """(counts, Problems) of a whole store."""
    problems = Problems()
    if not os.path.isdir(os.path.join(store, 'commitlog')):
        problems.add(store, 'has no commitlog/')
    aborted = os.path.exists(os.path.join(store, 'abort'))
    tolerant = aborted and not options.strict
    log = Log(store, problems, torn_end=tolerant or options.rocketmq)
    known = read_log(log, problems, options.rocketmq)
    queued = check_queues(store, log, known, tolerant, problems)
    files, indexed = check_indexes(store, log, known, options, tolerant, problems)
    counts = {
        'records': known.records, 'first': log.first, 'end': log.end, 'segments': len(log.segments),
        'blanks': log.blanks, 'queues': len(list(queue_directories(store))), 'queue entries': queued,
        'index files': files, 'index entries': indexed,
        'checkpoint': check_checkpoint(store, known, not aborted, problems),
        'abort': aborted, 'lock': read_lock(store),
    }
    return counts, problems


def records(store):
    """All records in log order; raises Corrupt at the first that is none."""
    problems = Problems()
    yield from Log(store, problems).records()
    if problems.list:
        raise Corrupt(problems.list[0])


def dump(store, topic=None, queue=None):
    for r in records(store):
        if topic in (None, r.topic) and queue in (None, r.queue_id):
            yield as_json(r)


# --- a store as RocketMQ would leave it -------------------------------------------------

class Writer:
    """Appends records to segments of a size, then writes the views from them."""

    def __init__(self, store, segment_bytes=4096, queue_bytes=200, slots=100, items=400):
        self.store, self.segment_bytes, self.queue_bytes = store, segment_bytes, queue_bytes
        self.slots, self.items = slots, items
        self.log = bytearray()
        self.records = []
        self.queues = collections.defaultdict(list)

    def append(self, topic, queue_id, body, properties=(), store_ms=1700000000123, sysflag=0, **changes):
        queued = sysflag & 0xC in (0, COMMIT)
        r = Record(0, 0, 0, queue_id, 0, len(self.queues[topic, queue_id]) if queued else 0, len(self.log),
                   sysflag, store_ms - 123, ipaddress.ip_address('10.0.0.9'), 51000, store_ms,
                   ipaddress.ip_address('10.0.0.1'), 10911, 0, 0, body, topic,
                   b'\x02'.join(f'{k}\x01{v}'.encode() for k, v in dict(properties).items()))
        r = r._replace(**changes)
        left = self.segment_bytes - len(self.log) % self.segment_bytes
        if len(encode_record(r)) + BLANK_BYTES > left:
            self.log += struct.pack('>iI', left, MAGIC_BLANK) + bytes(left - BLANK_BYTES)
            r = r._replace(pos=len(self.log))
        self.log += encode_record(r)
        r = decode_record(self.log, r.pos)
        self.records.append(r)
        if queued:
            self.queues[topic, queue_id].append(r)
        return r

    def put(self, name, data):
        path = os.path.join(self.store, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(data)

    def put_segments(self, directory, data, size):
        data = bytes(data) + bytes(-len(data) % size if data else size)
        for base in range(0, len(data), size):
            self.put(f'{directory}/{base:020d}', data[base:base + size])

    def indexed(self):
        """(key, record) of all keys, in the order they are put."""
        for r in self.records:
            for key in index_keys(r, parse_properties(r.raw_properties)):
                yield key, r

    def index_file(self, put):
        """The file that has these."""
        slots, items = [0] * self.slots, [ITEM.pack(0, 0, 0, 0)]
        first, last = put[0][1], put[-1][1]
        for key, r in put:
            h = key_hash(key)
            diff = (r.store_ms - first.store_ms) // 1000
            items.append(ITEM.pack(h, r.pos, diff, slots[h % self.slots]))
            slots[h % self.slots] = len(items) - 1
        header = HEADER.pack(first.store_ms, last.store_ms, first.pos, last.pos,
                             sum(1 for slot in slots if slot), len(items))
        data = header + struct.pack(f'>{self.slots}i', *slots) + b''.join(items)
        return data + bytes(HEADER.size + 4 * self.slots + ITEM.size * self.items - len(data))

    def finish(self):
        self.put_segments('commitlog', self.log, self.segment_bytes)
        for (topic, queue_id), queued in self.queues.items():
            entries = (ENTRY.pack(r.pos, r.total, tags_code(r, parse_properties(r.raw_properties)))
                       for r in queued)
            self.put_segments(f'consumequeue/{topic}/{queue_id}', b''.join(entries), self.queue_bytes)
        put = list(self.indexed())
        for n in range(0, len(put), self.items - 1):
            self.put(f'index/{20231114221320123 + n}', self.index_file(put[n:n + self.items - 1]))
        last_ms = self.records[-1].store_ms if self.records else 0
        self.put('checkpoint', struct.pack('>qqq', last_ms, last_ms, 0) + bytes(4096 - 24))
        self.put('lock', b'lock')


def make(store, messages=100):
    w = Writer(store)
    for i in range(messages):
        properties = {'UNIQ_KEY': f'{i:032X}', 'TAGS': 'AB'[i % 2]}
        if i % 3 == 0:
            properties['KEYS'] = f'k{i} all'
        w.append('OrderTopic', i % 4, f'message {i}\n'.encode() * (i % 5), properties,
                 store_ms=1700000000123 + 400 * i)
    w.finish()


def make_waiting(store):
    """Of transactions, delay levels and RocketMQ 5's timer wheel; the wheel has come to 2027-01-15 08:00 UTC."""
    wheel_ms = 1800000000000
    w = Writer(store)
    w.append('Orders', 0, b'delivered', {'UNIQ_KEY': 'D'})
    w.append('RMQ_SYS_TRANS_HALF_TOPIC', 0, b'half', {'UNIQ_KEY': 'H', 'REAL_TOPIC': 'Orders', 'REAL_QID': 0})
    w.append('SCHEDULE_TOPIC_XXXX', 17, b'by level',
             {'UNIQ_KEY': 'L', 'DELAY': 18, 'REAL_TOPIC': 'Orders', 'REAL_QID': 0})
    for key, due_ms, more in (('T1', wheel_ms - 1000, {}), ('T2', wheel_ms + 3600000, {}),
                              ('T3', wheel_ms + 60000, {}), ('T4', wheel_ms + 60000, {'TIMER_DEL_UNIQKEY': 'T3'})):
        w.append('rmq_sys_wheel_timer', 0, f'timed {key}'.encode(),
                 {'UNIQ_KEY': key, 'TIMER_OUT_MS': due_ms, 'REAL_TOPIC': 'Orders', 'REAL_QID': 0, **more})
    w.finish()
    w.put('config/timercheck', struct.pack('>qqqq', wheel_ms, 0, 4, 4) + bytes(4096 - 32))


# --- selftest ---------------------------------------------------------------------------

V1 = bytes.fromhex('''
    000000ac daa320a7 3c89e19b 00000002 00000000 0000000000000005 0000000000000400 00000000
    0000018bcfe56800 0a000009 0000c738 0000018bcfe5687b 0a000001 00002a9f 00000000 0000000000000000
    0000000c 68656c6c6f20726f636b6574 0a 4f72646572546f706963
    003b 544147530154616741 02 4b455953016b31 02
    554e49515f4b455901 3041303030303039313039323138423441414332303030303030303030303031''')
V1_UNIQ_KEY = '0A000009109218B4AAC2000000000001'


def want(got, expect, what):
    if got != expect:
        raise AssertionError(f'{what}: got {got!r}, want {expect!r}')


def test_record():
    r = decode_record(V1)
    want(len(V1), 172, 'length')
    want((r.topic, r.queue_id, r.queue_offset, r.pos), ('OrderTopic', 2, 5, 1024), 'V1')
    want(r.body, b'hello rocket', 'body')
    want((r.born_ms, str(r.born_host), r.born_port), (1700000000000, '10.0.0.9', 51000), 'born')
    want((r.store_ms, str(r.store_host), r.store_port), (1700000000123, '10.0.0.1', 10911), 'stored')
    want(parse_properties(r.raw_properties), {'TAGS': 'TagA', 'KEYS': 'k1', 'UNIQ_KEY': V1_UNIQ_KEY},
         'properties')
    want(offset_message_id(r), '0A00000100002A9F0000000000000400', 'message id')
    want(encode_record(r), V1, 'encoded')
    v2 = b'\0\0\0\xad\xda\xa3\x20\xab' + V1[8:100] + b'\0' + V1[100:]
    want(decode_record(v2)._replace(total=r.total, magic=r.magic), r, 'version 2')
    want(zlib.crc32(b'a') & 0x7FFFFFFF, 0x68B7BE43, 'CRC')
    want(parse_properties(b'a\x01\x02\x01b\x02ab\x02c\x01d\x01e\x02'), {'c': 'd\x01e'}, 'dropped properties')
    for i in range(len(V1)):
        try:
            decode_record(V1[:i])
        except Corrupt:
            continue
        raise AssertionError(f'{i} bytes are a record')


def test_hashes():
    for tag, code in (('TagA', 2598919), ('order-created', -392709271), ('PAY_OK', -1941861133),
                      ('tag-1', 110118590), ('库存', 773925), ('', 0),
                      ('\U0001f680', 31 * 0xD83D + 0xDE80)):
        want(java_hash(tag), code, tag)
    want(key_hash('polygenelubricants'), 0, 'the key without an absolute value')
    want(key_hash('OrderTopic#' + V1_UNIQ_KEY), 58733821, 'UNIQ_KEY')
    want(key_hash('OrderTopic#k1'), 1662905928, 'k1')


def test_entries():
    r = decode_record(V1)
    entry = ENTRY.pack(r.pos, r.total, tags_code(r, parse_properties(r.raw_properties)))
    want(entry.hex(), '0000000000000400000000ac000000000027a807', 'entry of V1')
    r = r._replace(topic=SCHEDULE_TOPIC)
    entry = ENTRY.pack(2048, 200, tags_code(r, {'DELAY': '3'}))
    want(entry.hex(), '0000000000000800000000c80000018bcfe58f8b', 'delayed entry')
    want(tags_code(r, {'DELAY': '99'}), r.store_ms + 7_200_000, 'a level beyond the last')
    want(ENTRY.pack(0, HOLE_SIZE, 0).hex(), '00000000000000007fffffff0000000000000000', 'pre-blank')


def test_blank(work):
    """V3: 172 + 8 bytes fit in 180, not in 96."""
    for filler, blank_at, blank in ((4000, 4000, '00000060cbd43194'), (3916, 4088, '00000008cbd43194')):
        w = Writer(os.path.join(work, f'blank{filler}'))
        w.append('F', 0, bytes(filler - 92))
        want(len(w.log), filler, 'filler')
        r = w.append('OrderTopic', 2, b'hello rocket', parse_properties(decode_record(V1).raw_properties))
        want(r.total, 172, 'size')
        want(r.pos, 4096 if filler == 4000 else filler, 'place')
        w.append('F', 0, b'next')
        want(w.log[blank_at:blank_at + 8].hex(), blank, 'blank record')
        w.finish()
        expect_problems(w.store, None)


def test_index(work):
    """V4, in a file of RocketMQ's size."""
    w = Writer(os.path.join(work, 'index'), slots=DEFAULT_SLOTS, items=100)
    w.records.append(decode_record(V1))
    data = w.index_file(list(w.indexed()))
    want(data[:40].hex(), '0000018bcfe5687b0000018bcfe5687b00000000000004000000000000000400'
         '0000000200000003', 'header')
    want((data[14935324:14935328].hex(), data[11623752:11623756].hex()), ('00000001', '00000002'), 'slots')
    want(data[20000060:20000080].hex(), '038034fd00000000000004000000000000000000', 'entry 1')
    want(data[20000080:20000100].hex(), '631dee4800000000000004000000000000000000', 'entry 2')
    w.put('index/20231114221320123', data)
    index = Index(os.path.join(w.store, 'index/20231114221320123'), DEFAULT_SLOTS)
    want(index.items, 100, 'entries')
    want(index.find('OrderTopic#k1'), [1024], 'k1')
    want(index.find('OrderTopic#k2'), [], 'k2')


def options_of(*words):
    return arguments().parse_args(['check', *words, ''])


def expect_problems(store, pattern, *words):
    """None of them, or one that has the pattern."""
    found = check(store, options_of(*words))[1].list
    if pattern is None:
        want(found, [], store)
    elif not any(re.search(pattern, p) for p in found):
        raise AssertionError(f'{store}: no "{pattern}" among {found}')


# What is done to a store of make(), and what the reader must say: a file, a
# place in it, the bytes put there.
DAMAGES = (
    ('commitlog/00000000000000000000', 0, b'\x7f', r'TOTALSIZE'),
    ('commitlog/00000000000000000000', 4, b'\0', r'magic 0x00a320a7'),
    ('commitlog/00000000000000000000', 35, b'\1', r'PHYSICALOFFSET 1 at 0'),
    ('commitlog/00000000000000000000', 27, b'\1', r'QUEUEOFFSET'),
    ('commitlog/00000000000000004096', 90, b'!', r'BODYCRC|fields take|field of'),
    ('commitlog/00000000000000004096', 59, b'\0', r'STORETIMESTAMP'),
    ('commitlog/%last', -1, b'\1', r'not zero behind the end'),
    ('consumequeue/OrderTopic/0/00000000000000000000', 7, b'\1', r'entry 0: phyOffset|entry 0: \(phy'),
    ('consumequeue/OrderTopic/1/00000000000000000000', 11, b'\1', r'entry 0: \(phyOffset'),
    ('consumequeue/OrderTopic/2/00000000000000000200', 19, b'\1', r'entry 10: \(phyOffset'),
    ('consumequeue/OrderTopic/3/%last', -1, b'\1', r'not zero behind the last entry'),
    ('consumequeue/OrderTopic/0/%last', 80, bytes(20), r'not zero behind|has no entry'),
    ('index/%last', 3, b'\0', r'begins with'),
    ('index/%last', 15, b'\0', r'ends with'),
    ('index/%last', 35, b'\1', r'hashSlotCount'),
    ('index/%last', 39, b'\1', r'has no entry|not zero behind|ends with'),
    ('index/%last', 40 + 400 + 20, b'\0\0\0\0', r'keyHash|previous|slot'),
    ('index/%last', 40 + 400 + 20 + 11, b'\7', r'phyOffset, keyHash'),
    ('index/%last', 40 + 400 + 20 * 90 + 15, b'\7', r'timeDiff'),
    ('index/%last', 40 + 400 + 20 + 19, b'\7', r'previous is 7'),
    ('checkpoint', 0, b'\7', r'later than the last record'),
    ('checkpoint', 30, b'\7', r'not zero behind the three times'),
)


def test_damage(work):
    whole = os.path.join(work, 'whole')
    make(whole)
    expect_problems(whole, None)
    want([m['queueOffset'] for m in dump(whole, 'OrderTopic', 2)], list(range(25)), 'dump')
    large = os.path.join(work, 'large')
    make(large, 500)
    expect_problems(large, None)
    want(len(os.listdir(os.path.join(large, 'index'))), 3, 'index files')
    for number, (name, at, data, pattern) in enumerate(DAMAGES):
        store = os.path.join(work, f'damage{number}')
        shutil.copytree(whole, store)
        directory, file = os.path.split(os.path.join(store, name))
        path = os.path.join(directory, sorted(os.listdir(directory))[-1] if file == '%last' else file)
        with open(path, 'r+b') as f:
            f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            f.write(data)
        expect_problems(store, pattern)


def test_missing(work):
    for name, pattern in (
            ('consumequeue/OrderTopic/3', 'there is none for OrderTopic/3'),
            ('consumequeue/OrderTopic/0/00000000000000000200', 'should begin at 200|has no entry'),
            ('commitlog/00000000000000004096', 'should begin at 4096'),
            ('index', 'has no entry for the record')):
        store = os.path.join(work, name.replace('/', '-'))
        make(store)
        path = os.path.join(store, name)
        (shutil.rmtree if os.path.isdir(path) else os.remove)(path)
        expect_problems(store, pattern)


def test_abort(work):
    """Views that lag are a problem only in a store that was closed."""
    store = os.path.join(work, 'abort')
    make(store)
    shutil.rmtree(os.path.join(store, 'consumequeue/OrderTopic/3'))
    open(os.path.join(store, 'abort'), 'w').close()
    expect_problems(store, None)
    expect_problems(store, 'there is none for', '--strict')


def test_transactions(work):
    w = Writer(os.path.join(work, 'transactions'))
    w.append('T', 0, b'half', {'KEYS': 'h'}, sysflag=PREPARED)
    w.append('T', 0, b'committed', {'KEYS': 'c'}, sysflag=COMMIT, prepared=0)
    w.append('T', 0, b'rolled back', {'KEYS': 'r'}, sysflag=ROLLBACK)
    w.append('T', 0, b'over IPv6', sysflag=BORN_V6 | STORED_V6, born_host=ipaddress.ip_address('::1'),
             store_host=ipaddress.ip_address('2001:db8::1'))
    w.finish()
    expect_problems(w.store, None)
    counts = check(w.store, options_of())[0]
    want((counts['records'], counts['queue entries'], counts['index entries']), (4, 2, 2), 'counts')


def selftest():
    with tempfile.TemporaryDirectory(prefix='mqstore.') as work:
        test_record()
        test_hashes()
        test_entries()
        for test in (test_blank, test_index, test_damage, test_missing, test_abort, test_transactions):
            test(os.path.join(work, test.__name__))
    print('all is well')


# --- command line -----------------------------------------------------------------------

def arguments():
    parser = argparse.ArgumentParser(description='An independent reader of a RocketMQ 4.x store directory.')
    commands = parser.add_subparsers(dest='command', required=True)
    p = commands.add_parser('check', help='check every record, queue and index file')
    p.add_argument('--strict', action='store_true', help='views must not lag, even with `abort`')
    p.add_argument('--rocketmq', action='store_true', help='allow what RocketMQ itself leaves behind')
    p.add_argument('--no-index', action='store_true', help='the store indexes no keys')
    p.add_argument('--slots', type=int, help='hash slots of an index file (a quarter of the entries)')
    p.add_argument('--items', type=int, help='entries of an index file')
    p.add_argument('--quiet', action='store_true', help='no counts')
    p.add_argument('store')
    p = commands.add_parser('dump', help='print messages as JSON lines')
    p.add_argument('store')
    p.add_argument('topic', nargs='?')
    p.add_argument('queue', nargs='?', type=int)
    p = commands.add_parser('make', help='make a small store')
    p.add_argument('store')
    p.add_argument('messages', nargs='?', type=int, default=100)
    p = commands.add_parser('make-waiting', help='make a store in which messages wait to be delivered')
    p.add_argument('store')
    commands.add_parser('selftest', help='test this reader')
    return parser


def run_check(args):
    counts, problems = check(args.store, args)
    if not args.quiet:
        for name, value in counts.items():
            print(f'{name}: {value}')
    for text in problems.notes:
        print(f'note: {text}')
    for text in problems.list[:20]:
        print(text, file=sys.stderr)
    if len(problems.list) > 20:
        print(f'and {len(problems.list) - 20} more', file=sys.stderr)
    return 1 if problems.list else 0


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    args = arguments().parse_args()
    if args.command == 'check':
        return run_check(args)
    if args.command == 'make':
        make(args.store, args.messages)
    elif args.command == 'make-waiting':
        make_waiting(args.store)
    elif args.command == 'selftest':
        selftest()
    else:
        try:
            for message in dump(args.store, args.topic, args.queue):
                print(json.dumps(message, ensure_ascii=False))
        except Corrupt as e:
            print(e, file=sys.stderr)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
