"""only_from and no_access: who may come in."""

import os
import random

import pytest

from harness import (
    IS_ROOT, IS_SANITIZED, PYTHON, comes_in, connect, free_port, have_ipv6, hello, helper, put,
    reload, run_hatchd, service, stanza, unix_as, wait_until,
)

needs_root = pytest.mark.needs_root


# -- rules


def test_only_from(hatchd):
    ports = free_port(), free_port()
    daemon = hatchd.file(hello("a", ports[0], only_from="127.0.0.2") + hello("b", ports[1]))
    assert not comes_in(ports[0])
    daemon.wait_log(r"a: refused 127\.0\.0\.1:\d+: only_from")
    assert comes_in(ports[0], "127.0.0.2")
    assert comes_in(ports[1])


def test_no_access(hatchd):
    port = free_port()
    daemon = hatchd.file(hello("a", port, no_access=["127.0.0.4/30", "::1"]))
    for source in ("127.0.0.1", "127.0.0.3", "127.0.0.8"):
        assert comes_in(port, source)
    for source in ("127.0.0.4", "127.0.0.7"):
        assert not comes_in(port, source)
    daemon.wait_log(r"a: refused 127\.0\.0\.4:\d+: no_access")


def test_longest_prefix_of_both(hatchd):
    port = free_port()
    hatchd.file(hello(
        "a", port, only_from=["127.0.0.0/16", "127.0.1.2", "127.0.3.0/24"],
        no_access=["127.0.1.0/24", "127.0.3.0/24"]))
    for source, wanted in (("127.0.0.1", True), ("127.0.1.1", False), ("127.0.1.2", True),
                           ("127.0.2.1", True), ("127.0.3.1", False), ("127.1.0.1", False)):
        assert comes_in(port, source) == wanted, source


@pytest.mark.skipif(not have_ipv6(), reason="no IPv6")
def test_ipv4_over_ipv6(hatchd):
    """Over a socket for both, an IPv4 client is mapped; rules do not see that."""
    ports = [free_port() for _ in range(3)]
    hatchd.file(
        hello("four", ports[0], only_from="127.0.0.0/8")
        + hello("mapped", ports[1], only_from="::ffff:127.0.0.0/104")
        + hello("six", ports[2], only_from="::/0"))
    for port, four, six in ((ports[0], True, False), (ports[1], True, False),
                            (ports[2], False, True)):
        assert comes_in(f"tcp:127.0.0.1:{port}") == four
        assert comes_in(f"tcp:[::1]:{port}") == six


def test_words_of_xinetd(hatchd):
    port = free_port()
    hatchd.file(hello("a", port, only_from=["127.7.0.0", "127.8.{1,3}"]))
    for source, wanted in (("127.7.200.3", True), ("127.8.1.9", True), ("127.8.2.9", False),
                           ("127.8.3.9", True), ("127.0.0.1", False)):
        assert comes_in(port, source) == wanted, source


def networks():
    """Names of networks(5) with their numbers."""
    try:
        with open("/etc/networks", encoding="ascii", errors="replace") as file:
            return dict(line.split()[:2] for line in file if len(line.split()) > 1)
    except OSError:
        return {}


@pytest.mark.skipif(
    networks().get("loopback") != "127.0.0.0", reason="networks(5) has no loopback")
def test_names_of_networks(hatchd):
    ports = free_port(), free_port()
    hatchd.file(hello("a", ports[0], only_from="loopback")
                + hello("b", ports[1], no_access="loopback"))
    assert comes_in(ports[0], "127.9.9.9")
    assert not comes_in(ports[1], "127.9.9.9")


def test_nobody(hatchd):
    port = free_port()
    hatchd.file(hello("a", port, only_from=[]))
    assert not comes_in(port)


def test_defaults(hatchd):
    ports = [free_port() for _ in range(3)]
    hatchd.file(
        stanza("defaults", only_from="127.0.0.2")
        + hello("a", ports[0])
        + hello("b", ports[1])[:-2] + "only_from += 127.0.0.1\n}\n"
        + hello("c", ports[2], only_from="127.0.0.3"))
    for port, admitted in ((ports[0], {2}), (ports[1], {1, 2}), (ports[2], {3})):
        for number in (1, 2, 3):
            assert comes_in(port, f"127.0.0.{number}") == (number in admitted)


