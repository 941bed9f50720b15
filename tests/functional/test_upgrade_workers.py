"""What an upgrade keeps of those whom workers serve: relays, what is built in, TLS, and the
programs behind a redirect."""

import contextlib
import json
import os
import signal
import socket

import pytest

from certificates import needs_tls, secure
from harness import (
    children_named, comes_in, connect, default_user, free_port, hatchctl, is_alive, is_refused,
    listed, read_exactly, reload, stanza, talk, wait_until,
)
from test_accounting import Book
from test_backend import App, ask, listen, starts, visit, web
from test_control import status
from tlsclient import Client, trusting
from upgrades import upgrade


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.fixture
def app(folder):
    return App(folder)


def echo(client, words=b"x"):
    client.sendall(words)
    assert read_exactly(client, len(words)) == words


def cat(port):
    return stanza("service", "cat", listen=f"tcp:{port}", exec="/bin/cat",
                  user=default_user())


def relay(port, target, **options):
    return stanza("service", "on", listen=f"tcp:{port}", redirect=f"tcp:127.0.0.1:{target}",
                  **options)


def is_over(client):
    with contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""


def connections(path, service="on"):
    done = hatchctl("connections", "--json", "-s", path)
    assert done.returncode == 0, done.stderr
    return [c for c in json.loads(done.stdout)["connections"] if c["service"] == service]


def finishing(path):
    """(name, connections) of the workers of images before this one."""
    return sorted((worker["name"], worker["connections"]) for worker in status(path)["workers"]
                  if worker["state"] == "finishing")


def is_of_relay(line):
    return line["service"] == "on" and line["result"] == "finished"


class Relayed:
    """cat, and a relay to it, of which there may be two clients."""

    def __init__(self, hatchd, folder, path):
        self.book, self.path = Book(folder), path
        self.port, self.target = free_port(), free_port()
        self.daemon = hatchd.file(self.config(), f"--control={path}", "-v")

    def config(self, **options):
        options = {"instances": 2, "per_source": "unlimited", "overflow": "refuse", **options}
        return (self.book.section() + relay(self.port, self.target, **options)
                + cat(self.target))

    def relays(self):
        return children_named(self.daemon.pid, "hatchd-relay")


@pytest.fixture
def relayed(hatchd, folder, path):
    return Relayed(hatchd, folder, path)


# ---------------------------------------------------------------------------
# Relays, and what is built in


def test_counts_and_is_shown(relayed, path):
    """He takes one of the places of his service, and is spoken of as before."""
    with connect(relayed.port) as client:
        echo(client)
        (before,) = connections(path)
        upgrade(relayed.daemon)
        (after,) = connections(path)
        assert {key: after[key] for key in ("connection", "peer")} == \
            {key: before[key] for key in ("connection", "peer")}
        assert listed(path)["on"]["children"] == 1
        assert finishing(path) == [("hatchd-relay", 1)]
        with connect(relayed.port) as second:
            echo(second)
            assert not comes_in(relayed.port)
        echo(client, b"last words")
    found = relayed.book.until(
        lambda lines: sum(is_of_relay(line) for line in lines) == 2)
    assert {line["bytes_in"] for line in found if is_of_relay(line)} == {1, 11}
    wait_until(lambda: listed(path)["on"]["children"] == 0)


def test_ends_when_it_has_nobody(relayed, path):
    """New ones are not given to it, and its process is reaped."""
    with connect(relayed.port) as client:
        echo(client)
        (old,) = relayed.relays()
        upgrade(relayed.daemon)
        with connect(relayed.port) as second:
            echo(second)
            assert len(relayed.relays()) == 2
    wait_until(lambda: old not in relayed.relays())
    assert finishing(path) == []
    assert len(relayed.relays()) == 1
    relayed.daemon.wait_log(f"hatchd-relay: child {old} ended: exit 0")


def test_image_after_image(hatchd, folder, path):
    """Each has had a client of its own, and all have theirs to the last."""
    ports = [free_port(), free_port()]
    daemon = hatchd.file(
        relay(ports[0], ports[1]) + cat(ports[1]), f"--control={path}")
    with contextlib.ExitStack() as stack:
        clients = []
        for number in range(4):
            clients.append(stack.enter_context(connect(ports[0])))
            for client in clients:
                echo(client)
            upgrade(daemon)
            assert finishing(path) == [("hatchd-relay", 1)] * (number + 1)
        assert len(connections(path)) == 4
        for client in clients:
            echo(client, b"still")
    wait_until(lambda: finishing(path) == [])


def test_more_than_there_is_room_for(hatchd, path):
    """Those of the oldest images go on as they are, which is said."""
    ports = [free_port(), free_port()]
    daemon = hatchd.file(relay(ports[0], ports[1]) + cat(ports[1]),
                         f"--control={path}")
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(65):
            clients.append(stack.enter_context(connect(ports[0])))
            echo(clients[-1])
            upgrade(daemon)
        daemon.wait_log("hatchd-relay [0-9]+ has been left behind, and its connections")
        for client in clients:
            echo(client, b"still")
        assert len(connections(path)) == 64


