"""Fixtures of the tests of packages.

    def test_deb(folder, run):          # an empty folder; a command that must succeed
"""

import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
BUILD = pathlib.Path(os.environ["builddir"])
KEPT = pathlib.Path(os.environ["HATCHD_PACKAGES"])


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


@pytest.fixture(scope="session")
def run():
    """run(ARGV, ...): what it printed, on either output; a status that is wrong fails."""

    def run(*argv, status=0, timeout=600, **more):
        done = subprocess.run(
            [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=timeout, **more)
        said = done.stdout.decode(errors="backslashreplace")
        assert status is None or done.returncode == status, \
            f"{argv}: status {done.returncode}\n{said[-8000:]}"
        return said

    return run
