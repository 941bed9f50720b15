"""Many services: a socket each, and clients that go to all of them in turn."""

import sys

import bench as common
import measure
import spawn
import table

SERVICES = 10_000
CLIENTS = 64
PATIENCE = 30  # seconds until all are served
BAR_RATIO = 5.0
BAR_PSS = 6 * 1024  # kB

HEAD = [*spawn.HEAD, "start-up", "PSS"]
LEGEND = """\
start-up: from the start of the process to an answer of the last service
PSS: memory of the master alone, two seconds after the load; a page that several
processes share counts in part
hatchd writes its log, a line for each connection; the others write nothing
"""


def row(name, series):
    return [
        *table.row_of_series(name, series, "floor"),
        table.elapsed(series.median("startup")),
        table.kilobytes(series.median("pss")),
    ]


def judge_memory(series):
    bar = f"PSS of the master at most {BAR_PSS:,} kB with {SERVICES:,} services"
    pss = series.median("pss") if series else None
    if pss is None:
        return common.Verdict.judge(None, bar, "not measured")
    return common.Verdict.judge(pss <= BAR_PSS, bar, f"{pss:,.0f} kB")


def run(bench):
    n = min(bench.options.services, common.most_listeners())
    samples = bench.rounds(
        f"{n:,} services",
        lambda server, binary: measure.measure(
            bench, server, binary, CLIENTS, bench.setup(n, patience=PATIENCE)
        ),
    )
    results = common.beside_floor(samples)

    print(f"\nservices: {n:,} of them, {CLIENTS} clients at a time\n")
    rows = [row(name, series) for name, series in results.items()]
    print("\n".join(table.render(HEAD, rows, left=(0, 3))))
    common.print_troubles(results)
    if n < bench.options.services:
        print(f"  {bench.options.services:,} were wanted: the limit of descriptors is too low")
    print(f"\n{LEGEND}")
    sys.stdout.flush()
    return common.report("services", judge(bench, results.get("hatchd"), n))


def judge(bench, series, n):
    where = f"with {SERVICES:,} services"
    if n != SERVICES:
        bar = f"at least {BAR_RATIO:.1f} x floor and PSS at most {BAR_PSS:,} kB {where}"
        return [common.Verdict.judge(None, bar, f"measured with {n:,}")]
    return [
        common.judge_ratio(series, bench.options.rounds, BAR_RATIO, where),
        judge_memory(series),
    ]
