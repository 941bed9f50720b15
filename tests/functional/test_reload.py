"""SIGHUP: what changed changes, what did not is not touched, and mistakes change nothing."""

import contextlib
import errno
import os
import pwd
import resource
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from harness import (
    IS_SANITIZED,
    PYTHON,
    Loader,
    Probe,
    built_helper,
    connect,
    free_port,
    helper,
    is_refused,
    proc_status,
    read_all,
    reload,
    service,
    talk,
    udp,
    wait_exit,
    wait_until,
)
from held import Lease

needs_root = pytest.mark.needs_root


def say(word, **options):
    return service("s", exec=["/bin/echo", "-n", word], **options)


def test_nothing_has_changed(hatchd):
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    before = daemon.listening()
    assert "nothing has changed" in reload(daemon)
    assert daemon.listening() == before
    assert talk(port) == b"old"


def test_program(hatchd):
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    before = daemon.listening()
    assert "1 changed" in reload(daemon, say("new", listen=f"tcp:{port}"))
    assert talk(port) == b"new"
    assert daemon.listening() == before


def test_address(hatchd):
    old, new = free_port(), free_port()
    daemon = hatchd.file(say("x", listen=f"tcp:{old}"))
    reload(daemon, say("x", listen=f"tcp:{new}"))
    assert talk(new) == b"x"
    assert is_refused(old)


def test_symlinks(hatchd, folder):
    """New ones are made, dropped ones removed, and one may go over to another service."""

    def both(first, second):
        one = service("a", listen=f"unix:{folder}/a", exec="/bin/cat", symlinks=first)
        two = service("b", listen=f"unix:{folder}/b", exec="/bin/cat", symlinks=second)
        return two + one

    def links():
        return {p.name: p.readlink().name for p in folder.iterdir() if p.is_symlink()}

    daemon = hatchd.file(both([folder / "x", folder / "y"], folder / "z"))
    before = daemon.listening()
    assert links() == {"x": "a", "y": "a", "z": "b"}
    reload(daemon, both([folder / "x", folder / "new"], [folder / "y", folder / "z"]))
    assert links() == {"x": "a", "new": "a", "y": "b", "z": "b"}
    assert daemon.listening() == before
    daemon.stop()
    assert links() == {}


def test_remove_on_stop(hatchd, folder):
    """What becomes of the file is asked at the end, and answered as of the last reload."""
    path = folder / "s"
    daemon = hatchd.file(say("x", listen=f"unix:{path}"))
    reload(daemon, say("x", listen=f"unix:{path}", remove_on_stop=False))
    daemon.stop()
    assert path.is_socket()


def test_what_is_asked_of_open_sockets(hatchd):
    """They get it and lose it again; only what the kernel cannot take back takes another."""
    port = free_port()
    daemon = hatchd.file(say("x", listen=f"tcp:{port}"))
    before = daemon.listening()
    reload(daemon, say("x", listen=f"tcp:{port}", tos="0x10", ttl=9, congestion="reno"))
    assert daemon.listening() == before
    reload(daemon, say("x", listen=f"tcp:{port}", congestion="reno"))
    assert daemon.listening() == before
    reload(daemon, say("x", listen=f"tcp:{port}"))
    assert daemon.listening() != before
    assert talk(port) == b"x"


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
    before = daemon.listening()
    reload(daemon, service("two", listen=f"tcp:{port}", exec="/bin/cat"))
    assert daemon.listening() == before
    assert talk(port, b"x") == b"x"


def test_services_exchange_addresses(hatchd):
    one, two = free_port(), free_port()

    def config(a, b):
        return service("a", listen=f"tcp:{a}", exec=["/bin/echo", "-n", "a"]) + service(
            "b", listen=f"tcp:{b}", exec=["/bin/echo", "-n", "b"]
        )

    daemon = hatchd.file(config(one, two))
    before = daemon.listening()
    reload(daemon, config(two, one))
    assert (talk(one), talk(two)) == (b"b", b"a")
    assert daemon.listening() == before


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
    before = daemon.listening()
    reload(daemon, MISTAKES[name], line="unable to reload: .* keeping the configuration")
    assert daemon.listening() == before
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
    reload(daemon, line="unable to reload: the files cannot be read, keeping the configuration")
    assert talk(port) == b"old"


