"""The section `accounting`: a record of each connection, in a file of its own."""

import contextlib
import json
import os
import pathlib
import signal
import socket

import pytest

from harness import (
    IS_ROOT, children_named, comes_in, connect, free_port, hello, proc_fds, proc_status, put,
    read_all, reload, service, stanza, talk, wait_exit, wait_until,
)
from nameserver import Identd, good
from namespace import with_mounts

try:
    import jsonschema
except ImportError:
    jsonschema = None

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = json.loads((HERE.parent / "schema" / "account.json").read_text())

needs_root = pytest.mark.needs_root

PROGRAM = "hatchd-account"


class Book:
    """The file as it is to be, and the lines in it."""

    def __init__(self, folder, name="log"):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir(mode=0o755)
        self.path = self.folder / "accounting.jsonl"

    def section(self, **more):
        return stanza("accounting", file=self.path, **more)

    def old(self, number):
        return self.path.with_name(f"{self.path.name}.{number}")

    @staticmethod
    def _lines(path):
        """Of one file: each is whole, and as the schema has it."""
        try:
            text = path.read_text()
        except FileNotFoundError:
            return []
        assert text == "" or text.endswith("\n"), text[-200:]
        return [json.loads(line) for line in text.splitlines()]

    def lines(self):
        """Of all files, the oldest first."""
        found = []
        for path in [self.old(n) for n in range(99, 0, -1)] + [self.path]:
            found += self._lines(path)
        for line in found if jsonschema else []:
            jsonschema.validate(line, SCHEMA)
        return found

    def until(self, there, what=None):
        """The lines, as soon as they are so: whoever reads at any time sees part of one."""

        def whole():
            with contextlib.suppress(json.JSONDecodeError, AssertionError):
                return there(self.lines())
            return False

        wait_until(whole, what=what)
        return self.lines()

    def wait(self, count):
        """So many lines, and no more."""
        found = self.until(lambda lines: len(lines) >= count, f"{count} lines in {self.path}")
        assert len(found) == count
        return found


@pytest.fixture
def book(folder):
    return Book(folder)


def account_of(daemon):
    """The process that writes; None."""
    found = children_named(daemon.pid, PROGRAM)
    return found[0] if found else None


def wait_account(daemon):
    return wait_until(lambda: account_of(daemon), what=PROGRAM)


def call(port, times=1, **more):
    for _ in range(times):
        assert talk(port, **more) != b""


def burst(address, times):
    """Many who say nothing and are told something."""
    for first in range(0, times, 100):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(address))
                       for _ in range(min(100, times - first))]
            for client in clients:
                assert read_all(client) != b""


# ---------------------------------------------------------------------------
# What is in it


def test_program(hatchd, book):
    port = free_port()
    hatchd.file(book.section() + service(
        "s", listen=f"tcp:127.0.0.1:{port}", shell="echo x; exit 3"))
    with connect(port) as client:
        peer = "127.0.0.1:%d" % client.getsockname()[1]
        assert read_all(client) == b"x\n"
    record, = book.wait(1)
    assert record["service"] == "s"
    assert record["connection"] == 1
    assert record["peer"] == peer
    assert record["local"] == f"127.0.0.1:{port}"
    assert (record["result"], record["status"]) == ("exit", 3)
    assert record["pid"] > 1
    assert record["duration_usec"] > 0
    assert abs(record["started_usec"] / 1e6 - book.path.stat().st_mtime) < 60
    assert record["cpu_usec"] > 0
    assert not {"bytes_in", "worker", "reason", "peer_name"} & record.keys()


def test_worker(hatchd, book):
    port = free_port()
    hatchd.file(book.section() + service("s", listen=f"tcp:{port}", builtin="echo"))
    assert talk(port, b"abc") == b"abc"
    record, = book.wait(1)
    assert record["worker"] == "hatchd-builtin"
    assert (record["bytes_in"], record["bytes_out"]) == (3, 3)
    assert record["result"] == "finished"
    assert not {"pid", "status", "user"} & record.keys()


def test_refused(hatchd, book):
    port = free_port()
    hatchd.file(book.section() + hello("s", port, only_from="127.0.0.2"))
    assert not comes_in(port)
    record, = book.wait(1)
    assert (record["result"], record["reason"]) == ("refused", "only_from")
    assert record["peer"].startswith("127.0.0.1:")


