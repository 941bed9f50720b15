"""Silent clients of one address, with limits as shipped: do others notice them?

hatchd alone.  Pairs of the same measurement, without and with the silent ones,
interleaved: from the beginning of a connect to the first byte of the answer.
"""

import contextlib
import dataclasses
import getpass
import select
import socket
import statistics
import subprocess
import sys
import time

import bench as common
import measure
import servers
import table

SILENT = 300
SILENT_ADDRESS = "127.0.0.2"
PAIRS = 5
ASKED = 500  # times in each half of a pair
BAR_MEDIAN, BAR_P99 = 1.2, 2.0

HEAD = ["", "p50 without", "with", "x", "p99 without", "with", "x"]
LEGEND = """\
x: with silent clients divided by without, median of the pairs
"""


@dataclasses.dataclass
class Half:
    p50: float
    p99: float

    @classmethod
    def of(cls, port):
        times = sorted(ask(port) for _ in range(ASKED))
        return cls(times[ASKED // 2], times[ASKED * 99 // 100])


def ask(port):
    """Microseconds until the first byte."""
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.recv(1)
        return (time.perf_counter() - begun) * 1e6


def command(bench, binary, setup):
    """Two services: `same` greets and then waits for its client, `other` greets."""
    conf = bench.folder / "silent.conf"
    conf.write_text(
        f"defaults {{ user = {getpass.getuser()} }}\n"
        f"service same {{ listen = tcp4:{setup.port}\n"
        f"shell = '{setup.program}; exec cat' }}\n"
        f"service other {{ listen = tcp4:{setup.port + 1}\nexec = {setup.program} }}\n"
    )
    return [binary, "-f", str(conf)]


@contextlib.contextmanager
def serving(bench, binary, setup):
    process = subprocess.Popen(
        command(bench, binary, setup),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=servers.die_with_parent,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + servers.PATIENCE
        while not servers.answer(setup.port + 1) and time.monotonic() < deadline:
            select.select([], [], [], 0.02)
        yield process
    finally:
        process.terminate()
        process.wait(servers.PATIENCE)


@contextlib.contextmanager
def silent_clients(port):
    with contextlib.ExitStack() as stack:
        for _ in range(SILENT):
            stack.enter_context(
                socket.create_connection(
                    ("127.0.0.1", port), source_address=(SILENT_ADDRESS, 0)
                )
            )
        yield


def measure_pairs(bench, binary):
    """{service: [(without, with)]}."""
    setup = bench.setup(n_services=2)
    ports = {"same service": setup.port, "another service": setup.port + 1}
    pairs = {name: [] for name in ports}
    with serving(bench, binary, setup):
        for number in range(PAIRS):
            measure.progress(f"{SILENT} silent clients, pair {number + 1}")
            without = {name: Half.of(port) for name, port in ports.items()}
            with silent_clients(setup.port):
                for name, port in ports.items():
                    pairs[name].append((without[name], Half.of(port)))
    measure.progress("")
    return pairs


def ratio(pairs, field):
    return statistics.median(getattr(b, field) / getattr(a, field) for a, b in pairs)


def row(name, pairs):
    cells = [name]
    for field in ("p50", "p99"):
        for half in (0, 1):
            value = statistics.median(getattr(pair[half], field) for pair in pairs)
            cells.append(table.elapsed(value))
        cells.append(f"{ratio(pairs, field):.2f}")
    return cells


def judge(name, pairs):
    bar = f"{name} at most {BAR_MEDIAN} x in the median and {BAR_P99} x at p99"
    p50, p99 = ratio(pairs, "p50"), ratio(pairs, "p99")
    held = p50 <= BAR_MEDIAN and p99 <= BAR_P99
    return common.Verdict.judge(held, bar, f"{p50:.2f} and {p99:.2f}")


def run(bench):
    binary = next((path for server, path in bench.found if server.name == "hatchd"), None)
    bar = f"nobody is delayed by {SILENT} silent clients"
    if binary is None:
        return common.report("silent", [common.Verdict.judge(None, bar, "not measured")])
    pairs = measure_pairs(bench, binary)
    print(f"\nsilent: {SILENT} clients of one address say nothing, another one asks\n")
    print("\n".join(table.render(HEAD, [row(name, p) for name, p in pairs.items()])))
    print(f"\n{LEGEND}")
    sys.stdout.flush()
    return common.report("silent", [judge(name, p) for name, p in pairs.items()])
