"""SIGHUP: what changed changes, what did not is not touched, and mistakes change nothing."""

import contextlib
import signal
import socket

import pytest

from harness import (
    connect,
    free_port,
    is_refused,
    read_all,
    service,
    talk,
)


def say(word, **options):
    return service("s", exec=["/bin/echo", "-n", word], **options)


def reload(daemon, text=None, line="reloaded: "):
    """SIGHUP with another text; returns what the log says."""
    if text is not None:
        daemon.write(text)
    mark = daemon.mark()
    daemon.signal(signal.SIGHUP)
    return daemon.wait_log(line + ".*", after=mark).string


def sockets(daemon):
    """{inode of a listening socket: descriptor}.  They lie high, others come and go below."""
    return {
        target: fd
        for fd, target in daemon.fds().items()
        if target.startswith("socket:") and fd >= 512
    }


def test_nothing_has_changed(hatchd):
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    before = sockets(daemon)
    assert "nothing has changed" in reload(daemon)
    assert sockets(daemon) == before
    assert talk(port) == b"old"


def test_program(hatchd):
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    before = sockets(daemon)
    assert "1 changed" in reload(daemon, say("new", listen=f"tcp:{port}"))
    assert talk(port) == b"new"
    assert sockets(daemon) == before


def test_address(hatchd):
    old, new = free_port(), free_port()
    daemon = hatchd.file(say("x", listen=f"tcp:{old}"))
    reload(daemon, say("x", listen=f"tcp:{new}"))
    assert talk(new) == b"x"
    assert is_refused(old)


def test_added_and_removed(hatchd):
    one, two = free_port(), free_port()
    first = service("one", listen=f"tcp:{one}", exec="/bin/cat")
    second = service("two", listen=f"tcp:{two}", exec="/bin/cat")
    daemon = hatchd.file(first)
    assert "1 added, 0 changed, 0 removed, 1 unchanged" in reload(daemon, first + second)
    assert talk(one, b"1") == b"1" and talk(two, b"2") == b"2"
    assert "0 changed, 1 removed, 1 unchanged" in reload(daemon, second)
    assert is_refused(one) and talk(two, b"2") == b"2"


def test_renamed_service_keeps_its_socket(hatchd):
    port = free_port()
    daemon = hatchd.file(service("one", listen=f"tcp:{port}", exec="/bin/cat"))
    before = sockets(daemon)
    reload(daemon, service("two", listen=f"tcp:{port}", exec="/bin/cat"))
    assert sockets(daemon) == before
    assert talk(port, b"x") == b"x"


def test_services_exchange_addresses(hatchd):
    one, two = free_port(), free_port()

    def config(a, b):
        return service("a", listen=f"tcp:{a}", exec=["/bin/echo", "-n", "a"]) + service(
            "b", listen=f"tcp:{b}", exec=["/bin/echo", "-n", "b"]
        )

    daemon = hatchd.file(config(one, two))
    before = sockets(daemon)
    reload(daemon, config(two, one))
    assert (talk(one), talk(two)) == (b"b", b"a")
    assert sockets(daemon) == before


def test_children_live_on(hatchd):
    """Also those of a service that is gone, and their counts come back with it."""
    port = free_port()
    text = service("s", listen=f"tcp:{port}", exec="/bin/cat", instances=1)
    daemon = hatchd.file(text)
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        reload(daemon, "")
        client.sendall(b"y")
        assert client.recv(1) == b"y"
        assert is_refused(port)
        reload(daemon, text)
        with connect(port) as waiting:
            daemon.wait_log("s: full with 1 child")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
            waiting.sendall(b"z")
            assert waiting.recv(1) == b"z"


def test_service_is_forgotten_with_its_last_child(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat"))
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        reload(daemon, "")
    daemon.wait_children(0)
    reload(daemon, service("s", listen=f"tcp:{port}", exec="/bin/cat"))
    assert talk(port, b"x") == b"x"


def test_fewer_instances_harm_nobody(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec="/bin/cat", instances=3, per_source=3)
    )
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(3)]
        for client in clients:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        fewer = service("s", listen=f"tcp:{port}", exec="/bin/cat", instances=1, per_source=1)
        reload(daemon, fewer)
        for client in clients:
            client.sendall(b"y")
            assert client.recv(1) == b"y"


MISTAKES = {
    "syntax": b"service {",
    "unknown option": b"service s { lisn = tcp:1 }",
    "binary": bytes(range(256)) * 40,
    "NULs": b"\0" * 4096,
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_change_nothing(hatchd, name):
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    before = sockets(daemon)
    reload(daemon, MISTAKES[name], line="unable to reload: .* keeping the configuration")
    assert sockets(daemon) == before
    assert talk(port) == b"old"


def test_mistake_in_an_included_file(hatchd):
    """At start it would be left out; at reload nothing changes."""
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    text = 'include_dir("services.d")\n' + say("old", listen=f"tcp:{port}")
    daemon.write("", "services.d/x.conf")
    reload(daemon, text)
    assert talk(port) == b"old"
    daemon.write("service x {", "services.d/x.conf")
    reload(daemon, line="unable to reload: .* keeping the configuration")
    assert talk(port) == b"old"


def test_file_is_gone(hatchd):
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    daemon.config_path.unlink()
    reload(daemon, line="unable to reload: .* keeping the configuration")
    assert talk(port) == b"old"


def test_service_manager_is_told(hatchd):
    daemon = hatchd.file(say("old", listen=f"tcp:{free_port()}"))
    daemon.messages.clear()
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("RELOADING=1")
    daemon.wait_notified("READY=1")
    assert "MONOTONIC_USEC=" in daemon.messages[0]
