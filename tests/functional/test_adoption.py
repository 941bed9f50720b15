"""Sockets that the service manager has opened, at addresses that services ask for."""

import contextlib
import os
import pathlib
import re
import signal
import socket

import pytest
from harness import (
    PYTHON, built_helper, connect, free_port, hatchctl, have_ipv6, is_refused, listed,
    parse_address, protocol_of, read_exactly, reload, service, talk, udp, wait_until,
)
from keeper import Keeper, die
from test_kinds import needs_mptcp
from upgrades import upgrade

needs_ipv6 = pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")

# As sd_listen_fds(3) says; without names where there is a ? for them.
HAND_OVER = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[2].split(",")]
for n, fd in enumerate(fds):
    os.dup2(fd, 3 + n, inheritable=True)
os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_PID=str(os.getpid()))
if sys.argv[1] != "?":
    os.environ["LISTEN_FDNAMES"] = sys.argv[1]
os.execv(sys.argv[3], sys.argv[3:])
"""


def handed_over(sockets, names="?"):
    fds = [sock.fileno() for sock in sockets]
    return {"pass_fds": fds,
            "launcher": [PYTHON, "-S", "-E", "-c", HAND_OVER, names, ",".join(map(str, fds))]}


def opened(address, v6only=None, listens=True):
    """A socket as a service manager has it."""
    family, kind, name = parse_address(address)
    sock = socket.socket(family, kind, protocol_of(address))
    if v6only is not None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    sock.bind(name)
    if listens and kind != socket.SOCK_DGRAM:
        sock.listen()
    return sock


def target(sock):
    return f"socket:[{os.fstat(sock.fileno()).st_ino}]"


def polled(daemon, *sockets):
    """Which of them a service has; the others are open, too."""
    numbers = set()
    for path in pathlib.Path(f"/proc/{daemon.pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            numbers.update(re.findall(r"^tfd: +(\d+)", path.read_text(), re.MULTILINE))
    fds = daemon.fds()
    targets = {fds.get(int(number)) for number in numbers}
    return [sock for sock in sockets if target(sock) in targets]


def cat(listen, name="s", **more):
    return service(name, listen=listen, exec="/bin/cat", **more)


@pytest.fixture
def port():
    return free_port()


# -- what is taken over


@pytest.mark.parametrize("form", [
    "tcp:127.0.0.1:{port}", pytest.param("tcp:[::1]:{port}", marks=needs_ipv6),
    "unix:{folder}/a.sock", "unix:@{folder}", "unix-seqpacket:{folder}/a.sock",
    pytest.param("mptcp:127.0.0.1:{port}", marks=needs_mptcp),
])
def test_streams(hatchd, folder, port, form):
    """Whatever they are called; the file of a UNIX socket is not hatchd's to remove."""
    address = form.format(port=port, folder=folder)
    with opened(address) as sock:
        daemon = hatchd.file(cat(address), **handed_over([sock]))
        assert list(daemon.listening()) == [target(sock)]
        with connect(address) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        daemon.wait_children(0)
        daemon.stop()
        assert not is_refused(address)
        assert "is for no service" not in daemon.text()


@pytest.mark.parametrize("form", ["udp:127.0.0.1:{port}", "unix-dgram:{folder}/a.sock"])
def test_datagrams(hatchd, folder, port, form):
    address = form.format(port=port, folder=folder)
    config = service("s", listen=address, exec=["/usr/bin/tr", "a-z", "A-Z"], per_datagram=True)
    with opened(address) as sock:
        daemon = hatchd.file(config, **handed_over([sock], "gram"))
        assert list(daemon.listening()) == [target(sock)]
        if form.startswith("udp"):
            assert udp(address, b"bom dia") == [b"BOM DIA"]


@needs_ipv6
@pytest.mark.parametrize("asked, form, v6only", [
    ("tcp:{}", "tcp:[::]:{}", False), ("tcp6:{}", "tcp:[::]:{}", True),
    ("tcp4:{}", "tcp:0.0.0.0:{}", None),
])
def test_wildcards(hatchd, port, asked, form, v6only):
    with opened(form.format(port), v6only) as sock:
        daemon = hatchd.file(cat(asked.format(port)), **handed_over([sock], "web"))
        assert list(daemon.listening()) == [target(sock)]
    where = f"tcp:[::1]:{port}" if v6only else port
    assert talk(where, b"x") == b"x"


