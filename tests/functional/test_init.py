"""hatchd as process 1 of a container: who loses his parent, signals, and the end."""

import contextlib
import os
import pty
import signal
import socket
import subprocess

import pytest

from harness import (
    DEAF, PYTHON, Daemon, base_environment, connect, free_port, hatchctl, hatchd_command,
    is_refused, proc_children, proc_status, put, read_all, read_exactly, read_line, service,
    talk, wait_until,
)

pytestmark = pytest.mark.needs_root

# What is started by it is process 1 of a name space with a /proc that shows only that.
CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

# A program that leaves two behind it when it ends: one that ends at once, and one that
# waits until somebody opens the FIFO for writing.
LEAVES = "(:) & (read x <'{fifo}') >/dev/null & echo left"


class Container(Daemon):
    """A Daemon whose process is that of unshare(1), and which knows the two within."""

    def __init__(self, *args, **more):
        super().__init__(*args, launcher=CONTAINER, **more)
        (self.init,) = proc_children(self.pid)
        (self.hatchd,) = [
            pid for pid in proc_children(self.init) if proc_status(pid)["Name"] == "hatchd"]

    def send(self, number):
        """To process 1, as an engine does it."""
        os.kill(self.init, number)

    def ends(self, status=0):
        assert self.wait_end() == status, self.text()


