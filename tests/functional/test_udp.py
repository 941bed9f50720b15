"""Datagram services: wait = yes, one child is handed the socket."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import time

import pytest

from harness import (
    PYTHON, connect, free_port, have_ipv6, held_back, helper, service, talk, udp,
    wait_until,
)


def datagrams(folder, count):
    return [PYTHON, "-S", "-E", helper("datagrams.py", folder), str(count)]


def test_boundaries_are_kept_the_empty_datagram_too(hatchd, folder):
    port = free_port()
    hatchd.file(service("echo", listen=f"udp:{port}", wait=True, exec=datagrams(folder, 5)))
    sent = [b"a", b"", b"ccc", b"\0" * 9000, b"end"]
    assert udp(f"udp:127.0.0.1:{port}", *sent) == sent


def test_empty_datagram_starts_the_child(hatchd, folder):
    port = free_port()
    hatchd.file(service("echo", listen=f"udp:{port}", wait=True, exec=datagrams(folder, 1)))
    assert udp(f"udp:127.0.0.1:{port}", b"") == [b""]


def test_service_is_ready_again_after_its_child(hatchd, folder):
    port = free_port()
    daemon = hatchd.file(
        service("echo", listen=f"udp:{port}", wait=True, exec=datagrams(folder, 1))
    )
    for number in range(1, 6):
        text = b"number %d" % number
        assert udp(f"udp:127.0.0.1:{port}", text) == [text]
        daemon.wait_log("ended: exit 0", count=number)


def test_burst_loses_nothing(hatchd, folder):
    """Each child takes one datagram of twelve: the others stay in the socket."""
    port = free_port()
    hatchd.file(service("echo", listen=f"udp:{port}", wait=True, exec=datagrams(folder, 1)))
    sent = [b"%d" % number for number in range(12)]
    assert udp(f"udp:127.0.0.1:{port}", *sent) == sent


def test_one_child_at_a_time(hatchd, folder):
    port = free_port()
    daemon = hatchd.file(
        service("echo", listen=f"udp:{port}", wait=True, exec=datagrams(folder, 100))
    )
    first, second = (connect(f"udp:127.0.0.1:{port}") for _ in range(2))
    for client in (first, second, first):
        client.send(b"hello")
        assert client.recv(100) == b"hello"
    assert len(daemon.children()) == 1
    first.send(b"end")
    assert first.recv(100) == b"end"


@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("separate", [True, False])
def test_both_families(hatchd, folder, separate):
    port = free_port()
    listen = [f"udp4:{port}", f"udp6:{port}"] if separate else f"udp:{port}"
    hatchd.file(service("echo", listen=listen, wait=True, exec=datagrams(folder, 1)))
    assert udp(f"udp:127.0.0.1:{port}", b"four") == [b"four"]
    assert udp(f"udp:[::1]:{port}", b"six") == [b"six"]


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix-dgram"])
def test_child_that_takes_nothing_makes_no_busy_loop(hatchd, folder, stamps, kind):
    """Its client stays in the socket, so the socket stays readable.

    The pauses do not grow: in a queue it may be another client each time, and clients
    that come and go would switch the service off for the others (I6).
    """
    port, other = free_port(), free_port()
    address = f"{kind}:{folder}/s" if kind == "unix-dgram" else f"{kind}:127.0.0.1:{port}"
    daemon = hatchd.file(
        service("lazy", listen=address, wait=True, exec="/bin/false")
        + service("upper", listen=f"tcp:{other}", exec=["/usr/bin/tr", "a-z", "A-Z"])
    )
    client = connect(address)
    if kind != "tcp":
        client.send(b"nobody wants me")
    daemon.wait_log("lazy: .*without taking what woke it, retrying in 100 ms")

    before, cpu = daemon.mark(), daemon.cpu()
    select.select([], [], [], 1.5)  # the period observed, not a wait for something
    assert daemon.cpu() - cpu < 0.075, "5 percent"
    children = [line for line in daemon.log.lines[before:] if "ended: " in line]
    assert len(children) <= (2 if kind == "udp" else 16), "there are pauses"
    assert talk(other, b"others are served") == b"OTHERS ARE SERVED"
    client.close()


# Takes a datagram, and leaves the socket ready although nothing lies there.
SPOILER = """
import contextlib, socket, sys
sock = socket.socket(fileno=0)
data, peer = sock.recvfrom(100)
sock.sendto(data, peer)
if sys.argv[1] == "shutdown":
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)
else:
    sock.setsockopt(socket.SOL_SOCKET, 37, 1 << 1 | 1 << 4)  # time stamps of what is sent
    sock.sendto(data, peer)
