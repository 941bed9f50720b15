"""hatchd drains: nobody new is let in, who is there may stay, and then it stops."""

import contextlib
import select
import signal
import socket

import pytest

from certificates import needs_tls, secure
from harness import (
    PYTHON, connect, free_port, hatchctl, held_back, is_refused, read_all, read_line, reload,
    service, stanza, talk, wait_until,
)
from keeper import Keeper
from test_control import ask, cat, dial, listed, read_lines, status
from test_control_change import connections, opened, refused
from test_events import Watching
from tlsclient import Client, trusting

FOREVER = "drain_timeout = unlimited\n"


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def drain(daemon):
    """Have it drain, and wait until nobody new is let in."""
    daemon.signal(signal.SIGTERM)
    daemon.wait_notified("STOPPING=1")
    return daemon


def wait_left(daemon, n):
    """Where there is no deadline."""
    daemon.wait_notified(f"STATUS=Draining: {n} connection{'' if n == 1 else 's'}")


def says(daemon, line):
    return any(said.rstrip().endswith(f": {line}") for said in daemon.text().splitlines())


def echoes(client):
    client.sendall(b"still")
    return client.recv(5) == b"still"


# ---------------------------------------------------------------------------
# Who may stay


def test_who_is_there_may_stay(hatchd, path):
    """Also where `stop` says that they are told to end when hatchd does."""
    ports = [free_port(), free_port()]
    daemon = hatchd.file(
        FOREVER + cat("a", ports[0], stop="terminate") + cat("b", ports[1]),
        f"--control={path}")
    with opened(ports[0]) as one, opened(ports[1]) as two:
        drain(daemon)
        assert daemon.messages[-1].startswith("STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000\n")
        wait_left(daemon, 2)
        assert is_refused(ports[0]) and is_refused(ports[1])
        assert echoes(one) and echoes(two)
        one.close()
        wait_left(daemon, 1)
        assert echoes(two)
    assert daemon.wait_end() == 0
    for line in ("draining: 2 connections", "drained: nobody is left", "stopped"):
        assert says(daemon, line)
    assert not path.exists()


def test_nobody_is_there(hatchd):
    daemon = hatchd.file(FOREVER + cat("a", free_port()))
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_end() == 0
    assert "draining: 0 connections" in daemon.text()


def test_deadline(hatchd):
    """Then it stops as it always does: `stop` says who is told to end."""
    ports = [free_port(), free_port()]
    daemon = hatchd.file(
        "drain_timeout = 300ms\n" + cat("a", ports[0], stop="terminate") + cat("b", ports[1]))
    with opened(ports[0]) as one, opened(ports[1]) as two:
        drain(daemon)
        assert read_all(one) == b""
        assert daemon.wait_end() == 0
        assert echoes(two)
    for line in ("draining: the time is over, 2 connections left",
                 "stopping, waiting for 1 child to end", "stopped, leaving 1 child alive"):
        assert says(daemon, line)


def test_without_drain_timeout(hatchd):
    port = free_port()
    daemon = hatchd.file(cat("a", port, stop="terminate"))
    with opened(port) as client:
        daemon.signal(signal.SIGTERM)
        assert read_all(client) == b""
        assert daemon.wait_end() == 0
    assert "draining" not in daemon.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_other_signals_stop(hatchd, number):
    port = free_port()
    daemon = hatchd.file(FOREVER + cat("a", port, stop="terminate"))
    with opened(port) as client:
        daemon.signal(number)
        assert read_all(client) == b""
        assert daemon.wait_end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it(hatchd, number):
    port = free_port()
    daemon = hatchd.file(FOREVER + cat("a", port, stop="terminate"))
    with opened(port) as client:
        drain(daemon)
        wait_left(daemon, 1)
        assert echoes(client)
        daemon.signal(number)
        assert read_all(client) == b""
        assert daemon.wait_end() == 0


def test_it_rests_while_it_stops(hatchd):
    """Also when that was asked for in the middle of a drain."""
    port = free_port()
    daemon = hatchd.file(FOREVER + service(
        "a", listen=f"tcp:127.0.0.1:{port}", stop="terminate",
        shell='trap "" TERM; exec /bin/cat'))
    with opened(port) as client:
        drain(daemon)
        wait_left(daemon, 1)
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping, waiting for 1 child to end")
        before = daemon.cpu()
        # Longer than until it would have looked again how the drain goes.
        assert not select.select([client], [], [], 2.5)[0]
        assert daemon.cpu() - before < 0.2
        client.close()
        assert daemon.wait_end() == 0


def test_the_option_is_of_the_configuration_in_force(hatchd):
    port = free_port()
    daemon = hatchd.file(cat("a", port, stop="terminate"))
    daemon.write(FOREVER + cat("a", port, stop="terminate"))
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded: ")
    with opened(port) as client:
        drain(daemon)
        wait_left(daemon, 1)
        assert echoes(client)
    assert daemon.wait_end() == 0