def test_service_manager_is_told(hatchd):
    daemon = hatchd.file(say("old", listen=f"tcp:{free_port()}"))
    daemon.messages.clear()
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("RELOADING=1")
    daemon.wait_notified("READY=1")
    assert "MONOTONIC_USEC=" in daemon.messages[0]


# ---------------------------------------------------------------------------
# Each kind of change


def probe_after(hatchd, folder, old, new):
    """What a child is after a reload from the options `old` to `new`."""
    port = free_port()

    def config(options):
        return service("s", listen=f"tcp:{port}", exec=[helper("probe", folder)], **options)

    daemon = hatchd.file(config(old))
    before = daemon.listening()
    Probe(talk(port))
    assert "1 changed" in reload(daemon, config(new))
    assert daemon.listening() == before
    return Probe(talk(port))


@needs_root
def test_user(hatchd, folder):
    probe = probe_after(hatchd, folder, {"user": "root"}, {"user": "nobody"})
    assert probe.status["Uid"].split() == [str(pwd.getpwnam("nobody").pw_uid)] * 4


@needs_root
def test_group(hatchd, folder):
    probe = probe_after(hatchd, folder, {}, {"group": "daemon"})
    assert set(probe.status["Gid"].split()) == {"1"}


def test_rlimit(hatchd, folder):
    probe = probe_after(
        hatchd, folder, {"rlimit": {"nofile": 30}}, {"rlimit": {"nofile": 40}}
    )
    assert probe.limits["nofile"] == (40, 40)


def test_env(hatchd, folder):
    probe = probe_after(hatchd, folder, {"env": ["A=1", "B=2"]}, {"env": ["A=3"]})
    assert probe.env["A"] == "3"
    assert "B" not in probe.env


def test_stderr(hatchd, folder):
    probe = probe_after(hatchd, folder, {"stderr": "log"}, {"stderr": "null"})
    assert probe.fds[2] == "/dev/null"


def backlog_of(port):
    """Longest queue of a listening TCP socket, as ss(8) knows it; None: not to be seen."""
    if not shutil.which("ss"):
        return None
    text = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True).stdout
    return int(text.split()[2])


def test_backlog(hatchd):
    port = free_port()
    daemon = hatchd.file(say("x", listen=f"tcp:{port}", backlog=7))
    before = daemon.listening()
    if backlog_of(port) is None:
        pytest.skip("there is no ss (Debian: iproute2)")
    assert backlog_of(port) == 7
    reload(daemon, say("x", listen=f"tcp:{port}", backlog=9))
    assert backlog_of(port) == 9
    assert daemon.listening() == before


def test_more_instances(hatchd):
    port = free_port()

    def config(n):
        options = {"instances": n, "per_source": n}
        return service("s", listen=f"tcp:{port}", exec="/bin/cat", **options)

    daemon = hatchd.file(config(1))
    with connect(port) as first, connect(port) as second:
        first.sendall(b"1")
        assert first.recv(1) == b"1"
        daemon.wait_log("s: full with 1 child")
        reload(daemon, config(2))
        second.sendall(b"2")
        assert second.recv(1) == b"2"


def test_total_instances(hatchd):
    """Lowered below what there is, and raised again."""
    port = free_port()

    def config(n):
        return f"total_instances = {n}\n" + service(
            "s", listen=f"tcp:{port}", exec="/bin/cat"
        )

    daemon = hatchd.file(config(10))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(3)]
        for client in clients:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        reload(daemon, config(2))
        late = stack.enter_context(connect(port))
        late.sendall(b"y")
        daemon.wait_log("full with 3 children|total_instances")
        assert len(daemon.children()) == 3
        reload(daemon, config(4))
        assert late.recv(1) == b"y"


def test_counts_per_source_survive(hatchd):
    """A service that goes and comes back has not forgotten who is there."""
    port = free_port()
    text = service("s", listen=f"tcp:{port}", exec="/bin/cat", instances=9, per_source=2)
    daemon = hatchd.file(text)
    with connect(port) as one, connect(port) as two:
        for client in (one, two):
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        reload(daemon, "")
        reload(daemon, text)
        assert talk(port) == b""
        daemon.wait_log("s: .*127.0.0.1.*(refused|per_source|too many)")
        with connect(port, source="127.0.0.2") as other:
            other.sendall(b"y")
            assert other.recv(1) == b"y"


