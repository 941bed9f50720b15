"""TLS that somebody speaks for a program: handshakes in a second, and how fast a stream goes.

All have the same certificate, speak TLS 1.3 with the same cipher and group, as the client
offers nothing else, and start the same program for each client, whose standard input and
output they read and write.  No session is taken up again.  Nobody has a limit, and nobody
writes a log: hatchd cannot be told not to, so what it writes goes to /dev/null.

stunnel has a thread for each client, socat a process.  hatchd has processes that each speak
with many clients: as many as there are processors, as the others use all of them, too.  What
they like best was found by trying: stunnel keeps no sessions that nobody asks for, socat moves
128 kB at once, and neither waits for more to send.

`hatchd-echo` sends back what comes without a program: it shows what that one costs.
"""

import contextlib
import dataclasses
import os
import pathlib
import select
import shutil
import subprocess
import sys

import bench as common
import measure
import network
import servers
import table

BAR = 1.0  # times what each of the others does
CLIENTS = 4
BESIDE = ["stunnel", "socat"]
KEYS = {
    "RSA-2048": ["-newkey", "rsa:2048"],
    "P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
}
WORKERS_MAX = 16
FIELDS_OF_TIME = slice(11, 15)  # utime, stime, cutime and cstime of proc(5), after the name

SHAKE_HEAD = ["", "conns/s", "x stunnel", "x socat", "p50", "p99", "errors", "CPU"]
STREAM_HEAD = ["", "MB/s", "x stunnel", "x socat", "errors", "CPU per MB"]
LEGEND = """\
x stunnel, x socat: divided by that one's of the same round; the median
CPU, CPU per MB: of all processes, the programs too, per connection or per MB
conns/s, p50, p99: as in `spawn`; each connection is a handshake, a program and what it says
MB/s: each way, where what is sent comes back
errors: of a stream, how often some of it was missing when it had ended
"""


@dataclasses.dataclass
class Stream:
    """One way that bytes go; with the program that takes or makes them."""

    label: str
    way: str  # of tests/bench/stream
    program: list


STREAMS = [
    Stream("to a program", "up", ["wc", "-c"]),
    Stream("from a program", "down", ["cat", "/dev/zero"]),
    Stream("through a program", "both", ["cat"]),
]


# ---------------------------------------------------------------------------
# Who speaks TLS


@dataclasses.dataclass
class Setup(servers.Setup):
    """Its program is a command line: an absolute path, and words behind it."""

    certificate: pathlib.Path = None  # with the key


class Secured:
    """Mixed into a server."""

    keeps_log = False
    certificate = None  # while a file is written

    def write_conf(self, setup):
        self.certificate = setup.certificate
        return super().write_conf(setup)

    def answers(self, setup):
        """Nobody is asked: after a client who only looks whether somebody is there, and
        goes without a close_notify, some of socat's next children lose their answers."""
        return network.is_listening(setup.port)


class Hatchd(Secured, servers.Hatchd):
    def command(self, binary, setup):
        return [binary, "-f", self.write_conf(setup)]

    def head(self):
        workers = min(os.cpu_count(), WORKERS_MAX)
        return f"tls_workers = {workers}\n{super().head()}"

    def stanza(self, name, port, program):
        return (
            f"service {name} {{\n\tlisten = tcp4:127.0.0.1:{port}\n"
            f"\ttls {{ certificate = {self.certificate} }}\n\t{self.what(program)}\n}}\n"
        )

    def what(self, program):
        return f"exec = {{ {', '.join(program.split())} }}"


class HatchdEcho(Hatchd):
    name = "hatchd-echo"

    def what(self, _program):
        return "builtin = echo"


class Stunnel(Secured, servers.Server):
    name = binary = "stunnel"

    def command(self, binary, setup):
        return [binary, self.write_conf(setup)]

    def head(self):
        return "foreground = yes\npid =\nsyslog = no\ndebug = crit\n"

    def stanza(self, name, port, program):
        return (
            f"[{name}]\naccept = 127.0.0.1:{port}\ncert = {self.certificate}\n"
            f"exec = {program.split()[0]}\nexecArgs = {program}\n"
            "sslVersionMin = TLSv1.3\nsessionResume = no\n"
            "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
        )


