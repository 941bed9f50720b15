"""What hatchd counts, and how it is told: the request `metrics`."""

import json
import signal

import pytest

from harness import (
    connect, free_port, read_all, reload, service, talk, udp, wait_until,
)


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def cat(name, port, **options):
    return service(name, listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", **options)


def ask(path, question="metrics"):
    with connect(f"unix:{path}") as client:
        client.sendall(question.encode() + b"\n")
        return [json.loads(line) for line in read_all(client).splitlines()]


def counted(path):
    """What is said of all, and of each service by its name."""
    whole, *services, end = ask(path)
    assert end == {"end": True, "reloaded": False} and "service" not in whole
    return whole, {line["service"]: line for line in services}


def count(histogram):
    return sum(histogram["counts"])


# ---------------------------------------------------------------------------
# What is counted


def test_programs(hatchd, path):
    ports = {name: free_port() for name in ("good", "bad", "killed", "gone", "closed", "idle")}
    text = cat("good", ports["good"]) + cat("closed", ports["closed"], no_access="0.0.0.0/0")
    text += cat("idle", ports["idle"], instances="unlimited")
    text += service("bad", listen=f"tcp:127.0.0.1:{ports['bad']}", exec="/bin/false")
    text += service("killed", listen=f"tcp:127.0.0.1:{ports['killed']}",
                    shell="read line; kill -KILL $$")
    gone = path.parent.parent / "gone"
    gone.write_text("#!/bin/sh\n")
    gone.chmod(0o755)
    text += service("gone", listen=f"tcp:127.0.0.1:{ports['gone']}", exec=gone)
    daemon = hatchd.file(text, f"--control={path}")
    gone.unlink()

    for _ in range(3):
        assert talk(f"tcp:127.0.0.1:{ports['good']}", b"x") == b"x"
    for name in ("bad", "closed", "gone"):
        with connect(ports[name]) as client:
            assert read_all(client) == b""
    assert talk(f"tcp:127.0.0.1:{ports['killed']}", b"x\n") == b""
    daemon.wait_children(0)
    wait_until(lambda: sum(counted(path)[0]["ended"].values()) == 6, what="all ends")
    whole, services = counted(path)

    assert {name: line["accepted"] for name, line in services.items()} == {
        "good": 3, "closed": 1, "idle": 0, "bad": 1, "killed": 1, "gone": 1}
    nothing = {"success": 0, "error": 0, "signal": 0, "not_started": 0}
    ended = {name: line["ended"] for name, line in services.items()}
    assert ended["good"] == {**nothing, "success": 3}
    assert ended["bad"] == {**nothing, "error": 1}
    assert ended["killed"] == {**nothing, "signal": 1}
    assert ended["gone"] == {**nothing, "not_started": 1}
    assert ended["closed"] == ended["idle"] == nothing
    assert services["closed"]["refused"] == {"no_access": 1}
    assert services["idle"]["instances"] is None and "queue" not in services["idle"]

    good = services["good"]
    assert good["started"] == 3 and good["cpu_usec"] > 0
    assert count(good["queue"]) == count(good["wait"]) == count(good["spawn"]) == 3
    assert "wait" not in services["closed"] and count(services["closed"]["queue"]) == 1
    assert "spawn" not in services["gone"]

    assert whole["accepted"] == 7 and whole["refused"] == {"no_access": 1}
    assert whole["ended"] == {"success": 3, "error": 1, "signal": 1, "not_started": 1}
    assert count(whole["spawn"]) == 5 and len(whole["bounds_usec"]) == 15
    assert whole["cpu_usec"] == sum(line["cpu_usec"] for line in services.values())


def test_sessions(hatchd, path):
    echo, lost, datagrams = free_port(), free_port(), free_port()
    text = service("echo", listen=f"tcp:127.0.0.1:{echo}", builtin="echo")
    text += service("lost", listen=f"tcp:127.0.0.1:{lost}",
                    redirect=f"tcp:127.0.0.1:{free_port()}")
    text += service("datagrams", listen=f"udp:127.0.0.1:{datagrams}", exec="/bin/cat",
                    per_datagram=True)
    daemon = hatchd.file(text, f"--control={path}")
    assert talk(f"tcp:127.0.0.1:{echo}", b"hello") == b"hello"
    with connect(lost) as client, pytest.raises(ConnectionResetError):
        read_all(client)
    assert udp(f"udp:127.0.0.1:{datagrams}", b"x") == [b"x"]
    daemon.wait_children(0)
    wait_until(lambda: sum(counted(path)[0]["sessions"].values()) == 2, what="both ends")
    whole, services = counted(path)
    assert services["echo"]["sessions"] == {"finished": 1}
    assert (services["echo"]["bytes_in"], services["echo"]["bytes_out"]) == (5, 5)
    assert services["lost"]["sessions"] == {"unreachable": 1}
    # Nobody is accepted there, but programs run.
    assert services["datagrams"]["accepted"] == 0
    assert whole["accepted"] == 2 and whole["bytes_in"] == 5
    workers = {worker["name"]: worker for worker in whole["workers"]}
    assert workers["hatchd-builtin"]["runs"] and workers["hatchd-builtin"]["started"] == 1


def test_over_a_reload(hatchd, path):
    """Whoever stays keeps his counts, whoever goes takes them along; the sums stay."""
    ports = free_port(), free_port()
    both = cat("stays", ports[0]) + cat("goes", ports[1])
    daemon = hatchd.file(both, f"--control={path}")
    for port in ports:
        assert talk(f"tcp:127.0.0.1:{port}", b"x") == b"x"
    reload(daemon, cat("stays", ports[0], instances=7))
    whole, services = counted(path)
    assert services["stays"]["accepted"] == 1 and services["stays"]["instances"] == 7
    assert list(services) == ["stays"] and whole["accepted"] == 2
    assert whole["reloads"] == {"done": 1, "failed": 0} and not whole["reload_failed"]

    wait_until(lambda: counted(path)[0]["ended"]["success"] == 2, what="both ends")
    reload(daemon, both)
    assert counted(path)[1]["goes"]["accepted"] == 0
    daemon.write("service {")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("unable to reload")
    whole, _ = counted(path)
    assert whole["reloads"] == {"done": 2, "failed": 1} and whole["reload_failed"]


def test_who_waits_is_seen(hatchd, path):
    """A client in the queue of a full service, and one whose header takes its time."""
    full, slow = free_port(), free_port()
    daemon = hatchd.file(
        cat("full", full, instances=1)
        + cat("slow", slow, proxy_protocol="required", proxy_from="127.0.0.1"),
        f"--control={path}")
    with connect(full) as first, connect(full) as second, connect(slow) as third:
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        accepted = counted(path)[0]["up_usec"]
        long_enough = accepted + 50_000
        wait_until(lambda: counted(path)[0]["up_usec"] > long_enough, what="a while")
        first.close()
        second.sendall(b"y")
        assert second.recv(1) == b"y"
        third.sendall(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\nz")
        assert third.recv(1) == b"z"
        daemon.wait_children(2)
    _, services = counted(path)
    assert services["full"]["queue"]["sum_usec"] >= 40_000
    assert count(services["full"]["queue"]) == 2
    assert services["full"]["wait"]["sum_usec"] < services["full"]["queue"]["sum_usec"]
    assert services["slow"]["wait"]["sum_usec"] >= 40_000
    assert count(services["slow"]["wait"]) == 1


def test_more_than_one_piece(hatchd, path):
    """Each service has its line, in the order of the configuration."""
    ports = [free_port() for _ in range(100)]
    text = "".join(cat(f"s{i}", port) for i, port in enumerate(ports))
    hatchd.file(text, f"--control={path}")
    _, services = counted(path)
    assert list(services) == [f"s{i}" for i in range(100)]


def test_adhoc(hatchd, path):
    port = free_port()
    daemon = hatchd.adhoc("-l", f"tcp:127.0.0.1:{port}", f"--control={path}", "--", "/bin/cat")
    assert talk(f"tcp:127.0.0.1:{port}", b"x") == b"x"
    daemon.wait_children(0)
    _, services = counted(path)
    assert [line["accepted"] for line in services.values()] == [1]
