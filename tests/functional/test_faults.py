"""What goes wrong elsewhere stays there: children, clients, limits, the log."""

import contextlib
import os
import re
import resource
import select
import signal
import socket
import subprocess

import pytest

from harness import (
    PYTHON, Daemon, Probe, connect, free_port, helper, is_refused, libc, proc_stat,
    proc_status, read_all, read_exactly, read_line, service, talk, wait_until,
)

needs_root = pytest.mark.needs_root


def python(text):
    return [PYTHON, "-S", "-E", "-c", text]


def with_echo(config, **more):
    """A second service that has to work all the time: (config, port)."""
    port = free_port()
    return config + service("echo", listen=f"tcp:{port}", exec="/bin/cat", **more), port


# -- children


def test_child_that_writes_to_every_descriptor(hatchd):
    """It has no way to the master, so the master does not notice."""
    port = free_port()
    garbage = (
        "import os\n"
        "for fd in range(1024):\n"
        "    try: os.write(fd, b'\\0\\xff' * 100)\n"
        "    except OSError: pass\n"
    )
    config, echo = with_echo(service("s", listen=f"tcp:{port}", exec=python(garbage)))
    hatchd.file(config)
    with connect(port) as client:
        assert read_all(client) == b"\0\xff" * 200  # descriptors 0 and 1
    assert talk(echo, b"served") == b"served"


@pytest.mark.parametrize("how", ["kill -KILL 0", "kill -TERM -1 2>/dev/null; kill -KILL $$"])
def test_child_that_kills_all_it_may(hatchd, how):
    """Its process group is its own, and its user has nothing to say to hatchd."""
    port = free_port()
    # A user of its own: with -1 it is everybody of this user who gets the signal.
    user = {"user": 54321, "group": 54321} if os.geteuid() == 0 else {}
    if not user and "-1" in how:
        pytest.skip("needs root, for a user with nothing else to lose")
    config, echo = with_echo(service("s", listen=f"tcp:{port}", shell=how, **user))
    hatchd.file(config)
    assert talk(port) == b""
    assert talk(echo, b"served") == b"served"


def test_child_that_stops_itself(hatchd):
    port = free_port()
    config, echo = with_echo(
        service("s", listen=f"tcp:{port}", shell="echo hello; kill -STOP $$; echo again")
    )
    daemon = hatchd.file(config)
    with connect(port) as client:
        assert read_line(client) == b"hello"
        (child,) = daemon.children()
        wait_until(lambda: proc_stat(child)[0] == "T")
        assert talk(echo, b"served") == b"served"
        assert child in daemon.children(), "stopped is not ended"
        os.kill(child, signal.SIGCONT)
        assert read_line(client) == b"again"


def test_child_that_leaves_somebody_behind(hatchd):
    """A grandchild holds the connection; hatchd does not."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell="(read x; echo late) <&1 & echo early")
    )
    with connect(port) as client:
        assert read_line(client) == b"early"
        daemon.wait_log("ended: exit 0")
        client.sendall(b"go\n")
        assert read_all(client) == b"late\n"


def test_child_that_makes_its_close_wait(hatchd):
    """SO_LINGER belongs to the socket that hatchd closes as well: it must not wait there."""
    port = free_port()
    linger = (
        "import socket, struct\n"
        "s = socket.socket(fileno=1)\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 60))\n"
        "s.setblocking(False)\n"
        "try:\n"
        "    while True: s.send(bytes(65536))\n"
        "except BlockingIOError: pass\n"
        "import os; os.kill(os.getpid(), 9)\n"
    )
    config, echo = with_echo(service("s", listen=f"tcp:{port}", exec=python(linger)))
    hatchd.file(config)
    with connect(port):
        for _ in range(50):
            assert talk(echo, b"served", timeout=5) == b"served"


def test_deaths_of_many_at_once(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec="/bin/cat", per_source="unlimited")
    )
    clients = [connect(port) for _ in range(300)]
    children = daemon.wait_children(300)
    # Each of them is cat(1) when it answers; before, it would be a start that has failed.
    for client in clients:
        client.sendall(b"x")
    for client in clients:
        assert read_exactly(client, 1) == b"x"
    for child in children:
        os.kill(child, signal.SIGKILL)
    daemon.wait_log(r"ended: signal 9 \(KILL\)", count=300)
    daemon.wait_children(0)
    for client in clients:
        client.close()


# -- clients


def test_clients_that_never_read_or_write(hatchd):
    """Each costs a child, and nobody else's time."""
    port = free_port()
    config, echo = with_echo(service("yes", listen=f"tcp:{port}", exec="/usr/bin/yes"))
    daemon = hatchd.file(config)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(port))
        daemon.wait_children(20)
        before = daemon.cpu()
        for number in range(50):
            assert talk(echo, b"%d" % number) == b"%d" % number
        assert daemon.cpu() - before < 1