@needs_ipv6
def test_ipv4_alone_where_both_are_asked_for(hatchd, port):
    with opened(f"tcp:0.0.0.0:{port}") as sock:
        daemon = hatchd.file(cat(f"tcp:{port}"), **handed_over([sock], "web"))
    daemon.wait_log(f"s: tcp:{port}: what was handed over is tcp4:{port}, serving that")
    assert talk(port, b"x") == b"x"


@needs_mptcp
def test_one_path_where_several_are_asked_for(hatchd, port):
    with opened(f"tcp:127.0.0.1:{port}") as sock:
        daemon = hatchd.file(cat(f"mptcp:127.0.0.1:{port}"), **handed_over([sock], "web"))
    daemon.wait_log(f"what was handed over is tcp:127.0.0.1:{port}, serving that")
    assert talk(port, b"x") == b"x"


def test_several_of_one_name(hatchd):
    """As those of one socket unit are called, unless it says otherwise."""
    ports = [free_port() for _ in range(3)]
    addresses = [f"tcp:127.0.0.1:{port}" for port in ports]
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(opened(address)) for address in addresses]
        daemon = hatchd.file(cat(addresses[:0:-1]),
                             **handed_over(sockets, ":".join(3 * ["hatchd.socket"])))
        assert set(daemon.listening()) >= set(map(target, sockets[1:]))
    # Its name is taken, and would be the others' as well.
    daemon.wait_log(f"handed over as 'hatchd.socket', {addresses[0]}, is for no service; add "
                    f"listen = {addresses[0]}$")
    for port in ports[1:]:
        assert talk(port, b"x") == b"x"
    reload(daemon, cat(addresses))
    assert talk(ports[0], b"x") == b"x"


def test_one_child_gets_it(hatchd, port):
    """wait = yes."""
    program = "import socket; c = socket.socket(fileno=0).accept()[0]; c.sendall(b'here')"
    address = f"tcp:127.0.0.1:{port}"
    with opened(address) as sock:
        daemon = hatchd.file(
            service("s", listen=address, wait=True, exec=[PYTHON, "-S", "-E", "-c", program]),
            **handed_over([sock]))
        for _ in range(2):
            assert talk(port) == b"here"
        daemon.wait_children(0)


def test_at_a_command_line(hatchd, port):
    with opened(f"tcp:127.0.0.1:{port}") as sock:
        daemon = hatchd.adhoc(
            "-l", f"tcp:127.0.0.1:{port}", "--", "/bin/cat", **handed_over([sock]))
        assert target(sock) in daemon.listening()
    assert talk(port, b"x") == b"x"


def test_any_port_is_another_one(hatchd, port):
    """Port 0 is no place that somebody could have."""
    with opened(f"tcp:127.0.0.1:{port}") as sock:
        daemon = hatchd.file(cat("tcp:127.0.0.1:0"), **handed_over([sock]))
        daemon.wait_log(f"tcp:127.0.0.1:{port}, is for no service; add listen = fd:unknown")


# -- what does not fit


def misfit(address, why, name="web"):
    return (f"s: waiting: unable to take over the socket handed over as '{name}' for "
            f"{address}: {why}")


def test_one_that_does_not_listen(hatchd, port):
    address = f"tcp:127.0.0.1:{port}"
    with opened(address, listens=False) as sock:
        daemon = hatchd.file(cat(address), **handed_over([sock], "web"))
        daemon.wait_log(misfit(address, "it is not a listening socket"))
        sock.listen()
        reload(daemon, cat(address, instances=7))
        assert talk(port, b"x") == b"x"
        daemon.wait_log(f"s: listening on {address} now")


