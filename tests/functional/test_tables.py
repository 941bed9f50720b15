"""The tables of hatchctl: who is connected, which columns there are, and how they look."""

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import threading

import pytest

from harness import (
    HATCHCTL, connect, default_user, free_port, have_ipv6, hatchctl, service, stanza,
    wait_until,
)


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def cat(name, port, **options):
    return service(name, listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", **options)


def rows(done):
    assert (done.returncode, done.stderr) == (0, b""), done
    return [re.split("  +", line.strip()) for line in done.stdout.decode().splitlines()]


def connections(path, *args):
    done = hatchctl("connections", "--json", "--output-all", "-s", path, *args)
    assert (done.returncode, done.stderr) == (0, b""), done
    return json.loads(done.stdout)["connections"]


class Stub:
    """Answers every question with the same lines."""

    def __init__(self, path):
        self.path = path
        self.asked = []
        self.lines = []
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        self.sock.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            peer = self.sock.accept()[0]
            with peer, peer.makefile("rb") as file:
                line = file.readline()
                if not line:
                    return
                self.asked.append(line)
                told = [*self.lines, {"end": True, "reloaded": False}]
                with contextlib.suppress(OSError):
                    peer.sendall(b"".join(
                        each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n"
                        for each in told))

    def close(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.path))
        self.thread.join()
        self.sock.close()


@pytest.fixture
def stub(folder):
    """Somebody in the place of hatchd."""
    made = Stub(folder / "control")
    yield made
    made.close()


# ---------------------------------------------------------------------------
# Connections


def test_connections(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("cat", port), f"--control={path}")
    with connect(port) as client:
        client.sendall(b"12345")
        assert client.recv(5) == b"12345"
        (pid,) = daemon.wait_children(1)
        wait_until(lambda: connections(path)[0]["sent"] == 5, what="the answer is confirmed")
        (row,) = connections(path)
        peer = f"127.0.0.1:{client.getsockname()[1]}"
        shown = rows(hatchctl("connections", "-s", path))
    assert {key: row[key] for key in (
        "connection", "service", "peer", "local", "pid", "worker", "program", "user", "state",
        "received", "sent", "reason", "peer_name")} == {
            "connection": 1, "service": "cat", "peer": peer, "local": f"127.0.0.1:{port}",
            "pid": pid, "worker": None, "program": "cat", "user": default_user(),
            "state": "running", "received": 5, "sent": 5, "reason": None, "peer_name": None}
    assert row["memory"] > 4096 and row["age_usec"] > 0 and row["since"] > 1700000000
    assert row["cpu_usec"] < 60 * 1000 * 1000
    assert shown[0] == [
        "ID", "SERVICE", "PEER", "AGE", "PID", "USER", "STATE", "CPU", "MEMORY", "RX", "TX"]
    assert shown[1][:3] == ["1", "cat", peer] and shown[1][-2:] == ["5", "5"]
    wait_until(lambda: connections(path) == [], what="nobody is there")
    assert rows(hatchctl("connections", "-s", path)) == [shown[0]]


def test_of_one_service(hatchd, path):
    ports = free_port(), free_port()
    daemon = hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    with connect(ports[0]), connect(ports[1]), connect(ports[1]):
        daemon.wait_children(3)
        assert [row["service"] for row in connections(path, "b")] == ["b", "b"]
        assert len(connections(path)) == 3


def test_of_a_worker(hatchd, path):
    """It has no process of its own; its bytes are counted all the same."""
    port = free_port()
    hatchd.file(stanza("service", "echo", listen=f"tcp:127.0.0.1:{port}", builtin="echo"),
                f"--control={path}")
    with connect(port) as client:
        client.sendall(b"123")
        assert client.recv(3) == b"123"
        wait_until(lambda: connections(path)[0]["sent"] == 3, what="the answer is confirmed")
        (row,) = connections(path)
    assert row["worker"] == "hatchd-builtin" and row["received"] == 3
    assert row["pid"] is row["cpu_usec"] is row["memory"] is row["program"] is None


@pytest.mark.parametrize("listen, host", [
    ("tcp:[::1]:{}", "::1"),
    ("tcp:{}", "::1"),
    ("tcp:{}", "127.0.0.1"),
])
def test_addresses(hatchd, path, listen, host):
    """Bytes are found by the addresses that hatchd tells, whatever the socket is made of."""
    if not have_ipv6():
        pytest.skip("there is no IPv6")
    port = free_port()
    hatchd.file(service("cat", listen=listen.format(port), exec="/bin/cat"),
                f"--control={path}")
    with socket.create_connection((host, port), timeout=20) as client:
        client.sendall(b"1234567")
        assert client.recv(7) == b"1234567"
        assert connections(path)[0]["received"] == 7


