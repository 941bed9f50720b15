"""hatchctl drain: nobody comes in, and everybody who is there may stay until he goes."""

import os
import pty
import signal
import subprocess

import pytest

from harness import (
    DEAF, HATCHCTL, TIMEOUT, connect, free_port, hatchctl, is_refused, read_all, service,
    wait_until,
)
from test_control import cat, is_served, listed
from test_control_change import change, connections, opened


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def drain(path, *args):
    done = hatchctl("drain", f"--control={path}", *args)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def states(path):
    return {line["service"]: line["state"] for line in listed(path)}


class Draining:
    """A drain that takes its time."""

    def __init__(self, path, *args, **more):
        self.path = path
        self.process = subprocess.Popen(
            [HATCHCTL, "drain", "-s", path, *args], text=True, stdout=subprocess.PIPE,
            **{"stderr": subprocess.PIPE, **more})

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_disabled(self, *names):
        wait_until(lambda: all(states(self.path)[name] == "disabled" for name in names))
        return self

    def end(self):
        out, err = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, out, err


def test_nobody_is_there(hatchd, path):
    ports = [free_port(), free_port()]
    hatchd.file(
        cat("a", ports[0]) + cat("b", ports[1])
        + service("c", listen=f"tcp:127.0.0.1:{free_port()}", exec="/nonexistent/program"),
        f"--control={path}")
    assert drain(path, "a") == (0, "1 service is drained, disabled until the next reload\n", "")
    assert is_refused(ports[0]) and is_served(ports[1])
    # Of all only those that serve.
    change(path, "enable a")
    assert drain(path) == (0, "2 services are drained, disabled until the next reload\n", "")
    assert states(path) == {"a": "disabled", "b": "disabled", "c": "waiting"}
    assert drain(path) == (0, "0 services are drained, disabled until the next reload\n", "")
    # Who is named may be so already, or serve nobody anyway.
    assert drain(path, "a", "c", "a")[1].startswith("2 services are drained")


def test_who_is_there_is_waited_for(hatchd, path):
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}")
    with opened(port) as one, opened(port) as two, Draining(path) as draining:
        draining.wait_disabled("a")
        assert is_refused(port)
        one.close()
        wait_until(lambda: len(connections(path)) == 1)
        two.sendall(b"y")
        assert two.recv(1) == b"y"
        assert draining.process.poll() is None
        two.close()
        assert draining.end() == (
            0, "1 service is drained, disabled until the next reload\n", "")


def test_what_a_worker_serves(hatchd, path):
    port = free_port()
    hatchd.file(
        service("a", listen=f"tcp:127.0.0.1:{port}", builtin="discard"), f"--control={path}")
    with connect(port) as client:
        client.sendall(b"x")
        wait_until(lambda: connections(path))
        status, out, err = drain(path, "--timeout=0", "a")
        assert status == 1 and "the time is over: 1 connection left: a 1" in err
        with Draining(path, "a") as draining:
            draining.wait_disabled("a")
            client.close()
            assert draining.end()[0] == 0


def test_timeout(hatchd, path):
    ports = [free_port(), free_port(), free_port()]
    hatchd.file("".join(map(cat, "abc", ports)), f"--control={path}")
    with opened(ports[0]) as one, opened(ports[2]), opened(ports[2]):
        assert drain(path, "--timeout", "300ms", "a", "b", "c") == (
            1, "",
            "hatchctl: the time is over: 3 connections left: a 1, c 2\n"
            "hatchctl: they stay disabled until the next reload; to take that back: "
            f"hatchctl enable -s {path} a b c\n")
        assert set(states(path).values()) == {"disabled"}
        one.sendall(b"y")
        assert one.recv(1) == b"y"
        # What is said brings them back.
        assert hatchctl("enable", "-s", path, "a", "b", "c").returncode == 0
        assert is_served(ports[0])