@needs_ipv6
@pytest.mark.parametrize("asked, v6only", [("tcp:{}", True), ("tcp6:{}", False)])
def test_other_versions_of_ip(hatchd, folder, port, asked, v6only):
    """It would let in others than those that the configuration means."""
    address = asked.format(port)
    control = folder / "control"
    with opened(f"tcp:[::]:{port}", v6only) as sock:
        daemon = hatchd.file(cat(address), f"--control={control}", **handed_over([sock], "web"))
        daemon.wait_log(misfit(address, r"it is not for the same versions of IP \(v6only\)"))
        (found,) = listed(control)["s"]["addresses"]
        assert found["state"] == "waiting" and "(v6only)" in found["reason"]
        reload(daemon, cat(f"tcp6:{port}" if v6only else f"tcp:{port}"))
        assert target(sock) in daemon.listening()
    assert talk(f"tcp:[::1]:{port}", b"x") == b"x"
    assert "is for no service" not in daemon.text()


def test_another_type(hatchd, folder):
    path = f"{folder}/a.sock"
    with opened(f"unix-seqpacket:{path}") as sock:
        daemon = hatchd.file(cat(f"unix:{path}"), **handed_over([sock], "web"))
        daemon.wait_log(misfit(f"unix:{path}", "it is of another protocol or type"))
        assert os.path.exists(path)


@pytest.mark.needs_root
def test_another_interface(hatchd, port):
    address = f"tcp:127.0.0.1:{port}"
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        sock.bind(("127.0.0.1", port))
        sock.listen()
        daemon = hatchd.file(cat(address), **handed_over([sock], "web"))
        daemon.wait_log(misfit(address, "it is not bound to the same interface"))
        reload(daemon, cat(address, bind_to_device="lo"))
        assert target(sock) in daemon.listening()
    assert talk(port, b"x") == b"x"


def test_a_connection(hatchd, port):
    """Accept=yes: who is at the other end is not left waiting."""
    with opened(f"tcp:127.0.0.1:{port}") as sock, connect(port) as client:
        accepted = sock.accept()[0]
        daemon = hatchd.file(cat(f"tcp:{free_port()}"), **handed_over([accepted], "connection"))
        accepted.close()
        daemon.wait_log(r"a connection was handed over as 'connection', .*\(Accept=no ")
        assert client.recv(1) == b""


def test_no_socket_at_all(hatchd, folder):
    os.mkfifo(folder / "fifo")
    with open(folder / "fifo", "r+b", buffering=0) as fifo:
        daemon = hatchd.file(cat(f"tcp:{free_port()}"), **handed_over([fifo], "fifo"))
        daemon.wait_log("what was handed over as 'fifo' is nothing that clients come to")
        wait_until(lambda: not [x for x in daemon.fds().values() if x.endswith("/fifo")])


def test_one_socket_twice(hatchd):
    """Of two services at one socket the one could make the other wait."""
    same = "the same (socket )?as one that was handed over before it"
    with opened("tcp:127.0.0.1:0") as sock:
        daemon = hatchd.file(
            cat("fd:a") + cat("fd:b", name="t"), **handed_over([sock, sock], "a:b"))
        daemon.wait_log(f"t: waiting: unable to take over socket fd:b: it is {same}")
        daemon.wait_log(f"the socket handed over as 'b' is {same}: closing this")
        wait_until(lambda: list(daemon.fds().values()).count(target(sock)) == 1)
        assert talk(sock.getsockname()[1], b"x") == b"x"


# -- what nobody asks for


def test_many_that_nobody_asks_for(hatchd):
    """Told once, and not for ever."""
    with contextlib.ExitStack() as stack:
        ports = [free_port() for _ in range(11)]
        sockets = [stack.enter_context(opened(f"tcp:127.0.0.1:{port}")) for port in ports]
        config = cat(f"tcp:127.0.0.1:{ports[0]}")
        names = ":".join(f"s{n}" for n in range(len(sockets)))
        daemon = hatchd.file(config, **handed_over(sockets, names))
        daemon.wait_log("2 more sockets that were handed over are for no service")
        assert daemon.text().count("is for no service; add") == 8
        mark = daemon.mark()
        reload(daemon)
        assert talk(ports[0], b"x") == b"x"
        assert "for no service" not in "\n".join(daemon.log.lines[mark:])


