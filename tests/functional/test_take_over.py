"""Another hatchd takes over: the same sockets, and no client notices."""

import os
import signal
import socket
import threading

import pytest

from harness import (
    PYTHON, connect, free_port, is_refused, put, read_all, read_line, reload, run_hatchd,
    service, talk, wait_until,
)
from keeper import Keeper
from test_control import ask, cat, dial, status
from test_control_change import opened, refused
from test_drain import echoes, wait_left

ASK = b"take-over 1\n"


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def who(name, listen, **options):
    """A service that says which hatchd serves."""
    return service(name, listen=listen, shell="echo $PPID", **options)


def server_of(address):
    return int(talk(address))


def take_over(hatchd, path, config, *args, **more):
    return hatchd.file(config, f"--control={path}", f"--take-over={path}", *args, **more)


def test_take_over(hatchd, path, folder):
    tcp, echo, unix = f"tcp:127.0.0.1:{free_port()}", free_port(), f"unix:{folder}/socket"
    config = who("w", tcp) + cat("e", echo, stop="terminate") + who("u", unix)
    old = hatchd.file(config, f"--control={path}")
    assert server_of(tcp) == server_of(unix) == old.pid
    with opened(echo) as client:
        new = take_over(hatchd, path, config)
        old.wait_notified("STOPPING=1")
        old.wait_log(f"process {new.pid} has taken over with 3 sockets")
        assert server_of(tcp) == server_of(unix) == status(path)["pid"] == new.pid
        wait_left(old, 1)
        assert echoes(client)
    assert old.wait_end() == 0
    assert server_of(tcp) == server_of(unix) == status(path)["pid"] == new.pid
    assert "3 sockets come from" in new.text()


def test_other_services(hatchd, path, folder):
    """What the other one does not serve is closed, and what is new is opened."""
    ports = [free_port() for _ in range(3)]
    old = hatchd.file(
        cat("a", ports[0]) + cat("b", ports[1])
        + service("u", listen=f"unix:{folder}/gone", exec="/bin/cat"), f"--control={path}")
    new = take_over(hatchd, path, cat("other", ports[1]) + cat("c", ports[2]))
    assert old.wait_end() == 0
    assert is_refused(ports[0])
    assert talk(ports[1], b"x") == talk(ports[2], b"x") == b"x"
    assert not (folder / "gone").exists()
    assert len(new.listening()) == 3  # and its control socket


def test_again_and_again(hatchd, path):
    port = f"tcp:127.0.0.1:{free_port()}"
    config = who("w", port)
    old = hatchd.file(config, f"--control={path}")
    for _ in range(5):
        new = take_over(hatchd, path, config)
        assert old.wait_end() == 0
        assert server_of(port) == new.pid
        old = new


def test_drain_timeout(hatchd, path):
    """It holds for who is there when another one takes over."""
    port = free_port()
    config = "drain_timeout = 300ms\n" + cat("e", port, stop="terminate")
    old = hatchd.file(config, f"--control={path}")
    with opened(port) as client:
        take_over(hatchd, path, config)
        assert old.wait_end() == 0
        assert read_all(client) == b""


def test_many_sockets(hatchd, path):
    """More than fit in a message."""
    ports = []
    while len(ports) < 200:
        ports.append(free_port())
    config = "".join(who(f"s{i}", f"tcp:127.0.0.1:{p}") for i, p in enumerate(sorted(ports)))
    old = hatchd.file(config, f"--control={path}")
    new = take_over(hatchd, path, config)
    old.wait_log(r"has taken over with \d+ sockets")
    assert old.wait_end() == 0
    assert all(server_of(f"tcp:127.0.0.1:{port}") == new.pid for port in ports[::20])


def test_datagrams(hatchd, path):
    """Who sends is served by the other one from then on."""
    address = f"udp:127.0.0.1:{free_port()}"
    config = service("d", listen=address, exec="/bin/cat")
    old = hatchd.file(config, f"--control={path}")
    with connect(address) as client:
        client.send(b"hello")
        assert client.recv(64) == b"hello"
        new = take_over(hatchd, path, config)
        assert old.wait_end() == 0
        client.send(b"again")
        assert client.recv(64) == b"again"
        # An empty datagram is the end of input.
        client.send(b"")
        new.wait_children(0)


def test_another_kind_of_socket(hatchd, path):
    """What can only be said before it is opened: it is opened when the old one has closed."""
    port = free_port()
    old = hatchd.file(cat("a", port), f"--control={path}")
    new = take_over(hatchd, path, cat("a", port, reuse_port=True))
    assert old.wait_end() == 0
    new.wait_log(f"a: listening on tcp:127.0.0.1:{port} now")
    assert talk(port, b"x") == b"x"


