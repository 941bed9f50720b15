"""What is changed at the control socket, and what is told of connections."""

import os
import re
import signal
import socket
import time

import pytest

from harness import (
    DEAF, Loader, connect, free_port, is_refused, read_all, service, wait_until,
)
from test_control import ask, cat, is_served, listed, status

DONE = [{"done": True}, {"end": True, "reloaded": False}]


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def change(path, request):
    assert ask(path, request) == DONE


def refused(path, request):
    [answer] = ask(path, request)
    return answer["error"]


def connections(path, name=""):
    *lines, end = ask(path, f"connections {name}")
    assert end == {"end": True, "reloaded": False}
    return lines


def opened(port):
    """A connection to cat that is served."""
    client = connect(port)
    client.sendall(b"x")
    assert client.recv(1) == b"x"
    return client


# ---------------------------------------------------------------------------
# Who is connected


def test_connections(hatchd, path):
    port, discard = free_port(), free_port()
    hatchd.file(
        cat("a", port) + service("b", listen=f"tcp:127.0.0.1:{discard}", builtin="discard"),
        f"--control={path}")
    assert connections(path) == []
    with opened(port) as one, connect(discard) as two:
        two.sendall(b"x")
        wait_until(lambda: len(connections(path)) == 2)
        a, b = sorted(connections(path), key=lambda line: line["service"])
        assert a["peer"] == "127.0.0.1:%d" % one.getsockname()[1]
        assert a["local"] == f"127.0.0.1:{port}" and a["service"] == "a"
        assert a["worker"] is None and os.readlink(f"/proc/{a['pid']}/exe") == "/usr/bin/cat"
        assert abs(a["since"] - time.time()) < 60 and a["age_usec"] > 0
        assert a["state"] == "running" and "reason" not in a
        assert b["worker"] == "hatchd-builtin" and b["pid"] is None and b["user"] is None
        assert b["peer"] == "127.0.0.1:%d" % two.getsockname()[1]
        assert a["connection"] != b["connection"]
        assert [line["service"] for line in connections(path, "b")] == ["b"]
        assert refused(path, "connections nobody") == "no such service"
    wait_until(lambda: connections(path) == [])


def test_many_connections(hatchd, path):
    """More than one piece, and places that have come free among them."""
    port = free_port()
    daemon = hatchd.file(cat("a", port, instances=80, per_source=80), f"--control={path}")
    clients = [connect(port) for _ in range(60)]
    daemon.wait_children(60)
    for client in clients[::2]:
        client.close()
    daemon.wait_children(30)
    kept = {"127.0.0.1:%d" % client.getsockname()[1] for client in clients[1::2]}
    lines = connections(path)
    assert {line["peer"] for line in lines} == kept and len(lines) == len(kept)
    for client in clients:
        client.close()


def test_a_unix_client(hatchd, path, folder):
    place = folder / "socket"
    hatchd.file(service("a", listen=f"unix:{place}", exec="/bin/cat"), f"--control={path}")
    with connect(f"unix:{place}") as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        [line] = connections(path)
    assert line["peer"] == f"uid {os.getuid()} pid {os.getpid()}"
    assert line["local"] == f"unix:{place}" or str(place) in line["local"]


# ---------------------------------------------------------------------------
# Connections are ended