@pytest.fixture
def container(folder):
    """container(config, ...): a hatchd as process 1."""
    if subprocess.run([*CONTAINER, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("name spaces of processes are not possible here")
    with contextlib.ExitStack() as stack:

        def start(config, *args, **more):
            daemon = Container(*args, config=config, folder=folder, **more)
            stack.callback(daemon.close)
            return daemon

        yield start


def cat(port, **options):
    return service("cat", listen=f"tcp:{port}", exec="/bin/cat", **options)


# ---------------------------------------------------------------------------


def test_orphans_are_reaped(container, folder):
    """No zombie stays, nobody's end is taken for another's, and none counts as a client."""
    port = free_port()
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o644)
    daemon = container(service("leaves", listen=f"tcp:{port}",
                               shell=LEAVES.format(fifo=fifo)))
    for _ in range(20):
        assert talk(port) == b"left\n"
    daemon.wait_log(r"leaves: child \d+ ended: exit 0, ", count=20)
    assert proc_children(daemon.hatchd) == []
    wait_until(lambda: len(proc_children(daemon.init)) == 21, what="20 who wait, and hatchd")
    os.close(os.open(fifo, os.O_WRONLY))
    wait_until(lambda: proc_children(daemon.init) == [daemon.hatchd], what="hatchd alone")
    daemon.send(signal.SIGTERM)
    daemon.ends()


def test_it_has_nothing_of_hatchd(container):
    """No socket stays open because process 1 has it."""
    daemon = container(cat(free_port()))
    assert set(os.listdir(f"/proc/{daemon.init}/fd")) == {"0", "1", "2"}
    assert proc_status(daemon.init)["Name"] == "hatchd-init"
    assert proc_status(daemon.hatchd)["NSpid"].split()[-1] == "2"


def test_signals_are_handed_on(container):
    port, other = free_port(), free_port()
    daemon = container(cat(port))
    daemon.send(signal.SIGUSR1)
    daemon.wait_log("state: services: 1")
    daemon.write(cat(other))
    daemon.send(signal.SIGHUP)
    daemon.wait_log("reloaded: ")
    assert talk(other, b"x") == b"x" and is_refused(port)
    daemon.send(signal.SIGUSR2)
    daemon.wait_log("upgraded to hatchd ")
    # Not one of those that hatchd knows, and its end by default.
    daemon.send(signal.SIGALRM)
    assert talk(other, b"x") == b"x"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_stop(container, name):
    daemon = container(cat(free_port()))
    daemon.send(getattr(signal, name))
    daemon.ends()
    assert daemon.text().endswith("hatchd: stopped")


def test_upgrade(container, folder):
    """Sockets and programs go on, in the same process."""
    port = free_port()
    path = folder / "run" / "control"
    daemon = container(cat(port), f"--control={path}")
    with connect(port) as client:
        client.sendall(b"before")
        assert read_exactly(client, 6) == b"before"
        done = hatchctl("upgrade", "-s", path)
        assert done.returncode == 0, done.stderr
        client.sendall(b"after")
        assert read_exactly(client, 5) == b"after"
    daemon.wait_log(r"cat: child \d+ ended: exit 0, ")
    wait_until(lambda: proc_children(daemon.init) == [daemon.hatchd])
    daemon.send(signal.SIGTERM)
    daemon.ends()


def test_sockets_that_are_handed_over(container):
    """Podman says that they are process 1's."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        daemon = container(
            service("cat", listen="fd:web", exec="/bin/cat"), pass_fds=(3,),
            preexec=lambda: os.dup2(sock.fileno(), 3, inheritable=True),
            env={"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "web"})
        assert talk(sock.getsockname()[1], b"x") == b"x"
        daemon.send(signal.SIGTERM)
        daemon.ends()


def test_what_the_service_manager_is_told(container):
    """It sees process 1, and who is number 2 where it is itself is not hatchd."""
    daemon = container(cat(free_port()), env={"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"})
    daemon.notified("WATCHDOG=1", 2)
    assert not any("MAINPID=" in message for message in daemon.messages)
    daemon.send(signal.SIGTERM)
    daemon.ends()


# ---------------------------------------------------------------------------
# The end


def test_who_is_left_is_told(container):
    """Programs would be killed with process 1: they have a moment to end by themselves."""
    port = free_port()
    shell = "trap 'echo bye; exit' TERM; echo hello; while :; do read x || :; done"
    daemon = container(service("s", listen=f"tcp:{port}", shell=shell))
    with connect(port) as client:
        assert read_line(client) == b"hello"
        daemon.send(signal.SIGTERM)
        assert read_all(client) == b"bye\n"
    daemon.ends()
    daemon.log.wait("stopped, leaving 1 child alive")


def test_who_does_not_go_is_killed(container):
    port = free_port()
    daemon = container(service("deaf", listen=f"tcp:{port}", shell=DEAF))
    with connect(port) as client:
        assert read_line(client) == b""
        daemon.send(signal.SIGTERM)
        daemon.ends()
        assert read_all(client) == b""


def test_drain(container):
    """With drain_timeout whoever is there is served to his end."""
    port = free_port()
    daemon = container("drain_timeout = 60s\n" + cat(port))
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        daemon.send(signal.SIGTERM)
        daemon.wait_log("draining: 1 connection")
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
    daemon.ends()
    daemon.log.wait("drained: nobody is left")


def test_hatchd_is_killed(container):
    """Its status is that of a shell, and who is left ends as well."""
    port = free_port()
    daemon = container(cat(port))
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        os.kill(daemon.hatchd, signal.SIGKILL)
        daemon.ends(128 + signal.SIGKILL)
        assert read_all(client) == b""
    daemon.log.wait(r"error: hatchd was ended by signal 9 \(Killed\)")


def run(*args):
    """Of one that ends by itself."""
    return subprocess.run(
        [*CONTAINER, *hatchd_command(*args)], env=base_environment(), timeout=20,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_status_of_hatchd(container, folder):
    assert run("-f", put(folder, "nonsense\n", "hatchd.conf")).returncode == 78
    port = free_port()
    daemon = Daemon("--once", "-l", port, "--shell", "exit 7", launcher=CONTAINER)
    try:
        talk(port)
        assert daemon.wait_end() == 7
    finally:
        daemon.close()


# An engine gives process 1 a terminal of its own, of which it leads the session.
LEADS = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_ctrl_c_is_heard_once(container):
    """Everybody in the foreground gets it; twice would be not to wait for children."""
    port = free_port()
    ours, theirs = pty.openpty()
    launcher = [*CONTAINER, PYTHON, "-c", LEADS]
    daemon = Daemon("-l", port, "--shell", DEAF, launcher=launcher, stdin=theirs)
    try:
        os.close(theirs)
        with connect(port) as client:
            assert read_line(client) == b""
            os.write(ours, b"\x03")
            daemon.wait_log("stopping, waiting for 1 child to end")
            # Process 1 takes its signals in the order of their numbers.
            (init,) = proc_children(daemon.pid)
            os.kill(init, signal.SIGUSR1)
            daemon.wait_log("state: ")
            client.sendall(b"alive")
            assert read_exactly(client, 5) == b"alive"
            os.write(ours, b"\x03")
            assert daemon.wait_end() == 0
    finally:
        os.close(ours)
        daemon.close()
