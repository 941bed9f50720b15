"""notify = yes: who can send to the socket of a program, and what he gets by that."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess

import pytest

from harness import (
    PYTHON, connect, free_port, hatchctl, held_back, helper, wait_until,
)
from test_control import ask, listed, status
from test_notify import Program, connection, notifying

NOBODY = 65534


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.fixture
def start(hatchd, folder, path):
    """(daemon, program), which is ended when the test has not."""
    started = []
    with contextlib.ExitStack() as programs:

        def start(control=path, **options):
            port = free_port()
            daemon = hatchd.file(
                notifying("app", port, folder, **options), f"--control={control}")
            program = programs.enter_context(Program(port))
            assert program.do("pid")
            started.append((daemon, program))
            return daemon, program

        yield start
        for daemon, program in started:
            if daemon.children():
                program.end(daemon)


def state(path):
    return listed(path)[0]["state"]


def can_send(address, user=None):
    """Whether a process of that user, and of no session of a program's, can."""
    code = ("import socket, sys\n"
            "sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "sock.sendto(b'READY=1', sys.argv[1].replace('@', chr(0), 1))\n")
    done = subprocess.run([PYTHON, "-S", "-E", "-c", code, address], user=user,
                          stderr=subprocess.PIPE, check=False)
    return done.returncode == 0


# ---------------------------------------------------------------------------
# Where it is


def test_folder(start, path):
    """Beside the control socket, and only while it is needed."""
    daemon, program = start()
    name = pathlib.Path(program.do("name"))
    assert name.parent == path.parent / "control.notify"
    assert re.fullmatch("[0-9a-f]{16}", name.name)
    for place, root, other in ((name.parent, 0o711, 0o700), (name, 0o666, 0o600)):
        mode = stat.S_IMODE(place.stat().st_mode)
        assert mode == (other if os.geteuid() else root)
    program.say("READY=1")
    program.end(daemon)
    wait_until(lambda: not name.exists())
    assert name.parent.is_dir()
    daemon.stop()
    assert not name.parent.exists()


@pytest.mark.needs_root
def test_nobody_learns_its_name(start):
    """Who is told has it, whoever he is; what the kernel shows to all leads nowhere."""
    daemon, program = start()
    name = pathlib.Path(program.do("name"))
    done = subprocess.run(["ls", name.parent], user=NOBODY, stderr=subprocess.PIPE, check=False)
    assert b"Permission denied" in done.stderr
    shown = [line.split()[7] for line in pathlib.Path("/proc/net/unix").read_text().splitlines()
             if re.search("/[0-9a-f]{16}$", line)]
    assert shown and not any(name.name in s for s in shown)
    for place in shown:
        assert not can_send(place, NOBODY)
        assert not can_send(name.parent / pathlib.Path(place).name, NOBODY)
    assert can_send(name, NOBODY)
    daemon.wait_log("speaks for process")


def test_upgrade(start, path):
    """The next image removes it as well."""
    daemon, program = start()
    name = pathlib.Path(program.do("name"))
    assert hatchctl("upgrade", "-s", path).returncode == 0
    assert name.exists()
    program.say("READY=1")
    assert state(path) == "serving"
    program.end(daemon)
    wait_until(lambda: not name.exists())


def test_killed(hatchd, folder, path):
    """What is left goes with the next start, and what somebody listens at stays."""
    ports = [free_port(), free_port()]
    configs = [notifying("app", port, folder) for port in ports]
    first = hatchd.file(configs[0], f"--control={path}")
    with Program(ports[0]) as program:
        name = pathlib.Path(program.do("name"))
        other = name.with_name("0123456789abcdef")
        file = name.with_name("another")
        file.touch()
        first.signal(signal.SIGKILL)
        assert first.wait_end() == -signal.SIGKILL
        assert name.exists()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(other))
            second = hatchd.file(configs[1], f"--control={path}")
            assert sorted(name.parent.iterdir()) == [other, file]
        program.client.sendall(b"exit 0\n")
    with Program(ports[1]) as program:
        program.say("READY=1")
        assert state(path) == "serving"
        program.end(second)


def test_the_socket_ends_with_the_program(start):
    daemon, program = start()
    address = program.address()
    program.say("READY=1")
    program.end(daemon)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        wait_until(lambda: sock.connect_ex(address) != 0)


# ---------------------------------------------------------------------------
# Where no folder can be had


@pytest.mark.parametrize("why", ["long", "others", "no folder"])
def test_abstract(start, path, why):
    """Then it is one of the names that all can send to."""
    place = path.parent / ("x" * 50) if why == "long" else path.parent
    place.mkdir(0o755, parents=True)
    made = place / "control.notify"
    if why == "others":
        made.mkdir()
        made.chmod(0o755)
    elif why == "no folder":
        made.touch()
    daemon, program = start(place / "control")
    assert program.do("name").startswith("@hatchd/notify/")
    program.say("READY=1")
    assert state(place / "control") == "serving"
    program.end(daemon)


