"""Services that need no program: echo and daytime by TCP, echo by UDP.

hatchd hands each client to one process that serves them all.  The others answer daytime
themselves, as a line that fits into the socket, and start a child of theirs for echo.

Nobody has a limit, and nobody writes a log: hatchd cannot be told not to, so what it
writes goes to /dev/null.

A datagram costs who sends it on this machine as much as who answers it: the kernel brings it
to the other one at once.  So that it is the server that is measured, and not who asks,
datagrams are asked by one socket, as many in one call as have been answered, and where
there are several processors, from one on which the server is not.
"""

import dataclasses
import getpass
import socket
import sys

import bench as common
import measure
import network
import servers
import table

CLIENTS = 64
ELSEWHERE = "192.0.2.1"
PUBLIC = "\tpublic = yes\n"
ECHO = "What is sent comes back, and the end behind it.\n"

HEAD = ["", "conns/s", "ratio", "in each round", "p50", "p99", "errors", "master", "others"]
LEGEND = """\
x xinetd, x openbsd-inetd: conns/s divided by that one's of the same round
master, others: CPU time per connection, of the server and of its children
conns/s, p50, p99: as in `spawn`; by UDP, a datagram and its answer
"""


@dataclasses.dataclass
class Service:
    label: str
    name: str
    port: int  # where its name says that it is
    bar: float  # x `beside`
    load_flags: list
    question: bytes = b""
    datagrams: bool = False
    beside: str = "xinetd"

    @property
    def transport(self):
        return "udp" if self.datagrams else "tcp"

    @property
    def address(self):
        """Others do not answer datagrams from 127.0.0.1."""
        return ELSEWHERE if self.datagrams else "127.0.0.1"

    def is_answered(self, port):
        """A datagram, by the same."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect((self.address, port))
            sock.send(self.question)
            return sock.recv(64) == self.question

    def is_served(self, port):
        """Does it say what it should, and end?"""
        if self.datagrams:
            return self.is_answered(port)
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            sock.sendall(self.question)
            sock.shutdown(socket.SHUT_WR)
            with sock.makefile("rb") as answer:
                said = answer.read()
        return said == self.question if self.question else said.endswith(b"\r\n")


SERVICES = {
    "echo": Service("TCP echo", "echo", 7, 2.5, ["-q", ECHO], ECHO.encode()),
    "daytime": Service("TCP daytime", "daytime", 13, 0.9, ["-l"]),
    "datagrams": Service(
        "UDP echo", "echo", 7, 1.5, ["-d", ELSEWHERE], b"?",
        datagrams=True, beside="openbsd-inetd",
    ),
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
        service = SERVICES[program]
        return (
            f"service {name} {{\n"
            f"\tlisten = {service.transport}4:{service.address}:{port}\n"
            f"\tbuiltin = {service.name}\n"
            f"{service.datagrams * PUBLIC}}}\n"
        )


class Xinetd(BuiltIn, servers.Xinetd):
    def stanza(self, name, port, program):
        service = SERVICES[program]
        text = self.describe(
            service.name, "INTERNAL UNLISTED", port, f"\tid = {program}-one\n"
        )
        if not service.datagrams:
            return text
        text = text.replace("= stream", "= dgram").replace("= tcp", "= udp")
        text = text.replace("wait = no", "wait = yes")
        return text.replace("127.0.0.1", service.address)


class Inetd(BuiltIn, servers.Inetd):
    own_port = False

    def stanza(self, _name, _port, program):
        service = SERVICES[program]
        how = "dgram udp wait" if service.datagrams else "stream tcp nowait"
        return f"{service.address}:{service.name} {how} {getpass.getuser()} internal\n"


KINDS = {kind.name: kind() for kind in (Hatchd, Xinetd, Inetd)}


def make_setup(bench, server, program):
    port = {} if server.own_port else {"port": SERVICES[program].port}
    return dataclasses.replace(bench.setup(), program=program, **port)


def measure_datagrams(bench, server, binary, setup, flags):
    """The server is where the load generator is not."""

    def work():
        with servers.Running(server, binary, setup) as running:
            aside = measure.keep_apart(running.pid)
            where = [] if aside is None else ["-a", str(aside)]
            return measure.under_load(bench, running, CLIENTS, [*flags, *where], bench.volley)

    return measure.attempt(work)


def measure_one(bench, server, binary, program):
    service = SERVICES[program]
    if service.datagrams and not bench.isolated:
        return measure.Sample(trouble="there is no network of our own for another address")
    if not server.own_port and not bench.isolated:
        return measure.Sample(trouble=f"serves {service.name} at port {service.port} only")
    setup = make_setup(bench, server, program)
    if service.datagrams:
        return measure_datagrams(bench, server, binary, setup, service.load_flags)
    return measure.measure(bench, server, binary, CLIENTS, setup, service.load_flags)


def compare(bench, found, program):
    """{name: series} of one service, beside another server's if that is there."""
    samples = bench.rounds(
        program,
        lambda server, binary: measure_one(bench, server, binary, program),
        found,
    )
    beside = samples.get(SERVICES[program].beside, [])
    return {name: measure.Series(s, beside) for name, s in samples.items()}


def print_table(service, results):
    what = "datagrams under way" if service.datagrams else "clients at a time"
    print(f"\nbuiltin: {service.label}, {CLIENTS} {what}\n")
    beside = service.beside
    rows = [table.row_of_series(name, series, beside) for name, series in results.items()]
    head = [*HEAD[:2], f"x {beside}", *HEAD[3:]]
    print("\n".join(table.render(head, rows, left=(0, 3))))
    common.print_troubles(results)
    sys.stdout.flush()


def judge(bench, service, results):
    rounds = bench.options.rounds
    return common.judge_ratio(
        results.get("hatchd"), rounds, service.bar, f"of {service.label}", service.beside,
        spoilt=rounds // 5,
    )


def run(bench):
    found = [(KINDS[s.name], binary) for s, binary in bench.found if s.name in KINDS]
    results = {}
    if bench.isolated:
        network.add_address(ELSEWHERE)
    for program, service in SERVICES.items() if found else ():
        results[program] = compare(bench, found, program)
        print_table(service, results[program])
    print(f"\n{LEGEND}")
    verdicts = [judge(bench, s, results.get(p, {})) for p, s in SERVICES.items()]
    return common.report("builtin", verdicts)
