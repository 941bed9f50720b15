"""The spawn path: what hangs, stops or fails in one child concerns no other."""

import contextlib
import ctypes
import os
import pathlib
import pwd
import re
import select
import signal
import statistics
import subprocess
import threading
import time

import pytest

from harness import (
    IS_ROOT, PYTHON, built_helper, connect, free_port, held_back, helper, proc_fds, proc_stat,
    proc_status, read_all, read_line, service, stop_impatiently, talk, wait_exit, wait_until,
)
from held import Lease

needs_root = pytest.mark.needs_root

NOBODY = pwd.getpwnam("nobody")
PTRACE_SEIZE = 0x4206

# Another one than nobody, for services that he may not touch.
OTHER = "daemon" if IS_ROOT else None


def is_cat(pid):
    return os.readlink(f"/proc/{pid}/exe").endswith("/cat")


def end_children(daemon):
    """Programs that would live on."""
    for pid in daemon.children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    daemon.wait_children(0)


class Load:
    """Clients of a service, one after the other, as long as the context lasts."""

    def __init__(self, port, threads=2):
        self.port = port
        self.served = 0
        self.failure = None
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def _run(self):
        try:
            while not self.over.is_set():
                assert talk(self.port, b"load") == b"load"
                self.served += 1
        except BaseException as error:  # told by the test, not by this thread
            self.failure = error

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if kind is None:
            assert self.failure is None, f"another service did not answer: {self.failure!r}"


# ---------------------------------------------------------------------------
# Every way of spawning


WAYS = [(mode, hidden) for mode in ("shared", "private") for hidden in (False, True)]


@pytest.fixture(params=WAYS, ids=[f"{m}-{'clone' if h else 'clone3'}" for m, h in WAYS])
def way(request, hatchd):
    """Starts a daemon in one way: way(config) -> Daemon, whose log says which it is."""
    mode, hidden = request.param
    if not hidden and os.environ.get("HATCHD_HIDE_CLONE3", "0") not in ("", "0"):
        pytest.skip("clone3 is hidden from everything")

    def start(config, *args):
        launcher = [built_helper("hide-clone3")] if hidden else []
        daemon = hatchd.file(config, "-v", f"--spawn={mode}", *args, launcher=launcher)
        how = r"clone \(clone3 is not available\)" if hidden else "clone3"
        daemon.wait_log(rf"children start with {mode} memory \(as asked\), {how}")
        return daemon

    return start


def test_every_way_serves(way):
    port = free_port()
    daemon = way(service("upper", listen=f"tcp:{port}", exec=["/usr/bin/tr", "a-z", "A-Z"]))
    for number in range(20):
        assert talk(port, b"number %d" % number) == b"NUMBER %d" % number
    clients = [connect(port) for _ in range(50)]
    daemon.wait_children(50)
    for client in clients:
        client.sendall(b"at once")
        client.shutdown(1)
        assert read_all(client) == b"AT ONCE"
        client.close()


def test_every_way_names_what_failed(way, folder):
    port = free_port()
    program = pathlib.Path(folder, "program")
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    daemon = way(service("gone", listen=f"tcp:{port}", exec=program))
    assert talk(port) == b""
    program.unlink()
    assert talk(port, half_close=False) == b""
    daemon.wait_log(f"gone: unable to start {program}: exec: No such file or directory")


def test_every_way_passes_listening_sockets(way, folder):
    ports = [free_port(), free_port()]
    program = "echo $LISTEN_FDS $LISTEN_PID $$ >&2; ls -l /proc/$$/fd | grep -c socket: >&2"
    daemon = way(
        service("passed", listen=[f"tcp:{port}" for port in ports], wait=True,
                pass_as="listen_fds", shell=program)
    )
    with connect(ports[1]):
        fds, pid, own = daemon.wait_log(r"^(\d+) (\d+) (\d+)$").groups()
        daemon.wait_log("^2$")
    assert fds == "2" and pid == own


# ---------------------------------------------------------------------------
# Failures under load


