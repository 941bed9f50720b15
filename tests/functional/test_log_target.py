"""The log's target is blocked, full, gone or exchanged (F21).

The master serves on in each case; what was not taken is dropped, counted, and
told when the target takes messages again.
"""

import contextlib
import fcntl
import os
import re
import signal
import termios

import pytest

from harness import (
    IS_ROOT, PYTHON, Daemon, free_port, helper, proc_stat, service, talk, wait_until,
)
from namespace import own_system, receiver, with_mounts

needs_root = pytest.mark.needs_root

MANY = 700  # records; more than all buffers on the way to a small target hold

LOST = re.compile(rb"(\d+) messages? lost: ([a-z ]+) did not take (it|them)")


def serve(port, count):
    for number in range(count):
        assert talk(port, b"%d" % number) == b"%d" % number


def cat(port):
    return service("s", listen=f"tcp:{port}", exec="/bin/cat", stderr="null")


def accounted(text):
    """Records that were written, or counted as lost."""
    lost = sum(int(number) for number, _, _ in LOST.findall(text))
    return text.count(b"ended: exit 0") + lost


def check_account(text, target, count):
    """Each record was written or counted."""
    lost = LOST.findall(text)
    assert lost and {name for _, name, _ in lost} == {target}
    assert accounted(text) >= count


def read_until_account(read):
    """Everything up to the report of the last loss; what was lost may be told in pieces."""
    text = b""
    while not LOST.search(text) or accounted(text) < MANY:
        text += read()
    return text


def test_fifo_without_a_reader(folder):
    """F21: a reader may come late."""
    port = free_port()
    os.mkfifo(folder / "fifo")
    stderr = os.open(folder / "fifo", os.O_RDWR)
    fcntl.fcntl(stderr, fcntl.F_SETPIPE_SZ, 4096)
    with Daemon(config=cat(port), folder=folder, stderr=stderr) as daemon:
        os.close(stderr)
        serve(port, MANY)
        daemon.wait_children(0)
        with open(folder / "fifo", "rb", buffering=0) as reader:
            text = read_until_account(lambda: reader.read(4096))
    check_account(text, b"standard error", MANY)


def test_stopped_terminal(folder):
    """F21: somebody has pressed Ctrl-S."""
    port = free_port()
    primary, secondary = os.openpty()
    with Daemon(config=cat(port), folder=folder, stderr=secondary) as daemon:
        assert b"ready: " in os.read(primary, 1000)
        termios.tcflow(secondary, termios.TCOOFF)
        serve(port, MANY)
        daemon.wait_children(0)
        termios.tcflow(secondary, termios.TCOON)
        text = read_until_account(lambda: os.read(primary, 4096))
    check_account(text, b"standard error", MANY)
    os.close(primary)
    os.close(secondary)


FULL = """
mount -t tmpfs -o size=64k tmpfs "$1" && cd "$1" && exec 2>log || exit 99
head -c 100000 /dev/zero > fill
shift
cd /
exec "$@"
"""


@needs_root
def test_full_file_system(folder):
    """F21: and there is room again."""
    port = free_port()
    (folder / "mnt").mkdir()
    launcher = with_mounts(FULL, folder / "mnt")
    with Daemon(config=cat(port), folder=folder, launcher=launcher) as daemon:
        place = f"/proc/{daemon.pid}/root{folder}/mnt"
        serve(port, 20)
        daemon.wait_children(0)
        assert os.path.getsize(f"{place}/log") == 0
        os.unlink(f"{place}/fill")
        serve(port, 1)

        def text():
            with open(f"{place}/log", "rb") as log:
                return log.read()

        wait_until(lambda: b"ended: exit 0" in text())
        assert re.match(rb"hatchd: warning: \d+ messages lost: standard error", text())
        check_account(text(), b"standard error", 20)


def test_truncated_file(folder):
    """F21: rotated by copying; what comes next stands at the beginning, without a hole."""
    port = free_port()
    path = folder / "log"
    with open(path, "wb") as log, \
            Daemon(config=cat(port), folder=folder, stderr=log) as daemon:
        serve(port, 20)
        wait_until(lambda: path.read_bytes().count(b"ended: exit 0") == 20)
        os.truncate(path, 0)
        serve(port, 1)
        wait_until(lambda: b"ended: exit 0" in path.read_bytes())
        assert path.read_bytes().startswith(b"hatchd: s: child ")
        assert daemon.cpu() < 5


def test_renamed_and_removed_file(folder):
    """F21: the lines go where the file went, and nobody notices that it is gone."""
    port = free_port()
    path = folder / "log"
    with open(path, "wb") as log, Daemon(config=cat(port), folder=folder, stderr=log):
        path.rename(folder / "log.1")
        serve(port, 5)
        wait_until(lambda: (folder / "log.1").read_bytes().count(b"ended: exit 0") == 5)
        (folder / "log.1").unlink()
        serve(port, 5)


@needs_root
@pytest.mark.parametrize("kind, target", [("journal", b"the journal"),
                                          ("log", b"the system log")])
def test_log_daemon_that_does_not_read(folder, kind, target):
    """F21: its queue is full; then it reads, goes away, and comes back."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(receiver(folder / kind))
        launcher = own_system(folder)
        env = {}
        read_end, write_end = os.pipe()
        if kind == "journal":
            st = os.fstat(write_end)
            env = {"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"}
        else:
            launcher += [PYTHON, "-S", "-E", helper("closed.py", folder), "2"]
        daemon = stack.enter_context(Daemon(
            config=cat(port), folder=folder, launcher=launcher, stderr=write_end, env=env))
        os.close(write_end)
        os.close(read_end)
        serve(port, MANY)
        daemon.wait_children(0)

        check_account(read_until_account(lambda: sock.recv(65536)), target, MANY)

        sock.close()
        (folder / kind).unlink()
        serve(port, 5)
        daemon.wait_children(0)
        again = stack.enter_context(receiver(folder / kind))
        text = b""
        serve(port, 1)
        while text.count(b"ended: exit 0") < 1:
            text += again.recv(65536)
        check_account(text, target, 5)


@pytest.mark.skipif(not IS_ROOT, reason="the log goes through a process of its own for root")
def test_process_of_the_log_is_killed(folder):
    """F21: who wrote to standard error for us is gone; nobody else is."""
    port = free_port()
    with open(folder / "log", "wb") as log, \
            Daemon(config=cat(port), folder=folder, stderr=log) as daemon:
        (relay,) = [
            int(pid) for pid in os.listdir("/proc") if pid.isdigit()
            and os.path.exists(f"/proc/{pid}") and int(proc_stat(pid)[1]) == daemon.pid
        ]
        os.kill(relay, signal.SIGKILL)
        serve(port, 50)
        assert daemon.cpu() < 5
