"""What all scenarios share: the servers that are there, rounds, and the verdict."""

import dataclasses
import os
import resource
import sys

import measure
import network
import servers

PORT = 7000
DESCRIPTORS_ASIDE = 4000  # beside listeners: for connections, children, and what else
HELD, MISSED, UNKNOWN = 0, 1, 2  # exit statuses


@dataclasses.dataclass
class Verdict:
    """Whether hatchd holds one bar, and the line that says why."""

    status: int
    text: str

    @classmethod
    def judge(cls, held, bar, found):
        """`held` is None where nobody can tell."""
        if held is None:
            return cls(UNKNOWN, f"cannot tell: {found}; the bar is {bar}")
        if held:
            return cls(HELD, f"held: {bar} ({found})")
        return cls(MISSED, f"missed: {found}; the bar is {bar}")


class Bench:
    """Which servers there are, and where."""

    def __init__(self, options, folder, isolated):
        self.options, self.folder, self.isolated = options, folder, isolated
        self.load = self.tool("load")
        self.volley = self.tool("volley")
        self.hello = self.tool("hello")
        self.found, self.missing = [], []
        for server in servers.ALL:
            if not wanted(server.name, options.only):
                continue
            binary = options.hatchd if options.hatchd and "hatchd" in server.name else None
            binary = binary or server.find(options.build)
            if binary:
                self.found.append((server, binary))
            else:
                self.missing.append(server.name)

    def tool(self, name):
        return str((self.options.build / "tests/bench" / name).resolve())

    def setup(self, n_services=1, other=None, patience=servers.PATIENCE):
        n_ports = n_services + bool(other)
        port = PORT if self.isolated else network.free_ports(n_ports)
        return servers.Setup(self.hello, port, self.folder, n_services, other, patience)

    def rounds(self, what, measure_one, found=None):
        """All servers in turn, each round beginning with the next: {name: [sample]}."""
        found = self.found if found is None else found
        samples = {server.name: [] for server, _ in found}
        for i in range(self.options.rounds):
            turn = i % len(found)
            for server, binary in found[turn:] + found[:turn]:
                measure.progress(f"{what}, round {i + 1}: {server.name}")
                samples[server.name].append(measure_one(server, binary))
        measure.progress("")
        return samples


def wanted(name, only):
    if only:
        return name in only or name == "floor"
    return name not in servers.ON_REQUEST


def beside_floor(samples):
    return {name: measure.Series(s, samples["floor"]) for name, s in samples.items()}


def judge_ratio(series, rounds, least, where, beside="floor", spoilt=0):
    """A rate beside the floor's, or another one's, without an error: in every round, but for
    so many that others who use the machine may have spoilt."""
    needed = rounds - spoilt
    bar = f"errors 0 and at least {least:.1f} x {beside} {where} in {needed} of {rounds} rounds"
    if series is None:
        return Verdict.judge(None, bar, "hatchd was not measured")
    if series.trouble:
        return Verdict.judge(False, bar, series.trouble)

    held = sum(r >= least for r in series.ratios)
    got = " ".join(f"{r:.2f}" for r in series.ratios)
    if len(series.ratios) < rounds:
        return Verdict.judge(None, bar, f"nothing to compare with: no {beside}")
    if held >= needed and series.errors == 0:
        return Verdict.judge(True, bar, got)
    return Verdict.judge(
        False, bar, f"errors {series.errors}, {held} of {rounds} rounds ({got})"
    )


def worst(statuses):
    """A bar that is missed outweighs one that nobody can tell of."""
    return max(statuses, key=[HELD, UNKNOWN, MISSED].index)


def report(scenario, verdicts):
    """Print them all; the worst is the status."""
    for verdict in verdicts:
        print(f"hatchd, {scenario}: {verdict.text}")
    sys.stdout.flush()
    return worst(verdict.status for verdict in verdicts)


def print_troubles(results):
    for name, series in results.items():
        if series.trouble:
            print(f"  {name}: {series.trouble}")


def raise_descriptor_limit():
    """For us and all that we start; a server may raise its own further."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def most_listeners():
    """Sockets that a server may hold and still have descriptors to serve with."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 60000 if hard == resource.RLIM_INFINITY else max(1, hard - DESCRIPTORS_ASIDE)


def most_processes():
    """How many more may live here, as far as anybody tells."""
    limits = [int(read("/proc/sys/kernel/pid_max", 32768))]
    limits.append(int(read("/proc/sys/kernel/threads-max", 32768)))
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if os.geteuid() != 0 and soft != resource.RLIM_INFINITY:
        limits.append(soft)
    limits += group_limits()
    return min(limits) - len([name for name in os.listdir("/proc") if name.isdigit()])


def group_limits():
    """pids.max of our control group and of all above it, in either hierarchy."""
    for line in read("/proc/self/cgroup", "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "pids"):
            continue
        top = f"/sys/fs/cgroup/{controllers}".rstrip("/")
        while True:
            text = read(f"{top}{path}/pids.max", "max").strip()
            if text != "max":
                yield int(text)
            if path == "/":
                break
            path = os.path.dirname(path)


def read(path, default):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return default