def test_disable_and_back(hatchd):
    port = free_port()
    daemon = hatchd.file(say("x", listen=f"tcp:{port}"))
    assert "1 removed" in reload(daemon, say("x", listen=f"tcp:{port}", disable=True))
    assert is_refused(port)
    assert "1 added" in reload(daemon, say("y", listen=f"tcp:{port}"))
    assert talk(port) == b"y"


def test_moved_to_another_file(hatchd):
    port = free_port()
    text = say("x", listen=f"tcp:{port}")
    daemon = hatchd.file(text)
    before = daemon.listening()
    daemon.write(text, "more.conf")
    assert "nothing has changed" in reload(daemon, 'include("more.conf")\n')
    assert daemon.listening() == before
    assert talk(port) == b"x"


def test_port_range(hatchd):
    first = free_port()
    for number in range(first + 1, first + 6):
        assert free_port() == number
    daemon = hatchd.file(say("x", listen=f"tcp:{first}-{first + 3}"))
    before = daemon.listening()
    reload(daemon, say("y", listen=f"tcp:{first + 2}-{first + 5}"))
    after = daemon.listening()
    assert len(set(before.items()) & set(after.items())) == 2 and len(after) == 4
    assert [is_refused(port) for port in range(first, first + 6)] == [True] * 2 + [False] * 4
    reload(daemon, say("y", listen=f"tcp:{first + 3}"))
    assert daemon.listening().items() <= after.items()
    assert talk(first + 3) == b"y"
    daemon.wait_children(0)


@pytest.mark.parametrize(
    "old, new", [("tcp:{}", "tcp4:{}"), ("tcp4:{}", "tcp:{}"), ("tcp:127.0.0.1:{}", "tcp:{}")]
)
def test_address_in_the_way_of_itself(hatchd, old, new):
    """The new socket cannot be bound while the old one is."""
    port = free_port()
    daemon = hatchd.file(say("old", listen=old.format(port)))
    said = reload(daemon, say("new", listen=new.format(port)))
    assert "1 changed" in said
    assert talk(port) == b"new"
    assert "waiting" not in daemon.text()


def unix_mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_unix_mode(hatchd, folder):
    path = folder / "sock"
    daemon = hatchd.file(say("x", listen=f"unix:{path}", socket_mode="0600"))
    before, inode = daemon.listening(), path.stat().st_ino
    assert unix_mode(path) == 0o600
    reload(daemon, say("x", listen=f"unix:{path}", socket_mode="0666"))
    assert unix_mode(path) == 0o666
    assert (daemon.listening(), path.stat().st_ino) == (before, inode)
    assert talk(f"unix:{path}") == b"x"


@needs_root
def test_unix_owner(hatchd, folder):
    path = folder / "sock"
    daemon = hatchd.file(say("x", listen=f"unix:{path}"))
    before = daemon.listening()
    reload(daemon, say("x", listen=f"unix:{path}", socket_user="daemon", socket_group="daemon"))
    assert (path.stat().st_uid, path.stat().st_gid) == (1, 1)
    assert daemon.listening() == before


def test_unix_path_is_removed_with_its_service(hatchd, folder):
    path = folder / "sock"
    daemon = hatchd.file(say("x", listen=f"unix:{path}"))
    reload(daemon, "")
    assert not path.exists()


def test_unix_type(hatchd, folder):
    """The same path, but another kind of socket."""
    path = folder / "sock"
    daemon = hatchd.file(say("x", listen=f"unix:{path}"))
    reload(daemon, say("y", listen=f"unix-seqpacket:{path}"))
    assert talk(f"unix-seqpacket:{path}") == b"y"
    assert "waiting" not in daemon.text()


def test_every_kind_of_address(hatchd, folder):
    """From each kind of address to each other, and back to what it was."""
    port = free_port()
    addresses = [f"tcp:{port}", f"unix:{folder}/s", f"unix:@hatchd-test/{folder.name}",
                 f"tcp4:127.0.0.1:{port}", f"unix-seqpacket:{folder}/q"]
    daemon = hatchd.file("")
    for old in addresses:
        for new in addresses:
            reload(daemon, say("old", listen=old))
            assert talk(old) == b"old"
            reload(daemon, say("new", listen=new))
            assert talk(new) == b"new"
    reload(daemon, "")


# ---------------------------------------------------------------------------
# wait = yes


def server(folder, address, *args, **options):
    """A wait service that serves several clients or datagrams, and then ends."""
    name = "datagrams.py" if "udp" in address or "dgram" in address else "handed_over.py"
    program = [PYTHON, helper(name, folder), *map(str, args)]
    return service("s", listen=address, wait=True, exec=program, **options)


