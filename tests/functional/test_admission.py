"""What each limit means for each kind of service, how many come in, and that it passes.

Rates that are to be reached are per hour: nothing comes back while a test runs, however
slow the machine is.
"""

import contextlib
import re
import socket
import threading
import time

import pytest

from harness import (
    TIMEOUT, connect, free_port, have_ipv6, read_all, read_line, reload, service, udp,
)
from test_rates import (
    HELLO, HOLD, ONE_CLIENT, is_served, is_silent, is_turned_away, one_datagram,
    talk_or_nothing,
)

# -- so many and no more, in each kind of service


class Stream:
    """A service that starts a program for each client."""

    @staticmethod
    def text(port, folder, **limits):
        return service("s", listen=f"tcp4:{port}", shell=HELLO, **limits)

    @staticmethod
    def serves(port):
        return is_served(port)

    @staticmethod
    def ask(port):
        return connect(port)

    @staticmethod
    def answer(client):
        return read_all(client) == b"hello\n"


class StreamWait(Stream):
    """One whose program takes the client itself."""

    @staticmethod
    def text(port, folder, **limits):
        return service("s", listen=f"tcp4:{port}", wait=True, exec=ONE_CLIENT, **limits)


class Datagrams:
    """One whose program takes the datagram itself."""

    @staticmethod
    def text(port, folder, **limits):
        return service("s", listen=f"udp4:{port}", wait=True, exec=one_datagram(folder),
                       **limits)

    @staticmethod
    def serves(port):
        return udp(f"udp:127.0.0.1:{port}", b"x") == [b"x"]

    @staticmethod
    def ask(port):
        client = connect(f"udp:127.0.0.1:{port}")
        client.send(b"x")
        return client

    @staticmethod
    def answer(client):
        return client.recv(10) == b"x"


ALL = [Stream, StreamWait, Datagrams]
SEEN = [Stream, Datagrams]  # kinds in which it is seen who comes


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("count", [0, 2])
def test_rate_of_each_kind(hatchd, folder, kind, count):
    """So many are served, the next one waits, and comes in when he may."""
    port = free_port()
    daemon = hatchd.file(kind.text(port, folder, rate=f"{count}/1h" if count else 0))
    for _ in range(count):
        assert kind.serves(port)
    with kind.ask(port) as client:
        daemon.wait_log(f"s: rate of {count}{'/h' if count else ''} reached, new clients wait")
        daemon.wait_children(0)
        assert is_silent(client)
        reload(daemon, kind.text(port, folder, rate=f"{count + 1}/1h"))
        assert kind.answer(client)
    assert "refused" not in daemon.text()


@pytest.mark.parametrize("kind", SEEN)
@pytest.mark.parametrize("count", [0, 3])
def test_rate_of_a_source_of_each_kind(hatchd, folder, kind, count):
    """The narrower limit is reached first: he is refused, though the service has room."""
    port = free_port()
    daemon = hatchd.file(kind.text(
        port, folder, rate="5/1h", per_source_rate=f"{count}/1h" if count else 0))
    for _ in range(count):
        assert kind.serves(port)
    with kind.ask(port) as client:
        daemon.wait_log(r"s: refused 127.0.0.1:\d+: per_source_rate$")
        if kind is Stream:
            assert client.recv(1) == b""
        else:
            assert is_silent(client)
    assert "reached" not in daemon.text()
    reload(daemon, kind.text(port, folder, rate="5/1h", per_source_rate=f"{count + 1}/1h"))
    assert kind.serves(port)


@pytest.mark.parametrize("stream", [Stream, StreamWait])
def test_one_port_two_rates(hatchd, folder, stream):
    """The number of a port is nothing in common: what one takes the other still has."""
    port = free_port()
    daemon = hatchd.file(
        stream.text(port, folder, rate="2/1h")
        + Datagrams.text(port, folder, rate="2/1h").replace("service s", "service d"))
    assert stream.serves(port) and stream.serves(port)
    with stream.ask(port) as client:
        daemon.wait_log("s: rate of 2/h reached")
        assert Datagrams.serves(port) and Datagrams.serves(port)
        with Datagrams.ask(port) as sender:
            daemon.wait_log("d: rate of 2/h reached")
            assert is_silent(client) and is_silent(sender)
            reload(daemon, stream.text(port, folder)
                   + Datagrams.text(port, folder).replace("service s", "service d"))
            assert stream.answer(client) and Datagrams.answer(sender)


@pytest.mark.parametrize("kind", ALL)
def test_rate_of_each_kind_comes_back(hatchd, folder, kind):
    """A burst above the rate is a pause and not an end, and nobody is lost in it."""
    port = free_port()
    hatchd.file(kind.text(port, folder, rate="2/1s burst 1"))
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(kind.ask(port)) for _ in range(4)]
        for client in clients:
            assert kind.answer(client)
    assert time.monotonic() - begin >= 1.5


def test_refused_above_the_rate_comes_in_later(hatchd):
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"tcp:{port}", shell=HELLO, rate="1/500ms burst 1", overflow="refuse"))
    begin = time.monotonic()
    served = 0
    while served < 4:
        served += talk_or_nothing(port) == b"hello\n"
    assert time.monotonic() - begin >= 1.5
    daemon.wait_log(r"s: refused 127.0.0.1:\d+: rate$")