def test_flood_of_datagrams_for_a_waiting_child(hatchd):
    """While the child lives, hatchd looks away; the kernel drops what is too much."""
    port = free_port()
    program = python("import socket; s = socket.socket(fileno=0); s.recv(9); s.recv(9)\n"
                     "import signal; signal.pause()")
    config, echo = with_echo(service("s", listen=f"udp:{port}", wait=True, exec=program))
    daemon = hatchd.file(config)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.send(b"first")
        (child,) = daemon.wait_children(1)
        before = daemon.cpu()
        for _ in range(20000):
            client.send(b"flood")
        assert daemon.cpu() - before < 0.05
        assert talk(echo, b"served") == b"served"
    os.kill(child, signal.SIGKILL)
    daemon.wait_log("signal 9")
    daemon.stop(leave=True)  # the flood has started another child


# -- what the machine has too little of


def test_few_descriptors(hatchd):
    """Nobody is refused: who finds no place waits in the queue, and hatchd waits as well."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell="echo hello; cat > /dev/null",
                instances="unlimited", per_source="unlimited"),
        preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
    )
    clients = [connect(port) for _ in range(200)]
    before = daemon.cpu()
    select.select([], [], [], 0.5)  # the period observed
    assert daemon.cpu() - before < 0.2
    assert 10 < len(daemon.children()) < 200
    for client in clients:  # in the order of their arrival
        assert read_line(client) == b"hello"
        client.close()
    daemon.wait_children(0)
    assert talk(port) == b"hello\n"


PR_CAPBSET_DROP = 24
CAP_SYS_RESOURCE = 24


def only_descriptors(count, may_raise=False):
    """preexec: a hard limit, which a hatchd of root could raise otherwise."""

    def prepare():
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
        if not may_raise:
            libc.prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0)

    return prepare


def test_no_descriptors_at_all(folder):
    """Said, not tried: what is needed, and what there is."""
    config = service("s", listen=f"tcp:{free_port()}", exec="/bin/cat")
    daemon = Daemon(config=config, folder=folder, preexec=only_descriptors(64), ready=False)
    assert daemon.wait_end() == 1
    lines = daemon.text().split("\n")
    daemon.close()
    said = "unable to start: 1 service needs ([0-9]+) descriptors, the limit .* is 64; raise "
    assert len(lines) == 1 and int(re.search(said, lines[0])[1]) > 64


@pytest.fixture
def may_raise_limits():
    if not int(proc_status(os.getpid())["CapEff"], 16) & 1 << CAP_SYS_RESOURCE:
        pytest.skip("hard limits may not be raised here (CAP_SYS_RESOURCE)")


@needs_root
def test_hard_limit_is_raised_where_it_has_to_be(hatchd, may_raise_limits):
    """By root, for itself: children get back what hatchd was started with."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec=helper("probe", hatchd.folder)),
        preexec=only_descriptors(64, may_raise=True),
    )
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1] > 64
    assert Probe(talk(port)).limits["nofile"] == (64, 64)


@needs_root
def test_hard_limit_is_raised_for_total_instances(hatchd, may_raise_limits):
    """A number that somebody has asked for is to be possible."""
    daemon = hatchd.file(
        "total_instances = 3000\n"
        + service("s", listen=f"tcp:{free_port()}", exec="/bin/cat"),
        preexec=only_descriptors(2000, may_raise=True),
    )
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1] > 3000


# -- addresses


def test_busy_port_is_a_condition_of_its_service_alone(hatchd):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        config, echo = with_echo(
            service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat")
        )
        daemon = hatchd.file(config)
        daemon.wait_log(
            f"s: waiting: unable to bind tcp:127.0.0.1:{port}: somebody listens there"
        )
        assert talk(echo, b"served") == b"served"