def test_flags(hatchd):
    port = free_port()
    hatchd.adhoc("-l", f"tcp:{port}", "--only-from", "127.0.0.0/8", "--no-access", "127.0.0.9",
                 "--", "echo", "x")
    assert comes_in(port)
    assert not comes_in(port, "127.0.0.9")


def test_refused_before_any_child(hatchd):
    """Who is refused counts nowhere: not even a service for one is full with them."""
    port = free_port()
    daemon = hatchd.file(hello("a", port, only_from="127.0.0.2", instances=1))
    for _ in range(20):
        assert not comes_in(port)
    assert daemon.children() == []
    assert comes_in(port, "127.0.0.2")


def test_a_flood_is_few_lines(hatchd):
    port = free_port()
    daemon = hatchd.file(hello("a", port, only_from="127.0.0.2"))
    for _ in range(100):
        assert not comes_in(port)
    daemon.stop()
    lines = [line for line in daemon.text().split("\n") if "refused" in line]
    assert 2 <= len(lines) <= 30
    assert any("more refused" in line for line in lines)


# -- UNIX sockets


@needs_root
def test_unix_users_and_groups(hatchd, folder):
    path = folder / "s"
    hatchd.file(service(
        "u", listen=f"unix:{path}", exec=["/bin/echo", "-n", "in"],
        only_from=["unix:uid=root", "unix:gid=4321", "unix:gid=4322"],
        no_access=["unix:uid=5002", "unix:gid=4323"]))
    assert unix_as(path, 0, 0, []) == b"in"
    assert unix_as(path, 5001, 5001, []) == b""
    assert unix_as(path, 5001, 4321, []) == b"in"
    assert unix_as(path, 5001, 5001, [7, 4322]) == b"in"
    assert unix_as(path, 5001, 4321, [4323]) == b""
    assert unix_as(path, 5002, 4321, [4322]) == b""
    # More groups than are looked at: one of them might be denied.
    assert unix_as(path, 5001, 4321, list(range(10000, 10300))) == b""


def test_unix_beside_tcp(hatchd, folder):
    """Rules about addresses have nothing for UNIX clients: only `unix` does."""
    port = free_port()
    for name, rules, wanted in (("no", ["127.0.0.1"], False),
                                ("yes", ["127.0.0.1", "unix"], True)):
        daemon = hatchd.file(service(
            "u", listen=[f"tcp:{port}", f"unix:{folder}/{name}"],
            exec=["/bin/echo", "-n", "in"], only_from=rules))
        assert comes_in(port)
        assert comes_in(f"unix:{folder}/{name}") == wanted
        daemon.stop()


# -- lists in files


def test_list(hatchd):
    port = free_port()
    text = hello("a", port, only_from="file:friends")
    put(hatchd.folder, "# friends\n\n127.0.0.2\t# ours\r\n  127.0.0.4/30", "friends")
    hatchd.file(text)
    for number, wanted in ((1, False), (2, True), (3, False), (4, True), (7, True)):
        assert comes_in(port, f"127.0.0.{number}") == wanted


def test_other_list_counts_for_the_next(hatchd):
    """A reload finds another list under the same words; who is inside stays."""
    port = free_port()
    put(hatchd.folder, "127.0.0.1\n", "friends")
    daemon = hatchd.file(
        service("a", listen=f"tcp:{port}", exec="/bin/cat", only_from="file:friends"))
    before = daemon.listening()
    with connect(port) as inside:
        inside.sendall(b"x")
        assert inside.recv(1) == b"x"
        daemon.write("# nobody\n127.0.0.2\n", "friends")
        assert "1 changed" in reload(daemon)
        with connect(port) as sock:
            assert sock.recv(1) == b""
        inside.sendall(b"y")
        assert inside.recv(1) == b"y"
    assert daemon.listening() == before
    daemon.write("# another comment\n127.0.0.2\n", "friends")
    assert "nothing has changed" in reload(daemon)


