"""Services that need no program: echo and daytime by TCP.

hatchd hands each client to one process that serves them all.  The others answer daytime
themselves, as a line that fits into the socket, and start a child of theirs for echo.

Nobody has a limit, and nobody writes a log: hatchd cannot be told not to, so what it
writes goes to /dev/null.
"""

import dataclasses
import getpass
import socket
import sys

import bench as common
import measure
import servers
import table

CLIENTS = 64
ECHO = "What is sent comes back, and the end behind it.\n"

HEAD = ["", "conns/s", "x xinetd", "in each round", "p50", "p99", "errors", "master", "others"]
LEGEND = """\
x xinetd: conns/s divided by xinetd's of the same round
master, others: CPU time per connection, of the server and of its children
conns/s, p50, p99: as in `spawn`
"""


@dataclasses.dataclass
class Service:
    name: str
    port: int  # where its name says that it is
    bar: float  # x xinetd
    load_flags: list
    question: bytes = b""

    def is_served(self, port):
        """Does it say what it should, and end?"""
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            sock.sendall(self.question)
            sock.shutdown(socket.SHUT_WR)
            with sock.makefile("rb") as answer:
                said = answer.read()
        return said == self.question if self.question else said.endswith(b"\r\n")


SERVICES = {
    "echo": Service("echo", 7, 2.5, ["-q", ECHO], ECHO.encode()),
    "daytime": Service("daytime", 13, 0.9, ["-l"]),
}


class BuiltIn:
    """Mixed into a server: what is called a program elsewhere is the name of a service."""

    own_port = True  # anywhere, not only where the name says

    def answers(self, setup):
        try:
            return SERVICES[setup.program].is_served(setup.port)
        except OSError:
            return False


class Hatchd(BuiltIn, servers.Hatchd):
    keeps_log = False
    has_workers = True

    def command(self, binary, setup):
        return [binary, "-f", self.write_conf(setup)]

    def stanza(self, name, port, program):
        return (
            f"service {name} {{\n\tlisten = tcp4:127.0.0.1:{port}\n\tbuiltin = {program}\n}}\n"
        )


class Xinetd(BuiltIn, servers.Xinetd):
    def stanza(self, name, port, program):
        return self.describe(
            program, "INTERNAL UNLISTED", port, f"\tid = {program}-stream\n"
        )


class Inetd(BuiltIn, servers.Inetd):
    own_port = False

    def stanza(self, _name, _port, program):
        return f"127.0.0.1:{program} stream tcp nowait {getpass.getuser()} internal\n"


KINDS = {kind.name: kind() for kind in (Hatchd, Xinetd, Inetd)}


def make_setup(bench, server, service):
    port = {} if server.own_port else {"port": service.port}
    return dataclasses.replace(bench.setup(), program=service.name, **port)


def measure_one(bench, server, binary, service):
    if not server.own_port and not bench.isolated:
        return measure.Sample(trouble=f"serves {service.name} at port {service.port} only")
    setup = make_setup(bench, server, service)
    return measure.measure(bench, server, binary, CLIENTS, setup, service.load_flags)


def compare(bench, found, service):
    """{name: series} of one service, beside xinetd if it is there."""
    samples = bench.rounds(
        service.name,
        lambda server, binary: measure_one(bench, server, binary, service),
        found,
    )
    beside = samples.get("xinetd", [])
    return {name: measure.Series(s, beside) for name, s in samples.items()}


def print_table(service, results):
    print(f"\nbuiltin: TCP {service.name}, {CLIENTS} clients at a time\n")
    rows = [table.row_of_series(name, series, "xinetd") for name, series in results.items()]
    print("\n".join(table.render(HEAD, rows, left=(0, 3))))
    common.print_troubles(results)
    sys.stdout.flush()


def judge(bench, service, results):
    return common.judge_ratio(
        results.get("hatchd"), bench.options.rounds, service.bar, f"of {service.name}", "xinetd"
    )


def run(bench):
    found = [(KINDS[s.name], binary) for s, binary in bench.found if s.name in KINDS]
    results = {}
    for service in SERVICES.values() if found else ():
        results[service.name] = compare(bench, found, service)
        print_table(service, results[service.name])
    print(f"\n{LEGEND}")
    verdicts = [judge(bench, s, results.get(s.name, {})) for s in SERVICES.values()]
    return common.report("builtin", verdicts)