@needs_root
def test_address_that_goes_and_comes(hatchd):
    port = free_port()
    add = ["ip", "address", "add", "192.0.2.9/32", "dev", "lo"]
    remove = ["ip", "address", "del", "192.0.2.9/32", "dev", "lo"]
    subprocess.run(add, check=True)
    try:
        hatchd.file(service("s", listen=f"tcp:192.0.2.9:{port}", exec="/bin/cat"))
        assert talk(f"tcp:192.0.2.9:{port}", b"here") == b"here"
        subprocess.run(remove, check=True)
        subprocess.run(add, check=True)
        assert talk(f"tcp:192.0.2.9:{port}", b"again") == b"again"
    finally:
        subprocess.run(remove, check=False)


def test_killed_hatchd_leaves_its_port_free(hatchd, folder):
    """Children live on and hold no listener: the next hatchd serves at once."""
    port = free_port()
    config = service("s", listen=f"tcp:{port}", exec="/bin/cat")
    first = Daemon(config=config, folder=folder)
    with connect(port) as old:
        old.sendall(b"x")
        assert old.recv(1) == b"x"
        (child,) = first.children()
        first.signal(signal.SIGKILL)
        assert first.wait_end() == -signal.SIGKILL
        assert is_refused(port)
        hatchd.file(config)
        assert talk(port, b"new") == b"new"
        old.sendall(b"old")
        assert read_exactly(old, 3) == b"old"
    first.close()


def test_sockets_of_somebody_else(hatchd):
    """LISTEN_PID names another process: these descriptors are not ours, and are closed."""
    port = free_port()
    read_end, write_end = os.pipe()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec=helper("probe", hatchd.folder)),
        env={"LISTEN_PID": "1", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"},
        pass_fds=[write_end],
    )
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == b"", "nobody holds the other end any more"
    assert b"env LISTEN" not in talk(port)
    assert "handed-over" not in daemon.text()


# -- the log


@pytest.mark.parametrize("path", ["/dev/full", "/dev/null"])
def test_log_that_takes_nothing(folder, path):
    port = free_port()
    with open(path, "wb") as log:
        config = service("s", listen=f"tcp:{port}", exec="/bin/cat", stderr="null")
        with Daemon(config=config, folder=folder, stderr=log):
            for _ in range(20):
                assert talk(port, b"x") == b"x"


def test_log_on_a_terminal_that_goes_away(folder):
    port = free_port()
    primary, secondary = os.openpty()
    config = service("s", listen=f"tcp:{port}", exec="/bin/cat")
    with Daemon(config=config, folder=folder, stderr=secondary):
        os.close(secondary)
        assert b"ready: " in os.read(primary, 1000)
        os.close(primary)
        for _ in range(20):
            assert talk(port, b"x") == b"x"


def test_terminal_is_left_as_it_was(folder):
    """The log does not block, but a terminal shared with the caller stays blocking."""
    primary, secondary = os.openpty()
    config = service("s", listen=f"tcp:{free_port()}", exec="/bin/cat")
    with Daemon(config=config, folder=folder, stderr=secondary):
        assert os.get_blocking(secondary)
    assert os.get_blocking(secondary)
    os.close(primary)
    os.close(secondary)


# -- signals


def test_signals_while_clients_come(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat"))
    for number in range(100):
        daemon.signal(signal.SIGHUP if number % 2 else signal.SIGCHLD)
        assert talk(port, b"x") == b"x"


def test_stop_while_starting(folder):
    """TERM before READY=1: it ends, with or without having served."""
    for _ in range(5):
        daemon = Daemon(
            config="".join(
                service(f"s{port}", listen=f"tcp4:127.0.0.1:{port}", exec="/bin/cat")
                for port in (free_port() for _ in range(50))
            ),
            folder=folder,
            ready=False,
        )
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_end() in (0, -signal.SIGTERM)
        daemon.close()


def test_stop_under_load(hatchd):
    """Every client gets an answer or is refused; hatchd ends with 0."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat"))
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            while talk(port, b"x") in (b"x", b""):
                pass
        os._exit(0)
    wait_until(lambda: daemon.log.text().count("ended") > 20)
    daemon.stop(leave=True)
    assert os.waitpid(pid, 0)[1] == 0
