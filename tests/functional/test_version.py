"""hatchd --version: how it was built, and what it has found on this machine."""

import errno
import platform
import re
import subprocess

import pytest

from harness import IS_SANITIZED, base_environment, built_helper, hatchd_command, run_hatchd

LINE = re.compile(r"  (\S+) +(yes|yes, version \d+ of up to \d+|no: .+)")

# The same on all machines where new calls have numbers.
CALLS = {
    "pidfd": (434, "hatchd does not run: it could not wait for its children"),
    "clone3": (435, "children are started by clone"),
    "close_range": (436, "children copy the whole table of descriptors"),
    "Landlock": (444, "workers have one wall less"),
}


def version(launcher=(), env=None):
    """The lines about it, about libraries, about the kernel; and its facilities."""
    done = subprocess.run([*launcher, *hatchd_command("-V")],
                          env={**base_environment(), **(env or {})},
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    head, kernel, facilities = re.split("^(Linux.*)\n", done.stdout, flags=re.M)
    head, libraries = head.split("built with:\n")
    found = [LINE.fullmatch(line).groups() for line in facilities.splitlines()]
    assert len(dict(found)) == len(found)
    return head.splitlines(), libraries.splitlines(), kernel, dict(found)


def test_version():
    (name, spawn, tls), libraries, kernel, found = version()
    assert re.fullmatch(r"hatchd \d\S*", name)
    assert spawn.startswith("children start with ")
    # tests/functional/test_tls_absent.py has what is said where it is not.
    if libraries.pop(0) == "  no TLS":
        assert tls == "this hatchd was built without TLS (--without-tls)"
    else:
        assert tls == "TLS is installed"
    names = [re.fullmatch(r"  ([a-z-]+) \d\S*", line)[1] for line in libraries]
    assert names == ["libsystemd", "libconfuse", "libseccomp", "c-ares"]
    assert kernel.startswith(f"Linux {platform.release()} has")
    assert {"clone3", "pidfd", "seccomp", "Landlock", "tcp_diag", "MPTCP"} <= found.keys()
    # Without it not one of these tests would run.
    assert found["pidfd"] == "yes"


@pytest.mark.parametrize("name", CALLS)
def test_what_is_not_there(name):
    number, without = CALLS[name]
    refuse = [built_helper("refuse-call"), str(number), str(errno.ENOSYS)]
    before, after = version()[3], version(refuse)[3]
    assert after.pop(name) == f"no: {without}"
    before.pop(name)
    assert before == after


def test_children_start_in_another_way():
    """What is said first is what is decided upon."""
    (_, spawn, _), _, _, found = version([built_helper("hide-clone3")])
    assert re.search(r"clone \(clone3 is not available\)|private memory", spawn)
    assert found["clone3"].startswith("no: ")


@pytest.mark.skipif(IS_SANITIZED, reason="sanitizers must be loaded first")
def test_no_tcp_diag():
    *_, found = version(env={"LD_PRELOAD": built_helper("no-tcp-diag.so")})
    assert found["tcp_diag"].startswith("no: idle_timeout")


def test_nowhere_to_go():
    """What cannot be written is a failure."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(hatchd_command("-V"), env=base_environment(), stdout=full)
    assert done.returncode == 2
    assert run_hatchd("-V").returncode == 0
