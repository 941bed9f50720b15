"""The Debian packages on a machine that has booted: one that is installed, and what it is then.

Most tests have the same machine, one after the other: it is put back after each.
"""

import os
import pathlib
import socket

import container
import pytest
from arrivals import Arrivals, endpoint, expect_all_served
from container import STARTED, UNIT
from harness import (
    TIMEOUT, connect, free_port, is_refused, read_all, read_exactly, service, talk, wait_until,
)
from test_examples import put_socket

pytestmark = [pytest.mark.everywhere, pytest.mark.xdist_group("package")]

USERS = {"hatchd-guest", "_hatchd", "_hatchd-tls"}
GROUPS = USERS | {"hatchd-admin"}
N_KILLS = 3

# Where files come and go that are nobody's, or those of apt, of the journal, and of whoever
# changes the list of users.
PRUNED = ["/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp", "/var/cache", "/var/lib/apt",
          "/var/lib/dpkg", "/var/lib/systemd/catalog", "/var/log", "/root"]
LISTS = {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock"}


def debs():
    found = os.environ.get("HATCHD_DEBS", "").splitlines()
    if not found:
        pytest.skip(os.environ.get("HATCHD_NO_DEBS", "no packages were made"))
    return [pathlib.Path(path) for path in found]


def install(machine):
    """As an administrator does, who has been given files."""
    for path in debs():
        machine.path(f"/root/{path.name}").write_bytes(path.read_bytes())
    machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes",
                "--no-install-recommends", *(f"/root/{path.name}" for path in debs()))


@pytest.fixture(scope="module")
def shared(release):
    debs()
    machine = container.Machine(release, installed=False)
    try:
        install(machine)
        yield machine
    finally:
        machine.close()


@pytest.fixture
def machine(shared):
    yield shared
    for name in ("services.d/test.conf", f"../systemd/system/{UNIT}.d/test.conf"):
        shared.path(f"/etc/hatchd/{name}").unlink(missing_ok=True)
    shared.systemctl("daemon-reload")
    shared.systemctl("reset-failed", "hatchd")
    shared.systemctl("restart", "hatchd")


def echo(port, **more):
    return service("echo", listen=f"tcp:{port}", exec=["/bin/cat"], **more)


def serve(machine, text):
    machine.serve(text)
    machine.systemctl("reload", "hatchd")


# ---------------------------------------------------------------------------


def everything(machine):
    """What there is: files, units, users, groups."""
    prune = " -o ".join(f"-path {path}" for path in PRUNED)
    files = machine.run("sh", "-c", rf"find / -xdev \( {prune} \) -prune -o -print")
    units = machine.systemctl("list-unit-files", "--no-legend", "--no-pager")
    return {
        "files": set(files.splitlines()) - LISTS,
        "units": {line.split()[0] for line in units.splitlines()},
        "logs": set(machine.run("ls", "/var/log").split()),
        "users": {line.split(":")[0] for line in machine.run("getent", "passwd").splitlines()},
        "groups": {line.split(":")[0] for line in machine.run("getent", "group").splitlines()},
    }


@pytest.fixture
def bare(release):
    """A machine without hatchd."""
    debs()
    machine = container.Machine(release, installed=False)
    yield machine
    machine.close()


def test_from_install_to_purge(bare):
    """One command, and it serves; another one, and nothing of it is left but its users."""
    before = everything(bare)
    install(bare)
    assert bare.systemctl("is-enabled", "hatchd").strip() == "enabled"
    assert bare.systemctl("is-active", "hatchd").strip() == "active"
    assert bare.show("StatusText").startswith("Serving 0 of 0 services")
    assert "daytime" in bare.run("hatchctl", "recipes")
    bare.run("hatchctl", "enable", "--persistent", "daytime")
    assert b":" in talk(13)
    assert bare.systemctl("--failed", "--no-legend").strip() == ""
    bare.run("apt-get", "purge", "--yes", "hatchd", "hatchd-tls")
    assert is_refused(13)
    after = everything(bare)
    for kind, more in (("files", set()), ("units", set()), ("logs", {"dpkg.log"}),
                       ("users", USERS), ("groups", GROUPS)):
        assert after[kind] - before[kind] <= more
        assert before[kind] - after[kind] == set()