def wait_addresses(folder):
    port = free_port()
    return {"tcp": f"tcp:{port}", "path": f"unix:{folder}/s",
            "abstract": f"unix:@hatchd-test/{folder.name}"}


@pytest.mark.parametrize("kind", ["tcp", "path", "abstract"])
def test_wait_to_nowait(hatchd, folder, kind):
    """The program may keep the socket it was given: there is a new one."""
    address = wait_addresses(folder)[kind]
    daemon = hatchd.file(server(folder, address, 99))
    before = daemon.listening()
    with connect(address) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        child = daemon.wait_children(1)[0]
        reload(daemon, say("new", listen=address))
        wait_exit(child)
    wait_until(lambda: not set(daemon.listening()) & set(before) and not is_refused(address))
    assert talk(address) == b"new"


@pytest.mark.parametrize("kind", ["tcp", "path", "abstract"])
def test_wait_to_nowait_without_a_child(hatchd, folder, kind):
    """Nobody has it, but somebody may have had: new as well, and at once."""
    address = wait_addresses(folder)[kind]
    daemon = hatchd.file(server(folder, address, 1))
    before = daemon.listening()
    assert talk(address, b"x") == b"x"
    daemon.wait_children(0)
    reload(daemon, say("new", listen=address))
    wait_until(lambda: not set(daemon.listening()) & set(before) and not is_refused(address))
    assert talk(address) == b"new"


@pytest.mark.parametrize(
    "kind, option",
    [("tcp", {"backlog": 9}), ("path", {"socket_mode": "0600"}), ("abstract", {"backlog": 9}),
     ("udp", {"receive_buffer": "64K"})],
)
def test_wait_socket_is_told_nothing(hatchd, folder, kind, option):
    """It still is a wait service, but there is a new socket that is told so from the start."""
    address = {**wait_addresses(folder), "udp": f"udp:{free_port()}"}[kind]
    daemon = hatchd.file(server(folder, address, 99))
    before = daemon.listening()

    def ask():
        if kind == "udp":
            return udp(address, b"x") == [b"x"]
        with connect(address) as client:
            client.sendall(b"x")
            return client.recv(1) == b"x"

    assert ask()
    child = daemon.wait_children(1)[0]
    reload(daemon, server(folder, address, 1, **option))
    wait_exit(child)
    wait_until(lambda: not set(daemon.listening()) & set(before))
    if "s: waiting: " in daemon.text():
        daemon.wait_log("s: listening on .* now")
    assert ask()
    daemon.wait_children(0)


@pytest.mark.parametrize("kind", ["tcp", "path", "abstract"])
def test_nowait_to_wait(hatchd, folder, kind):
    """Nobody but us has had it: it stays, and blocks as the program expects."""
    address = wait_addresses(folder)[kind]
    daemon = hatchd.file(say("old", listen=address))
    before = daemon.listening()
    reload(daemon, server(folder, address, 1))
    assert daemon.listening() == before
    assert talk(address, b"x") == b"x"
    fd = next(iter(before.values()))
    with open(f"/proc/{daemon.pid}/fdinfo/{fd}") as file:
        flags = next(int(line.split()[1], 8) for line in file if line.startswith("flags"))
    assert not flags & os.O_NONBLOCK


def test_address_is_had_as_soon_as_the_child_has_ended(hatchd, folder):
    """The event, and not the next attempt by the clock, which comes after 1, 2, 4 s: the
    child is let go at a time when the next one is far away."""
    port = free_port()
    program = [PYTHON, "-c", "import signal, socket, sys\n"
               "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
               "server = socket.socket(fileno=0)\n"
               "client = server.accept()[0]\n"
               "client.sendall(b'x')\n"
               "client.recv(1)\n"]
    for _ in range(10):
        daemon = hatchd.file(service("s", listen=f"tcp:{port}", wait=True, exec=program))
        with connect(port) as client:
            assert client.recv(1) == b"x"
            reload(daemon, say("new", listen=f"tcp:{port}"))
            daemon.wait_log("s: waiting: unable to bind tcp:.*somebody listens there already")
            child = daemon.wait_children(1)[0]
            client.sendall(b"y")
            wait_exit(child)
            start = time.monotonic()
            daemon.wait_log("s: listening on .* now")
            took = time.monotonic() - start
        assert talk(port) == b"new"
        daemon.stop()
        if took < 0.5:
            return
    raise AssertionError("it was never sooner than by the clock")


