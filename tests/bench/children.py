"""Many living children beside the load, and then all of them end at once.

The crowd is clients of a second service, whose program waits (tests/bench/hold).
A server that asks the kernel for "any child that ended" has it walk all that
live.  The floor asks for none: SA_NOCLDWAIT, the kernel reaps them.
"""

import os
import select
import subprocess
import sys
import time

import bench as common
import measure
import servers
import spawn
import table

CHILDREN = 5_000
CLIENTS = 64
PATIENCE = 60  # seconds until all live, and until all are reaped
BAR_RATIO = 0.9
BAR_REAPED = 150_000  # usec
LOOK_AGAIN = 0.0005  # seconds between two looks at the children that are left
PROCESSES_ASIDE = 1000

HEAD = [*spawn.HEAD, "all gone", "all reaped"]
LEGEND = """\
all gone: from the moment at which the many programs are told to end until the
server has no child left of them; longest of the rounds
all reaped: the same from the end of the last of them
"""


class Crowd:
    """Connections that are held: a context in which all of their programs live."""

    def __init__(self, bench, port, count):
        self.argv = [bench.tool("crowd"), str(count), str(port)]
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=servers.die_with_parent,
        )
        try:
            self.expect("ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Its connections are closed with it, and the programs see the end.
        self.process.kill()
        self.process.communicate()

    def expect(self, word):
        """The rest of the line that begins with it."""
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else ""
        if line.startswith(word):
            return line[len(word) :].strip()
        if not ready:
            raise servers.NotReady(f"not {word} after {PATIENCE} s")
        raise servers.NotReady(self.process.stderr.read().strip() or "the crowd failed")

    def end_all(self):
        """Usec on the monotonic clock: first told to end, last ended."""
        self.process.stdin.close()
        self.process.stdin = None
        return (int(word) for word in self.expect("ended").split())


def monotonic_usec():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1000


def wait_reaped(pid, before):
    """Usec on the monotonic clock at which only children that were there before
    are left; None if nobody can tell."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        left = measure.children(pid)
        if left is None:
            return None
        if left <= before:
            return monotonic_usec()
        select.select([], [], [], LOOK_AGAIN)
    raise servers.NotReady(f"{len(left - before)} children not reaped after {PATIENCE} s")


def measure_one(bench, server, binary, count):
    def work():
        setup = bench.setup(1, other=bench.tool("hold"))
        with servers.Running(server, binary, setup) as running:
            before = measure.children(running.pid)
            with Crowd(bench, setup.other_port, count) as crowd:
                sample = measure.under_load(bench, running, CLIENTS)
                told, ended = crowd.end_all()
                none_left = wait_reaped(running.pid, before)
        if none_left:
            sample.gone, sample.reaped = none_left - told, none_left - ended
        return sample

    return measure.attempt(work)


def row(name, series):
    slowest = [table.elapsed(series.worst(field)) for field in ("gone", "reaped")]
    return [*table.row_of_series(name, series, "floor"), *slowest]


def judge_reaped(series):
    bar = f"all reaped within {table.elapsed(BAR_REAPED)}"
    if series is None or series.trouble:
        return common.Verdict.judge(None, bar, "hatchd was not measured")
    slowest = series.worst("reaped")
    if slowest is None:
        return common.Verdict.judge(None, bar, "this kernel does not list children")
    return common.Verdict.judge(slowest <= BAR_REAPED, bar, table.elapsed(slowest))


def judge(bench, series, count):
    where = f"beside {CHILDREN:,} children"
    if count != CHILDREN:
        bar = f"at least {BAR_RATIO:.1f} x floor {where}"
        return [common.Verdict.judge(None, bar, f"measured with {count:,}")]
    return [
        common.judge_ratio(series, bench.options.rounds, BAR_RATIO, where),
        judge_reaped(series),
    ]


def possible(wanted):
    """As many as fit: each is a process, and a descriptor here and in the server."""
    return max(
        1,
        min(
            wanted,
            common.most_processes() - PROCESSES_ASIDE,
            os.sysconf("SC_OPEN_MAX") - PROCESSES_ASIDE,
        ),
    )


def run(bench):
    count = possible(bench.options.children)
    samples = bench.rounds(
        f"{count:,} children",
        lambda server, binary: measure_one(bench, server, binary, count),
    )
    results = common.beside_floor(samples)

    print(f"\nchildren: {count:,} of them live, {CLIENTS} clients at a time beside them\n")
    rows = [row(name, series) for name, series in results.items()]
    print("\n".join(table.render(HEAD, rows, left=(0, 3))))
    common.print_troubles(results)
    if count < bench.options.children:
        print(
            f"  {bench.options.children:,} were wanted: the limits of processes"
            " and descriptors are too low"
        )
    print(f"\n{LEGEND}")
    sys.stdout.flush()
    return common.report("children", judge(bench, results.get("hatchd"), count))