def test_verify(machine):
    """Of the units as the package has them."""
    verify = ["systemd-analyze", "verify", "--man=no"]
    assert machine.run(*verify, UNIT, "hatchd@blue.service").strip() == ""


def test_handed_over(machine):
    """A socket unit, put in place as its comment says: its first client starts hatchd."""
    machine.serve(service("upper", listen="fd:upper", exec=["/usr/bin/tr", "a-z", "A-Z"]))
    put_socket(machine)
    try:
        assert machine.show("ActiveState") == "inactive"
        assert talk(7777, b"first") == b"FIRST"
        assert machine.show("ActiveState") == "active"
    finally:
        machine.systemctl("disable", "hatchd.socket")
        machine.systemctl("stop", "hatchd.socket", "hatchd.service")
        machine.path("/etc/systemd/system/hatchd.socket").unlink()


def unpack(machine, *names):
    """Install these packages again, as apt does an upgrade: what dpkg and hatchd said."""
    paths = [f"/root/{path.name}" for path in debs() if path.name.partition("_")[0] in names]
    assert len(paths) == len(names)
    return machine.run("dpkg", "--install", *paths)


UPGRADED = "upgraded to hatchd"


def test_upgrade_under_load(machine):
    """Of both packages; the same version takes the same way as the next one."""
    port = free_port()
    serve(machine, echo(port))
    pid = machine.main_pid()
    with Arrivals(endpoint(port), rate=300, lasting=[endpoint(port)]) as crowd:
        crowd.wait_settled()
        assert UPGRADED in unpack(machine, "hatchd", "hatchd-tls")
        crowd.wait_served(20)
        # Nothing but the trigger for a program more, or another one.
        assert UPGRADED in unpack(machine, "hatchd-tls")
        crowd.wait_served(20)
        expect_all_served(crowd)
    assert machine.main_pid() == pid


def test_upgrade_that_is_forbidden(machine):
    """By the administrator's policy, as where the tree of another machine is changed."""
    policy = machine.path("/usr/sbin/policy-rc.d")
    machine.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    try:
        assert UPGRADED not in unpack(machine, "hatchd")
    finally:
        policy.unlink()
    assert UPGRADED in unpack(machine, "hatchd")


# In the place of hatchd: one that will not take over from the one that runs, but is as good
# otherwise, and one that cannot just now.
FOREIGN = """#!/bin/sh
test "$1" != --prove || exit 121
exec /usr/sbin/hatchd.real "$@"
"""
BUSY = FOREIGN.replace("121", "120")


def upgrade_to(machine, program):
    """What the script of the package says when that has been installed."""
    real, path = machine.path("/usr/sbin/hatchd.real"), machine.path("/usr/sbin/hatchd")
    path.rename(real)
    machine.write("/usr/sbin/hatchd", program, 0o755)
    try:
        return machine.run("/var/lib/dpkg/info/hatchd.postinst", "triggered",
                           "/usr/libexec/hatchd")
    finally:
        real.rename(path)


@pytest.fixture
def blue(machine):
    """An instance, beside hatchd itself: the port that it serves."""
    port = free_port()
    machine.write("/etc/hatchd/blue.conf", echo(port))
    machine.systemctl("start", "hatchd@blue")
    yield port
    machine.systemctl("stop", "hatchd@blue")
    machine.path("/etc/hatchd/blue.conf").unlink()


