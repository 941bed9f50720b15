"""From a clone to a service, on a Debian on which nothing was ever done but to install git.

HATCHD_TEST_FRESH="bookworm trixie" chooses the releases; without it nothing is tried, since
each of them takes minutes, and loads all that the build needs.
"""

import os
import subprocess

import pytest

import trees
from conftest import KEPT, SOURCE, need

SUITES = os.environ.get("HATCHD_TEST_FRESH", "").split()

# What is told of the packages' coming and going is no trace of hatchd.
TRACES = """
find / -xdev -iname '*hatchd*' -not -path '/root/hatchd*' -not -path '/srv/*'
grep -i hatchd /etc/passwd /etc/group
systemctl list-unit-files --no-legend 'hatchd*'
pgrep -a hatchd
true
"""


@pytest.fixture(params=SUITES or [pytest.param("bookworm", marks=pytest.mark.skip(
    reason="takes minutes; HATCHD_TEST_FRESH='bookworm trixie' runs it"))])
def fresh(request, run, monkeypatch):
    """A machine of that release, with git and a repository to clone, in the host's network."""
    need("git", "systemd-nspawn", "nsenter")
    if not (SOURCE / ".git").exists():
        pytest.skip("this is no clone")
    layers = KEPT / f"fresh-{request.param}"
    repository = layers / "root/srv/hatchd.git"
    run("rm", "-rf", layers)
    repository.parent.mkdir(parents=True)
    tree = trees.debian(request.param, ["git", "systemd", "systemd-sysv", "dbus", "procps"])
    (layers / f"tree-{request.param}").symlink_to(tree)
    run("git", "clone", "--quiet", "--bare", SOURCE, repository)
    monkeypatch.setenv("HATCHD_SYSTEM", str(layers))
    import container
    monkeypatch.setattr(container, "FOLDER", layers)
    machine = container.Machine(request.param)
    yield machine
    machine.close()


def do(machine, *argv, status=0):
    """Something that may take minutes: what it printed."""
    with machine.popen(*argv, stderr=subprocess.STDOUT) as process:
        try:
            said = process.stdout.read().decode(errors="backslashreplace")
        except BaseException:
            process.kill()
            raise
    assert process.returncode == status, f"{argv}: {process.returncode}\n{said[-8000:]}"
    print(said)
    return said


def quickstart(machine, *flags, **more):
    return do(machine, "sh", "/root/hatchd/packaging/quickstart", *flags, **more)


def test_quickstart(fresh):
    clone = ["git", "clone", "--quiet", "--no-hardlinks"]
    do(fresh, *clone, "/srv/hatchd.git", "/root/hatchd")
    before = do(fresh, "sh", "-c", TRACES)
    assert "every service answers as it should" in quickstart(fresh, "--test")

    for _ in range(2):
        said = quickstart(fresh, "--system")
        assert "Active: active (running)" in said and "; enabled; " in said
        assert "hatchctl connect tcp:127.0.0.1:13\n" in said

    # What somebody has added is not taken away.
    fresh.write("/etc/hatchd/services.d/mine.conf", "# mine\n")
    said = quickstart(fresh, "--remove", status=1)
    assert "/etc/hatchd/services.d/mine.conf\n" in said
    fresh.path("/etc/hatchd/services.d/mine.conf").unlink()

    for _ in range(2):
        quickstart(fresh, "--remove")
        assert do(fresh, "sh", "-c", TRACES) == before
