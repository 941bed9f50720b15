"""SIGHUP under load: one of many services changes its program, again and again.

The others are under load all the time; none of their clients may notice.
"""

import dataclasses
import select
import signal
import statistics
import sys
import time

import bench as common
import measure
import servers
import table

SERVICES = 1_000
CLIENTS = 8
PAUSE = 0.1  # seconds between two reloads
LOOK_AGAIN = 0.001  # seconds between two looks whether the new program answers
PATIENCE = 5  # seconds until the new program must answer
PEER = "openbsd-inetd"

HEAD = ["", "reload", "in each round", "longest", "n", "errors", "conns/s", "longest wait"]
LEGEND = """\
reload: from the signal to an answer of the new program, median of all n, of each
round, and the longest
errors: of clients of all services, the changed one too
longest wait: of a client of the others, connect to end of answer
"""


@dataclasses.dataclass
class Sample:
    """One server in one round.  Times are in microseconds."""

    times: list = dataclasses.field(default_factory=list)  # of the reloads
    errors: int = 0
    rate: float = 0
    longest: float = 0
    trouble: str = ""


class Changing:
    """A service with two programs, and who asks which one answers."""

    def __init__(self, bench, running):
        self.running = running
        self.port = running.setup.other_port
        self.programs = [(bench.tool("later"), b"later\n"), (bench.hello, b"hello\n")]
        self.errors = 0

    def reload(self):
        """Usec until the other program answers."""
        self.programs.reverse()
        program, text = self.programs[0]
        self.running.setup.other = program
        self.running.server.write_conf(self.running.setup)

        began = time.monotonic()
        self.running.process.send_signal(signal.SIGHUP)
        while time.monotonic() < began + PATIENCE:
            got = servers.answer(self.port)
            if got == text:
                return (time.monotonic() - began) * 1_000_000
            self.errors += got == b""
            if self.running.process.poll() is not None:
                raise servers.NotReady("ended by SIGHUP")
            # Who looks all the time takes a processor from who reads the file.
            select.select([], [], [], LOOK_AGAIN)
        raise servers.NotReady(f"the new program does not answer within {PATIENCE} s")


def check_told(running, count):
    """The log, where a server keeps one, gets a line for each reload, if not at once."""
    word = running.server.told_reloaded
    told = None if word else count
    deadline = time.monotonic() + PATIENCE
    while told != count and time.monotonic() < deadline:
        told = running.said().count(word)
        select.select([], [], [], servers.LOOK_AGAIN)
    if told != count:
        raise servers.NotReady(f"{count} reloads, but '{word}' is {told} times in the log")


def reload_under_load(bench, running):
    seconds = bench.options.seconds
    changing, sample = Changing(bench, running), Sample()
    load = measure.start_load(bench, running.setup, CLIENTS, seconds)
    try:
        deadline = time.monotonic() + measure.WARMUP + seconds - PAUSE
        while time.monotonic() < deadline:
            select.select([], [], [], PAUSE)
            sample.times.append(changing.reload())
        line = measure.finish_load(load, seconds)
    finally:
        load.kill()
        load.wait()
    check_told(running, len(sample.times))
    sample.errors = int(line["errors"]) + changing.errors
    sample.rate, sample.longest = line["rate"], line["max_usec"]
    return sample


def measure_one(bench, server, binary):
    setup = bench.setup(bench.options.reload_services - 1, other=bench.hello)
    try:
        with servers.Running(server, binary, setup) as running:
            return reload_under_load(bench, running)
    except (servers.NotReady, servers.Unable) as problem:
        return Sample(trouble=str(problem))


class Series:
    """The samples of one server, one for each round."""

    def __init__(self, samples):
        self.trouble = next((s.trouble for s in samples if s.trouble), "")
        self.good = [s for s in samples if not s.trouble]
        self.times = [t for s in self.good for t in s.times]
        self.medians = [statistics.median(s.times) for s in self.good if s.times]
        self.errors = sum(s.errors for s in self.good)

    @property
    def median(self):
        return statistics.median(self.times) if self.times else None


def row(name, series):
    if not series.times:
        return [name, *["-"] * (len(HEAD) - 1)]
    return [
        name,
        table.elapsed(series.median),
        "  ".join(table.elapsed(m) for m in series.medians),
        table.elapsed(max(series.times)),
        f"{len(series.times)}",
        f"{series.errors:,}",
        table.number(statistics.median(s.rate for s in series.good)),
        table.elapsed(max(s.longest for s in series.good)),
    ]


def judge(bench, results):
    bar = f"errors 0 and not slower than {PEER} with {SERVICES:,} services"
    ours, theirs = results.get("hatchd"), results.get(PEER)
    if ours is None:
        return common.Verdict.judge(None, bar, "hatchd was not measured")
    if ours.trouble or ours.errors > 0:
        return common.Verdict.judge(False, bar, ours.trouble or f"errors {ours.errors}")
    if bench.options.reload_services != SERVICES:
        found = f"measured with {bench.options.reload_services:,}"
        return common.Verdict.judge(None, bar, found)
    if theirs is None or theirs.trouble:
        return common.Verdict.judge(None, bar, f"{PEER} was not measured")
    found = f"{table.elapsed(ours.median)} and {table.elapsed(theirs.median)}"
    return common.Verdict.judge(ours.median <= theirs.median, bar, found)


def run(bench):
    n = bench.options.reload_services
    found = [(server, binary) for server, binary in bench.found if server.reloads]
    samples = bench.rounds(
        "reload", lambda server, binary: measure_one(bench, server, binary), found
    )
    results = {name: Series(s) for name, s in samples.items()}

    print(f"\nreload: {n:,} services, one changed, {CLIENTS} clients at a time on the others\n")
    rows = [row(name, series) for name, series in results.items()]
    print("\n".join(table.render(HEAD, rows, left=(0, 2))))
    common.print_troubles(results)
    print(f"\n{LEGEND}")
    sys.stdout.flush()
    return common.report("reload", [judge(bench, results)])