class Socat(Secured, servers.Server):
    name = binary = "socat"

    def command(self, binary, setup):
        here = (
            f"OPENSSL-LISTEN:{setup.port},bind=127.0.0.1,fork,reuseaddr,backlog=4096,nodelay,"
            f"cert={setup.certificate},verify=0,openssl-min-proto-version=TLS1.3"
        )
        return [binary, "-b131072", here, f"EXEC:{setup.program}"]


def find_all(bench):
    """(server, binary) of those that are there and wanted."""
    found = [(Hatchd(), binary) for server, binary in bench.found if server.name == "hatchd"]
    for server in (Stunnel(), Socat()):
        binary = server.find(bench.options.build)
        if binary and common.wanted(server.name, bench.options.only):
            found.append((server, binary))
        elif not binary:
            print(f"not installed: {server.name}")
    return found


# ---------------------------------------------------------------------------
# What is measured


def descendants(pid):
    """Itself, its children, and theirs."""
    return [pid, *(d for c in measure.children(pid) or () for d in descendants(c))]


def cpu_of_tree(pid):
    """Microseconds, also of those who have ended and were waited for, and of their threads."""
    ticks = 0
    for process in descendants(pid):
        with contextlib.suppress(OSError):
            stat = pathlib.Path(f"/proc/{process}/stat").read_text()
            after_name = stat.rsplit(")", 1)[1].split()
            ticks += sum(int(field) for field in after_name[FIELDS_OF_TIME])
    return ticks * measure.USEC_PER_TICK


