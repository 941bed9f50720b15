"""Whoever means harm: hatchd itself is to wait (I2), or a service to be switched off (I6).

A system call can sleep on a lock that somebody else holds, and closing the last
descriptor of something can sleep as well.  Whoever shares a socket, a pipe or a
file with hatchd, or sends it descriptors, decides for how long: so it must not
be hatchd that sleeps.
"""

import array
import contextlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from harness import (
    IS_ROOT, IS_SANITIZED, TIMEOUT, askers, built_helper, connect, free_port, held_back, helper,
    is_alive, proc_fds, proc_status, read_all, read_exactly, read_line, service, talk,
    wait_exit, wait_until,
)

needs_root = pytest.mark.needs_root

# Another one than nobody, whom hostile programs run as.
OTHER = "daemon" if IS_ROOT else None


class Hostile:
    """helpers/hostile.c as the program of a service.

        hostile = Hostile(folder)
        hatchd.file(service("evil", exec=hostile.command("lock-socket"), user="root"))
        with hostile:
            connect(...)
            hostile.wait_done()
    """

    def __init__(self, folder):
        self.program = helper("hostile", folder)
        self.path = pathlib.Path(folder, "told")
        os.mkfifo(self.path)
        self.path.chmod(0o666)
        self.fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self.pids = []

    def command(self, *words):
        return [self.program, self.path, *words]

    def wait_done(self):
        """Until the harm is done, or skip the test where it cannot be done."""
        assert select.select([self.fd], [], [], TIMEOUT)[0], "nothing has been tried"
        told = os.read(self.fd, 4096).decode()
        if not told.startswith("done "):
            pytest.skip(told.strip())
        self.pids += [int(line.split()[1]) for line in told.splitlines()]

    def at_work(self):
        """Pids of those that still do it; without the test they end after 15 s."""
        return [pid for pid in self.pids if is_alive(pid)]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.close(self.fd)


def good_service(port):
    return service("good", listen=f"tcp:{port}", exec="/bin/cat", user=OTHER)


def assert_served(port, times=5, during=None):
    """And, if one is given who does harm, not only when he has ended."""
    for _ in range(times):
        assert talk(port, b"others") == b"others"
    assert during is None or during.pids[-1] in during.at_work()


# ---------------------------------------------------------------------------
# Programs


def test_traced_zombie_and_many_clients(hatchd, folder):
    """It cannot be reaped, and is looked after again whenever more children come."""
    evil, good = free_port(), free_port()
    hostile = Hostile(folder)
    daemon = hatchd.file(
        service("evil", listen=f"tcp:{evil}", exec=hostile.command("zombie"))
        + good_service(good)
    )
    with hostile:
        with connect(evil) as client:
            hostile.wait_done()
            assert read_all(client) == b""
        # Several times as many as hatchd watches as "low" ones.
        assert_served(good, 200)
        cpu = daemon.cpu()
        select.select([], [], [], 1)  # the period observed, not a wait for something
        assert daemon.cpu() - cpu < 0.1
        daemon.stop(leave=True)


@needs_root
def test_lock_of_a_connection(hatchd, folder):
    """The program sleeps in its send when hatchd gives its copy up."""
    evil, good = free_port(), free_port()
    hostile = Hostile(folder)
    hatchd.file(
        service("evil", listen=f"tcp:{evil}", exec=hostile.command("lock-socket"), user="root")
        + good_service(good)
    )
    with hostile, contextlib.ExitStack() as clients:
        # Which comes first, the send or the close, is a matter of chance.
        for _ in range(8):
            clients.enter_context(connect(evil))
            hostile.wait_done()
            assert_served(good, 2, during=hostile)


@needs_root
def test_lock_of_a_connection_that_is_watched(hatchd, folder):
    """The kernel says nothing about it until the program lets go: that is silence."""
    evil, good, other = free_port(), free_port(), free_port()
    hostile = Hostile(folder)
    daemon = hatchd.file(
        service("evil", listen=f"tcp:{evil}", exec=hostile.command("lock-socket"),
                user="root", idle_timeout="1s", kill_after="1s")
        + service("other", listen=f"tcp:{other}", exec="/bin/cat", idle_timeout="1s")
        + good_service(good)
    )
    with hostile, contextlib.ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(connect(evil))
            hostile.wait_done()
        # While the locks are held, others are served, and asked after.
        with connect(other) as idle:
            while select.select([idle], [], [], 0)[0] == []:
                assert_served(good, 1)
            assert read_all(idle) == b""
        # Told to end or killed, before they have let go by themselves.
        daemon.wait_log(r"evil: child \d+ ended: idle_timeout, signal (9|15) ", count=3)
        daemon.wait_log(r"other: child \d+ ended: idle_timeout, signal 15")
        assert_served(good)


