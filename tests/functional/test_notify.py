"""notify = yes: programs that say how they are, whom of them hatchd believes, and what harm
they cannot do.  What the words mean is tests/unit/test-notice's, and who gets at their socket
test_notify_socket's."""

import ctypes.util
import json
import re
import shutil
import socket

import pytest

from harness import (
    PYTHON, connect, free_port, hatchctl, held_back, helper, read_line, reload, service,
    wait_until,
)
from test_control import ask, dial, listed, status


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def notifying(name, port, folder, **options):
    """Without `exec` its program is helpers/notifier.py."""
    options.setdefault("exec", [PYTHON, "-S", "-E", helper("notifier.py", folder)])
    return service(name, listen=f"tcp:127.0.0.1:{port}", wait=True, pass_as="listen_fds",
                   notify=True, **options)


class Program:
    """The program that the first client has started, which does what it is told."""

    def __init__(self, port):
        self.client = connect(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def do(self, command):
        self.client.sendall(command.encode() + b"\n")
        return read_line(self.client).decode()

    def address(self):
        return self.do("name").replace("@", "\0", 1)

    def say(self, text):
        """And come back when it was heard."""
        assert self.do(f"say {text}") == "done"
        assert self.do("barrier") == "done"

    def end(self, daemon):
        self.client.sendall(b"exit 0\n")
        daemon.wait_children(0)


@pytest.fixture
def app(hatchd, folder, path):
    """(daemon, program, state): state() is the line of its service."""
    port = free_port()
    daemon = hatchd.file(notifying("app", port, folder), f"--control={path}")
    with Program(port) as program:
        assert program.do("pid")
        yield daemon, program, lambda: listed(path, "list app")[0]
        if daemon.children():
            program.end(daemon)


def connection(path):
    (line,) = [line for line in ask(path, "connections app") if "connection" in line]
    return line


# ---------------------------------------------------------------------------
# What it says


def test_ready(app, path):
    daemon, program, state = app
    assert state()["state"] == "starting"
    assert connection(path)["state"] == "starting"
    program.say("READY=1")
    pid = program.do("pid")
    assert daemon.wait_log(r"app: process (\d+) is ready after \d")[1] == pid
    assert state()["state"] == "serving"
    assert connection(path)["state"] == "running"
    assert "status" not in state()


def test_ready_is_an_event(hatchd, folder, path):
    port = free_port()
    daemon = hatchd.file(notifying("app", port, folder), f"--control={path}")
    with dial(path) as follower:
        follower.sendall(b"events app\n")
        assert json.loads(read_line(follower))["event"] == "begin"
        with Program(port) as program:
            program.say("READY=1")
            line = json.loads(read_line(follower))
            while line["event"] != "ready":
                line = json.loads(read_line(follower))
            assert line["service"] == "app"
            program.end(daemon)


def test_states(app, path):
    _, program, state = app
    program.say("READY=1")
    for text, word in [("RELOADING=1", "reloading"), ("READY=1", "serving"),
                       ("STOPPING=1\\nSTATUS=bye", "stopping")]:
        program.say(text)
        assert state()["state"] == word
    assert state()["status"] == "bye"
    assert connection(path)["state"] == "stopping"


def test_reloading_is_not_ready(app):
    daemon, program, state = app
    program.say("RELOADING=1")
    assert state()["state"] == "starting"
    program.say("READY=1\\nRELOADING=1")
    assert state()["state"] == "reloading"
    daemon.wait_log("is ready")


def test_status(app, path):
    daemon, program, state = app
    program.say("STATUS=Loading 3 of 10")
    assert state()["status"] == connection(path)["status"] == "Loading 3 of 10"
    done = hatchctl("list", "-s", path, "-o", "service,state,status")
    assert done.stdout.decode().splitlines()[1].split(None, 2) == [
        "app", "starting", "Loading 3 of 10"]
    done = hatchctl("status", "-s", path)
    assert re.search(r"^app +starting +Loading 3 of 10$", done.stdout.decode(), re.MULTILINE)
    done = hatchctl("connections", "-s", path, "-o", "service,status")
    assert "Loading 3 of 10" in done.stdout.decode()
    program.say(r"STATUS=\x1b[31m\x9b\xff" + "x" * 500)
    assert state()["status"] == "?[31m??" + "x" * 120
    program.say("STATUS=")
    assert "status" not in state()
    assert "\x1b" not in daemon.text()


def test_state_for_the_log(app):
    daemon, _, _ = app
    daemon.signal(10)  # SIGUSR1
    daemon.wait_log("app: starting, 1 child")


# ---------------------------------------------------------------------------
# Who is believed


def test_who_is_believed(app):
    """The program and its session, not who began his own."""
    daemon, program, state = app
    program.do("stranger READY=1\\nSTATUS=lies")
    program.do("stranger READY=1")
    assert state()["state"] == "starting" and "status" not in state()
    pid = program.do("pid")
    daemon.wait_log(rf"app: process \d+ speaks for process {pid} and is not of its session, "
                    "ignoring what it says")
    program.do("child STATUS=from a child")
    assert state()["status"] == "from a child"
    program.do("child READY=1")
    assert state()["state"] == "serving"
    assert daemon.text().count("speaks for") == 1


def test_nobody_else_is_believed(app):
    """Whoever knows the name; nor another program of the same service's."""
    daemon, program, state = app
    name = program.address()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"READY=1", name)
        daemon.wait_log("speaks for process")
        assert state()["state"] == "starting"
        program.say("READY=1")
        sock.sendto(b"STOPPING=1", name)
        program.do("barrier")
        assert state()["state"] == "serving"


