"""Upgrades to a hatchd that proves itself and then cannot begin: the one before is back.

Everybody who is connected stays so, sockets are the same, and nobody is refused.
"""

import os
import signal
import socket

import pytest

from harness import (
    IS_ROOT, IS_SANITIZED, connect, free_port, listed, proc_fds, read_exactly, run_hatchd,
    service, talk, wait_until,
)
from test_control import status
from test_memory import Memory, numbers
from upgrades import Installed, ask_for_upgrade, upgrade

# What hatchd may have open, and cannot change.
FEW = 600
WITH_FEW = ["prlimit", f"--nofile={FEW}"]
if IS_ROOT:
    WITH_FEW = ["setpriv", "--bounding-set=-sys_resource", *WITH_FEW]


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def cat(name="cat", **options):
    return service(name, **{"exec": "/bin/cat", **options})


def echo(client, data):
    client.sendall(data)
    assert read_exactly(client, len(data)) == data


def too_many():
    """More addresses than it may have descriptors: the loader does not know."""
    first = free_port()
    return cat("many", listen=f"unix:@back-{os.getpid()}-{first}") + cat(
        "more", listen=[f"unix:@back-{os.getpid()}-{first}-{n}" for n in range(FEW)])


def assert_goes_back(daemon):
    """The new one has said why, and the old one that it serves on."""
    mark = daemon.mark()
    assert "unable to upgrade: the next hatchd could not take over" in ask_for_upgrade(daemon)
    daemon.wait_log("error: unable to start: ", after=mark)
    assert daemon.process.poll() is None


@pytest.mark.parametrize("with_pid_file", [False, True], ids=["", "pid file"])
def test_too_few_descriptors(hatchd, folder, path, with_pid_file):
    """It finds that when it begins.  And the next upgrade is one."""
    port, datagrams = free_port(), free_port()
    pid_file = folder / "pid"
    text = (cat(listen=[f"tcp:{port}", f"unix:{folder}/socket"])
            + cat("datagrams", listen=f"udp:{datagrams}"))
    daemon = hatchd.file(text, f"--control={path}",
                         *([f"--pid-file={pid_file}"] if with_pid_file else []),
                         launcher=WITH_FEW)
    sockets = set(daemon.listening())
    inode = os.stat(folder / "socket").st_ino
    with connect(port) as client:
        echo(client, b"before")
        (child,) = daemon.wait_children(1)
        for number in range(3):
            daemon.write(text + too_many())
            assert_goes_back(daemon)
            echo(client, b"after")
            assert daemon.wait_children(1) == [child]
            assert set(daemon.listening()) == sockets
            assert talk(port, b"x") == talk(f"unix:{folder}/socket", b"x") == b"x"
            assert os.stat(folder / "socket").st_ino == inode
            assert status(path)["upgrade"]["failed"] == number + 1
            daemon.write(text)
            upgrade(daemon)
            assert set(daemon.listening()) == sockets
            echo(client, b"later")
    if with_pid_file:
        assert pid_file.read_text() == f"{daemon.pid}\n"
        again = run_hatchd("-f", daemon.config_path, "--control=none",
                           f"--pid-file={pid_file}")
        assert "already running" in again.stderr
    daemon.stop()
    assert not pid_file.exists() and not (folder / "socket").exists()


@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer allocates for itself")
def test_no_memory(hatchd, folder, path):
    """One allocation of the new image fails, whichever: it goes on, or goes back."""
    memory = Memory(folder)
    ports = [free_port(), free_port()]
    daemon = hatchd.file(
        cat("a", listen=[f"tcp:{ports[0]}", f"unix:{folder}/socket"])
        + cat("b", listen=f"tcp:{ports[1]}", idle_timeout="1h"),
        f"--control={path}", env=memory.env)
    sockets = set(daemon.listening())
    backs = 0
    with connect(ports[0]) as client:
        echo(client, b"before")
        daemon.wait_children(1)
        for first in numbers():
            memory.spend(first, image=1)
            mark = daemon.mark()
            said = ask_for_upgrade(daemon)
            failed = memory.restore()
            back = "unable to upgrade" in said
            backs += back
            assert daemon.process.poll() is None
            echo(client, b"after")
            if back:
                assert set(daemon.listening()) == sockets, daemon.text()
            # An address may have to be tried again.
            wait_until(lambda: {line["state"] for line in listed(path).values()} == {"serving"})
            for address in (*ports, f"unix:{folder}/socket"):
                assert talk(address, b"x") == b"x", daemon.log.lines[mark:]
            sockets = set(daemon.listening())
            if failed == 0:
                break
    assert backs > 0 and "upgraded to" in said


def test_one_that_cannot_be_gone_back_to(hatchd, folder):
    """Then it is over, and the log says so."""
    installed = Installed(folder)
    os.link(installed.hatchd, installed.folder / "old")
    port = free_port()
    daemon = hatchd.file(cat(listen=f"tcp:{port}"), launcher=WITH_FEW,
                         binary=installed.hatchd)
    installed.repair()
    (installed.folder / "old").chmod(0)
    daemon.write(cat(listen=f"tcp:{port}") + too_many())
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("error: unable to go back to the hatchd before: Permission denied")
    assert daemon.wait_end() == 1


# ---------------------------------------------------------------------------
# What an image finds changed


@pytest.mark.parametrize("spoil", ["writable", "gone"])
def test_folder_of_the_pid_file(hatchd, folder, spoil):
    """It is no reason not to go on; and by the lock there is still one of us only."""
    port, inner = free_port(), folder / "inner"
    inner.mkdir(0o755)
    pid_file = inner / "pid"
    daemon = hatchd.file(cat(listen=f"tcp:{port}"), f"--pid-file={pid_file}")
    if spoil == "writable":
        inner.chmod(0o777)
    else:
        inner.rename(folder / "outer")
    for count in (1, 2):
        upgrade(daemon)
        daemon.wait_log(f"unable to look after pid file {pid_file}: .*, leaving it there",
                        count=count)
    assert talk(port, b"x") == b"x"
    if spoil == "gone":
        (folder / "outer").rename(inner)
    else:
        inner.chmod(0o755)
    again = run_hatchd("-f", daemon.config_path, "--control=none", f"--pid-file={pid_file}")
    assert "already running" in again.stderr
    upgrade(daemon)
    daemon.stop()
    assert not pid_file.exists(), "it is looked after again"


def test_log_that_cannot_be_opened_again(hatchd):
    """Standard error, if it is a socket, is the log of the next image too."""
    port = free_port()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(20)
        daemon = hatchd.file(
            service("s", listen=f"tcp:{port}", shell="echo from the program >&2"),
            stderr=theirs)
        log = ours.makefile("rb")
        where = proc_fds(daemon.pid)[2]
        for _ in range(3):
            daemon.signal(signal.SIGUSR2)
            while b"upgraded to" not in log.readline():
                pass
            assert proc_fds(daemon.pid)[2] == where
            assert talk(port) == b""
            while b"from the program" not in log.readline():
                pass
        daemon.stop()
