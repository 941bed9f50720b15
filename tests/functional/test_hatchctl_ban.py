"""hatchctl ban and unban, as an operator types them."""

import os

import pytest

from harness import (
    comes_in, connect, free_port, have_ipv6, hatchctl, service, unix_as, wait_until,
)
from test_bans import BAD, GOOD, bans, banned, cat, greedy, is_served
from test_callers import proxied, v1
from test_control import ask
from test_rates import sensor

DONE, FAILED, USAGE = 0, 1, 2


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.fixture
def ctl(path):
    """Run it at that socket, from nowhere: (status, what it says, what goes wrong)."""

    def run(command, *args, login=None):
        env = {key: value for key, value in os.environ.items() if key != "SSH_CONNECTION"}
        if login:
            env["SSH_CONNECTION"] = login
        done = hatchctl(command, "--control", path, *args, env=env)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


def opened(port, source, data=b"x"):
    """A connection to cat that is served."""
    client = connect(port, source=source)
    client.sendall(data)
    assert client.recv(1) == b"x"
    return client


def test_ban(hatchd, path, ctl):
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}")
    assert ctl("ban", BAD) == (DONE, f"{BAD} is banned from all services\n", "")
    assert not is_served(port, BAD) and is_served(port, GOOD)
    assert ctl("ban", "127.9.1.1/16", "--time", "10min", "--service=a") == (
        DONE, "127.9.0.0/16 is banned from a for 10min\n", "")
    assert banned(path) == [("127.9.0.0/16", "a", "operator"), (BAD, None, "operator")]
    assert 0 < bans(path)[0]["left_usec"] <= 600e6
    assert ctl("unban", BAD) == (DONE, f"1 ban of {BAD} lifted\n", "")
    assert is_served(port, BAD)
    assert ctl("unban", BAD) == (USAGE, "", f"hatchctl: {BAD}: no such ban\n")
    assert ctl("unban", "127.9.0.0/16", "--service", "a")[0] == DONE
    assert bans(path) == []


def test_kill(hatchd, path, ctl):
    """Those of that source, of that service, also behind a proxy; and no others."""
    ports = [free_port(), free_port(), free_port()]
    hatchd.file(cat("a", ports[0]) + cat("b", ports[1])
                + proxied(listen=f"tcp:{ports[2]}", exec="/bin/cat"), f"--control={path}")
    with opened(ports[0], BAD) as bad, opened(ports[1], BAD) as other, \
            opened(ports[0], GOOD) as good, \
            opened(ports[2], None, v1(peer=BAD) + b"x") as proxied_one:
        assert ctl("ban", BAD, "--service", "a", "--kill") == (
            DONE, f"{BAD} is banned from a; 1 connection is told to end\n", "")
        assert bad.recv(1) == b""
        other.sendall(b"y")
        assert other.recv(1) == b"y"
        assert ctl("ban", BAD, "--kill") == (
            DONE, f"{BAD} is banned from all services; 2 connections are told to end\n", "")
        assert other.recv(1) == b"" and proxied_one.recv(1) == b""
        good.sendall(b"y")
        assert good.recv(1) == b"y"
    wait_until(lambda: len(ask(path, "connections")) == 1)
    assert ctl("ban", BAD, "--kill")[1] == f"{BAD} is banned from all services\n"


@pytest.mark.skipif(not have_ipv6(), reason="there is no IPv6 here")
def test_kill_of_ipv6(hatchd, path, ctl):
    port = free_port()
    hatchd.file(service("a", listen=f"tcp6:[::1]:{port}", exec="/bin/cat"),
                f"--control={path}")
    with opened(f"tcp:[::1]:{port}", None) as client:
        assert ctl("ban", "::1/128", "--kill")[1] == (
            "::1/128 is banned from all services; 1 connection is told to end\n")
        assert client.recv(1) == b""


@pytest.mark.needs_root
def test_kill_of_a_user(hatchd, path, ctl, folder):
    place = folder / "socket"
    folder.chmod(0o755)
    hatchd.file(service("a", listen=f"unix:{place}", socket_mode="0666", exec="/bin/cat"),
                f"--control={path}")
    with opened(f"unix:{place}", None) as client:
        assert ctl("ban", "uid:65534", "--kill")[1] == "uid:65534 is banned from all services\n"
        assert unix_as(place, 65534, 65534) == b""
        assert ctl("ban", f"uid:{os.getuid()}", "--kill")[1] == (
            f"uid:{os.getuid()} is banned from all services; 1 connection is told to end\n")
        assert client.recv(1) == b""