def test_can_be_ended(relayed, path):
    """By an operator, by his time limit, and with hatchd."""
    with connect(relayed.port) as client:
        echo(client)
        upgrade(relayed.daemon)
        (row,) = connections(path)
        done = hatchctl("-s", path, "kill", str(row["connection"]))
        assert done.returncode == 0, done.stderr
        is_over(client)
    wait_until(lambda: connections(path) == [])


def test_time_limit_goes_on(hatchd, path):
    port = free_port()
    daemon = hatchd.file(stanza("service", "on", listen=f"tcp:{port}", builtin="echo",
                                idle_timeout="300ms"), f"--control={path}")
    with connect(port) as client:
        echo(client)
        upgrade(daemon)
        is_over(client)
    daemon.wait_log("on: .*idle_timeout")


def test_of_a_service_that_is_no_more(relayed, path):
    """He is served on, and has his record, as after a reload."""
    with connect(relayed.port) as client:
        echo(client)
        relayed.daemon.write(
            relayed.book.section() + cat(relayed.target))
        upgrade(relayed.daemon)
        assert is_refused(relayed.port)
        echo(client, b"on and on")
        assert len(connections(path)) == 1
    found = relayed.book.until(lambda lines: any(line["service"] == "on" for line in lines))
    (line,) = [line for line in found if line["service"] == "on"]
    assert (line["result"], line["bytes_in"]) == ("finished", 10)
    wait_until(lambda: relayed.relays() == [])


def test_elder_that_dies(relayed, path):
    """Its connections are over, as those of any worker."""
    with connect(relayed.port) as client:
        echo(client)
        upgrade(relayed.daemon)
        (old,) = relayed.relays()
        os.kill(old, signal.SIGKILL)
        is_over(client)
        relayed.daemon.wait_log("hatchd-relay: 1 connection lost")
    assert talk(relayed.port, b"x") == b"x"
    wait_until(lambda: connections(path) == [] and finishing(path) == [])


def test_elder_that_hangs(relayed, path):
    """It is told to end a connection, does not, and is killed."""
    reload(relayed.daemon, relayed.config(kill_after="100ms"))
    with connect(relayed.port) as client:
        echo(client)
        upgrade(relayed.daemon)
        (old,) = relayed.relays()
        os.kill(old, signal.SIGSTOP)
        (row,) = connections(path)
        hatchctl("-s", path, "kill", str(row["connection"]))
        relayed.daemon.wait_log(f"hatchd-relay: child {old} does not .*, killing it")
        wait_until(lambda: relayed.relays() == [])


def test_stop_ends_it(relayed):
    with connect(relayed.port) as client:
        echo(client)
        upgrade(relayed.daemon)
        relayed.daemon.stop(leave=True)


def test_senders_of_datagrams(hatchd, folder, path):
    """Their sockets are another worker's then: that what they have is over is recorded."""
    port, book = free_port(), Book(folder)
    keeper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    keeper.bind(("127.0.0.1", 0))
    target = keeper.getsockname()[1]
    daemon = hatchd.file(book.section() + stanza(
        "service", "on", listen=f"udp:{port}", redirect=f"udp:127.0.0.1:{target}",
        session_timeout="1h"), f"--control={path}", "-v")
    with keeper, connect(f"udp:127.0.0.1:{port}") as client:
        client.send(b"x")
        wait_until(lambda: len(connections(path)) == 1)
        upgrade(daemon)
        (line,) = book.wait(1)
        assert line["service"] == "on"
        client.send(b"x")
        wait_until(lambda: len(connections(path)) == 1)


# ---------------------------------------------------------------------------
# TLS


@needs_tls
@pytest.mark.parametrize("how", ["program", "relay", "builtin"])
def test_tls(hatchd, certificates, folder, path, how):
    """Both directions go on, to the end that is said."""
    port, target, book = free_port(), free_port(), Book(folder)
    options = {"program": {"exec": ["/bin/cat"]},
               "relay": {"redirect": f"tcp:127.0.0.1:{target}"},
               "builtin": {"builtin": "echo"}}[how]
    daemon = hatchd.file(
        book.section() + secure(certificates, "on", port, None, **options)
        + cat(target), f"--control={path}", "-v")
    trusted = trusting(certificates)
    with Client(port, trusted) as client:
        client.send(b"before")
        assert client.read_exactly(6) == b"before"
        for _ in range(2):
            upgrade(daemon)
            client.send(b"after")
            assert client.read_exactly(5) == b"after"
            with Client(port, trusted) as other:
                other.send(b"other")
                other.end()
                assert other.read_all() == b"other"
            wait_until(lambda: len(connections(path)) == 1)
        names = {name for name, _ in finishing(path)}
        assert "hatchd-tls" in names
        client.send(b"end")
        client.end()
        assert client.read_all() == b"end"
    wait_until(lambda: finishing(path) == [])
    wait_until(lambda: connections(path) == [])
    found = book.until(lambda lines: sum(line["service"] == "on" for line in lines) == 3)
    assert sum(line.get("bytes_in") == 19 for line in found) == (how != "program")


