"""account_bytes: the record of a program's TCP connection has what went over it, or nothing."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from harness import (
    HATCHD, IS_ROOT, IS_SANITIZED, built_helper, children_named, connect, free_port,
    proc_status, read_all, reload, service, talk, wait_until,
)

# What a record says of them.
COUNTED = r"(\d+) bytes in, (\d+) out"
BYTES = rf"(?:{COUNTED}|bytes unknown)"


def counters(daemon):
    return children_named(daemon.pid, "hatchd-bytes")


def counted(name, port, script, **options):
    options = {"account_bytes": "yes", **options}
    return service(name, listen=f"tcp:127.0.0.1:{port}", shell=script, **options)


def records(daemon, count, name="", after=0):
    """What they say of bytes, each a pair or None."""
    pattern = rf"{name}: child \d+ ended: .*?{BYTES}, .* from 127\.0\.0\.1:(\d+)"
    daemon.wait_log(pattern, count=count, after=after)
    found = (re.search(pattern, line) for line in daemon.text().splitlines()[after:])
    return {int(m[3]): None if m[1] is None else (int(m[1]), int(m[2])) for m in found if m}


def record(daemon, name="", after=0):
    (one,) = records(daemon, 1, name, after).values()
    return one


def settle(daemon, port, name):
    """The process is heard of before it hears: until a first one is counted."""
    def works():
        mark = daemon.mark()
        talk(port)
        return record(daemon, name, mark) is not None
    wait_until(works)
    return daemon.mark()


def test_exact(hatchd):
    """Many at a time, of different sizes both ways."""
    port = free_port()
    daemon = hatchd.file(counted(
        "echo", port, 'read n; head -c "$n" /dev/zero; cat >/dev/null',
        per_source=512))
    mark = settle(daemon, port, "echo")
    expected = {}

    def client(size_in, size_out):
        head = b"%d\n" % size_out
        with connect(port) as sock:
            own = sock.getsockname()[1]
            sock.sendall(head + bytes(size_in))
            sock.shutdown(socket.SHUT_WR)
            assert len(read_all(sock)) == size_out
        expected[own] = (len(head) + size_in, size_out)

    sizes = [0, 1, 1447, 1448, 65535, 300000]
    threads = [threading.Thread(target=client, args=(i, o)) for i in sizes for o in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(expected) == len(sizes) ** 2
    assert records(daemon, len(expected), "echo", mark) == expected


def test_program_ends_first(hatchd):
    """Its client does not, or is quick about it; what it has not read it has not had."""
    port, hasty = free_port(), free_port()
    daemon = hatchd.file(
        counted("polite", port, "read line; echo answer")
        + counted("hasty", hasty, "echo answer"))
    mark = settle(daemon, port, "polite")
    with connect(port) as sock:
        sock.sendall(b"question\n")
        assert read_all(sock) == b"answer\n"
        assert record(daemon, "polite", mark) == (9, 7)
    mark = daemon.mark()
    assert talk(port, b"question\n", half_close=False) == b"answer\n"
    assert record(daemon, "polite", mark) == (9, 7)
    with connect(hasty) as sock:
        assert read_all(sock) == b"answer\n"
    assert record(daemon, "hasty") == (0, 7)


def test_client_resets(hatchd):
    port = free_port()
    daemon = hatchd.file(counted("cat", port, "exec cat"))
    mark = settle(daemon, port, "cat")
    with connect(port) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert record(daemon, "cat", mark) == (5, 5)


def test_child_is_killed(hatchd):
    port = free_port()
    daemon = hatchd.file(counted("cat", port, "exec cat"))
    mark = settle(daemon, port, "cat")
    with connect(port) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
        (child,) = daemon.wait_children(1)
        os.kill(child, signal.SIGKILL)
        assert read_all(sock) == b""
    assert record(daemon, "cat", mark) == (5, 5)


def test_not_wanted(hatchd):
    port, silent = free_port(), free_port()
    plain = counted("plain", silent, "exec cat", account_bytes="no")
    daemon = hatchd.file(plain)
    assert talk(silent, b"hello") == b"hello"
    daemon.wait_log(r"plain: child \d+ ended: exit 0, [^,]*, from")
    assert counters(daemon) == []
    reload(daemon, plain + counted("cat", port, "exec cat"))
    mark = settle(daemon, port, "cat")
    assert talk(port, b"hello") == b"hello"
    assert record(daemon, "cat", mark) == (5, 5)
    (pid,) = counters(daemon)
    # What goes on with what it was started with is counted to its end.
    with connect(port) as sock:
        daemon.wait_children(1)
        reload(daemon, plain)
        assert counters(daemon) == [pid]
        mark = daemon.mark()
        sock.sendall(b"last")
        assert sock.recv(4) == b"last"
    assert record(daemon, "cat", mark) == (4, 4)
    wait_until(lambda: not counters(daemon))


def test_has_no_rights(hatchd):
    port = free_port()
    daemon = hatchd.file(counted("cat", port, "exec cat"), env={"SECRET": "s"})
    settle(daemon, port, "cat")
    (pid,) = counters(daemon)
    status = proc_status(pid)
    if IS_ROOT:
        assert status["Uid"].split() == ["65530"] * 4
        assert status["Gid"].split() == ["65530"] * 4
        assert status["Groups"].split() == []
    for kind in ("Inh", "Prm", "Eff", "Amb"):
        assert int(status[f"Cap{kind}"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    for limit in ("processes", "file size", "core file size"):
        assert re.search(rf"^Max {limit} +0 +0 ", limits, re.MULTILINE), limit


@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer must be loaded first")
def test_breaks_out(hatchd):
    """It is killed for what is not its work; hatchd goes on."""
    port = free_port()
    daemon = hatchd.file(
        counted("cat", port, "exec cat"), env={"LD_PRELOAD": built_helper("break-out.so")})

    def is_killed():
        assert talk(port, b"hello") == b"hello"
        return "all connections: hatchd-bytes has ended" in daemon.text()
    wait_until(is_killed)


def test_slow_client(hatchd):
    """He does not take his answer: his record is late, but nobody waits for it."""
    port = free_port()
    daemon = hatchd.file(counted("big", port, "head -c 2000000 /dev/zero", instances=1))
    mark = settle(daemon, port, "big")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        assert sock.recv(1) == b"\0"
        assert len(talk(port)) == 2000000
        daemon.wait_log(r"big: child \d+ ended: .* 2000000 out", after=mark)
        both = records(daemon, 2, "big", mark)
        (late,) = set(both) - {p for p, r in both.items() if r == (0, 2000000)}
        assert late == sock.getsockname()[1]
        assert both[late][0] == 0 and 0 < both[late][1] < 2000000


def test_many_slow_clients(hatchd):
    """More than records may wait: the oldest go, and a quick client is counted as ever."""
    port, size, most = free_port(), 40000, 1024
    daemon = hatchd.file(counted(
        "big", port, f"head -c {size} /dev/zero", instances=2000, per_source=2000))
    mark = settle(daemon, port, "big")
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        for _ in range(most + 50):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", port))
        daemon.wait_children(0)
        in_time = time.monotonic() - began < 4
        assert len(talk(port)) == size
        daemon.wait_log(rf"big: child \d+ ended: .* {size} out", after=mark)
        told = records(daemon, most + 51, "big", mark)
    assert not in_time or sum(r is None for r in told.values()) >= 50
    assert all(r is None or 0 < r[1] <= size for r in told.values())


def test_another_process_has_it(hatchd):
    """The program has left it to one of its own: what it was so far is told."""
    port = free_port()
    daemon = hatchd.file(counted("left", port, "echo early; read line; sleep 20 &"))
    with connect(port) as sock:
        sock.sendall(b"line\n")
        assert sock.recv(6) == b"early\n"
        assert record(daemon, "left") == (5, 6)


def test_stops_with_slow_client(hatchd):
    """It waits for records, but not for long: this one has what was known by then."""
    port = free_port()
    daemon = hatchd.file(counted("big", port, "head -c 2000000 /dev/zero"))
    mark = settle(daemon, port, "big")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        assert sock.recv(1) == b"\0"
        daemon.wait_children(0)
        daemon.stop()
    assert 0 < record(daemon, "big", mark)[1] < 2000000


def test_counter_is_killed(hatchd):
    """What it was waiting for is unknown; then it works again."""
    port = free_port()
    daemon = hatchd.file(counted("cat", port, "exec cat"))
    mark = settle(daemon, port, "cat")
    with connect(port) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
        (pid,) = counters(daemon)
        os.kill(pid, signal.SIGKILL)
        daemon.wait_log("unable to count the bytes of all connections: hatchd-bytes has ended")
    assert record(daemon, "cat", mark) is None
    mark = settle(daemon, port, "cat")
    assert counters(daemon) != [pid]
    assert talk(port, b"hello") == b"hello"
    assert record(daemon, "cat", mark) == (5, 5)


def test_counter_is_loud(hatchd, folder):
    """It is taken over by a stranger and says no end of things: it is killed, and nobody
    waits for it."""
    port, other = free_port(), free_port()
    own = folder / "own"
    own.mkdir()
    own.chmod(0o755)
    for name in ("hatchd", "hatchd-load", "hatchd-ask"):
        shutil.copy(pathlib.Path(HATCHD).parent / name, own / name)
    shutil.copy(built_helper("loud"), own / "hatchd-bytes")
    daemon = hatchd.file(
        counted("cat", port, "exec cat")
        + service("other", listen=f"tcp:127.0.0.1:{other}", exec="/bin/cat"),
        binary=own / "hatchd")
    daemon.wait_log("unable to count the bytes of all connections: ")
    killed = set()

    def is_killed_again():
        killed.update(counters(daemon))
        assert talk(other, b"hello") == b"hello"
        return len(killed) > 2
    wait_until(is_killed_again)
    mark = daemon.mark()
    assert talk(port, b"hello") == b"hello"
    assert record(daemon, "cat", mark) is None
    daemon.stop()


def test_counter_is_stuck(hatchd):
    """It says nothing: everybody is served, and what is not known is not made up."""
    port = free_port()
    daemon = hatchd.file(counted("cat", port, "exec cat"))
    mark = settle(daemon, port, "cat")
    (pid,) = counters(daemon)
    os.kill(pid, signal.SIGSTOP)
    for _ in range(5):
        assert talk(port, b"hello") == b"hello"
    daemon.wait_children(0)
    assert set(records(daemon, 5, "cat", mark).values()) == {None}
    os.kill(pid, signal.SIGCONT)
    mark = daemon.mark()
    assert talk(port, b"hello") == b"hello"
    assert record(daemon, "cat", mark) == (5, 5)


FLOOD = """
import socket, struct, sys
listener = socket.create_server(("127.0.0.1", 0), backlog=128)
address = listener.getsockname()
for i in range(int(sys.argv[1])):
    client = socket.create_connection(address)
    server, _ = listener.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    server.close()