def test_wait_program_changes(hatchd, folder):
    """The child is told to end; what arrives then gets the new program."""
    port = free_port()
    daemon = hatchd.file(server(folder, f"udp:{port}", 99))
    before = daemon.listening()
    assert udp(f"udp:{port}", b"x") == [b"x"]
    child = daemon.wait_children(1)[0]
    reload(daemon, server(folder, f"udp:{port}", 1))
    wait_exit(child)
    assert daemon.listening() == before
    assert udp(f"udp:{port}", b"y") == [b"y"]
    daemon.wait_children(0)


def test_wait_child_of_unchanged_service_lives(hatchd, folder):
    port, other = free_port(), free_port()
    unchanged = server(folder, f"udp:{port}", 99)
    daemon = hatchd.file(unchanged + say("a", listen=f"tcp:{other}").replace(" s ", " t "))
    assert udp(f"udp:{port}", b"x") == [b"x"]
    child = daemon.wait_children(1)[0]
    reload(daemon, unchanged + say("b", listen=f"tcp:{other}").replace(" s ", " t "))
    assert talk(other) == b"b"
    assert udp(f"udp:{port}", b"y") == [b"y"]
    assert child in daemon.children()
    assert udp(f"udp:{port}", b"end") == [b"end"]


@pytest.mark.parametrize("wait", [True, False])
def test_handed_over_socket(hatchd, folder, wait):
    """fd:NAME stays through changes, and is not lost while its service waits."""
    port = free_port()
    listening = socket.create_server(("127.0.0.1", port))
    where = 50
    os.dup2(listening.fileno(), where)
    launcher = [
        PYTHON, "-c",
        f"import os, sys; os.dup2({where}, 3); os.set_inheritable(3, True);"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='web');"
        "os.execv(sys.argv[1], sys.argv[1:])",
    ]

    def config(word, wait=False, **more):
        if wait:
            return server(folder, "fd:web", 1, **more)
        return say(word, listen="fd:web", **more)

    daemon = hatchd.file(config("old", wait), launcher=launcher, pass_fds=[where])
    os.close(where)
    listening.close()
    before = daemon.listening()

    assert talk(port, b"x" if wait else b"") == (b"x" if wait else b"old")
    daemon.wait_children(0)
    reload(daemon, config("new", not wait))
    assert daemon.listening() == before
    assert talk(port, b"" if wait else b"y") == (b"new" if wait else b"y")
    daemon.wait_children(0)
    # A program that is not there: nobody accepts, but the socket is not closed.
    reload(daemon, service("s", listen="fd:web", exec="/nonexistent/x"))
    assert not is_refused(port)
    reload(daemon, say("again", listen="fd:web"))
    assert set(daemon.listening()) == set(before)
    assert talk(port) == b"again"
    reload(daemon, "", line=f"a socket handed over as 'web', tcp:127.0.0.1:{port}, is for no "
                            "service; add listen = fd:web")
    assert not is_refused(port)
    reload(daemon, say("more", listen="fd:web"))
    assert talk(port) == b"more"


# ---------------------------------------------------------------------------
# A port is free at once


@pytest.mark.parametrize("wait", [False, True])
def test_dropped_port_is_free(hatchd, folder, wait):
    """Also beside children that have not got to their program yet (a FIFO that nobody
    reads as standard error), and while children of others start."""
    port, other = free_port(), free_port()
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    stuck = service("stuck", listen=f"tcp:{other}", exec="/bin/cat", stderr=str(fifo),
                    start_timeout="1min")
    dropped = service("s", listen=f"tcp:{port}", exec="/bin/true", wait=wait)
    daemon = hatchd.file(stuck + dropped)
    with connect(other):
        daemon.wait_children(1)
        reload(daemon, stuck)
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("0.0.0.0", port))
            server.listen()
        with open(fifo, "rb"):  # when somebody opens it for writing
            pass
    daemon.wait_children(0)


# ---------------------------------------------------------------------------
# Stop


def test_children_of_a_vanished_service_are_told_to_end(hatchd):
    port = free_port()
    text = service("s", listen=f"tcp:{port}", exec=["/bin/sleep", "1000"], stop="terminate")
    daemon = hatchd.file(text)
    with connect(port):
        child = daemon.wait_children(1)[0]
        reload(daemon, "")
        daemon.stop(leave=True)
        wait_exit(child)
        assert "waiting for 1 child to end" in daemon.text()


