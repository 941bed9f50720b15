"""The unit that is installed: start, stop, restart, and what happens to a hatchd that dies."""

import re
import signal

import pytest
from container import EXAMPLES, STARTED, UNIT
from harness import connect, free_port, is_refused, read_exactly, service, talk

LOADER = "/usr/libexec/hatchd/hatchd-load"

# A loader that waits until somebody has written to a pipe.
HELD_LOADER = """#!/bin/sh
read -r word </run/hold
exec /run/hatchd-load "$@"
"""


def upper(port, **more):
    return service("upper", listen=f"tcp:{port}", exec=["/usr/bin/tr", "a-z", "A-Z"], **more)


def echo(port, **more):
    return service("echo", listen=f"tcp:{port}", exec=["/bin/cat"], **more)


def say(sock, text):
    """What comes back from an echo service."""
    sock.sendall(text)
    return read_exactly(sock, len(text))


@pytest.mark.everywhere
def test_verify(machine):
    """Not a word about any unit.  Whether the manual pages are there is for `man` to say."""
    verify = ["systemd-analyze", "verify", "--man=no"]
    units = [UNIT, "hatchd@blue.service", f"{EXAMPLES}/hatchd.socket"]
    assert machine.run(*verify, *units).strip() == ""
    machine.drop_in("hardening.conf")
    if machine.version() >= 253:
        machine.drop_in("notify-reload.conf")
    assert machine.run(*verify, UNIT).strip() == ""
    user = "/usr/lib/systemd/user/hatchd.service"
    assert machine.run("env", "XDG_RUNTIME_DIR=/run", *verify, "--user", user).strip() == ""


@pytest.mark.everywhere
def test_users(machine):
    """systemd-sysusers makes those that hatchd has in mind; it is for packages to run it."""
    machine.run("systemd-sysusers")
    for name in ("hatchd-guest", "_hatchd", "_hatchd-tls"):
        user, _, uid, gid, _, home, shell = machine.run("getent", "passwd", name).split(":")
        assert (user, home, shell.strip()) == (name, "/nonexistent", "/usr/sbin/nologin")
        assert machine.run("id", "-G", name).split() == [gid]
        assert 0 < int(uid) < 1000
    assert machine.run("getent", "group", "hatchd-admin").startswith("hatchd-admin:")


def test_start_and_status(machine):
    port = free_port()
    machine.serve(upper(port))
    machine.systemctl("start", "hatchd")
    assert talk(port, b"bom dia") == b"BOM DIA"
    assert machine.show("ActiveState") == "active"
    assert machine.show("StatusText") == "Serving 1 of 1 services"
    assert 'Status: "Serving 1 of 1 services"' in machine.systemctl("status", "hatchd")


def test_control_socket(machine):
    """Its folder comes and goes with the unit, and is for the group hatchd-admin."""
    ask = ["hatchctl", "list"]
    somebody = ["setpriv", "--reuid=65534", "--regid=65534"]
    machine.run("systemd-sysusers")
    gid = machine.run("getent", "group", "hatchd-admin").split(":")[2]
    machine.serve(upper(free_port()))
    assert "is hatchd running?" in machine.run("sh", "-c", "hatchctl status 2>&1", status=1)
    machine.systemctl("start", "hatchd")
    stat = ["stat", "-c", "%a %u:%g", "/run/hatchd", "/run/hatchd/control"]
    assert machine.run(*stat).split("\n")[:2] == [f"751 0:{gid}", f"660 0:{gid}"]
    assert "upper" in machine.run(*ask)
    assert "upper" in machine.run(*somebody, "--groups=hatchd-admin", *ask)
    machine.run(*somebody, "--clear-groups", *ask, status=1)
    machine.systemctl("stop", "hatchd")
    machine.run("test", "-e", "/run/hatchd", status=1)


def test_program_that_says_it_is_ready(machine):
    """Whatever user it is: it gets to a socket whose name nobody else learns."""
    port = free_port()
    machine.serve(service(
        "app", listen=f"tcp:{port}", user="nobody", wait=True, pass_as="listen_fds",
        notify=True, shell="systemd-notify --ready --status=$NOTIFY_SOCKET; exec sleep 1000"))
    journal = machine.journal("-u", "hatchd")
    machine.systemctl("start", "hatchd")
    with connect(port):
        journal.wait(MESSAGE="app: process .* is ready after")
        assert re.search(r" /run/hatchd/control\.notify/[0-9a-f]{16}\n",
                         machine.run("hatchctl", "list", "-o", "service,status"))
    machine.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                "ls", "/run/hatchd/control.notify", status=2)


