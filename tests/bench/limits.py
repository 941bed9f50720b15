"""All limits that there are, and nobody reaches one: what do they cost?

hatchd alone, without limits and with all of them, in turn.  See servers.HatchdLimits for
what these are.
"""

import statistics
import sys

import bench as common
import measure
import servers
import table

CLIENTS = 64
ROUNDS = 9  # or more, if more are wanted: a twentieth is to be told apart
BAR = 0.95

HEAD = ["", "conns/s", "x", "p50", "p99", "errors", "master"]
LEGEND = """\
x: conns/s divided by those without limits of the same round, median of the rounds
master: CPU time per connection; the rest as in `spawn`
"""


class HatchdUnlimited(servers.Hatchd):
    """From a file, as the other one."""

    def command(self, binary, setup):
        return [binary, *self.flags, "-f", self.write_conf(setup)]


def row(name, series, ratio):
    return [
        name,
        table.number(series.median("rate")),
        "-" if ratio is None else f"{ratio:.2f}",
        table.elapsed(series.median("p50")),
        table.elapsed(series.median("p99")),
        f"{series.errors:,}",
        table.elapsed(series.median("master")),
    ]


def measure_rounds(bench, binary):
    """Samples without limits, and with them; each goes first in every other round."""
    pair = [(HatchdUnlimited(), []), (servers.HatchdLimits(), [])]
    for number in range(max(ROUNDS, bench.options.rounds)):
        for server, samples in pair if number % 2 else pair[::-1]:
            measure.progress(f"limits, round {number + 1}: {server.name}")
            samples.append(measure.measure(bench, server, binary, CLIENTS))
    measure.progress("")
    return (samples for _, samples in pair)


def judge(series):
    bar = f"errors 0 and at least {BAR} x with all limits, in the median of the rounds"
    if series.trouble or not series.ratios:
        return common.Verdict.judge(None, bar, series.trouble or "not measured")
    ratio = statistics.median(series.ratios)
    each = " ".join(f"{r:.2f}" for r in series.ratios)
    held = ratio >= BAR and series.errors == 0
    return common.Verdict.judge(held, bar, f"errors {series.errors}, {ratio:.3f}: {each}")


def run(bench):
    binary = next((path for server, path in bench.found if server.name == "hatchd"), None)
    if binary is None:
        verdict = common.Verdict.judge(None, "limits cost nearly nothing", "not measured")
        return common.report("limits", [verdict])
    without, limited = measure_rounds(bench, binary)
    results = measure.Series(without, without), measure.Series(limited, without)
    print(f"\nlimits: {CLIENTS} clients at a time, without any limit and with all of them\n")
    names = ("without", "with all")
    rows = [row(name, series, series.ratio) for name, series in zip(names, results)]
    print("\n".join(table.render(HEAD, rows)))
    common.print_troubles(dict(zip(names, results)))
    print(f"\n{LEGEND}")
    sys.stdout.flush()
    return common.report("limits", [judge(results[1])])
