"""The watchdog of the service manager: WATCHDOG=1 comes from a loop that turns alone."""

import os
import select
import signal

import pytest
from harness import Loader, connect, free_port, service, talk, wait_until
from upgrades import upgrade

# The shortest that is kept: it is said every half of a second.
ASKED = {"WATCHDOG_USEC": "1000000"}
PERIOD = 1

# As a service manager does it, for the process that it starts.
ITS_OWN = ["/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"]


def cat(port):
    return service("s", listen=f"tcp:{port}", exec="/bin/cat")


def said(daemon):
    return sum("WATCHDOG=1" in message.split("\n") for message in daemon.messages)


def hear_all(daemon):
    """What it has said so far."""
    while select.select([daemon.notify], [], [], 0)[0]:
        daemon.messages.append(daemon.notify.recv(65536).decode())


def goes_on(daemon, times=2):
    hear_all(daemon)
    daemon.notified("WATCHDOG=1", said(daemon) + times)


def test_as_long_as_it_serves(hatchd):
    """Through a drain as well, which the service manager does not cut short."""
    port = free_port()
    daemon = hatchd.file("drain_timeout = unlimited\n" + cat(port), env=ASKED, launcher=ITS_OWN)
    assert daemon.messages[0].startswith("READY=1\n") and said(daemon) == 0
    goes_on(daemon)
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        daemon.signal(signal.SIGTERM)
        daemon.wait_notified("STOPPING=1")
        goes_on(daemon)
    assert daemon.wait_end() == 0


def test_after_an_upgrade(hatchd):
    """It is the same process, which the next image knows."""
    port = free_port()
    daemon = hatchd.file(cat(port), env=ASKED, launcher=ITS_OWN)
    for _ in range(2):
        upgrade(daemon)
        goes_on(daemon)
    assert talk(port, b"x") == b"x"


def test_while_a_loader_hangs(hatchd, folder, monkeypatch):
    loader = Loader(folder, monkeypatch)
    daemon = hatchd.file(cat(free_port()), env=ASKED, launcher=ITS_OWN)
    loader.hold()
    daemon.signal(signal.SIGHUP)
    pid = loader.wait_held()
    daemon.wait_notified("RELOADING=1")
    goes_on(daemon, 3)
    loader.release(pid)
    daemon.notified("READY=1", 2)


def test_of_one_that_is_stopped(hatchd):
    daemon = hatchd.file(cat(free_port()), env=ASKED, launcher=ITS_OWN)
    goes_on(daemon, 1)
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: "\nState:\tT" in open(f"/proc/{daemon.pid}/status").read())
        hear_all(daemon)
        assert not select.select([daemon.notify], [], [], PERIOD)[0]  # the period observed
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    goes_on(daemon)


def test_of_a_process_that_is_not_ours(hatchd):
    """The shell that has started us, perhaps."""
    port = free_port()
    daemon = hatchd.file(cat(port), env={**ASKED, "WATCHDOG_PID": "1"})
    assert not select.select([daemon.notify], [], [], PERIOD)[0]  # the period observed
    assert talk(port, b"x") == b"x"


def test_shorter_than_can_be_promised(hatchd):
    """The manager is asked for more patience before its time begins."""
    daemon = hatchd.file(cat(free_port()), env={"WATCHDOG_USEC": "1000"}, launcher=ITS_OWN)
    assert "WATCHDOG_USEC=1000000" in daemon.messages[0].split("\n")
    daemon.wait_log("wants to hear from us every 1000 us, .* asking it for 1000000 us")
    goes_on(daemon, 1)


@pytest.mark.parametrize("env", [
    {"WATCHDOG_USEC": "often"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-1"},
    {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "me"},
])
def test_nonsense(hatchd, env):
    port = free_port()
    daemon = hatchd.file(cat(port), env=env)
    daemon.wait_log("ignoring WATCHDOG_USEC and WATCHDOG_PID of the environment")
    assert talk(port, b"x") == b"x"
