"""Do the forms of a mount's status agree?  `python3 metrics.py MNT`: metrics.prom, status.json, the tables
topics and groups, groups/G/lag, and the files of one value, of a broker that nobody uses meanwhile.
`python3 metrics.py MNT METRIC LABEL=VALUE...`: prints the value of the one metric that has these labels."""
import json
import re
import sys

LINE = re.compile(r'([a-z_]+)\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)*)\} ([0-9.]+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def read(mnt, name):
    with open(mnt + "/" + name, encoding="utf-8") as f:
        return f.read()


def metrics(mnt):
    """A list of (name, labels, value); every line is one or a comment."""
    found = []
    for line in read(mnt, "status/metrics.prom").splitlines():
        if line.startswith("#"):
            continue
        m = LINE.fullmatch(line)
        if not m:
            sys.exit("no metric: " + line)
        found.append((m.group(1), dict(LABEL.findall(m.group(2))), float(m.group(3))))
    return found


def table(mnt, name):
    """Rows as dicts by the heading; columns are aligned."""
    lines = read(mnt, name).splitlines()
    heading = lines[0].split()
    rows = [line.split() for line in lines[1:]]
    for row in rows:
        must(len(row), len(heading), name + ": cells of " + " ".join(row))
    ends = {len(line) for line in lines}
    must(len(ends), 1, name + ": lengths of lines")
    return [dict(zip(heading, row)) for row in rows]


def must(got, wanted, what):
    if got != wanted:
        sys.exit("%s: %r and %r" % (what, got, wanted))


def select(found, name, **labels):
    values = [v for n, l, v in found if n == name and all(l.get(k) == x for k, x in labels.items())]
    if len(values) != 1:
        sys.exit("%s %s: %d metrics" % (name, labels, len(values)))
    return values[0]


TOPIC = {"queues": "queues", "messages": "messages_total", "bytes": "bytes_total", "retained": "retained_messages",
         "retained_bytes": "retained_bytes"}
GROUP = {"subscriptions": "subscriptions", "lag": "lag_messages", "consumers": "consumers", "clients": "clients",
         "retried": "retried_messages_total", "dead": "dead_messages_total", "dead_retained": "dead_retained_messages"}
SUBSCRIPTION = {"queues": "queues", "lag": "lag_messages", "consumers": "consumers"}


def compare(mnt):
    status, found = json.loads(read(mnt, "status/status.json")), metrics(mnt)
    topics = {row["TOPIC"]: row for row in table(mnt, "status/topics")}
    groups = {(row["GROUP"], row["TOPIC"]): row for row in table(mnt, "status/groups")}
    for row in status["topics"]:
        name = row["topic"]
        for member, metric in TOPIC.items():
            must(select(found, "mqfs_topic_" + metric, topic=name), row[member], name + " " + member)
            must(int(topics[name][member.upper().replace("_", "-")]), row[member], name + " " + member)
    for g in status["groups"]:
        name = g["group"]
        for member, metric in GROUP.items():
            must(select(found, "mqfs_group_" + metric, group=name), g[member], name + " " + member)
        must(sum(row["lag"] for row in g["topics"]), g["lag"], "lag of " + name)
        lag = table(mnt, "groups/%s/lag" % name)
        for row in g["topics"]:
            topic = row["topic"]
            for member, metric in SUBSCRIPTION.items():
                must(select(found, "mqfs_subscription_" + metric, group=name, topic=topic), row[member], topic + " " + member)
                must(int(groups[name, topic][member.upper()]), row[member], topic + " " + member)
            queues = [q for q in lag if q["TOPIC"] == topic]
            must(sum(int(q["LAG"]) for q in queues), row["lag"], "groups/%s/lag of %s" % (name, topic))
            for q in queues:
                must(int(read(mnt, "groups/%s/%s/%s.lag" % (name, topic, q["QUEUE"]))), int(q["LAG"]), q["QUEUE"] + ".lag")
                must(int(q["END"]) - int(q["COMMITTED"]), int(q["LAG"]), q["QUEUE"] + " of " + topic)
    must(select(found, "mqfs_lag_messages"), status["lag"], "lag")
    must(len(status["topics"]) + status["topics_left_out"], len(topics), "topics")
    must(status["topic_count"], len(topics), "topic_count")
    for name, metric in ("written", "written_bytes_total"), ("topic_count", "topics"), ("appends", "appends_total"):
        must(select(found, "mqfs_" + metric), status[name], name)
        must(int(read(mnt, "status/" + name)), status[name], "status/" + name)


if len(sys.argv) == 2:
    compare(sys.argv[1])
else:
    print("%g" % select(metrics(sys.argv[1]), sys.argv[2], **dict(a.split("=", 1) for a in sys.argv[3:])))
