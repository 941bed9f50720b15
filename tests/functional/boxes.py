"""Machines for tests: a network, processes, a name, /run and /etc of their own.

    with Box("balancer", folder) as box, Box("hatch1", folder) as other:
        box.cable(other, "hatch1")              # eth0 of the other is hatch1 here
        (box.etc / "hosts").write_text(...)
        box.cut_power()

They see the files of this machine otherwise, and end with the test.  Root only.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import zlib

import pytest

from harness import TIMEOUT, proc_children

# The name, and the folder that is to be /etc.  Process 1 has children that it did not start.
BEGIN = """
trap '' CHLD
echo "$1" >/proc/sys/kernel/hostname && mount -t tmpfs -o mode=0755 tmpfs /run &&
	mount --bind "$2" /etc && ip link set lo up || exit
echo ready
exec cat
"""

# Of /etc: who is who, and how programs find what they need.
COPIED = ("alternatives", "group", "hosts", "ld.so.cache", "localtime", "nsswitch.conf",
          "passwd", "protocols", "services")


def make_etc(folder):
    """A small /etc, with the users that hatchd is installed with."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in COPIED:
        path = pathlib.Path("/etc", name)
        if path.is_dir():
            shutil.copytree(path, folder / name, symlinks=True)
        elif path.exists():
            shutil.copy(path, folder / name, follow_symlinks=False)
    for name, line in (("group", "{0}:x:{1}:\n"), ("passwd", "{0}:x:{1}:{1}::/:/bin/false\n")):
        known = (folder / name).read_text()
        with open(folder / name, "a", encoding="ascii") as file:
            for number, user in enumerate(("hatchd-guest", "hatchd-admin"), 7700):
                if f"\n{user}:" not in known:
                    file.write(line.format(user, number))
    return folder


def card_of(name):
    """The address of its network card, which is the same when the machine boots again: others
    remember it for half a minute."""
    number = zlib.crc32(name.encode()).to_bytes(4, "big")
    return "02:00:" + number.hex(":")


class Box:
    """One of them; where there can be none the test is skipped."""

    def __init__(self, name, folder):
        self.name = name
        self.etc = make_etc(pathlib.Path(folder) / f"{name}-etc")
        self.process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child",
             "--mount-proc", "sh", "-c", BEGIN, "sh", name, self.etc],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            why = self.process.communicate()[1].decode().strip()
            pytest.skip(f"no machine of its own for a test: {why}")
        (self.init,) = proc_children(self.process.pid)

    def path(self, path):
        """A file of /run or /etc in there, as it is seen from here."""
        return pathlib.Path(f"/proc/{self.init}/root{path}")

    def ip(self, *argv):
        """ip(8) in its network, but with our numbers of processes."""
        done = subprocess.run(
            ["nsenter", f"--target={self.init}", "--net", "ip", *map(str, argv)],
            stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
        assert done.returncode == 0, f"{self.name}: ip {argv}: {done.stderr}"

    def cable(self, other, name, bridge=None):
        """From an interface of that name, at a bridge if there is one, to eth0 of the other."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", "eth0",
                "address", card_of(other.name), "netns", other.init)
        if bridge:
            self.ip("link", "set", name, "master", bridge)
        self.ip("link", "set", name, "up")
        other.ip("link", "set", "eth0", "up")

    def cut_power(self):
        """Silence, and then nobody is there any more: no packet leaves that says so."""
        self.ip("link", "set", "eth0", "down")
        os.kill(self.init, signal.SIGKILL)
        self.process.wait(TIMEOUT)

    def close(self):
        self.process.kill()
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
