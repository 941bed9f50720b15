"""A running hatchd is harmed, again and again: what it promises holds all the time.

Each kind of harm is done for HATCHD_TEST_ROUNDS rounds (10, or 200 for a long look),
while a probe asks another service every 10 ms.  The other service answers; hatchd
itself uses next to no processor time where it waits; whoever was in a queue is
answered when the harm is over; and afterwards hatchd has as many descriptors and as
much memory of its own as before.
"""

import contextlib
import errno
import os
import pathlib
import pwd
import resource
import select
import signal
import socket
import statistics
import struct
import threading
import time

import pytest

from harness import (
    IS_ROOT, IS_SANITIZED, built_helper, connect, free_port, held_back, proc_stat, proc_status,
    read_all, service, stop_impatiently, talk, wait_until,
)
from held import Lease

needs_root = pytest.mark.needs_root

ROUNDS = int(os.environ.get("HATCHD_TEST_ROUNDS", "10"))

# The first rounds touch memory that is used again from then on.
WARM_UP = 5

# The probe's answers, in seconds.  Most come within what is promised; the longest may
# be the fault of a busy machine.
PROMISED = 0.1
LONGEST = float(os.environ.get("HATCHD_TEST_LONGEST_ANSWER", "3"))

# Longest time until a service that was harmed is served again, in seconds.
RECOVERY = max(3, LONGEST)

# How long a state is watched, and what it may cost of a processor.
WATCHED = 1.0
COST = 0.01

# Growth of hatchd's own memory over all rounds, in KiB.
GROWTH = 64

# Another one than nobody, whom harmed services run as.
OTHER = "daemon" if IS_ROOT else None


class Probe:
    """Asks a service every 10 ms, as long as the context lasts."""

    def __init__(self, port):
        self.port = port
        self.answers = []
        self.failure = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self.over.wait(0.01):
                before = time.monotonic()
                assert talk(self.port, b"others", timeout=LONGEST) == b"others"
                self.answers.append(time.monotonic() - before)
        except BaseException as error:  # told by the test, not by this thread
            self.failure = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            wait_until(lambda: self.failure or len(self.answers) >= 5)
        self.over.set()
        self.thread.join()
        if kind is None:
            assert self.failure is None, f"another service did not answer: {self.failure!r}"
            assert statistics.median(self.answers) < PROMISED
            assert max(self.answers) < LONGEST


