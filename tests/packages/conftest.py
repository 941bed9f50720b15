"""Fixtures of the tests of packages.

    def test_deb(folder, run):          # an empty folder; a command that must succeed
"""

import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
BUILD = pathlib.Path(os.environ["builddir"])
KEPT = pathlib.Path(os.environ["HATCHD_PACKAGES"])

os.environ.setdefault("HATCHD", str(BUILD / "hatchd"))
sys.path += [str(HERE.parent / "functional"), str(HERE.parent / "system")]

import harness

# Seconds, then a test has hung; the packages are made by the one that needs them first.
SLOW = {"HATCHD_TEST_DEBIAN", "HATCHD_TEST_FRESH"} & os.environ.keys()
LONGEST_TEST = 3600 if SLOW else 900


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """A test that hangs is ended by a signal, so that one knows which."""
    with harness.deadline(item.nodeid, LONGEST_TEST):
        yield


def need(*programs):
    """Skip, with the names of the programs that this machine lacks."""
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        pytest.skip(f"there is no {', '.join(missing)}")


@pytest.fixture
def folder(tmp_path):
    """An empty folder that anybody may enter."""
    tmp_path.chmod(0o755)
    return tmp_path


# All kinds of mounts that there are in the tests, in the namespaces of a small system.
UNSHARE = "unshare --mount --net --ipc --uts --cgroup --pid --fork --kill-child"
MOUNTS = """
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir up work usr proc sys
mount -t overlay -o lowerdir=/usr,upperdir=up,workdir=work overlay usr
mount -t proc proc proc
mount -t sysfs sysfs sys
"""


@functools.cache
def why_no_mounts():
    """What forbids them here, as in many a container; None: nothing does."""
    status, said = communicate([*UNSHARE.split(), "sh", "-ec", MOUNTS], 60)
    return " ".join(said.split()) or f"status {status}" if status else None


def need_mounts():
    need("unshare")
    reason = why_no_mounts()
    if reason:
        pytest.skip(f"namespaces or mounts are not allowed here: {reason}")


def communicate(argv, timeout, **more):
    """(status, what it printed).  One that is not waited for any more is ended, with all that
    it has started: the next one would wait for a lock of theirs."""
    with subprocess.Popen(
            [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, **more) as process:
        try:
            said = process.communicate(timeout=timeout)[0]
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said.decode(errors="backslashreplace")


@pytest.fixture(scope="session")
def run():
    """run(ARGV, ...): what it printed, on either output; a status that is wrong fails."""

    def run(*argv, status=0, timeout=600, **more):
        found, said = communicate(argv, timeout, **more)
        assert status is None or found == status, \
            f"{argv}: status {found}\n{said[-8000:]}"
        return said

    return run
