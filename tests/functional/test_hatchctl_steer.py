"""hatchctl reload, disable, enable, kill, set and log-level, with what really comes of them."""

import shutil
import subprocess

import pytest

from harness import (
    HATCHCTL, Loader, free_port, hatchctl, is_refused, read_all, service, wait_until,
)
from test_control import cat, is_served, listed, with_mounts
from test_control_change import connections, opened


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.fixture
def ctl(path):
    """hatchctl COMMAND at the socket of the test: (status, stdout, stderr)."""

    def run(command, *args, **more):
        done = hatchctl(command, "-s", path, *args, **more)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


def says(text, status=0):
    return status, text, ""


def fails(text, status=1):
    return status, "", f"hatchctl: {text}\n"


# ---------------------------------------------------------------------------
# Files are read again


def test_reload(hatchd, path, ctl):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]), f"--control={path}")
    daemon.write(cat("b", ports[1]))
    assert ctl("reload") == says("reloaded\n")
    assert is_served(ports[1])


def test_reload_with_mistakes(hatchd, path, ctl):
    """They are shown as hatchd --check shows them."""
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    daemon.write(cat("a", port, instances="many"))
    status, out, err = ctl("reload")
    assert (status, out) == (1, "")
    assert f"{daemon.config_path}:4:13: error: instances: 'many' is neither" in err
    assert err.endswith(
        "\nhatchctl: the reload failed, and nothing has changed: the files have mistakes\n")
    assert is_served(port)


def test_reload_that_nobody_ends(hatchd, path, ctl, folder, monkeypatch):
    """The loader hangs: that is waited for, and the reason told."""
    loader = Loader(folder, monkeypatch)
    hatchd.file(cat("a", free_port()), f"--control={path}", "--loader-timeout=2000")
    loader.hold()
    assert ctl("reload") == fails(
        "the reload failed, and nothing has changed: the loader did not answer in time")


@pytest.mark.needs_root
def test_plan(hatchd, path, ctl):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]), f"--control={path}")
    assert ctl("reload", "--plan") == says("nothing would change\n")
    daemon.write(cat("a", ports[0]) + cat("b", ports[1]))
    assert ctl("reload", "--plan") == says(
        f"b: new\n  opened   tcp:127.0.0.1:{ports[1]}\n1 service unchanged\n1 opened\n")
    assert is_refused(ports[1])
    daemon.write("service {")
    status, out, err = ctl("reload", "--plan")
    assert status == 1 and ": error: " in err
    assert out.endswith("a reload would change nothing\n")


def test_plan_of_a_command_line(hatchd, path, ctl):
    hatchd.adhoc("-l", "tcp:127.0.0.1:0", f"--control={path}", "--", "cat")
    assert ctl("reload", "--plan") == fails("hatchd serves its command line, and no file", 2)


# ---------------------------------------------------------------------------
# Services


def test_disable_and_enable(hatchd, path, ctl):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    with opened(ports[0]) as client:
        assert ctl("disable", "a") == says(
            "a: disabled until the next reload; 1 connection goes on\n")
        assert is_refused(ports[0])
        client.sendall(b"y")
        assert client.recv(1) == b"y"
    assert ctl("enable", "a") == says("a: serving\n")
    assert is_served(ports[0])
    daemon.wait_children(0)
    # Of several each one has its line, and the status is the worst.
    assert ctl("disable", "a", "c", "b") == (
        2, "a: disabled until the next reload\nb: disabled until the next reload\n",
        "hatchctl: c: no such service\n")
    assert is_refused(ports[0]) and is_refused(ports[1])
    assert ctl("reload")[0] == 0
    assert is_served(ports[0]) and is_served(ports[1])


def test_enable_what_lacks_something(hatchd, path, ctl):
    hatchd.file(
        service("a", listen=f"tcp:127.0.0.1:{free_port()}", exec="/nonexistent/program"),
        f"--control={path}")
    assert ctl("enable", "a") == says("a: waiting: no program /nonexistent/program\n")
    assert ctl("disable", "a") == fails("a: it serves nobody now")


def test_set(hatchd, path, ctl):
    port = free_port()
    hatchd.file(cat("a", port, instances=1), f"--control={path}")
    with opened(port):
        assert listed(path)[0]["state"] == "full"
        assert ctl("set", "a", "instances", "2") == says("")
        assert listed(path)[0]["instances"] == 2
    assert ctl("set", "a", "rate", "20/s", "burst", "40") == says("")
    assert ctl("set", "a", "rate", "20/s burst 40") == says("")
    assert ctl("set", "a", "rate", "20") == fails("a: not a value of that limit", 2)
    assert ctl("set", "a", "backlog", "20") == fails(
        "a: not a limit that can be set: instances, per_source, rate, per_source_rate", 2)
    assert ctl("set", "b", "rate", "20/s") == fails("b: no such service", 2)
    assert ctl("set", "a", "rate", "2\nkill 1") == fails(
        "a: that is too long, or not one line", 2)


def test_log_level(hatchd, path, ctl):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    assert ctl("log-level", "debug") == says("")
    assert is_served(port)
    daemon.wait_log("a: accept from")
    assert ctl("log-level", "loud") == fails(
        "not a level: error, warning, notice, info, debug", 2)


# ---------------------------------------------------------------------------
# Connections


