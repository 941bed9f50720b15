"""Sockets that systemd opens: fd:NAME, or the address that a service asks for."""

import pytest
from harness import connect, free_port, read_exactly, service, talk

SOCKETS = """[Socket]
FileDescriptorName={name}
Service=hatchd.service
{listen}
"""


def hand_over(machine, name, *listen):
    """A socket unit, started: systemd holds the sockets from now on."""
    unit = f"hatchd-{name}.socket"
    machine.unit_file(unit, SOCKETS.format(name=name, listen="\n".join(listen)))
    machine.systemctl("start", unit)
    return unit


def test_handed_over(machine):
    """Each service gets the socket of its name, of whatever kind."""
    port, path = free_port(), "/run/upper.sock"
    hand_over(machine, "web", f"ListenStream=127.0.0.1:{port}")
    hand_over(machine, "local", f"ListenStream={path}")
    machine.serve(
        service("web", listen="fd:web", exec=["/bin/cat"])
        + service("local", listen="fd:local", exec=["/usr/bin/tr", "a-z", "A-Z"])
    )
    machine.systemctl("start", "hatchd")
    assert machine.show("StatusText") == "Serving 2 of 2 services"
    assert talk(port, b"abc") == b"abc"
    assert talk(f"unix:{machine.path(path)}", b"abc") == b"ABC"


def test_first_client_starts_hatchd(machine):
    port = free_port()
    hand_over(machine, "web", f"ListenStream=127.0.0.1:{port}")
    machine.serve(service("web", listen="fd:web", exec=["/bin/cat"]))
    assert machine.show("ActiveState") == "inactive"
    assert talk(port, b"first") == b"first"
    assert machine.show("ActiveState") == "active"


def test_restart_turns_nobody_away(machine):
    """The socket is systemd's: who connects while there is no hatchd waits."""
    port = free_port()
    hand_over(machine, "web", f"ListenStream=127.0.0.1:{port}")
    machine.serve(service("web", listen="fd:web", exec=["/bin/cat"]))
    machine.systemctl("start", "hatchd")
    for _ in range(5):
        with machine.popen("systemctl", "restart", "hatchd") as restart:
            while restart.poll() is None:
                assert talk(port, b"now") == b"now"
            assert restart.returncode == 0
    assert talk(port, b"then") == b"then"


def test_reload_keeps_what_was_handed_over(machine):
    """It cannot be had again: not even a service with another name loses it."""
    port = free_port()
    hand_over(machine, "web", f"ListenStream=127.0.0.1:{port}")
    machine.serve(service("web", listen="fd:web", exec=["/bin/cat"]))
    machine.systemctl("start", "hatchd")
    with connect(port) as client:
        client.sendall(b"old")
        assert read_exactly(client, 3) == b"old"
        machine.serve(service("loud", listen="fd:web", exec=["/usr/bin/tr", "a-z", "A-Z"]))
        machine.systemctl("reload", "hatchd")
        assert talk(port, b"new") == b"NEW"
        client.sendall(b"old")
        assert read_exactly(client, 3) == b"old"


@pytest.mark.everywhere
def test_socket_of_an_address(machine):
    """The configuration is the same without the socket unit; systemd's file is not removed."""
    port, path = free_port(), "/run/upper.sock"
    hand_over(machine, "web", f"ListenStream={port}", f"ListenStream={path}")
    machine.serve(
        service("web", listen=f"tcp:{port}", exec=["/bin/cat"])
        + service("local", listen=f"unix:{path}", exec=["/usr/bin/tr", "a-z", "A-Z"])
    )
    machine.systemctl("start", "hatchd")
    for _ in range(3):
        assert machine.show("StatusText") == "Serving 2 of 2 services"
        assert talk(port, b"abc") == b"abc"
        assert talk(f"unix:{machine.path(path)}", b"abc") == b"ABC"
        machine.systemctl("restart", "hatchd")
    machine.systemctl("stop", "hatchd")
    assert machine.path(path).is_socket()


def test_what_nobody_asks_for(machine):
    """It is kept for who asks for it later."""
    port = free_port()
    hand_over(machine, "web", f"ListenStream=127.0.0.1:{port}")
    machine.serve("")
    machine.systemctl("start", "hatchd")
    machine.journal("-u", "hatchd").wait(
        MESSAGE=f"'web', tcp:127.0.0.1:{port}, is for no service; add listen = fd:web$",
        PRIORITY="4")
    machine.serve(service("web", listen=f"tcp:127.0.0.1:{port}", exec=["/bin/cat"]))
    machine.systemctl("reload", "hatchd")
    assert talk(port, b"x") == b"x"


def test_datagrams(machine):
    port = free_port()
    hand_over(machine, "gram", f"ListenDatagram=127.0.0.1:{port}")
    machine.serve(service("gram", listen="fd:gram", wait=True, shell="head -c 4 >&2"))
    machine.systemctl("start", "hatchd")
    journal = machine.journal("SYSLOG_IDENTIFIER=hatchd/gram")
    with connect(f"udp:127.0.0.1:{port}") as client:
        client.send(b"one\n")
        journal.wait(MESSAGE="^one$")
        client.send(b"two\n")
        journal.wait(MESSAGE="^two$")


def test_without_the_socket_it_waits(machine):
    """A hatchd started without its socket unit says so, and serves the others."""
    port = free_port()
    machine.serve(
        service("web", listen="fd:web", exec=["/bin/cat"])
        + service("echo", listen=f"tcp:{port}", exec=["/bin/cat"])
    )
    machine.systemctl("start", "hatchd")
    assert machine.show("StatusText") == "Serving 1 of 2 services"
    assert talk(port, b"x") == b"x"
    machine.journal("-u", "hatchd").wait(MESSAGE="^web: .*fd:web", PRIORITY="4")