def test_reloads(hatchd, folder, port):
    """It comes and goes with its service, and is the same socket all the time."""
    control = folder / "control"
    address = f"tcp:127.0.0.1:{port}"
    nobodys = f"handed over as 'web', {address}, is for no service; add listen = fd:web"
    with opened(address) as sock:
        daemon = hatchd.file("", f"--control={control}", **handed_over([sock], "web"))
        daemon.wait_log(nobodys)
        with connect(port) as waiting:  # in its queue
            waiting.sendall(b"early")
            for config in (
                    cat(address), cat("fd:web"), cat(address, name="t"),
                    cat(address, name="t", keepalive=True), cat(f"mptcp:127.0.0.1:{port}")):
                reload(daemon, config)
                assert target(sock) in daemon.listening()
                assert talk(port, b"x") == b"x"
                for told in listed(control).values():
                    assert told["addresses"][0]["handed_over"] == "web"
            assert read_exactly(waiting, 5) == b"early"
        daemon.wait_children(0)
        mark = daemon.mark()
        reload(daemon, "", line=".*" + nobodys)
        assert not is_refused(port)
        reload(daemon, "")
        assert sum(nobodys in line for line in daemon.log.lines[mark:]) == 1
        reload(daemon, cat(address))
        assert talk(port, b"x") == b"x"
    assert not is_refused(port)


def test_from_its_name_to_its_address(hatchd):
    """Also where another one could be opened beside it, which would get half of all clients."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        daemon = hatchd.file(cat("fd:web"), **handed_over([sock], "web"))
        reload(daemon, cat(f"tcp:127.0.0.1:{sock.getsockname()[1]}", reuse_port=True))
        assert list(daemon.listening()) == [target(sock)]
        assert polled(daemon, sock) == [sock]


# -- that programs have had


@pytest.mark.needs_root
@pytest.mark.parametrize("form", ["fd:web", "udp:127.0.0.1:{}"])
def test_program_that_holds_the_lock(hatchd, port, form):
    """I2: of what is handed over nothing is asked that would wait for it."""
    def held(name, **more):
        return other + service(
            name, listen=form.format(port), wait=True, user="root",
            shell=f"trap '' TERM; exec {built_helper('hold-lock')}", **more)

    other = cat(f"tcp:127.0.0.1:{free_port()}")
    with opened(f"udp:127.0.0.1:{port}") as sock, connect(f"udp:127.0.0.1:{port}") as client:
        daemon = hatchd.file(held("a"), **handed_over([sock], "web"))
        client.send(b"x")
        if "impossible" in daemon.wait_log("the lock is (held|impossible)").string:
            pytest.skip("memory cannot be held back here")
        (child,) = daemon.children()
        upgrade(daemon)
        for config in (held("a", nice=1), other, held("b")):
            reload(daemon, config)
            assert target(sock) in daemon.listening()
        reload(daemon, other)
        for config in (other, held("b")):
            daemon.write(config)
            upgrade(daemon)
        assert "waiting" not in daemon.text()
        os.kill(child, signal.SIGKILL)
        daemon.wait_log(f"a: child {child} ended")


# -- over an upgrade, and in the next life


def test_upgrades(hatchd, port):
    spare = free_port()
    addresses = [f"tcp:127.0.0.1:{port}", f"tcp:127.0.0.1:{spare}"]
    with opened(addresses[0]) as one, opened(addresses[1]) as other:
        daemon = hatchd.file(cat(addresses[0]), **handed_over([one, other], "web:web"))
        daemon.wait_log(f"{addresses[1]}, is for no service")
        for _ in range(2):
            upgrade(daemon)
            assert talk(port, b"x") == b"x"
            assert target(one) in daemon.listening()
        assert daemon.text().count("is for no service") == 1
        daemon.write(cat(addresses[1]))
        upgrade(daemon)
        assert talk(spare, b"x") == b"x"
        daemon.wait_log(f"{addresses[0]}, is for no service; add listen = {addresses[0]}")
        reload(daemon, cat(addresses))
        assert talk(port, b"x") == b"x" and talk(spare, b"x") == b"x"
        assert set(daemon.listening()) == {target(one), target(other)}


def opened_twice(stack, kind):
    """Two that one address asks for, and that address."""
    if kind == "name":
        return "fd:web", [stack.enter_context(opened("tcp:127.0.0.1:0")) for _ in range(2)]
    sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(sockets[0].getsockname() if sock is sockets[1] else ("127.0.0.1", 0))
        sock.listen()
    return f"tcp:127.0.0.1:{sockets[0].getsockname()[1]}", sockets


@pytest.mark.parametrize("kind", ["name", "address"])
def test_upgrades_where_another_would_do(hatchd, kind):
    """Who waits in the queue of the one that was served is not left there (I3)."""
    with contextlib.ExitStack() as stack:
        address, sockets = opened_twice(stack, kind)
        daemon = hatchd.file(cat(address), **handed_over(sockets, "web:web"))
        for _ in range(3):
            assert polled(daemon, *sockets) == sockets[:1]
            upgrade(daemon)
        assert daemon.text().count("is for no service") == 1


def test_each_has_its_own_again(hatchd, folder):
    """Also where one comes back first that would have the other's, and over an upgrade."""
    def steer(*words):
        assert hatchctl(*words, f"--control={folder}/control").returncode == 0

    with opened("tcp:127.0.0.1:0") as one, opened("tcp:127.0.0.1:0") as other:
        address = f"tcp:127.0.0.1:{one.getsockname()[1]}"
        daemon = hatchd.file(
            cat(address, name="a") + cat("fd:web", name="b"), f"--control={folder}/control",
            **handed_over([one, other], "web:web"))
        steer("disable", "a", "b")
        for _ in range(2):
            steer("enable", "b")
            assert polled(daemon, one, other) == [other]
            steer("disable", "b")
            upgrade(daemon)
        steer("enable", "a", "b")
        assert polled(daemon, one, other) == [one, other]