def test_who_has_the_socket_itself(hatchd, path):
    """He is told to end, and the other one starts another."""
    port = free_port()
    config = service(
        "w", listen=f"tcp:127.0.0.1:{port}", wait=True,
        exec=[PYTHON, "-S", "-E", "-c",
              "import os, socket; s = socket.socket(fileno=0)\n"
              "while True: c, _ = s.accept(); c.sendall(b'%d' % os.getppid()); c.close()"])
    old = hatchd.file(config, f"--control={path}")
    assert server_of(port) == old.pid
    new = take_over(hatchd, path, config)
    assert old.wait_end() == 0
    assert server_of(port) == new.pid
    os.kill(new.children()[0], signal.SIGTERM)
    new.wait_children(0)


def test_files_of_sockets(hatchd, path, folder):
    """They go over with what leads to them, and are removed at the end."""
    unix, link = folder / "socket", folder / "link"
    config = service("u", listen=f"unix:{unix}", symlinks=[link], exec="/bin/cat")
    old = hatchd.file(config, f"--control={path}")
    new = take_over(hatchd, path, config)
    assert old.wait_end() == 0
    assert talk(f"unix:{link}", b"x") == talk(f"unix:{unix}", b"x") == b"x"
    new.stop()
    assert not unix.exists() and not link.is_symlink()


def test_the_service_manager_forgets_them(hatchd, path, folder):
    """Or the next life of the old one, which may die while it drains, would serve as well."""
    port = free_port()
    config = cat("a", port) + service("u", listen=f"unix:{folder}/socket", exec="/bin/cat")
    with Keeper() as keeper:
        with keeper.start(folder, config, f"--control={path}") as old:
            keeper.wait(lambda: len(keeper.kept) == 2, "two sockets")
            with opened(port) as client:
                take_over(hatchd, path, config)
                keeper.wait_kept()
                assert talk(port, b"x") == talk(f"unix:{folder}/socket", b"x") == b"x"
                assert echoes(client)
                client.close()
                assert old.wait_end() == 0
        assert talk(port, b"x") == talk(f"unix:{folder}/socket", b"x") == b"x"


class Load:
    """Clients that come and go, each of whom wants an answer."""

    def __init__(self, address):
        self.address = address
        self.seen, self.failed = [], []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(4)]

    def run(self):
        while not self.over.is_set():
            try:
                self.seen.append(server_of(self.address))
            except (OSError, ValueError) as error:
                self.failed.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def wait_served_by(self, pid):
        wait_until(lambda: self.seen[-8:].count(pid) == 8 or self.failed)
        assert not self.failed


def test_nobody_is_refused(hatchd, path):
    address = f"tcp:127.0.0.1:{free_port()}"
    config = who("w", address)
    old = hatchd.file(config, f"--control={path}")
    with Load(address) as load:
        load.wait_served_by(old.pid)
        for _ in range(5):
            new = take_over(hatchd, path, config)
            assert old.wait_end() == 0
            load.wait_served_by(new.pid)
            old = new
    assert not load.failed


# ---------------------------------------------------------------------------
# When something is wrong


def test_the_other_one_has_mistakes(hatchd, path, folder):
    """It never comes to ask."""
    port = free_port()
    old = hatchd.file(cat("a", port), f"--control={path}")
    bad = folder / "bad.conf"
    bad.write_text("nonsense\n")
    done = run_hatchd("-f", bad, f"--control={path}", f"--take-over={path}")
    assert done.returncode == 78
    assert talk(port, b"x") == b"x"
    assert "giving all sockets" not in old.text()


def run_to_take_over(folder, path):
    """One that has a service, and ends."""
    config = put(folder, cat("a", free_port()), "new.conf")
    return run_hatchd("-f", config, "--control=none", f"--take-over={path}")


def test_nobody_is_there(folder, path):
    done = run_to_take_over(folder, path)
    assert done.returncode == 1
    assert f"unable to take over from {path}: No such file or directory" in done.stderr