def test_failed(hatchd, book, folder):
    port = free_port()
    program = put(folder, "#!/bin/sh\n", "program")
    program.chmod(0o755)
    hatchd.file(book.section() + service("s", listen=f"tcp:{port}", exec=[program]))
    program.unlink()
    assert talk(port) == b""
    record, = book.wait(1)
    assert (record["result"], record["reason"]) == ("failed", "exec")


def test_told_to_end(hatchd, book):
    port = free_port()
    hatchd.file(book.section() + service(
        "s", listen=f"tcp:{port}", exec=["/bin/cat"], time_limit="100ms"))
    with connect(port) as client:
        assert read_all(client) == b""
    record, = book.wait(1)
    assert (record["result"], record["status"]) == ("signal", 15)
    assert record["reason"] == "time_limit"


def test_only_what_is_wanted(hatchd, book):
    ports = [free_port() for _ in range(3)]
    hatchd.file(
        book.section() + hello("a", ports[0], log_on_success="none")
        + hello("b", ports[1], log_on_success="host", log_address="prefix")
        + hello("c", ports[2], only_from="127.0.0.2", log_on_failure="none"))
    for port in ports:
        comes_in(port)
    comes_in(ports[2], "127.0.0.2")
    first, second = book.wait(2)
    assert first.keys() == {"service", "connection", "peer", "local", "user", "started_usec"}
    assert first["peer"] == "127.0.0.0/24"
    assert second["service"] == "c"


def test_no_process_is_a_client(hatchd, book):
    """Workers, and who listens for others, come and go unrecorded."""
    port = free_port()
    daemon = hatchd.file(book.section() + service("s", listen=f"tcp:{port}", builtin="echo"))
    call(port, data=b"x")
    daemon.stop()
    assert len(book.wait(1)) == 1


@needs_root
def test_what_strangers_say(hatchd, book):
    """Users of other machines are told of in one line, without orders to a terminal."""
    port = free_port()
    with Identd("127.0.0.7", good(b'j"\\\x1b[31m%n\xff\xc2\x9b')):
        hatchd.file(book.section() + hello("s", port, ident=True))
        call(port, source="127.0.0.7")
        record, = book.wait(1)
    assert record["peer_user"].startswith('j"\\?[31m%n?')
    assert b"\x1b" not in book.path.read_bytes()


def test_many(hatchd, book):
    """A thousand connections are a thousand records, each there once."""
    port = free_port()
    daemon = hatchd.file(book.section() + service("s", listen=f"tcp:{port}", builtin="daytime"))
    burst(f"tcp:127.0.0.1:{port}", 1000)
    daemon.stop()
    assert len({line["connection"] for line in book.wait(1000)}) == 1000


# ---------------------------------------------------------------------------
# The file


def test_rotation(hatchd, book):
    """Old ones are put aside, and no more than are to be kept."""
    port = free_port()
    daemon = hatchd.file(
        book.section(size="4K", keep=2)
        + service("s", listen=f"tcp:{port}", builtin="daytime"))
    call(port, 100)
    daemon.stop()
    for path in (book.path, book.old(1), book.old(2)):
        assert path.stat().st_size <= 4096
    assert book.old(1).stat().st_size > 3000
    assert not book.old(3).exists()
    numbers = [line["connection"] for line in book.lines()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) > 30


def test_reopen(hatchd, book):
    """As logrotate does it: rename, and SIGUSR1."""
    port = free_port()
    daemon = hatchd.file(book.section() + hello("s", port))
    call(port)
    book.wait(1)
    book.path.rename(book.old(1))
    daemon.signal(signal.SIGUSR1)
    wait_until(book.path.exists)
    call(port)
    book.wait(2)
    assert len(book.path.read_text().splitlines()) == 1


def test_appended(hatchd, book):
    """What is there is kept, also if its last line has no end."""
    port = free_port()
    book.path.write_text('{"lost":1}\n{"lost":2}')
    hatchd.file(book.section() + hello("s", port))
    call(port)
    assert [line.get("lost") for line in book.wait(3)] == [1, 2, None]


def test_mode(hatchd, book):
    port = free_port()
    hatchd.file(book.section() + hello("s", port))
    wait_until(book.path.exists)
    assert book.path.stat().st_mode & 0o7777 == 0o640
    assert book.path.stat().st_uid == os.geteuid()


