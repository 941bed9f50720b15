"""Whose the key of a certificate is: hatchd-tls has it, and can do nothing else.

Root looks at the memory of everybody here, and takes hatchd-tls over as who has found a hole
in it would: by calls of the kernel that are made in its place.
"""

import contextlib
import ctypes
import errno
import os
import pathlib
import platform
import re
import signal
import struct
import subprocess

import pytest

from certificates import NAME, needs_tls, secure
from harness import (
    IS_SANITIZED, connect, free_port, proc_children, proc_fds, proc_status, read_exactly,
    reload, service, wait_until, workers,
)
from test_security import AREA_MAX, as_victim, assert_all_refused, attack
from test_tls_harm import tls_worker
from tlsclient import Client, talk, trusting

pytestmark = [needs_tls, pytest.mark.needs_root]


# ---------------------------------------------------------------------------
# The key


def integers(path):
    """The private numbers of a key, as openssl(1) prints them."""
    text = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    found = re.findall(r"^(?:priv|privateExponent|prime1|prime2):\n((?: +[0-9a-f:]+\n)+)",
                       text, re.MULTILINE)
    return [bytes.fromhex(re.sub(r"[\s:]", "", number)).lstrip(b"\0") for number in found]


def traces(path):
    """What must not be seen of it: lines of its text, and its numbers, as they are written
    and as they lie in memory."""
    body = re.search("BEGIN PRIVATE KEY-+\n(.*?)-+END", path.read_text(), re.DOTALL)[1]
    found = [line.encode() for line in body.splitlines() if len(line) > 32]
    for number in integers(path):
        # A few bytes less than all, so that nobody is misled by a zero at an end.
        found += [number[-30:-2], number[-30:-2][::-1]]
    return found


def has_in_memory(pid, needles):
    """Those of them that are anywhere in the memory of a process."""
    seen = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            area, rights = line.split()[:2]
            first, last = (int(x, 16) for x in area.split("-"))
            if not rights.startswith("r") or last - first > AREA_MAX:
                continue
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(first)
                data = memory.read(last - first)
                seen.update(needle for needle in needles if needle in data)
    return seen


class Scene:
    """Every kind of process that hatchd has, and one client of each."""

    def __init__(self, hatchd, certificates):
        self.files = [certificates.server(NAME), certificates.server(NAME, key="RSA-2048")]
        self.context = trusting(certificates)
        self.port, self.other, self.proxied = free_port(), free_port(), free_port()
        self.config = (
            secure(certificates, "t", self.port, tls={"certificate": self.files})
            + secure(certificates, "behind", self.proxied, proxy_protocol="required",
                     proxy_from="127.0.0.1", builtin="echo")
            + service("plain", listen=f"tcp:127.0.0.1:{self.other}", exec="/bin/cat"))
        self.daemon = hatchd.file(self.config)

    @contextlib.contextmanager
    def played(self):
        """They are all there."""
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1024 80\r\n"
        with Client(self.port, self.context) as program, connect(self.other) as plain, Client(
                self.proxied, self.context, before=header) as builtin:
            for client in program, builtin:
                client.send(b"x")
                assert client.recv() == b"x"
            plain.sendall(b"x")
            assert read_exactly(plain, 1) == b"x"
            yield

    def others(self):
        """{pid: its name} of all but hatchd-tls."""
        pids = [self.daemon.pid, *proc_children(self.daemon.pid), *workers(self.daemon.pid)]
        return {pid: proc_status(pid)["Name"] for pid in pids
                if pid != tls_worker(self.daemon)}


@pytest.fixture
def scene(hatchd, certificates):
    return Scene(hatchd, certificates)


def test_key_is_in_nobody_elses_memory(scene):
    keys = [traces(path) for path in scene.files]
    for times in range(2):
        with scene.played():
            names = sorted(scene.others().values())
            assert names == ["cat", "cat", "hatchd", "hatchd-builtin", "hatchd-front"]
            # The search finds what is there: the one who works with them has them.
            found = has_in_memory(tls_worker(scene.daemon), sum(keys, []))
            assert all(found & set(key) for key in keys)
            for pid, name in scene.others().items():
                assert not has_in_memory(pid, sum(keys, [])), (name, times)
        # Nor is it left behind by a reload.
        reload(scene.daemon)


def test_nobody_else_has_the_file_of_keys(scene):
    """But for the master, who hands it on, and does not look into it."""
    with scene.played():
        secret = {target for target in proc_fds(scene.daemon.pid).values()
                  if "memfd" in target and "secrets" in target}
        assert len(secret) == 1
        for pid, name in scene.others().items():
            if pid == scene.daemon.pid:
                maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
                assert "secrets" not in maps
                continue
            assert not any("memfd" in target for target in proc_fds(pid).values()), name


def key_address(pid, path):
    """Where a number of the key is."""
    needles = traces(path)
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            area, rights = line.split()[:2]
            first, last = (int(x, 16) for x in area.split("-"))
            if rights.startswith("rw") and last - first <= AREA_MAX:
                memory.seek(first)
                data = memory.read(last - first)
                for needle in needles:
                    if needle in data:
                        return first + data.index(needle)
    raise AssertionError("it has no key")


