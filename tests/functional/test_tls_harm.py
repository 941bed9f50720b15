"""Clients of TLS who mean harm, or know no better, and workers that die: others are served.

HATCHD_TEST_CROWD sets how many come at once (default: 300; 5000 are welcome).
"""

import contextlib
import os
import re
import resource
import select
import signal
import socket
import threading
import time

import pytest

from certificates import needs_tls, secure, start
from harness import (
    TIMEOUT, connect, free_port, listed, read_all, service, wait_until, workers,
)
from harness import talk as talk_plainly
from tlsclient import BROKEN_OFF, Client, reset, talk, trusting

pytestmark = needs_tls

CROWD = int(os.environ.get("HATCHD_TEST_CROWD", "300"))

ELSEWHERE = "127.0.0.2"

# Longer than all that is done while somebody is waited for.
LONG = {"handshake_timeout": "1h"}


class Status:
    """What hatchctl says of a service."""

    def __init__(self, folder):
        self.path = folder / "control"
        self.flag = f"--control={self.path}"

    def pending(self, name="t"):
        return listed(self.path)[name]["pending"]

    def wait_pending(self, count):
        wait_until(lambda: self.pending() == count, what=f"{count} who have not shaken hands")


@pytest.fixture
def status(folder):
    return Status(folder)


# ---------------------------------------------------------------------------
# Who does not shake hands


