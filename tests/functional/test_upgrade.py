"""hatchctl upgrade and SIGUSR2: another image of hatchd in the place of the one that runs."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import select
import signal
import socket
import struct
import subprocess

import pytest

from harness import (
    HATCHCTL, PYTHON, TIMEOUT, children_named, comes_in, connect, free_port, hatchctl,
    is_refused, listed, proc_stat, put, read_all, read_exactly, run_hatchd, service, stanza,
    talk, wait_until,
)
from keeper import HAND_OVER
from held import Lease
from stub_control import StubControl
from test_control import ask, dial, status
from test_take_over import ASK
from upgrades import Installed

VERSION = hatchctl("--version").stdout.decode().split()[1]


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def cat(name="cat", **options):
    return service(name, **{"exec": "/bin/cat", **options})


def upgrade(path):
    done = hatchctl("upgrade", "-s", path)
    assert (done.returncode, done.stdout, done.stderr) == (
        0, f"upgraded to hatchd {VERSION}\n".encode(), b"")


def echo(client, data):
    client.sendall(data)
    assert read_exactly(client, len(data)) == data


# ---------------------------------------------------------------------------
# What stays


def test_sockets_and_children(hatchd, path):
    """The same process, with the same sockets and children, which it reaps and records."""
    port = free_port()
    daemon = hatchd.file(cat(listen=f"tcp:{port}"), f"--control={path}")
    sockets = set(daemon.listening())
    with connect(port) as client:
        echo(client, b"before")
        (child,) = daemon.wait_children(1)
        for _ in range(3):
            upgrade(path)
            assert set(daemon.listening()) == sockets
            echo(client, b"after")
            assert talk(port, b"another") == b"another"
            assert [line["pid"] for line in connections(path)] == [child]
    daemon.wait_log(f"cat: child {child} ended: exit 0, .*, from 127.0.0.1:")
    daemon.wait_children(0)
    facts = status(path)
    assert facts["pid"] == daemon.pid and facts["connections"] == 4
    assert facts["upgrade"] == {"running": False, "done": 3, "failed": 0}


def connections(path):
    return json.loads(hatchctl("connections", "--json", "-s", path).stdout)["connections"]


def test_signal(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat(listen=f"tcp:{port}"))
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log(f"upgraded to hatchd {VERSION}, 0 children living on")
    assert talk(port, b"x") == b"x"
    assert pathlib.Path(f"/proc/{daemon.pid}/comm").read_text() == "hatchd\n"


def test_kinds_of_sockets(hatchd, path, folder):
    """Also those in the file system, whose path stays and is removed at the end."""
    port = free_port()
    plain, linked = folder / "s", folder / "link"
    addresses = [f"tcp:{port}", f"tcp4:127.0.0.1:{free_port()}", f"unix:{plain}",
                 f"unix:@upgrade-{port}"]
    daemon = hatchd.file(
        cat(listen=addresses)
        + cat("links", listen=f"unix:{folder}/linked", symlinks=linked)
        + service("peers", listen=f"unix-dgram:{folder}/d", exec="/bin/cat"),
        f"--control={path}")
    sockets = set(daemon.listening())
    inode = os.stat(plain).st_ino
    upgrade(path)
    assert set(daemon.listening()) == sockets and os.stat(plain).st_ino == inode
    for address in addresses + [f"unix:{linked}"]:
        assert talk(address, b"x") == b"x"
    daemon.stop()
    assert not plain.exists() and not linked.is_symlink()


def test_any_port(hatchd, path):
    """It was chosen once."""
    daemon = hatchd.file(cat(listen=["tcp:127.0.0.1:0", "tcp:127.0.0.1:0"]),
                         f"--control={path}")
    before = listed(path)["cat"]["addresses"]
    upgrade(path)
    assert listed(path)["cat"]["addresses"] == before
    assert daemon.process.poll() is None


def test_wait(hatchd, path, folder):
    """A child that has the socket itself has it on, and nobody else looks at it."""
    program = put(folder, "import os, socket\n"
                          "s = socket.socket(fileno=0)\n"
                          "while True:\n"
                          "    with s.accept()[0] as client:\n"
                          "        client.sendall(b'%d' % os.getpid())\n", "taker.py")
    port = free_port()
    daemon = hatchd.file(service("taker", listen=f"tcp:{port}", exec=[PYTHON, program],
                                 wait=True), f"--control={path}")
    pid = int(talk(port))
    upgrade(path)
    assert int(talk(port)) == pid
    assert daemon.wait_children(1) == [pid]
    os.kill(pid, signal.SIGTERM)
    daemon.wait_log(f"taker: child {pid} ended: signal 15")
    assert int(talk(port)) != pid
    daemon.stop(leave=True)


def test_files_are_read_again(hatchd, path):
    """New services come, old ones go, and children live on with what they were started with."""
    ports = [free_port() for _ in range(3)]
    daemon = hatchd.file(
        cat("stays", listen=f"tcp:{ports[0]}", time_limit="1h")
        + cat("goes", listen=f"tcp:{ports[1]}"), f"--control={path}")
    with connect(ports[0]) as stays, connect(ports[1]) as goes:
        echo(stays, b"x")
        echo(goes, b"x")
        daemon.write(cat("stays", listen=f"tcp:{ports[0]}", instances=7)
                     + cat("new", listen=f"tcp:{ports[2]}"))
        upgrade(path)
        assert is_refused(f"tcp:127.0.0.1:{ports[1]}")
        assert talk(ports[2], b"x") == b"x"
        assert listed(path)["stays"]["instances"] == 7
        assert status(path)["removed"] == 1
        for client in (stays, goes):
            echo(client, b"y")
        # And once more: who is configured no longer is known all the same.
        upgrade(path)
        echo(goes, b"z")
    daemon.wait_log("goes: child [0-9]+ ended: exit 0")
    daemon.wait_log("stays: child [0-9]+ ended: exit 0")
    wait_until(lambda: status(path)["removed"] == 0)


def test_limits(hatchd, path):
    """Who is there counts, who is banned is, and what a rate has left is left."""
    ports = [free_port() for _ in range(3)]
    hatchd.file(
        cat("few", listen=f"tcp:{ports[0]}", per_source=1)
        + cat("slow", listen=f"tcp:{ports[1]}", per_source_rate="1/1h")
        + service("trap", listen=f"tcp:{ports[2]}", sensor=True, overflow_source="ban 1h"),
        f"--control={path}")
    assert not comes_in(ports[2], "127.0.0.5")
    hatchctl("ban", "127.0.0.6", "-s", path)
    with connect(ports[0]) as client:
        echo(client, b"x")
        assert talk(ports[1], b"x") == b"x"
        for _ in range(2):
            upgrade(path)
            assert talk(ports[0]) == b"" and talk(ports[1]) == b""
            for source in ("127.0.0.5", "127.0.0.6"):
                assert not comes_in(ports[0], source)
            assert talk(ports[0], b"x", source="127.0.0.7") == b"x"
    wait_until(lambda: not connections(path))
    assert talk(ports[0], b"x") == b"x"


def test_what_an_operator_has_set(hatchd, path):
    ports = [free_port(), free_port()]
    hatchd.file(cat("a", listen=f"tcp:{ports[0]}") + cat("b", listen=f"tcp:{ports[1]}"),
                f"--control={path}")
    hatchctl("disable", "a", "-s", path)
    hatchctl("set", "b", "instances", "3", "-s", path)
    upgrade(path)
    assert is_refused(f"tcp:127.0.0.1:{ports[0]}")
    assert listed(path)["a"]["state"] == "disabled"
    assert listed(path)["b"]["instances"] == 3
    hatchctl("enable", "a", "-s", path)
    assert talk(ports[0], b"x") == b"x"
    hatchctl("reload", "-s", path)
    assert listed(path)["b"]["instances"] != 3


def test_who_is_served_by_a_worker(hatchd, path):
    """It goes on with him, and the next one is another's."""
    ports = [free_port() for _ in range(3)]
    daemon = hatchd.file(
        stanza("service", "echo", listen=f"tcp:{ports[0]}", builtin="echo")
        + stanza("service", "on", listen=f"tcp:{ports[1]}",
                 redirect=f"tcp:127.0.0.1:{ports[2]}")
        + cat(listen=f"tcp:{ports[2]}"), f"--control={path}")
    with connect(ports[0]) as first, connect(ports[1]) as second:
        for client in (first, second):
            echo(client, b"before")
        for _ in range(2):
            upgrade(path)
            for client in (first, second):
                echo(client, b"after")
            assert talk(ports[0], b"x") == talk(ports[1], b"x") == b"x"
        second.shutdown(socket.SHUT_WR)
        assert read_all(second) == b""
    daemon.wait_log("cat: child [0-9]+ ended: exit 0", count=3)