def test_started_means_listening(machine):
    """systemctl waits, and so do units that are ordered after this one."""
    port = free_port()
    machine.serve(upper(port))
    machine.run("mv", LOADER, "/run/hatchd-load")
    machine.run("mkfifo", "/run/hold")
    machine.write(LOADER, HELD_LOADER, 0o755)
    with machine.popen("systemctl", "start", "hatchd") as start:
        # To open it for writing is to wait for the loader.
        with open(machine.path("/run/hold"), "w") as hold:
            assert machine.show("ActiveState") == "activating"
            assert is_refused(f"tcp:127.0.0.1:{port}")
            assert start.poll() is None
            hold.write("go\n")
    assert start.returncode == 0
    assert talk(port, b"a") == b"A"


def test_broken_configuration_is_not_tried_again(machine):
    """Exit status 78: it would not get better in a second."""
    machine.write("/etc/hatchd/hatchd.conf", "service x {\n")
    machine.systemctl("start", "hatchd", status=1)
    assert machine.show("ActiveState") == "failed"
    assert machine.show("ExecMainStatus") == "78"
    assert machine.show("NRestarts") == "0"
    journal = machine.journal("-u", UNIT, "SYSLOG_IDENTIFIER=hatchd")
    journal.wait(MESSAGE=r"^/etc/hatchd/hatchd\.conf:1:\d+: error: ")


def test_stop_leaves_who_is_served(machine):
    port = free_port()
    machine.serve(echo(port))
    machine.systemctl("start", "hatchd")
    with connect(port) as client:
        assert say(client, b"before") == b"before"
        machine.systemctl("stop", "hatchd")
        assert machine.show("ActiveState") == "inactive"
        assert machine.show("Result") == "success"
        assert is_refused(f"tcp:127.0.0.1:{port}")
        assert say(client, b"after") == b"after"
        # The next one is started beside it.
        machine.systemctl("start", "hatchd")
        assert talk(port, b"new") == b"new"
        assert say(client, b"still") == b"still"


def test_stop_terminates_who_wants_it(machine):
    port = free_port()
    machine.serve(echo(port, stop="terminate"))
    machine.systemctl("start", "hatchd")
    with connect(port) as client:
        assert say(client, b"before") == b"before"
        machine.systemctl("stop", "hatchd")
        assert client.recv(1) == b""


def test_restart_binds_at_once(machine):
    """With a client that stays, and connections that wait for their end (TIME-WAIT)."""
    port = free_port()
    machine.serve(echo(port))
    machine.systemctl("start", "hatchd")
    with connect(port) as client:
        for _ in range(10):
            assert talk(port, b"x") == b"x"
            machine.systemctl("restart", "hatchd")
            assert machine.show("StatusText") == "Serving 1 of 1 services"
            assert talk(port, b"y") == b"y"
        assert say(client, b"still") == b"still"
    assert machine.show("NRestarts") == "0"


def test_killed_master_comes_back(machine):
    port = free_port()
    machine.serve(echo(port))
    machine.systemctl("start", "hatchd")
    started = machine.journal(f"UNIT={UNIT}", f"MESSAGE_ID={STARTED}")
    started.wait()
    with connect(port) as client:
        assert say(client, b"before") == b"before"
        old = machine.main_pid()
        machine.kill("KILL", old)
        started.wait(count=2)
        assert machine.main_pid() not in (0, old)
        assert machine.show("NRestarts") == "1"
        assert talk(port, b"new") == b"new"
        assert say(client, b"after") == b"after"


def test_killed_child_is_no_failure_of_the_unit(machine):
    port = free_port()
    machine.serve(service("pid", listen=f"tcp:{port}", shell="echo $$; exec cat"))
    machine.systemctl("start", "hatchd")
    journal = machine.journal("-u", UNIT, "SERVICE=pid")
    with connect(port) as client, client.makefile("rb") as lines:
        machine.kill("KILL", int(lines.readline()))
        assert client.recv(1) == b""
    entry = journal.wait()
    assert (entry["RESULT"], entry["STATUS"]) == ("signal", str(int(signal.SIGKILL)))
    assert machine.show("ActiveState") == "active"
    assert machine.show("NRestarts") == "0"


def test_systemd_starts_over(machine):
    """As after an update of its package: it takes its units over, and ours is as it was."""
    port = free_port()
    machine.serve(echo(port))
    machine.systemctl("start", "hatchd")
    pid = machine.main_pid()
    machine.systemctl("daemon-reexec")
    assert machine.main_pid() == pid
    assert machine.show("StatusText") == "Serving 1 of 1 services"
    machine.serve(upper(port))
    machine.systemctl("reload", "hatchd")
    assert talk(port, b"a") == b"A"


def test_enable(machine):
    machine.systemctl("enable", "--now", "hatchd")
    assert machine.systemctl("is-enabled", "hatchd").split()[-1] == "enabled"
    wanted = machine.show("Wants", "multi-user.target").split()
    assert UNIT in wanted
    assert machine.show("StatusText") == "Serving 0 of 0 services"
