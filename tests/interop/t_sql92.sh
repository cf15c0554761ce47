#!/bin/bash
# RocketMQ's own filter and ours say the same of every expression: of those of sql92_cases.txt, and of
# 4,000 that are put together at random.
. "$top_builddir/tests/functions.sh"
. "$top_srcdir/tests/interop/rocketmq.sh"
requires_rocketmq
requires_tool python3

cases=$top_srcdir/tests/sql92_cases.txt
grep -v '^#' "$cases" > "$work/cases"
python3 - "${MQFS_SEED:-1}" >> "$work/cases" <<'END'
import random, sys
rnd = random.Random(int(sys.argv[1]))
values = ["1", "2", "10", "-3", "2.5", "1e1", "x", "true", "FALSE", "NaN", "3000000000", " 4 ", "it's", "0x1p2"]
def props():
    names = [n for n in "abcd" if rnd.random() < 0.6]
    return ";".join(n + "=" + rnd.choice(values) for n in names) or "-"
def value(depth):
    kind = rnd.random()
    if kind < 0.5: return rnd.choice("abcde")
    if kind < 0.8: return rnd.choice(["0", "1", "2", "10", "10L", "3000000000", "2.5", "5.", "1E1", "-3", "+2", "--2"])
    if kind < 0.92: return rnd.choice(["'x'", "'1'", "'it''s'", "TRUE", "false", "NULL"])
    return expr(depth + 1)
def expr(depth=0):
    if depth > 3: return rnd.choice("abcde")
    kind = rnd.random()
    if kind < 0.2: return expr(depth + 1) + rnd.choice([" and ", " OR "]) + expr(depth + 1)
    if kind < 0.3: return "not " + expr(depth + 1)
    if kind < 0.4: return "(" + expr(depth + 1) + ")"
    if kind < 0.5: return value(depth) + rnd.choice([" is null", " IS NOT NULL"])
    if kind < 0.6: return value(depth) + rnd.choice([" ", " not "]) + "in (" + ", ".join(rnd.choice(["'x'", "'1'", "'2'"]) for _ in range(rnd.randint(1, 6))) + ")"
    if kind < 0.72: return value(depth) + rnd.choice([" ", " NOT "]) + "between " + value(depth) + " and " + value(depth)
    return value(depth) + rnd.choice(["=", " <> ", " < ", "<=", " >", ">="]) + value(depth)
for _ in range(4000):
    print("?", props(), expr(), sep="\t")
END

"$top_builddir/tests/test_sql92" "$work/cases" > "$work/ours"
CLASSPATH=$(jars_of "$oldest") timeout 300 java "$interop/Sql92.java" "$work/cases" > "$work/theirs"
if ! cmp -s "$work/ours" "$work/theirs"; then
	paste "$work/ours" "$work/theirs" "$work/cases" | awk -F '\t' '$1 != $2' | head -n 20 >&9
	fail "ours and RocketMQ's, and of what"
fi
want "$(grep -v '^#' "$cases" | cut -f 1)" "$(head -n "$(grep -vc '^#' "$cases")" "$work/theirs")" "what RocketMQ's filter says"
for outcome in yes no refused; do
	if [ "$(grep -c "$outcome" "$work/ours")" -lt 200 ]; then fail "too few cases are '$outcome'"; fi
done
