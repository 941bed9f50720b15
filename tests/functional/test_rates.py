"""Rates, bans and sensors: what happens when a limit is reached, and that it passes.

A rate that is to be reached is one per hour, so that nothing comes back while a test runs on
however slow a machine; where something is to come back, only the least time that it
takes is looked at.
"""

import contextlib
import os
import re
import select
import socket
import subprocess
import threading
import time

import pytest

from harness import (
    IS_ROOT,
    PYTHON,
    TIMEOUT,
    connect,
    free_port,
    have_ipv6,
    held_back,
    helper,
    proc_net,
    read_all,
    read_line,
    reload,
    service,
    stanza,
    talk,
    udp,
    unix_as,
    wait_until,
)

HELLO = "echo hello"
HOLD = "echo hello; exec cat > /dev/null"

# Takes one connection from the listening socket that it is given, and ends.
ONE = """
import socket
server = socket.socket(fileno=0)
server.accept()[0].sendall(b"hello\\n")
"""
ONE_CLIENT = [PYTHON, "-S", "-E", "-c", ONE]


def one_datagram(folder):
    return [PYTHON, "-S", "-E", helper("datagrams.py", folder), "1"]


def is_silent(sock):
    """Neither served nor refused so far."""
    return not select.select([sock], [], [], 0)[0]


def is_served(port, source=None):
    return talk(port, source=source) == b"hello\n"


def talk_or_nothing(port, **more):
    """Also who is turned away before he could say anything has heard nothing."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        return talk(port, **more)
    return b""


def is_turned_away(port, source=None):
    """Closed without a word."""
    return talk_or_nothing(port, source=source) == b""


# -- what a service takes


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_rate(hatchd, folder, kind):
    """Whoever comes too early waits in the kernel's queue; another rate holds at once."""
    address = f"unix:{folder}/s" if kind == "unix" else f"tcp:127.0.0.1:{free_port()}"

    def text(rate):
        return service("s", listen=address, shell=HELLO, rate=rate)

    daemon = hatchd.file(text("2/1h"))
    assert is_served(address) and is_served(address)
    with connect(address) as third, connect(address) as fourth:
        daemon.wait_log("s: rate of 2/h reached, new clients wait")
        assert is_silent(third) and is_silent(fourth)
        # What was taken stays taken: one more than before may come.
        mark = daemon.mark()
        reload(daemon, text("3/1h"))
        assert read_all(third) == b"hello\n"
        daemon.wait_log("s: rate of 3/h reached", after=mark)
        assert is_silent(fourth)
        reload(daemon, text("unlimited"))
        assert read_all(fourth) == b"hello\n"
    assert "refused" not in daemon.text()


def test_rate_stays_when_something_else_changes(hatchd):
    port, other = free_port(), free_port()

    def text(nice, port_of_other=None):
        more = service("other", listen=f"tcp:{other}", shell=HELLO) if port_of_other else ""
        return service("s", listen=f"tcp:{port}", shell=HELLO, rate="2/1h", nice=nice) + more

    daemon = hatchd.file(text(1))
    assert is_served(port)
    reload(daemon, text(2))
    assert is_served(port)
    with connect(port) as third:
        daemon.wait_log("s: rate of 2/h reached")
        reload(daemon, text(2, other))
        assert is_served(other)
        mark = daemon.mark()
        reload(daemon, text(3))
        daemon.wait_log("s: rate of 2/h reached", after=mark)
        assert is_silent(third)
        reload(daemon, service("s", listen=f"tcp:{port}", shell=HELLO))
        assert read_all(third) == b"hello\n"


