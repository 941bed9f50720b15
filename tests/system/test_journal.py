"""What the journal gets: one record per connection, and what programs say."""

import json
import statistics
import time

from container import UNIT
from harness import connect, free_port, read_all, read_exactly, service, talk, wait_until

# Datagrams that the journal's socket holds, and twice as many: systemd asks for 512.
FEW = 200
MANY = 1200

LOST = "^[0-9]+ messages? lost: the journal did not take"

FIELDS = {
    "SERVICE", "CONNECTION", "PEER", "LOCAL", "PID",
    "RESULT", "STATUS", "DURATION_USEC", "CPU_USEC",
}


def test_one_record_per_connection(machine):
    """As hatchd(8) tells, whose `journalctl -u hatchd SERVICE=...` this is."""
    port = free_port()
    machine.serve(service("pid", listen=f"tcp:{port}", shell="echo $$; exit 7"))
    machine.systemctl("start", "hatchd")
    journal = machine.journal("-u", "hatchd", "SERVICE=pid")
    expected = {}
    for _ in range(20):
        with connect(port) as client:
            host, source = client.getsockname()
            expected[f"{host}:{source}"] = read_all(client).decode().strip()
    journal.wait(count=20)
    machine.systemctl("stop", "hatchd")
    machine.run("journalctl", "--sync")
    lines = machine.run("journalctl", "-u", "hatchd", "-o", "json", "SERVICE=pid").splitlines()
    entries = [json.loads(line) for line in lines]
    assert {entry["PEER"]: entry["PID"] for entry in entries} == expected
    assert sorted(int(entry["CONNECTION"]) for entry in entries) == list(range(1, 21))
    check_entry(entries[0], port)


def check_entry(entry, port):
    assert FIELDS <= entry.keys()
    assert entry["_SYSTEMD_UNIT"] == UNIT
    assert entry["SYSLOG_IDENTIFIER"] == "hatchd"
    assert entry["PRIORITY"] == "6"
    assert (entry["RESULT"], entry["STATUS"]) == ("exit", "7")
    assert entry["LOCAL"] == f"127.0.0.1:{port}"
    assert int(entry["DURATION_USEC"]) > 0
    assert int(entry["CPU_USEC"]) >= 0
    assert entry["MESSAGE"].startswith(f"pid: child {entry['PID']} ended: exit 7, ")


def test_errors_of_programs(machine):
    """Under the name of the service, and in the unit that has started them."""
    port = free_port()
    machine.serve(service("loud", listen=f"tcp:{port}", shell="echo so loud >&2; read -r x"))
    machine.systemctl("start", "hatchd")
    journal = machine.journal("-u", "hatchd", "SYSLOG_IDENTIFIER=hatchd/loud")
    with connect(port):
        entry = journal.wait()
    assert entry["MESSAGE"] == "so loud"
    assert entry["_SYSTEMD_UNIT"] == UNIT


def test_last_words(machine):
    """What a program says right before its end is its unit's, too.

    The journal looks writers up by their process number; here it comes too late.
    """
    port = free_port()
    machine.serve(service("last", listen=f"tcp:{port}", shell="echo $$; echo bye >&2"))
    machine.systemctl("start", "hatchd")
    journal = machine.journal("-u", "hatchd", "SYSLOG_IDENTIFIER=hatchd/last")
    journald = machine.main_pid("systemd-journald.service")
    machine.kill("STOP", journald)
    with connect(port) as client:
        child = int(read_all(client))
    wait_until(lambda: not machine.path(f"/proc/{child}").exists(), what="the child's end")
    machine.kill("CONT", journald)
    entry = journal.wait(MESSAGE="^bye$")
    assert entry["_SYSTEMD_UNIT"] == UNIT


def test_errors_outlive_hatchd(machine):
    """The stream is the program's own: a hatchd that is gone takes nothing from it."""
    port = free_port()
    machine.serve(service("late", listen=f"tcp:{port}", shell="echo .; read -r x; echo $x >&2"))
    machine.systemctl("start", "hatchd")
    journal = machine.journal("SYSLOG_IDENTIFIER=hatchd/late")
    with connect(port) as client:
        assert read_exactly(client, 2) == b".\n"
        machine.systemctl("stop", "hatchd")
        client.sendall(b"after\n")
        assert read_all(client) == b""
    journal.wait(MESSAGE="^after$")


def test_journal_that_hangs(machine):
    """Nobody who is served waits for it, nor who reloads; what it did not take is told."""
    port, other = free_port(), free_port()
    text = service("echo", listen=f"tcp:{port}", exec=["/bin/cat"])
    machine.serve(text)
    machine.systemctl("start", "hatchd")
    journal = machine.journal("-u", "hatchd", "SYSLOG_IDENTIFIER=hatchd")
    journald = machine.main_pid("systemd-journald.service")
    before = seconds_to_talk(port, FEW)
    machine.kill("STOP", journald)
    during = seconds_to_talk(port, MANY)
    # A warning, and a service that waits: both are told where nobody listens.
    machine.serve(text + service("other", listen=f"tcp:{other}", exec=["/bin/cat"])
                  + service("ghost", listen="tcp:1", exec=["/bin/true"], user="nosuch"))
    machine.systemctl("reload", "hatchd")
    assert talk(other, b"new") == b"new"
    machine.kill("CONT", journald)
    # The first message that comes then has the report in front of it, if not before.
    assert talk(port, b"again") == b"again"
    journal.wait(MESSAGE=LOST)

    def accounted():
        told = [entry["MESSAGE"] for entry in journal.entries(MESSAGE=LOST)]
        lost = sum(int(message.split()[0]) for message in told)
        ended = len(journal.entries(SERVICE="echo")) + len(journal.entries(SERVICE="other"))
        return ended + lost >= FEW + MANY + 2

    wait_until(accounted, what="each record is written or counted")
    # The first half of them found room; the machine is as busy as with the first few.
    assert statistics.median(during[-FEW:]) < 2 * statistics.median(before) + 0.005


def seconds_to_talk(port, count):
    waited = []
    for number in range(count):
        start = time.monotonic()
        assert talk(port, b"%d" % number) == b"%d" % number
        waited.append(time.monotonic() - start)
    return waited


def test_journal_that_restarts(machine):
    """As after an update of systemd's package: records and errors go on."""
    port = free_port()
    machine.serve(service("loud", listen=f"tcp:{port}", shell="echo so loud >&2"))
    machine.systemctl("start", "hatchd")
    assert talk(port) == b""
    machine.journal("SYSLOG_IDENTIFIER=hatchd/loud").wait()
    machine.systemctl("restart", "systemd-journald")
    assert talk(port) == b""
    machine.journal("-u", "hatchd", "SERVICE=loud").wait(CONNECTION="2")
    machine.journal("-u", "hatchd", "SYSLOG_IDENTIFIER=hatchd/loud").wait(count=2)


def test_diagnostics_of_a_start(machine):
    """A service that waits says for what, as a warning, where one looks first."""
    machine.serve(service("ghost", listen="tcp:1", exec=["/bin/true"], user="nosuch"))
    machine.systemctl("start", "hatchd")
    assert machine.show("StatusText") == "Serving 0 of 1 services"
    journal = machine.journal("-u", "hatchd", "SYSLOG_IDENTIFIER=hatchd")
    journal.wait(MESSAGE="ghost.*nosuch", PRIORITY="4")
    assert "nosuch" in machine.systemctl("status", "hatchd")
