"""hatchctl top: what is seen, what keys do, and that the terminal survives it.

Pictures are compared with tests/golden/top-*.txt; they show a stub, which is always the same.
"""

import contextlib
import difflib
import os
import pathlib
import re
import resource
import signal
import subprocess

import pytest

from harness import (
    HATCHCTL, IS_SANITIZED, connect, cpu_seconds, free_port, hatchctl, proc_status,
    read_all, service, stanza, wait_until,
)
from stub_control import StubControl
from terminal import Terminal, children_of, needs_tmux, top

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"


def masked(screen):
    """The load is that of this machine; a box may hide its end."""
    lines = [line.rstrip() for line in screen.rstrip("\n").split("\n")]
    return "\n".join(
        re.sub(r"^(Load +\[)(.*(?=\])|[| ]*)", lambda m: m[1] + "#" * len(m[2]), line)
        for line in lines) + "\n"


def compare(terminal, text, name):
    """What there is when the text is there, and all that came with it.

    HATCHD_WRITE_GOLDEN=1 writes the pictures anew, to be looked at before a commit.
    """
    path = GOLDEN / f"top-{name}.txt"
    terminal.wait(text)
    if os.environ.get("HATCHD_WRITE_GOLDEN"):
        path.write_text(masked(terminal.still()))
    wanted = path.read_text()
    with contextlib.suppress(AssertionError):
        wait_until(lambda: masked(terminal.screen()) == wanted, timeout=5)
    seen = masked(terminal.screen())
    assert seen == wanted, "\n".join(
        difflib.unified_diff(wanted.splitlines(), seen.splitlines(), str(path), "screen"))


# ---------------------------------------------------------------------------
# Pictures

SIZES = [(80, 24), (200, 50)]


@needs_tmux
@pytest.mark.parametrize("width, height", SIZES)
def test_nobody_is_there(folder, width, height):
    with StubControl(folder / "control", services=0, last=2):
        with top(folder, "-d100ms", width=width, height=height) as terminal:
            compare(terminal, "12.0/s", f"empty-{width}x{height}")


@needs_tmux
@pytest.mark.parametrize("width, height", SIZES)
def test_services(folder, width, height):
    with StubControl(folder / "control", services=14, connections=200, last=2):
        with top(folder, "-d100ms", width=width, height=height) as terminal:
            compare(terminal, "12.0/s", f"services-{width}x{height}")
            terminal.type("?")
            compare(terminal, "draw the screen anew", f"help-{width}x{height}")


@needs_tmux
@pytest.mark.parametrize("width, height", SIZES)
def test_many_connections(folder, width, height):
    with StubControl(folder / "control", services=14, connections=2000, last=2):
        with top(folder, "-d100ms", "-c", width=width, height=height) as terminal:
            compare(terminal, "12.0/s", f"connections-{width}x{height}")
            terminal.type("End")
            compare(terminal, "\n2000 ", f"end-{width}x{height}")
            terminal.type("Enter")
            compare(terminal, " Connection 2000 ", f"details-{width}x{height}")


@needs_tmux
@pytest.mark.parametrize("width", [20, 40, 60])
def test_narrow(folder, width):
    """Whatever is left of it, it is that size, and what has no room is left out."""
    with StubControl(folder / "control", services=3, connections=9, last=2):
        with top(folder, "-d100ms", "-c", width=width, height=12) as terminal:
            seen = terminal.wait("12.0/s")
            assert width < 60 or "rate 2.+\n" in seen
            for height in (8, 4, 1, 12):
                terminal.resize(width, height)
            assert "PEER" in terminal.wait("192.0")


# ---------------------------------------------------------------------------
# Keys


@needs_tmux
def test_a_tour(folder):
    with StubControl(folder / "control", services=5, connections=40, last=2):
        with top(folder, "-d100ms") as terminal:
            terminal.wait("12.0/s")
            # The second service, and back.
            terminal.type("Down", "Enter")
            seen = terminal.wait("Connections of mail 8")
            assert "192.0.2.2:40001" in seen and "192.0.2.1:40000" not in seen
            terminal.type("Escape")
            terminal.wait("Services 5")
            terminal.type("Tab")
            terminal.wait("Connections 40")
            # Letter by letter, and what is found can be kept.
            terminal.type("/")
            terminal.wait("Filter:")
            terminal.type("host1")
            terminal.wait("Connections 6 of 40")
            terminal.type("3")
            terminal.wait("Connections 1 of 40")
            terminal.type("BSpace", "Enter")
            terminal.wait('6 of 40   only with "host1"')
            terminal.type("Escape")
            terminal.wait("Connections 40")
            terminal.type("<", "<")
            terminal.wait("by PID")
            terminal.type("r")
            terminal.wait("by PID, reversed")
            terminal.type(" ")
            terminal.wait("paused")
            terminal.type("+")
            terminal.wait("A new sample every 200 ms")
            terminal.type("q")
            terminal.wait_end()


