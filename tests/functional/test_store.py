"""Sockets that are kept with the service manager: FDSTORE of sd_notify(3)."""

import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import threading

import pytest
from harness import (
    Daemon,
    connect,
    free_port,
    hatchctl,
    is_refused,
    isolate,
    read_all,
    read_exactly,
    reload,
    service,
    talk,
    wait_asleep,
)
from keeper import Keeper, die
from upgrades import upgrade

SO_BINDTOIFINDEX = 62


@pytest.fixture
def keeper():
    with Keeper() as keeper:
        yield keeper


@pytest.fixture
def lives(folder, keeper):
    """start(config): one life of hatchd after the other."""
    with contextlib.ExitStack() as stack:
        def start(config=None, *args, **more):
            daemon = (more.pop("keeper", None) or keeper).start(folder, config, *args, **more)
            stack.callback(daemon.close)
            return daemon
        yield start


def end(daemon, how):
    if how == "killed":
        die(daemon)
    else:
        daemon.stop()
        daemon.close()


def cat(name, listen, **more):
    return service(name, listen=listen, exec="/bin/cat", **more)


def name(address, stamp=""):
    return f"hatchd/{stamp}/" + address.replace(":", "=")


def inode(sock):
    return os.fstat(sock.fileno()).st_ino


# -- what is kept


def test_every_listener_is_kept(lives, keeper, folder):
    ports = [free_port() for _ in range(3)]
    addresses = [f"tcp:{ports[0]}", f"tcp:127.0.0.1:{ports[1]}", f"udp:127.0.0.1:{ports[2]}",
                 f"unix:{folder}/a.sock", f"unix:@{folder.name}"]
    lives("".join(cat(f"s{n}", address) for n, address in enumerate(addresses)))
    keeper.wait_kept(*map(name, addresses))


def test_status_tells_how_many(lives, keeper, folder):
    control = folder / "control"
    ports = [free_port() for _ in range(3)]
    names = [name(f"tcp:{port}") for port in ports]
    services = [cat(f"s{port}", f"tcp:{port}") for port in ports]

    def kept():
        return json.loads(hatchctl("-s", control, "status", "--json").stdout)["hatchd"]["kept"]

    daemon = lives(services[0] + services[1], "--control", control)
    keeper.wait_kept(*names[:2])
    assert kept() == 2
    reload(daemon, "".join(services))
    keeper.wait_kept(*names)
    assert b"\nKept:          3 sockets, by the service manager\n" in hatchctl(
        "-s", control, "status").stdout
    reload(daemon, services[0])
    keeper.wait_kept(names[0])
    assert kept() == 1


def test_not_in_use(folder):
    """Without FDSTORE in the environment nobody is given anything."""
    port = free_port()
    with Keeper(says_so=False) as keeper:
        daemon = keeper.start(folder, cat("s", f"tcp:{port}"))
        assert talk(port, b"x") == b"x"
        daemon.stop()
        daemon.close()
        while keeper.hear():
            pass
        assert "FDSTORE=1" not in keeper.said