needs_preload = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer must be loaded first")


class LateHolder(Hostile):
    """Takes the lock of its connection when it is told to: hatchd has no copy by then."""

    def service(self, name, port, **more):
        words = " ".join(str(word) for word in self.command("lock-socket"))
        return service(name, listen=f"tcp:127.0.0.1:{port}", user="root", per_source=100,
                       shell=f"trap '' TERM; readlink /proc/$$/fd/0; read go; exec {words}",
                       **more)

    def hold(self, daemon, port):
        client = connect(f"tcp:127.0.0.1:{port}")
        connection = read_line(client).decode()
        assert connection.startswith("socket:")
        wait_until(lambda: connection not in daemon.fds().values())
        client.sendall(b"go\n")
        self.wait_done()
        return client


def is_asleep(pid):
    """Has a question got stuck: one of its threads sleeps and cannot be woken up."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "D":
                return True
    return False


@needs_root
def test_stop_with_a_question_that_is_stuck(hatchd, folder):
    """hatchd ends at once; what is left behind is the process that has asked."""
    port = free_port()
    hostile = LateHolder(folder)
    daemon = hatchd.file(hostile.service("evil", port, idle_timeout="1s", kill_after="1h"))
    with hostile, hostile.hold(daemon, port):
        (asker,) = wait_until(lambda: askers(daemon.pid))
        wait_until(lambda: is_asleep(asker))
        daemon.stop(leave=True)
        assert is_asleep(asker)
    wait_exit(asker)


@needs_root
def test_stop_with_a_close_that_is_stuck(hatchd, folder):
    """The lock is taken before hatchd has given its copy up, so its close sleeps: hatchd
    can only end when that program has."""
    evil, good = free_port(), free_port()
    hostile = Hostile(folder)
    daemon = hatchd.file(
        service("evil", listen=f"tcp:{evil}", exec=hostile.command("lock-socket"), user="root",
                per_source=100)
        + good_service(good))
    with hostile, connect(good) as client, contextlib.ExitStack() as clients:
        assert_served(good, 1)
        # Which comes first is a matter of chance.
        for _ in range(16):
            clients.enter_context(connect(evil))
            hostile.wait_done()
        daemon.stop(leave=True)
        # No program has let go by itself: who has ended was in the way, and killed.
        killed = re.findall(r"child (\d+) holds the lock of its connection", daemon.text())
        assert sorted(hostile.pids) == sorted({*hostile.at_work(), *map(int, killed)})
        # Who does not hold anything lives on.
        client.sendall(b"still here")
        assert read_exactly(client, 10) == b"still here"


@needs_root
def test_holder_is_killed_soon(hatchd, folder):
    """It holds up others, so its own kill_after is not waited for; nor if another limit
    has told it to end before."""
    ports = free_port(), free_port()
    hostile = LateHolder(folder)
    daemon = hatchd.file(
        hostile.service("evil", ports[0], idle_timeout="500ms", kill_after="1h")
        + hostile.service("worse", ports[1], idle_timeout="1s", time_limit="1500ms",
                          kill_after="unlimited"))
    with hostile, hostile.hold(daemon, ports[0]), hostile.hold(daemon, ports[1]):
        daemon.wait_log(r"evil: child \d+ ended: idle_timeout, signal 9 \(KILL\)")
        daemon.wait_log(r"worse: child \d+ ended: time_limit, signal 9 \(KILL\)")


@needs_root
def test_holders_do_not_use_up_the_places(hatchd, folder):
    """Others are asked after in time however many there are."""
    evil, good = free_port(), free_port()
    hostile = LateHolder(folder)
    daemon = hatchd.file(
        hostile.service("evil", evil, idle_timeout="1s", kill_after="1h", instances=100)
        + service("good", listen=f"tcp:127.0.0.1:{good}", exec="/bin/cat", user=OTHER,
                  idle_timeout="500ms"))
    with hostile, contextlib.ExitStack() as clients:
        for _ in range(20):
            clients.enter_context(hostile.hold(daemon, evil))
        wait_until(lambda: any(is_asleep(pid) for pid in askers(daemon.pid)))
        for client in [clients.enter_context(connect(good)) for _ in range(3)]:
            assert read_all(client) == b""
        daemon.wait_log(r"good: child \d+ ended: idle_timeout, signal 15", count=3)
        # In their time, and not when evil ones are gone.
        assert daemon.text().partition("evil: child")[0].count("good: child") == 3
        daemon.wait_log(r"unable to ask the kernel after some connections: \d+ have no answer")


@needs_root
@needs_preload
def test_nobody_is_judged_for_another(hatchd, folder):
    """Before Linux 6.9 the kernel answers one question at a time: whoever is asked after
    behind a holder is not answered either, and is not silent for that."""
    evil, good = free_port(), free_port()
    hostile = LateHolder(folder)
    daemon = hatchd.file(
        hostile.service("evil", evil, idle_timeout="1s")
        + service("good", listen=f"tcp:127.0.0.1:{good}", exec="/bin/cat", user=OTHER,
                  per_source=100, idle_timeout="3s"),
        env={"LD_PRELOAD": built_helper("one-question.so")})
    with hostile, contextlib.ExitStack() as clients:
        clients.enter_context(hostile.hold(daemon, evil))
        talkers = [clients.enter_context(connect(good)) for _ in range(10)]
        while "evil: child" not in daemon.text():
            for client in talkers:
                client.sendall(b"x")
                assert read_exactly(client, 1) == b"x"
        assert "good: child" not in daemon.text().partition("evil: child")[0]
        # And then they are asked after again.
        for client in talkers:
            assert read_all(client) == b""
    daemon.wait_log(r"good: child \d+ ended: idle_timeout, signal 15", count=10)


@needs_root
def test_asker_has_no_rights(hatchd):
    """What is left of them when it has been started; and it is never a zombie."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat",
                                 idle_timeout="300ms"),
                         env={"SECRET": "told to nobody"})
    assert askers(daemon.pid) == []
    before = None
    for _ in range(3):
        with connect(port) as idle:
            assert read_all(idle) == b""
        (asker,) = askers(daemon.pid)
        assert asker != before
        status = proc_status(asker)
        assert status["Uid"].split() == ["65533"] * 4
        assert status["Gid"].split() == ["65533"] * 4
        assert status["Groups"].split() == []
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[kind], 16) == 0
        assert status["NoNewPrivs"] == "1"
        fds = proc_fds(asker)
        assert set(fds) == {0, 1, 2}
        assert fds[0].startswith("socket:") and fds[1] == fds[2] == "/dev/null"
        assert b"SECRET" not in pathlib.Path(f"/proc/{asker}/environ").read_bytes()
        # Whoever ends it finds another one.
        os.kill(asker, signal.SIGKILL)
        wait_until(lambda: not askers(daemon.pid))
        before = asker
    daemon.wait_log(r"unable to ask the kernel after connections: hatchd-ask has ended")