def test_failures_under_load_name_step_and_reason(hatchd, folder):
    bad, good = free_port(), free_port()
    place = pathlib.Path(folder, "place")
    program = pathlib.Path(folder, "program")
    place.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    daemon = hatchd.file(
        service("bad", listen=f"tcp:{bad}", exec=program, directory=place)
        + service("good", listen=f"tcp:{good}", exec="/bin/cat")
    )

    def fail(reason):
        clients = [connect(bad) for _ in range(30)]
        for client in clients:
            assert read_all(client) == b""
            client.close()
        daemon.wait_log(f"bad: unable to start {program}: {reason}")

    def succeed():
        """One good start, and the pauses begin anew."""
        place.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\necho good\n")
        program.chmod(0o755)
        assert talk(bad) == b"good\n"

    with Load(good):
        program.unlink()
        fail("exec: No such file or directory")
        succeed()
        program.chmod(0o644)
        fail("exec: Permission denied")
        succeed()
        program.write_text("no program at all\n")
        fail("exec: Exec format error")
        succeed()
        place.rmdir()
        fail("change directory: No such file or directory")
    text = daemon.text()
    told = [line for line in text.split("\n") if "unable to start" in line]
    assert all(re.search(r": (exec|change directory): [A-Z]", line) for line in told), told
    assert "good: unable" not in text


@needs_root
def test_user_with_too_many_processes_is_waited_for(hatchd):
    """The exec fails with EAGAIN: the user's shortage, not a broken program."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("few", listen=f"tcp:{port}", exec="/bin/cat", user="uucp",
                rlimit={"nproc": 2})
        + service("other", listen=f"tcp:{other}", exec="/bin/cat")
    )
    clients = []
    served = True
    while served and len(clients) < 6:
        clients.append(connect(port))
        served = False
        with contextlib.suppress(ConnectionError):
            clients[-1].sendall(b"x")
            served = clients[-1].recv(1) == b"x"
    assert 1 < len(clients) < 6
    daemon.wait_log("few: its user may have no more processes, retrying in")
    assert talk(other, b"others") == b"others"
    for client in clients:
        client.close()
    daemon.wait_children(0)
    assert talk(port, b"again") == b"again"


# ---------------------------------------------------------------------------
# Nobody's descriptors are held


def test_idle_hatchd_lets_the_end_of_file_through(hatchd, folder):
    """The program closes the connection and lives; hatchd's copy is gone by then."""
    port = free_port()
    program = ["/bin/sh", helper("close_and_live.sh", folder)]
    daemon = hatchd.file(service("brief", listen=f"tcp:{port}", exec=program))
    delays = []
    for _ in range(5):
        with connect(port) as client:
            assert read_line(client) == b"word"
            before = time.monotonic()
            assert client.recv(1) == b""
            delays.append(time.monotonic() - before)
    assert min(delays) < 0.05, delays
    end_children(daemon)


def test_hung_exec_of_one_service_holds_nothing_of_another(hatchd, folder):
    first, hung = free_port(), free_port()
    program = Lease(folder)
    daemon = hatchd.file(
        service("first", listen=f"tcp:{first}", exec="/bin/cat")
        + service("hung", listen=f"tcp:{hung}", exec=program.path, start_timeout="60s")
    )
    with program:
        with connect(first) as a:
            a.sendall(b"x")
            assert a.recv(1) == b"x"
            (cat,) = daemon.children()
            b = connect(hung)
            program.wait_wanted()
            (child,) = set(daemon.children()) - {cat}

            # The child of the other one was born while ours was open.
            os.kill(cat, signal.SIGKILL)
            assert a.recv(1) == b"", "in its time, and not when the other one's exec ends"

            # Nothing else waits, either.
            assert talk(first, b"still served") == b"still served"
            os.kill(child, signal.SIGKILL)
            assert b.recv(1) == b""
            b.close()
            daemon.wait_children(0)