def in_the_way(book, kind):
    if kind == "fifo":
        os.mkfifo(book.path)
    elif kind == "link":
        book.path.symlink_to(book.folder / "elsewhere")
    elif kind == "directory":
        book.path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(book.path))


def clear_the_way(book, kind):
    if kind == "directory":
        book.path.rmdir()
    else:
        book.path.unlink()


@pytest.mark.parametrize("kind, line", [
    ("fifo", "no regular file: "),
    ("link", "no regular file: "),
    ("directory", "no regular file: "),
    ("socket", "unable to open "),
])
def test_no_file(hatchd, book, kind, line):
    """It is told once, clients are served meanwhile, and nothing is lost."""
    port = free_port()
    in_the_way(book, kind)
    daemon = hatchd.file(book.section() + hello("s", port))
    call(port, 3)
    daemon.wait_log(f"warning: accounting: {line}{book.path}")
    clear_the_way(book, kind)
    book.wait(3)
    daemon.wait_log(f"accounting: {book.path} is written again")
    assert daemon.text().count("warning: ") == 1
    assert not (book.folder / "elsewhere").exists()


def test_folder_of_others(hatchd, book):
    port = free_port()
    daemon = hatchd.file(book.section() + hello("s", port))
    wait_until(book.path.exists)
    book.path.unlink()
    book.folder.chmod(0o777)
    os.kill(account_of(daemon), signal.SIGKILL)
    call(port, 3)
    daemon.wait_log("accounting: others than hatchd's user may write to the folder of")
    assert not book.path.exists()
    book.folder.chmod(0o755)
    book.wait(3)


def test_no_folder(hatchd, book):
    port = free_port()
    daemon = hatchd.file(book.section() + hello("s", port))
    wait_until(book.path.exists)
    book.path.unlink()
    book.folder.rmdir()
    os.kill(account_of(daemon), signal.SIGKILL)
    call(port, 3)
    daemon.wait_log("accounting: unable to open the folder of .*: No such file")
    book.folder.mkdir(mode=0o755)
    book.wait(3)


SMALL_DISK = """
mount -t tmpfs -o size=64k,mode=755 tmpfs "$1" || exit 99
shift
exec "$@"
"""


@needs_root
def test_full_disk(hatchd, book):
    """Clients are served, and their records come when there is room."""
    port = free_port()
    daemon = hatchd.file(
        book.section() + service("s", listen=f"tcp:{port}", builtin="daytime"),
        launcher=with_mounts(SMALL_DISK, book.folder))
    book.folder = pathlib.Path(f"/proc/{daemon.pid}/root{book.folder}")
    book.path = book.folder / book.path.name
    wait_until(book.path.exists)
    filler = book.folder / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    call(port, 50)
    daemon.wait_log("accounting: unable to write to .*: No space left on device, retrying")
    call(port, 50)
    filler.unlink()
    assert len({line["connection"] for line in book.wait(100)}) == 100
    daemon.wait_log("accounting: .* is written again")


def test_more_than_there_is_room_for(hatchd, book, folder):
    """What is lost is told, by the log and in its place."""
    port = f"unix:{folder}/{'s' * 60}"
    os.mkfifo(book.path)
    daemon = hatchd.file(
        book.section() + service("s" * 60, listen=port, builtin="daytime"))
    n = 1200
    burst(port, n)
    daemon.wait_log(r"accounting: \d+ records? lost: .* does not take them")
    book.path.unlink()
    book.until(lambda lines: any("lost" in line for line in lines))
    call(port)
    lines = book.until(lambda lines: lines[-1].get("connection", 0) >= n)
    lost = sum(line.get("lost", 0) for line in lines)
    assert lost > 0
    assert lost + sum("service" in line for line in lines) == n + 1


# ---------------------------------------------------------------------------
# The process


def test_none_without_section(hatchd):
    port = free_port()
    daemon = hatchd.file(hello("s", port))
    call(port)
    assert account_of(daemon) is None


def test_privileges(hatchd, book):
    """It has one folder, and nothing else."""
    port = free_port()
    daemon = hatchd.file(book.section() + hello("s", port))
    wait_until(book.path.exists)
    status = proc_status(account_of(daemon))
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if IS_ROOT or name != "CapBnd":
            assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    targets = sorted(proc_fds(account_of(daemon)).values())
    assert len([t for t in targets if t.startswith("socket:")]) == 1
    assert set(targets) - {t for t in targets if t.startswith("socket:")} == {
        "/dev/null", str(book.folder), str(book.path)}