"""


def test_flood_of_others(hatchd):
    """Somebody else's connections end by the thousand: ours are right, or unknown."""
    port = free_port()
    daemon = hatchd.file(counted("cat", port, "exec cat"))
    mark = settle(daemon, port, "cat")
    flood = subprocess.Popen([sys.executable, "-c", FLOOD, "5000"])
    try:
        n = 0
        while flood.poll() is None or n == 0:
            assert talk(port, b"x" * 100) == b"x" * 100
            n += 1
    finally:
        flood.kill()
        flood.wait()
    assert set(records(daemon, n, "cat", mark).values()) <= {(100, 100), None}


def test_behind_a_proxy(hatchd):
    """The bytes are those of the connection that hatchd has taken, with the header."""
    port = free_port()
    header = b"PROXY TCP4 127.0.0.1 192.0.2.2 4711 80\r\n"
    daemon = hatchd.file(counted(
        "cat", port, "exec cat", proxy_protocol="required", proxy_from="127.0.0.1"))

    def works():
        mark = daemon.mark()
        assert talk(port, header + b"hello") == b"hello"
        return record(daemon, "cat", mark) == (len(header) + 5, 5)
    wait_until(works)


def test_several_paths(hatchd):
    """The kernel does not tell of them."""
    if not hasattr(socket, "IPPROTO_MPTCP"):
        pytest.skip("no MPTCP in this Python")
    port = free_port()
    daemon = hatchd.file(service(
        "cat", listen=f"mptcp:127.0.0.1:{port}", shell="exec cat", account_bytes="yes"))
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
        sock.connect(("127.0.0.1", port))
    except OSError:
        pytest.skip("no MPTCP here")
    with sock:
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"hello"
    assert record(daemon, "cat") is None