def test_rate_comes_back(hatchd):
    """Nobody has to do anything for it, and hatchd does nothing meanwhile."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, rate="4/2s burst 2"))
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(6)]
        for client in clients:
            assert read_all(client) == b"hello\n"
    # Two at once, and four that came half a second after one another.
    assert time.monotonic() - begin >= 2.0
    assert "refused" not in daemon.text()
    assert daemon.text().count("reached") <= 1


def test_rate_of_nobody(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell=HELLO, rate=0))
    daemon.wait_log("rate: 0 serves nobody; every client waits")
    with connect(port) as client:
        daemon.wait_log("s: rate of 0 reached")
        assert is_silent(client)
        reload(daemon, service("s", listen=f"tcp:{port}", shell=HELLO))
        assert read_all(client) == b"hello\n"


def test_burst_of_clients(hatchd):
    """A hundred at once get what there is; the socket is not closed, and all come in."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, rate="3/10s", per_source="unlimited"))
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(100)]
        daemon.wait_log("s: rate of 3/10s reached")
        daemon.wait_log("ended: ", count=3)
        served = daemon.text().count("ended: ")
        assert served <= 3 + (time.monotonic() - begin) * 0.3
        inodes = daemon.listening() if IS_ROOT else None
        reload(daemon, service("s", listen=f"tcp:{port}", shell=HELLO, rate="1000/s",
                               per_source="unlimited"))
        for client in clients:
            assert read_all(client) == b"hello\n"
        if IS_ROOT:
            assert daemon.listening() == inodes


def test_overflow_refuses(hatchd):
    port, held = free_port(), free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, rate="2/1h", overflow="refuse")
        + service("h", listen=f"tcp:{held}", shell=HOLD, instances=1, overflow="refuse",
                  per_source="unlimited"))
    assert is_served(port) and is_served(port)
    for _ in range(20):
        assert is_turned_away(port)
    daemon.wait_log(r"s: refused 127.0.0.1:\d+: rate$")
    with connect(held) as only:
        assert read_line(only) == b"hello"
        daemon.wait_log("h: full with 1 child, new clients would be refused")
        assert is_turned_away(held) and is_turned_away(held)
        daemon.wait_log(r"h: refused 127.0.0.1:\d+: instances$")
    daemon.wait_children(0)
    with connect(held) as next_one:
        assert read_line(next_one) == b"hello"


# -- what one source takes


def test_per_source_rate(hatchd):
    """One above his own is refused, and nobody else."""
    port = free_port()

    def text(rate):
        return service("s", listen=f"tcp:{port}", shell=HELLO, rate="7/1h",
                       per_source_rate=rate)

    daemon = hatchd.file(text("3/1h"))
    for _ in range(3):
        assert is_served(port)
    for _ in range(5):
        assert is_turned_away(port)
    daemon.wait_log(r"s: refused 127.0.0.1:\d+: per_source_rate$")
    # Who was refused has taken nothing from the others.
    assert is_served(port, source="127.0.0.2") and is_served(port, source="127.0.0.3")
    # What he has taken stays taken.
    reload(daemon, text("4/1h"))
    assert is_served(port)
    assert is_turned_away(port)
    assert is_served(port, source="127.0.0.4")
    with connect(port, source="127.0.0.5") as eighth:
        daemon.wait_log("s: rate of 7/h reached")
        assert is_silent(eighth)
        reload(daemon, service("s", listen=f"tcp:{port}", shell=HELLO))
        assert read_all(eighth) == b"hello\n"
    assert is_served(port)


def test_per_source_rate_of_nobody(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, per_source_rate="0/1s"))
    assert is_turned_away(port) and is_turned_away(port, source="127.0.0.2")
    daemon.wait_log(r"s: refused 127.0.0.2:\d+: per_source_rate$")


def test_per_source_rate_comes_back(hatchd):
    port = free_port()
    hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, per_source_rate="1/500ms burst 2"))
    begin = time.monotonic()
    served = 0
    while served < 5:
        served += talk_or_nothing(port) == b"hello\n"
    assert time.monotonic() - begin >= 1.5


def test_prefix(hatchd):
    """Neighbours are one source."""
    port, narrow = free_port(), free_port()
    daemon = hatchd.file(
        service("wide", listen=f"tcp:{port}", shell=HELLO, per_source_rate="2/1h",
                source_prefix4=24)
        + service("six", listen=f"tcp:{narrow}", shell=HELLO, per_source_rate="2/1h",
                  source_prefix6=128))
    assert is_served(port, source="127.0.0.1") and is_served(port, source="127.0.0.2")
    assert is_turned_away(port, source="127.0.0.3")
    assert is_served(port, source="127.0.1.1")
    assert is_turned_away(port, source="127.0.0.4")
    daemon.wait_log(r"wide: refused 127.0.0.3:\d+: per_source_rate$")
    assert is_served(narrow)