@pytest.fixture
def many_descriptors():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_thousands(lives, many_descriptors):
    """More than a manager's queue holds, with names that an environment has room for."""
    first, count = 30000, 1000
    with Keeper(places=10000) as keeper:
        config = cat("many", f"tcp:127.0.0.1:{first}-{first + count - 1}")
        daemon = lives(config, keeper=keeper)
        keeper.wait(lambda: len(keeper.kept) == count, f"{count} sockets")
        names = keeper.names()
        assert len(set(names)) == count
        assert sum(len(name) + 1 for name in names) < 25000
        die(daemon)
        daemon = lives(keeper=keeper)
        daemon.wait_log(f"went on with {count} sockets that had been kept")
        for port in (first, first + count // 2, first + count - 1):
            assert talk(port, b"x") == b"x"
        assert keeper.names() == names


def test_limit_on_descriptors(lives, many_descriptors):
    """What the manager could not hand over would keep hatchd from being started."""
    config = cat("many", "tcp:127.0.0.1:30000-30099")
    with Keeper() as keeper:
        daemon = lives(config, keeper=keeper, most=160)
        keeper.wait(lambda: keeper.said.count("BARRIER=1") == 6, "all of them")
        daemon.wait_log("52 sockets are not kept by .*, where there is room for 48 ")
        assert len(keeper.kept) == 48


def test_no_place_for_all(lives):
    ports = [free_port() for _ in range(3)]
    with Keeper(places=2) as keeper:
        daemon = lives("".join(cat(f"s{port}", f"tcp:{port}") for port in ports), keeper=keeper)
        daemon.wait_log("1 socket is not kept by .*, where there is room for 2 ")
        keeper.wait(lambda: len(keeper.kept) == 2, "two sockets")
        # A place that comes free is for the one that was left out.
        text = "".join(cat(f"s{port}", f"tcp:{port}") for port in ports[1:])
        reload(daemon, text)
        keeper.wait_kept(*[name(f"tcp:{port}") for port in ports[1:]])


def test_manager_that_reads_nothing(lives, keeper):
    """Nobody waits for it."""
    first = free_port()
    daemon = lives(cat("one", f"tcp:{first}"))
    keeper.wait_kept(name(f"tcp:{first}"))
    reload(daemon, cat("many", "tcp:127.0.0.1:30000-30099"))
    assert talk(30099, b"x") == b"x"
    assert is_refused(first)
    reload(daemon, cat("one", f"tcp:{first}"))
    assert talk(first, b"x") == b"x"
    keeper.wait_kept(name(f"tcp:{first}"))


def test_manager_that_is_slow_to_read(lives, keeper):
    """What there is to tell it meanwhile waits, and so does hatchd."""
    first, second = free_port(), free_port()
    one, both = cat("a", f"tcp:{first}"), cat("b", f"tcp:{second}")
    daemon = lives(one)
    keeper.wait_kept(name(f"tcp:{first}"))
    keeper.wait_said("BARRIER=1", 1, daemon)
    keeper.barriers = []
    reload(daemon, one + both)
    keeper.wait(lambda: keeper.barriers, "another barrier", daemon)
    reload(daemon, one)
    wait_asleep(daemon.pid)
    assert keeper.names() == sorted([name(f"tcp:{first}"), name(f"tcp:{second}")])
    keeper.release()
    keeper.wait_kept(name(f"tcp:{first}"))


@pytest.mark.parametrize("when", ["before", "later"])
def test_manager_that_is_gone(lives, keeper, folder, when):
    """It keeps nothing, so what leads to a socket goes with it."""
    path = folder / "a.sock"
    gone = {"NOTIFY_SOCKET": f"{folder}/no", "FDSTORE": "10"}
    if when == "before":
        daemon = Daemon(config=cat("a", f"unix:{path}"), folder=folder, env=gone, ready=False)
        daemon.fds_at_start = None
    else:
        daemon = lives(cat("a", f"unix:{path}"))
        keeper.wait_kept(name(f"unix:{path}"))
        keeper.sock.close()
        reload(daemon)
    with daemon:
        daemon.wait_log("unable to keep sockets with the service manager: .*, going on without")
        assert talk(f"unix:{path}", b"x") == b"x"
        wait_asleep(daemon.pid)
        daemon.stop()
        assert daemon.text().count("unable to keep sockets") == 1
    assert not path.exists()


# -- another life


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_nobody_is_refused(lives, keeper, folder, how):
    """Who comes while there is no hatchd waits for the next one."""
    port, gram, path = free_port(), free_port(), f"{folder}/a.sock"
    config = (
        cat("tcp", f"tcp:{port}")
        + cat("unix", f"unix:{path}")
        + service("udp", listen=f"udp:127.0.0.1:{gram}", builtin="echo")
    )
    names = [name(f"tcp:{port}"), name(f"unix:{path}"), name(f"udp:127.0.0.1:{gram}")]
    daemon = lives(config)
    keeper.wait_kept(*names)
    for _ in range(3):
        end(daemon, how)
        with connect(port) as one, connect(f"unix:{path}") as two, \
                connect(f"udp:127.0.0.1:{gram}") as three:
            one.sendall(b"one")
            two.sendall(b"two")
            three.send(b"three")
            daemon = lives()
            daemon.wait_log("went on with 3 sockets that had been kept")
            assert read_exactly(one, 3) == b"one"
            assert read_exactly(two, 3) == b"two"
            assert three.recv(100) == b"three"
        assert keeper.names() == sorted(names)
    assert "FDSTOREREMOVE=1" not in keeper.said


def test_upgrade_is_no_other_life(lives, keeper):
    """Its sockets are its own, and the manager has them already."""
    port = free_port()
    daemon = lives(cat("s", f"tcp:{port}"))
    keeper.wait_kept(name(f"tcp:{port}"))
    upgrade(daemon)
    assert talk(port, b"x") == b"x"
    assert "had been kept" not in daemon.text()
    while keeper.hear():
        pass
    assert keeper.said.count("FDSTORE=1") == 1 and "FDSTOREREMOVE=1" not in keeper.said


def test_upgrade_before_all_is_said(lives, keeper):
    """What is to be taken back still is: nobody else knows that the manager has it."""
    ports = [free_port() for _ in range(3)]
    services = [cat(f"s{port}", f"tcp:{port}") for port in ports]
    names = [name(f"tcp:{port}") for port in ports]
    daemon = lives(services[0] + services[1])
    keeper.wait_kept(*names[:2])
    keeper.wait_said("BARRIER=1", 1, daemon)
    keeper.barriers = []
    reload(daemon, "".join(services))
    keeper.wait(lambda: keeper.barriers, "another barrier", daemon)
    reload(daemon, services[0])
    upgrade(daemon)
    keeper.release()
    keeper.wait_kept(names[0])


def test_children_go_on(lives, keeper):
    port = free_port()
    daemon = lives(cat("s", f"tcp:{port}"))
    keeper.wait_kept(name(f"tcp:{port}"))
    with connect(port) as client:
        client.sendall(b"old")
        assert read_exactly(client, 3) == b"old"
        daemon.process.kill()
        daemon.process.wait()
        daemon.stopped = True
        next_life = lives()
        client.sendall(b"and")
        assert read_exactly(client, 3) == b"and"
        assert talk(port, b"new") == b"new"
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    next_life.stop()


def test_any_free_port_stays_the_same(lives, keeper):
    any_port = "tcp:127.0.0.1:0"
    daemon = lives(cat("a", [any_port, any_port]) + cat("b", any_port))
    names = [name(f"{any_port},{rest}") for rest in ("a,0", "a,1", "b,0")]
    keeper.wait_kept(*names)

    def ports():
        result = []
        for each in names:
            with keeper.socket(each) as sock:
                result.append(sock.getsockname()[1])
        return result

    before = ports()
    die(daemon)
    daemon = lives()
    assert ports() == before
    for port in before:
        assert talk(port, b"x") == b"x"


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_files_of_unix_sockets(lives, keeper, folder, how):
    """The path is where it was, and is removed with its service."""
    path, link, other = folder / "a.sock", folder / "link", folder / "b.sock"
    both = cat("a", f"unix:{path}", symlinks=str(link)) + cat("b", f"unix:{other}")
    names = [name(f"unix:{path}"), name(f"unix:{other}")]
    daemon = lives(both)
    keeper.wait_kept(*names)
    before = path.stat().st_ino
    end(daemon, how)
    assert path.stat().st_ino == before
    daemon = lives(both.replace("symlinks", "socket_mode = 0600\n symlinks"))
    assert path.stat().st_ino == before
    assert path.stat().st_mode & 0o777 == 0o600
    assert talk(f"unix:{link}", b"x") == b"x"
    reload(daemon, cat("b", f"unix:{other}"))
    assert not path.exists() and not link.is_symlink()
    keeper.wait_kept(names[1])
    end(daemon, how)
    lives(cat("c", "unix:@" + folder.name))
    assert not other.exists()
    keeper.wait_kept(name("unix:@" + folder.name))


def test_path_that_was_removed(lives, keeper, folder):
    path, port = folder / "a.sock", free_port()
    names = name(f"unix:{path}"), name(f"tcp:{port}")
    daemon = lives(cat("a", f"unix:{path}") + cat("b", f"tcp:{port}"))
    keeper.wait_kept(*names)
    die(daemon)
    path.unlink()
    daemon = lives()
    daemon.wait_log("a: unable to go on with what had been kept for unix:.*: "
                    "its path leads to it no longer, opening another socket")
    daemon.wait_log("went on with 1 socket that had been kept")
    assert talk(f"unix:{path}", b"x") == b"x"
    keeper.wait_kept(*names)


def test_programs_that_get_the_socket(lives, keeper):
    """wait = yes: it is told nothing, and goes on as long as nothing is different."""
    port = free_port()
    script = "import socket; s = socket.socket(fileno=0); c = s.accept()[0]; c.send(b'hi')"
    exec = ["/usr/bin/python3", "-c", script]
    config = service("w", listen=f"tcp:{port}", wait=True, exec=exec)
    daemon = lives(config)
    keeper.wait(lambda: keeper.kept, "the socket")
    (first, _), = keeper.kept
    assert first.startswith("hatchd/!") and first.endswith(f"/tcp={port}")
    with keeper.socket(first) as sock:
        before = inode(sock)
    assert talk(port) == b"hi"
    die(daemon)
    with connect(port) as client:
        daemon = lives()
        assert read_all(client) == b"hi"
    with keeper.socket(first) as sock:
        assert inode(sock) == before
    die(daemon)
    daemon = lives(config.replace("wait", "keepalive = yes\n wait"))
    keeper.wait(lambda: keeper.kept and first not in keeper.names(), "another socket")
    with keeper.socket(keeper.names()[0]) as sock:
        assert inode(sock) != before
    assert talk(port) == b"hi"


# -- another configuration


def test_options_are_those_of_now(lives, keeper):
    port = free_port()
    daemon = lives(cat("s", f"tcp:{port}"))
    keeper.wait_kept(name(f"tcp:{port}"))
    with keeper.socket(name(f"tcp:{port}")) as sock:
        before = inode(sock)
        die(daemon)
        lives(cat("s", f"tcp:{port}", keepalive=True, ttl=7, backlog=3))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 7
    with keeper.socket(name(f"tcp:{port}")) as sock:
        assert inode(sock) == before


@pytest.mark.parametrize("address", ["tcp:127.0.0.1", "udp:127.0.0.1"])
def test_options_that_hold_for_good(lives, keeper, address):
    """Another socket, as a reload would open: as soon as the manager has let go of the old."""
    address += f":{free_port()}"
    config = service("s", listen=address, builtin="echo")
    daemon = lives(config)
    keeper.wait_kept(name(address))
    with keeper.socket(name(address)) as sock:
        before = inode(sock)
    die(daemon)
    daemon = lives(config.replace("builtin", "reuse_port = yes\n builtin"))
    keeper.wait(lambda: keeper.kept and keeper.names() != [name(address)], "another socket")
    with keeper.socket(keeper.names()[0]) as sock:
        assert inode(sock) != before
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 1
    with connect(address) as client:
        client.send(b"x")
        assert client.recv(10) == b"x"


@pytest.mark.parametrize("address", ["tcp:127.0.0.1", "udp:127.0.0.1"])
def test_reload_that_opens_another(lives, keeper, address):
    address += f":{free_port()}"
    config = service("s", listen=address, builtin="echo")
    daemon = lives(config)
    keeper.wait_kept(name(address))
    with keeper.socket(name(address)) as sock:
        before = inode(sock)
    reload(daemon, config.replace("builtin", "reuse_port = yes\n builtin"))
    keeper.wait(lambda: keeper.kept and keeper.names() != [name(address)], "another socket")
    with keeper.socket(keeper.names()[0]) as sock:
        assert inode(sock) != before
    with connect(address) as client:
        client.send(b"x")
        assert client.recv(10) == b"x"


def test_reload_that_sets_an_option_for_good(lives, keeper):
    """The name says so from then on."""
    port = free_port()
    daemon = lives(cat("s", f"tcp:{port}"))
    keeper.wait_kept(name(f"tcp:{port}"))
    with keeper.socket(name(f"tcp:{port}")) as sock:
        before = inode(sock)
    reload(daemon, cat("s", f"tcp:{port}", send_buffer="64K"))
    keeper.wait_kept(name(f"tcp:{port}", "s"))
    with keeper.socket(name(f"tcp:{port}", "s")) as sock:
        assert inode(sock) == before
    die(daemon)
    lives(cat("s", f"tcp:{port}"))
    keeper.wait_kept(name(f"tcp:{port}"))
    with keeper.socket(name(f"tcp:{port}")) as sock:
        assert inode(sock) != before
    assert talk(port, b"x") == b"x"


def test_reload_that_removes_a_service(lives, keeper):
    """Refused at once, though the manager does not listen just now."""
    port, other = free_port(), free_port()
    daemon = lives(cat("a", f"tcp:{port}") + cat("b", f"tcp:{other}"))
    keeper.wait_kept(name(f"tcp:{port}"), name(f"tcp:{other}"))
    reload(daemon, cat("b", f"tcp:{other}"))
    assert is_refused(port)
    assert talk(other, b"x") == b"x"
    keeper.wait_kept(name(f"tcp:{other}"))


def test_service_that_was_removed_meanwhile(lives, keeper):
    port, other = free_port(), free_port()
    daemon = lives(cat("a", f"tcp:{port}") + cat("b", f"tcp:{other}"))
    keeper.wait_kept(name(f"tcp:{port}"), name(f"tcp:{other}"))
    die(daemon)
    daemon = lives(cat("b", f"tcp:{other}"))
    daemon.wait_log("closed 1 socket that had been kept and no service asks for")
    assert is_refused(port)
    assert talk(other, b"x") == b"x"
    keeper.wait_kept(name(f"tcp:{other}"))


def test_address_that_the_old_one_would_be_in_the_way_of(lives, keeper):
    """tcp4:PORT cannot be bound while tcp:PORT is."""
    port = free_port()
    daemon = lives(cat("s", f"tcp:{port}"))
    keeper.wait_kept(name(f"tcp:{port}"))
    die(daemon)
    daemon = lives(cat("s", f"tcp4:{port}"))
    assert talk(port, b"x") == b"x"
    keeper.wait_kept(name(f"tcp4:{port}"))
    assert "unable" not in daemon.text()


def test_another_service_takes_the_address_over(lives, keeper):
    port = free_port()
    daemon = lives(cat("a", f"tcp:{port}"))
    keeper.wait_kept(name(f"tcp:{port}"))
    die(daemon)
    with connect(port) as client:
        client.sendall(b"abc")
        client.shutdown(socket.SHUT_WR)
        lives(service("b", listen=f"tcp:{port}", exec=["/usr/bin/tr", "a-z", "A-Z"]))
        assert read_all(client) == b"ABC"


def test_disable_and_enable(lives, keeper, folder):
    port, control = free_port(), folder / "control"
    lives(cat("s", f"tcp:{port}"), "--control", control)
    keeper.wait_kept(name(f"tcp:{port}"))
    assert hatchctl("-s", control, "disable", "s").returncode == 0
    assert is_refused(port)
    keeper.wait_kept()
    assert hatchctl("-s", control, "enable", "s").returncode == 0
    assert talk(port, b"x") == b"x"
    keeper.wait_kept(name(f"tcp:{port}"))


# -- wrong things


def test_no_socket_of_that_kind(lives, keeper):
    """Each is closed with a line of its own, and everybody is served."""
    ports = [free_port() for _ in range(4)]
    read_end, write_end = os.pipe()
    with socket.socket() as elsewhere, socket.socket() as idle, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gram:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.listen()
        idle.bind(("0.0.0.0", ports[2]))
        keeper.put(name(f"tcp4:{ports[0]}"), elsewhere.fileno())
        keeper.put(name(f"tcp4:{ports[1]}"), write_end)
        keeper.put(name(f"tcp4:{ports[2]}"), idle.fileno())
        keeper.put(name(f"tcp4:{ports[3]}"), gram.fileno())
    os.close(read_end)
    os.close(write_end)
    daemon = lives("".join(cat(f"s{n}", f"tcp4:{port}") for n, port in enumerate(ports)))
    keeper.wait_said("FDSTORE=1", 4, daemon)
    keeper.wait_kept(*[name(f"tcp4:{port}") for port in ports])
    for n, reason in enumerate(["it is bound to another address", "it is no socket",
                                "it does not listen", "it is a socket of another kind"]):
        daemon.wait_log(f"s{n}: unable to go on with what had been kept for "
                        f"tcp4:{ports[n]}: {reason}, opening another socket")
        assert talk(ports[n], b"x") == b"x"


def socket_of_another_network(port):
    """A network name space is a thread's own, and lives as long as its sockets."""
    made = []

    def make():
        assert isolate()
        sock = socket.socket()
        sock.bind(("127.0.0.1", port))
        sock.listen()
        made.append(sock)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made.pop()


@pytest.mark.needs_root
def test_socket_of_another_network(lives, keeper):
    """PrivateNetwork= has come or gone: nobody of this one would get in there."""
    port = free_port()
    with socket_of_another_network(port) as sock:
        keeper.put(name(f"tcp:127.0.0.1:{port}"), sock.fileno())
    daemon = lives(cat("s", f"tcp:127.0.0.1:{port}"))
    daemon.wait_log("s: unable to go on with what had been kept for .*: "
                    "it is of another network name space, opening another socket")
    assert talk(f"tcp:127.0.0.1:{port}", b"x") == b"x"
    keeper.wait_said("FDSTORE=1", 1, daemon)
    assert "went on with" not in daemon.text()


def add_interface(name):
    """The number is another one each time."""
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", "hatchd6"],
                   check=True)