def test_unix(hatchd, path, folder):
    """Nobody counts there."""
    hatchd.file(service("cat", listen=f"unix:{folder}/s", exec="/bin/cat"),
                f"--control={path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/s")
        client.sendall(b"1")
        assert client.recv(1) == b"1"
        (row,) = connections(path)
    assert row["received"] is row["sent"] is None and row["memory"] > 0
    assert row["peer"].startswith("uid ")


def test_behind_a_proxy(hatchd, path):
    """The bytes are those of the connection that there is."""
    port = free_port()
    hatchd.file(cat("cat", port, proxy_protocol="required", proxy_from="127.0.0.1"),
                f"--control={path}")
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n"
    with connect(port) as client:
        client.sendall(header + b"x")
        assert client.recv(1) == b"x"
        (row,) = connections(path)
    assert (row["peer"], row["local"]) == ("192.0.2.7:4711", "192.0.2.1:25")
    assert row["reached"] == f"127.0.0.1:{port}" and row["proxy"].startswith("127.0.0.1:")
    assert row["received"] == len(header) + 1


def test_a_process_that_is_gone(stub):
    stub.lines = [{"connection": 7, "pid": 2 ** 22 + 1, "state": "ending"},
                  {"connection": 8, "pid": 2 ** 40}, {"connection": 9, "pid": 0}]
    told = connections(stub.path)
    assert [row["connection"] for row in told] == [7, 8, 9]
    assert all(row["cpu_usec"] is row["memory"] is row["program"] is None for row in told)


def test_nothing_is_read_for_nobody(stub):
    """What is not shown costs nothing."""
    stub.lines = [{"connection": 1, "pid": os.getpid(), "peer": "127.0.0.1:1",
                   "local": "127.0.0.1:2"}]
    done = hatchctl("-s", stub.path, "connections", "-o", "id", "-n")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"1", b"")


# ---------------------------------------------------------------------------
# Bans


def test_bans(stub):
    stub.lines = [{"service": "upper", "source": "192.0.2.0/24", "left_usec": 125000000,
                   "by": "rule"},
                  {"service": None, "source": "2001:db8::/64", "left_usec": None,
                   "by": "operator"}]
    assert rows(hatchctl("bans", "-s", stub.path)) == [
        ["SERVICE", "SOURCE", "LEFT", "BY"],
        ["upper", "192.0.2.0/24", "2 min 5 s", "rule"],
        ["-", "2001:db8::/64", "-", "operator"],
    ]
    done = hatchctl("bans", "-Js", stub.path, "upper")
    assert json.loads(done.stdout)["bans"] == stub.lines
    assert stub.asked == [b"bans\n", b"bans upper\n"]


# ---------------------------------------------------------------------------
# Columns


@pytest.mark.parametrize("args, heads", [
    (["-o", "state,SERVICE"], "STATE SERVICE"),
    (["-ostate"], "STATE"),
    (["--output", "+backend"],
     "SERVICE STATE CHILDREN LIMIT PENDING STARTED REFUSED ADDRESSES BACKEND"),
    (["-o", "+state,reason", "-o", "state,state"], "STATE"),
    (["-o", "resumes_usec"], "RESUMES"),
    (["-o", "started", "-O"],
     "STARTED SERVICE STATE CHILDREN LIMIT PENDING REFUSED ADDRESSES REASON RESUMES REFUSALS "
     "CERTIFICATE CERTIFICATE_ENDS BACKEND STATUS"),
])
def test_columns(stub, args, heads):
    done = hatchctl("list", "-r", *args, "-s", stub.path)
    assert (done.returncode, done.stdout.decode()) == (0, heads + "\n")


@pytest.mark.parametrize("args, message", [
    (["list", "-o", "servise"], "unknown column 'servise'; did you mean 'SERVICE'?"),
    (["list", "-o", "zzz"], "unknown column 'zzz'"),
    (["list", "-o", ""], "unknown column ''"),
    (["list", "-o", "+"], "unknown column ''"),
    (["connections", "-o", "id,,pid"], "unknown column ''"),
    (["list", "-o"], "the option '-o' needs a value"),
    (["list", "--color=blue"], "invalid color 'blue': write auto, always or never"),
    (["list", "-j"], "unknown option '-j'"),
    (["-s"], "the option '-s' needs a value"),
    (["-s", "x"], "the command is missing"),
    (["-s", "x", "stats"], "unknown command 'stats'; did you mean 'status'?"),
    (["connections", "a", "b"], "unexpected argument 'b': there is one service"),
    (["bans", "a/b"], "'a/b' is not the name of a service"),
])
def test_usage(args, message):
    done = hatchctl(*args)
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"hatchctl: {message}\n" in done.stderr.decode()


@pytest.mark.parametrize("command", ["list", "status", "connections", "bans"])
def test_help_names_columns(stub, command):
    """Every one that it has, and no others."""
    told = hatchctl(command, "--help").stdout.decode()
    named = re.findall(r"^  ([A-Z_]+) ", told.partition("Columns:\n")[2], re.MULTILINE)
    done = hatchctl(command, "-rO", "-s", stub.path)
    assert sorted(done.stdout.decode().split()) == sorted(named) and named