def test_they_are_not_stored(folder, port):
    """The service manager has them, and would hand them over twice."""
    own = free_port()
    config = cat([f"tcp:127.0.0.1:{port}", f"tcp:127.0.0.1:{own}"])
    with Keeper() as keeper, opened(f"tcp:127.0.0.1:{port}") as sock:
        keeper.put("web", sock.fileno())
        for _ in range(2):
            daemon = keeper.start(folder, config)
            keeper.wait_kept("web", f"hatchd//tcp=127.0.0.1={own}")
            assert talk(port, b"x") == b"x" and talk(own, b"x") == b"x"
            assert target(sock) in daemon.listening()
            upgrade(daemon)
            assert talk(port, b"x") == b"x"
            die(daemon)
        assert keeper.said.count("FDSTORE=1") == 1


def test_a_kept_one_makes_way(folder, port):
    """Of two at one address the service manager goes on to have the one that it has opened."""
    config = cat(f"tcp:127.0.0.1:{port}", reuse_port=True)
    with Keeper() as keeper, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        daemon = keeper.start(folder, config)
        keeper.wait(lambda: len(keeper.kept) == 1, "the socket")
        die(daemon)
        sock.bind(("127.0.0.1", port))
        sock.listen()
        keeper.put("web", sock.fileno())
        daemon = keeper.start(folder)
        keeper.wait_kept("web")
        assert list(daemon.listening()) == [target(sock)]
        assert talk(port, b"x") == b"x"
        die(daemon)


# -- who asks


def test_it_is_told(hatchd, folder, port):
    """Whose sockets they are, and that nobody asks for one, also after an upgrade."""
    spare, own = free_port(), free_port()
    served, unclaimed, opens = (f"tcp:127.0.0.1:{n}" for n in (port, spare, own))
    control = folder / "run/control"

    def says(*lines):
        said = hatchctl("status", "-s", control).stdout.decode()
        return [x.split(None, 2)[2] for x in said.splitlines() if "Handed" in x] == [*lines]

    with opened(served) as one, opened(unclaimed) as other:
        daemon = hatchd.file(cat([served, opens]), f"--control={control}",
                             **handed_over([one, other], "web:spare"))
        for _ in range(2):
            assert says("2 sockets, by the service manager; for no service: 1")
            rows = hatchctl("list", "-s", control).stdout.decode()
            assert f" {served}=fd:web {opens}\n" in rows
            upgrade(daemon)
        reload(daemon, cat(["fd:spare", opens]))
        assert says("2 sockets, by the service manager; for no service: 1")
        reload(daemon, cat(["fd:spare", served]))
        assert says("2 sockets, by the service manager")
