"""hatchd has no memory: at one allocation, at every allocation from one on.

helpers/out-of-memory.c lets the n-th allocation of the running daemon fail.  What is
done is done again for one n after the other, until nothing is left that could fail.
Nothing ends hatchd; a configuration is in force as a whole or not at all; and when there
is memory again, everybody is served and nothing has been lost.

With HATCHD_TEST_ROUNDS (10) below 200 only some n are tried, always the same ones: the
first, and then one of seven.
"""

import itertools
import mmap
import os
import pathlib
import select
import signal
import socket
import stat
import struct

import pytest

from harness import (
    IS_SANITIZED, PYTHON, Daemon, built_helper, connect, free_port, is_refused, read_all,
    run_hatchd, service, stanza, talk, wait_until,
)
from namespace import Resolver

ROUNDS = int(os.environ.get("HATCHD_TEST_ROUNDS", "10"))

# Behind the first ones, which come once, one of so many is tried; what is done for each
# service comes often.
EACH = 16
STRIDE = 1 if ROUNDS >= 200 else 7

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer allocates for itself")

ALL = 1 << 62

# One allocation fails, or it and all that come after it.
LENGTHS = pytest.mark.parametrize("length", [1, ALL], ids=["one", "all"])


class Memory:
    """What helpers/out-of-memory.c is told, and tells."""

    PID, CALLS, FIRST, LAST, FAILED, IMAGE, IMAGES = range(0, 56, 8)

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "memory"
        self.path.write_bytes(bytes(56))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 56)
        self.env = {
            "LD_PRELOAD": built_helper("out-of-memory.so"),
            "OUT_OF_MEMORY": str(self.path),
        }

    def get(self, place):
        return struct.unpack_from("q", self.map, place)[0]

    def put(self, place, value):
        struct.pack_into("q", self.map, place, value)

    def next_process(self):
        """The one that is started now is meant."""
        self.put(self.PID, 0)

    def spend(self, first, length=1, image=0):
        """The allocation of that number from now on fails, and those behind it.

        With `image` only of what the process executes then: 1 is the next one.
        """
        self.put(self.FIRST, 0)
        self.put(self.FAILED, 0)
        self.put(self.IMAGE, image)
        self.put(self.IMAGES, 0)
        self.put(self.LAST, first - 1 + min(length, ALL - first))
        self.put(self.CALLS, 0)
        self.put(self.FIRST, first)

    def restore(self):
        """There is enough again; returns how many allocations have failed."""
        self.put(self.FIRST, 0)
        return self.get(self.FAILED)


@pytest.fixture
def memory(folder):
    return Memory(folder)


def numbers(stride=STRIDE):
    """Those that are tried, without an end."""
    return itertools.chain(range(1, EACH), itertools.count(EACH, stride))


def say(name, word, **options):
    return service(name, exec=["/bin/echo", "-n", word], **options)


# ---------------------------------------------------------------------------
# Reload


class State:
    """One of two configurations, of which each has all that the other has not."""

    def __init__(self, name, ports, folder):
        self.name = name
        self.path = f"unix:{folder}/socket"
        mine, theirs = (ports["a"], ports["b"]) if name == "a" else (ports["b"], ports["a"])
        number = 1 if name == "a" else 2
        links = [f"{folder}/link-{name}"]
        self.text = "".join([
            say("same", "same", listen=f"tcp:{ports['same']}"),
            say("changed", name, listen=f"tcp:{ports['changed']}"),
            say("adjusted", name, listen=f"tcp:{ports['adjusted']}", backlog=16 * number),
            say("moved", name, listen=f"tcp:{mine[0]}"),
            say(f"only-{name}", name, listen=[f"tcp:{mine[1]}", f"tcp:{mine[2]}"]),
            say("path", name, listen=self.path, symlinks=links, socket_mode=f"066{number}"),
            service("waits", listen=f"udp:{ports['waits']}", wait=True,
                    exec=["/bin/echo", name]),
        ])
        self.says = {ports["same"]: b"same", self.path: name.encode()}
        self.says |= {port: name.encode() for port in (
            ports["changed"], ports["adjusted"], *mine)}
        self.says[f"unix:{links[0]}"] = name.encode()
        self.socket, self.mode = f"{folder}/socket", 0o660 + number
        self.refused = theirs
        self.link = links[0]
        self.other_link = f"{folder}/link-{'b' if name == 'a' else 'a'}"

    def answer(self):
        """Each service says what it says here; None: one is not there."""
        try:
            return {address: talk(address) for address in self.says}
        except (ConnectionRefusedError, FileNotFoundError):
            return None

    def assert_in_force(self):
        assert self.answer() == self.says
        assert all(is_refused(port) for port in self.refused)
        assert not os.path.lexists(self.other_link)
        assert stat.S_IMODE(os.stat(self.socket).st_mode) == self.mode

    def wait_in_force(self):
        """What could not be opened is tried again by the clock."""
        wait_until(lambda: self.answer() == self.says, what=f"all of {self.name}")
        self.assert_in_force()


