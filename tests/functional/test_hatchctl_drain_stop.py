"""hatchctl drain --stop: hatchd drains, and is gone when it returns."""

import signal

import pytest

from harness import DEAF, connect, free_port, read_all, service
from test_control import ask, cat, listed, status
from test_control_change import opened
from test_drain import FOREVER, drain, echoes, wait_left
from test_hatchctl_drain import Draining
from test_hatchctl_drain import drain as hatchctl_drain


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def drain_stop(path, *args):
    return hatchctl_drain(path, "--stop", *args)


def test_hatchctl(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port, stop="terminate"), f"--control={path}")
    with opened(port) as client, Draining(path, "--stop") as draining:
        daemon.wait_notified("STOPPING=1")
        assert echoes(client)
        assert draining.process.poll() is None
        client.close()
        assert draining.end() == (0, "hatchd is drained, and has stopped\n", "")
        # It is gone by then.
        assert daemon.wait_end(timeout=0) == 0


def test_hatchctl_and_time(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with opened(port) as client:
        assert drain_stop(path, "--timeout=300ms") == (
            1, "", "hatchctl: the time was over: 1 connection was left when hatchd stopped\n")
        assert daemon.wait_end() == 0
        assert echoes(client)


def test_hatchctl_kill(hatchd, path):
    """Also those of services that let theirs live on, and who does not listen."""
    ports = [free_port(), free_port()]
    daemon = hatchd.file(
        cat("a", ports[0]) + service(
            "b", listen=f"tcp:127.0.0.1:{ports[1]}", kill_after="200ms", shell=DEAF),
        f"--control={path}")
    with opened(ports[0]) as one, connect(ports[1]) as two:
        assert two.recv(1) == b"\n"
        assert drain_stop(path, "--kill") == (0, "hatchd is drained, and has stopped\n", "")
        assert read_all(one) == read_all(two) == b""
        assert daemon.wait_end() == 0
    assert "0 connections left" not in daemon.text()


def test_hatchctl_is_interrupted(hatchd, path):
    """hatchd goes on."""
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with opened(port) as client, Draining(path, "--stop") as draining:
        daemon.wait_notified("STOPPING=1")
        draining.process.send_signal(signal.SIGINT)
        assert draining.end()[0] == 1
        assert echoes(client)
        assert status(path)["state"] == "draining"
    assert daemon.wait_end() == 0


def test_another_deadline(hatchd, path):
    """For whoever has no patience left: the request is repeated."""
    port = free_port()
    daemon = hatchd.file(FOREVER + cat("a", port), f"--control={path}")
    with opened(port) as client:
        drain(daemon)
        wait_left(daemon, 1)
        assert ask(path, "drain 1h")[0] == {"done": True}
        assert 3500_000_000 < status(path)["drain"]["left_usec"] <= 3600_000_000
        assert drain_stop(path, "--timeout=0", "--kill")[0] == 0
        assert read_all(client) == b""
    assert daemon.wait_end() == 0


def test_hatchd_is_killed_meanwhile(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with opened(port), Draining(path, "--stop") as draining:
        daemon.wait_notified("STOPPING=1")
        daemon.kill()
        status, out, err = draining.end()
        # Or it has not even had an answer.
        assert (status, out) == (1, "") and err.startswith("hatchctl: ")


def test_usage(hatchd, path):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    assert drain_stop(path, "a")[0] == 2
    assert drain_stop(path, "--timeout=soon")[0] == 2
    assert [line["state"] for line in listed(path)] == ["serving"]


def test_in_ad_hoc_mode(hatchd, path):
    port = free_port()
    daemon = hatchd.adhoc(
        "-l", f"tcp:127.0.0.1:{port}", f"--control={path}", "--", "/bin/cat")
    with opened(port) as client, Draining(path, "--stop") as draining:
        daemon.wait_notified("STOPPING=1")
        assert echoes(client)
        client.close()
        assert draining.end()[0] == 0
    assert daemon.wait_end() == 0