def test_restart_instead(machine, blue):
    """Only where the new one will never take over, while systemd keeps the sockets."""
    port = free_port()
    serve(machine, echo(port))
    machine.wait_kept(1)
    machine.wait_kept(1, "hatchd@blue")
    pids = [machine.main_pid(), machine.main_pid("hatchd@blue")]
    said = upgrade_to(machine, BUSY)
    assert said.count("the old one serves on") == 2 and "starting" not in said
    assert [machine.main_pid(), machine.main_pid("hatchd@blue")] == pids
    with Arrivals(endpoint(port), rate=100, lasting=[endpoint(port)]) as crowd:
        crowd.wait_settled()
        said = upgrade_to(machine, FOREIGN)
        assert "starting hatchd.service again" in said
        assert "starting hatchd@blue.service again" in said
        crowd.wait_served(20)
        expect_all_served(crowd)
    assert machine.main_pid() not in (0, pids[0])
    assert machine.main_pid("hatchd@blue") not in (0, pids[1])
    assert talk(blue, b"x") == b"x"


def test_no_restart_with_mistakes(machine):
    """With which the new one would not come up again, though it is what a start is for."""
    pid = machine.main_pid()
    machine.serve("service {")
    assert "the old one serves on" in upgrade_to(machine, FOREIGN)
    assert machine.main_pid() == pid


def test_no_start_of_one_that_stops(machine):
    """It drains: an upgrade of the package brings it into no pool again."""
    port = free_port()
    serve(machine, echo(port))
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        with machine.popen("hatchctl", "drain", "--stop") as draining:
            machine.journal("-u", UNIT).wait(MESSAGE="draining")
            assert "the old one serves on" in unpack(machine, "hatchd")
            client.sendall(b"y")
            assert read_exactly(client, 1) == b"y"
            client.shutdown(socket.SHUT_WR)
            draining.wait(TIMEOUT)
    assert machine.systemctl("is-active", UNIT, status=None).strip() != "active"
    # Nor is one that has been stopped.
    machine.systemctl("stop", UNIT)
    assert UPGRADED not in unpack(machine, "hatchd")
    assert machine.show("ActiveState") == "inactive"


def test_removed_and_installed(machine, blue):
    """Instances go and come with it, if they are enabled; who has another manager, goes."""
    control, green = "/run/hatchd.green/control", free_port()
    machine.write("/etc/hatchd/green.conf", echo(green))
    machine.run("hatchd", "--daemon", "--pid-file=/run/green.pid", f"--control={control}",
                "-f", "/etc/hatchd/green.conf")
    machine.systemctl("enable", "hatchd@blue")
    assert talk(blue, b"x") == talk(green, b"x") == b"x"
    machine.run("dpkg", "--remove", "hatchd-tls", "hatchd")
    assert is_refused(blue)
    wait_until(lambda: is_refused(green), what="the end of one that systemd does not know")
    unpack(machine, "hatchd", "hatchd-tls")
    assert talk(blue, b"x") == b"x" and is_refused(green)
    assert machine.systemctl("is-active", UNIT).strip() == "active"
    machine.systemctl("disable", "hatchd@blue")
    machine.path("/etc/hatchd/green.conf").unlink()


def test_reload_under_load(machine):
    """What is served already goes on, and nobody is refused."""
    port = free_port()
    serve(machine, echo(port))
    with Arrivals(endpoint(port), rate=300, lasting=[endpoint(port)]) as crowd:
        crowd.wait_settled()
        for _ in range(5):
            more = free_port()
            crowd.wait_served(20)
            serve(machine, echo(port) + service("more", listen=f"tcp:{more}", exec="/bin/cat"))
            assert talk(more, b"x") == b"x"
        expect_all_served(crowd)


def test_restart_under_load(machine):
    port = free_port()
    serve(machine, echo(port))
    machine.wait_kept(1)
    with Arrivals(endpoint(port), rate=300, lasting=[endpoint(port)]) as crowd:
        crowd.wait_settled()
        for _ in range(5):
            crowd.wait_served(20)
            machine.systemctl("restart", "hatchd")
        expect_all_served(crowd)


def expect_next(machine, started, count, port):
    """systemd has started another one, which serves."""
    started.wait(count=count)
    assert talk(port, b"next") == b"next"