def test_where_to_ask(stub, folder):
    """Before the command or behind it; the last one counts."""
    for args in (["-s", stub.path, "list"], [f"--control={stub.path}", "list"],
                 ["list", "-s", stub.path], ["list", f"--control={stub.path}"],
                 ["-s", folder / "nobody", "list", "-s", stub.path],
                 ["-s", folder / "nobody", "-s", stub.path, "list"]):
        assert hatchctl(*args).returncode == 0
    assert stub.asked == 6 * [b"list\n"]


# ---------------------------------------------------------------------------
# How they look

EVIL = "\x1b[31m\u009b1mb\u00e4d\\"


def test_terminals_come_to_no_harm(stub):
    stub.lines = [{"service": EVIL, "state": EVIL, "reason": EVIL,
                   "addresses": [{"address": EVIL, "state": "open"}],
                   "refused": {"x": 1}, EVIL: 1}]
    for args in [], ["-r"], ["-J"]:
        done = hatchctl("list", "-O", *args, "-s", stub.path, env={"LC_ALL": "C.UTF-8"})
        text = done.stdout.decode()
        assert not any(c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160) for c in text), text
    (row,) = json.loads(text)["services"]
    assert row["service"] == row["reason"] == row["addresses"][0]["address"] == EVIL
    raw = hatchctl("list", "-rno", "service", "-s", stub.path).stdout.decode()
    assert raw == "\\x1b[31m\\xc2\\x9b1mb\\xc3\\xa4d\\x5c\n"
    shown = hatchctl("status", "-s", stub.path, "-o", "service", env={"LC_ALL": "C.UTF-8"})
    assert shown.stdout.decode().splitlines()[-1] == "\\x1b[31m\\xc2\\x9b1mb\u00e4d\\\\"


def test_without_utf_8(stub):
    """What the terminal does not know is written as bytes."""
    stub.lines = [{"service": "b\u00e4d", "state": "serving"}]
    done = hatchctl("list", "-no", "service,state", "-s", stub.path, env={"LC_ALL": "C"})
    assert done.stdout == b"b\\xc3\\xa4d  serving\n"


def test_whoever_answers_may_be_anybody(stub):
    """Values of other kinds are not known."""
    stub.lines = [{"service": 7, "state": ["serving"], "children": "x", "instances": -1,
                   "pending": 1.5, "started": None, "refused": [1, 2], "addresses": {},
                   "resumes_usec": True}, [], "x", 7]
    for args in [], ["-r"], ["-J"]:
        done = hatchctl("list", "-O", *args, "-s", stub.path)
        assert done.returncode == 0
    told = json.loads(done.stdout)["services"]
    assert len(told) == 4
    assert told[0]["service"] is told[0]["children"] is told[0]["resumes_usec"] is None


def on_terminal(*args, **env):
    """What hatchctl writes to a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        env = {**os.environ, "TERM": "xterm", **env}
        os.execve(HATCHCTL, ["hatchctl", *map(str, args)], env)
    text = b""
    with contextlib.suppress(OSError):
        while part := os.read(fd, 4096):
            text += part
    os.close(fd)
    assert os.waitpid(pid, 0)[1] == 0
    return text.decode()


def test_colors(stub):
    """For people who look at a terminal, unless they say otherwise."""
    stub.lines = [{"service": "a", "state": "waiting"}, {"service": "b", "state": "full"},
                  {"service": "c", "state": "serving"}]
    args = ["list", "-s", stub.path, "-no", "state"]
    plain = "waiting\nfull\nserving\n"
    colored = "\x1b[31mwaiting\x1b[0m\n\x1b[1;33mfull\x1b[0m\nserving\n"
    assert on_terminal(*args).replace("\r", "") == colored
    assert on_terminal(*args, "--color=never").replace("\r", "") == plain
    assert on_terminal(*args, NO_COLOR="1").replace("\r", "") == plain
    assert on_terminal(*args, TERM="dumb").replace("\r", "") == plain
    assert on_terminal(*args, "--color=always", NO_COLOR="1").replace("\r", "") == colored
    assert hatchctl(*args).stdout.decode() == plain
    assert hatchctl(*args, "--color=always").stdout.decode() == colored
    assert "\x1b" not in hatchctl(*args, "-r", "--color=always").stdout.decode()


def test_output_that_is_full(stub):
    stub.lines = [{"service": f"s{i}", "state": "serving"} for i in range(2000)]
    for args in [], ["-J"]:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([HATCHCTL, "list", *args, "-s", stub.path], stdout=full,
                                  stderr=subprocess.PIPE, timeout=20)
        assert done.returncode == 1
        assert b"unable to write to standard output: No space left" in done.stderr


def test_an_older_hatchd(stub):
    stub.lines = [{"error": "unknown request"}]
    done = hatchctl("bans", "-s", stub.path)
    assert (done.returncode, done.stderr) == (1, b"hatchctl: unknown request\n")
