"""Upgrades while clients have not said what they want, or wait: each goes on where he was."""

import json

import pytest

from certificates import needs_tls, secure
from harness import (
    connect, free_port, hatchctl, listed, read_all, read_exactly, service, talk, wait_until,
)
from test_callers import by_name, mux
from test_upgrade import cat, echo, upgrade
from tlsclient import Client, trusting

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
PROXIED = {"proxy_protocol": "required", "proxy_from": "127.0.0.0/8"}


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def wait_pending(path, name, count):
    wait_until(lambda: listed(path)[name]["pending"] == count)


def who(path):
    lines = json.loads(hatchctl("connections", "--json", "-s", path).stdout)["connections"]
    return sorted(line["peer"] for line in lines)


def test_who_is_silent(hatchd, path):
    """Nobody waits for him, and he is heard whenever he speaks, also in two pieces."""
    port = free_port()
    hatchd.file(cat(listen=f"tcp:{port}", header_timeout="1h", **PROXIED), f"--control={path}")
    with connect(port) as silent, connect(port) as slow:
        slow.sendall(HEADER[:20])
        wait_pending(path, "cat", 2)
        for _ in range(2):
            upgrade(path)
            wait_pending(path, "cat", 2)
            # And who comes now is served at once.
            assert talk(port, HEADER + b"x") == b"x"
        silent.sendall(HEADER)
        slow.sendall(HEADER[20:])
        for client in (silent, slow):
            echo(client, b"hello")
        assert who(path) == ["192.0.2.1:1", "192.0.2.1:1"]
        upgrade(path)
        for client in (silent, slow):
            echo(client, b"again")


def test_who_waits_for_a_place(hatchd, path):
    """He has said all: he gets the place when it is free, as whom he has said he is."""
    port = free_port()
    daemon = hatchd.file(
        service("few", listen=f"tcp:{port}", instances=1, per_source="unlimited",
                shell="echo $TCPREMOTEIP; exec cat", **PROXIED), f"--control={path}")
    with connect(port) as first, connect(port) as second, connect(port) as third:
        wait_pending(path, "few", 3)
        first.sendall(HEADER)
        assert read_exactly(first, 10) == b"192.0.2.1\n"
        second.sendall(HEADER.replace(b"2.1 ", b"2.7 ") + b"second")
        third.sendall(HEADER.replace(b"2.1 ", b"2.8 ") + b"third")
        for _ in range(2):
            upgrade(path)
            wait_pending(path, "few", 2)
        first.close()
        assert read_exactly(second, 16) == b"192.0.2.7\nsecond"
        second.close()
        assert read_exactly(third, 15) == b"192.0.2.8\nthird"
    daemon.wait_log("few: child [0-9]+ ended", count=3)


def test_whose_service_is_gone(hatchd, path):
    """As by a reload, he is let go; nobody else is."""
    ports = [free_port(), free_port()]
    goes = cat("goes", listen=f"tcp:{ports[0]}", **PROXIED)
    stays = cat("stays", listen=f"tcp:{ports[1]}", **PROXIED)
    daemon = hatchd.file(goes + stays, f"--control={path}")
    with connect(ports[0]) as first, connect(ports[1]) as second:
        for name in ("goes", "stays"):
            wait_pending(path, name, 1)
        daemon.write(stays)
        upgrade(path)
        assert read_all(first) == b""
        second.sendall(HEADER)
        echo(second, b"x")


def test_tcpmux(hatchd, path):
    """He says the name of a service after the upgrade, or waits for the one that he said."""
    port = free_port()
    hatchd.file(
        mux(port) + by_name("one", exec="/bin/cat", instances=1, per_source="unlimited"),
        f"--control={path}")
    with connect(port) as first, connect(port) as second:
        first.sendall(b"one\r\n")
        echo(first, b"x")
        second.sendall(b"one\r\n")
        with connect(port) as third:
            wait_pending(path, "mux", 2)
            upgrade(path)
            first.close()
            echo(second, b"y")
            second.close()
            third.sendall(b"one\r\n")
            echo(third, b"z")


def say(client, words):
    client.send(words)
    assert client.read_exactly(len(words)) == words


@needs_tls
def test_tls(hatchd, path, certificates):
    """Who shakes hands does so with the process with which he has begun."""
    port = free_port()
    hatchd.file(secure(certificates, "tls", port, tls={"handshake_timeout": "1h"}),
                f"--control={path}")
    context = trusting(certificates)
    with Client(port, context, begin=False) as silent, \
            Client(port, context, begin=False) as slow:
        hello = slow.hello()
        slow.sock.sendall(hello[:30])
        wait_pending(path, "tls", 2)
        for _ in range(2):
            upgrade(path)
            with Client(port, context) as another:
                say(another, b"x")
        slow.sock.sendall(hello[30:])
        for client in (silent, slow):
            client.shake_hands()
            say(client, b"hello")
        upgrade(path)
        for client in (silent, slow):
            say(client, b"again")


@needs_tls
def test_tls_and_a_place(hatchd, path, certificates):
    """He has shaken hands, and waits for his program: what was agreed is not forgotten."""
    port = free_port()
    hatchd.file(
        secure(certificates, "tls", port, instances=1, per_source="unlimited",
               shell="echo $SSL_PROTOCOL; exec cat"), f"--control={path}")
    context = trusting(certificates)
    with Client(port, context, begin=False) as first, \
            Client(port, context, begin=False) as second:
        wait_pending(path, "tls", 2)
        first.shake_hands()
        assert first.read_exactly(8) == b"TLSv1.3\n"
        second.shake_hands()
        for _ in range(2):
            upgrade(path)
            wait_pending(path, "tls", 1)
        first.sock.close()
        assert second.read_exactly(8) == b"TLSv1.3\n"


def test_many(hatchd, path):
    """No client can keep an upgrade from being made, or others from being served meanwhile."""
    port = free_port()
    daemon = hatchd.file(
        cat(listen=f"tcp:{port}", pending=300, pending_per_source=300, header_timeout="1h",
            **PROXIED), f"--control={path}")
    silent = [connect(port) for _ in range(200)]
    wait_pending(path, "cat", 200)
    upgrade(path)
    wait_pending(path, "cat", 200)
    assert talk(port, HEADER + b"x") == b"x"
    for client in silent[:100]:
        client.sendall(HEADER + b"y")
    for client in silent[:100]:
        assert read_exactly(client, 1) == b"y"
    for client in silent:
        client.close()
    wait_pending(path, "cat", 0)
    daemon.wait_log("hatchd-front: child [0-9]+ ended: exit 0")  # the elder has nobody