def test_user_of_a_service_gets_nothing(scene, folder):
    """Nor does who has taken over another worker: they are somebody else."""
    with scene.played():
        worker = tls_worker(scene.daemon)
        address = key_address(worker, scene.files[0])
        assert_all_refused(attack(folder, worker, address))
        look = f"cd /proc/{worker}; for what in fd/* maps environ; do head -c1 $what; done"
        assert as_victim("/bin/sh", "-c", f"{{ {look}; }} 2>/dev/null; true") == ""
        # It is not even its own user's to look at.
        assert os.stat(f"/proc/{worker}/maps").st_uid == 0
        assert "0" not in proc_status(worker)["Uid"].split()


def test_worker_has_no_rights(scene):
    with scene.played():
        status = proc_status(tls_worker(scene.daemon))
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert "0" not in status["Uid"].split() + status["Gid"].split()
        assert status["Groups"].strip() == ""
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[kind], 16) == 0
        limits = pathlib.Path(f"/proc/{tls_worker(scene.daemon)}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


# ---------------------------------------------------------------------------
# Who has taken it over

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
libc.ptrace.restype = ctypes.c_long

PTRACE_CONT, PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS = 7, 9, 12, 13
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
WALL = 0x40000000

# struct user_regs_struct of x86-64, by place.
RAX, RDX, RSI, RDI, ORIG_RAX, RIP, RSP, R10 = 10, 12, 13, 14, 15, 16, 19, 7
REGISTERS = 27

GETPID = 39
CALLS = {
    "open": 2, "socket": 41, "connect": 42, "bind": 49, "clone": 56, "execve": 59, "kill": 62,
    "ptrace": 101, "openat": 257, "process_vm_readv": 310,
}
REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)


class Taken:
    """A process that makes the calls that it is told to."""

    def __init__(self, pid):
        self.pid = pid
        self._ptrace(PTRACE_ATTACH)
        assert os.WIFSTOPPED(self._wait())

    def _ptrace(self, request, data=0):
        if libc.ptrace(request, self.pid, 0, data) < 0:
            pytest.skip(f"ptrace({request}): {os.strerror(ctypes.get_errno())}")

    def _wait(self):
        return os.waitpid(self.pid, WALL)[1]

    def _registers(self, values=None):
        area = (ctypes.c_ulonglong * REGISTERS)(*(values or []))
        self._ptrace(PTRACE_SETREGS if values else PTRACE_GETREGS, ctypes.addressof(area))
        return list(area)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self._wait()

    def write(self, data):
        """Somewhere below its stack; the address."""
        address = self._registers()[RSP] - 4096
        with open(f"/proc/{self.pid}/mem", "r+b", 0) as memory:
            memory.seek(address)
            memory.write(data)
        return address

    def call(self, number, *arguments):
        """What it returns; None: it has died of it.

        It waits in a call, so that the instruction for one is right behind it.
        """
        values = self._registers()
        values[RIP] -= 2
        with open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
            memory.seek(values[RIP])
            assert memory.read(2) == b"\x0f\x05"
        values[RAX], values[ORIG_RAX] = number, (1 << 64) - 1
        for place, argument in zip((RDI, RSI, RDX, R10), (*arguments, 0, 0, 0, 0)):
            values[place] = argument % (1 << 64)
        self._registers(values)
        self._ptrace(PTRACE_SINGLESTEP)
        status = self._wait()
        if os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGSYS:
            self._ptrace(PTRACE_CONT, signal.SIGSYS)
            status = self._wait()
        if os.WIFSIGNALED(status) or os.WIFEXITED(status):
            return None
        assert os.WSTOPSIG(status) == signal.SIGTRAP, status
        return ctypes.c_longlong(self._registers()[RAX]).value


ATTEMPTS = {
    "openat": lambda taken: (-100, taken.write(b"/etc/hostname\0"), 0),
    "open": lambda taken: (taken.write(b"/proc/self/maps\0"), 0),
    "socket": lambda taken: (2, 1, 0),
    "connect": lambda taken: (6, taken.write(struct.pack("=HHI8x", 2, 0x5000, 0x0100007F)), 16),
    "bind": lambda taken: (6, taken.write(struct.pack("=HHI8x", 2, 0, 0x0100007F)), 16),
    "execve": lambda taken: (taken.write(b"/bin/true\0"), 0, 0),
    "clone": lambda taken: (17, 0),
    "kill": lambda taken: (os.getppid(), 0),
    "ptrace": lambda taken: (16, os.getppid()),
    "process_vm_readv": lambda taken: (os.getpid(), 0, 0, 0),
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="knows the registers of x86-64")
@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer may do more")
@pytest.mark.parametrize("name", [None, *ATTEMPTS])
def test_worker_that_was_taken_over(hatchd, certificates, name):
    """It may neither open, nor connect, nor run anything: it dies of it, or is told no."""
    port = free_port()
    daemon = hatchd.file(secure(certificates, "t", port))
    context = trusting(certificates)
    with Client(port, context) as client:
        client.send(b"x")
        assert client.recv() == b"x"
        pid = tls_worker(daemon)
        taken = Taken(pid)
        if name is None:
            # What it does itself it may do: so it is not this way of asking that fails.
            assert taken.call(GETPID) == pid
            taken.kill()
        else:
            result = taken.call(CALLS[name], *ATTEMPTS[name](taken))
            assert result is None or -result in REFUSED, result
            if result is not None:
                taken.kill()
        wait_until(lambda: tls_worker(daemon) != pid)
    assert talk(port, context, b"y") == b"y"