# ---------------------------------------------------------------------------
# What is in between


def test_who_waits_in_the_queue_is_served(hatchd):
    """He has connected before, and the kernel would break off what is not accepted."""
    port = free_port()
    daemon = hatchd.file(FOREVER + cat("a", port))
    with held_back(daemon):
        clients = [connect(port) for _ in range(4)]
        daemon.signal(signal.SIGTERM)
    assert all(map(echoes, clients))
    for client in clients:
        client.close()
    assert daemon.wait_end() == 0


def test_all_who_wait_in_the_queue_are_served(hatchd):
    """Of several sockets, and more than are served in one turn."""
    ports = sorted(free_port() for _ in range(3))
    daemon = hatchd.file(FOREVER + "".join(
        cat(f"s{port}", port, instances=1000, per_source="unlimited") for port in ports))
    with held_back(daemon), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(70) for port in ports]
        daemon.signal(signal.SIGTERM)
        stack = stack.pop_all()
    with stack:
        assert all(map(echoes, clients))
        assert all(map(is_refused, ports))
    assert daemon.wait_end() == 0


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_who_waits_for_a_place_is_served(hatchd, folder, kind):
    """Nobody new is let in meanwhile, not even to the queue."""
    address = {"tcp": f"tcp:127.0.0.1:{free_port()}", "unix": f"unix:{folder}/socket"}[kind]
    daemon = hatchd.file(FOREVER + service(
        "a", listen=address, instances=1, per_source="unlimited", exec="/bin/cat"))
    clients = [connect(address)]
    assert echoes(clients[0])
    clients += [connect(address) for _ in range(40)]
    drain(daemon)
    wait_left(daemon, 41)
    if kind == "tcp":
        assert is_refused(address)
    else:
        assert not (folder / "socket").exists()
    for client in clients[:3]:
        assert echoes(client)
        client.close()
    assert echoes(clients[3])
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_end() == 0
    for client in clients[4:]:
        assert read_all(client) == b""
        client.close()
    assert echoes(clients[3])
    clients[3].close()


def test_who_waits_for_a_place_waits_for_the_next_one(folder):
    """Where the service manager keeps the socket, he is not even accepted."""
    port = free_port()
    config = FOREVER + cat("a", port, instances=1, per_source="unlimited")
    with Keeper() as keeper:
        daemon = keeper.start(folder, config)
        keeper.wait_kept(f"hatchd//tcp=127.0.0.1={port}")
        with daemon, opened(port) as client:
            waiting = connect(port)
            daemon.signal(signal.SIGTERM)
            daemon.wait_log("draining: 1 connection$")
            assert echoes(client)
            client.close()
            assert daemon.wait_end() == 0
        with waiting, keeper.start(folder, None) as daemon:
            assert echoes(waiting)
            waiting.close()
            daemon.wait_children(0)


def test_who_has_not_said_yet_who_he_is(hatchd, path):
    port = free_port()
    daemon = hatchd.file(
        FOREVER + cat("a", port, proxy_protocol="required", proxy_from="127.0.0.1",
                      header_timeout="1min"),
        f"--control={path}")
    with connect(port) as client:
        wait_until(lambda: listed(path)[0]["pending"] == 1)
        drain(daemon)
        wait_left(daemon, 1)
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
        assert echoes(client)
    assert daemon.wait_end() == 0


def test_a_worker_that_is_needed_first(hatchd, path):
    """By somebody who was let in before: it is started, though hatchd drains."""
    port = free_port()
    daemon = hatchd.file(
        FOREVER + service("a", listen=f"tcp:127.0.0.1:{port}", builtin="echo", user=None,
                          proxy_protocol="required", proxy_from="127.0.0.1",
                          header_timeout="1min"),
        f"--control={path}")
    with connect(port) as client:
        wait_until(lambda: listed(path)[0]["pending"] == 1)
        drain(daemon)
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
        assert echoes(client)
    assert daemon.wait_end() == 0


def test_who_is_redirected(hatchd):
    port, behind = free_port(), free_port()
    with socket.create_server(("127.0.0.1", behind)) as target:
        daemon = hatchd.file(FOREVER + stanza(
            "service", "r", listen=f"tcp:127.0.0.1:{port}",
            redirect=[f"tcp:127.0.0.1:{behind}"]))
        with connect(port) as client:
            far, _ = target.accept()
            drain(daemon)
            wait_left(daemon, 1)
            with far:
                far.sendall(b"hello")
                assert client.recv(5) == b"hello"
        assert daemon.wait_end() == 0


