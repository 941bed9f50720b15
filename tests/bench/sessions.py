"""A program for each of those who send datagrams: how many can begin in a second.

Each client is a new socket that sends one datagram, and is answered by one of a program of
its own, which reads and writes once.  socat does that in two ways.  UDP-LISTEN makes of its
socket that of the client, and opens another one: a datagram of somebody else that has come
meanwhile is lost, which the client finds after a second.  UDP-RECVFROM has a program for
each datagram, and takes the next when the last has been read.
"""

import dataclasses
import socket
import sys

import bench as common
import measure
import servers
import table

BAR_CLIENTS = 1
BAR_RATIO = 3.0

HEAD = [
    "", "sessions/s", "x socat", "in each round", "p50", "p99", "errors", "master", "others"
]  # fmt: skip
LEGEND = """\
sessions/s, p50, p99: median of the rounds; from the first datagram to the answer
x socat: sessions/s divided by socat's of the same round
errors: no answer within a second, or another one
master, others: CPU time per session, of the server and of its children and workers
"""


class ByDatagram:
    """Mixed into a server: it is asked by UDP."""

    def answers(self, setup):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            try:
                sock.connect(("127.0.0.1", setup.port))
                sock.send(b"?")
                return bool(sock.recv(64))
            except OSError:
                return False


class Hatchd(ByDatagram, servers.Hatchd):
    has_workers = True

    def command(self, binary, setup):
        where = f"udp4:127.0.0.1:{setup.port}"
        return [binary, "-l", where, *self.limits, "--", setup.program]


class Socat(ByDatagram, servers.Server):
    name = binary = "socat"
    way = "UDP4-LISTEN"

    def command(self, binary, setup):
        listen = f"{self.way}:{setup.port},bind=127.0.0.1,fork,reuseaddr"
        return [binary, listen, f"EXEC:{setup.program}"]


class SocatRecvfrom(Socat):
    name = "socat-recvfrom"
    way = "UDP4-RECVFROM"


def find_all(bench):
    found = [(Hatchd(), binary) for s, binary in bench.found if s.name == "hatchd"]
    peers = [(peer, peer.find(bench.options.build)) for peer in (Socat(), SocatRecvfrom())]
    return found + [(peer, binary) for peer, binary in peers if binary]


def print_table(clients, results):
    print(f"\nsessions: {clients} client{'s' if clients > 1 else ''} at a time\n")
    rows = [table.row_of_series(name, series, "socat") for name, series in results.items()]
    print("\n".join(table.render(HEAD, rows, left=(0, 3))))
    common.print_troubles(results)
    sys.stdout.flush()


def run(bench):
    found = find_all(bench)
    setup = dataclasses.replace(bench.setup(), program=bench.tool("reply"))
    at_bar = None
    for clients in bench.options.clients if found else ():
        samples = bench.rounds(
            f"{clients} clients",
            lambda server, binary, n=clients: measure.measure(
                bench, server, binary, n, setup, ["-u"]),
            found,
        )
        beside = samples.get("socat", [])
        results = {name: measure.Series(s, beside) for name, s in samples.items()}
        print_table(clients, results)
        if clients == BAR_CLIENTS:
            at_bar = results.get("hatchd")
    print(f"\n{LEGEND}")
    where = f"at {BAR_CLIENTS} client"
    verdict = common.judge_ratio(at_bar, bench.options.rounds, BAR_RATIO, where, "socat")
    return common.report("sessions", [verdict])