@pytest.mark.parametrize("answer, why", [
    (b'{"error":"unknown request"}\n', "it refuses: unknown request\n"),
    (b"refused hatchd is stopping\n", "it refuses: hatchd is stopping\n"),
    (b"nonsense\n", "it says nonsense\n"),
    (b"", "it has ended the connection"),
    (b"socket hatchd//tcp=1\n", "a descriptor is missing"),
    (b"end 1\n", "some sockets have not come"),
    (b"end x\n", "some sockets have not come"),
    (b"x" * 4000, "a line has no end"),
])
def test_somebody_else_answers(folder, answer, why):
    path = folder / "other"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()

        def serve():
            client = other.accept()[0]
            with client:
                client.recv(64)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        done = run_to_take_over(folder, path)
        thread.join()
    assert done.returncode == 1
    assert f"unable to take over from {path}: {why}" in done.stderr


def test_who_does_not_go_on(hatchd, path):
    """He has them, and says nothing more; others are served, and one at a time may ask."""
    port = free_port()
    old = hatchd.file(cat("a", port), f"--control={path}")
    with dial(path) as one:
        one.sendall(ASK)
        text, fds, _, _ = socket.recv_fds(one, 4096, 16)
        assert text.startswith(b"socket hatchd//tcp=127.0.0.1=") and len(fds) == 1
        assert text.endswith(b"\nend 1\n") or one.recv(64) == b"end 1\n"
        os.close(fds[0])
        assert refused(path, "take-over 1") == "another one takes over"
        assert talk(port, b"x") == b"x"
    old.wait_log("has not taken over: it has gone, serving on")
    assert talk(port, b"x") == b"x"


def test_who_says_something_else(hatchd, path):
    port = free_port()
    old = hatchd.file(cat("a", port), f"--control={path}")
    with dial(path) as one:
        one.sendall(ASK)
        socket.recv_fds(one, 4096, 16)
        one.sendall(b"taken over\n")
        old.wait_log("has not taken over: it says something else, serving on")
    assert talk(port, b"x") == b"x"


def take_all(one):
    """All that another hatchd is given; its descriptors are closed at once."""
    one.sendall(ASK)
    text = b""
    while b"\nend " not in text or not text.endswith(b"\n"):
        more, fds, _, _ = socket.recv_fds(one, 4096, 64)
        assert more
        text += more
        for fd in fds:
            os.close(fd)
    return text


CLOSED = "sockets that it was given have been closed"


def test_a_reload_meanwhile(hatchd, path):
    """It has no effect on what is taken over, unless a socket is gone."""
    ports = [free_port(), free_port()]
    old = hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    with dial(path) as one:
        take_all(one)
        reload(old, cat("a", ports[0]))
        one.sendall(b"taken\n")
        assert read_line(one) == f"refused {CLOSED}".encode()
        old.wait_log(f"has not taken over: {CLOSED}, serving on")
    assert talk(ports[0], b"x") == b"x" and is_refused(ports[1])
    with dial(path) as one:
        take_all(one)
        reload(old, cat("a", ports[0], instances=7))
        one.sendall(b"taken\n")
        assert read_line(one) == b"drains"
    assert old.wait_end() == 0


def test_who_hears_nothing_any_more(hatchd, path):
    """He has given up, and is not drained for."""
    port = free_port()
    old = hatchd.file(cat("a", port), f"--control={path}")
    with dial(path) as one:
        take_all(one)
        one.shutdown(socket.SHUT_RD)
        one.sendall(b"taken\n")
        old.wait_log("has not taken over: it has gone, serving on")
        assert talk(port, b"x") == b"x"


def test_who_takes_too_long(hatchd, path, world):
    if not world:
        pytest.skip("sanitizers are loaded before another world")
    old = hatchd.file(cat("a", free_port()), f"--control={path}", env=world.env)
    with dial(path) as one:
        one.sendall(ASK)
        old.wait_log("giving all sockets to process")
        world.is_later(121, old)
        old.wait_log("has not taken over: it takes too long, serving on")


def test_hatchd_stops_meanwhile(hatchd, path):
    old = hatchd.file(cat("a", free_port()), f"--control={path}")
    with dial(path) as one:
        take_all(one)
        old.signal(signal.SIGTERM)
        assert read_line(one) == b"drains"
        assert old.wait_end() == 0


def test_another_version(hatchd, path):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    for words in ("take-over 2", "take-over x"):
        assert refused(path, words) == "not a version that is spoken here: 1"
    assert refused(path, "take-over") == "words are missing"


# ---------------------------------------------------------------------------
# Both are hatchds, and something happens between the two