# ---------------------------------------------------------------------------
# The loader


@pytest.fixture
def loader(folder, monkeypatch):
    return Loader(folder, monkeypatch)


def test_storm(hatchd, loader):
    """However many requests come while a reload runs, they are one more."""
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    loader.hold()
    daemon.signal(signal.SIGHUP)
    held = loader.wait_held()
    daemon.write(say("new", listen=f"tcp:{port}"))
    for number in range(1000):
        daemon.signal(signal.SIGHUP)
        if number % 100 == 99:
            assert talk(port) == b"old"
    loader.release(held)
    daemon.wait_log("reloaded", count=2)
    assert talk(port) == b"new"
    assert loader.runs() == 3


def test_ready_is_said_by_the_last(hatchd, loader):
    """Whoever asks while a reload runs is not told that it is done when only that one is."""
    daemon = hatchd.file(say("old", listen=f"tcp:{free_port()}"))
    daemon.messages.clear()
    loader.hold()
    daemon.signal(signal.SIGHUP)
    held = loader.wait_held()
    daemon.wait_notified("RELOADING=1")
    daemon.signal(signal.SIGHUP)
    loader.release(held)
    daemon.wait_notified("READY=1")
    said = [message.split("\n")[0].split("=")[0] for message in daemon.messages]
    assert said == ["RELOADING", "STATUS", "RELOADING", "READY"]


def test_stop_while_reloading(hatchd, loader):
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    loader.hold()
    daemon.signal(signal.SIGHUP)
    held = loader.wait_held()
    daemon.stop(leave=True)
    with contextlib.suppress(FileNotFoundError):
        wait_until(lambda: proc_status(held)["State"].startswith(("Z", "X")))
    assert "reloaded" not in daemon.text()


def test_hangup_while_starting(hatchd, loader):
    """It waits until there is something to reload."""
    port = free_port()
    loader.hold()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"), ready=False)
    held = loader.wait_held()
    for _ in range(3):
        daemon.signal(signal.SIGHUP)
    daemon.write(say("new", listen=f"tcp:{port}"))
    loader.release(held)
    daemon.wait_notified("READY=1")
    daemon.fds_at_start = None
    daemon.wait_log("reloaded")
    assert talk(port) == b"new"


KEPT = "unable to reload: .* keeping the configuration"

# What becomes of a reload whose loader does that.
BROKEN_LOADERS = {
    "killed": ("kill -KILL $$", "the loader was killed"),
    "crashed": ("kill -SEGV $$", "the loader was killed"),
    "says nothing": ("exit 0", "unable to reload"),
    "says nonsense": ("echo nonsense >&3; exit 0", "unable to reload"),
    "says too much": ("head -c 1000000 /dev/urandom >&3; exit 0", "unable to reload"),
    "cannot be run": ("exit 120", "the loader could not be run"),
    "a mistake": ("exit 1", "the files have mistakes, keeping the configuration in force"),
    "unknown": ("exit 99", "the loader failed"),
}


@pytest.mark.parametrize("name", BROKEN_LOADERS)
def test_broken_loader(hatchd, loader, name):
    port = free_port()
    script, reason = BROKEN_LOADERS[name]
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    before = daemon.listening()
    loader.instead(script)
    assert reason in reload(daemon, say("new", listen=f"tcp:{port}"), line=KEPT)
    assert talk(port) == b"old"
    assert daemon.listening() == before
    loader.instead(None)
    reload(daemon)
    assert talk(port) == b"new"


def reload_at_last(daemon):
    """Ask until it is done: on a busy machine a loader may not be in time."""
    while True:
        mark = daemon.mark()
        daemon.signal(signal.SIGHUP)
        if daemon.wait_log("(reloaded|keeping the configuration)", after=mark)[1] == "reloaded":
            return


class Impatience:
    """A daemon gives loaders up when a test says so; where nobody has the clock in hand, it
    does so by itself after a second."""

    def __init__(self, world):
        self.world, self.count = world, 0
        self.args = () if world else ("--loader-timeout=1000",)
        self.env = world and world.env

    def give_up(self, daemon):
        self.count += 1
        if self.world:
            self.world.is_later(31 * self.count, daemon)
        daemon.wait_log(
            "unable to reload: the loader did not answer in time, keeping", count=self.count)