@needs_tmux
def test_end_a_connection(folder):
    with StubControl(folder / "control", services=3, connections=5) as stub:
        with top(folder, "-d100ms", "-c") as terminal:
            terminal.wait("12.0/s")
            terminal.type("Down", "Down", "k")
            terminal.wait("End connection 3 of git, 192.0.2.3:40002? y/n")
            terminal.type("n")
            terminal.wait("y/n", gone=True)
            assert not any(request.startswith("kill") for request in stub.requests)
            stub.forbidden = True
            terminal.type("k", "y")
            terminal.wait("permission denied")
            stub.forbidden = False
            terminal.type("k", "y")
            terminal.wait("Connections 4")
            terminal.wait("192.0.2.3:40002", gone=True)
            assert [r for r in stub.requests if r.startswith("kill")] == ["kill 3"] * 2


@needs_tmux
def test_resize(folder):
    with StubControl(folder / "control", services=3, connections=5, last=2):
        with top(folder, "-d100ms") as terminal:
            assert "ADDRESSES" not in terminal.wait("12.0/s")
            terminal.resize(200, 50)
            lines = terminal.wait("ADDRESSES").rstrip("\n").split("\n")
            assert lines[49].startswith("q quit")
            terminal.resize(80, 24)
            lines = terminal.wait("ADDRESSES", gone=True).rstrip("\n").split("\n")
            assert lines[23].startswith("q quit")


# ---------------------------------------------------------------------------
# What can go wrong


@needs_tmux
def test_hatchd_goes_and_comes_back(folder):
    stub = StubControl(folder / "control", services=2)
    with top(folder, "-d100ms") as terminal:
        terminal.wait("is hatchd running?")
        with stub:
            terminal.wait("12.0/s")
            assert "is hatchd running?" not in terminal.screen()
        seen = terminal.wait("is hatchd running?")
        assert "not answering" in seen and "mail" in seen
        # It is another one now: nothing is compared with what the first had counted.
        stub.pid, stub.sample, stub.last = 4712, 0, 1
        with stub:
            seen = terminal.wait("process 4712")
            assert "not answering" not in seen and re.search(r"Accepted - ", seen)


@needs_tmux
def test_no_answer(folder):
    """A hatchd that says nothing keeps nobody from leaving."""
    with StubControl(folder / "control", last=0) as stub:
        with top(folder, "-d100ms") as terminal:
            stub.wait_asked("status")
            terminal.type("?")
            terminal.wait("draw the screen anew")
            terminal.type("x", "q")
            terminal.wait_end()


@needs_tmux
def test_control_characters(folder):
    with StubControl(folder / "control", services=1, connections=1, last=2) as stub:
        stub.peer = "\x1b[2Jwiped\x9b31m\x07"
        with top(folder, "-d100ms", "-c", width=200) as terminal:
            assert "\\x1b[2Jwiped\\xc2\\x9b31m\\x07" in terminal.wait("12.0/s")


