"""What an upgrade in place keeps: children and their records, limits, bans, numbers."""

import os
import signal
import socket

import pytest

from harness import (
    built_helper,
    connect,
    free_port,
    held_back,
    proc_stat,
    read_all,
    read_exactly,
    service,
    talk,
    wait_until,
)
from test_accounting import Book
from test_bans import BAD, GOOD, bans, cat, change, is_served
from test_control import status
from upgrades import upgrade


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def say(client, words=b"x"):
    """What comes back from cat."""
    client.sendall(words)
    return read_exactly(client, len(words))


# ---------------------------------------------------------------------------
# Children


def test_children_are_reaped_by_the_new_one(hatchd):
    """Each is a child of the same process, and is recorded when it ends."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell='read x; exit "$x"'))
    clients = [connect(port) for _ in range(3)]
    children = daemon.wait_children(3)
    for _ in range(2):
        upgrade(daemon)
        assert daemon.children() == children
    for status_, client in enumerate(clients, 3):
        with client:
            client.sendall(b"%d\n" % status_)
            assert read_all(client) == b""
        daemon.wait_log(rf"s: child \d+ ended: exit {status_}, .*, from 127\.0\.0\.1:\d+$")
    daemon.wait_children(0)


def test_child_that_ends_meanwhile(hatchd):
    """Before the new one has looked: it is not lost among those that it takes over."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell="read x; exit 7"))
    for _ in range(5):
        mark = daemon.mark()
        with connect(port) as client:
            (child,) = daemon.wait_children(1)
            with held_back(daemon):
                client.sendall(b"\n")
                wait_until(lambda child=child: proc_stat(child)[0] == "Z", what="its end")
                daemon.signal(signal.SIGUSR2)
            daemon.wait_log("upgraded to hatchd", after=mark)
        daemon.wait_log(rf"s: child {child} ended: exit 7", after=mark)
        daemon.wait_children(0)


def test_accounting_goes_on(hatchd, folder):
    """In the same file: each connection once, with how long it really took."""
    port, book = free_port(), Book(folder)
    daemon = hatchd.file(
        book.section() + service("s", listen=f"tcp:{port}", exec="/bin/cat"))
    with connect(port) as client:
        assert say(client) == b"x"
        upgrade(daemon)
        assert say(client) == b"x"
        assert talk(port, b"y") == b"y"
    assert sorted(line["connection"] for line in book.wait(2)) == [1, 2]


def test_program_that_has_the_socket(hatchd):
    """wait = yes: it keeps it, and the socket is looked at again when it has ended."""
    port = free_port()
    daemon = hatchd.file(service(
        "w", listen=f"udp:{port}", wait=True, shell="for i in 1 2; do head -c 3 >&2; done"))
    with connect(f"udp:127.0.0.1:{port}") as client:
        for _ in range(2):
            mark = daemon.mark()
            client.send(b"1.\n")
            daemon.wait_log(r"^1\.", after=mark)
            (child,) = daemon.children()
            for _ in range(2):
                upgrade(daemon)
            assert daemon.children() == [child]
            client.send(b"2.\n")
            daemon.wait_log(r"^2\.", after=mark)
            daemon.wait_log(f"w: child {child} ended: exit 0", after=mark)


@pytest.mark.needs_root
def test_program_that_holds_the_lock(hatchd):
    """I2: of a socket that programs have had nothing is asked that would wait for them."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("held", listen=f"udp:127.0.0.1:{port}", wait=True, user="root",
                exec=built_helper("hold-lock"))
        + service("cat", listen=f"tcp:{other}", exec="/bin/cat"))
    with connect(f"udp:127.0.0.1:{port}") as client:
        client.send(b"x")
        if "impossible" in daemon.wait_log("the lock is (held|impossible)").string:
            pytest.skip("memory cannot be held back here")
        (child,) = daemon.children()
        upgrade(daemon)
        assert talk(other, b"x") == b"x"
        os.kill(child, signal.SIGKILL)
        daemon.wait_log(f"held: child {child} ended")


# ---------------------------------------------------------------------------
# Limits


def test_per_source(hatchd):
    """Who is there counts, whoever has let him in."""
    port = free_port()
    daemon = hatchd.file(cat("a", port, per_source=2))
    with connect(port) as one, connect(port) as two:
        assert say(one) == say(two) == b"x"
        upgrade(daemon)
        with connect(port) as three:
            assert read_all(three) == b""
        daemon.wait_log(r"a: refused 127\.0\.0\.1:\d+: per_source")
        one.shutdown(socket.SHUT_WR)
        assert read_all(one) == b""
        daemon.wait_children(1)
        assert talk(port, b"y") == b"y"
        assert say(two) == b"x"


def test_instances(hatchd):
    """A service that is full stays full; who waits is served when there is room."""
    port = free_port()
    daemon = hatchd.file(cat("a", port, instances=1, per_source="unlimited"))
    with connect(port) as one, connect(port) as two:
        assert say(one) == b"x"
        upgrade(daemon)
        two.sendall(b"two")
        assert say(one) == b"x" and daemon.children() != []
        one.shutdown(socket.SHUT_WR)
        assert read_exactly(two, 3) == b"two"


def test_rate(hatchd):
    """What was taken is not there again."""
    port = free_port()
    daemon = hatchd.file(cat("a", port, per_source_rate="2/1h"))
    assert is_served(port)
    upgrade(daemon)
    assert is_served(port)
    upgrade(daemon)
    assert not is_served(port)
    daemon.wait_log(r"a: refused 127\.0\.0\.1:\d+: per_source_rate")


def test_bans(hatchd, path):
    """Of operators, with the time that is left; they are lifted as ever."""
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    change(path, f"ban {BAD} 1h")
    change(path, "ban 127.9.0.0/16 10min a")
    before = bans(path)
    upgrade(daemon)
    assert not is_served(port, BAD) and is_served(port, GOOD)
    for old, new in zip(before, bans(path)):
        assert 0 < new.pop("left_usec") <= old.pop("left_usec")
        assert old == new
    assert change(path, f"unban {BAD}")["lifted"] == 1
    assert is_served(port, BAD) and not is_served(port, "127.9.1.1")


# ---------------------------------------------------------------------------
# What is told


def test_numbers_go_on(hatchd, path):
    """No two connections have the same number, and counters do not begin again."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell="echo $HATCHD_CONNECTION"),
        f"--control={path}")
    before = status(path)
    for number in range(1, 5):
        assert talk(port) == b"%d\n" % number
        daemon.wait_log("s: child .* ended", count=number)
        upgrade(daemon)
    after = status(path)
    assert after["connections"] == before["connections"] + 4
    assert (after["pid"], after["children"]) == (before["pid"], 0)
