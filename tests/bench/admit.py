"""How long a decision about a client takes, when very many sources have come.

Rules, counts, rates and bans together, as the master asks them, in a program that has
only this part of it: beside 100,000 rules, with a table that has been gone through by
a million sources, of which each has a child or something to remember, and while
somebody is banned from all services.
"""

import subprocess
import sys

import bench as common
import table

RULES = 100_000
SOURCES = 1_000_000
CHILDREN = 65_536  # most that hatchd can have
BAR = 1000  # nanoseconds

# (children at a time, sources that come)
CASES = [(CHILDREN, 1024), (CHILDREN, SOURCES), (SOURCES, SOURCES)]

HEAD = ["children", "sources", "in the table", "new", "known", "count", "uncount", "memory"]


def measure(bench, children, sources):
    done = subprocess.run(
        [bench.tool("admit"), str(RULES), str(children), str(sources)],
        check=True, stdout=subprocess.PIPE, text=True,
    )
    return {key: float(value) for key, value in (w.split("=") for w in done.stdout.split())}


def row(case, found):
    children, sources = case
    times = (f"{found[f'{key}_nsec']:.0f} ns" for key in ("new", "known", "come", "go"))
    return [
        f"{min(children, sources):,}",
        f"{sources:,}",
        f"{found['known']:,.0f}",
        *times,
        table.kilobytes(found["table_kbytes"]),
    ]


def judge(case, found):
    children, sources = case
    worst = max(found["new_nsec"], found["known_nsec"])
    bar = (
        f"a decision beside {RULES:,} rules in less than {BAR:,} ns, with {children:,} children"
        f" and {sources:,} sources that have come"
    )
    return common.Verdict.judge(worst < BAR, bar, f"{worst:.0f} ns")


def run(bench):
    results = {case: measure(bench, *case) for case in CASES}
    print(f"\nadmit: one decision about a source that is new or known, beside {RULES:,} rules,"
          "\nand what it takes to count its child and to count it no more\n")
    print("\n".join(table.render(HEAD, [row(*result) for result in results.items()], left=())))
    print()
    sys.stdout.flush()
    judged = [judge(case, results[case]) for case in CASES if case[1] == SOURCES]
    return common.report("admit", judged)
