"""The record of each connection: what does it cost, wherever it goes?

hatchd alone, with `log_on_success = none` and as shipped, in turn: standard error is a file,
or the journal's, whose socket here has a reader who throws away what he reads; and with the
accounting file instead of the log.  What is lost on the way is told: a record that nobody
has written costs little.
"""

import contextlib
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys

import bench as common
import measure
import servers
import table

CLIENTS = 64
ROUNDS = 9  # or more, if more are wanted
BAR = 0.9

# How many datagrams a socket holds: as systemd asks for, at boot and for all of the machine.
QUEUE = pathlib.Path("/proc/sys/net/unix/max_dgram_qlen")
QUEUED = 512

LOST = re.compile(rb"(\d+) messages? lost")

HEAD = ["", "conns/s", "x", "p50", "p99", "errors", "lost", "master"]
LEGEND = """\
x: conns/s divided by those without records of the same round, to the same target; median
of the rounds
lost: records that the target did not take, of all rounds; its report stands in their place
master: CPU time per connection; the rest as in `spawn`
"""

# It has no other system, but the reader is in the place of the journal.
AS_JOURNAL = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal || exit 99
ln -s "$1" /run/systemd/journal/socket && shift || exit 99
JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)
export JOURNAL_STREAM
exec "$@"
"""

# Reads until the end, and keeps what tells of losses.
READER = """
import re, socket, sys
sock = socket.socket(fileno=0)
with open(sys.argv[1], "wb", buffering=0) as out:
    while True:
        text = sock.recv(65536)
        if b" lost: " in text:
            out.write(text + b"\\n")
"""


class Recorded(servers.Hatchd):
    """What is recorded, and what else the file says."""

    def __init__(self, name, words, more=""):
        self.name, self.words, self.more = name, words, more

    def command(self, binary, setup):
        return [binary, "-f", self.write_conf(setup)]

    def head(self):
        return self.more + super().head().replace(
            "defaults {", f"defaults {{\n\tlog_on_success = {self.words}\n\tstderr = null"
        )

    @contextlib.contextmanager
    def target(self, folder):
        """A context in which it is there; the file that tells of losses."""
        yield folder / f"{self.name}.log"


class ToJournal(Recorded):
    path = None

    def command(self, binary, setup):
        return ["unshare", "--mount", "sh", "-c", AS_JOURNAL, "sh", str(self.path),
                *super().command(binary, setup)]  # fmt: skip

    @contextlib.contextmanager
    def target(self, folder):
        self.path, told = folder / "journal", folder / "journal.lost"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(self.path))
            reader = subprocess.Popen(
                [sys.executable, "-c", READER, told],
                stdin=sock,
                preexec_fn=servers.die_with_parent,
            )
            try:
                yield told
            finally:
                reader.kill()
                reader.wait()
                self.path.unlink()


def variants(bench):
    """(what, without records, with them), each a server."""
    accounting = f'accounting {{ file = "{bench.folder}/accounting" }}\n'
    none = Recorded("file, none", "none")
    return [
        ("to a file", none, Recorded("file", "all")),
        ("to the journal", ToJournal("journal, none", "none"), ToJournal("journal", "all")),
        ("to the accounting file", none, Recorded("accounting", "none", accounting)),
    ]


def count_lost(path):
    return sum(int(n) for n in LOST.findall(path.read_bytes())) if path.exists() else 0


def measure_one(bench, server, binary):
    """A sample, and how many records are lost."""
    with server.target(bench.folder) as told:
        sample = measure.measure(bench, server, binary, CLIENTS)
        return sample, count_lost(told)


def measure_rounds(bench, binary, found):
    """{name: ([sample], lost)}: all in turn, each round beginning with the next."""
    all_of_them = {s.name: s for _, without, recorded in found for s in (without, recorded)}
    results = {name: ([], []) for name in all_of_them}
    for number in range(max(ROUNDS, bench.options.rounds)):
        turn = number % len(all_of_them)
        names = list(all_of_them)
        for name in names[turn:] + names[:turn]:
            measure.progress(f"record, round {number + 1}: {name}")
            sample, lost = measure_one(bench, all_of_them[name], binary)
            results[name][0].append(sample)
            results[name][1].append(lost)
    measure.progress("")
    return {name: (samples, sum(lost)) for name, (samples, lost) in results.items()}


def row(name, series, lost, ratio):
    return [
        name,
        table.number(series.median("rate")),
        "-" if ratio is None else f"{ratio:.2f}",
        table.elapsed(series.median("p50")),
        table.elapsed(series.median("p99")),
        f"{series.errors:,}",
        f"{lost:,}",
        table.elapsed(series.median("master")),
    ]


def judge(what, series):
    bar = f"errors 0 and at least {BAR} x with records {what}, in the median of the rounds"
    if series.trouble or not series.ratios:
        return common.Verdict.judge(None, bar, series.trouble or "not measured")
    ratio = statistics.median(series.ratios)
    each = " ".join(f"{r:.2f}" for r in series.ratios)
    held = ratio >= BAR and series.errors == 0
    return common.Verdict.judge(held, bar, f"errors {series.errors}, {ratio:.3f}: {each}")


def print_table(rows, troubles):
    print(f"\nrecord: {CLIENTS} clients at a time, with a record of each connection, or none\n")
    print("\n".join(table.render(HEAD, rows)))
    common.print_troubles(troubles)
    print(f"\n{LEGEND}")
    sys.stdout.flush()


def run(bench):
    binary = next((path for server, path in bench.found if server.name == "hatchd"), None)
    if bench.isolated:
        QUEUE.write_text(str(QUEUED))
    if binary is None or os.geteuid() != 0:
        why = "hatchd was not measured" if binary is None else "root alone has a journal"
        bar = f"at least {BAR} x with records"
        return common.report("record", [common.Verdict.judge(None, bar, why)])
    found = variants(bench)
    results = measure_rounds(bench, binary, found)
    rows, troubles, verdicts = {}, {}, []
    for what, without, recorded in found:
        base = results[without.name][0]
        for name in (without.name, recorded.name):
            samples, lost = results[name]
            series = measure.Series(samples, base)
            troubles[name] = series
            rows[name] = row(name, series, lost, None if samples is base else series.ratio)
        verdicts.append(judge(what, troubles[recorded.name]))
    print_table(rows.values(), troubles)
    return common.report("record", verdicts)