def test_kill(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with opened(port) as one, opened(port) as two:
        mine = "127.0.0.1:%d" % one.getsockname()[1]
        [line] = [line for line in connections(path) if line["peer"] == mine]
        change(path, f"kill {line['connection']}")
        assert read_all(one) == b""
        daemon.wait_log(rf"a: child {line['pid']} ended: killed, signal 15 .TERM.")
        two.sendall(b"y")
        assert two.recv(1) == b"y"
        assert refused(path, f"kill {line['connection']}") == "no such connection"
    assert refused(path, "kill 99999") == "no such connection"


def test_kill_one_that_does_not_listen(hatchd, path):
    port = free_port()
    daemon = hatchd.file(
        service("a", listen=f"tcp:127.0.0.1:{port}", kill_after="200ms",
                shell=DEAF),
        f"--control={path}")
    with connect(port) as client:
        assert client.recv(1) == b"\n"
        [line] = connections(path)
        change(path, f"kill {line['connection']}")
        daemon.wait_log(rf"a: child {line['pid']} ended: killed, signal 9 .KILL.")
        assert read_all(client) == b""


def test_kill_what_a_worker_serves(hatchd, path):
    port = free_port()
    daemon = hatchd.file(
        service("a", listen=f"tcp:127.0.0.1:{port}", builtin="discard"), f"--control={path}")
    with connect(port) as client:
        client.sendall(b"x")
        wait_until(lambda: connections(path))
        [line] = connections(path)
        change(path, f"kill {line['connection']}")
        daemon.wait_log(rf"a: connection {line['connection']} ended: killed")
        wait_until(lambda: connections(path) == [])


# ---------------------------------------------------------------------------
# Services are disabled


def test_disable(hatchd, path):
    port, other = free_port(), free_port()
    daemon = hatchd.file(cat("a", port) + cat("b", other), f"--control={path}")
    with opened(port) as client:
        change(path, "disable a")
        daemon.wait_log("a: disabled at the control socket, 1 child")
        daemon.wait_notified("STATUS=Serving 1 of 2 services, 1 connection")
        [line] = listed(path, "list a")
        assert line["state"] == "disabled" and line["children"] == 1
        assert is_refused(f"tcp:127.0.0.1:{port}")
        assert is_served(other)
        client.sendall(b"y")
        assert client.recv(1) == b"y"
        change(path, "disable a")
        change(path, "enable a")
        change(path, "enable a")
    assert is_served(port)
    assert listed(path, "list a")[0]["state"] == "serving"
    assert refused(path, "disable c") == refused(path, "enable c") == "no such service"


def test_a_reload_enables(hatchd, path):
    ports = [free_port(), free_port()]
    config = cat("a", ports[0])
    daemon = hatchd.file(config + cat("b", ports[1]), f"--control={path}")
    change(path, "disable a")
    change(path, "disable b")
    # One is the same, the other one has changed.
    daemon.write(config + cat("b", ports[1], instances=3))
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded: 0 added, 1 changed, 0 removed, 1 unchanged")
    assert all(is_served(port) for port in ports)
    change(path, "disable a")
    daemon.write(cat("b", ports[1], instances=3))
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded: 0 added, 0 changed, 1 removed, 1 unchanged")
    assert is_refused(f"tcp:127.0.0.1:{ports[0]}")


def test_disable_one_that_waits(hatchd, path):
    """Its child has the socket itself, and goes with it."""
    port = free_port()
    daemon = hatchd.file(
        service("a", listen=f"udp:127.0.0.1:{port}", wait=True, exec=["/bin/sleep", "1000"]),
        f"--control={path}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("127.0.0.1", port))
        [pid] = daemon.wait_children(1)
        change(path, "disable a")
        daemon.wait_children(0)
    # The address is free.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
    change(path, "enable a")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("127.0.0.1", port))
        daemon.wait_children(1)
    change(path, "disable a")


def test_enable_what_somebody_has_taken(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    change(path, "disable a")
    with socket.create_server(("127.0.0.1", port)):
        change(path, "enable a")
        daemon.wait_log("a: waiting: unable to bind .*: somebody listens there already")
        assert listed(path, "list a")[0]["state"] == "without an address"
    daemon.wait_log("a: listening on .* now")
    assert is_served(port)


def test_disable_one_that_lacks_something(hatchd, path):
    hatchd.file(
        service("a", listen=f"tcp:127.0.0.1:{free_port()}", exec="/nonexistent/program"),
        f"--control={path}")
    assert refused(path, "disable a") == "it serves nobody now"
    change(path, "enable a")


def test_stop_while_one_is_disabled(hatchd, path):
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    change(path, "disable a")
    daemon.stop()


# ---------------------------------------------------------------------------
# Limits are set


def test_set(hatchd, path):
    port = free_port()
    config = cat("a", port, instances=1)
    daemon = hatchd.file(config, f"--control={path}")
    with opened(port):
        assert listed(path)[0]["state"] == "full"
        change(path, "set a instances 2")
        daemon.wait_log("a: instances is 2 until a reload")
        assert listed(path)[0]["instances"] == 2
        change(path, "set a per_source unlimited")
        with opened(port):
            # Who is there stays.
            change(path, "set a instances 1")
            assert listed(path)[0]["children"] == 2
    daemon.wait_children(0)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded: nothing has changed")
    assert listed(path)[0]["instances"] == 1
    assert refused(path, "set c instances 1") == "no such service"
    assert refused(path, "set a instances 0") == "not a value of that limit"


def test_set_per_source(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    change(path, "set a per_source 1")
    with opened(port):
        with connect(port) as other:
            assert read_all(other) == b""
        daemon.wait_log("a: refused 127.0.0.1.*: per_source")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded: nothing has changed")
        opened(port).close()


def test_set_rates(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port) + cat("b", free_port(), rate="1000/1s"),
                         f"--control={path}")
    change(path, "set a per_source_rate 1/1h")
    daemon.wait_log("a: per_source_rate is 1/h until a reload")
    assert is_served(port)
    with connect(port) as other:
        assert read_all(other) == b""
    change(path, "set a per_source_rate unlimited")
    assert is_served(port)
    change(path, "set a per_source_rate 1000000/s")
    assert is_served(port) and is_served(port)
    change(path, "set a per_source_rate 1/1h")
    assert is_served(port)
    change(path, "set a per_source_rate unlimited")
    change(path, "set a rate 1/1h")
    assert is_served(port)
    with connect(port):
        wait_until(lambda: listed(path, "list a")[0]["state"] == "above its rate")
        change(path, "set a rate unlimited")
    change(path, "set b rate unlimited")
    # Who came under another rate has not used up this one.
    change(path, "set a rate 1000000/s")
    assert is_served(port)
    change(path, "set a rate 2/1h")
    assert is_served(port)
    change(path, "set a rate unlimited")
    assert is_served(port)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded: nothing has changed")
    assert is_served(port)


# ---------------------------------------------------------------------------
# Files are read again


def test_reload(hatchd, path):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]), f"--control={path}")
    daemon.write(cat("b", ports[1]))
    facts, end = ask(path, "reload")
    assert end["end"] and facts["reload"]["last"] == "done" and not facts["reload"]["running"]
    assert is_served(ports[1])
    daemon.write("service {")
    facts, end = ask(path, "reload")
    assert facts["reload"]["last"] == "failed"
    assert facts["reload"]["reason"] == "the files have mistakes"
    assert is_served(ports[1])