def test_killed(hatchd, book):
    """Another one goes on; nothing is lost."""
    port = free_port()
    daemon = hatchd.file(book.section() + hello("s", port))
    for _ in range(3):
        call(port, 5)
        pid = wait_account(daemon)
        os.kill(pid, signal.SIGKILL)
        wait_exit(pid)
    call(port, 5)
    daemon.wait_log("accounting: hatchd-account does not serve .*: it has ended, retrying")
    book.until(lambda lines: len({line["connection"] for line in lines}) == 20)


def test_stuck(hatchd, book):
    """One that does not go on delays nobody, not even the end."""
    port = free_port()
    daemon = hatchd.file(book.section() + hello("s", port))
    wait_until(book.path.exists)
    os.kill(wait_account(daemon), signal.SIGSTOP)
    call(port, 20)
    daemon.wait_log("ended", count=20)
    daemon.stop()
    assert "accounting: 20 records lost" in daemon.text()


def test_stop(hatchd, book):
    """Nothing that has ended by then is missing."""
    port = free_port()
    daemon = hatchd.file(book.section() + hello("s", port))
    call(port, 100)
    daemon.wait_log("s: child .* ended", count=100)
    daemon.stop()
    book.wait(100)


# ---------------------------------------------------------------------------
# Reload


def test_reload(hatchd, book, folder):
    """Begin, take another file, end."""
    port, other = free_port(), Book(folder, "other")
    daemon = hatchd.file(hello("s", port))
    call(port)
    told = reload(daemon, book.section() + hello("s", port))
    assert told.endswith("no service has changed")
    call(port)
    book.wait(1)
    first = wait_account(daemon)
    reload(daemon, other.section(keep=1) + hello("s", port))
    wait_until(other.path.exists)
    wait_exit(first)
    call(port)
    other.wait(1)
    second = wait_account(daemon)
    reload(daemon, hello("s", port))
    wait_exit(second)
    call(port)
    wait_until(lambda: account_of(daemon) is None)
    assert len(book.lines()) == len(other.lines()) == 1


def test_the_same_file(hatchd, book):
    """A reload that does not change the section does not touch the process."""
    port = free_port()
    daemon = hatchd.file(book.section() + hello("s", port))
    pid = wait_account(daemon)
    assert reload(daemon).endswith("nothing has changed")
    reload(daemon, book.section() + hello("t", port))
    call(port)
    book.wait(1)
    assert account_of(daemon) == pid


# ---------------------------------------------------------------------------
# What is said of the section


def test_check(hatchd, book):
    text = hello("s", free_port())
    assert hatchd.check(book.section(size="1M", keep=3) + text).returncode == 0
    book.folder.chmod(0o777)
    checked = hatchd.check(book.section() + text)
    assert checked.returncode == 1
    assert "accounting.file: others than hatchd's user may write to" in checked.stderr
    book.folder.chmod(0o755)
    os.mkfifo(book.path)
    assert "is no regular file" in hatchd.check(book.section() + text).stderr
    book.path.unlink()
    book.folder.rmdir()
    assert "No such file or directory" in hatchd.check(book.section() + text).stderr


@pytest.mark.parametrize("section, message", [
    ("accounting { }", None),
    ("accounting { keep = 3 }", "'accounting' has no file; write file = PATH"),
    ("accounting { file = log }", "accounting.file: 'log' is not an absolute path"),
    ("accounting { file = /x size = 1 }", "accounting.size: '1' is outside the range"),
    ("accounting { file = /x keep = 0 }", "accounting.keep: '0' is outside the range"),
    ("accounting { file = /x }\naccounting { }", "section 'accounting' is given twice"),
    ("defaults { accounting { } }",
     "section 'accounting' belongs in the main file, outside of other sections"),
    ("file = /x", "option 'file' belongs in 'accounting { }'"),
])
def test_mistakes(hatchd, section, message):
    checked = hatchd.check(f"{section}\n" + hello("s", 7777))
    if message is None:
        assert checked.returncode == 0
    else:
        assert checked.returncode == 1
        assert message in checked.stderr