@pytest.mark.needs_root
@pytest.mark.skipif(not shutil.which("ip"), reason="needs ip (Debian: iproute2)")
def test_interface_that_was_made_anew(lives, keeper):
    """A socket is bound to its number, and so to one that is gone."""
    port = free_port()
    add_interface("hatchd7")
    try:
        daemon = lives(cat("s", f"tcp:{port}", bind_to_device="hatchd7"))
        keeper.wait(lambda: keeper.kept, "the socket", daemon)
        die(daemon)
        daemon = lives()
        daemon.wait_log("went on with 1 socket that had been kept")
        die(daemon)
        subprocess.run(["ip", "link", "del", "hatchd7"], check=True)
        add_interface("hatchd7")
        daemon = lives()
        daemon.wait_log("s: unable to go on with what had been kept for .*: it is bound to "
                        "another interface, or to one that is gone, opening another socket")
        keeper.wait_said("FDSTOREREMOVE=1", 1, daemon)
        keeper.wait(lambda: keeper.kept, "another socket", daemon)
        with keeper.socket(keeper.names()[0]) as sock:
            bound = sock.getsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX)
        assert bound == socket.if_nametoindex("hatchd7")
    finally:
        subprocess.run(["ip", "link", "del", "hatchd7"], check=True)


def test_socket_that_a_program_has_connected(lives, keeper):
    """It would hear nobody else in any other life."""
    address = f"udp:127.0.0.1:{free_port()}"
    script = ("import socket; s = socket.socket(fileno=0); data, peer = s.recvfrom(99);"
              "s.sendto(data, peer); s.connect(('127.0.0.1', 1))")
    exec = ["/usr/bin/python3", "-S", "-E", "-c", script]
    daemon = lives(service("u", listen=address, wait=True, exec=exec))
    keeper.wait(lambda: keeper.kept, "the socket", daemon)

    def ask():
        with connect(address) as client:
            client.send(b"x")
            assert client.recv(10) == b"x"

    ask()
    daemon.wait_children(0)
    die(daemon)
    daemon = lives()
    daemon.wait_log("u: unable to go on with what had been kept for .*: "
                    "a program has connected it, so it hears nobody else")
    keeper.wait(lambda: keeper.said.count("FDSTORE=1") == 2, "another socket", daemon)
    ask()