def reload(daemon, state):
    daemon.write(state.text)
    mark = daemon.mark()
    daemon.signal(signal.SIGHUP)
    return mark


def answer_of(daemon, mark):
    return daemon.wait_log("(reloaded|unable to reload): .*", after=mark).group(1)


@LENGTHS
@pytest.mark.parametrize("who", ["hatchd", "loader"])
def test_reload(hatchd, folder, memory, length, who):
    ports = {name: free_port() for name in ("same", "changed", "adjusted", "waits")}
    ports |= {name: [free_port() for _ in range(3)] for name in ("a", "b")}
    now, other = State("a", ports, folder), State("b", ports, folder)
    memory.next_process()
    daemon = hatchd.file(now.text, env=memory.env)
    now.assert_in_force()
    daemon.wait_children(0)
    descriptors = daemon.count_fds()

    for n in numbers(STRIDE if who == "hatchd" else 3 * STRIDE):
        if who == "loader":
            memory.next_process()
        memory.spend(n, length)
        mark = reload(daemon, other)
        what = answer_of(daemon, mark)
        failed = memory.restore()
        if what == "reloaded":
            now, other = other, now
            now.wait_in_force()
        else:
            assert "nonsense" not in daemon.text(), "the reason is another one"
            now.assert_in_force()
        mark = reload(daemon, other)
        assert answer_of(daemon, mark) == "reloaded"
        now, other = other, now
        now.assert_in_force()
        daemon.wait_children(0)
        wait_until(lambda: daemon.count_fds() <= descriptors, what=daemon.fds())
        if not failed:
            break
    assert n > 1, "nothing has failed"


# ---------------------------------------------------------------------------
# Clients


@LENGTHS
@pytest.mark.parametrize(
    "options", [{}, {"resolve": True, "ident": "yes"}], ids=["known", "asked after"])
def test_clients(hatchd, folder, memory, length, options):
    """Nobody is lost: who is not served at once waits.

    A client each of services that nobody has asked before, whose configuration has
    yet to be read.
    """
    ports = [free_port() for _ in range(100)]
    daemon_of = "".join(
        service(f"s{i}", listen=f"tcp:{port}", exec="/bin/cat", pass_env="PATH",
                env=[f"A{i}=1", "B=2"], **options)
        for i, port in enumerate(ports)
    )
    memory.next_process()
    daemon = hatchd.file(daemon_of, env=memory.env)
    descriptors = daemon.count_fds()
    longest = 0
    for n, port in zip(numbers(), ports):
        memory.spend(n, length)
        with connect(port) as client:
            client.sendall(b"x")
            failed = wait_served_or_failed(client, memory)
            memory.restore()
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"x", daemon.text()
        if not failed:
            break
        longest = n
    assert longest > 0, "nothing has failed"
    assert not failed, "there are more allocations than services"
    assert talk(ports[0], b"again") == b"again"
    daemon.wait_children(0)
    wait_until(lambda: daemon.count_fds() <= descriptors, what=daemon.fds())