def make_certificate(bench, key):
    path = bench.folder / f"{key}.pem"
    parts = [bench.folder / f"{key}.{part}" for part in ("crt", "key")]
    subprocess.run(
        [
            "openssl", "req", "-x509", *KEYS[key], "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-out", parts[0], "-keyout", parts[1],
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    path.touch(mode=0o600)
    path.write_text("".join(part.read_text() for part in parts))
    return path


def make_setup(bench, program, certificate):
    usual = vars(bench.setup())
    return Setup(**{**usual, "program": program, "certificate": certificate})


def shake_hands(bench, running):
    seconds = bench.options.seconds
    before = cpu_of_tree(running.pid)
    load = measure.start_load(
        bench, running.setup, CLIENTS, seconds, tool=bench.tool("shake")
    )
    line = measure.finish_load(load, seconds)
    after = cpu_of_tree(running.pid)
    return measure.Sample(
        rate=line["rate"],
        p50=line["p50_usec"],
        p99=line["p99_usec"],
        errors=int(line["errors"]),
        master=(after - before) / line["total"] if line["total"] > 0 else None,
    )


def begin_stream(bench, running, way):
    return subprocess.Popen(
        [bench.tool("stream"), way, str(running.setup.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=servers.die_with_parent,
    )


def count_after(stream, seconds):
    """What tests/bench/stream says then: a number of bytes, and when that was, in seconds."""
    line = ""
    if not select.select([stream.stdout], [], [], seconds)[0]:
        stream.stdin.write("\n")
        stream.stdin.flush()
        line = stream.stdout.readline()
    if not line:
        said = stream.communicate()[1]
        raise servers.NotReady(said.strip().removeprefix("stream: "))
    fields = dict(word.split("=") for word in line.split())
    return int(fields["bytes"]), int(fields["usec"]) / 1_000_000


def one_stream(bench, running, way):
    """A sample whose rate is in MB a second, and whose CPU time is per MB."""
    with begin_stream(bench, running, way) as stream:
        first, begun = count_after(stream, measure.WARMUP)
        before = cpu_of_tree(running.pid)
        last, ended = count_after(stream, bench.options.seconds)
        after = cpu_of_tree(running.pid)
        stream.communicate()
    if last == first:
        raise servers.NotReady("nothing goes")
    megabytes = (last - first) / 1_000_000
    return measure.Sample(
        rate=megabytes / (ended - begun),
        errors=int(stream.returncode != 0),
        master=(after - before) / megabytes,
    )


def measure_one(server, binary, setup, work):
    def run_it():
        with servers.Running(server, binary, setup) as running:
            return work(running)

    return measure.attempt(run_it)


class Results:
    """The samples of all servers, beside each of the others."""

    def __init__(self, samples):
        self.beside = {
            other: {n: measure.Series(s, samples.get(other, [])) for n, s in samples.items()}
            for other in BESIDE
        }
        self.series = self.beside[BESIDE[0]]

    def ratios(self, name):
        series = (self.beside[other][name] for other in BESIDE)
        return ["-" if s.ratio is None else f"{s.ratio:.2f}" for s in series]


def compare_handshakes(bench, found, key):
    setup = make_setup(bench, bench.hello, make_certificate(bench, key))
    return Results(
        bench.rounds(
            f"handshakes, {key}",
            lambda server, binary: measure_one(
                server, binary, setup, lambda running: shake_hands(bench, running)
            ),
            found,
        )
    )


def compare_streams(bench, found, stream):
    program = " ".join([shutil.which(stream.program[0]), *stream.program[1:]])
    setup = make_setup(bench, program, bench.folder / "P-256.pem")
    echo = [(HatchdEcho(), b) for s, b in found if s.name == "hatchd" and stream.way == "both"]
    return Results(
        bench.rounds(
            f"a stream {stream.label}",
            lambda server, binary: measure_one(
                server, binary, setup, lambda running: one_stream(bench, running, stream.way)
            ),
            found + echo,
        )
    )


# ---------------------------------------------------------------------------
# What is said about it


def row_of_handshakes(results, name):
    series = results.series[name]
    return [
        name,
        table.number(series.median("rate")),
        *results.ratios(name),
        table.elapsed(series.median("p50")),
        table.elapsed(series.median("p99")),
        f"{series.errors:,}",
        table.elapsed(series.median("master")),
    ]


def row_of_stream(results, name):
    series = results.series[name]
    return [
        name,
        table.number(series.median("rate")),
        *results.ratios(name),
        f"{series.errors:,}",
        table.elapsed(series.median("master")),
    ]


def print_table(title, head, make_row, results):
    print(f"\ntls: {title}\n")
    rows = [make_row(results, name) for name in results.series]
    print("\n".join(table.render(head, rows)))
    common.print_troubles(results.series)
    sys.stdout.flush()


def judge(bench, results, where):
    """Beside each of the others."""
    rounds = bench.options.rounds
    return [
        common.judge_ratio(
            results.beside[other].get("hatchd"), rounds, BAR, where, other, spoilt=rounds // 5
        )
        for other in BESIDE
    ]


def run_handshakes(bench, found, key):
    results = compare_handshakes(bench, found, key)
    title = f"handshakes, {key}, {CLIENTS} clients at a time"
    print_table(title, SHAKE_HEAD, row_of_handshakes, results)
    return judge(bench, results, f"of handshakes with {key}")


def run_stream(bench, found, stream):
    results = compare_streams(bench, found, stream)
    print_table(f"one stream {stream.label}", STREAM_HEAD, row_of_stream, results)
    return judge(bench, results, f"of a stream {stream.label}")


def what_is_missing(bench, found):
    """Why nothing can be measured; None: it can."""
    if not all(servers.existing(bench.tool(name)) for name in ("shake", "stream")):
        return "built without TLS"
    if not shutil.which("openssl"):
        return "no openssl to make certificates"
    names = [server.name for server, _ in found]
    return None if "hatchd" in names else "hatchd was not measured"


def run(bench):
    found = find_all(bench)
    missing = what_is_missing(bench, found)
    if missing:
        bar = f"errors 0 and at least {BAR:.1f} x {' and '.join(BESIDE)}"
        return common.report("tls", [common.Verdict.judge(None, bar, missing)])
    verdicts = [v for key in KEYS for v in run_handshakes(bench, found, key)]
    verdicts += [v for stream in STREAMS for v in run_stream(bench, found, stream)]
    print(f"\n{LEGEND}")
    return common.report("tls", verdicts)