@needs_root
def test_hung_exec_has_only_its_own_descriptors(hatchd, folder):
    """It gave back what it shared before anything could hang."""
    port, hung = free_port(), free_port()
    program = Lease(folder)
    daemon = hatchd.file(
        service("cat", listen=f"tcp:{port}", exec="/bin/cat")
        + service("hung", listen=f"tcp:{hung}", exec=program.path, start_timeout="60s")
    )
    with program:
        with held_back(daemon):
            others = [connect(port) for _ in range(15)]
            clients = [connect(hung) for _ in range(15)]
        program.wait_wanted()
        daemon.wait_children(30)
        for other in others:
            other.sendall(b"x")
            assert other.recv(1) == b"x"
        held = [pid for pid in daemon.children() if not is_cat(pid)]
        assert len(held) == 15
        for pid in held:
            fds = proc_fds(pid)
            pipe = fds.pop(3, "pipe:")  # closed by the exec, where memory is private
            assert pipe.startswith("pipe:") and fds.keys() == {0, 1, 2}, fds
            assert fds[0] == fds[1] and fds[0].startswith("socket:")
        assert len({proc_fds(pid)[0] for pid in held}) == 15

        # What the others' programs close is closed.
        for pid in set(daemon.children()) - set(held):
            os.kill(pid, signal.SIGKILL)
        for other in others:
            assert other.recv(1) == b""
            other.close()
        for pid in held:
            os.kill(pid, signal.SIGKILL)
        for client in clients:
            assert client.recv(1) == b""
            client.close()


def test_hung_exec_is_ended(hatchd, folder):
    port = free_port()
    program = Lease(folder)
    daemon = hatchd.file(
        service("hung", listen=f"tcp:{port}", exec=program.path, start_timeout="300ms")
    )
    with program:
        with connect(port) as client:
            assert client.recv(1) == b""
        daemon.wait_log(
            f"hung: unable to start {program.path}: exec: killed after start_timeout"
        )
        assert "ended" not in daemon.text()
    assert talk(port, b"and served again") == b"and served again"


def test_stop_with_a_hung_exec(hatchd, folder, world):
    """hatchd ends while a child still runs in its memory; that one goes on and execs."""
    port = free_port()
    program = Lease(folder)
    daemon = hatchd.file(
        service("hung", listen=f"tcp:{port}", exec=program.path, start_timeout="60s"),
        env=world and world.env,
    )
    with program:
        with connect(port) as client:
            program.wait_wanted()
            (child,) = daemon.children()
            stop_impatiently(daemon, world)
            program.give_up()
            client.sendall(b"alive")
            assert client.recv(5) == b"alive"
    wait_exit(child)


# ---------------------------------------------------------------------------
# Users who stop their own children