@pytest.mark.needs_root
def test_who_cannot_get_there(start, path):
    """The folder of the control socket may not be for every user."""
    path.parent.mkdir(0o750)
    daemon, program = start(user="nobody")
    assert program.do("name").startswith("@")
    program.say("READY=1")
    program.end(daemon)


@pytest.mark.needs_root
def test_chroot(start):
    """Nothing outside of it is there."""
    daemon, program = start(chroot="/")
    assert program.do("name").startswith("@")
    program.say("READY=1")
    program.end(daemon)


@pytest.mark.needs_root
def test_whoever_the_program_becomes(hatchd, folder, path):
    """In another root directory it is heard by a socket that it had before."""
    port = free_port()
    (folder / "root").mkdir()
    code = (
        "import os, socket\n"
        "name = os.environ['NOTIFY_SOCKET']\n"
        "listener = socket.socket(fileno=3)\n"
        "before = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "before.connect(name)\n"
        "os.setgid(65534)\n"
        "os.seteuid(65534)\n"
        "sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "sock.sendto(b'STATUS=another', name)\n"
        "os.seteuid(0)\n"
        f"os.chroot({str(folder / 'root')!r})\n"
        "os.chdir('/')\n"
        "os.setuid(65534)\n"
        "before.send(b'READY=1')\n"
        "listener.accept()[0].recv(1)\n"
    )
    daemon = hatchd.file(
        notifying("app", port, folder, user="root", exec=[PYTHON, "-c", code]),
        f"--control={path}")
    with connect(port):
        daemon.wait_log("app: process .* is ready after")
        assert listed(path)[0]["status"] == "another"
    daemon.wait_children(0)


# ---------------------------------------------------------------------------
# What harm strangers cannot do who know the name


@contextlib.contextmanager
def lingering(daemon, program, count, folder):
    """Somebody else, if root has the test another user, sends as many that take an hour:
    (his pid, a function that lets go of them).  What he has sent is read when the last copy is
    the one in there: or he would wait himself."""
    user = 65534 if os.geteuid() == 0 else None
    argv = [PYTHON, "-S", "-E", helper("stranger.py", folder), program.do("name"), str(count),
            "STATUS=lies"]
    with held_back(daemon):
        stranger = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    user=user, start_new_session=True)
        said = stranger.stdout.readline()
    with stranger:
        try:
            assert said == b"done\n"
            yield stranger.pid, stranger.stdin.close
        finally:
            stranger.kill()


def wait_full(daemon, pid):
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    daemon.wait_log(rf"app: process {pid} of user {user} has sent descriptors that take long "
                    r"to close: until one of 8 is closed nothing is heard of process \d+")


def test_stranger_that_lingers(start, folder, path):
    """He holds a thread by that, and nobody up."""
    daemon, program = start()
    with lingering(daemon, program, 7, folder):
        program.say("READY=1\\nSTATUS=true")
        assert (state(path), listed(path)[0]["status"]) == ("serving", "true")
        daemon.wait_log("speaks for process")
        program.end(daemon)


def test_strangers_that_linger(start, folder, path):
    """They hold up this one program, until one of them has enough of it."""
    daemon, program = start()
    with lingering(daemon, program, 9, folder) as (pid, release):
        program.do("say READY=1")
        wait_full(daemon, pid)
        assert state(path) == "starting"
        assert status(path)["state"] == "serving"
        release()
        daemon.wait_log("app: process .* is ready after")
    assert daemon.text().count("take long to close") == 1


def test_end_while_it_lingers(start, folder, path):
    """hatchd does not wait for that, and leaves nothing behind."""
    daemon, program = start()
    with lingering(daemon, program, 1, folder):
        program.say("READY=1")
        assert (path.parent / "control.notify").exists()
        program.end(daemon)
        daemon.stop(leave=True)
        assert not (path.parent / "control.notify").exists()


def test_next_program_after_strangers(hatchd, folder, path):
    """What is left of the one before is none of its."""
    port = free_port()
    daemon = hatchd.file(notifying("app", port, folder), f"--control={path}")
    with Program(port) as program:
        name = program.do("name")
        with lingering(daemon, program, 9, folder) as (pid, release):
            wait_full(daemon, pid)
            ask(path, f"kill {connection(path)['connection']}")
            daemon.wait_children(0)
            with Program(port) as other:
                assert other.do("name") != name
                other.say("READY=1")
                assert listed(path)[0]["state"] == "serving"
                other.end(daemon)
            release()