@pytest.mark.needs_root
def test_client_who_is_let_in_by_his_name(hatchd, folder, memory):
    """Without memory for it he is refused, and it is told why it was not known."""
    name = "good.example.org"
    ports = [free_port() for _ in range(200)]
    text = "".join(
        say(f"s{i}", "x", listen=f"tcp:127.0.0.1:{port}", resolve=True, only_from=name)
        for i, port in enumerate(ports))
    memory.next_process()
    daemon = hatchd.file(text, env=memory.env,
                         launcher=Resolver(folder, hosts=f"127.0.0.1 {name}\n").launcher)
    refused = 0
    for i, port in enumerate(ports):
        memory.spend(i + 1)
        with connect(port) as client:
            failed = wait_served_or_failed(client, memory)
            memory.restore()
            said = read_all(client)
        if said == b"":
            refused += 1
            daemon.wait_log(f"s{i}: unable to look up name of 127.0.0.1: Cannot allocate")
            daemon.wait_log(f"s{i}: refused 127.0.0.1:.*: only_from")
        else:
            assert said == b"x", daemon.text()
        if not failed:
            break
    assert refused > 0, "the name was never what there was no memory for"
    assert not failed, "there are more allocations than services"
    assert talk(ports[0]) == b"x"
    daemon.wait_children(0)


def wait_served_or_failed(client, memory):
    """Whether something has failed, when he is served or that is so."""
    wait_until(
        lambda: memory.get(memory.FAILED) or select.select([client], [], [], 0)[0],
        what="a client who is served, or a failure",
    )
    return memory.get(memory.FAILED)


# Takes clients at that port, and repeats the first byte of each.
BACKEND = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    with listener.accept()[0] as client:
        client.sendall(client.recv(1))