def test_who_is_hit(hatchd, path, ctl):
    """It is asked back where somebody may shut out himself."""
    hatchd.file(cat("a", free_port()), f"--control={path}")
    for words, login, why in (
            (["0.0.0.0/0"], None, "0.0.0.0/0 is everybody, and from all services"),
            (["::/0"], None, "::/0 is everybody, and from all services"),
            (["127.0.0.0/8"], None, "127.0.0.0/8 holds 127.0.0.1, which is this machine"),
            (["0.0.0.0/0", "--service=a"], None,
             "0.0.0.0/0 holds 127.0.0.1, which is this machine"),
            (["192.0.2.0/24"], "192.0.2.9 4711 192.0.2.1 22",
             "192.0.2.0/24 holds 192.0.2.9, from where you are logged in")):
        assert ctl("ban", *words, login=login) == (
            FAILED, "", f"hatchctl: {why}; --force if meant\n")
        assert bans(path) == []
        assert ctl("ban", "--force", *words, login=login)[0] == DONE
        assert ctl("unban", words[0])[0] == DONE
    # What is only that address is meant.
    assert ctl("ban", "127.0.0.1")[0] == DONE


def test_wider_bans(hatchd, path, ctl):
    """Who is let in as one and banned as another does not come in: that is said."""
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}")
    ctl("ban", "127.9.0.0/16", "--service", "a")
    assert ctl("unban", "127.9.1.1") == (
        USAGE, "",
        "hatchctl: 127.9.1.1: no such ban; it is banned as 127.9.0.0/16 from a\n")
    ctl("ban", "127.9.1.1")
    assert ctl("unban", "127.9.1.1") == (
        DONE, "1 ban of 127.9.1.1 lifted\n",
        "hatchctl: 127.9.1.1 is still banned, as 127.9.0.0/16 from a\n")
    ctl("ban", "127.9.0.0/17")
    assert ctl("unban", "127.9.0.0/16") == (DONE, "1 ban of 127.9.0.0/16 lifted\n", "")
    assert not is_served(port, "127.9.1.1")


def test_bans_by_rules(hatchd, path, ctl):
    trap, port = free_port(), free_port()
    hatchd.file(sensor(trap, "1h") + greedy("a", port), f"--control={path}")
    assert not comes_in(trap, BAD)
    assert is_served(port, GOOD) and not is_served(port, GOOD)
    wait_until(lambda: len(bans(path)) == 2)
    ctl("ban", "127.9.0.0/16", "--service", "a")
    status, said, wrong = ctl("bans", "-no", "service,source,by")
    assert (status, wrong) == (DONE, "")
    assert sorted(line.split() for line in said.splitlines()) == [
        ["-", BAD, "rule"], ["a", GOOD, "rule"], ["a", "127.9.0.0/16", "operator"]]
    assert ctl("unban", "127.0.0.0/29") == (DONE, "2 bans of 127.0.0.0/29 lifted\n", "")
    assert is_served(port, GOOD) and is_served(port, BAD)


@pytest.mark.parametrize("words, why", [
    (["ban"], "the address is missing"),
    (["unban"], "the address is missing"),
    (["ban", BAD, GOOD], f"unexpected argument '{GOOD}': there is one address"),
    (["ban", "upper"], "'upper' is not an address or a network"),
    (["unban", "192.0.2.1:80"], "'192.0.2.1:80' is not an address or a network"),
    (["ban", "192.0.2.1/33"], "'192.0.2.1/33' has a length that it cannot have"),
    (["ban", "192.0.2.1%lo"], "'192.0.2.1%lo' names no interface, or has no place for one"),
    (["ban", BAD, "--time", "soon"], "'soon' is not a duration such as 10min"),
    (["ban", BAD, "--service", "-"], "'-' is not the name of a service"),
    (["unban", BAD, "--kill"], "unknown option '--kill'"),
])
def test_usage(words, why):
    done = hatchctl(*words)
    assert done.returncode == USAGE and done.stdout == b""
    assert done.stderr.decode() == (
        f"hatchctl: {why}\nTry 'hatchctl {words[0]} --help'.\n")


def test_what_hatchd_refuses(hatchd, path, ctl):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    assert ctl("ban", BAD, "--service", "b") == (USAGE, "", "hatchctl: b: no such service\n")
    assert ctl("ban", BAD, "--time", "367d") == (
        USAGE, "", f"hatchctl: {BAD}: not a duration from 1s to 366d, or unlimited\n")


def test_without_hatchd(path, ctl):
    for command in "ban", "unban":
        status, said, wrong = ctl(command, BAD)
        assert (status, said) == (FAILED, "") and "is hatchd running?" in wrong


def test_help():
    for command, word in ("ban", b"ADDRESS"), ("unban", b"SOURCE"):
        done = hatchctl(command, "--help")
        assert done.returncode == DONE
        assert done.stdout.startswith(
            b"Usage: hatchctl %s [OPTION...] %s\n" % (command.encode(), word))
