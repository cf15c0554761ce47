"""What contrib/monitoring asks Prometheus for.

`python3 dashboard.py names METRICS_PROM FILE...`: every metric that the files name is one of that file's.
`python3 dashboard.py ask URL DASHBOARD`: every expression of the dashboard has an answer there; those that have
no rows are counted, and named."""
import json
import re
import sys
import urllib.parse
import urllib.request


def names(metrics_prom, files):
    with open(metrics_prom, encoding="utf-8") as f:
        known = set(re.findall(r"^# TYPE (\w+) ", f.read(), re.M))
    for name in files:
        with open(name, encoding="utf-8") as f:
            asked = set(re.findall(r"\bmqfs_[a-z_]+", f.read()))
        if not asked:
            sys.exit(name + " names no metric")
        if asked - known:
            sys.exit("%s names what there is not: %s" % (name, " ".join(sorted(asked - known))))


def expressions(dashboard):
    with open(dashboard, encoding="utf-8") as f:
        panels = json.load(f)["panels"]
    return [(p["title"], t["expr"]) for p in panels for t in p.get("targets", [])]


def query(url, expr):
    for variable, value in ("$__rate_interval", "20s"), ("$broker", ".*"):
        expr = expr.replace(variable, value)
    if "$" in expr:
        sys.exit("an unknown variable: " + expr)
    with urllib.request.urlopen(url + "/api/v1/query?" + urllib.parse.urlencode({"query": expr}), timeout=20) as answer:
        return json.load(answer)["data"]["result"]


def ask(url, dashboard):
    all_of_them = expressions(dashboard)
    empty = [title for title, expr in all_of_them if not query(url, expr)]
    print("%d expressions, without rows: %s" % (len(all_of_them), ", ".join(empty) or "none"))
    return bool(empty)


if sys.argv[1] == "names":
    names(sys.argv[2], sys.argv[3:])
else:
    sys.exit(ask(sys.argv[2], sys.argv[3]))