def processor_time(pid):
    """Seconds that all threads have used, to the nanosecond."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):
            text = pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text()
            total += int(text.split()[0])
    return total / 1e9


def own_memory(pid):
    """KiB that are its own, whoever else has mapped the same files.

    Not in there are the slots of the children in flight: memory of a fixed size that
    is touched for the first time when so many are in flight at once.
    """
    return int(proc_status(pid)["RssAnon"].split()[0])


def assert_waits(daemon):
    """hatchd has nothing to do, and does nothing."""
    before = processor_time(daemon.pid)
    assert not select.select([daemon.pidfd], [], [], WATCHED)[0]
    allowed = COST * WATCHED * (5 if IS_SANITIZED else 1)
    assert processor_time(daemon.pid) - before < allowed


def answers(clients):
    """Each gets one, in whatever order they are served."""
    for number, client in enumerate(clients):
        with client:
            client.sendall(b"%d" % number)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"%d" % number


# ---------------------------------------------------------------------------
# What hatchd itself lacks: nobody is served, and nobody is lost


class Shortage:
    """A harm to all services: the probe would wait as well."""

    probed = False

    def __init__(self, folder):
        self.port = free_port()

    def config(self):
        return service("s", listen=f"tcp:{self.port}", exec="/bin/cat",
                       per_source="unlimited")

    def round(self, daemon, number):
        with self.shortage(daemon, number):
            clients = [connect(self.port) for _ in range(10)]
        answers(clients)

    @contextlib.contextmanager
    def waiting(self, daemon):
        with self.shortage(daemon, 0):
            clients = [connect(self.port) for _ in range(50)]
            daemon.wait_log(self.told)
            yield
        before = time.monotonic()
        answers(clients)
        assert time.monotonic() - before < RECOVERY, "a pause of 1 s at most"
        assert daemon.text().count("retrying in") == 1, "one line a minute"


class Descriptors(Shortage):
    """Every number from the lowest free one on is beyond the limit: EMFILE.

    Every other time there is one left: a client can be accepted, and no child be
    started for him.
    """

    told = "s: unable to (accept|clone a child): Too many open files, retrying in 100 ms"

    @contextlib.contextmanager
    def shortage(self, daemon, number):
        # Asleep: nothing is open for a moment only.
        wait_until(lambda: proc_stat(daemon.pid)[0] == "S")
        used = daemon.fds()
        lowest = next(fd for fd in range(len(used) + 1) if fd not in used)
        was = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (lowest + number % 2, was[1]))
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, was)


class Processes(Shortage):
    """The control group of hatchd is full: clone says EAGAIN."""

    told = "s: unable to clone a child: Resource temporarily unavailable, retrying in 100 ms"

    def __init__(self, folder):
        super().__init__(folder)
        self.group = None

    def enter(self, daemon):
        """A group of its own below ours, where the number of processes can be limited."""
        for root in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
            group = pathlib.Path(root, f"hatchd-test-{daemon.pid}")
            try:
                group.mkdir()
            except OSError:
                continue
            try:
                (group / "pids.max").write_text("max")
                (group / "cgroup.procs").write_text(str(daemon.pid))
            except OSError:
                group.rmdir()
                continue
            self.group = group
            return
        pytest.skip("no control group can be made here that limits processes")

    def leave(self, daemon):
        if not self.group:
            return
        (self.group / "pids.max").write_text("max")

        def emptied():
            pids = (self.group / "cgroup.procs").read_text().split()
            for pid in pids:
                with contextlib.suppress(OSError):
                    (self.group.parent / "cgroup.procs").write_text(pid)
            return not pids

        wait_until(emptied)
        self.group.rmdir()

    @contextlib.contextmanager
    def shortage(self, daemon, number):
        daemon.wait_children(0)
        limit = self.group / "pids.max"
        limit.write_text((self.group / "pids.current").read_text())
        try:
            yield
        finally:
            limit.write_text("max")


# ---------------------------------------------------------------------------
# Clients


class Reset:
    """Gone before they are accepted."""

    probed = True

    def __init__(self, folder):
        self.port = free_port()

    def config(self):
        return service("s", listen=f"tcp:{self.port}", exec="/bin/cat",
                       per_source="unlimited")

    def round(self, daemon, number):
        with held_back(daemon):
            for _ in range(10):
                client = connect(self.port)
                client.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
            good = connect(self.port)
        answers([good])

    @contextlib.contextmanager
    def waiting(self, daemon):
        self.round(daemon, 0)
        daemon.wait_children(0)
        yield


# ---------------------------------------------------------------------------
# Programs


class Broken:
    """A program that cannot be started: its client is let go, and it is repaired."""

    probed = True
    crowd = 1

    def __init__(self, folder):
        self.port = free_port()
        self.path = pathlib.Path(folder, "program")
        self.interpreter = pathlib.Path(folder, "interpreter")
        self.interpreter.symlink_to("/bin/sh")
        self.repair()

    def write(self, text, mode=0o755):
        """At once: nobody sees half of it."""
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.chmod(mode)
        new.rename(self.path)

    def repair(self):
        self.write("#!/bin/sh\nexec cat\n")

    def config(self):
        return service("s", listen=f"tcp:{self.port}", exec=self.path,
                       per_source="unlimited")

    def round(self, daemon, number):
        self.damage()
        with connect(self.port) as client:
            assert read_all(client) == b""
        self.repair()
        assert talk(self.port, b"repaired") == b"repaired"

    @contextlib.contextmanager
    def waiting(self, daemon):
        """Longer and longer pauses, with clients in the queue; the first good start
        ends them all."""
        self.damage()
        clients = [connect(self.port) for _ in range(self.crowd)]
        daemon.wait_log("s: unable to start .*: exec: ")
        if self.crowd > 1:
            daemon.wait_log("s: no child can be started, new clients wait, retrying in 1.6 s")
        yield
        self.repair()
        answers(clients[-1:] if self.crowd > 1 else [connect(self.port)])
        assert talk(self.port, b"at once", timeout=RECOVERY) == b"at once"
        for client in clients:
            client.close()
        daemon.wait_children(0)


class Missing(Broken):
    # At most 64 are tried between two pauses, and the fifth one is a long one.
    crowd = 450

    def damage(self):
        self.path.unlink()


class NotExecutable(Broken):
    def damage(self):
        self.path.chmod(0o644)


class Loop(Broken):
    """Its interpreter is itself."""

    def damage(self):
        self.write(f"#!{self.path}\n")


class Vanished(Broken):
    """Its interpreter is gone."""

    def damage(self):
        self.write(f"#!{self.interpreter}\nexec cat\n")
        self.interpreter.unlink(missing_ok=True)


class Hung:
    """Its exec does not return: after start_timeout it is killed, and its client let go."""

    probed = True

    def __init__(self, folder):
        self.port, self.patient = free_port(), free_port()
        self.program = Lease(folder)

    def config(self):
        return service(
            "s", listen=f"tcp:{self.port}", exec=self.program.path, start_timeout="100ms"
        ) + service(
            "patient", listen=f"tcp:{self.patient}", exec=self.program.path,
            start_timeout="60s",
        )

    def enter(self, daemon):
        self.program.__enter__()

    def leave(self, daemon):
        self.program.__exit__(None, None, None)

    def stop(self, daemon, client=None):
        """Nothing: it hangs anyway."""

    def round(self, daemon, number):
        self.program.renew()
        with connect(self.port) as client:
            self.stop(daemon, client)
            assert read_all(client) == b""

    @contextlib.contextmanager
    def waiting(self, daemon):
        clients = [connect(self.patient) for _ in range(10)]
        held = daemon.wait_children(10)
        self.stop(daemon)
        yield
        assert daemon.children() == held, "they count, and live"
        for pid in held:
            os.kill(pid, signal.SIGKILL)
        for client in clients:
            assert read_all(client) == b""
            client.close()
        self.round(daemon, 0)
        daemon.wait_log("s: unable to start .*: exec: killed after start_timeout")


class Stopped(Hung):
    """The same, and its user has stopped it before it got there."""

    hits = 0

    def stop(self, daemon, client=None):
        """Whoever comes too late, on a busy machine, finds the client let go already."""
        user = str(pwd.getpwnam("nobody").pw_uid)
        stopped = []

        def stop_some():
            for pid in daemon.children():
                with contextlib.suppress(OSError):
                    if proc_status(pid)["Uid"].split()[1] == user:
                        os.kill(pid, signal.SIGSTOP)
                        stopped.append(pid)
            return stopped or (client and select.select([client], [], [], 0)[0])

        wait_until(stop_some)
        self.hits += len(stopped) if client else 0

    def check(self):
        assert self.hits > 0, "each one had been let go before it could be stopped"


class Storm:
    """A program whose children end by the hundred: none of them is hatchd's to reap."""

    probed = True
    program = "i=0; while [ $i -lt 100 ]; do : & i=$((i + 1)); done; wait"

    def __init__(self, folder):
        self.port = free_port()

    def config(self):
        return service("s", listen=f"tcp:{self.port}", shell=self.program, stderr="null")

    def round(self, daemon, number):
        assert talk(self.port) == b""

    @contextlib.contextmanager
    def waiting(self, daemon):
        self.round(daemon, 0)
        daemon.wait_children(0)
        yield