def test_sockets_of_the_service_manager(hatchd, path):
    with socket.socket() as given, socket.socket() as other:
        for sock in (given, other):
            sock.bind(("127.0.0.1", 0))
            sock.listen()
        fds = [given.fileno(), other.fileno()]
        launcher = [PYTHON, "-c", HAND_OVER, "0", "given:other", ",".join(map(str, fds))]
        daemon = hatchd.file(cat(listen=["fd:given", "fd:other"]), f"--control={path}",
                             launcher=launcher, pass_fds=fds)
        for _ in range(2):
            upgrade(path)
            for sock in (given, other):
                assert talk(sock.getsockname()[1], b"x") == b"x"
        daemon.write(cat(listen="fd:given"))
        upgrade(path)
        assert talk(given.getsockname()[1], b"x") == b"x"


def test_pid_file(hatchd, path, folder):
    """It is locked all the time, and removed at the end."""
    pid_file = folder / "pid"
    daemon = hatchd.file(cat(listen=f"tcp:{free_port()}"), f"--control={path}",
                         f"--pid-file={pid_file}")
    upgrade(path)
    assert pid_file.read_text() == f"{daemon.pid}\n"
    again = run_hatchd("-f", daemon.config_path, "--control=none", f"--pid-file={pid_file}")
    assert again.returncode == 1
    assert f"already running as process {daemon.pid}" in again.stderr
    daemon.stop()
    assert not pid_file.exists()


