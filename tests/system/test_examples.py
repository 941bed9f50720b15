"""What is installed for administrators to take: a socket unit, and drop-ins for the unit."""

import re

import pytest
from container import EXAMPLES, UNIT
from harness import (
    connect, free_port, is_refused, read_exactly, service, stanza, talk, wait_until,
)

# Says what it may do, and what it cannot.
LOOK = """sed -n "s/^NoNewPrivs:[[:space:]]*/privs /p" /proc/self/status
for file in /etc/hatchd/x /var/lib/x /usr/x; do
	(: >"$file") 2>/dev/null && echo "writes $file"
done
read -r line && echo "$line"
"""


def upper(listen, **more):
    return service("upper", listen=listen, exec=["/usr/bin/tr", "a-z", "A-Z"], **more)


def put_socket(machine):
    """hatchd.socket, as its comment says: the commands there for later."""
    text = machine.path(f"{EXAMPLES}/hatchd.socket").read_text()
    first, later = blocks(text)
    assert first.pop(0) == "cp hatchd.socket /etc/systemd/system/"
    machine.write("/etc/systemd/system/hatchd.socket", text)
    machine.do(first)
    return later


def blocks(text):
    """The commands of a comment: lines with a tab, as many as follow one another."""
    found = re.findall(r"(?:^#\t(?:cp|systemctl) .*\n)+", text, re.MULTILINE)
    return [block.replace("#\t", "").splitlines() for block in found]


@pytest.mark.everywhere
def test_socket(machine):
    """Also where hatchd runs already, as it does on a machine that has the package."""
    machine.serve(upper("fd:upper"))
    machine.systemctl("start", "hatchd")
    put_socket(machine)
    assert machine.show("ActiveState") == "inactive"
    assert talk(7777, b"first") == b"FIRST"
    assert machine.show("StatusText").startswith("Serving 1 of 1 services")
    machine.systemctl("restart", "hatchd")
    assert talk(7777, b"then") == b"THEN"


# As soon as that can be on any machine.
IMPATIENT = "[Socket]\nTriggerLimitIntervalSec=1min\nTriggerLimitBurst=2\n"


@pytest.mark.everywhere
def test_socket_and_mistakes(machine):
    """systemd gives the socket up; what the comment says for then opens it again."""
    machine.unit_file("hatchd.socket.d/test.conf", IMPATIENT)
    main = machine.path("/etc/hatchd/hatchd.conf")
    good = main.read_text()
    main.write_text("service {")
    later = put_socket(machine)
    with connect(7777):
        wait_until(lambda: machine.show("ActiveState", "hatchd.socket") == "failed")
    assert is_refused(7777)
    main.write_text(good)
    machine.serve(upper("fd:upper"))
    machine.unit_file("hatchd.socket.d/test.conf", "")
    machine.do(later)
    assert talk(7777, b"at last") == b"AT LAST"


def everything(port, redirect, echo, path):
    """Programs as root and as others, a worker, another one, and a UNIX socket."""
    return (
        service("root", listen=f"tcp:{port}", shell=LOOK, user="root")
        + service("nobody", listen=[f"tcp:{port + 1}", f"unix:{path}"], shell=LOOK)
        + stanza("service", "echo", listen=[f"tcp:{echo}", f"udp:{echo}"],
                 builtin="echo", public=True)
        + stanza("service", "redirect", listen=f"tcp:{redirect}",
                 redirect=f"tcp:127.0.0.1:{echo}"))


@pytest.mark.everywhere
def test_hardened(machine):
    """All of hatchd works, and what a program says about its rights."""
    port, _, redirect, echo = free_port(), free_port(), free_port(), free_port()
    path = "/run/hatchd/test.sock"
    machine.run("systemd-sysusers")
    machine.drop_in("hardening.conf")
    machine.serve(everything(port, redirect, echo, path))
    machine.systemctl("start", "hatchd")
    assert machine.show("StatusText").startswith("Serving 4 of 4 services")
    ask_all(machine, port, redirect, echo, path)
    machine.systemctl("reload", "hatchd")
    machine.run("hatchctl", "upgrade")
    ask_all(machine, port, redirect, echo, path)
    machine.systemctl("restart", "hatchd")
    ask_all(machine, port, redirect, echo, path)
    assert machine.journal("-u", UNIT, "PRIORITY=4").entries() == []


def ask_all(machine, port, redirect, echo, path):
    said = b"privs 1\nhello\n"
    for address in (port, port + 1, f"unix:{machine.path(path)}"):
        assert talk(address, b"hello\n") == said
    for address in (echo, redirect):
        with connect(address) as client:
            client.sendall(b"hello")
            assert read_exactly(client, 5) == b"hello"
    with connect(f"udp:127.0.0.1:{echo}") as client:
        client.send(b"hello")
        assert client.recv(100) == b"hello"
    for line in machine.run("hatchctl", "list").splitlines()[1:]:
        assert "serving" in line


def test_a_service_restricts_itself(machine):
    """As hatchd(8) tells: no other service has less for it."""
    ports = free_port(), free_port()
    strict = ["/usr/bin/setpriv", "--no-new-privs", "--", "/bin/sh", "-c", LOOK]
    machine.serve(service("strict", listen=f"tcp:{ports[0]}", exec=strict)
                  + service("other", listen=f"tcp:{ports[1]}", shell=LOOK))
    machine.systemctl("start", "hatchd")
    assert [talk(port) for port in ports] == [b"privs 1\n", b"privs 0\n"]


@pytest.mark.everywhere
@pytest.mark.parametrize("line, way", [
    ("RestrictNamespaces=yes", "clone (clone3 is not available)"),
    ("OOMScoreAdjust=100", "private memory"),
])
def test_not_in_it(machine, line, way):
    """What the example leaves out costs speed: children start in another way then."""
    port = free_port()
    machine.unit_file(f"{UNIT}.d/more.conf", f"[Service]\n{line}\n")
    machine.serve(upper(f"tcp:{port}"))
    machine.systemctl("start", "hatchd")
    assert talk(port, b"bom dia") == b"BOM DIA"
    said = machine.run("systemd-run", "--quiet", "--pipe", "--wait", f"--property={line}",
                       "hatchd", "-V")
    assert way in said.split("\n")[1]