class Group(Storm):
    """A program that kills its process group, and with it nobody but itself."""

    program = "kill -KILL 0"

    @contextlib.contextmanager
    def waiting(self, daemon):
        """Whoever dies at once pauses the service, and a client may have caused it: the
        pauses do not grow."""
        for number in range(20):
            self.round(daemon, number)
        daemon.wait_log("s: the program dies at once, retrying in 100 ms")
        daemon.wait_children(0)
        yield


class Unread(Storm):
    """Every child ends with a line in the log, which nobody takes."""

    program = "exit 3"

    @contextlib.contextmanager
    def log(self):
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write_end, bytes(4096))
        os.set_blocking(write_end, True)
        with open(read_end, "rb"), open(write_end, "wb", buffering=0) as log:
            yield log


class Full(Unread):
    """The same, and the disk is full."""

    def log(self):
        return open("/dev/full", "wb", buffering=0)


HARMS = [
    Descriptors, Processes, Reset, Missing, NotExecutable, Loop, Vanished, Hung, Stopped, Storm,
    Group, Unread, Full,
]


@needs_root
@pytest.mark.parametrize("kind", HARMS, ids=[kind.__name__.lower() for kind in HARMS])
def test_harm(hatchd, folder, kind):
    harm = kind(folder)
    good = free_port()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(harm.log()) if hasattr(harm, "log") else None
        daemon = hatchd.file(
            harm.config()
            + service("good", listen=f"tcp:{good}", exec="/bin/cat", user=OTHER),
            stderr=log,
        )
        if hasattr(harm, "enter"):
            stack.callback(harm.leave, daemon)
            harm.enter(daemon)
        with harm.waiting(daemon):
            assert_waits(daemon)

        def rounds(count):
            with Probe(good) if harm.probed else contextlib.nullcontext():
                for number in range(count):
                    harm.round(daemon, number)
            daemon.wait_children(0)

        def growth():
            before = own_memory(daemon.pid)
            rounds(ROUNDS)
            return own_memory(daemon.pid) - before

        rounds(WARM_UP)
        assert talk(good, b"served") == b"served"
        daemon.wait_children(0)
        fds = daemon.count_fds()
        # A leak comes again.  What a busy machine lets come together more than ever, does not.
        grown = [growth()]
        while grown[-1] > GROWTH and len(grown) < 6 and not IS_SANITIZED:
            grown.append(growth())
        wait_until(lambda: daemon.count_fds() <= fds, what=f"{fds} open descriptors")
        if hasattr(harm, "check"):
            harm.check()
        assert IS_SANITIZED or grown[-1] <= GROWTH, f"{grown} KiB more each time"
        assert talk(good, b"served") == b"served"