def test_programs_get_what_hatchd_was_started_with(hatchd, path):
    """And not what it has made of that for itself."""
    port = free_port()
    daemon = hatchd.file(
        service("limits", listen=f"tcp:{port}",
                shell="ulimit -Hn; ulimit -Sn; ulimit -Hc; ulimit -Sc; pwd; umask; "
                      "ls /proc/self/fd | wc -l; "
                      "env | sort | grep -v -e CONNECTION -e REMOTE | "
                      # Its last part is the child itself.
                      "sed 's/^\\(HATCHD_MASTER=.*\\)-.*/\\1/'"),
        f"--control={path}")
    before = talk(port)
    upgrade(path)
    assert talk(port) == before
    assert daemon.process.poll() is None


def test_nothing_is_left_behind(hatchd, path):
    """Descriptors, maps, children and timers are as they were."""
    port = free_port()
    daemon = hatchd.file(
        cat(listen=f"tcp:{port}", idle_timeout="1h", account_bytes=True)
        + stanza("service", "echo", listen=f"tcp:{free_port()}", builtin="echo"),
        f"--control={path}")

    def count():
        wait_until(lambda: not daemon.children() or settled())
        return (len(daemon.fds()),
                len(pathlib.Path(f"/proc/{daemon.pid}/maps").read_text().splitlines()))

    def settled():
        return all(proc_stat(pid) is not None for pid in daemon.children())

    assert talk(port, b"x") == b"x"
    upgrade(path)
    assert talk(port, b"x") == b"x"
    before = count()
    for _ in range(10):
        upgrade(path)
        assert talk(port, b"x") == b"x"
    after = count()
    assert abs(after[0] - before[0]) <= 2 and abs(after[1] - before[1]) <= 4
    # Whoever wrote the log for the images before has ended with them.
    wait_until(lambda: len(children_named(daemon.pid, "hatchd-log")) <= 1)


# ---------------------------------------------------------------------------
# What is no upgrade


def test_adhoc(hatchd):
    """There is no configuration to go on with."""
    port = free_port()
    daemon = hatchd.adhoc("-l", str(port), "--", "/bin/cat")
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("unable to upgrade: there is no configuration to go on with, serving on")
    assert talk(port, b"x") == b"x"