"""


def backend(name, port):
    inner = free_port()
    return service(
        name, listen=f"tcp:127.0.0.1:{port}", redirect=f"tcp:127.0.0.1:{inner}",
        backend={"exec": [PYTHON, "-SEc", BACKEND, inner], "idle_stop": "1h"})


@LENGTHS
def test_backends(hatchd, memory, length):
    """The first client of each has it started, be it a bit later."""
    ports = [free_port() for _ in range(60)]
    memory.next_process()
    daemon = hatchd.file(
        "".join(backend(f"s{i}", port) for i, port in enumerate(ports)), env=memory.env)
    longest = 0
    for n, port in zip(numbers(), ports):
        memory.spend(n, length)
        with connect(port) as client:
            client.sendall(b"x")
            failed = wait_served_or_failed(client, memory)
            memory.restore()
            assert read_all(client) == b"x", daemon.text()
        if not failed:
            break
        longest = n
    assert longest > 0, "nothing has failed"
    assert not failed, "there are more allocations than services"
    daemon.stop(leave=True)


@LENGTHS
def test_senders_of_datagrams(hatchd, memory, length):
    """What they have sent may be lost, as datagrams are; who sends again is served."""
    address = f"udp:127.0.0.1:{free_port()}"
    memory.next_process()
    daemon = hatchd.file(service("d", listen=address, exec="/bin/cat"), env=memory.env)
    descriptors = daemon.count_fds()
    longest = 0
    for n in itertools.islice(numbers(), 100):
        memory.spend(n, length)
        with connect(address) as client:
            client.send(b"x")
            failed = wait_served_or_failed(client, memory)
            memory.restore()

            def served():
                client.send(b"y")
                return select.select([client], [], [], 0.05)[0]

            wait_until(served, what=f"an answer, after {n} allocations")
            # To cat it is the end of its input.
            client.send(b"")
        if not failed:
            break
        longest = n
    assert longest > 0, "nothing has failed"
    assert not failed, "there are more allocations than that"
    daemon.wait_children(0)
    wait_until(lambda: daemon.count_fds() <= descriptors, what=daemon.fds())


@LENGTHS
def test_senders_who_are_passed_on(hatchd, memory, length):
    """The same without a program: what there is for each of them fails, one after the other."""
    address = f"udp:127.0.0.1:{free_port()}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))

        def answered(client, patience=0):
            if select.select([target], [], [], patience)[0]:
                target.sendto(*target.recvfrom(100))
            return select.select([client], [], [], patience)[0]

        memory.next_process()
        to = f"udp:127.0.0.1:{target.getsockname()[1]}"
        daemon = hatchd.file(
            stanza("service", "r", listen=address, redirect=to), env=memory.env)
        longest = 0
        for n in itertools.islice(numbers(), 100):
            memory.spend(n, length)
            with connect(address) as client:
                client.send(b"x")
                wait_until(lambda: memory.get(memory.FAILED) or answered(client),
                           what="a client who is served, or a failure")
                failed = memory.get(memory.FAILED)
                memory.restore()
                wait_until(lambda: client.send(b"y") and answered(client, 0.05),
                           what=f"an answer, after {n} allocations")
            if not failed:
                break
            longest = n
        assert longest > 0, "nothing has failed"
        assert not failed, "there are more allocations than that"
        daemon.stop()


def test_shortage_is_not_told_at_every_attempt(hatchd, memory):
    ports = [free_port() for _ in range(2)]
    memory.next_process()
    daemon = hatchd.file(
        "".join(service(f"s{i}", listen=f"tcp:{port}", exec="/bin/cat")
                for i, port in enumerate(ports)),
        env=memory.env,
    )
    assert talk(ports[0], b"x") == b"x"  # the first turn of the loop is over
    daemon.wait_children(0)
    memory.spend(1, ALL)
    with connect(ports[1]) as client:
        wait_until(lambda: memory.get(memory.FAILED) >= 4)
        memory.restore()
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"x"
    daemon.wait_log("unable to")
    assert daemon.text().count("unable to") == 1, daemon.text()


# ---------------------------------------------------------------------------
# Start and stop


def some_of_everything(folder, ports):
    return "".join([
        say("a", "a", listen=[f"tcp:{port}" for port in ports]),
        say("b", "b", listen=f"unix:{folder}/socket", symlinks=[f"{folder}/link"]),
        service("c", listen=f"udp:{ports[0]}", wait=True, exec="/bin/cat"),
    ])


@LENGTHS
def test_start(folder, memory, length):
    """A daemon that serves, or the reason why there is none."""
    ports = [free_port() for _ in range(2)]
    text = some_of_everything(folder, ports)
    ended, served = 0, 0
    for n in numbers():
        memory.next_process()
        memory.spend(n, length)
        daemon = Daemon(config=text, folder=folder, env=memory.env, ready=False)
        try:
            is_ready = wait_started(daemon)
            failed = memory.restore()
            if is_ready:
                served += 1
                for port in ports:
                    wait_until(lambda: not is_refused(port))
                    assert talk(port) == b"a"
                daemon.fds_at_start = None
                daemon.stop()
            else:
                ended += 1
                assert daemon.process.wait() > 0, "not by a signal"
                assert "hatchd: " in daemon.text(), f"nothing is said at {n}"
        finally:
            daemon.close()
        if not failed:
            break
    assert not os.path.lexists(folder / "socket")
    assert ended and served


def wait_started(daemon):
    """Whether it serves; else it has ended."""
    try:
        daemon.wait_notified("READY=1")
    except AssertionError:
        assert daemon.process.poll() is not None, "neither serves nor ends"
        daemon.stopped = True
        return False
    return True


def test_stop(folder, memory):
    """It takes no memory: children that are to end are told, and sockets are removed."""
    ports = [free_port() for _ in range(2)]
    text = some_of_everything(folder, ports) + service(
        "stays", listen=f"unix:{folder}/stays", exec="/bin/cat", stop="terminate")
    memory.next_process()
    with Daemon(config=text, folder=folder, env=memory.env) as daemon:
        assert talk(ports[0]) == b"a"
        with connect(f"unix:{folder}/stays") as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            memory.spend(1, ALL)
            daemon.stop(leave=True)
            assert client.recv(1) == b""
    for name in ("socket", "link", "stays"):
        assert not os.path.lexists(folder / name)


# ---------------------------------------------------------------------------
# The loader


@LENGTHS
def test_loader(folder, memory, length):
    """What it says is all that the files say; else it says nothing.

    libconfuse does not expect that there is no memory: then the loader may crash.
    """
    path = folder / "hatchd.conf"
    path.write_text(some_of_everything(folder, [free_port()]) + stanza("defaults", backlog=7))
    path.chmod(0o644)
    whole = run_hatchd("--print-config", "-f", path)
    assert whole.returncode == 0 and "/bin/echo" in whole.stdout
    for n in numbers():
        memory.next_process()
        memory.spend(n, length)
        done = run_hatchd("--print-config", "-f", path, env=memory.env)
        if done.returncode == 0:
            assert done.stdout == whole.stdout, f"allocation {n}"
        if memory.restore() == 0:
            break
    assert n > 1, "nothing has failed"
