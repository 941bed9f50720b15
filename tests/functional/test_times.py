"""Hours and load: when a service takes nobody in, or nobody now."""

import datetime
import mmap
import pathlib
import socket
import struct
import sys

import pytest

from harness import (
    IS_SANITIZED, built_helper, connect, free_port, read_exactly, service, talk,
)

needs_preload = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer must be loaded first")


# -- access_times and max_load

ACCEPT_ONE = "import socket; socket.socket(fileno=0).accept()"


class World:
    """What helpers/another-world.c says of the clock and the load."""

    def __init__(self, folder):
        path = pathlib.Path(folder) / "world"
        path.write_bytes(struct.pack("qq", -1, -1))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 16)
        self.env = {
            "LD_PRELOAD": built_helper("another-world.so"),
            "WORLD": str(path),
            "TZ": "CET-1CEST,M3.5.0,M10.5.0/3",
        }

    def is_at(self, text):
        """UTC."""
        when = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
        struct.pack_into("q", self.map, 0, int(when.timestamp()))

    def is_loaded(self, hundredths):
        struct.pack_into("q", self.map, 8, hundredths)


@pytest.fixture
def world(folder):
    return World(folder)


@needs_preload
def test_hours(hatchd, world):
    """Across midnight, over the change of the clock, and whatever the clock does."""
    port = free_port()
    world.is_at("2026-03-28 12:00")
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat",
                access_times=["sat 22:00-6:00", "mon-fri 8:00-12:00"]), env=world.env)

    def open_at(text):
        world.is_at(text)
        try:
            return talk(port, b"x") == b"x"
        except ConnectionError:
            return False

    assert not open_at("2026-03-28 20:59")
    daemon.wait_log(r"s: refused 127\.0\.0\.1:\d+: access_times")
    assert open_at("2026-03-28 21:00")
    assert open_at("2026-03-29 00:59")
    # The hour from 2:00 to 3:00 is left out.
    assert open_at("2026-03-29 03:59")
    assert not open_at("2026-03-29 04:00")
    assert open_at("2026-03-30 06:00")
    assert not open_at("2026-03-30 10:00")
    # In autumn, and years later.
    assert open_at("2026-10-26 07:00")
    assert not open_at("2026-10-26 06:59")
    assert open_at("2039-07-04 06:00")
    assert not open_at("2039-07-04 05:59")
    assert not open_at("1970-01-03 01:00")
    assert open_at("2026-03-30 06:00")


@needs_preload
def test_hours_of_a_wait_service(hatchd, world):
    """Who has connected cannot be turned away, so who comes too early waits."""
    port = free_port()
    world.is_at("2026-06-01 05:00")
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", wait=True, access_times="8:00-12:00",
                exec=[sys.executable, "-c", ACCEPT_ONE]), env=world.env)
    with connect(port):
        daemon.wait_log(r"s: nobody is taken in now \(access_times\), new clients wait")
        before = daemon.cpu()
        assert daemon.children() == []
        world.is_at("2026-06-01 06:00")
        daemon.wait_log(r"s: child \d+ ended: exit 0")
        assert daemon.cpu() - before < 0.5


@needs_preload
def test_hours_of_datagrams(hatchd, world):
    """One that comes too early is thrown away, and wakes nobody again."""
    port = free_port()
    world.is_at("2026-06-01 05:00")
    daemon = hatchd.file(
        service("s", listen=f"udp:127.0.0.1:{port}", wait=True, access_times="8:00-12:00",
                shell="echo took $(head -c1) >&2"), env=world.env)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("127.0.0.1", port))
        daemon.wait_log(r"s: refused 127.0.0.1:\d+: access_times")
        assert daemon.children() == []
        world.is_at("2026-06-01 06:00")
        client.sendto(b"y", ("127.0.0.1", port))
        daemon.wait_log(r"^took y$")
        daemon.wait_log(r"s: child \d+ ended: exit 0")


@needs_preload
def test_load(hatchd, world):
    """Whoever comes waits until the load is low enough; nobody is turned away."""
    port, other = free_port(), free_port()
    world.is_loaded(251)
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", max_load="2.5")
        + service("o", listen=f"tcp:127.0.0.1:{other}", exec="/bin/cat"), env=world.env)
    with connect(port) as client:
        client.sendall(b"x")
        daemon.wait_log(r"s: nobody is taken in now \(max_load\), new clients wait")
        assert talk(other, b"y") == b"y"
        assert daemon.children() == []
        world.is_loaded(250)
        assert read_exactly(client, 1) == b"x"