@pytest.fixture
def impatience(world):
    return Impatience(world)


def test_loader_without_an_answer(hatchd, loader, impatience):
    port = free_port()
    daemon = hatchd.file(
        say("old", listen=f"tcp:{port}"), *impatience.args, env=impatience.env)
    loader.hold()
    daemon.write(say("new", listen=f"tcp:{port}"))
    daemon.signal(signal.SIGHUP)
    held = loader.wait_held()
    impatience.give_up(daemon)
    wait_exit(held)
    daemon.wait_children(0)
    assert talk(port) == b"old"
    (loader.folder / "hold").unlink()
    reload_at_last(daemon)
    assert talk(port) == b"new"


# pidfd_send_signal: a number that every architecture has.  A loader that hangs in a dead
# file system does not end by SIGKILL; one that cannot be sent it is the same to hatchd.
PIDFD_SEND_SIGNAL = 424


def with_immortal_loaders(hatchd, port, impatience):
    """A daemon that cannot kill its loaders."""
    return hatchd.file(
        say("old", listen=f"tcp:{port}"), *impatience.args, env=impatience.env,
        launcher=[built_helper("refuse-call"), str(PIDFD_SEND_SIGNAL), str(errno.EPERM)],
    )


@needs_root
def test_loader_that_cannot_be_killed(hatchd, loader, impatience):
    """Nobody waits for its end: the manager is told, and so is served who asks then."""
    port = free_port()
    daemon = with_immortal_loaders(hatchd, port, impatience)
    descriptors = daemon.count_fds()
    daemon.messages.clear()
    loader.hold()
    daemon.signal(signal.SIGHUP)
    held = loader.wait_held()
    assert daemon.children() == [held]
    impatience.give_up(daemon)
    daemon.wait_notified("READY=1")
    assert talk(port) == b"old"
    assert proc_status(held)["State"].startswith("T"), "it lives on"

    (loader.folder / "hold").unlink()
    daemon.write(say("new", listen=f"tcp:{port}"))
    reload_at_last(daemon)
    assert talk(port) == b"new"
    os.kill(held, signal.SIGKILL)
    daemon.wait_children(0)
    wait_until(lambda: daemon.count_fds() <= descriptors, what=daemon.fds())
    assert talk(port) == b"new"


@needs_root
def test_request_behind_a_loader_that_cannot_be_killed(hatchd, loader, impatience):
    """It is carried out when that one is given up, not when it ends."""
    port = free_port()
    daemon = with_immortal_loaders(hatchd, port, impatience)
    runs = loader.runs()
    daemon.messages.clear()
    loader.hold()
    daemon.signal(signal.SIGHUP)
    first = loader.wait_held()
    (loader.folder / "held").unlink()
    daemon.signal(signal.SIGHUP)
    impatience.give_up(daemon)
    second = loader.wait_held()
    assert second != first and loader.runs() == runs + 2
    assert sorted(daemon.children()) == sorted([first, second])
    assert talk(port) == b"old"

    daemon.write(say("new", listen=f"tcp:{port}"))
    loader.release(second)
    if not daemon.wait_log("(reloaded|did not answer in time)", count=2)[0] == "reloaded":
        reload_at_last(daemon)
    assert talk(port) == b"new"
    said = [message.split("\n")[0].split("=")[0] for message in daemon.notified("READY=1", 2)]
    assert said[:4] == ["RELOADING", "READY", "RELOADING", "READY"]
    os.kill(first, signal.SIGKILL)
    daemon.wait_children(0)


@needs_root
def test_loaders_that_cannot_be_killed_are_bounded(hatchd, loader, impatience):
    """Four are left alone, and the fifth is waited for; then no more are started."""
    port = free_port()
    daemon = with_immortal_loaders(hatchd, port, impatience)
    loader.hold()
    held = []
    for _ in range(5):
        (loader.folder / "held").unlink(missing_ok=True)
        daemon.signal(signal.SIGHUP)
        held.append(loader.wait_held())
        impatience.give_up(daemon)
    runs = loader.runs()
    daemon.messages.clear()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("unable to reload: other loaders hang in a file system, keeping")
    daemon.wait_notified("READY=1")
    assert sorted(daemon.children()) == sorted(held) and loader.runs() == runs
    assert talk(port) == b"old"

    (loader.folder / "hold").unlink()
    daemon.write(say("new", listen=f"tcp:{port}"))
    for pid in held:
        os.kill(pid, signal.SIGKILL)
    reload_at_last(daemon)
    daemon.wait_children(0)
    assert talk(port) == b"new"