def test_all_mistakes_of_a_list_count(hatchd):
    """What does not fit into the report is in its sum."""
    put(hatchd.folder, "no/address\n" * 1000 + "127.0.0.1\n", "friends")
    done = hatchd.check(hello("a", 7, only_from="file:friends"))
    assert done.returncode == 1
    assert done.stdout.endswith("1000 mistakes in 1 file\n")


@pytest.mark.parametrize("what", ["missing", "malformed", "writable", "FIFO"])
def test_reload_fails_closed(hatchd, what):
    port = free_port()
    path = put(hatchd.folder, "127.0.0.2\n", "friends")
    text = hello("a", port, only_from="file:friends")
    daemon = hatchd.file(text)
    if what == "malformed":
        path.write_text("127.0.0.1\n127.0.0.1/\n")
    elif what == "writable":
        path.chmod(0o666)
    else:
        path.unlink()
    if what == "FIFO":
        os.mkfifo(path)
    mark = daemon.mark()
    reload(daemon, text + hello("b", free_port()), "keeping ")
    said = {"missing": "No such file", "malformed": r"friends:2:1: error: ",
            "writable": "everybody may write to it", "FIFO": "it is a FIFO"}
    daemon.wait_log(said[what], after=mark)
    assert not comes_in(port)
    assert comes_in(port, "127.0.0.2")


def test_start_fails_closed(hatchd):
    """The file that names a list that is not there is left out, and nothing else."""
    ports = free_port(), free_port()
    folder = hatchd.folder
    (folder / "d").mkdir()
    put(folder / "d", hello("a", ports[0], only_from="file:/nonesuch"), "a.conf")
    put(folder / "d", hello("b", ports[1]), "b.conf")
    daemon = hatchd.file('include_dir("d")\n')
    daemon.wait_log("unable to read '/nonesuch'")
    assert comes_in(ports[1])
    with pytest.raises(ConnectionRefusedError):
        connect(ports[0])


def test_large_list(hatchd):
    """100,000 networks, shared by two services; other services are not larger for it."""
    draw = random.Random(4)
    ports = free_port(), free_port()
    lines = [f"{draw.randrange(1, 120)}.{draw.randrange(256)}.{draw.randrange(256)}.0/24"
             for _ in range(100000)]
    put(hatchd.folder, "\n".join([*lines, "127.0.0.5", ""]), "many")
    daemon = hatchd.file("".join(
        hello(name, port, no_access="file:many") for name, port in zip("ab", ports)))
    for port in ports:
        assert comes_in(port)
        assert not comes_in(port, "127.0.0.5")
    if IS_ROOT and not IS_SANITIZED:
        with open(f"/proc/{daemon.pid}/smaps_rollup", encoding="ascii") as f:
            sizes = dict(line.split(":") for line in f.read().split("\n")[1:] if ":" in line)
        assert int(sizes["Pss"].split()[0]) < 6000


# -- wait = yes


def datagrams(folder, count):
    return [PYTHON, "-S", "-E", helper("datagrams.py", folder), str(count)]


def test_datagram_that_would_start_the_program(hatchd, folder):
    port = free_port()
    daemon = hatchd.file(service(
        "w", listen=f"udp:{port}", wait=True, exec=datagrams(folder, 1), only_from="127.0.0.2"))
    with connect(f"udp:127.0.0.1:{port}") as stranger:
        for _ in range(40):
            stranger.send(b"no")
        daemon.wait_log(r"w: refused 127\.0\.0\.1:\d+: only_from")
        with connect(f"udp:127.0.0.1:{port}", source="127.0.0.2") as friend:
            friend.send(b"yes")
            assert friend.recv(100) == b"yes"
        daemon.wait_log("ended: exit 0")
        wait_until(lambda: daemon.children() == [])
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(100)


# -- plan


@needs_root
def test_plan_of_a_list(hatchd):
    port = free_port()
    path = put(hatchd.folder, "127.0.0.1\n", "friends")
    daemon = hatchd.file(hello("a", port, only_from="file:friends"))
    path.write_text("127.0.0.2\n")
    done = run_hatchd("--plan", "-f", daemon.config_path)
    assert "a: changed: other rules about who may come in\n" in done.stdout
    assert done.stdout.endswith("1 kept\n")
