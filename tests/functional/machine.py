"""Settings of the whole machine, changed for the length of a test.

Everybody on the machine has them while the test lasts, so nothing is changed
unless HATCHD_TEST_MACHINE=1 says that this machine is for tests.  A process of
its own puts them back (helpers/restorer.py): also if the tests are killed.
"""

import contextlib
import fcntl
import os
import pathlib
import subprocess
import tempfile

import pytest

from harness import HERE, PYTHON

SUID_DUMPABLE = pathlib.Path("/proc/sys/fs/suid_dumpable")
CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")


# The first of all process namespaces: include/linux/proc_ns.h.
FIRST_PIDS = "pid:[4026531836]"


def kernel_sees_our_files():
    """Not in a container or a chroot: a path that we give it is then another one for it.

    Process 2 of the first namespace is a thread of the kernel, where handlers start.
    """
    if os.readlink("/proc/self/ns/pid") != FIRST_PIDS:
        return False
    try:
        its = os.stat("/proc/2/root/")
        mounts = os.readlink("/proc/self/ns/mnt") == os.readlink("/proc/2/ns/mnt")
    except OSError:
        return False
    ours = os.stat("/")
    return mounts and (ours.st_dev, ours.st_ino) == (its.st_dev, its.st_ino)


def is_for_tests():
    return os.environ.get("HATCHD_TEST_MACHINE", "0") not in ("", "0")


class Machine:
    """set(SUID_DUMPABLE, 1); one process of all on the machine at a time."""

    def __init__(self):
        self.restorer = None
        self.lock = None

    def require(self):
        """Skip the test where nothing may be changed."""
        if not is_for_tests():
            pytest.skip("changes settings of the whole machine: set HATCHD_TEST_MACHINE=1")
        for path in (SUID_DUMPABLE, CORE_PATTERN):
            try:
                path.write_text(path.read_text())
            except OSError as error:
                pytest.skip(f"{path} may not be changed here: {error.strerror}")

    def set(self, path, value):
        if path.read_text().strip() == str(value):
            return
        self.require()
        self.change(path, value)

    def change(self, path, value):
        self._tell(str(path), path.read_text())
        path.write_text(str(value))

    def folder(self, mode=0o700):
        """A new one that nobody else can have made, with programs that the kernel runs."""
        for root in ("/var/tmp", "/run"):
            if not os.statvfs(root).f_flag & os.ST_NOEXEC:
                break
        else:
            pytest.skip("no place for a program that the kernel is to run")
        path = tempfile.mkdtemp(prefix="hatchd-test-", dir=root)
        self._tell(path)
        os.chmod(path, mode)
        return pathlib.Path(path)

    def _tell(self, *words):
        """The restorer knows it before anything is changed."""
        if not self.restorer:
            # It has the lock as well, and keeps it until all is as it was.
            self.lock = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
            self.restorer = subprocess.Popen(
                [PYTHON, "-S", "-E", HERE / "helpers/restorer.py"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True, bufsize=1, pass_fds=[self.lock],
            )
        self.restorer.stdin.write(" ".join(word.encode().hex() for word in words) + "\n")
        assert self.restorer.stdout.readline() == "remembered\n"

    def restore(self):
        if self.restorer:
            self.restorer.stdin.close()
            status = self.restorer.wait()
            self.restorer.stdout.close()
            os.close(self.lock)
            assert status == 0, "settings of the machine are not as they were"


@contextlib.contextmanager
def settings():
    machine = Machine()
    try:
        yield machine
    finally:
        machine.restore()