@needs_root
@pytest.mark.parametrize("left", [0, 1, 2])
def test_few_descriptors(hatchd, left):
    """None for the image, none for the loader's end, none for what it says."""
    port = free_port()
    daemon = hatchd.file(say("old", listen=f"tcp:{port}"))
    assert talk(port) == b"old"
    daemon.wait_children(0)
    wait_until(lambda: daemon.count_fds() <= daemon.fds_at_start)
    used = daemon.fds()
    free = [fd for fd in range(1024) if fd not in used]
    was = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (free[left], was[1]))
    reload(daemon, say("new", listen=f"tcp:{port}"), line=KEPT)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, was)
    assert talk(port) == b"old"
    daemon.wait_children(0)
    reload(daemon)
    assert talk(port) == b"new"


@needs_root
@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer must be loaded first")
def test_child_killed_before_its_exec_is_not_told_to_end(hatchd, folder):
    """A number that was reaped may be somebody else's by now."""
    port, other = free_port(), free_port()
    program = Lease(folder)
    strangers = folder / "strangers"
    rest = service("other", listen=f"tcp:{other}", exec="/bin/cat")
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", wait=True, exec=program.path,
                start_timeout="60s") + rest,
        env={"LD_PRELOAD": built_helper("note-strangers.so"), "STRANGERS": str(strangers)},
    )
    with program, connect(port):
        program.wait_wanted()
        (held,) = daemon.children()
        reload(daemon, rest)
        assert daemon.children() == [held], "its end is yet to come"
        os.kill(held, signal.SIGKILL)
        daemon.wait_children(0)
    assert talk(other, b"x") == b"x"
    assert not strangers.exists(), strangers.read_text()


def blocks(daemon, inode):
    """Whether that socket of hatchd is a blocking one."""
    (fd,) = (fd for fd, target in daemon.fds().items() if target == f"socket:[{inode}]")
    with open(f"/proc/{daemon.pid}/fdinfo/{fd}") as file:
        flags = next(line.split()[1] for line in file if line.startswith("flags:"))
    return not int(flags, 8) & os.O_NONBLOCK


@needs_root
@pytest.mark.parametrize("wait", [False, True])
def test_adjustment_that_fails(hatchd, folder, wait):
    """Something is in the place of a link: the rest is as the service is now (I2)."""
    path, link = folder / "socket", folder / "link"
    link.write_text("in the way")
    daemon = hatchd.file(say("old", listen=f"unix:{path}"))
    ((target, _),) = daemon.listening().items()
    inode = int(target.removeprefix("socket:[").removesuffix("]"))
    assert not blocks(daemon, inode)

    accept = [PYTHON, "-S", "-E", "-c", "import socket, time\n"
              "socket.socket(fileno=0).accept()[0].send(b'new')"]
    new = {"wait": True, "exec": accept} if wait else {"exec": ["/bin/echo", "-n", "new"]}
    mark = daemon.mark()
    reload(daemon, service("s", listen=f"unix:{path}", symlinks=[str(link)], **new))
    daemon.wait_log("s: unable to .*link.* leaving it as it was", after=mark)
    assert target in daemon.listening(), "not opened anew"
    assert blocks(daemon, inode) == wait
    assert talk(f"unix:{path}") == b"new"
    assert link.read_text() == "in the way"

    link.unlink()
    reload(daemon, service("s", listen=f"unix:{path}", **new))
    assert talk(f"unix:{path}") == b"new"


def test_socket_that_a_program_made_linger(hatchd, folder):
    """Closing it may take an hour: that is nobody's time but the closer's."""
    port, other = free_port(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as peer:
        away = str(peer.getsockname()[1])
        program = [PYTHON, "-S", "-E", helper("lingering.py", folder), away]
        rest = service("other", listen=f"tcp:{other}", exec="/bin/cat")
        daemon = hatchd.file(
            service("s", listen=f"tcp4:127.0.0.1:{port}", wait=True, exec=program) + rest
        )
        with connect(port):
            daemon.wait_log(r"s: child \d+ ended: exit 0")
        reload(daemon, rest)
        assert talk(other, b"x") == b"x"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_end() == 0