def test_mistakes(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat(listen=f"tcp:{port}"), f"--control={path}")
    daemon.write("service nonsense { }\n")
    done = hatchctl("upgrade", "-s", path)
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"hatchctl: not upgraded: hatchd {VERSION} refuses the configuration\n")
    daemon.wait_log(f"error: unable to upgrade: hatchd {VERSION} refuses the configuration, "
                    f"serving on as hatchd {VERSION}")
    assert talk(port, b"x") == b"x"
    assert status(path)["upgrade"]["failed"] == 1
    daemon.write(cat(listen=f"tcp:{port}"))
    upgrade(path)


def test_nobody_is_there(path):
    done = hatchctl("upgrade", "-s", path)
    assert done.returncode == 1 and b"no such file" in done.stderr.lower()


def handover_of(pid):
    """What begins as a handover of that process; the rest of it is damaged."""
    return b"hatchd life" + struct.pack("<IIQQ", 1, pid, 0, 0)


@contextlib.contextmanager
def at_number(number, fd):
    """A descriptor where a program that gets it will find it."""
    os.dup2(fd, number)
    os.close(fd)
    yield number
    os.close(number)


def memory_with(data, seals=15):
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


IGNORED = "warning: ignoring HATCHD_HANDOVER of the environment"


def test_a_variable_of_somebody_else(hatchd):
    """Is nobody's handover."""
    port = free_port()
    for value in ("", "x", "5", "5,6", "999999,-1", "0,1", "-1,-1"):
        daemon = hatchd.file(cat(listen=f"tcp:{port}"), env={"HATCHD_HANDOVER": value})
        daemon.wait_log(IGNORED)
        assert talk(port, b"x") == b"x"
        daemon.stop()


@pytest.mark.parametrize("number", [100, -1])
@pytest.mark.parametrize("make", [
    lambda: os.open("/dev/null", os.O_RDONLY),
    lambda: memory_with(handover_of(1)),
    lambda: memory_with(handover_of(1)[:20]),
    lambda: memory_with(b"something else" * 10),
    lambda: memory_with(handover_of(1), seals=0),
], ids=["no memory", "of another process", "too short", "something else", "not sealed"])
def test_descriptor_of_somebody_else(hatchd, number, make):
    """It is not believed, and what is said to be a program not executed."""
    port = free_port()
    with at_number(101, make()) as state, \
            at_number(100, os.open("/bin/false", os.O_PATH)) as program:
        daemon = hatchd.file(cat(listen=f"tcp:{port}"), pass_fds=(state, program),
                             env={"HATCHD_HANDOVER": f"{state},{number}"})
    daemon.wait_log(IGNORED)
    assert talk(port, b"x") == b"x"
    daemon.stop()


def test_reload_in_between(hatchd, path):
    """One that is asked for meanwhile is done."""
    port = free_port()
    daemon = hatchd.file(cat(listen=f"tcp:{port}"), f"--control={path}")
    for number in range(5):
        daemon.write(cat(listen=f"tcp:{port}", instances=10 + number))
        daemon.signal(signal.SIGUSR2)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("upgraded to", count=number + 1)
        wait_until(lambda: listed(path)["cat"]["instances"] == 10 + number)
        assert talk(port, b"x") == b"x"
    assert re.search("reloaded: ", daemon.text())


class Held:
    """An upgrade stops when the files have been read, at a pipe that nobody writes to."""

    LOADER = ("#!/bin/sh\n"
              "case $* in *--in-force-fd*) exec {real} \"$@\";; esac\n"
              "{real} \"$@\"\n"
              "ended=$?\n"
              "test ! -p {pipe} || read nothing <{pipe}\n"
              "exit $ended\n")

    def __init__(self, hatchd, folder, path, text):
        installed = Installed(folder)
        loader = installed.folder / "hatchd-load"
        real, self.pipe = installed.folder / "real", folder / "pipe"
        loader.rename(real)
        loader.write_text(self.LOADER.format(real=real, pipe=self.pipe))
        loader.chmod(0o755)
        self.daemon = hatchd.file(text, f"--control={path}", binary=installed.hatchd)

    def begin(self):
        """Ask for an upgrade; the files have been read when this returns."""
        os.mkfifo(self.pipe)
        self.daemon.signal(signal.SIGUSR2)
        self.writer = open(self.pipe, "wb")

    def go_on(self):
        self.pipe.unlink()
        self.writer.close()


