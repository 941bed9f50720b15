"""What a service manager says to hatchd, which is for hatchd alone, and what it is told."""

import contextlib
import select
import signal
import socket
import time

import pytest
from harness import (
    Loader, Probe, connect, free_port, helper, reload, service, stanza, talk, workers,
)
from upgrades import upgrade

# With which a service manager speaks to the process that it has started ...
OURS = {
    "LISTEN_FDNAMES": "web", "LISTEN_FDS": "0", "LISTEN_PID": "1", "LISTEN_PIDFDID": "7",
    "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1", "FDSTORE": "0", "SYSTEMD_EXEC_PID": "1",
    "MEMORY_PRESSURE_WATCH": "/dev/null", "MEMORY_PRESSURE_WRITE": "c29tZQ==",
}
# ... and what it says of the unit.
OF_THE_UNIT = {
    "INVOCATION_ID": 32 * "0", "JOURNAL_STREAM": "1:2", "CREDENTIALS_DIRECTORY": "/run/x",
    "MANAGERPID": "1", "RUNTIME_DIRECTORY": "/run/hatchd", "LOGS_DIRECTORY": "/var/log/hatchd",
}


@pytest.fixture
def probe(folder):
    return helper("probe", folder)


def environment_of(pid):
    """The names."""
    with open(f"/proc/{pid}/environ") as file:
        return {entry.partition("=")[0] for entry in file.read().split("\0") if entry}


@pytest.mark.needs_root
def test_nothing_of_the_service_manager_reaches_children(hatchd, probe):
    """Nor a worker: each would take it for its own."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("look", listen=f"tcp:{port}", exec=probe)
        + stanza("service", "echo", listen=f"tcp:{other}", builtin="echo"),
        env={**OURS, **OF_THE_UNIT})
    manager = {"NOTIFY_SOCKET", "HATCHD_HANDOVER", *OURS, *OF_THE_UNIT}
    for _ in range(2):
        assert not manager & set(Probe(talk(port)).env)
        assert talk(other, b"x") == b"x"
        (worker,) = workers(daemon.pid)
        assert not manager & environment_of(worker)
        upgrade(daemon)


@pytest.mark.needs_root
def test_nothing_of_the_service_manager_reaches_the_loader(hatchd, folder, monkeypatch):
    """What pass_env may name does."""
    loader = Loader(folder, monkeypatch)
    daemon = hatchd.file("", env={**OURS, **OF_THE_UNIT, "LANG": "pt_PT.UTF-8"})
    loader.hold()
    daemon.signal(signal.SIGHUP)
    pid = loader.wait_held()
    found = environment_of(pid)
    loader.release(pid)
    assert not found & {"NOTIFY_SOCKET", *OURS}
    assert found >= {"LANG", *OF_THE_UNIT}
    daemon.notified("READY=1", 2)


@pytest.mark.parametrize("name", ["NOTIFY_SOCKET", *OURS])
def test_pass_env_of_what_is_said_to_hatchd(hatchd, name):
    done = hatchd.check(
        service("s", listen=f"tcp:{free_port()}", exec="/bin/cat", pass_env=[name]))
    assert done.returncode == 1
    assert "pass_env: with this variable the service manager speaks" in done.stderr


def test_pass_env_of_what_is_said_of_the_unit(hatchd, probe):
    port = free_port()
    hatchd.file(service("look", listen=f"tcp:{port}", exec=probe, pass_env=[*OF_THE_UNIT]),
                env=OF_THE_UNIT)
    assert OF_THE_UNIT.items() <= Probe(talk(port)).env.items()


# -- STATUS


def cat(port, name="s"):
    return service(name, listen=f"tcp:{port}", exec="/bin/cat")


def statuses(daemon):
    return [line for message in daemon.messages for line in message.split("\n")
            if line.startswith("STATUS=")]


def test_status_counts_connections(hatchd):
    """Now and then, as they come and go all the time; and with what it says at once."""
    port = free_port()
    began = time.monotonic()
    daemon = hatchd.file(cat(port))
    assert statuses(daemon) == ["STATUS=Serving 1 of 1 services"]
    with connect(port), connect(port):
        for _ in range(20):
            assert talk(port, b"x") == b"x"
        daemon.wait_children(2)
        daemon.wait_notified("STATUS=Serving 1 of 1 services, 2 connections")
        reload(daemon, cat(port) + cat(free_port(), "t"))
        daemon.wait_notified("STATUS=Serving 2 of 2 services, 2 connections")
    daemon.wait_notified("STATUS=Serving 2 of 2 services")
    daemon.fds_at_start = None  # there is a socket more
    # At the start and of the reload, and one in three seconds besides.
    assert len(statuses(daemon)) <= 3 + (time.monotonic() - began) / 3


def test_status_when_an_address_is_free(hatchd):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        daemon = hatchd.file(cat(port))
        assert statuses(daemon) == ["STATUS=Serving 0 of 1 services"]
    daemon.wait_notified("STATUS=Serving 1 of 1 services")


def test_status_does_not_crowd_out_what_counts(hatchd):
    """A manager that reads nothing for a while gets READY=1 all the same."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        daemon = hatchd.file(cat(port))
        full = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        full.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                full.sendto(b"X=1", daemon.notify.getsockname())
        reload(daemon, cat(port) + cat(free_port(), "t"))
        stack.enter_context(connect(port))
        daemon.wait_children(1)
        # It looks again, and cannot say it.
        select.select([], [], [], 4)  # the period observed
        daemon.notified("READY=1", 2)
        daemon.wait_notified("STATUS=Serving 2 of 2 services, 1 connection")
        daemon.fds_at_start = None  # there is a socket more
