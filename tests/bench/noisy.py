"""One source connects as fast as it can: does another one notice?

hatchd alone, with a rate for each source and all other limits as shipped.  Pairs of the
same measurement, without and with the noise, interleaved: from the beginning of a connect
to the end of the answer.  Then, how soon after its noise the noisy source is served.

The noise is made on this machine, and noise from elsewhere would take no processor from
hatchd: so it runs when nobody else wants to (SCHED_IDLE), as fast as what is left allows,
and asks after each step whether anybody does.  By itself a kernel asks at its next tick: a
new program was seen to wait behind the noise for that long, 4 ms of its half.
"""

import dataclasses
import getpass
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import time

import bench as common
import measure
import servers
import table

NOISE = 50_000  # connections in each pair
NOISY, QUIET = "127.0.0.2", "127.0.0.3"
NOISY_AT_A_TIME = 8
INTERVAL = 10  # milliseconds between two connections of the quiet one: not a second, so
# that there are enough of them in the seconds that the noise takes
ALONE = 2  # seconds without noise
RATE, BURST = 120, 20  # of each source, per second; the quiet one needs 100
REFILL = BURST / RATE * 1e6  # usec
PAIRS = 5
BAR_MEDIAN, BAR_P99 = 1.2, 2.0

HEAD = ["", "noise", "p50 without", "with", "x", "p99 without", "with", "x", "served", "again"]
LEGEND = """\
noise: connections of the noisy source per second, of which nearly all are refused
x: of the other source, with noise divided by without; below, median of the pairs
served: connections of the other source that were, of those that it made in the noise
again: from the end of the noise until the noisy source is served
"""


@dataclasses.dataclass
class Half:
    """What the quiet one has seen; microseconds."""

    p50: float
    p99: float
    served: int
    made: int


@dataclasses.dataclass
class Pair:
    without: Half
    noisy: Half
    noise: float  # connections per second
    again: float  # usec


def command(bench, binary, setup):
    conf = bench.folder / "noisy.conf"
    conf.write_text(
        f"defaults {{ user = {getpass.getuser()} }}\n"
        f"service s {{ listen = tcp4:127.0.0.1:{setup.port}\nexec = {setup.program}\n"
        f'per_source_rate = "{RATE}/s burst {BURST}" }}\n'
    )
    return [binary, "-f", str(conf)]


class Hatchd(servers.Hatchd):
    def __init__(self, bench):
        self.bench = bench

    def command(self, binary, setup):
        return command(self.bench, binary, setup)


def give_way():
    """Whoever else wants the processor has it."""
    servers.die_with_parent()
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def start(bench, setup, source, *flags, first=servers.die_with_parent):
    return subprocess.Popen(
        [bench.load, "-s", source, *map(str, flags), str(setup.port)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=first,
    )  # fmt: skip


def end(process):
    """Let the quiet one have what it has begun, and hear what it tells."""
    process.send_signal(signal.SIGTERM)
    line = measure.finish_load(process, 0)
    return Half(
        line["p50_usec"], line["p99_usec"], int(line["connections"]), int(line["total"])
    )


def start_quiet(bench, setup):
    return start(bench, setup, QUIET, "-i", INTERVAL, "-t", measure.PATIENCE)


def without_noise(bench, setup):
    quiet = start_quiet(bench, setup)
    select.select([], [], [], ALONE)
    return end(quiet)


def until_served(port):
    """Usec until somebody of the noisy source is."""
    begun = time.monotonic()
    while time.monotonic() < begun + servers.PATIENCE:
        with socket.create_connection(
            ("127.0.0.1", port), servers.PATIENCE, source_address=(NOISY, 0)
        ) as sock:
            try:
                if sock.recv(64):
                    break
            except ConnectionResetError:
                pass
    return (time.monotonic() - begun) * 1e6


def with_noise(bench, setup):
    """(what the quiet one has seen, connections per second, usec until served again)."""
    quiet = start_quiet(bench, setup)
    begun = time.monotonic()
    noise = start(
        bench, setup, NOISY, "-y", "-c", NOISY_AT_A_TIME, "-n", NOISE, "-t", measure.PATIENCE,
        first=give_way,
    )  # fmt: skip
    line = measure.finish_load(noise, measure.PATIENCE)
    took = time.monotonic() - begun
    again = until_served(setup.port)
    half = end(quiet)
    if line["total"] < NOISE:
        raise servers.NotReady(f"no {NOISE:,} connections in {measure.PATIENCE} s")
    return half, line["total"] / took, again


def measure_pairs(bench, binary):
    setup = bench.setup()
    pairs = []
    with servers.Running(Hatchd(bench), binary, setup):
        for number in range(PAIRS):
            measure.progress(f"{NOISE:,} noisy connections, pair {number + 1}")
            without = without_noise(bench, setup)
            pairs.append(Pair(without, *with_noise(bench, setup)))
    measure.progress("")
    return pairs


def ratio(pair, field):
    return getattr(pair.noisy, field) / getattr(pair.without, field)


def row(number, pair):
    cells = [f"pair {number}", f"{pair.noise:,.0f}/s"]
    for field in ("p50", "p99"):
        cells += [table.elapsed(getattr(half, field)) for half in (pair.without, pair.noisy)]
        cells.append(f"{ratio(pair, field):.2f}")
    return [*cells, f"{pair.noisy.served} of {pair.noisy.made}", table.elapsed(pair.again)]


def judge_latency(pairs):
    bar = f"the other one at most {BAR_MEDIAN} x in the median and {BAR_P99} x at p99"
    p50, p99 = (statistics.median(ratio(p, field) for p in pairs) for field in ("p50", "p99"))
    held = p50 <= BAR_MEDIAN and p99 <= BAR_P99
    return common.Verdict.judge(held, bar, f"{p50:.2f} and {p99:.2f}")


def judge_served(pairs):
    served, made = (sum(getattr(p.noisy, f) for p in pairs) for f in ("served", "made"))
    bar = "the other one is always served"
    return common.Verdict.judge(served == made, bar, f"{served:,} of {made:,}")


def judge_again(pairs):
    slowest = max(p.again for p in pairs)
    bar = f"the noisy one is served again within its refill of {table.elapsed(REFILL)}"
    return common.Verdict.judge(slowest <= REFILL, bar, table.elapsed(slowest))


def run(bench):
    binary = next((path for server, path in bench.found if server.name == "hatchd"), None)
    bar = f"nobody notices {NOISE:,} connections of one source"
    if binary is None:
        return common.report("noisy", [common.Verdict.judge(None, bar, "not measured")])
    try:
        pairs = measure_pairs(bench, binary)
    except servers.NotReady as problem:
        return common.report("noisy", [common.Verdict.judge(None, bar, str(problem))])
    print(
        f"\nnoisy: {NOISE:,} connections from {NOISY}, {NOISY_AT_A_TIME} at a time, while"
        f" {QUIET} connects\nonce in {INTERVAL} ms, both limited to {RATE}/s\n"
    )
    print("\n".join(table.render(HEAD, [row(i + 1, pair) for i, pair in enumerate(pairs)])))
    print(f"\n{LEGEND}")
    sys.stdout.flush()
    verdicts = [judge_latency(pairs), judge_served(pairs), judge_again(pairs)]
    return common.report("noisy", verdicts)
