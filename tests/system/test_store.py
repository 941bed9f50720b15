"""Sockets that systemd keeps for the next hatchd: FileDescriptorStoreMax=."""

import os

import pytest
from container import UNIT
from harness import (
    connect,
    free_port,
    is_refused,
    read_exactly,
    service,
    talk,
    wait_until,
)

AT_ONCE = """[Service]
Restart=always
RestartSec=0
"""


def echo(port, **more):
    return service("echo", listen=f"tcp:{port}", exec=["/bin/cat"], **more)


def begin(machine, text, count, more=""):
    """hatchd, when systemd has so many of its sockets."""
    machine.unit_file(f"{UNIT}.d/at-once.conf", AT_ONCE + more)
    machine.serve(text)
    machine.systemctl("start", "hatchd")
    machine.wait_kept(count)


def kill(machine):
    """kill -9, and wait until there is another one."""
    before = machine.main_pid()
    machine.kill("KILL", before)
    wait_until(lambda: machine.main_pid() not in (0, before), what="another hatchd")


def restart(machine):
    machine.systemctl("restart", "hatchd")


@pytest.mark.everywhere
@pytest.mark.parametrize("end", [kill, restart])
@pytest.mark.parametrize("path", ["/run/echo.sock", "/run/hatchd/echo.sock"])
def test_nobody_is_refused(machine, end, path):
    """Neither TCP nor UNIX clients, while one hatchd goes and the next one comes.

    A restart leaves the folder that systemd makes for the unit, and what is in it.
    """
    port = free_port()
    addresses = [f"tcp:{port}", f"unix:{path}"]
    begin(machine, service("echo", listen=addresses, exec=["/bin/cat"]), 2)
    for _ in range(5):
        with connect(port) as old:
            old.sendall(b"old")
            assert read_exactly(old, 3) == b"old"
            end(machine)
            assert talk(port, b"new") == b"new"
            assert talk(f"unix:{machine.path(path)}", b"new") == b"new"
            old.sendall(b"and")
            assert read_exactly(old, 3) == b"and"
    assert int(machine.show("NFileDescriptorStore")) == 2


def test_clients_while_it_restarts(machine):
    port = free_port()
    begin(machine, echo(port), 1)
    for _ in range(3):
        with machine.popen("systemctl", "restart", "hatchd") as process:
            while process.poll() is None:
                assert talk(port, b"now") == b"now"
            assert process.returncode == 0


def test_stop_frees_all(machine):
    """An end that nobody comes after: then systemd keeps nothing."""
    port = free_port()
    begin(machine, echo(port), 1)
    machine.systemctl("stop", "hatchd")
    wait_until(lambda: is_refused(port), what="the end of the socket")
    machine.systemctl("start", "hatchd")
    assert talk(port, b"x") == b"x"


def test_other_configuration(machine):
    """What nobody is served on any more is taken back, by a reload and by a restart."""
    ports = [free_port() for _ in range(3)]
    addresses = [f"tcp:{port}" for port in ports]
    begin(machine, service("echo", listen=addresses, exec="/bin/cat"), 3)
    machine.serve(service("echo", listen=addresses[:2], exec="/bin/cat"))
    machine.systemctl("reload", "hatchd")
    machine.wait_kept(2)
    assert is_refused(ports[2])
    machine.serve(echo(ports[0]))
    restart(machine)
    machine.wait_kept(1)
    assert is_refused(ports[1])
    assert talk(ports[0], b"x") == b"x"


def many(count):
    return service("many", listen=f"tcp:127.0.0.1:20000-{20000 + count - 1}", exec=["/bin/cat"])


def test_as_many_as_can_be_handed_over(machine):
    """systemd opens them under the limit of the unit, which is 1024."""
    begin(machine, many(600), 480)
    for end in (kill, restart):
        end(machine)
        assert talk(20000, b"x") == b"x"
        assert talk(20599, b"x") == b"x"
        assert int(machine.show("NFileDescriptorStore")) == 480


def test_thousands(machine):
    """systemd has room for all their names when it starts the next one.

    It takes them the slower the more it has: 10,000 of them need minutes.
    """
    count = int(os.environ.get("HATCHD_TEST_SOCKETS", "2000"))
    begin(machine, many(count), count, "LimitNOFILE=65536\n")
    for end in (kill, restart):
        end(machine)
        assert talk(20000 + count - 1, b"x") == b"x"
        assert int(machine.show("NFileDescriptorStore")) == count
