"""Spawn rate of a static program, by number of clients."""

import sys

import bench as common
import measure
import table

BAR_CLIENTS = 64
BAR_RATIO = 1.0

HEAD = ["", "conns/s", "x floor", "in each round", "p50", "p99", "errors", "master", "children"]
LEGEND = """\
conns/s, p50, p99: median of the rounds; connect to end of answer, as the client sees it
x floor: conns/s divided by the floor's of the same round
master, children: CPU time per connection; - where the kernel reaps unseen
"""


def print_table(clients, results):
    print(f"\nspawn: {clients} client{'s' if clients > 1 else ''} at a time\n")
    rows = [table.row_of_series(name, series, "floor") for name, series in results.items()]
    print("\n".join(table.render(HEAD, rows, left=(0, 3))))
    common.print_troubles(results)
    sys.stdout.flush()


def run(bench):
    at_bar = None
    for clients in bench.options.clients:
        samples = bench.rounds(
            f"{clients} clients",
            lambda server, binary, n=clients: measure.measure(bench, server, binary, n),
        )
        results = common.beside_floor(samples)
        print_table(clients, results)
        if clients == BAR_CLIENTS:
            at_bar = results.get("hatchd")
    print(f"\n{LEGEND}")
    verdict = common.judge_ratio(
        at_bar, bench.options.rounds, BAR_RATIO, f"at {BAR_CLIENTS} clients"
    )
    return common.report("spawn rate", [verdict])
