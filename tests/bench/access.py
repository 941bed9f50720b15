"""How long a decision about an address takes, beside very many rules.

hatchd's own code alone, in the form in which the master has it.
"""

import subprocess
import sys

import bench as common
import table

RULES = [100, 10_000, 100_000, 1_000_000]
JUDGED = 100_000
BAR = 1000  # nanoseconds

HEAD = ["rules", "compile", "IPv4", "IPv6", "table"]


def measure(bench, rules):
    done = subprocess.run(
        [bench.tool("access"), str(rules)], check=True, stdout=subprocess.PIPE, text=True
    )
    return {key: float(value) for key, value in (w.split("=") for w in done.stdout.split())}


def row(rules, found):
    return [
        f"{rules:,}",
        f"{found['compile_msec']:.1f} ms",
        f"{found['ipv4_nsec']:.0f} ns",
        f"{found['ipv6_nsec']:.0f} ns",
        f"{found['bytes'] / 1024:,.0f} KB",
    ]


def run(bench):
    results = {rules: measure(bench, rules) for rules in RULES}
    print("\naccess: one answer, half of the rules of IPv4 and half of IPv6\n")
    print("\n".join(table.render(HEAD, [row(n, found) for n, found in results.items()])))
    print()
    sys.stdout.flush()
    worst = max(results[JUDGED][key] for key in ("ipv4_nsec", "ipv6_nsec"))
    bar = f"an answer beside {JUDGED:,} rules in less than {BAR:,} ns"
    return common.report("access", [common.Verdict.judge(worst < BAR, bar, f"{worst:.0f} ns")])
