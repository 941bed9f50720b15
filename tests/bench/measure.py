"""One measurement: a server under load, and what that cost."""

import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys

import servers

WARMUP = 0.3  # seconds before counting begins
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
    children: float = None  # the same, of children it has waited for
    trouble: str = ""  # why there are no figures


@dataclasses.dataclass
class Cpu:
    """CPU time of a process and of the children it has waited for, in microseconds."""

    own: float
    children: float

    @classmethod
    def of(cls, pid):
        proc = pathlib.Path(f"/proc/{pid}")
        after_name = (proc / "stat").read_text().rsplit(")", 1)[1].split()
        own, children = (
            sum(int(ticks) for ticks in after_name[i : i + 2]) * USEC_PER_TICK for i in (11, 13)
        )
        try:
            # Nanoseconds; only the first thread's, but all of these have one.
            own = int((proc / "schedstat").read_text().split()[0]) / 1000
        except (OSError, IndexError, ValueError):
            pass
        return cls(own, children)


def run_load(binary, port, clients, seconds, n_services=1):
    """Fields of the line that tests/bench/load prints."""
    argv = [
        binary, "-c", str(clients), "-t", str(seconds), "-w", str(WARMUP),
        "-p", str(n_services), str(port),
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, timeout=seconds + PATIENCE, text=True)
    if done.returncode != 0:
        raise servers.NotReady(done.stderr.strip() or "the load generator failed")
    return {name: float(value) for name, value in (w.split("=") for w in done.stdout.split())}


def measure(server, binary, setup, load, clients, seconds):
    """Start, load, stop."""
    try:
        with servers.Running(server, binary, setup) as running:
            before = Cpu.of(running.pid)
            line = run_load(load, setup.port, clients, seconds, setup.n_services)
            after = Cpu.of(running.pid)
    except servers.NotReady as problem:
        return Sample(trouble=str(problem))
    except subprocess.TimeoutExpired:
        return Sample(trouble="hangs under load")
    except OSError as problem:
        return Sample(trouble=f"ended under load: {problem.strerror}")

    sample = Sample(
        rate=line["rate"],
        p50=line["p50_usec"],
        p99=line["p99_usec"],
        errors=int(line["errors"]),
    )
    if line["total"] > 0:
        sample.master = (after.own - before.own) / line["total"]
        sample.children = (after.children - before.children) / line["total"] or None
    return sample


class Series:
    """The samples of one server, one per round, beside those of the floor."""

    def __init__(self, samples, floor):
        self.samples = samples
        self.good = [s for s in samples if not s.trouble]
        self.ratios = [
            s.rate / f.rate if f.rate > 0 else 0 for s, f in zip(samples, floor) if f.rate > 0
        ]

    def median(self, field):
        """Of the rounds that have it; None if none has."""
        values = [v for v in (getattr(s, field) for s in self.good) if v is not None]
        return statistics.median(values) if values else None

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
