"""One measurement: a server under load, and what that cost."""

import dataclasses
import os
import pathlib
import select
import statistics
import subprocess
import sys

import servers

WARMUP = 0.3  # seconds before counting begins
AT_REST = 2  # seconds after the load
PATIENCE = 60  # seconds beyond its own time until the load generator is given up
USEC_PER_TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Sample:
    """What one server did in one round.  Times are in microseconds."""

    rate: float = 0
    p50: float = 0
    p99: float = 0
    errors: int = 0
    master: float = None  # CPU per connection
    children: float = None  # the same, of children it has waited for and of its workers
    startup: float = None
    pss: float = None  # kB, of the master
    gone: float = None  # from letting go of many programs until none is left
    reaped: float = None  # the same, from the end of the last of them
    trouble: str = ""  # why there are no figures


@dataclasses.dataclass
class Cpu:
    """CPU time of a process, and of the children it has waited for and those workers of
    it, in microseconds."""

    own: float
    children: float

    @classmethod
    def of(cls, pid, workers=()):
        proc = pathlib.Path(f"/proc/{pid}")
        after_name = (proc / "stat").read_text().rsplit(")", 1)[1].split()
        own, children = (
            sum(int(ticks) for ticks in after_name[i : i + 2]) * USEC_PER_TICK for i in (11, 13)
        )
        try:
            # Nanoseconds, of each thread that lives.
            spent = [(t / "schedstat").read_text().split()[0] for t in threads(pid)]
            own = sum(map(int, spent)) / 1000
        except (OSError, IndexError, ValueError):
            pass
        return cls(own, children + sum(cls.of(worker).own for worker in workers))


def pss(pid):
    """Kilobytes; None where the kernel does not tell."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    return next((int(l.split()[1]) for l in text.splitlines() if l.startswith("Pss:")), None)


def threads(pid):
    return list(pathlib.Path(f"/proc/{pid}/task").iterdir())


def children(pid):
    """Process ids of its children, the unreaped too; None where nobody tells."""
    try:
        return {int(c) for t in threads(pid) for c in (t / "children").read_text().split()}
    except FileNotFoundError:
        return None


def workers(pid):
    """Children that serve one client after the other; a child of one client may be there,
    too, and be gone in a moment."""
    return [c for c in children(pid) or () if name_of(c).startswith("hatchd-")]


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def switches(pid):
    """How often its threads have been given a processor so far."""
    lines = (l for t in threads(pid) for l in (t / "status").read_text().splitlines())
    return sum(int(l.split()[1]) for l in lines if "ctxt_switches:" in l)


def start_load(bench, setup, clients, seconds, warmup=WARMUP, flags=(), tool=None):
    """`tool` is another load generator than tests/bench/load, for one port."""
    argv = [
        tool or bench.load, "-c", str(clients), "-t", str(seconds), "-w", str(warmup),
        *([] if tool else ["-p", str(setup.n_services)]), *flags, str(setup.port),
    ]  # fmt: skip
    return subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=servers.die_with_parent,
    )


def finish_load(process, seconds):
    """Fields of the line that tests/bench/times.h is about."""
    try:
        out, err = process.communicate(timeout=seconds + PATIENCE)
    finally:
        process.kill()
    if process.returncode != 0:
        raise servers.NotReady(err.strip() or "the load generator failed")
    return {name: float(value) for name, value in (w.split("=") for w in out.split())}


def under_load(bench, running, clients, flags=(), tool=None):
    """A sample of a server that runs."""
    seconds = bench.options.seconds
    helpers = workers(running.pid) if running.server.has_workers else ()
    before = Cpu.of(running.pid, helpers)
    load = start_load(bench, running.setup, clients, seconds, flags=flags, tool=tool)
    line = finish_load(load, seconds)
    after = Cpu.of(running.pid, helpers)
    if running.setup.n_services > 1:
        # What it needs when nobody comes, not what it needs for a crowd.
        select.select([], [], [], AT_REST)

    sample = Sample(
        rate=line["rate"],
        p50=line["p50_usec"],
        p99=line["p99_usec"],
        errors=int(line["errors"]),
        startup=running.startup,
        pss=pss(running.pid),
    )
    if line["total"] > 0:
        sample.master = (after.own - before.own) / line["total"]
        sample.children = (after.children - before.children) / line["total"] or None
    return sample


def keep_apart(pid):
    """Move a server, and what it has started, away from one processor, for who asks.  Its
    number; None where there is no other one."""
    processors = os.sched_getaffinity(0)
    if len(processors) < 2:
        return None
    aside = min(processors)
    for process in {pid, *(children(pid) or ())}:
        os.sched_setaffinity(process, processors - {aside})
    return aside


def attempt(work):
    """The sample that work() returns, or one that tells why there is none."""
    try:
        return work()
    except (servers.NotReady, servers.Unable) as problem:
        return Sample(trouble=str(problem))
    except subprocess.TimeoutExpired:
        return Sample(trouble="hangs under load")
    except OSError as problem:
        return Sample(trouble=f"ended under load: {problem.strerror}")


def measure(bench, server, binary, clients, setup=None, flags=()):
    """Start, load, stop.  `flags` are for the load generator."""

    def work():
        with servers.Running(server, binary, setup or bench.setup()) as running:
            return under_load(bench, running, clients, flags)

    return attempt(work)


class Series:
    """The samples of one server, one per round, beside those of the floor."""

    def __init__(self, samples, floor):
        self.samples = samples
        self.good = [s for s in samples if not s.trouble]
        self.ratios = [
            s.rate / f.rate if f.rate > 0 else 0 for s, f in zip(samples, floor) if f.rate > 0
        ]

    def values(self, field):
        return [v for v in (getattr(s, field) for s in self.good) if v is not None]

    def median(self, field):
        """Of the rounds that have it; None if none has."""
        values = self.values(field)
        return statistics.median(values) if values else None

    def worst(self, field):
        """The highest of the rounds that have it; None if none has."""
        return max(self.values(field), default=None)

    @property
    def ratio(self):
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def errors(self):
        return sum(s.errors for s in self.good)

    @property
    def trouble(self):
        """The first, if any round failed."""
        return next((s.trouble for s in self.samples if s.trouble), "")


def progress(text):
    """One line that is written over, where there is somebody to see it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