@needs_tls
def test_tls_program_ends(hatchd, certificates, path):
    """What it has said last is heard, and so is that it was all."""
    port = free_port()
    daemon = hatchd.file(
        secure(certificates, "on", port, None, shell="read x; echo last"),
        f"--control={path}")
    with Client(port, trusting(certificates)) as client:
        wait_until(lambda: len(connections(path)) == 1)
        upgrade(daemon)
        client.send(b"\n")
        assert client.read_all() == b"last\n"
    daemon.wait_log("on: child [0-9]+ ended: exit 0")
    wait_until(lambda: finishing(path) == [])


@needs_tls
def test_tls_who_is_leaving(hatchd, certificates, folder, path):
    """His program has ended, and he has not heard everything: that has all its time."""
    port, pipe = free_port(), folder / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    daemon = hatchd.file(
        secure(certificates, "on", port, None, shell=f"read x <'{pipe}'; echo last"),
        f"--control={path}")
    with Client(port, trusting(certificates)) as client:
        wait_until(lambda: len(connections(path)) == 1)
        (carrier,) = children_named(daemon.pid, "hatchd-tls")
        os.kill(carrier, signal.SIGSTOP)
        with open(pipe, "w", encoding="ascii") as told:
            told.write("\n")
        daemon.wait_log("on: child [0-9]+ ended: exit 0")
        for _ in range(2):
            upgrade(daemon)
        assert finishing(path) == [("hatchd-tls", 1)]
        os.kill(carrier, signal.SIGCONT)
        assert client.read_all() == b"last\n"
    wait_until(lambda: finishing(path) == [])


# ---------------------------------------------------------------------------
# Programs behind a redirect


def test_backend_goes_on(hatchd, app, path):
    """It is the same one for who comes afterwards, and its time begins when all have gone."""
    address = listen()
    daemon = hatchd.file(web(address, app, backend={"idle_stop": "200ms"}),
                         f"--control={path}")
    with connect(address) as client:
        pid, _ = ask(client)
        for _ in range(2):
            upgrade(daemon)
            echo(client)
            assert visit(address)[0] == pid
            assert listed(path)["web"]["backend"]["state"] == "running"
        assert starts(daemon) == 1
        echo(client)
    daemon.wait_log(f"web: backend {pid} had no connection for 200 ms, stopping it")
    wait_until(lambda: not is_alive(pid))
    daemon.wait_log(f"web: backend {pid} ended: exit 0")
    other, _ = visit(address)
    assert other != pid
    daemon.stop(leave=True)


def test_backend_without_clients(hatchd, app, path):
    address = listen()
    daemon = hatchd.file(web(address, app), f"--control={path}")
    pid, _ = visit(address)
    wait_until(lambda: listed(path)["web"]["children"] == 0)
    upgrade(daemon)
    assert visit(address)[0] == pid
    daemon.stop(leave=True)
    assert not is_alive(pid)


def test_backend_of_another_configuration(hatchd, app, path):
    """As after a reload: who is there stays, and the next has another one started."""
    address = listen()
    daemon = hatchd.file(web(address, app, env=["WORD=first"]), f"--control={path}")
    with connect(address) as client:
        pid, word = ask(client)
        assert word == "first"
        daemon.write(web(address, app, env=["WORD=second"]))
        upgrade(daemon)
        echo(client)
        daemon.wait_log(f"web: backend {pid} is not as configured, stopping it when 1")
    wait_until(lambda: not is_alive(pid))
    assert visit(address)[1] == "second"
    daemon.stop(leave=True)


def test_backend_of_a_service_that_is_no_more(hatchd, app, path):
    address, port = listen(), free_port()
    daemon = hatchd.file(web(address, app) + cat(port), f"--control={path}")
    with connect(address) as client:
        pid, _ = ask(client)
        daemon.write(cat(port))
        upgrade(daemon)
        echo(client)
    wait_until(lambda: not is_alive(pid))
    assert talk(port, b"x") == b"x"


def test_backend_that_has_just_been_started(hatchd, app, path):
    """Who waits for it gets there under the next image."""
    before, address = app.pipe("before"), listen()
    daemon = hatchd.file(web(address, app, backend={"exec": app.command(before=before)}),
                         f"--control={path}", "-v")
    with connect(address) as client:
        daemon.wait_log("web: connection .* passed to")
        upgrade(daemon)
        with open(before, "w", encoding="ascii"):
            pass
        ask(client)
        echo(client)
        daemon.wait_log("web: its backend takes clients")
        assert listed(path)["web"]["backend"]["state"] == "running"
    assert starts(daemon) == 1
    daemon.stop(leave=True)