def starts(machine):
    """Those of the unit in the journal, and how many there are by now."""
    machine.run("journalctl", "--sync")
    journal = machine.journal(f"UNIT={UNIT}", f"MESSAGE_ID={STARTED}")
    journal.wait()
    count = machine.run("journalctl", "--quiet", "--output=json", f"UNIT={UNIT}",
                        f"MESSAGE_ID={STARTED}").count("\n")
    return journal, count


def test_killed_under_load(machine):
    """Who comes waits for the next one; who was in the hand of the one that died is lost."""
    port = free_port()
    serve(machine, echo(port))
    machine.wait_kept(1)
    started, count = starts(machine)
    with Arrivals(endpoint(port), rate=300, most=1000, lasting=[endpoint(port)]) as crowd:
        crowd.wait_settled()
        for number in range(1, N_KILLS + 1):
            crowd.wait_served(20)
            machine.kill("KILL", machine.main_pid())
            expect_next(machine, started, count + number, port)
            assert crowd.now()["refused"] == 0, crowd.failures
        crowd.wait_served(20)
        totals = crowd.stop()
    assert totals["refused"] == totals["wrong"] == 0 and crowd.of("connect", "late") == []
    assert [one for one in crowd.failures if one["lasting"]] == []
    assert len(crowd.failures) <= N_KILLS


# Short, and with a moment in which there is no hatchd.
WATCHED = """[Service]
WatchdogSec=5
RestartSec=500ms
"""


def test_stopped_under_load(machine):
    """One that does nothing any more, as SIGSTOP has it, is ended by the watchdog.

    Its sockets are open all the time, so nobody is refused.
    """
    port = free_port()
    machine.unit_file(f"{UNIT}.d/test.conf", WATCHED)
    serve(machine, echo(port))
    machine.systemctl("restart", "hatchd")
    machine.wait_kept(1)
    started, count = starts(machine)
    ended = machine.journal(f"UNIT={UNIT}", "PRIORITY=3")
    with Arrivals(endpoint(port), rate=100, most=1000, patience=20,
                  lasting=[endpoint(port)]) as crowd:
        crowd.wait_settled()
        crowd.wait_served(20)
        old = machine.main_pid()
        machine.kill("STOP", old)
        ended.wait(MESSAGE="Watchdog timeout")
        expect_next(machine, started, count + 1, port)
        assert machine.main_pid() not in (0, old)
        crowd.wait_served(20)
        totals = crowd.stop()
    assert totals["refused"] == totals["wrong"] == 0 and crowd.of("connect", "late") == []
    assert [one for one in crowd.failures if one["lasting"]] == []
    assert len(crowd.failures) <= 1


def test_journal(machine):
    """The fields of a record, by which hatchd(8) says to look for it."""
    port = free_port()
    serve(machine, service("seven", listen=f"tcp:{port}", shell="echo $$; exit 7"))
    with connect(port) as client:
        host, source = client.getsockname()
        pid = read_all(client).decode().strip()
    entry = machine.journal("-u", "hatchd", "SERVICE=seven").wait(PEER=f"{host}:{source}")
    assert entry["PID"] == pid
    assert (entry["RESULT"], entry["STATUS"]) == ("exit", "7")
    assert entry["LOCAL"] == f"127.0.0.1:{port}"
    assert entry["_SYSTEMD_UNIT"] == UNIT
    assert {"CONNECTION", "DURATION_USEC", "CPU_USEC"} <= entry.keys()


def test_stop(machine):
    """A stop leaves who is served, but for services that say otherwise."""
    port, brief = free_port(), free_port()
    serve(machine, echo(port) + service("brief", listen=f"tcp:{brief}", exec=["/bin/cat"],
                                        stop="terminate"))
    with connect(port) as client, connect(brief) as other:
        for sock in (client, other):
            sock.sendall(b"before")
            assert read_exactly(sock, 6) == b"before"
        machine.systemctl("stop", "hatchd")
        assert machine.show("Result") == "success"
        assert is_refused(port) and is_refused(brief)
        assert other.recv(1) == b""
        client.sendall(b"after")
        assert read_exactly(client, 5) == b"after"
        machine.systemctl("start", "hatchd")
        assert talk(port, b"new") == b"new"