def test_kill(hatchd, path, ctl):
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}")
    with opened(port) as one, opened(port) as two:
        mine = "127.0.0.1:%d" % one.getsockname()[1]
        [number] = [line["connection"] for line in connections(path) if line["peer"] == mine]
        assert ctl("kill", number) == says("")
        assert read_all(one) == b""
        two.sendall(b"y")
        assert two.recv(1) == b"y"
        wait_until(lambda: len(connections(path)) == 1)
        assert ctl("kill", number) == fails(f"{number}: no such connection", 2)


def test_kill_several(hatchd, path, ctl):
    """One that is not there keeps nobody from ending the others."""
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}")
    with opened(port) as one, opened(port) as two:
        first, second = (line["connection"] for line in connections(path))
        assert ctl("kill", first, 4711, second) == fails("4711: no such connection", 2)
        assert read_all(one) == read_all(two) == b""


def test_kill_those_of_a_service(hatchd, path, ctl):
    ports = [free_port(), free_port()]
    hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    with opened(ports[0]) as one, opened(ports[0]) as two, opened(ports[1]) as other:
        assert ctl("kill", "--service", "a") == says("2 connections are told to end\n")
        assert read_all(one) == read_all(two) == b""
        other.sendall(b"y")
        assert other.recv(1) == b"y"
        assert ctl("kill", "--service=b") == says("1 connection is told to end\n")
    wait_until(lambda: connections(path) == [])
    assert ctl("kill", "--service=b") == says("0 connections are told to end\n")
    assert ctl("kill", "--service=c") == fails("c: no such service", 2)


def test_kill_those_of_a_service_that_was_removed(hatchd, path, ctl):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with opened(port) as client:
        daemon.write(cat("b", free_port()))
        assert ctl("reload")[0] == 0
        assert ctl("kill", "--service=a") == says("1 connection is told to end\n")
        assert read_all(client) == b""


# ---------------------------------------------------------------------------
# Who may, and what is no command


ALL = [
    ("reload",), ("reload", "--plan"), ("disable", "a", "b"), ("enable", "a", "b"),
    ("kill", "1", "2"),
    ("kill", "--service=a"), ("set", "a", "instances", "1"), ("log-level", "info"), ("drain",),
    ("enable", "--persistent", "a"),
]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_without_hatchd(path, ctl, words, folder):
    if "--persistent" in words:
        words = (*words, f"--file={folder}/none.conf")
    status, out, err = ctl(*words)
    assert out == ""
    if "--persistent" in words:
        assert status == 2 and "there is no recipe of that name" in err
    else:
        assert status == (2 if "--plan" in words else 1)
        assert err == (f"hatchctl: unable to connect to {path}: No such file or directory; "
                       "is hatchd running?\n")


@pytest.mark.needs_root
def test_who_may_only_look(hatchd, path, folder):
    """A member of the group of the socket."""
    gid = 54321
    groups = folder / "group"
    groups.write_text(f"root:x:0:\nnogroup:x:65534:\nhatchd-admin:x:{gid}:\n")
    launcher = with_mounts('mount --bind "$1" /etc/group || exit 99; shift; exec "$@"', groups)
    hatchd.file(cat("a", free_port()), f"--control={path}", launcher=launcher)
    shutil.copy(HATCHCTL, folder / "hatchctl")

    def run(*words):
        done = subprocess.run(
            [folder / "hatchctl", words[0], "-s", path, *words[1:]], capture_output=True,
            text=True, user=65534, group=65534, extra_groups=[gid])
        return done.returncode, done.stdout, done.stderr

    for words in [
        ("reload",), ("disable", "a", "b"), ("enable", "a", "b"), ("kill", "1", "2"),
        ("set", "a", "instances", "1"), ("log-level", "info"), ("drain",),
    ]:
        assert run(*words) == fails("only root may do that")
    assert run("kill", "--service=a") == says("0 connections are told to end\n")
    assert listed(path)[0]["state"] == "serving"


@pytest.mark.parametrize("words, why", [
    (("reload", "x"), "unexpected argument 'x'"),
    (("reload", "--plam"), "unknown option '--plam'; did you mean '--plan'?"),
    (("disable",), "the name of a service is missing"),
    (("enable", "-x"), "unknown option '-x'"),
    (("enable", "a/b"), "'a/b' is not the name of a service"),
    (("enable", "--file=x", "a"), "that is only for --persistent"),
    (("kill",), "the number of a connection is missing"),
    (("kill", "a"), "'a' is not the number of a connection"),
    (("kill", "1", "0"), "'0' is not the number of a connection"),
    (("kill", "--service=a", "1"), "unexpected argument '1' beside --service"),
    (("kill", "--service"), "the option '--service' needs a value"),
    (("set", "a", "rate"), "a service, a limit and a value are wanted"),
    (("set", "a b", "rate", "1"), "'a b' is not the name of a service"),
    (("set", "a", "rate", 300 * "1"), "that is too long"),
    (("log-level",), "the level is missing"),
    (("log-level", "info", "x"), "unexpected argument 'x'"),
    (("drain", "--timeout=soon"), "'soon' is not a duration such as 500ms, 30s or 5min"),
    (("drain", "--kill=x"), "the option '--kill' takes no value"),
])
def test_usage(ctl, words, why):
    assert ctl(*words) == fails(f"{why}\nTry 'hatchctl {words[0]} --help'.", 2)


@pytest.mark.parametrize(
    "command", ["reload", "disable", "enable", "kill", "set", "log-level", "drain", "recipes"])
def test_help(command):
    done = hatchctl(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: hatchctl {command} ".encode())
    assert f"  {command} ".encode() in hatchctl("--help").stdout