def test_what_is_built_in(hatchd):
    port = free_port()
    daemon = hatchd.file(FOREVER + stanza(
        "service", "e", listen=f"tcp:127.0.0.1:{port}", builtin="echo"))
    with connect(port) as client:
        assert echoes(client)
        drain(daemon)
        wait_left(daemon, 1)
        assert echoes(client)
    assert daemon.wait_end() == 0


@needs_tls
def test_tls(hatchd, certificates):
    port = free_port()
    daemon = hatchd.file(FOREVER + secure(certificates, "t", port))
    with Client(port, trusting(certificates)) as client:
        client.send(b"x")
        assert client.recv() == b"x"
        drain(daemon)
        wait_left(daemon, 1)
        client.send(b"y")
        assert client.recv() == b"y"
    assert daemon.wait_end() == 0


def test_datagrams(hatchd):
    """A sender who is known is heard, another one is not."""
    port = free_port()
    daemon = hatchd.file(FOREVER + service(
        "d", listen=f"udp:127.0.0.1:{port}", exec="/bin/cat", session_timeout="unlimited"))
    with connect(f"udp:127.0.0.1:{port}") as one, connect(f"udp:127.0.0.1:{port}") as two:
        one.send(b"hello")
        assert one.recv(64) == b"hello"
        drain(daemon)
        wait_left(daemon, 1)
        two.send(b"hello")
        one.send(b"again")
        assert one.recv(64) == b"again"
        assert not select.select([two], [], [], 0)[0]
        one.send(b"")
        assert daemon.wait_end() == 0


def test_who_has_the_socket_itself_is_told_to_end(hatchd):
    port = free_port()
    daemon = hatchd.file(FOREVER + service(
        "w", listen=f"tcp:127.0.0.1:{port}", wait=True,
        exec=[PYTHON, "-S", "-E", "-c",
              "import socket; s = socket.socket(fileno=0)\n"
              "while True: c, _ = s.accept(); c.sendall(b'hello'); c.close()"]))
    assert talk(port) == b"hello"
    drain(daemon)
    assert daemon.wait_end() == 0
    assert is_refused(port)


def test_who_has_the_socket_itself_and_does_not_end(hatchd):
    """A drain without a deadline would go on for as long as he does."""
    port = free_port()
    daemon = hatchd.file(FOREVER + service(
        "w", listen=f"tcp:127.0.0.1:{port}", wait=True, kill_after="200ms",
        exec=[PYTHON, "-S", "-E", "-c",
              "import signal, socket; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
              "s = socket.socket(fileno=0)\n"
              "while True: c, _ = s.accept(); c.sendall(b'hello'); c.close()"]))
    assert talk(port) == b"hello"
    drain(daemon)
    assert daemon.wait_end() == 0
    assert is_refused(port)


def test_who_is_removed_may_stay(hatchd):
    """His service is not configured any more, and he is there."""
    ports = [free_port(), free_port()]
    daemon = hatchd.file(FOREVER + cat("a", ports[0]) + cat("b", ports[1]))
    with opened(ports[0]) as client:
        daemon.write(FOREVER + cat("b", ports[1]))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded: ")
        drain(daemon)
        wait_left(daemon, 1)
        assert echoes(client)
    assert daemon.wait_end() == 0


def test_what_waits_for_its_address_waits_no_longer(hatchd, path, world):
    """It could be had while hatchd drains."""
    if not world:
        pytest.skip("sanitizers are loaded before another world")
    ports = [free_port(), free_port()]
    with socket.create_server(("127.0.0.1", ports[1])) as other:
        daemon = hatchd.file(
            FOREVER + cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}",
            env=world.env)
        with opened(ports[0]):
            drain(daemon)
            wait_left(daemon, 1)
            other.close()
            world.is_later(100, daemon)
            daemon.wait_log("b: draining, 0 children$")
            assert is_refused(ports[1])
    assert daemon.wait_end() == 0


def test_who_comes_meanwhile_waits_for_the_next_one(folder):
    """Where the service manager keeps sockets."""
    port = free_port()
    with Keeper() as keeper:
        daemon = keeper.start(folder, FOREVER + cat("a", port))
        keeper.wait_kept(f"hatchd//tcp=127.0.0.1={port}")
        with daemon, opened(port) as client:
            daemon.signal(signal.SIGTERM)
            daemon.wait_log("draining: 1 connection$")
            waiting = connect(port)
            assert echoes(client)
            client.close()
            assert daemon.wait_end() == 0
        with waiting, keeper.start(folder, None) as daemon:
            assert echoes(waiting)
            waiting.close()
            daemon.wait_children(0)
        assert "FDSTOREREMOVE=1" not in keeper.said


