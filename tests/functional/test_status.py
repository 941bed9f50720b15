"""hatchctl status and list: what people see, and programs with --json."""

import json
import re
import socket
import subprocess

import pytest

from harness import (
    HATCHCTL, connect, free_port, hatchctl, listed, read_all, service, stanza, wait_until,
    workers,
)


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def cat(name, port, **options):
    return service(name, listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", **options)


def test_list(hatchd, path):
    port, lacking = free_port(), free_port()
    daemon = hatchd.file(
        cat("upper", port, instances="unlimited", no_access="127.0.0.2")
        + service("lacking", listen=f"tcp:127.0.0.1:{lacking}", exec="/nonexistent/program"),
        f"--control={path}")
    with connect(port):
        daemon.wait_children(1)
        with connect(port, source="127.0.0.2") as stranger:
            assert read_all(stranger) == b""
        done = hatchctl("list", f"--control={path}")
    assert done.returncode == 0
    rows = [re.split("  +", line) for line in done.stdout.decode().splitlines()]
    assert rows == [
        ["SERVICE", "STATE", "CHILDREN", "LIMIT", "PENDING", "STARTED", "REFUSED",
         "ADDRESSES"],
        ["upper", "serving", "1", "-", "-", "1", "1", f"tcp:127.0.0.1:{port}"],
        ["lacking", "waiting", "0", "512", "-", "0", "0", f"(tcp:127.0.0.1:{lacking})"],
    ]
    one = hatchctl("list", "lacking", f"--control={path}").stdout.decode().splitlines()
    assert len(one) == 2 and one[1].startswith("lacking  waiting")


def test_status(hatchd, path):
    port, lacking = free_port(), free_port()
    daemon = hatchd.file(
        cat("upper", port)
        + service("lacking", listen=f"tcp:127.0.0.1:{lacking}", exec="/nonexistent/program"),
        f"--control={path}")
    done = hatchctl("status", f"--control={path}")
    assert done.returncode == 0 and done.stderr == b""
    facts, others = done.stdout.decode().split("\n\n")
    facts = dict(re.split(": +", line, maxsplit=1) for line in facts.splitlines())
    assert facts["Process"].startswith(f"{daemon.pid}, serving for ")
    assert facts["Configuration"] == str(daemon.config_path)
    assert facts["Last reload"] == "none yet"
    assert facts["Services"] == "2, serving 1"
    assert facts["Refused"] == "0"
    assert others.splitlines() == [
        "SERVICE  STATE    REASON", "lacking  waiting  no program /nonexistent/program"]
    told = json.loads(hatchctl("status", "--json", f"--control={path}").stdout)
    assert told["hatchd"]["pid"] == daemon.pid
    assert told["services"] == [{"service": "lacking", "state": "waiting",
                                 "reason": "no program /nonexistent/program"}]
    done = hatchctl("status", "-rn", "-o", "reason,service", f"--control={path}")
    assert done.stdout == b"no\\x20program\\x20/nonexistent/program lacking\n"


@pytest.mark.parametrize("command", ["status", "list"])
def test_without_hatchd(folder, command):
    path = folder / "control"
    done = hatchctl(command, "--control", path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == (
        f"hatchctl: unable to connect to {path}: No such file or directory; "
        "is hatchd running?\n")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    done = hatchctl(command, "--control", path)
    assert done.returncode == 1 and b"Connection refused; is hatchd running?" in done.stderr


def test_no_such_service(hatchd, path):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    done = hatchctl("list", "b", "--control", path)
    assert (done.returncode, done.stderr) == (2, b"hatchctl: no such service\n")


@pytest.mark.parametrize("args, message", [
    (["status", "x"], "unexpected argument 'x'"),
    (["list", "a", "b"], "unexpected argument 'b': there is one service"),
    (["list", "a b"], "'a b' is not the name of a service"),
    (["list", ""], "'' is not the name of a service"),
    (["list", "a/b"], "'a/b' is not the name of a service"),
    (["list", "--jsn"], "unknown option '--jsn'; did you mean '--json'?"),
    (["status", "--control"], "the option '--control' needs a value"),
    (["stats"], "unknown command 'stats'; did you mean 'status'?"),
])
def test_usage(args, message):
    done = hatchctl(*args)
    assert done.returncode == 2
    assert f"hatchctl: {message}\n" in done.stderr.decode()


@pytest.mark.parametrize("answer, message", [
    (b"hello\n", "that is no answer of hatchd"),
    (b'{"service":"a"}\n', "the answer has no end; ask again"),
    (b'{"end":tr', "the answer has no end; ask again"),
    (b'{"error":"\\u001b[31mno"}\n', "hatchctl: \\x1b[31mno"),
])
def test_believes_nobody(folder, answer, message):
    path = folder / "control"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        with subprocess.Popen([HATCHCTL, "list", "--control",
                               path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ctl:
            peer = sock.accept()[0]
            with peer:
                assert peer.recv(100) == b"list\n"
                peer.sendall(answer)
            out, err = ctl.communicate(timeout=20)
    assert (ctl.returncode, out) == (1, b"")
    assert message in err.decode()


def test_workers(hatchd, path):
    """The connections of a worker are the children of the service that it serves."""
    port = free_port()
    daemon = hatchd.file(
        stanza("service", "echo", listen=f"tcp:127.0.0.1:{port}", builtin="echo"),
        f"--control={path}")

    def facts():
        done = hatchctl("status", "--json", f"--control={path}")
        return json.loads(done.stdout)["hatchd"]

    assert facts()["workers"] == []
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        (worker,) = workers(daemon.pid)
        assert facts()["workers"] == [
            {"name": "hatchd-builtin", "pid": worker, "state": "serving", "connections": 1}
        ]
        shown = hatchctl("status", f"--control={path}").stdout.decode()
        assert f"hatchd-builtin, process {worker}, serving, connections: 1\n" in shown
        row = hatchctl("list", "echo", f"--control={path}").stdout.decode().splitlines()[1]
        assert re.split("  +", row)[:3] == ["echo", "serving", "1"]
    daemon.wait_log("ended: finished")
    assert facts()["workers"][0]["connections"] == 0


def test_pending(hatchd, path):
    """Who has not said yet who he is; only where that is asked."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        cat("asks", port, proxy_protocol="required", proxy_from="127.0.0.1",
            header_timeout="1h")
        + cat("other", other), f"--control={path}")

    def pending():
        return [row["pending"] for row in listed(path).values()]

    assert pending() == [0, None]
    with connect(port) as client, connect(port), connect(other):
        wait_until(lambda: pending() == [2, None], what="two who say nothing")
        shown = hatchctl("list", f"--control={path}").stdout.decode().splitlines()
        assert [re.split("  +", line)[4] for line in shown] == ["PENDING", "2", "-"]
        client.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nx")
        assert client.recv(1) == b"x"
        assert pending() == [1, None]
        daemon.wait_children(2)
    wait_until(lambda: pending() == [0, None], what="nobody is left")


def test_many_services(hatchd, path):
    port = free_port()
    names = [f"s{i}" for i in range(500)]
    hatchd.file("".join(
        service(name, listen=f"tcp:127.0.{i // 250}.{1 + i % 250}:{port}", exec="/bin/cat")
        for i, name in enumerate(names)), f"--control={path}")
    lines = hatchctl("list", "--control", path).stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["SERVICE", *names]
    assert b"500, serving 500" in hatchctl("status", "--control", path).stdout