class Between:
    """Carries what two of them say, until the new one is ready: then it waits.

        with Between(path, folder / "between") as between:
            new = ...                 # that takes over from `between.path`
            between.carry_sockets()   # returns when the new one says that it is ready
            between.carry_rest()      # ... what it has said, and all that follows
    """

    def __init__(self, old, path):
        self.old, self.path = old, path
        self.queue = socket.socket(socket.AF_UNIX)
        self.queue.bind(str(path))
        self.queue.listen()

    def carry_sockets(self):
        self.near, self.far = self.queue.accept()[0], dial(self.old)
        self.far.sendall(read_line(self.near) + b"\n")
        text = b""
        while b"\nend " not in text or not text.endswith(b"\n"):
            more, fds, _, _ = socket.recv_fds(self.far, 65536, 64)
            assert more
            text += more
            socket.send_fds(self.near, [more], fds)
            for fd in fds:
                os.close(fd)
        assert read_line(self.near) == b"taken"

    def carry_rest(self):
        try:
            self.far.sendall(b"taken\n")
        except OSError:
            pass  # it has refused, and closed
        self.near.sendall(read_line(self.far) + b"\n")
        self.hang_up()

    def hang_up(self):
        self.far.close()
        self.near.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.queue.close()


class Shared:
    """An old hatchd with four services, and a new one that is ready to have two of them."""

    def __init__(self, hatchd, path, folder, between):
        self.both = f"tcp:127.0.0.1:{free_port()}"
        self.gone = f"tcp:127.0.0.1:{free_port()}"
        self.unix, self.gone_unix = f"unix:{folder}/socket", f"unix:{folder}/gone"
        self.config = who("both", self.both) + who("unix", self.unix)
        self.old = hatchd.file(
            self.config + who("gone", self.gone) + who("gone-unix", self.gone_unix),
            f"--control={path}")
        (folder / "new").mkdir()
        self.new = hatchd.file(
            self.config, "--control=none", f"--take-over={between.path}",
            folder=folder / "new", ready=False)
        between.carry_sockets()

    def wait_ready(self):
        self.new.wait_notified("READY=1")
        self.new.fds_at_start = self.new.count_fds()

    def servers(self):
        """Who serves at all four addresses; None: nobody."""
        def server(address):
            try:
                return server_of(address)
            except OSError:
                return None
        return [server(a) for a in (self.both, self.unix, self.gone, self.gone_unix)]


@pytest.fixture
def between(path, folder):
    with Between(path, folder / "between") as between:
        yield between


@pytest.fixture
def shared(hatchd, path, folder, between):
    return Shared(hatchd, path, folder, between)


def test_between(shared, between):
    """Nothing happens: this is what the others are about."""
    assert shared.servers() == 4 * [shared.old.pid]
    between.carry_rest()
    assert shared.old.wait_end() == 0
    shared.wait_ready()
    assert shared.servers() == 2 * [shared.new.pid] + [None, None]


def test_the_old_one_refuses(shared, between):
    """The new one ends, and nothing of what they share is touched by it."""
    reload(shared.old, shared.config + who("gone", shared.gone))
    between.carry_rest()
    assert shared.new.wait_end() == 1
    shared.new.wait_log(f"unable to take over from {between.path}: it refuses: {CLOSED}$")
    shared.old.wait_log(f"has not taken over: {CLOSED}, serving on$")
    assert shared.servers() == 3 * [shared.old.pid] + [None]


def test_the_connection_ends(shared, between):
    """Somebody is there still, and so the new one is not needed."""
    between.hang_up()
    assert shared.new.wait_end() == 1
    shared.new.wait_log("it has ended the connection, and is still there$")
    shared.old.wait_log("has not taken over: it has gone, serving on")
    assert shared.servers() == 4 * [shared.old.pid]


def test_the_new_one_dies(shared, between):
    """It has everything, and never says that it is ready."""
    shared.new.kill()
    between.hang_up()
    shared.old.wait_log("has not taken over: it has gone, serving on")
    assert shared.servers() == 4 * [shared.old.pid]


def test_the_old_one_dies(shared, between):
    """Nobody is there any more: the new one serves, and removes nothing of what it shared."""
    shared.old.kill()
    between.queue.close()
    between.hang_up()
    shared.wait_ready()
    shared.new.wait_log("has ended without a word, serving in its place")
    assert shared.servers() == 2 * [shared.new.pid] + [None, None]


def test_the_old_one_is_told_to_stop(shared, between):
    """It does not wait for the new one, which serves as soon as it is ready."""
    shared.old.signal(signal.SIGTERM)
    assert shared.old.wait_end() == 0
    shared.old.wait_log(f"process {os.getpid()} has taken over with 4 sockets$")
    between.carry_rest()
    shared.wait_ready()
    assert shared.servers() == 2 * [shared.new.pid] + [None, None]
