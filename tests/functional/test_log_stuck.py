"""The log is stuck: nobody who is served waits for it, and what is lost is told (F21).

Each target is filled until it takes nothing more.  Then clients of a hatchd that logs
there, and of one that logs to nowhere, are served in turns: so both have the same of a
busy machine, and the first may not take longer than the second.  When the target takes
messages again, each record has been written, or is counted.
"""

import contextlib
import fcntl
import os
import signal
import socket
import statistics
import subprocess
import termios
import time

import pytest

from harness import PYTHON, Daemon, free_port, helper, talk
from namespace import own_system, receiver, with_mounts
from test_log_target import FULL, LOST, accounted, cat, check_account, serve

needs_root = pytest.mark.needs_root

FILLING = 700  # records; more than all buffers on the way to a target hold
ASKED = 200

# How much longer those may take whose record cannot be written: the median, in seconds.
SLOWER = 1.5
NOISE = 0.001

# No single one waits.
LONGEST = float(os.environ.get("HATCHD_TEST_LONGEST_ANSWER", "3"))


class Target:
    """What Daemon() needs for it, and what messages call it.

    read() gives what there is behind what it has given before, and waits for something.
    """

    def __init__(self, name, read, **options):
        self.name, self.read, self.options = name, read, options

    def before(self):
        """The daemon runs: it gets stuck now."""

    def release(self):
        """Messages are taken again."""


@contextlib.contextmanager
def fifo(folder):
    """Somebody has the other end, and does not read."""
    os.mkfifo(folder / "fifo")
    both = os.open(folder / "fifo", os.O_RDWR)
    fcntl.fcntl(both, fcntl.F_SETPIPE_SZ, 4096)
    yield Target(b"standard error", lambda: os.read(both, 4096), stderr=both)
    os.close(both)


@contextlib.contextmanager
def abandoned(folder):
    """Who reads goes away, and comes back."""
    os.mkfifo(folder / "fifo")

    def open_reader():
        return os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)

    reader = open_reader()
    writer = os.open(folder / "fifo", os.O_WRONLY)

    def leave():
        os.close(writer)
        os.close(reader)

    def come_back():
        nonlocal reader
        reader = open_reader()
        os.set_blocking(reader, True)

    target = Target(b"standard error", lambda: os.read(reader, 4096), stderr=writer)
    target.before, target.release = leave, come_back
    yield target
    os.close(reader)


@contextlib.contextmanager
def stream(folder):
    """As a service manager may connect one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield Target(b"standard error", lambda: ours.recv(4096), stderr=theirs)


@contextlib.contextmanager
def terminal(folder):
    """Somebody presses Ctrl-S."""
    primary, secondary = os.openpty()
    target = Target(b"standard error", lambda: os.read(primary, 4096), stderr=secondary)
    target.before = lambda: termios.tcflow(secondary, termios.TCOOFF)
    target.release = lambda: termios.tcflow(secondary, termios.TCOON)
    yield target
    os.close(primary)
    os.close(secondary)


@contextlib.contextmanager
def journal(folder):
    """Its socket is there, and nobody reads."""
    with receiver(folder / "journal") as sock:
        # Nobody has the other end: it is its number that counts.
        reader, writer = os.pipe()
        st = os.fstat(writer)
        yield Target(b"the journal", lambda: sock.recv(65536), launcher=own_system(folder),
                     env={"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"}, stderr=writer)
        os.close(reader)
        os.close(writer)


@contextlib.contextmanager
def syslog(folder):
    with receiver(folder / "log") as sock:
        launcher = [*own_system(folder), PYTHON, "-S", "-E", helper("closed.py", folder), "2"]
        yield Target(b"the system log", lambda: sock.recv(65536), launcher=launcher,
                     stderr=subprocess.DEVNULL)


def in_turns(stuck, free):
    """Seconds that clients of each have waited."""
    waited = {stuck: [], free: []}
    for number in range(ASKED):
        for port, times in waited.items():
            before = time.monotonic()
            assert talk(port, b"%d" % number) == b"%d" % number
            times.append(time.monotonic() - before)
    return waited[stuck], waited[free]


def assert_nobody_waits(port, folder):
    other = free_port()
    with Daemon(config=cat(other), stderr=subprocess.DEVNULL) as free:
        stuck, usual = in_turns(port, other)
        free.wait_children(0)
    assert statistics.median(stuck) < SLOWER * statistics.median(usual) + NOISE
    assert max(stuck) < LONGEST


def read_account(target, count):
    text = b""
    while not LOST.search(text) or accounted(text) < count:
        text += target.read()
    return text


@pytest.mark.parametrize("make", [
    fifo, abandoned, stream, terminal, pytest.param(journal, marks=needs_root),
    pytest.param(syslog, marks=needs_root),
])
def test_nobody_waits(folder, make):
    port = free_port()
    with make(folder) as target, \
            Daemon(config=cat(port), folder=folder, **target.options) as daemon:
        target.before()
        serve(port, FILLING)
        assert_nobody_waits(port, folder)
        daemon.wait_children(0)
        # What is to be told without being asked for is so much that it is stuck as well.
        daemon.signal(signal.SIGUSR1)
        assert talk(port, b"x") == b"x"
        daemon.wait_children(0)
        target.release()
        serve(port, 1)
        text = read_account(target, FILLING + ASKED + 2)
    check_account(text, target.name, FILLING + ASKED + 2)


@needs_root
def test_nobody_waits_for_a_full_disk(folder):
    port = free_port()
    (folder / "mnt").mkdir()
    launcher = with_mounts(FULL, folder / "mnt")
    with Daemon(config=cat(port), folder=folder, launcher=launcher) as daemon:
        place = f"/proc/{daemon.pid}/root{folder}/mnt"
        serve(port, 20)
        assert_nobody_waits(port, folder)
        daemon.wait_children(0)
        assert os.path.getsize(f"{place}/log") == 0


# ---------------------------------------------------------------------------
# Nor does whoever has to repair it


@pytest.mark.parametrize("make", [fifo, abandoned, stream])
def test_reload(folder, make):
    """The loader has something to say about the files, and nobody takes it."""
    port, other = free_port(), free_port()
    with make(folder) as target, \
            Daemon(config=cat(port), folder=folder, **target.options) as daemon:
        target.before()
        serve(port, FILLING)
        daemon.wait_children(0)
        daemon.messages.clear()
        before = time.monotonic()
        warned = cat(other).replace("listen", "directory_mode = 0755\nlisten")
        daemon.write(cat(port) + warned.replace("service s", "service t"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_notified("READY=1")
        assert time.monotonic() - before < 10
        assert talk(other, b"new") == b"new"
        daemon.wait_children(0)
        target.release()
        serve(port, 1)
        text = read_account(target, FILLING + 2)
        daemon.stop(leave=True)
    check_account(text, target.name, FILLING + 2)
