"""Compares what mqadmin printed of two brokers: `walked.py WALK JAVA MQFS`; see mqadmin.walk."""

import re
import sys

ALIKE = (       # what differs between any two brokers, or any two moments
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d([,:]\d+)?", "TIME"),
    (r"\b[0-9A-F]{32,56}\b", "ID"),
    (r"\b(1\d{12}|20\d{12,15})\b", "MS"),
    (r"Tools\$\$Lambda\S*|@[0-9a-f]{6,}", "OBJECT"),
    (r"((commitLogOffset|physicOffset|spentTimeMills)=|CommitLog Offset: +)\d+", r"\1N"),
    (r"Consume TPS: [\d.]+", "Consume TPS"),
    (r"V4_9_\d+", "VERSION"),
    (r"/\S*/(dir\.)?(java|mqfs|store)\b", "DIR"),
    (r"\b\d+ms\b", "ms"),
    (r" +", " "),
)


def alike(line):
    for pattern, text in ALIKE:
        line = re.sub(pattern, text, line)
    return line.strip()


def answers(path):
    """[(command, lines)]"""
    found = []
    for line in open(path, encoding="utf-8"):
        if line.startswith("### "):
            found.append((line[4:].strip(), []))
        elif alike(line):
            found[-1][1].append(alike(line))
    return found


def words(lines):
    return {line.split()[0] for line in lines}


RULES = {
    "-": lambda java, mqfs: True,
    "same": lambda java, mqfs: java == mqfs,
    "set": lambda java, mqfs: sorted(java) == sorted(mqfs),
    "more": lambda java, mqfs: set(java) <= set(mqfs),
    "keys": lambda java, mqfs: words(java) <= words(mqfs),
    "some": lambda java, mqfs: len(set(java) & set(mqfs)) >= 10,
}


def main(walk, java_path, mqfs_path):
    steps = [line.rstrip("\n").split("\t") for line in open(walk, encoding="utf-8")
             if line.strip() and not line.startswith("#")]
    java, mqfs = answers(java_path), answers(mqfs_path)
    if [c for _, c in steps] != [c for c, _ in java] or [c for _, c in steps] != [c for c, _ in mqfs]:
        sys.exit("not all of the walk was done: %d of %d, and %d" % (len(java), len(steps), len(mqfs)))
    bad = 0
    for (rule, command), (_, a), (_, b) in zip(steps, java, mqfs):
        if not RULES[rule](a, b):
            bad += 1
            print("%s: %s" % (rule, command))
            for line in a:
                print("    java  " + line if line not in b else "          " + line)
            for line in b:
                if line not in a:
                    print("    mqfs  " + line)
    if bad:
        sys.exit("%d of %d commands print something else" % (bad, len(steps)))
    print("%d commands print the same" % len(steps))


if __name__ == "__main__":
    main(*sys.argv[1:])