# ---------------------------------------------------------------------------
# In the middle of it


@pytest.mark.parametrize("name", ["ENFILE", "ENOMEM", "ENOBUFS", "EPERM"])
def test_accept_that_fails_makes_no_busy_loop(hatchd, name):
    """The client stays in the queue, so the socket stays readable."""
    number = getattr(errno, name)
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec="/bin/cat"),
        launcher=[built_helper("failing"), "accept4", str(number)],
    )
    with connect(port) as client:
        daemon.wait_log(f"s: unable to accept: {os.strerror(number)}, retrying in 100 ms")
        assert_waits(daemon)
        assert daemon.text().count("retrying in") == 1
        assert not select.select([client], [], [], 0)[0], "neither served nor refused"


@needs_root
def test_stop_lets_go_who_could_not_be_served(hatchd, folder):
    """A client that was accepted and waits for better times: his connection is closed."""
    harm = Descriptors(folder)
    daemon = hatchd.file(harm.config())
    with harm.shortage(daemon, 1), connect(harm.port) as client:
        daemon.wait_log("s: unable to clone a child: Too many open files")
        daemon.signal(signal.SIGTERM)
        assert client.recv(1) == b""
        assert daemon.wait_end() == 0


def reload_while_one_is_held(hatchd, folder):
    """A daemon whose service has just become a sensor; None: he was served before that."""
    harm = Descriptors(folder)
    daemon = hatchd.file(harm.config())
    with harm.shortage(daemon, 1):
        client = connect(harm.port, source="127.0.0.2")
        daemon.wait_log("s: unable to clone a child: Too many open files")
        daemon.write(service("s", listen=f"tcp:{harm.port}", sensor=True))
    with client:
        client.sendall(b"x")
        daemon.signal(signal.SIGHUP)
        # With what he has sent unread, the end of a refused one is a reset.
        with contextlib.suppress(ConnectionResetError):
            if client.recv(1) == b"x":
                daemon.kill()
                return None
    return daemon, harm.port


@needs_root
def test_who_could_not_be_served_is_refused_when_a_reload_says_so(hatchd, folder):
    """He is not in the way of those who come after him."""
    attempts = (reload_while_one_is_held(hatchd, folder) for _ in range(50))
    held = next(filter(None, attempts), None)
    assert held, "a pause was always over before the reload"
    daemon, port = held
    daemon.wait_log(r"s: refused 127.0.0.2:\d+: sensor")
    with connect(port, source="127.0.0.3") as client:
        assert client.recv(1) == b""
    daemon.wait_log(r"s: refused 127.0.0.3:\d+: sensor")


@needs_root
@pytest.mark.parametrize("private", [False, True])
def test_once_waits_for_better_times(hatchd, folder, private):
    """The one client is served when there is something to serve him with."""
    port = free_port()
    mode = ["--spawn=private"] if private else []
    daemon = hatchd.adhoc(*mode, "--user", "nobody", "--once", "-l", f"tcp:{port}", "--",
                          "sh", "-c", "cat; exit 7")
    with Descriptors(folder).shortage(daemon, 1):
        client = connect(port)
        daemon.wait_log("unable to clone a child: Too many open files")
    answers([client])
    assert daemon.wait_end() == 7


def test_port_is_free_while_an_exec_hangs(hatchd, folder, world):
    """hatchd ends, and the next one serves: the hung child has no listener."""
    harm = Hung(folder)
    first = hatchd.file(harm.config(), env=world and world.env)
    with harm.program, connect(harm.patient) as client:
        harm.program.wait_wanted()
        (held,) = first.children()
        stop_impatiently(first, world)
        hatchd.file(service("next", listen=f"tcp:{harm.patient}", exec="/bin/cat"))
        assert talk(harm.patient, b"next") == b"next"
        os.kill(held, signal.SIGKILL)
        assert client.recv(1) == b""


def test_short_programs_are_never_paused(hatchd):
    """Whatever they exit with, but for the shell's "not found"."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell="read how; exit $how"))
    for status in (0, 1, 1, 2, 1, 1, 3, 125, 128, 255, 1, 1):
        assert talk(port, b"%d\n" % status) == b""
    assert "retrying" not in daemon.text()

    def paused():
        # A program that the machine lets wait does not die at once, and is not counted.
        assert talk(port, b"127\n") == b""
        return "s: the program dies at once, retrying in 100 ms" in daemon.text()

    wait_until(paused)


def test_stop_is_no_reason_to_pause(hatchd):
    """Children that are told to end die at once, and there is nothing to retry."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec="/bin/cat", stop="terminate")
    )
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(connect(port))
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        daemon.stop(leave=True)
    assert daemon.text().count("signal 15") == 8
    assert "retrying" not in daemon.text()