def test_once(hatchd):
    """The end of hatchd waits for the record, not the client for hatchd."""
    port = free_port()
    daemon = hatchd.adhoc(
        "--once", "-v", "--account-bytes", "-l", f"tcp:127.0.0.1:{port}", "--", "cat")
    wait_until(lambda: counters(daemon))
    with connect(port) as sock:
        for _ in range(100):
            sock.sendall(b"hello")
            assert sock.recv(5) == b"hello"
    assert daemon.wait_end() == 0
    assert re.search(rf"child \d+ ended: exit 0, {BYTES}, ", daemon.text())


def test_traffic_is_not_wanted(hatchd, folder):
    """In the log; who follows is told everything."""
    port, path = free_port(), folder / "control"
    daemon = hatchd.file(
        counted("cat", port, "exec cat", log_on_success="host"), f"--control={path}")
    with socket.socket(socket.AF_UNIX) as events:
        events.connect(str(path))
        events.sendall(b"events\n")
        lines = events.makefile()

        def close():
            assert talk(port, b"hello") == b"hello"
            for line in lines:
                told = json.loads(line)
                if told.get("event") == "close":
                    return told
        wait_until(lambda: "bytes_in" in (told := close()) and
                   (told["bytes_in"], told["bytes_out"]) == (5, 5))
    daemon.wait_log(r"cat: connection \d+ ended: from 127")
    assert "bytes" not in daemon.text()
