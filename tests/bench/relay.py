"""Clients that are passed on to somebody else: how many connections in a second, and how
fast one stream goes.

All pass on to the same two targets: a hatchd that answers daytime by itself, and a process
that sends zeros.  Nobody has a limit, and nobody writes a log: hatchd cannot be told not to,
so what it writes goes to /dev/null.

hatchd and systemd-socket-proxyd have one process for all, socat starts one for each client.
"""

import contextlib
import dataclasses
import os
import signal
import socket
import sys
import time

import bench as common
import builtin
import measure
import servers
import table

CLIENTS = 64
PORTS = 3  # of the relay, and of the two targets
BESIDE = "socket-proxyd"
BAR = 1.0  # times what that one does
CHUNK = 1 << 20  # bytes, read and written at once
MB = 1_000_000

RATE_HEAD = [
    "", "conns/s", "x proxyd", "in each round", "p50", "p99", "errors", "master", "others",
]  # fmt: skip
STREAM_HEAD = ["", "MB/s", "x proxyd", "in each round", "CPU per MB"]
LEGEND = """\
x proxyd: divided by systemd-socket-proxyd's of the same round
master, others: CPU time per connection, of what was started and of its children
CPU per MB: of all processes of the relay together
conns/s, p50, p99: as in `spawn`
"""


# ---------------------------------------------------------------------------
# Who relays: what is called a program elsewhere is the port of the target


class Relay:
    """Mixed into a server."""

    keeps_log = False

    def answers(self, setup):
        """Is anything said, to the end?"""
        try:
            with socket.create_connection(("127.0.0.1", setup.port), timeout=1) as sock:
                return bool(sock.recv(64))
        except OSError:
            return False


class Hatchd(Relay, servers.Hatchd):
    has_workers = True

    def command(self, binary, setup):
        return [
            binary,
            "-l", f"tcp4:127.0.0.1:{setup.port}",
            *self.limits,
            f"--redirect=tcp:127.0.0.1:{setup.program}",
        ]  # fmt: skip


class Socat(Relay, servers.Server):
    name = binary = "socat"

    def command(self, binary, setup):
        here = f"TCP4-LISTEN:{setup.port},bind=127.0.0.1,fork,reuseaddr,backlog=4096"
        return [binary, "-T0", here, f"TCP4:127.0.0.1:{setup.program}"]


class Proxyd(Relay, servers.Server):
    """It is handed its socket, by what becomes it with the first client."""

    name = BESIDE
    binary = "systemd-socket-activate"
    program = "/usr/lib/systemd/systemd-socket-proxyd"

    def find(self, build):
        return super().find(build) if servers.existing(self.program) else None

    def command(self, binary, setup):
        return [
            binary, "-l", f"127.0.0.1:{setup.port}",
            self.program, "--connections-max=4096", f"127.0.0.1:{setup.program}",
        ]  # fmt: skip


def find_all(bench):
    """(relay, binary) of those that are there and wanted."""
    found = [(Hatchd(), binary) for server, binary in bench.found if server.name == "hatchd"]
    for relay in (Proxyd(), Socat()):
        binary = relay.find(bench.options.build)
        if binary and common.wanted(relay.name, bench.options.only):
            found.append((relay, binary))
        elif not binary:
            print(f"not installed: {relay.name}")
    return found


# ---------------------------------------------------------------------------
# To whom


def send_zeros(listener):
    """To each who comes, as much as he takes; one after the other."""
    zeros = bytes(CHUNK)
    while True:
        with contextlib.suppress(OSError), listener.accept()[0] as sock:
            while True:
                sock.sendall(zeros)