def test_reload_while_it_proves(hatchd, folder, path):
    """What the upgrade has read before is not put in force in the place of what is there."""
    port = free_port()
    held = Held(hatchd, folder, path, cat(listen=f"tcp:{port}"))
    daemon = held.daemon
    held.begin()
    daemon.write(cat(listen=f"tcp:{port}", instances=7))
    asker = subprocess.Popen([HATCHCTL, "reload", "-s", path], stdout=subprocess.PIPE)
    daemon.signal(signal.SIGHUP)
    # Who asks later is answered: the signal has been heard, and nothing was reloaded.
    assert status(path)["reload"]["last"] is None
    held.go_on()
    assert asker.communicate(timeout=TIMEOUT)[0] == b"reloaded\n"
    assert status(path)["upgrade"] == {"running": False, "done": 1, "failed": 0}
    assert listed(path)["cat"]["instances"] == 7 and talk(port, b"x") == b"x"


def test_reload_while_it_fails(hatchd, folder, path):
    """It is done then."""
    port = free_port()
    held = Held(hatchd, folder, path, cat(listen=f"tcp:{port}"))
    daemon = held.daemon
    daemon.write("nonsense\n")
    held.begin()
    daemon.write(cat(listen=f"tcp:{port}", instances=7))
    daemon.signal(signal.SIGHUP)
    held.go_on()
    daemon.wait_log("unable to upgrade")
    daemon.wait_log("reloaded: 0 added, 1 changed")
    assert listed(path)["cat"]["instances"] == 7


TAKER = "import os, socket\n" \
        "s = socket.socket(fileno=0)\n" \
        "while True:\n" \
        "    with s.accept()[0] as client:\n" \
        "        client.sendall(b'%d' % os.getpid())\n"


@pytest.mark.parametrize("how", ["removed", "no longer wait", "changed", "moved in the file"])
def test_wait_that_is_otherwise(hatchd, path, folder, how):
    """A program that has the socket itself ends as at a reload."""
    program = put(folder, TAKER, "taker.py")
    ports = [free_port(), free_port()]

    def taker(**options):
        return service("taker", listen=f"tcp:{ports[0]}", exec=[PYTHON, program], wait=True,
                       **options)

    other = cat("other", listen=f"tcp:{ports[1]}")
    daemon = hatchd.file(taker() + other, f"--control={path}")
    pid = int(talk(ports[0]))
    daemon.write({"removed": other,
                  "no longer wait": other + cat("taker", listen=f"tcp:{ports[0]}"),
                  "changed": other + taker(instances=7),
                  "moved in the file": "# Here\n" + other + taker()}[how])
    upgrade(path)
    if how == "moved in the file":
        assert int(talk(ports[0])) == pid
        daemon.stop(leave=True)
        return
    daemon.wait_log(f"taker: child {pid} ended: signal 15")
    if how == "removed":
        wait_until(lambda: is_refused(f"tcp:127.0.0.1:{ports[0]}"))
    elif how == "changed":
        assert int(talk(ports[0])) != pid
        daemon.stop(leave=True)
    else:
        wait_until(lambda: listed(path)["taker"]["state"] == "serving")
        assert talk(ports[0], b"x") == b"x"


def test_link_that_leads_elsewhere(hatchd, folder, path):
    """It is the path that is executed again, not what it led to before."""
    folders = [folder / "one", folder / "two"]
    for each in folders:
        each.mkdir()
    first, second = (Installed(each) for each in folders)
    link, new = folder / "hatchd", folder / "new"
    link.symlink_to(first.hatchd)
    daemon = hatchd.file(cat(listen=f"tcp:{free_port()}"), f"--control={path}", binary=link)
    for installed in (second, first):
        new.symlink_to(installed.hatchd)
        os.rename(new, link)
        upgrade(path)
        assert os.readlink(f"/proc/{daemon.pid}/exe") == str(installed.hatchd)
    daemon.wait_log(f"upgrading: trying {link}", count=2)