"""


@pytest.mark.parametrize("how", ["shutdown", "error"])
@pytest.mark.parametrize("option", [{"no_access": "192.0.2.0/24"},
                                    {"per_source_rate": "1000/s"}])
def test_socket_that_is_ready_and_empty_makes_no_busy_loop(hatchd, option, how):
    """The sender is looked at before a child is started, and there is none."""
    port = free_port()
    daemon = hatchd.file(service("spoiled", listen=f"udp:127.0.0.1:{port}", wait=True,
                                 exec=[PYTHON, "-S", "-E", "-c", SPOILER, how], **option))
    with connect(f"udp:127.0.0.1:{port}") as client:
        client.send(b"one")
        assert client.recv(100) == b"one"
        daemon.wait_log("ended: exit 0")
        if how == "shutdown":
            daemon.wait_log("its socket is ready, but there is nothing to take, retrying")
        cpu = daemon.cpu()
        select.select([], [], [], 1)  # the period observed, not a wait for something
        assert daemon.cpu() - cpu < 0.1, "10 percent"
        client.send(b"two")
        while client.recv(100) != b"two":
            pass


@pytest.fixture
def stamps():
    """Datagrams have time stamps from the start.

    The kernel gives them to all sockets when the first one asks, a moment later; those
    that come in meanwhile are told apart by nothing.
    """
    get_stamp = 0x8907  # SIOCGSTAMPNS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())

        def is_stamped():
            with contextlib.suppress(OSError):
                fcntl.ioctl(sock, get_stamp, bytes(16))
            sock.send(b"x")
            before = time.time_ns()
            sock.recv(1)
            seconds, rest = struct.unpack("qq", fcntl.ioctl(sock, get_stamp, bytes(16)))
            return seconds * 10**9 + rest < before

        wait_until(is_stamped)
        yield


# Serves what does not begin with "no"; looks at the datagram without taking it.
PICKY = """
import socket, sys
sock = socket.socket(fileno=0)
if sock.recvfrom(100, socket.MSG_PEEK)[0].startswith(b"no"):
    sys.exit(int(sys.argv[1]))
data, peer = sock.recvfrom(100)
sock.sendto(data, peer)
"""


@pytest.mark.parametrize("status", [0, 1])
def test_datagram_that_nobody_takes_is_dropped_alone(hatchd, stamps, status):
    """Three children had their chance; those behind it are served, in their order."""
    port = free_port()
    daemon = hatchd.file(
        service("picky", listen=f"udp4:{port}", wait=True,
                exec=[PYTHON, "-S", "-E", "-c", PICKY, status])
    )
    with contextlib.ExitStack() as stack:
        good, one, two = (
            stack.enter_context(connect(f"udp:127.0.0.1:{port}")) for _ in range(3)
        )
        with held_back(daemon):
            good.send(b"first")
            one.send(b"no one")
            good.send(b"second")
            two.send(b"no two")
            good.send(b"third")
        assert [good.recv(100) for _ in range(3)] == [b"first", b"second", b"third"]
        for bad in (one, two):
            name = "127.0.0.1:%d" % bad.getsockname()[1]
            daemon.wait_log(f"dropped a datagram from {name} that 3 children did not take")
        daemon.wait_children(0)
        daemon.wait_log("ended: ", count=9)  # three good ones, and three for each
        # Nothing is left, and whatever comes next is served.
        good.send(b"fourth")
        assert good.recv(100) == b"fourth"


def test_datagram_stays_while_the_program_cannot_be_started(hatchd, folder):
    """Only children that ran have had their chance."""
    port = free_port()
    program = folder / "program"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    daemon = hatchd.file(
        service("late", listen=f"udp4:{port}", wait=True, exec=program)
    )
    program.unlink()
    with connect(f"udp:127.0.0.1:{port}") as client:
        client.send(b"still there")
        daemon.wait_log("late: unable to start .*: exec: No such file")
        daemon.wait_log("late: no child can be started, new clients wait, retrying in 1.6 s")
        program.write_text(f"#!{PYTHON} -E\n" + PICKY)
        program.chmod(0o755)
        assert client.recv(100) == b"still there"
        assert "dropped" not in daemon.text()


def test_child_that_takes_one_datagram_is_good_enough(hatchd, folder):
    """However often, and if all datagrams look alike."""
    port = free_port()
    daemon = hatchd.file(
        service("echo", listen=f"udp:{port}", wait=True, exec=datagrams(folder, 1))
    )
    with connect(f"udp:127.0.0.1:{port}") as client:
        for number in range(6):
            client.send(b"%d" % number)
            assert client.recv(100) == b"%d" % number
    daemon.wait_log("ended: exit 0", count=6)
    assert "without taking" not in daemon.text()


def test_killed_child_is_replaced(hatchd, folder):
    """The socket is hatchd's: what kills the program does not close it."""
    port = free_port()
    daemon = hatchd.file(
        service("echo", listen=f"udp:{port}", wait=True, exec=datagrams(folder, 100))
    )
    assert udp(f"udp:127.0.0.1:{port}", b"one") == [b"one"]
    (child,) = daemon.children()
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: child not in daemon.children())
    assert udp(f"udp:127.0.0.1:{port}", b"end") == [b"end"]