def test_users_of_unix_sockets(hatchd, folder):
    """The third of one user is refused at once, another user is served."""
    address = f"unix:{folder}/s"
    daemon = hatchd.file(
        service("s", listen=address, shell=HOLD, per_source=2, per_source_rate="2/1h"))
    with connect(address) as one, connect(address) as two:
        assert read_line(one) == read_line(two) == b"hello"
        assert is_turned_away(address)
        daemon.wait_log(f"s: refused uid {os.geteuid()} pid {os.getpid()}: per_source$")
        if IS_ROOT:
            assert unix_as(f"{folder}/s", 65534, 65534) == b"hello\n"
    daemon.wait_children(0)
    assert is_turned_away(address)
    daemon.wait_log(f"s: refused uid {os.geteuid()} pid {os.getpid()}: per_source_rate$")


def test_noise_beside_a_quiet_client(hatchd):
    """Who makes noise is refused; who does not is served each time."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, per_source_rate="20/1h"))
    enough = threading.Event()
    made = []

    def make_noise():
        while not enough.is_set() or len(made) < 1000:
            made.append(talk_or_nothing(port, source="127.0.0.2"))

    noise = threading.Thread(target=make_noise, daemon=True)
    noise.start()
    try:
        for _ in range(20):
            assert is_served(port)
    finally:
        enough.set()
        noise.join()
    assert sum(answer == b"hello\n" for answer in made) == 20
    assert len(re.findall("refused 127.0.0.2:", daemon.text())) <= 1 + 120 / 10
    assert "refused 127.0.0.1:" not in daemon.text()


def test_line_for_each_source(hatchd):
    """One line for each that is refused, and no more than there is room for."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, per_source_rate=0))
    sources = [f"127.0.{i // 100}.{i % 100 + 1}" for i in range(200)]
    with contextlib.ExitStack() as stack:
        with held_back(daemon):
            clients = [stack.enter_context(connect(port, source=source))
                       for source in sources + sources]
        for client in clients:
            assert client.recv(1) == b""
    for source in ("127.0.0.1", "127.0.0.32"):
        daemon.wait_log(f"s: refused {source}:")
    daemon.stop()
    refused = re.findall(r"refused (127\.0\.\d+\.\d+):", daemon.text())
    assert len(refused) == 33 and refused.count("127.0.0.1") == refused.count("127.0.0.32") == 1
    assert "s: 1 more refused from 127.0.0.1 in the last 10 s: per_source_rate" in daemon.text()
    assert "hatchd: 335 more refused in the last 10 s" in daemon.text()
    told = sum(int(n) for n in re.findall(r"(\d+) more refused", daemon.text()))
    assert told + 33 == 400


def test_crowd_at_one_service_does_not_hide_another(hatchd):
    """Who is refused elsewhere, and who is banned, still has his line."""
    busy, quiet, trap = free_port(), free_port(), free_port()
    daemon = hatchd.file(
        service("busy", listen=f"tcp:{busy}", shell=HELLO, per_source_rate=0)
        + service("quiet", listen=f"tcp:{quiet}", shell=HELLO, no_access="127.0.9.0/24")
        + service("trap", listen=f"tcp:{trap}", sensor=True))
    for i in range(100):
        with connect(busy, source=f"127.0.1.{i + 1}") as client:
            assert client.recv(1) == b""
    for port in (quiet, trap):
        with connect(port, source="127.0.9.9") as client:
            assert client.recv(1) == b""
    daemon.wait_log(r"quiet: refused 127.0.9.9:\d+: no_access$")
    daemon.wait_log(r"trap: refused 127.0.9.9:\d+: sensor, banned for 1 h from all services$")
    assert daemon.text().count("busy: refused ") == 33


# -- programs that take their clients themselves


