"""Another hatchd takes over: the same sockets, and no client notices."""

import os
import signal
import socket
import threading

import pytest

from harness import (
    PYTHON, connect, free_port, is_refused, read_all, run_hatchd, service, talk, wait_until,
)
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


def test_the_other_one_fails(hatchd, path, folder):
    """After it had everything: what it had stays where it is."""
    unix, taken = folder / "socket", free_port()
    config = service("u", listen=f"unix:{unix}", exec="/bin/cat")
    old = hatchd.file(config, f"--control={path}")
    with socket.create_server(("127.0.0.1", taken)):
        done = run_hatchd(
            f"--take-over={path}", "--control=none", "-l", f"unix:{unix}",
            "-l", f"tcp:127.0.0.1:{taken}", "--", "/bin/cat")
    assert done.returncode == 1, done
    old.wait_log("process [0-9]+ has not taken over: it has gone, serving on")
    assert talk(f"unix:{unix}", b"x") == b"x"
    assert status(path)["state"] == "serving"


def test_nobody_is_there(hatchd, folder, path):
    done = run_hatchd(f"--take-over={path}", "-l", "0", "--", "/bin/cat")
    assert done.returncode == 1
    assert f"unable to take over from {path}: No such file or directory" in done.stderr


@pytest.mark.parametrize("answer, why", [
    (b'{"error":"unknown request"}\n', "it says "),
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
        done = run_hatchd(f"--take-over={path}", "-l", "0", "--", "/bin/cat")
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


def test_a_reload_meanwhile(hatchd, path):
    port = free_port()
    old = hatchd.file(cat("a", port), f"--control={path}")
    with dial(path) as one:
        one.sendall(ASK)
        socket.recv_fds(one, 4096, 16)
        old.signal(signal.SIGHUP)
        old.wait_log("has not taken over: there was a reload, serving on")
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
        one.sendall(ASK)
        socket.recv_fds(one, 4096, 16)
        old.signal(signal.SIGTERM)
        assert old.wait_end() == 0


def test_another_version(hatchd, path):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    for words in ("take-over 2", "take-over x"):
        assert refused(path, words) == "not a version that is spoken here: 1"
    assert refused(path, "take-over") == "words are missing"
