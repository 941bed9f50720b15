"""Upgrades to what cannot take over: the old one serves on, and says why in one line."""

import os
import pathlib
import resource
import signal

import pytest

from harness import (
    PYTHON, connect, free_port, hatchctl, proc_fds, proc_stat, read_exactly, reload, service,
    talk, wait_until,
)
from test_control import status
from test_drain import FOREVER, drain
from upgrades import Installed, ask_for_upgrade, upgrade

pytestmark = pytest.mark.needs_root  # who looks at its descriptors


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def cat(name="cat", **options):
    return service(name, **{"exec": "/bin/cat", **options})


def echo(client, data):
    client.sendall(data)
    assert read_exactly(client, len(data)) == data


class Upgradable:
    """A hatchd that runs from a place of its own, with somebody who is served all the time."""

    def __init__(self, hatchd, folder, path):
        self.installed = Installed(folder)
        self.port = free_port()
        self.path = path
        self.config = self.text("cat")
        self.daemon = hatchd.file(
            self.config, f"--control={path}", "--loader-timeout=5000",
            binary=self.installed.hatchd)
        self.client = connect(self.port)
        self.expect_served()
        self.sockets = set(self.daemon.listening())
        self.children = self.daemon.children()

    def text(self, name):
        return service(name, listen=f"tcp:{self.port}", exec="/bin/cat")

    def expect_served(self):
        self.client.sendall(b"old")
        assert read_exactly(self.client, 3) == b"old"
        assert talk(self.port, b"new") == b"new"

    def expect_refused(self):
        """Nothing is changed by the attempt; returns the line that says why."""
        mark = self.daemon.mark()
        said = ask_for_upgrade(self.daemon)
        assert "unable to upgrade" in said
        self.expect_served()
        assert set(self.daemon.listening()) == self.sockets
        assert self.client_has_his_child()
        lines = [line for line in self.daemon.log.lines[mark:] if "upgrade" in line]
        assert lines == [said], "one line, and no other"
        return said

    def client_has_his_child(self):
        return set(self.children) <= set(self.daemon.children())

    def expect_upgraded(self):
        upgrade(self.daemon)
        self.expect_served()
        assert set(self.daemon.listening()) == self.sockets
        assert self.client_has_his_child()

    def close(self):
        self.client.close()


@pytest.fixture
def upgradable(hatchd, folder, path):
    one = Upgradable(hatchd, folder, path)
    yield one
    one.close()


def script(text):
    return lambda installed: installed.replace(b"#!/bin/sh\n" + text)


def missing(installed):
    installed.hatchd.unlink()


def not_executable(installed):
    installed.replace(installed.hatchd.read_bytes(), 0o644)


def true(installed):
    installed.replace(pathlib.Path("/bin/true").read_bytes())


def garbage(installed):
    installed.replace(b"\x7fELF and nothing behind it")


def empty(installed):
    installed.replace(b"")


def cut_off(installed):
    """As of a copy that has not ended: the head says what is not there."""
    installed.replace(installed.hatchd.read_bytes()[:20000])


def folder_instead(installed):
    installed.hatchd.unlink()
    installed.hatchd.mkdir()


def link_to_nowhere(installed):
    installed.hatchd.unlink()
    installed.hatchd.symlink_to("nowhere")


BAD = {
    "missing": missing,
    "not executable": not_executable,
    "empty": empty,
    "garbage": garbage,
    "cut off": cut_off,
    "folder": folder_instead,
    "link to nowhere": link_to_nowhere,
    "true": true,
    "ends with 0": script(b"exit 0\n"),
    "ends with 1": script(b"echo broken >&2\nexit 1\n"),
    "crashes": script(b"kill -SEGV $$\n"),
    "is killed": script(b"kill -KILL $$\n"),
    "says what it likes": script(b"yes | head -c 100000\n"),
}


@pytest.mark.parametrize("what", list(BAD))
def test_not_a_hatchd(upgradable, what):
    BAD[what](upgradable.installed)
    upgradable.expect_refused()
    upgradable.installed.repair()
    upgradable.expect_upgraded()


# Stands between the old one and the new one, and damages what is handed over: 11 bytes say what
# it is, 4 which version, and the rest has a checksum.
BETWEEN = """#!{python} -SE
import fcntl, os, sys
HANDOVER = 5  # master/prove.h
data = bytearray(os.pread(HANDOVER, os.fstat(HANDOVER).st_size, 0))
{damage}
memory = os.memfd_create("hatchd-handover", os.MFD_ALLOW_SEALING)
os.write(memory, data)
fcntl.fcntl(memory, 1033, {seals})  # F_ADD_SEALS
os.dup2(memory, HANDOVER)
os.execv("{real}", ["{real}", *sys.argv[1:]])
"""

OTHER, DAMAGED = "it takes over from other versions only", "it does not understand"


@pytest.mark.parametrize("damage, why, seals", [
    ("data[11] += 1", OTHER, 15),
    ("data[11] -= 1", OTHER, 15),
    ("data[0] ^= 1", DAMAGED, 15),
    ("data[-1] ^= 1", DAMAGED, 15),
    ("data[len(data) // 2] ^= 1", DAMAGED, 15),
    ("del data[-1:]", DAMAGED, 15),
    ("del data[len(data) // 2:]", DAMAGED, 15),
    ("data.clear()", DAMAGED, 15),
    ("data.append(0)", DAMAGED, 15),
    ("", DAMAGED, 0),
    # It takes over from nobody but whom it has proved itself to, by its own name.
    ("", "it was replaced meanwhile", 15),
], ids=["newer", "older", "magic", "last byte", "some byte", "end", "half", "nothing", "more",
        "not sealed", "as it was"])