def waiting_datagrams(daemon, port):
    """Bytes in the receive queue of the socket, with what the kernel adds to them."""
    for fields in proc_net(daemon.pid, "udp"):
        if int(fields[1].split(":")[1], 16) == port:
            return int(fields[4].split(":")[1], 16)
    return None


def test_rate_of_datagrams(hatchd, folder):
    """The same port as a stream service has, whose rate is its own."""
    port = free_port()

    def text(rate):
        return (
            service("d", listen=f"udp4:{port}", wait=True, exec=one_datagram(folder), rate=rate)
            + service("t", listen=f"tcp4:{port}", wait=True, exec=ONE_CLIENT, rate=rate))

    daemon = hatchd.file(text("2/1h"))
    address = f"udp:127.0.0.1:{port}"
    assert udp(address, b"1") + udp(address, b"2") == [b"1", b"2"]
    assert is_served(port) and is_served(port)
    with connect(address) as third, connect(port) as client:
        third.send(b"3")
        daemon.wait_log("d: rate of 2/h reached")
        daemon.wait_log("t: rate of 2/h reached")
        daemon.wait_children(0)
        assert is_silent(third) and is_silent(client)
        used = daemon.cpu()
        reload(daemon, text("3/1h"))
        assert third.recv(10) == b"3"
        assert read_all(client) == b"hello\n"
        assert daemon.cpu() - used < 1.0
    assert "refused" not in daemon.text()


@pytest.mark.parametrize("option", ["rate", "per_source_rate"])
def test_datagrams_for_nobody(hatchd, folder, option):
    port = free_port()
    daemon = hatchd.file(
        service("d", listen=f"udp4:{port}", wait=True, exec=one_datagram(folder),
                overflow="refuse", **{option: "0"}))
    with connect(f"udp:127.0.0.1:{port}") as client:
        with held_back(daemon):
            for _ in range(50):
                client.send(b"x")
        name = "127.0.0.1:%d" % client.getsockname()[1]
        daemon.wait_log(f"d: refused {name}: {option}$")
        wait_until(lambda: not waiting_datagrams(daemon, port), what="no datagram left")
        assert is_silent(client)
    daemon.stop()
    assert f"d: 49 more refused from 127.0.0.1 in the last 10 s: {option}" in daemon.text()
    assert "child " not in daemon.text()


def test_datagrams_of_one_source(hatchd, folder):
    """The fourth of one sender is thrown away, those of another are answered."""
    port = free_port()
    daemon = hatchd.file(
        service("d", listen=f"udp4:{port}", wait=True, exec=one_datagram(folder),
                rate="5/1h", per_source_rate="3/1h"))
    address = f"udp:127.0.0.1:{port}"
    for number in (b"1", b"2", b"3"):
        assert udp(address, number) == [number]
    with connect(address) as noisy, connect(address, source="127.0.0.2") as quiet:
        noisy.send(b"4")
        daemon.wait_log(r"d: refused 127.0.0.1:\d+: per_source_rate$")
        quiet.send(b"5")
        assert quiet.recv(10) == b"5"
        quiet.send(b"6")
        assert quiet.recv(10) == b"6"
        assert is_silent(noisy)
        quiet.send(b"7")
        daemon.wait_log("d: rate of 5/h reached")
        assert is_silent(quiet)
    daemon.wait_children(0)


def test_stream_for_nobody_that_waits(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("t", listen=f"tcp4:{port}", wait=True, exec=ONE_CLIENT, rate=0,
                overflow="refuse"))
    daemon.wait_log("overflow: has no effect with wait = yes but for UDP")
    with connect(port) as client:
        daemon.wait_log("t: rate of 0 reached")
        assert is_silent(client)


# -- bans


