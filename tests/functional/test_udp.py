"""Datagram services: wait = yes, one child is handed the socket."""

import os
import select
import signal

import pytest

from harness import (
    PYTHON, connect, free_port, have_ipv6, helper, service, talk, udp, wait_until,
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


def test_without_wait_is_refused_with_a_hint(hatchd):
    done = hatchd.check(service("echo", listen=f"udp:{free_port()}", exec="/bin/cat"))
    assert done.returncode == 1
    assert "a datagram socket needs wait = yes" in done.stderr
    assert "one child per client comes in a later version" in done.stderr
    assert ":2:" in done.stderr, "the message stands at the address"


@pytest.mark.parametrize(
    "kind, program, most", [("udp", "/bin/true", 20), ("tcp", "/bin/false", 20)]
)
def test_child_that_takes_nothing_makes_no_busy_loop(hatchd, kind, program, most):
    """Its client stays in the socket, so the socket stays readable.

    The pauses do not grow: it may be another client each time, and clients that come
    and go would switch the service off for the others (I6).
    """
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("lazy", listen=f"{kind}:{port}", wait=True, exec=program)
        + service("upper", listen=f"tcp:{other}", exec=["/usr/bin/tr", "a-z", "A-Z"])
    )
    client = connect(f"{kind}:127.0.0.1:{port}")
    if kind == "udp":
        client.send(b"nobody wants me")
    daemon.wait_log("lazy: .*without taking what woke it, retrying in")

    before, cpu = daemon.mark(), daemon.cpu()
    select.select([], [], [], 1.5)  # the period observed, not a wait for something
    assert daemon.cpu() - cpu < 0.075, "5 percent"
    children = [line for line in daemon.log.lines[before:] if "ended" in line]
    assert len(children) <= most, "there are pauses"
    assert talk(other, b"others are served") == b"OTHERS ARE SERVED"
    client.close()


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