def test_other_handover(upgradable, path, damage, why, seals):
    """Of an older or a newer version, damaged, cut off, or not sealed.

    Status 3 is for those who will never understand each other.
    """
    installed = upgradable.installed
    real = installed.folder / "real"
    real.write_bytes(installed.hatchd.read_bytes())
    real.chmod(0o755)
    installed.replace(BETWEEN.format(
        python=PYTHON, damage=damage, seals=seals, real=real).encode())
    assert why in upgradable.expect_refused()
    done = hatchctl("upgrade", "--control", path)
    assert done.returncode == (3 if why in (OTHER, DAMAGED) else 1)
    installed.repair()
    upgradable.expect_upgraded()
    assert "foreign" not in status(path)["upgrade"]


def test_again_and_again(upgradable):
    """One attempt leaves nothing behind that the next one would find."""
    for what in ("true", "missing", "crashes", "true"):
        upgradable.installed.repair()
        BAD[what](upgradable.installed)
        upgradable.expect_refused()
    upgradable.installed.repair()
    upgradable.expect_upgraded()


def test_configuration_that_is_refused(upgradable):
    """By the new one, who would not start with it."""
    upgradable.daemon.write("service {")
    upgradable.expect_refused()
    upgradable.daemon.write(upgradable.config)
    upgradable.expect_upgraded()


def test_it_is_still_reloaded(upgradable):
    """After an upgrade that was refused, and after one that was not."""
    true(upgradable.installed)
    upgradable.expect_refused()
    reload(upgradable.daemon, upgradable.text("after"))
    upgradable.installed.repair()
    upgradable.expect_upgraded()
    reload(upgradable.daemon, upgradable.text("behind"))
    upgradable.expect_served()


def test_hatchctl_says_so(upgradable, path):
    """Status 1 and the reason, or 0."""
    ask = ("upgrade", "--control", path)
    true(upgradable.installed)
    done = hatchctl(*ask)
    assert done.returncode == 1 and b"not upgraded: " in done.stderr, done
    upgradable.installed.repair()
    done = hatchctl(*ask)
    assert (done.returncode, done.stderr) == (0, b""), done
    assert done.stdout.startswith(b"upgraded to hatchd ")
    upgradable.expect_served()


def test_binary_that_hangs(upgradable, folder):
    """It is ended in time, and serving goes on all the while."""
    fifo = folder / "hold"
    os.mkfifo(fifo)
    upgradable.installed.replace(b"#!/bin/sh\nexec cat <'%s'\n" % os.fsencode(fifo))
    upgradable.expect_refused()
    upgradable.installed.repair()
    upgradable.expect_upgraded()


def zombies(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = proc_stat(entry.name)
            except OSError:
                continue
            if stat[0] == "Z" and int(stat[1]) == pid:
                found.append(entry.name)
    return found


def test_program_that_is_written_into(hatchd, folder):
    """After it has proved itself, while a loader is waited for: what is there now has not."""
    installed = Installed(folder)
    port, fifo = free_port(), folder / "hold"
    os.mkfifo(fifo)
    daemon = hatchd.file(cat(listen=f"tcp:{port}"), binary=installed.hatchd)
    installed.repair()
    loader = installed.folder / "hatchd-load"
    loader.rename(installed.folder / "real")
    loader.write_text(f"#!/bin/sh\nexec cat <'{fifo}'\n")
    loader.chmod(0o755)
    daemon.signal(signal.SIGHUP)
    held = os.open(fifo, os.O_WRONLY)  # returns once the loader reads: its script was read
    (installed.folder / "real").rename(loader)
    mark = daemon.mark()
    daemon.signal(signal.SIGUSR2)
    wait_until(lambda: str(installed.hatchd) in proc_fds(daemon.pid).values())
    installed.hatchd.write_bytes(pathlib.Path("/bin/true").read_bytes())
    os.close(held)
    daemon.wait_log("unable to upgrade: .*: it was replaced meanwhile", after=mark)
    assert talk(port, b"x") == b"x"
    installed.repair()
    upgrade(daemon)


def test_proof_that_cannot_be_watched(hatchd, path):
    """Its process was started when there is no descriptor left for it: it is reaped."""
    port = free_port()
    daemon = hatchd.file(cat(listen=f"tcp:{port}"), f"--control={path}")
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    used = proc_fds(daemon.pid)
    lowest = next(n for n in range(limits[0]) if n not in used)
    for free in range(1, 12):
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (lowest + free, limits[1]))
        said = ask_for_upgrade(daemon)
        if "Too many open files" not in said:
            break
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
    assert free > 3
    wait_until(lambda: not zombies(daemon.pid))
    assert talk(port, b"x") == b"x"


def test_stop_while_it_proves(hatchd, folder, path):
    """The proof ends with the upgrade; while others are waited for, it is no zombie."""
    installed = Installed(folder)
    port, fifo = free_port(), folder / "hold"
    os.mkfifo(fifo)
    daemon = hatchd.file(FOREVER + cat(listen=f"tcp:{port}"), f"--control={path}",
                         binary=installed.hatchd)
    installed.replace(b"#!/bin/sh\nexec cat <'%s'\n" % os.fsencode(fifo))
    with connect(port) as client:
        echo(client, b"x")
        daemon.signal(signal.SIGUSR2)
        wait_until(lambda: status(path)["upgrade"]["running"])
        drain(daemon)
        wait_until(lambda: not zombies(daemon.pid))
        echo(client, b"y")
    assert daemon.wait_end() == 0