def test_who_comes_after_the_end_is_refused(folder, path):
    """An operator wants hatchd to end: there is no next one that he could wait for."""
    port, unix = free_port(), folder / "socket"
    config = cat("a", port) + service("u", listen=f"unix:{unix}", exec="/bin/cat")
    with Keeper() as keeper:
        daemon = keeper.start(folder, config, f"--control={path}")
        with daemon, opened(port) as client:
            keeper.wait(lambda: len(keeper.kept) == 2, "two sockets")
            assert ask(path, "drain")[0] == {"done": True}
            assert is_refused(port) and not unix.exists()
            assert echoes(client)
            keeper.wait_kept()
            client.close()
            assert daemon.wait_end() == 0


# ---------------------------------------------------------------------------
# What is told, and asked


def test_what_is_told(hatchd, path):
    port = free_port()
    daemon = hatchd.file(FOREVER + cat("a", port), f"--control={path}")
    with opened(port) as client, dial(path) as events:
        events.sendall(b"events\n")
        assert b'"begin"' in read_line(events)
        drain(daemon)
        told = status(path)
        assert told["state"] == "draining" and told["drain"] == {"connections": 1}
        assert [line["state"] for line in listed(path)] == ["draining"]
        shown = hatchctl("status", "-s", path).stdout.decode()
        assert "Draining:      1 connection" in shown
        daemon.signal(signal.SIGUSR1)
        daemon.wait_log("state: draining, connections left: 1$")
        daemon.wait_log("a: draining, 1 child$")
        client.close()
        assert daemon.wait_end() == 0
        lines = [line for line in read_lines(events) if "time_usec" in line]
    words = [line["event"] for line in lines]
    assert words == ["draining", "close", "drained", "end"]
    assert lines[0]["connections"] == 1 and lines[2]["connections"] == 0


def test_what_is_not_done_meanwhile(hatchd, path):
    port = free_port()
    daemon = hatchd.file(FOREVER + cat("a", port), f"--control={path}")
    with opened(port):
        assert ask(path, "disable a")[0] == {"done": True}
        drain(daemon)
        assert refused(path, "reload") == "hatchd is stopping"
        assert refused(path, "enable a") == "hatchd is stopping"
        daemon.signal(signal.SIGHUP)
        assert len(connections(path)) == 1
        assert is_refused(port)
    assert daemon.wait_end() == 0
    assert "reloaded" not in daemon.text()


def test_who_asks_at_the_control_socket(hatchd, path):
    """The time is another one when he asks again."""
    port = free_port()
    daemon = hatchd.file(cat("a", port, stop="terminate"), f"--control={path}")
    assert refused(path, "drain soon") == "not a duration such as 30s or 5min, or unlimited"
    assert refused(path, "drain 1s now") == "not the word kill"
    with opened(port) as client:
        assert ask(path, "drain 1h")[0] == {"done": True}
        assert echoes(client) and is_refused(port)
        assert 3500_000_000 < status(path)["drain"]["left_usec"] <= 3600_000_000
        assert ask(path, "drain 0 kill")[0] == {"done": True}
        assert read_all(client) == b""
        assert daemon.wait_end() == 0
    assert says(daemon, "drained: nobody is left")


def test_more_time_is_asked_for_again_and_again(hatchd, world):
    """As long as it goes on, and not for longer than it can."""
    if not world:
        pytest.skip("sanitizers are loaded before another world")
    port = free_port()
    daemon = hatchd.file("drain_timeout = 30s\n" + cat("a", port), env=world.env)
    with opened(port):
        drain(daemon)
        for seconds in (6, 12):
            world.is_later(seconds, daemon)
            daemon.notified("EXTEND_TIMEOUT_USEC=20000000", 1 + seconds // 6)
        seen = len(daemon.messages)
        world.is_later(24, daemon)
        wait_until(lambda: asked_for(daemon, seen))
        assert 10_000_000 < asked_for(daemon, seen) < 20_000_000
        world.is_later(31, daemon)
        assert daemon.wait_end() == 0
    assert "the time is over, 1 connection left" in daemon.text()


def asked_for(daemon, after):
    """Microseconds that were last asked for; None: there was nothing since."""
    while select.select([daemon.notify], [], [], 0)[0]:
        daemon.messages.append(daemon.notify.recv(65536).decode())
    for message in reversed(daemon.messages[after:]):
        for line in message.split("\n"):
            if line.startswith("EXTEND_TIMEOUT_USEC="):
                return int(line.partition("=")[2])
    return None


def test_events_of_hatchctl(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    watching = Watching(path, "-e", "reload,draining,drained")
    watching.wait_first(lambda: reload(daemon))
    with opened(port):
        assert ask(path, "drain 200ms")[0] == {"done": True}
        assert daemon.wait_end() == 0
    status, lines, _ = watching.end()
    lines = [line[24:] for line in lines if "reload" not in line]
    assert status == 0 and lines[0].startswith("draining: 1 connection, ")
    assert lines[1:] == ["drained: 1 connection", "end"]