# ---------------------------------------------------------------------------
# What harm it cannot do


def test_flood(app, path):
    """It is held up itself; nothing is lost, and operators are answered meanwhile."""
    daemon, program, state = app
    program.client.sendall(b"flood 1000 STATUS=again\n")
    assert status(path)["state"] == "serving"
    assert read_line(program.client) == b"done"
    program.say("READY=1")
    assert state()["state"] == "serving" and state()["status"] == "again"


def test_descriptors(app):
    """They are closed, however many there are."""
    daemon, program, state = app
    program.say("READY=1")
    before = daemon.count_fds()
    for count in (1, 16, 253):
        program.do(f"pass {count} STATUS={count}")
        program.do("barrier")
        assert state()["status"] == str(count)
    if before is not None:
        wait_until(lambda: daemon.count_fds() <= before)


def test_descriptor_that_lingers(app):
    """Its close may take a minute, and what is said meanwhile is heard."""
    daemon, program, state = app
    with held_back(daemon):
        program.do("linger STATUS=slow")
    program.say("READY=1")
    assert (state()["state"], state()["status"]) == ("serving", "slow")
    program.do("release")


def test_what_cannot_be_read(app):
    daemon, program, state = app
    for text in ("", r"READY=1\x00", r"\x00READY=1", "READY=1\\n" + "x" * 4096, "READY=1 ",
                 "ready=1", "READY", "=", r"\n\n\n"):
        program.do(f"say {text}")
    program.do("barrier")
    assert state()["state"] == "starting"
    program.say("READY=1\\n" + "x" * 4088)
    assert state()["state"] == "serving"


# ---------------------------------------------------------------------------
# Who does not become ready


def failing(folder, failure):
    """Shell text: that happens until there is a file `good`."""
    program = helper("notifier.py", folder)
    return f"test -e {folder}/good && exec {PYTHON} -S -E {program}; {failure}"


def repair(folder):
    (folder / "good").touch()


def paused(path):
    return wait_until(lambda: [s for s in listed(path) if s["state"] == "paused"])[0]


def test_ready_timeout(hatchd, folder, path):
    """It is ended, and tried again, since its client waits still."""
    port = free_port()
    daemon = hatchd.file(
        notifying("app", port, folder, exec=["/bin/sleep", "1000"], ready_timeout="200ms"),
        f"--control={path}")
    with Program(port):
        daemon.wait_log(r"app: process \d+ has not said READY=1 after \d+ ms "
                        r"\(ready_timeout\), ending it", count=2)
        assert paused(path)["reason"] == "the program ends before it is ready"
        daemon.wait_log(r"app: child \d+ ended: ready_timeout, signal 15 \(TERM\)", count=2)


def test_who_ends_before_it_is_ready(hatchd, folder, path):
    """Whatever its status is, it has not started; the pauses grow until one has."""
    port = free_port()
    daemon = hatchd.file(
        notifying("app", port, folder, exec=None, shell=failing(folder, "exit 0")),
        f"--control={path}")
    with Program(port) as program:
        daemon.wait_log(r"app: process \d+ ended before it said READY=1, retrying in 100 ms")
        wait_until(lambda: listed(path)[0].get("resumes_usec", 0) > 300000)
        repair(folder)
        program.say("READY=1")
        assert listed(path)[0]["state"] == "serving"
        program.end(daemon)


def test_who_ends_when_it_was_ready(app):
    """It has served, and the next client starts another one at once."""
    daemon, program, _ = app
    program.say("READY=1")
    program.end(daemon)
    assert "retrying" not in daemon.text()


def test_who_is_killed_by_an_operator(app, path):
    """Nobody is to blame for that."""
    daemon, program, _ = app
    ask(path, f"kill {connection(path)['connection']}")
    daemon.wait_children(0)
    assert "READY=1" not in daemon.text()


def test_extended(hatchd, folder, path):
    """What it asks for counts from then on."""
    port = free_port()
    daemon = hatchd.file(notifying("app", port, folder, ready_timeout="3s", kill_after="100ms"),
                         f"--control={path}")
    with Program(port) as program:
        program.say("EXTEND_TIMEOUT_USEC=60000000")
        born = connection(path)["age_usec"]
        wait_until(lambda: connection(path)["age_usec"] > max(born, 3200000))
        program.say("READY=1")
        assert "ready_timeout" not in daemon.text()
        program.end(daemon)