@contextlib.contextmanager
def source(port):
    """A process that sends zeros at that port."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        pid = os.fork()
        if pid == 0:
            servers.die_with_parent()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            send_zeros(listener)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def daytime(bench, setup):
    """A hatchd that answers at that port."""
    binary = next(binary for server, binary in bench.found if server.name == "hatchd")
    folder = bench.folder / "target"
    folder.mkdir(exist_ok=True)
    setup = dataclasses.replace(setup, folder=folder, program="daytime")
    with servers.Running(builtin.KINDS["hatchd"], binary, setup):
        yield


# ---------------------------------------------------------------------------
# What is measured


def read_for(sock, seconds):
    """Bytes that came in that time, and how long it was."""
    buffer = bytearray(CHUNK)
    begun = now = time.monotonic()
    count = 0
    while now < begun + seconds:
        n = sock.recv_into(buffer)
        if n == 0:
            raise servers.NotReady("the stream ended")
        count += n
        now = time.monotonic()
    return count, now - begun


def cpu_of_all(pid, others):
    spent = measure.Cpu.of(pid, others)
    return spent.own + spent.children


def one_stream(bench, running):
    """A sample whose rate is in MB a second, and whose CPU time is per MB."""
    with socket.create_connection(("127.0.0.1", running.setup.port)) as sock:
        sock.settimeout(servers.PATIENCE)
        read_for(sock, measure.WARMUP)
        others = measure.children(running.pid) or ()
        before = cpu_of_all(running.pid, others)
        count, took = read_for(sock, bench.options.seconds)
        after = cpu_of_all(running.pid, others)
    return measure.Sample(rate=count / took / MB, master=(after - before) / (count / MB))


def measure_stream(bench, relay, binary, setup):
    def work():
        with servers.Running(relay, binary, setup) as running:
            return one_stream(bench, running)

    return measure.attempt(work)


def compare(bench, found, what, measure_one):
    """{name: series}, beside systemd-socket-proxyd if it is there."""
    samples = bench.rounds(what, measure_one, found)
    beside = samples.get(BESIDE, [])
    return {name: measure.Series(s, beside) for name, s in samples.items()}


def row_of_stream(name, series):
    rate = table.row_of_series(name, series, BESIDE)[:4]
    return [*rate, table.elapsed(series.median("master"))]


def print_table(title, head, rows, results):
    print(f"\nrelay: {title}\n")
    print("\n".join(table.render(head, rows, left=(0, 3))))
    common.print_troubles(results)
    sys.stdout.flush()


def judge(bench, results, bar, what):
    series = results.get("hatchd")
    rounds = bench.options.rounds
    return common.judge_ratio(series, rounds, bar, what, BESIDE, spoilt=rounds // 5)


def compare_rates(bench, found, setup, port):
    setup = dataclasses.replace(setup, program=str(port))
    with daytime(bench, dataclasses.replace(setup, port=port)):
        return compare(
            bench, found, "connections",
            lambda relay, binary: measure.measure(bench, relay, binary, CLIENTS, setup, ["-l"]),
        )  # fmt: skip


def compare_streams(bench, found, setup, port):
    setup = dataclasses.replace(setup, program=str(port))
    with source(port):
        return compare(
            bench, found, "a stream",
            lambda relay, binary: measure_stream(bench, relay, binary, setup),
        )  # fmt: skip


def print_all(rates, streams):
    rows = [table.row_of_series(name, series, BESIDE) for name, series in rates.items()]
    print_table(f"daytime, {CLIENTS} clients at a time", RATE_HEAD, rows, rates)
    rows = [row_of_stream(name, series) for name, series in streams.items()]
    print_table("one stream", STREAM_HEAD, rows, streams)
    print(f"\n{LEGEND}")


def run(bench):
    found = find_all(bench)
    rates, streams = {}, {}
    if "hatchd" in [relay.name for relay, _ in found]:
        port = bench.setup(n_services=PORTS).port
        setup = dataclasses.replace(bench.setup(), port=port)
        rates = compare_rates(bench, found, setup, port + 1)
        streams = compare_streams(bench, found, setup, port + 2)
        print_all(rates, streams)
    verdicts = [
        judge(bench, rates, BAR, "of connections"),
        judge(bench, streams, BAR, "of one stream"),
    ]
    return common.report("relay", verdicts)