@pytest.mark.parametrize("how", ["file", "flags"])
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_third_client_comes_in_when_one_leaves(hatchd, folder, how, kind):
    """Neither served nor refused before: he waits in the kernel's queue."""
    address = f"unix:{folder}/s" if kind == "unix" else f"tcp:127.0.0.1:{free_port()}"
    if how == "file":
        daemon = hatchd.file(service(
            "s", listen=address, shell=HOLD, instances=2, per_source="unlimited"))
    else:
        daemon = hatchd.adhoc("-l", address, "--instances=2", "--per-source=unlimited",
                              "--", "/bin/sh", "-c", HOLD)
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(connect(address))
        assert read_line(one) == b"hello" and len(daemon.children()) == 1
        two = stack.enter_context(connect(address))
        assert read_line(two) == b"hello" and len(daemon.children()) == 2
        three = stack.enter_context(connect(address))
        daemon.wait_log("full with 2 children, new clients would wait")
        assert is_silent(three) and len(daemon.children()) == 2
        one.shutdown(socket.SHUT_WR)
        assert read_line(three) == b"hello"
        assert one.recv(1) == b""
        daemon.wait_children(2)
        for client in (two, three):
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
    daemon.wait_children(0)
    assert "refused" not in daemon.text()


# -- places of children that fail


@pytest.mark.parametrize("end", ["exit 1", "kill -KILL $$", None])
def test_failed_child_gives_its_place_back(hatchd, folder, end):
    """Whether its program fails, is killed, or is none."""
    port = free_port()
    broken = folder / "broken"
    broken.write_bytes(b"\x7fELF, or not")
    broken.chmod(0o755)
    program = {"shell": end} if end else {"exec": broken}
    daemon = hatchd.file(service(
        "s", listen=f"tcp:{port}", instances=1, per_source=1, **program))
    for number in range(4):
        assert is_turned_away(port)
        daemon.wait_log("ended: " if end else "unable to start", count=number + 1 if end else 1)
        daemon.wait_children(0)
    assert "refused" not in daemon.text()


# -- noise


def test_noise_ends(hatchd):
    """While one makes noise, another is always served; afterwards the noisy one is again.

    What was refused has taken nothing: the next token is his, as of anybody who has
    waited for it in silence.
    """
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"tcp4:{port}", shell=HELLO, per_source_rate="1/2s burst 20"))
    noisy, quiet = "127.0.0.2", "127.0.0.3"
    enough = threading.Event()
    begin = time.monotonic()
    made = []

    def make_noise():
        while not enough.is_set() or len(made) < 2000:
            made.append(talk_or_nothing(port, source=noisy))

    noise = threading.Thread(target=make_noise, daemon=True)
    noise.start()
    try:
        daemon.wait_log(rf"s: refused {noisy}:\d+: per_source_rate$")
        for _ in range(20):
            assert is_served(port, source=quiet)
    finally:
        enough.set()
        noise.join()
    assert set(made) <= {b"hello\n", b""}
    assert 20 <= made.count(b"hello\n") <= 20 + (time.monotonic() - begin) / 2
    # The records of those above may still be on their way.
    daemon.wait_children(0)
    records = rf"s: child \d+ ended: exit 0, .*from {re.escape(noisy)}"
    daemon.wait_log(records, count=made.count(b"hello\n"))
    before = len(re.findall(records, daemon.text()))
    give_up = time.monotonic() + TIMEOUT
    while not is_served_or_refused(port, noisy):
        assert time.monotonic() < give_up, "a token takes two seconds"
    daemon.wait_log(records, count=before + 1)
    assert f"refused {quiet}:" not in daemon.text()


def is_served_or_refused(port, source):
    """Whether he is served, and nothing but a refusal if not."""
    answer = talk_or_nothing(port, source=source)
    assert answer in (b"hello\n", b"")
    return answer != b""


# -- who is who


@pytest.mark.skipif(not have_ipv6(), reason="no IPv6")
def test_ipv4_by_another_way_is_the_same_source(hatchd):
    """Over a socket for IPv6 and over one for IPv4, by either kind of client."""
    four, both = free_port(), free_port()
    daemon = hatchd.file(service(
        "s", listen=[f"tcp4:127.0.0.1:{four}", f"tcp:{both}"], shell=HELLO,
        per_source_rate="2/1h"))
    assert is_served(f"tcp:127.0.0.1:{four}")
    assert is_served(f"tcp:[::ffff:127.0.0.1]:{both}")
    for address in (f"tcp:127.0.0.1:{four}", f"tcp:127.0.0.1:{both}",
                    f"tcp:[::ffff:127.0.0.1]:{both}"):
        assert is_turned_away(address)
    daemon.wait_log(r"s: refused 127\.0\.0\.1:\d+: per_source_rate$")
    assert is_served(f"tcp:[::1]:{both}")


@pytest.mark.skipif(not have_ipv6(), reason="no IPv6")
def test_ipv4_by_another_way_has_the_same_rules(hatchd):
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"tcp:{port}", shell=HELLO, no_access="127.0.0.0/8"))
    assert is_turned_away(f"tcp:[::ffff:127.0.0.1]:{port}")
    daemon.wait_log(r"s: refused 127\.0\.0\.1:\d+: no_access$")
    assert is_served(f"tcp:[::1]:{port}")