# ---------------------------------------------------------------------------
# Over a reload and an upgrade


def test_reload(app):
    daemon, program, state = app
    program.say("STATUS=before")
    reload(daemon)
    assert (state()["state"], state()["status"]) == ("starting", "before")
    program.say("READY=1")
    assert state()["state"] == "serving"


def test_upgrade(app, path):
    """It goes on from where it was, as often as one likes."""
    daemon, program, state = app

    def upgrade():
        done = hatchctl("upgrade", "-s", path)
        assert done.returncode == 0, done

    program.say("STATUS=before")
    upgrade()
    assert (state()["state"], state()["status"]) == ("starting", "before")
    program.do("stranger READY=1")
    assert state()["state"] == "starting"
    program.say("READY=1")
    assert state()["state"] == "serving"
    program.say("RELOADING=1\\nSTATUS=between")
    upgrade()
    assert (state()["state"], state()["status"]) == ("reloading", "between")
    program.say("READY=1\\nSTATUS=")
    assert state()["state"] == "serving" and "status" not in state()


def test_upgrade_keeps_the_time(hatchd, folder, path):
    """It does not begin anew: not so long after the upgrade, however late the machine is."""
    port = free_port()
    daemon = hatchd.file(
        notifying("app", port, folder, exec=["/bin/sleep", "1000"], ready_timeout="3s"),
        f"--control={path}")
    with connect(port):
        daemon.wait_children(1)
        age = wait_until(lambda: [n for n in [connection(path)["age_usec"]] if n > 2000000])[0]
        assert hatchctl("upgrade", "-s", path).returncode == 0
        said = daemon.wait_log(r"has not said READY=1 after ([\d.]+) s \(ready_timeout\)")
        assert 3 <= float(said[1]) < age / 1e6 + 3
        reload(daemon, notifying("app", port, folder, disable=True))
    daemon.wait_children(0)


def test_reload_that_ends_it(app, folder):
    """It is told to end because it is to be another one: it has not failed to start."""
    daemon, program, state = app
    (address,) = state()["addresses"]
    port = int(address["address"].rsplit(":", 1)[1])
    reload(daemon, notifying("app", port, folder, instances=7))
    daemon.wait_children(0)
    daemon.wait_log("app: child .* ended: signal 15")
    assert "READY=1" not in daemon.text() and state()["state"] == "serving"


def test_take_over(hatchd, folder, path):
    """Each hatchd listens to the program that it has started."""
    port = free_port()
    config = notifying("app", port, folder)
    old = hatchd.file(config, f"--control={path}")
    with Program(port) as first:
        first.say("READY=1\\nSTATUS=first")
        hatchd.file(config, f"--control={path}", f"--take-over={path}")
        assert old.wait_end() == 0
    with Program(port) as second:
        second.do("pid")
        (line,) = listed(path)
        assert (line["state"], line.get("status")) == ("starting", None)
        second.say("READY=1")
        assert listed(path)[0]["state"] == "serving"
        second.client.sendall(b"exit 0\n")


# ---------------------------------------------------------------------------
# With the real ones


def test_systemd_notify(hatchd, folder, path):
    """Run by a shell, which is of the session, and gone before it is heard of."""
    tool = shutil.which("systemd-notify")
    if not tool:
        pytest.skip("systemd-notify is not installed")
    port = free_port()
    program = helper("notifier.py", folder)
    daemon = hatchd.file(
        notifying("app", port, folder, exec=None,
                  shell=f"{tool} --status='All is well' --ready && "
                        f"exec {PYTHON} -S -E {program}"), f"--control={path}")
    with Program(port) as program:
        program.do("barrier")
        daemon.wait_log("app: process .* is ready after")
        assert (listed(path)[0]["state"], listed(path)[0]["status"]) == (
            "serving", "All is well")
        program.end(daemon)


def test_libsystemd(hatchd, folder, path):
    """sd_notify() and sd_notify_barrier() themselves, without their header."""
    library = ctypes.util.find_library("systemd")
    if not library:
        pytest.skip("libsystemd is not installed")
    port = free_port()
    code = (
        "import ctypes, time, socket\n"
        f"lib = ctypes.CDLL({library!r})\n"
        "assert lib.sd_notify(0, b'STATUS=from libsystemd\\nREADY=1') > 0\n"
        "assert lib.sd_notify_barrier(0, ctypes.c_uint64(20000000)) > 0\n"
        "client = socket.socket(fileno=3).accept()[0]\n"
        "client.sendall(b'heard')\n"
        "client.recv(1)\n"
    )
    daemon = hatchd.file(notifying("app", port, folder, exec=[PYTHON, "-c", code]),
                         f"--control={path}")
    with connect(port) as client:
        assert client.recv(9) == b"heard"
        assert listed(path)[0]["status"] == "from libsystemd"
        assert listed(path)[0]["state"] == "serving"
    daemon.wait_children(0)