@needs_root
@needs_preload
def test_kernel_that_tells_nothing(hatchd, folder):
    """Without tcp_diag it says of every connection that there is none; that is no reason
    to take it for closed without a word."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat",
                                 idle_timeout="300ms"),
                         env={"LD_PRELOAD": built_helper("no-tcp-diag.so")})
    with connect(port) as client:
        daemon.wait_log(r"unable to ask the kernel after connections: Protocol not supported")
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"


@needs_root
def test_lock_of_a_datagram_socket(hatchd, folder):
    """The program ends, and hatchd looks what it has left in the socket."""
    path, good = f"{folder}/evil.sock", free_port()
    hostile = Hostile(folder)
    hatchd.file(
        service("evil", listen=f"unix-dgram:{path}", wait=True, user="root",
                exec=hostile.command("lock-datagrams"))
        + good_service(good)
    )
    with hostile, connect(f"unix-dgram:{path}") as client:
        client.send(b"one")
        hostile.wait_done()
        assert_served(good, during=hostile)


@needs_root
@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_lock_of_standard_error(hatchd, folder, kind):
    """What the program shares with hatchd, and hatchd has much to say there."""
    evil, good = free_port(), free_port()
    hostile = Hostile(folder)
    if kind == "pipe":
        reader = subprocess.Popen(
            [shutil.which("cat")], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        stderr = reader.stdin
    else:
        stderr = open(pathlib.Path(folder, "log"), "wb")
    daemon = hatchd.file(
        service("evil", listen=f"tcp:{evil}", exec=hostile.command("lock-stderr"), user="root")
        + good_service(good),
        "-v", stderr=stderr,
    )
    stderr.close()
    with hostile, connect(evil):
        hostile.wait_done()
        assert_served(good, 20, during=hostile)
    daemon.stop()
    if kind == "pipe":
        reader.wait(TIMEOUT)
    else:
        assert "good" in pathlib.Path(folder, "log").read_text(errors="replace")


@pytest.mark.parametrize("end", ["accept", "accept-and-fail"])
def test_clients_that_have_left_do_not_switch_a_service_off(hatchd, folder, end):
    """Each child of a wait service takes one client, and another one is still there."""
    port = free_port()
    hostile = Hostile(folder)
    hatchd.file(
        service("queue", listen=f"tcp:{port}", wait=True, exec=hostile.command(end))
    )
    with hostile:
        for _ in range(25):  # more than may be fruitless before the service is suspected
            connect(port).close()
        before = time.monotonic()
        assert talk(port, timeout=10, half_close=False) == b"hi"
        assert time.monotonic() - before < 10


# ---------------------------------------------------------------------------
# Clients


class Lingering:
    """A TCP socket whose last close sleeps for half a minute, to be sent to somebody."""

    def __init__(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            self.sock = socket.create_connection(listener.getsockname())
            self.peer, _ = listener.accept()
        self.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.sock.send(bytes(65536))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))

    def send_to(self, client):
        """Whoever closes the other end of that connection now has the last one."""
        rights = array.array("i", [self.sock.fileno()])
        client.sendmsg([b"z"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        self.sock.close()


@contextlib.contextmanager
def hostile_clients(daemon, path, count, meanwhile=signal.SIGCONT):
    """So many: what they send is in the queue before hatchd sees the first."""
    with contextlib.ExitStack() as stack:
        with held_back(daemon):
            for _ in range(count):
                client = stack.enter_context(connect(f"unix:{path}"))
                lingering = Lingering()
                stack.enter_context(lingering.peer)
                lingering.send_to(client)
            daemon.signal(meanwhile)
        yield


@pytest.mark.parametrize("what", ["refused", "exits", "killed", "not started"])
def test_client_that_sends_descriptors(hatchd, folder, what):
    """They are closed with a connection that nobody has read from."""
    path, good = f"{folder}/evil.sock", free_port()
    program = pathlib.Path(folder, "program")
    shutil.copyfile("/bin/sh", program)
    program.chmod(0o755)
    command = {"killed": "kill -9 $$", "refused": "read line"}.get(what, "exit 0")
    daemon = hatchd.file(
        service("evil", listen=f"unix:{path}", per_source=1 if what == "refused" else None,
                exec=[program, "-c", command])
        + good_service(good)
    )
    if what == "not started":
        program.unlink()
    with connect(f"unix:{path}") as first:
        if what == "refused":
            daemon.wait_children(1)
        with hostile_clients(daemon, path, 4):
            assert_served(good, 20)
        first.close()
    daemon.wait_children(0)


def test_client_that_sends_descriptors_when_hatchd_stops(hatchd, folder):
    """Connections that nobody has accepted are closed with the listening socket."""
    path = f"{folder}/evil.sock"
    daemon = hatchd.file(
        service("evil", listen=f"unix:{path}", exec="/bin/cat", instances=1)
    )
    with connect(f"unix:{path}") as first:
        daemon.wait_children(1)
        with hostile_clients(daemon, path, 4, meanwhile=signal.SIGTERM):
            assert daemon.wait_end(timeout=5) == 0
            first.sendall(b"the one that is served stays")
            assert first.recv(100) == b"the one that is served stays"