@needs_tmux
@pytest.mark.parametrize("end", ["q", "C-c", signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_the_terminal_is_as_before(folder, end):
    """Its settings, and what was on it."""
    script = 'echo "I am here"; stty -g; "$@"; status=$?; stty -g; exit $status'
    with StubControl(folder / "control", services=2) as stub:
        command = ["/bin/sh", "-c", f"trap : INT; {script}", "sh", HATCHCTL, "top", "-d100ms",
                   f"--control={stub.path}"]
        with Terminal(folder, 120, 24, command) as terminal:
            assert "I am here" not in terminal.wait("12.0/s")
            if isinstance(end, str):
                terminal.type(end)
            else:
                (child,) = children_of(terminal.pid())
                os.kill(child, end)
            lines = terminal.wait_end().split("\n")
            assert lines[0] == "I am here" and lines[1] == lines[2] != "", lines
            assert terminal.tmux("display-message", "-p", "#{cursor_flag}") == "1\n"


@needs_tmux
def test_suspended(folder):
    """Ctrl-Z: meanwhile the terminal is that of the shell."""
    script = 'set -m; "$@"; echo "stopped"; read -r line; fg; exit $?'
    modes = "#{alternate_on} #{cursor_flag}"
    with StubControl(folder / "control", services=2) as stub:
        command = ["/bin/bash", "-c", script, "bash", HATCHCTL, "top", "-d100ms",
                   f"--control={stub.path}"]
        with Terminal(folder, 80, 24, command) as terminal:
            terminal.wait("12.0/s")
            assert terminal.tmux("display-message", "-p", modes) == "1 0\n"
            terminal.type("C-z")
            assert "Services" not in terminal.wait("stopped")
            assert terminal.tmux("display-message", "-p", modes) == "0 1\n"
            stub.services = 1
            terminal.type("Enter")
            terminal.wait("Services 1")
            assert terminal.tmux("display-message", "-p", modes) == "1 0\n"
            terminal.type("q")
            terminal.wait_end()


@needs_tmux
def test_colours(folder):
    with StubControl(folder / "control", services=7, last=2):
        with top(folder, "-d100ms") as terminal:
            terminal.wait("12.0/s")
            assert re.search(r"\x1b\[[0-9;]*3[1-6]", terminal.screen("-e"))
    (folder / "tmux").unlink(missing_ok=True)
    with StubControl(folder / "control", services=7, last=2):
        with top(folder, "-d100ms", env={"NO_COLOR": "1"}) as terminal:
            terminal.wait("12.0/s")
            seen = terminal.screen("-e")
            assert not re.search(r"\x1b\[[0-9;]*3[0-7]", seen) and "\x1b[7m" in seen


@needs_tmux
@pytest.mark.parametrize("term", ["dumb", "no-such-terminal"])
def test_terminals_that_cannot(folder, term):
    command = ["/usr/bin/env", f"TERM={term}", HATCHCTL, "top"]
    with Terminal(folder, 80, 24, command) as terminal:
        seen = terminal.wait_end(status=1)
        assert f"unable to draw on a terminal of type '{term}'; use --batch\n" in seen


def test_no_terminal():
    done = hatchctl("top")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"hatchctl: this is no terminal; use --batch\n"


# ---------------------------------------------------------------------------
# Without a terminal


def batch(*args, control):
    return hatchctl("top", "--batch", "-d100ms", f"--control={control}", *args)


def test_batch(folder):
    with StubControl(folder / "control", services=3, connections=6) as stub:
        done = batch("-n2", control=stub.path)
        assert (done.returncode, done.stderr) == (0, b"")
        text = done.stdout.decode()
        assert stub.requests == ["status", "list", "connections"] * 3
    pictures = text.split("\nhatchd:")
    assert len(pictures) == 2
    facts, table = pictures[0].split("\n\n")
    assert "Accepted:    12.0/s\n" in facts
    assert "Refused:     5.0/s: per_source 3.0/s, rate 2.0/s" in facts
    assert [line.split()[:6] for line in table.rstrip("\n").split("\n")] == [
        ["SERVICE", "STATE", "CHILD", "LIMIT", "RATE/s", "REFUSED/s"],
        ["web", "serving", "2", "512", "10.0", "0"],
        ["mail", "serving", "2", "-", "20.0", "5.0"],
        ["git", "serving", "2", "512", "30.0", "10.0"],
    ]
    assert all(line == line.rstrip() for line in text.split("\n"))


def rows(done):
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.decode().split("\n\n")[1].splitlines()[1:]]


def test_batch_of_connections(folder):
    with StubControl(folder / "control", services=3, connections=9) as stub:
        found = rows(batch("-n1", "mail", control=stub.path))
        assert [row[0] for row in found] == ["2", "5", "8"]
        found = rows(batch("-n1", "-c", "-f", "host5", control=stub.path))
        assert [row[0] for row in found] == ["6"] and "relay" in found[0]
        found = rows(batch("-n1", "-c", "-o", "id", control=stub.path))
        assert [row[0] for row in found] == [str(n) for n in range(9, 0, -1)]
        found = rows(batch("-n1", "-c", "-o", "-id", control=stub.path))
        assert [row[0] for row in found] == [str(n) for n in range(1, 10)]


def test_batch_of_no_service(folder):
    with StubControl(folder / "control", services=3, connections=9) as stub:
        done = batch("-n1", "nobody", control=stub.path)
        assert (done.returncode, done.stderr) == (2, b"hatchctl: no such service\n")
        # One that has gone, and has connections still.
        stub.services = 2
        stub.names = {5: "removed"}
        assert [row[0] for row in rows(batch("-n1", "removed", control=stub.path))] == ["6"]


def test_batch_without_hatchd(folder):
    done = batch(control=folder / "control")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"is hatchd running?" in done.stderr


@pytest.mark.parametrize("args, message", [
    (["a", "b"], "unexpected argument 'b': there is one service"),
    (["a b"], "'a b' is not the name of a service"),
    (["--delay=soon"], "'soon' is no time such as 500ms, 2s or 0.5"),
    (["-d", "0.5."], "'0.5.' is no time such as 500ms, 2s or 0.5"),
    (["-d", "."], "'.' is no time such as 500ms, 2s or 0.5"),
    (["-d", "0.01"], "the delay is from 100ms to 1d, not 0.01"),
    (["-d", "2d"], "the delay is from 100ms to 1d, not 2d"),
    (["-f", "x" * 64], "the filter has more than 63 characters"),
    (["-n", "0"], "'0' is no number of samples"),
    (["-o", "STATUS"], "unknown column 'STATUS'; did you mean 'STATE'?"),
    (["-o", "-nothing"], "unknown column 'nothing'"),
    (["--bach"], "unknown option '--bach'; did you mean '--batch'?"),
])
def test_usage(args, message):
    done = hatchctl("top", *args)
    assert done.returncode == 2
    assert f"hatchctl: {message}\n" in done.stderr.decode()


def test_help():
    done = hatchctl("top", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(b"Usage: hatchctl top [OPTION...] [SERVICE]\n")


# ---------------------------------------------------------------------------
# A real one


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def cells(done):
    """The rows, each as a dictionary."""
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.decode().split("\n\n")[1].splitlines()
    return [dict(zip(head.split(), line.split())) for line in lines]


def test_what_connections_cost(hatchd, path):
    """One that computes, one that is sent much, and what both are together."""
    busy, quiet = free_port(), free_port()
    hatchd.file(
        service("busy", listen=f"tcp:127.0.0.1:{busy}", kill_after="1s",
                exec=["/bin/sh", "-c", "while :; do :; done"])
        + service("quiet", listen=f"tcp:127.0.0.1:{quiet}", exec="/bin/cat"),
        f"--control={path}")
    with connect(busy) as one, connect(quiet) as two:
        two.sendall(b"x" * 5000)
        assert len(read_some(two, 5000)) == 5000
        done = hatchctl("top", "-b", "-c", "-n1", "-d0.5", f"--control={path}")
        computing, sending = cells(done)
        assert computing["SERVICE"] == "busy" and float(computing["CPU%"]) > 1
        assert (sending["SERVICE"], sending["CPU%"]) == ("quiet", "0")
        assert (sending["RX"], sending["TX"]) == ("4.9K", "4.9K")
        assert sending["STATE"] == "running" and sending["MEM"] not in ("-", "0")
        done = hatchctl("top", "-b", "-n1", "-d0.5", "-o", "cpu", f"--control={path}")
        first = cells(done)[0]
        assert (first["SERVICE"], first["CHILD"]) == ("busy", "1")
        assert float(first["CPU%"]) > 1
        # Nobody else would end it.
        assert hatchctl_ask(path, f"kill {computing['ID']}")
        assert read_all(one) == b""


def read_some(sock, n):
    data = b""
    while len(data) < n:
        part = sock.recv(n - len(data))
        assert part
        data += part
    return data


def hatchctl_ask(path, request):
    with connect(f"unix:{path}") as client:
        client.sendall(request.encode() + b"\n")
        return b'"done":true' in read_all(client)


@needs_tmux
def test_a_real_one(hatchd, path, folder):
    port = free_port()
    hatchd.file(service("cat", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat"),
                f"--control={path}")
    with connect(port) as client, top(folder, "-d100ms", control=path) as terminal:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        terminal.wait("Services    1, 1 serving")
        terminal.wait("Connections 1")
        terminal.type("Enter")
        seen = terminal.wait("Connections of cat 1")
        assert f"127.0.0.1:{client.getsockname()[1]}" in seen and "running" in seen
        terminal.type("k")
        terminal.wait("y/n")
        terminal.type("y")
        assert read_all(client) == b""
        terminal.wait("Connections of cat 0")
        terminal.type("q")
        terminal.wait_end()


def test_many_real_ones(hatchd, path):
    """2,000 connections: what a picture of them takes stays small."""
    port, many = free_port(), 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < many + 500:
        pytest.skip(f"no more than {hard} descriptors are allowed here")
    hatchd.file(
        stanza("service", "discard", listen=f"tcp:127.0.0.1:{port}", builtin="discard",
               instances=many, per_source=many),
        f"--control={path}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, many + 500), hard))
    clients = []
    try:
        clients += (connect(port) for _ in range(many))
        wait_until(lambda: b"Connections: 2000\n" in batch("-n1", control=path).stdout)
        command = [HATCHCTL, "top", "-bc", "-d100ms", f"--control={path}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            text = [next(process.stdout) for _ in range(4 * (many + 10))]
            peak = int(proc_status(process.pid)["VmHWM"].split()[0])
            seconds = cpu_seconds(process.pid)
            process.kill()
        assert sum(b" builtin " in line for line in text) > 3 * many
        if not IS_SANITIZED:
            # For five samples or more, of 30 ms where nobody else computes.
            assert seconds < 2.5
            assert peak < 32 * 1024  # KiB
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