def test_start_that_hangs(hatchd, folder, path):
    """Nobody would know of it afterwards: it is waited for, others are served, and in its time
    it is killed."""
    ports = [free_port(), free_port()]
    program = Lease(folder)
    daemon = hatchd.file(
        service("hung", listen=f"tcp:{ports[0]}", exec=program.path, start_timeout="1500ms")
        + cat(listen=f"tcp:{ports[1]}"), f"--control={path}")
    with program, connect(ports[0]) as client:
        program.wait_wanted()
        daemon.signal(signal.SIGUSR2)
        assert talk(ports[1], b"x") == b"x"
        assert read_all(client) == b""
        daemon.wait_log(f"unable to start {program.path}: exec: killed after start_timeout")
        daemon.wait_log("upgraded to hatchd .*, 0 children living on")
    assert talk(ports[0], b"x") == b"x"


def not_begun(path, why):
    done = hatchctl("upgrade", "-s", path)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (
        1, b"", f"hatchctl: not upgraded: {why}\n")


def test_while_another_one_takes_over(hatchd, path):
    """Neither of the two comes in between the other."""
    daemon = hatchd.file(cat(listen=f"tcp:{free_port()}"), f"--control={path}")
    with dial(path) as successor:
        successor.sendall(ASK)
        assert successor.recv(1)
        not_begun(path, "another hatchd takes over")
        daemon.wait_log("unable to upgrade: another hatchd takes over, serving on")
        assert status(path)["upgrade"] == {"running": False, "done": 0, "failed": 0}
    daemon.wait_log("has not taken over")
    upgrade(path)


def test_take_over_while_it_proves(hatchd, folder, path):
    held = Held(hatchd, folder, path, cat(listen=f"tcp:{free_port()}"))
    held.begin()
    with dial(path) as successor:
        successor.sendall(ASK)
        assert b"hatchd is being upgraded" in read_all(successor)
    held.go_on()
    held.daemon.wait_log("upgraded to hatchd")


def test_while_it_drains(hatchd, path):
    """The service manager is not told that it serves."""
    port = free_port()
    daemon = hatchd.file(cat(listen=f"tcp:{port}"), f"--control={path}")
    with connect(port) as client:
        echo(client, b"x")
        ask(path, "drain 1h")
        daemon.wait_notified("STOPPING=1")
        before = len(daemon.messages)
        not_begun(path, "hatchd is about to stop")
        assert status(path)["upgrade"]["failed"] == 0
        client.close()
    assert daemon.wait_end() == 0
    while select.select([daemon.notify], [], [], 0)[0]:
        daemon.messages.append(daemon.notify.recv(65536).decode())
    assert not any("READY=1" in message for message in daemon.messages[before:])


class Older(StubControl):
    """One that knows of no upgrades, or of which there is another one meanwhile."""

    def reply(self, request):
        if request == "upgrade" and self.dies:
            self.pid += 1
            return [{"end": True}]
        return super().reply(request)


@pytest.mark.parametrize("dies, why", [
    (False, "unknown request"), (True, "hatchd was started anew meanwhile")])
def test_hatchctl_does_not_wait(folder, dies, why):
    """For what will not be."""
    with Older(folder / "control") as stub:
        stub.dies = dies
        not_begun(folder / "control", why)


def test_text_of_the_last_one(hatchd, path):
    """What SIGUSR2 has come to is not in the log alone."""
    daemon = hatchd.file(cat(listen=f"tcp:{free_port()}"), f"--control={path}")

    def shown():
        lines = hatchctl("status", "-s", path).stdout.decode().splitlines()
        return [line for line in lines if line.startswith("Last upgrade:")]

    assert shown() == []
    upgrade(path)
    assert shown() == ["Last upgrade:  done; done so far: 1, failed: 0"]
    daemon.write("nonsense\n")
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log("unable to upgrade")
    assert shown() == [f"Last upgrade:  failed: hatchd {VERSION} refuses the configuration; "
                       "done so far: 1, failed: 1"]


def test_stop_while_it_proves(hatchd, folder, path):
    held = Held(hatchd, folder, path, cat(listen=f"tcp:{free_port()}"))
    held.begin()
    assert status(path)["upgrade"]["running"]
    held.daemon.stop(leave=True)
    held.go_on()