def test_kill(hatchd, path):
    """At once, and those that do not listen as well."""
    ports = [free_port(), free_port()]
    daemon = hatchd.file(
        cat("a", ports[0])
        + service("b", listen=f"tcp:127.0.0.1:{ports[1]}", kill_after="200ms", shell=DEAF),
        f"--control={path}")
    with opened(ports[0]) as one, connect(ports[1]) as two:
        assert two.recv(1) == b"\n"
        assert drain(path, "--kill")[0] == 0
        assert read_all(one) == read_all(two) == b""
        daemon.wait_log("b: child [0-9]+ ended: killed, signal 9 .KILL.")
    assert connections(path) == []


def test_kill_after_a_while(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with opened(port) as client:
        before = daemon.mark()
        assert drain(path, "--kill", "--timeout=300ms")[0] == 0
        assert read_all(client) == b""
    daemon.wait_log("is ended at the control socket", after=before)
    assert sum("is ended at the control socket" in x for x in daemon.log.lines[before:]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(hatchd, path, number):
    port = free_port()
    hatchd.file(cat("a", port) + cat("b", free_port()), f"--control={path}")
    with opened(port), Draining(path, "a") as draining:
        draining.wait_disabled("a").process.send_signal(number)
        assert draining.end() == (
            1, "",
            "hatchctl: interrupted: 1 connection left: a 1\n"
            "hatchctl: it stays disabled until the next reload; to take that back: "
            f"hatchctl enable -s {path} a\n")
        assert states(path) == {"a": "disabled", "b": "serving"}


def test_a_reload_meanwhile(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port) + cat("b", free_port()), f"--control={path}")
    with opened(port):
        with Draining(path, "a") as draining:
            draining.wait_disabled("a")
            assert hatchctl("reload", "-s", path).returncode == 0
            status, out, err = draining.end()
            assert (status, out) == (1, "")
            assert err == "hatchctl: a: a reload or somebody else has enabled it again\n"
        with Draining(path, "a") as draining:
            draining.wait_disabled("a")
            daemon.write(cat("c", free_port()))
            assert hatchctl("reload", "-s", path).returncode == 0
            assert draining.end() == (1, "", "hatchctl: a: a reload has removed it\n")


def test_hatchd_goes_meanwhile(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with opened(port), Draining(path) as draining:
        draining.wait_disabled("a")
        daemon.stop(leave=True)
        status, out, err = draining.end()
        assert (status, out) == (1, "") and f"{path}: " in err


def test_no_such_service(hatchd, path):
    """Then nothing is disabled."""
    hatchd.file(cat("a", free_port()), f"--control={path}")
    assert drain(path, "a", "b") == (2, "", "hatchctl: b: no such service\n")
    assert states(path) == {"a": "serving"}


def test_a_terminal_sees_how_it_goes(hatchd, path):
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}")
    ours, theirs = pty.openpty()
    with opened(port) as client, Draining(path, stderr=theirs) as draining:
        os.close(theirs)
        seen = b""
        while b"waiting: 1 connection left: a 1" not in seen:
            seen += os.read(ours, 4096)
        client.close()
        assert draining.end()[0] == 0
    os.close(ours)


def test_many_services(hatchd, path):
    """More than anybody wants to type."""
    ports = [free_port() for _ in range(20)]
    hatchd.file("".join(cat(f"a{i}", port) for i, port in enumerate(ports)),
                f"--control={path}")
    with opened(ports[7]):
        status, out, err = drain(path, "--timeout=0")
        assert status == 1 and "1 connection left: a7 1" in err
        assert err.endswith(f"to take that back: hatchctl reload -s {path}\n")


def test_a_client_that_is_not_decided_about(hatchd, path):
    """Who has not said yet who he is, is sent away; nobody waits for him."""
    port = free_port()
    hatchd.file(
        cat("a", port, proxy_protocol="required", proxy_from="127.0.0.1"), f"--control={path}")
    with connect(port) as client:
        wait_until(lambda: listed(path)[0]["pending"] == 1)
        assert drain(path, "a")[0] == 0
        assert client.recv(1) == b""