def test_ban(hatchd):
    """Above his limit he is banned from that service, until the ban is over."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, per_source_rate="1/3s",
                overflow_source="ban 1s")
        + service("other", listen=f"tcp:{other}", shell=HELLO))
    begin = time.monotonic()
    while not is_turned_away(port):
        pass
    daemon.wait_log(r"s: refused 127.0.0.1:\d+: per_source_rate, banned for 1 s$")
    assert is_served(other)
    assert is_served(port, source="127.0.0.2")
    while not talk_or_nothing(port):
        pass
    assert time.monotonic() - begin >= 3.0


BAD = "127.0.0.3"


def test_ban_from_all_services(hatchd):
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, per_source_rate="1/1h",
                overflow_source="ban 1h", ban_scope="all")
        + service("other", listen=f"tcp:{other}", shell=HELLO))
    assert is_served(port, source=BAD) and is_served(other, source=BAD)
    assert is_turned_away(port, source=BAD)
    daemon.wait_log("per_source_rate, banned for 1 h.* from all services$")
    assert is_turned_away(other, source=BAD) and is_turned_away(port, source=BAD)
    daemon.wait_log(rf"other: refused {BAD}:\d+: banned$")
    assert is_served(other, source="127.0.0.2")


def sensor(port, duration):
    return stanza("service", "trap", listen=f"tcp:{port}", sensor=True, ban_time=duration)


def test_sensor(hatchd, folder):
    """Who touches it is banned from everything for a while; it starts nothing."""
    trap, port, datagrams = free_port(), free_port(), free_port()
    daemon = hatchd.file(
        sensor(trap, "1h")
        + service("s", listen=f"tcp:{port}", shell=HELLO)
        + service("d", listen=f"udp4:{datagrams}", wait=True, exec=one_datagram(folder)))
    assert is_served(port, source=BAD)
    assert is_turned_away(trap, source=BAD)
    daemon.wait_log(
        rf"trap: refused {BAD}:\d+: sensor, banned for 1 h.* from all services$")
    assert is_turned_away(port, source=BAD)
    daemon.wait_log(rf"s: refused {BAD}:\d+: banned$")
    with connect(f"udp:127.0.0.1:{datagrams}", source=BAD) as client:
        client.send(b"x")
        daemon.wait_log(rf"d: refused {BAD}:\d+: banned$")
    assert is_served(port, source="127.0.0.2")
    # Who is banned and comes back is not banned anew.
    assert is_turned_away(trap, source=BAD)
    daemon.wait_log(rf"trap: refused {BAD}:\d+: banned$")


def test_sensor_forgives(hatchd):
    trap, port = free_port(), free_port()
    hatchd.file(sensor(trap, "1s") + service("s", listen=f"tcp:{port}", shell=HELLO))
    begin = time.monotonic()
    assert is_turned_away(trap, source=BAD)
    while not talk_or_nothing(port, source=BAD):
        pass
    assert time.monotonic() - begin >= 1.0


@pytest.mark.parametrize("to, source", [
    ("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.1"), ("127.0.0.5", "127.0.0.5"),
    ("[::1]", "::1")])
def test_sensor_does_not_ban_its_own_machine(hatchd, to, source):
    """Any local user could, and what a proxy relays comes from there."""
    if source == "::1" and not have_ipv6():
        pytest.skip("no IPv6")
    trap, port = free_port(), free_port()
    daemon = hatchd.file(sensor(trap, "1h") + service("s", listen=f"tcp:{port}", shell=HELLO))
    assert is_turned_away(f"tcp:{to}:{trap}", source=source)
    daemon.wait_log(r"trap: refused .*: sensor$")
    assert is_served(f"tcp:{to}:{port}", source=source)


def test_sensor_does_not_ban_its_friends(hatchd):
    trap, port = free_port(), free_port()
    daemon = hatchd.file(
        stanza("service", "trap", listen=f"tcp:{trap}", sensor=True, no_access=BAD)
        + service("s", listen=f"tcp:{port}", shell=HELLO))
    assert is_turned_away(trap, source=BAD)
    daemon.wait_log(rf"trap: refused {BAD}:\d+: no_access$")
    assert is_served(port, source=BAD)


# -- what is remembered of clients that have gone


def knock(port, source):
    """Come and go, from one of very many addresses."""
    with socket.socket() as sock:
        sock.bind((source, 0))
        with contextlib.suppress(ConnectionError):
            sock.connect(("127.0.0.1", port))


def test_crowd_voids_no_ban_and_no_rate(hatchd):
    """More clients than can be remembered go into a trap, and all that is remembered of them
    lasts longer than what is of others.  It is they who are forgotten."""
    trap, port, other = free_port(), free_port(), free_port()
    daemon = hatchd.file(
        sensor(trap, "1d")
        + service("s", listen=f"tcp:127.0.0.1:{port}", shell=HELLO, per_source_rate="2/1h",
                  overflow_source="ban 2h")
        + service("other", listen=f"tcp:127.0.0.1:{other}", shell=HELLO,
                  per_source_rate="1/1h")
    )
    assert is_served(port, "127.0.0.9") and is_served(port, "127.0.0.9")
    assert is_turned_away(port, "127.0.0.9")
    daemon.wait_log("s: refused 127.0.0.9:.*: per_source_rate, banned for 2 h")
    assert is_served(other, "127.0.0.8")
    daemon.wait_children(0)
    for number in range(65536 + 256):
        knock(trap, f"127.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}")
    daemon.wait_log("remembering at most 65536 clients: rates or bans of [0-9]+ others")
    assert is_turned_away(port, "127.0.0.9")
    assert is_turned_away(other, "127.0.0.8")
    # Those who come now are remembered as well.
    assert is_served(other, "127.0.0.7")
    daemon.wait_children(0)
    assert is_turned_away(other, "127.0.0.7")


# -- who is one client


LINKS = ("hatchd-a", "hatchd-b")


@contextlib.contextmanager
def two_links():
    """Two links that are not each other's, all of whose ends are here."""

    def ip(*args):
        subprocess.run(["ip", *args], check=True)

    made = []
    try:
        for link in LINKS:
            ip("link", "add", link, "type", "veth", "peer", "name", f"{link}2")
            made.append(link)
            for end in (link, f"{link}2"):
                ip("link", "set", end, "up")
            for number in (1, 2, 3):
                ip("addr", "add", f"fe80::{number}/64", "dev", link, "nodad")
        yield
    finally:
        for link in made:
            ip("link", "del", link)