def test_reload_is_waited_for(hatchd, path, folder, monkeypatch):
    """Also if one runs that may have read the files before."""
    loader = Loader(folder, monkeypatch)
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    loader.hold()
    daemon.signal(signal.SIGHUP)
    pid = loader.wait_held()
    with connect(f"unix:{path}") as client, connect(f"unix:{path}") as gone:
        client.sendall(b"reload\n")
        client.shutdown(socket.SHUT_WR)
        gone.sendall(b"reload\n")
        assert status(path)["reload"]["running"]
        gone.close()
        before = daemon.mark()
        loader.release(pid)
        daemon.wait_log("reloaded", after=before, count=2)
        assert b'"last":"done"' in read_all(client)


# ---------------------------------------------------------------------------
# And others


def test_log_level(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    change(path, "log-level debug")
    before = daemon.mark()
    assert is_served(port)
    daemon.wait_log("a: accept from", after=before)
    change(path, "log-level warning")
    before = daemon.mark()
    assert is_served(port)
    change(path, "log-level info")
    daemon.wait_log("log level set", after=before)
    assert not any("accept" in line for line in daemon.log.lines[before:])


def test_help(hatchd, path):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    *lines, end = ask(path, "help")
    assert {"request": "list [SERVICE]", "does": "the services", "changes": False} in lines
    # Each of them is known.
    for line in lines:
        word = re.match("[a-z-]+", line["request"])[0]
        assert ask(path, f"{word} a b c d e f")[0] == {"error": "too many words"}
    assert end["end"]