def test_names_that_say_nothing(lives, keeper):
    port = free_port()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        for wrong in ("hatchd/garbled", "hatchd//%zz", "~x", "hatchd//no=such=address"):
            keeper.put(wrong, sock.fileno())
    daemon = lives(cat("s", f"tcp:{port}"))
    for wrong in ("hatchd/garbled", "hatchd//%zz", "~x"):
        daemon.wait_log(f"unable to use what the service manager has kept as '{wrong}': "
                        "its name says no address, closing it")
    daemon.wait_log("closed 1 socket that had been kept and no service asks for")
    keeper.wait_kept(name(f"tcp:{port}"))
    assert talk(port, b"x") == b"x"


def test_the_same_name_twice(lives, keeper):
    port = free_port()
    daemon = lives(cat("s", f"tcp:{port}"))
    keeper.wait_kept(name(f"tcp:{port}"))
    die(daemon)
    (_, fd), = keeper.kept
    keeper.put(name(f"tcp:{port}"), fd)
    daemon = lives()
    daemon.wait_log("another one has the same name, closing it")
    keeper.wait_kept(name(f"tcp:{port}"))
    assert talk(port, b"x") == b"x"


def test_socket_units_keep_their_names(lives, keeper):
    """What a socket unit hands over beside them is nobody's but fd:NAME's."""
    port = free_port()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        given = sock.getsockname()[1]
        keeper.put("web", sock.fileno())
    config = cat("web", "fd:web") + cat("s", f"tcp:{port}")
    daemon = lives(config)
    keeper.wait_kept("web", name(f"tcp:{port}"))
    die(daemon)
    lives()
    assert talk(given, b"x") == b"x"
    assert talk(port, b"x") == b"x"


def test_start_that_fails(lives, keeper, folder):
    """A configuration that is refused costs no socket."""
    port = free_port()
    config = cat("s", f"tcp:{port}")
    daemon = lives(config)
    keeper.wait_kept(name(f"tcp:{port}"))
    die(daemon)
    with connect(port) as client:
        client.sendall(b"abc")
        with pytest.raises(AssertionError):
            lives(config + "service t { nonsense }")
        lives(config)
        assert read_exactly(client, 3) == b"abc"
