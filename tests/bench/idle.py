"""Nobody comes: what does a server do all the time?  All wait at the same time."""

import contextlib
import dataclasses
import select
import sys

import bench as common
import measure
import servers
import table

SERVICES = 1_000
SETTLE = 2  # seconds after the first client; what it has caused is over by then
SECONDS = 10
BAR = 0

HEAD = ["", "wake-ups", "CPU", "PSS"]
LEGEND = """\
wake-ups: how often a thread of the master was given a processor
"""


@dataclasses.dataclass
class Idle:
    switches: int = 0
    cpu: float = 0  # usec
    pss: float = None
    trouble: str = ""

    @classmethod
    def of(cls, pid):
        return cls(measure.switches(pid), measure.Cpu.of(pid).own, measure.pss(pid))


def start(bench, stack, results):
    """All that can serve so many, each on ports of its own: {name: Running}."""
    running = {}
    for i, (server, binary) in enumerate(bench.found):
        setup = bench.setup(SERVICES)
        if bench.isolated:
            setup.port += i * SERVICES
        measure.progress(f"{SERVICES:,} idle services: {server.name}")
        try:
            running[server.name] = stack.enter_context(
                servers.Running(server, binary, setup)
            )
        except (servers.NotReady, servers.Unable) as problem:
            results[server.name] = Idle(trouble=str(problem))
    return running


def wait(seconds):
    select.select([], [], [], seconds)


def measure_all(bench):
    results = {server.name: None for server, _ in bench.found}
    with contextlib.ExitStack() as stack:
        running = start(bench, stack, results)
        measure.progress(f"{SERVICES:,} idle services: {SECONDS} s of nothing")
        wait(SETTLE)
        before = {name: Idle.of(r.pid) for name, r in running.items()}
        wait(SECONDS)
        for name, r in running.items():
            now, then = Idle.of(r.pid), before[name]
            results[name] = Idle(now.switches - then.switches, now.cpu - then.cpu, now.pss)
        measure.progress("")
    return results


def row(name, idle):
    if idle.trouble:
        return [name, "-", "-", "-"]
    return [name, f"{idle.switches}", table.elapsed(idle.cpu), table.kilobytes(idle.pss)]


def judge(idle):
    bar = f"{BAR} wake-ups in {SECONDS} idle seconds with {SERVICES:,} services"
    if idle is None:
        return common.Verdict.judge(None, bar, "hatchd was not measured")
    if idle.trouble:
        return common.Verdict.judge(False, bar, idle.trouble)
    return common.Verdict.judge(idle.switches <= BAR, bar, f"{idle.switches}")


def run(bench):
    results = measure_all(bench)
    print(f"\nidle: {SERVICES:,} services, {SECONDS} seconds without a client\n")
    print("\n".join(table.render(HEAD, [row(name, idle) for name, idle in results.items()])))
    common.print_troubles(results)
    print(f"\n{LEGEND}")
    sys.stdout.flush()
    return common.report("idle", [judge(results.get("hatchd"))])