class Storm:
    """The user of a service stops its children before their exec, and more clients come."""

    def __init__(self, daemon, ports, folder, clients):
        self.daemon, self.ports, self.n = daemon, ports, clients
        self.clients = []
        self.stopper = subprocess.Popen(
            [PYTHON, "-S", "-E", helper("stopper.py", folder), str(daemon.pid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=NOBODY.pw_uid,
            group=NOBODY.pw_gid, extra_groups=[],
        )
        assert self.stopper.stdout.readline() == b"ready\n"

    def blow(self):
        """Connect; returns when as many children as may be are stopped."""
        self.clients += [connect(port) for port in self.ports for _ in range(self.n)]
        wait_until(lambda: len(self.stopped()) >= 32, what="stopped children")

    def stopped(self):
        found = []
        for pid in self.daemon.children():
            try:
                if proc_stat(pid)[0] in "Tt":
                    found.append(pid)
            except OSError:
                pass
        return found

    def calm(self):
        """The clients go, the children are killed."""
        for client in self.clients:
            client.close()
        self.clients = []

    def end(self):
        self.calm()
        self.stopper.stdin.close()
        assert self.stopper.wait() == 0
        self.stopper.stdout.close()


def rate(port, count=60):
    """Connections a second, one after the other."""
    before = time.monotonic()
    for _ in range(count):
        assert talk(port, b"x") == b"x"
    return count / (time.monotonic() - before)


@pytest.mark.alone
@needs_root
def test_stop_storm_leaves_others_alone(hatchd, folder):
    hostile, other = free_port(), free_port()
    program = Lease(folder)
    daemon = hatchd.file(
        service("hostile", listen=f"tcp:{hostile}", exec=program.path, start_timeout="1s",
                per_source="unlimited")
        + service("other", listen=f"tcp:{other}", exec="/bin/cat", user=OTHER)
    )
    with program:
        storm = Storm(daemon, [hostile], folder, 100)
        quiet, stormy = [], []
        for _ in range(3):
            quiet.append(rate(other))
            storm.blow()
            stormy.append(rate(other))
            storm.calm()
            # Every one is ended by hatchd in the end, and its slot comes back.
            daemon.wait_children(0)
        storm.end()
    assert statistics.median(stormy) > statistics.median(quiet) / 3, (quiet, stormy)
    assert talk(hostile, b"serves again") == b"serves again"
    assert talk(other, b"serves still") == b"serves still"


@needs_root
def test_many_stopped_services_leave_slots_for_others(hatchd, folder):
    """More of them than would fill all slots, if each took as many as one may."""
    hostile, other = [free_port() for _ in range(8)], free_port()
    program = Lease(folder)
    daemon = hatchd.file(
        "".join(
            service(f"hostile-{port}", listen=f"tcp:{port}", exec=program.path,
                    start_timeout="60s", per_source="unlimited")
            for port in hostile
        )
        + service("other", listen=f"tcp:{other}", exec="/bin/cat", user=OTHER)
    )
    with program:
        clients = [connect(port) for port in hostile for _ in range(80)]
        # None of them is served as long as this lasts; the other one is.
        for _ in range(5):
            assert talk(other, b"others") == b"others"
        held = daemon.children()
        assert len(held) > 64
        for pid in held:
            # The last one of `other` may still have been among them.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for client in clients:
            client.close()
    daemon.wait_children(0)
    assert talk(other, b"others") == b"others"


@needs_root
def test_traced_zombie_makes_no_busy_loop(hatchd):
    """A user may trace his own program; its end is then its tracer's, however long."""
    port = free_port()
    daemon = hatchd.file(service("traced", listen=f"tcp:{port}", exec="/bin/cat"))
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        (child,) = daemon.children()
        ready, say = os.pipe()
        tracer = os.fork()
        if tracer == 0:
            os.close(ready)
            os.setgroups([])
            os.setgid(NOBODY.pw_gid)
            os.setuid(NOBODY.pw_uid)
            libc = ctypes.CDLL(None)
            libc.ptrace.argtypes = [ctypes.c_long] * 4
            os.write(say, b"1" if libc.ptrace(PTRACE_SEIZE, child, 0, 0) == 0 else b"0")
            while True:
                signal.pause()
        os.close(say)
        try:
            if os.read(ready, 1) != b"1":
                pytest.skip("tracing is not allowed here")
            os.kill(child, signal.SIGKILL)
            wait_exit(child)
            assert client.recv(1) == b""
            before = daemon.cpu()
            select.select([], [], [], 1)  # the period observed, not a wait for something
            assert daemon.cpu() - before < 0.1
            assert talk(port, b"others are served") == b"others are served"
        finally:
            os.kill(tracer, signal.SIGKILL)
            os.waitpid(tracer, 0)
            os.close(ready)
    daemon.wait_log(f"child {child} ended: signal 9")


# ---------------------------------------------------------------------------
# The table of descriptors


def test_table_of_descriptors_does_not_grow(hatchd):
    """Growing one that is shared stalls: it has its size from the start."""
    port = free_port()
    daemon = hatchd.file(
        service("echo", listen=f"tcp:{port}", exec="/bin/cat", instances=400,
                per_source="unlimited")
    )
    size = proc_status(daemon.pid)["FDSize"]
    clients = [connect(port) for _ in range(300)]
    daemon.wait_children(300)
    assert proc_status(daemon.pid)["FDSize"] == size
    for client in clients:
        client.close()
    for _ in range(1000):
        assert talk(port, b"x") == b"x"
    assert proc_status(daemon.pid)["FDSize"] == size