def talk_on_link(port, link, number):
    """From a link-local address, to another one of that link."""
    scope = socket.if_nametoindex(link)
    with socket.socket(socket.AF_INET6) as sock:
        sock.settimeout(TIMEOUT)
        sock.bind((f"fe80::{number}", 0, 0, scope))
        with contextlib.suppress(ConnectionResetError):
            sock.connect(("fe80::1", port, 0, scope))
            return read_all(sock)
        return b""


@pytest.mark.needs_root
@pytest.mark.skipif(not have_ipv6(), reason="there is no IPv6 here")
def test_neighbours_of_links(hatchd):
    """All link-local addresses begin with the same bits, on all links.  Each is a client of its
    own, for rates and bans of one service and of all; for rules the link does not matter."""
    port, trap = free_port(), free_port()
    with two_links():
        daemon = hatchd.file(
            service("s", listen=f"tcp6:{port}", shell=HELLO, per_source_rate="2/1h",
                    no_access="fe80::3", overflow_source="ban 1h")
            + sensor(trap, "1h")
        )
        here, there = LINKS
        assert [talk_on_link(port, here, 1) for _ in range(3)] == [b"hello\n", b"hello\n", b""]
        daemon.wait_log(r"refused \[fe80::1%hatchd-a\]:[0-9]+: per_source_rate, banned for 1 h")
        assert talk_on_link(port, here, 2) == b"hello\n"
        assert talk_on_link(port, there, 1) == b"hello\n"
        for link in LINKS:
            assert talk_on_link(port, link, 3) == b""
        # Whoever touches the trap is banned, and nobody else.
        assert talk_on_link(trap, here, 2) == b""
        daemon.wait_log(r"trap: refused \[fe80::2%hatchd-a\]:[0-9]+: sensor, banned")
        assert talk_on_link(port, here, 2) == b""
        assert talk_on_link(port, there, 2) == b"hello\n"
        # More of it is counted by the name that he has.
        for _ in range(3):
            assert talk_on_link(port, here, 1) == b""
        daemon.stop()
        assert "2 more refused from fe80::1%hatchd-a in the last 10 s: banned" in daemon.text()