class Strangers:
    """Ways not to shake hands.  Each is a function of a port: the socket that is left open,
    or None."""

    def __init__(self, certificates):
        self.context = trusting(certificates)

    def _hello(self, port, **more):
        client = Client(port, self.context, begin=False, **more)
        return client.sock, client.hello()

    # These are waited for.

    def silent(self, port, **more):
        return connect(port, **more)

    def half(self, port, **more):
        sock, hello = self._hello(port, **more)
        sock.sendall(hello[:len(hello) // 2])
        return sock

    def record(self, port, **more):
        """Most of it will never come."""
        sock = connect(port, **more)
        sock.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
        return sock

    def stops(self, port, **more):
        """He has got an answer, and says no more."""
        sock, hello = self._hello(port, **more)
        sock.sendall(hello)
        return sock

    # These are not.

    def garbage(self, port, **more):
        sock = connect(port, **more)
        sock.sendall(bytes(range(128, 256)) * 3)
        return sock

    def plain(self, port, **more):
        sock = connect(port, **more)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
        return sock

    def ssl2(self, port, **more):
        sock = connect(port, **more)
        sock.sendall(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37))
        return sock

    def torn(self, port, **more):
        """A record that was agreed on by nobody, behind a good beginning."""
        sock, hello = self._hello(port, **more)
        sock.sendall(hello + b"\x17\x03\x03\x00\x20" + bytes(32))
        return sock

    def leaves(self, port, **more):
        reset(self.half(port, **more))

    def leaves_late(self, port, **more):
        sock = self.stops(port, **more)
        sock.recv(1)
        reset(sock)


WAITED_FOR = ("silent", "half", "record", "stops")
NOT_WAITED_FOR = ("garbage", "plain", "ssl2", "torn", "leaves", "leaves_late")


@pytest.fixture
def strangers(certificates):
    return Strangers(certificates)


def drain(sock):
    """Until the other one has ended, however."""
    with sock, contextlib.suppress(ConnectionError):
        while sock.recv(65536):
            pass


@pytest.mark.parametrize("who", WAITED_FOR)
def test_deadline(hatchd, certificates, strangers, who):
    daemon, port = start(hatchd, certificates, tls={"handshake_timeout": "500ms"})
    begun = time.monotonic()
    drain(getattr(strangers, who)(port))
    assert 0.4 < time.monotonic() - begun < TIMEOUT / 2
    daemon.wait_log(r"t: .*refused 127\.0\.0\.1:\d+: handshake_timeout")
    assert talk(port, strangers.context, b"x") == b"x"


@pytest.mark.parametrize("who", NOT_WAITED_FOR)
def test_nothing_to_wait_for(hatchd, certificates, strangers, status, who):
    daemon, port = start(hatchd, certificates, status.flag, tls=LONG)
    sock = getattr(strangers, who)(port)
    if sock:
        drain(sock)
        daemon.wait_log(r"t: .*refused 127\.0\.0\.1:\d+: handshake$")
    status.wait_pending(0)
    assert talk(port, strangers.context, b"x") == b"x"


def test_byte_by_byte(hatchd, certificates, strangers):
    """Whoever says a little now and then has no more time than others."""
    daemon, port = start(hatchd, certificates, tls={"handshake_timeout": "500ms"})
    begun = time.monotonic()
    with Client(port, strangers.context, begin=False) as client:
        for byte in client.hello():
            # To be told of the end is what is waited for.
            if select.select([client.sock], [], [], 0.02)[0]:
                break
            client.sock.sendall(bytes([byte]))
        else:
            raise AssertionError("nobody has lost patience")
    assert time.monotonic() - begun < TIMEOUT / 2
    daemon.wait_log(r"t: .*refused 127\.0\.0\.1:\d+: handshake_timeout")


def test_deadline_is_that_of_the_handshake(hatchd, certificates, strangers):
    """Who has shaken hands may be silent for longer."""
    daemon, port = start(hatchd, certificates, tls={"handshake_timeout": "500ms"})
    with Client(port, strangers.context) as client:
        drain(strangers.silent(port))
        daemon.wait_log("handshake_timeout")
        client.send(b"x")
        assert client.recv() == b"x"


def test_crowd(hatchd, certificates, strangers, status):
    """All of them at once, and others are served meanwhile; in the end nothing is left."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        "total_instances = 100\n"
        + secure(certificates, "t", port, tls={"handshake_timeout": "5s"},
                 pending=2 * CROWD, pending_per_source=2 * CROWD)
        + service("plain", listen=f"tcp:127.0.0.1:{other}", exec="/bin/cat"), status.flag)
    ways = [getattr(strangers, name) for name in WAITED_FOR + NOT_WAITED_FOR]
    try:
        with contextlib.ExitStack() as stack:
            for number in range(CROWD):
                sock = ways[number % len(ways)](port, source=ELSEWHERE)
                if sock:
                    stack.enter_context(sock)
                if number % 50 == 0:
                    assert talk(port, strangers.context, b"x") == b"x"
                    assert talk_plainly(other, b"y") == b"y"
            assert talk(port, strangers.context, b"x") == b"x"
            # Nobody has left but those who had nothing to wait for: now their time is over.
            status.wait_pending(0)
            assert talk(port, strangers.context, b"x") == b"x"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    for reason in "handshake", "handshake_timeout":
        daemon.wait_log(rf"t: .*refused 127\.0\.0\.2:\d+: {reason}$")
    assert "unable to shake hands with a client: " in daemon.text()


def test_the_oldest_makes_room(hatchd, certificates, strangers, status):
    daemon, port = start(
        hatchd, certificates, status.flag, tls=LONG, pending=3, pending_per_source=3)
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(Client(port, strangers.context, begin=False))
                   for _ in range(3)]
        status.wait_pending(3)
        late = stack.enter_context(Client(port, strangers.context))
        drain(waiting[0].sock)
        daemon.wait_log(r"t: .*refused 127\.0\.0\.1:\d+: pending")
        for client in waiting[1:]:
            client.shake_hands()
        for client in [*waiting[1:], late]:
            client.send(b"x")
            assert client.recv() == b"x"
        assert status.pending() == 0


@pytest.mark.parametrize(
    "bounds", [{"pending": 50}, {"pending": 500, "pending_per_source": 20}],
    ids=["pending", "pending_per_source"])
def test_silent_ones_keep_nobody_else_out(hatchd, certificates, strangers, status, bounds):
    """A crowd from one address makes room for itself alone."""
    daemon, port = start(hatchd, certificates, status.flag, tls=LONG, **bounds)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Client(port, strangers.context, begin=False))
        status.wait_pending(1)
        for number in range(CROWD):
            way = strangers.silent if number % 2 else strangers.half
            stack.enter_context(way(port, source=ELSEWHERE))
        assert talk(port, strangers.context, b"x") == b"x"
        daemon.wait_log(r"t: .*refused 127\.0\.0\.2:\d+: pending")
        assert status.pending() <= min(bounds.values()) + 1
        first.shake_hands()
        first.send(b"y")
        assert first.recv() == b"y"
    status.wait_pending(0)


def test_stranger_is_not_asked_to_shake_hands(hatchd, certificates, strangers):
    """The gate is before the first byte."""
    daemon, port = start(hatchd, certificates, only_from="127.0.0.3")
    with connect(port) as client, contextlib.suppress(ConnectionError):
        assert read_all(client) == b""
    daemon.wait_log(r"t: .*refused 127\.0\.0\.1:\d+: only_from")
    assert talk(port, strangers.context, b"x", source="127.0.0.3") == b"x"
    assert len(workers(daemon.pid)) == 1


# ---------------------------------------------------------------------------
# Who harms after it


def test_broken_record_later(hatchd, certificates, strangers):
    """The program does not see it: for it that is the end."""
    daemon, port = start(hatchd, certificates, shell='n=$(wc -c); echo "got $n" >&2')
    with Client(port, strangers.context) as client:
        client.send(b"abc")
        client.sock.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        drain(client.sock)
    daemon.wait_log("got 3")
    assert talk(port, strangers.context) == b""


def test_who_does_not_read(hatchd, certificates, strangers):
    """His program waits, and nobody else does."""
    daemon, port = start(hatchd, certificates, shell="head -c 50000000 /dev/zero; cat")
    with Client(port, strangers.context) as client:
        client.read_exactly(1)
        for _ in range(5):
            with Client(port, strangers.context) as other:
                other.read_exactly(50_000_000)
                other.send(b"x")
                assert other.recv() == b"x"
        client.read_exactly(49_999_999)
        client.send(b"y")
        assert client.recv() == b"y"
    daemon.wait_children(0)


# ---------------------------------------------------------------------------
# The worker dies


def tls_worker(daemon):
    """The one that speaks TLS; None: it is just not there."""
    for pid in workers(daemon.pid):
        with contextlib.suppress(OSError):
            if open(f"/proc/{pid}/comm").read() == "hatchd-tls\n":
                return pid
    return None


def test_worker_dies(hatchd, certificates, strangers):
    """Nobody is told that this was the end; the program finds one, and the next client is
    served by the next worker."""
    daemon, port = start(hatchd, certificates, shell="echo begun; cat >/dev/null")
    with Client(port, strangers.context) as client:
        assert client.read_line() == b"begun"
        worker = tls_worker(daemon)
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(BROKEN_OFF):
            client.read_all()
    daemon.wait_log("hatchd-tls: 1 connection lost")
    daemon.wait_log(r"t: child \d+ ended: exit 0")
    with Client(port, strangers.context) as client:
        assert client.read_line() == b"begun"
        client.end()
        assert client.read_all() == b""
    assert tls_worker(daemon) != worker


def test_worker_dies_before_it_has_taken_them(hatchd, certificates, strangers):
    """Whom it has not seen is served by the next one."""
    daemon, port = start(hatchd, certificates, "-v")
    assert talk(port, strangers.context, b"x") == b"x"
    worker = tls_worker(daemon)
    os.kill(worker, signal.SIGSTOP)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port, strangers.context, begin=False))
                   for _ in range(20)]
        for client in clients:
            client.sock.sendall(client.hello())
        daemon.wait_log("accepted|passed to", count=21)
        os.kill(worker, signal.SIGKILL)
        for number, client in enumerate(clients):
            client.shake_hands()
            client.send(b"%d" % number)
            assert client.read_exactly(len(str(number))) == b"%d" % number


class Crowd:
    """Clients that come one after the other; each is served, or knows that he was not."""

    def __init__(self, port, context):
        self.port, self.context = port, context
        self.served = self.lost = 0
        self.wrong = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._come, daemon=True) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def _come(self):
        while not self.over.is_set():
            try:
                answer = talk(self.port, self.context, b"x" * 1000)
                if answer != b"x" * 1000:
                    self.wrong.append(answer)
                self.served += 1
            except BROKEN_OFF:
                self.lost += 1
            except Exception as error:  # pylint: disable=broad-except # told below
                self.wrong.append(error)
                return

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong


KILLS = 10


def test_worker_dies_under_load(hatchd, certificates, strangers):
    """Ten times: who was lost knows it, and is recorded; sessions of others go on."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(secure(certificates, "t", port)
                         + service("plain", listen=f"tcp:127.0.0.1:{other}", exec="/bin/cat"))
    crowd = Crowd(port, strangers.context)
    with connect(other) as friend:
        try:
            for _ in range(KILLS):
                before = crowd.served
                wait_until(lambda before=before: crowd.served > before + 4 or crowd.wrong)
                worker = wait_until(lambda: tls_worker(daemon))
                os.kill(worker, signal.SIGKILL)
                friend.sendall(b"x")
                assert friend.recv(1) == b"x"
        finally:
            crowd.end()

    def recorded():
        return sum(map(int, re.findall(r"hatchd-tls: (\d+) connections? lost", daemon.text())))

    # Who was lost with the last of them may know it before hatchd does.
    wait_until(lambda: recorded() >= crowd.lost)
    assert recorded() <= KILLS * 8
    assert talk(port, strangers.context, b"x") == b"x"


def test_worker_hangs(hatchd, certificates, strangers):
    """It is asked whether it goes on; others have services of their own."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(secure(certificates, "t", port)
                         + service("plain", listen=f"tcp:127.0.0.1:{other}", exec="/bin/cat"))
    assert talk(port, strangers.context, b"x") == b"x"
    worker = tls_worker(daemon)
    os.kill(worker, signal.SIGSTOP)
    with Client(port, strangers.context, begin=False) as client:
        client.sock.sendall(client.hello())
        assert talk_plainly(other, b"y") == b"y"
        os.kill(worker, signal.SIGCONT)
        client.shake_hands()
        client.send(b"x")
        assert client.recv() == b"x"


def test_who_is_waited_for_when_hatchd_stops(hatchd, certificates, strangers, status):
    daemon, port = start(hatchd, certificates, status.flag, tls=LONG)
    with strangers.half(port) as silent:
        status.wait_pending(1)
        daemon.stop(leave=True)
        drain(silent)
