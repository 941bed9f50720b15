"""Whom operators ban, and let in again; who is banned."""

import contextlib
import json
import re
import socket
import ssl
import struct

import pytest

from certificates import needs_tls
from harness import (
    IS_SANITIZED, comes_in, connect, free_port, have_ipv6, held_back, reload, service, talk,
    udp, unix_as, wait_until,
)
from namespace import with_mounts
from test_callers import mux, proxied, v1, v2
from test_control import ask, as_user, dial, listed
from test_rates import (
    LINKS, knock, one_datagram, sensor, talk_on_link, talk_or_nothing, two_links,
)
from test_tls_names import GIT, WEB, House
from test_udp_sessions import bye

needs_preload = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer must be loaded first")
needs_ipv6 = pytest.mark.skipif(not have_ipv6(), reason="there is no IPv6 here")

GOOD, BAD = "127.0.0.2", "127.0.0.3"
BANS_MAX = 1024  # src/policy/bans.h


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def cat(name, port, host="127.0.0.1", **options):
    return service(name, listen=f"tcp:{host}:{port}", exec="/bin/cat", **options)


def change(path, request):
    """What its line says beside that it is done."""
    answer, end = ask(path, request)
    assert answer.pop("done") is True and end["end"], answer
    return answer


def refused(path, request):
    [answer] = ask(path, request)
    return answer["error"]


def bans(path, name=""):
    *lines, end = ask(path, f"bans {name}")
    assert end == {"end": True, "reloaded": False}
    return lines


def banned(path, name=""):
    """As (source, service, by) each."""
    return [(line["source"], line["service"], line["by"]) for line in bans(path, name)]


def is_served(port, source=None):
    return comes_in(port, source, b"x")


# ---------------------------------------------------------------------------
# By operators


def test_an_address(hatchd, path):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    assert bans(path) == []
    with connect(ports[0], source=BAD) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert change(path, f"ban {BAD}") == {"source": BAD}
        daemon.wait_log(f"hatchd: {BAD} is banned from all services at the control socket, "
                        "until that is lifted$")
        assert [is_served(port, BAD) for port in ports] == [False, False]
        daemon.wait_log(rf"a: refused {BAD}:\d+: banned$")
        daemon.wait_log(rf"b: refused {BAD}:\d+: banned$")
        assert [is_served(port, GOOD) for port in ports] == [True, True]
        # Who is there stays.
        client.sendall(b"y")
        assert client.recv(1) == b"y"
    assert bans(path) == [
        {"service": None, "source": BAD, "left_usec": None, "by": "operator"}]
    # The same again is the same.
    change(path, f"ban {BAD}")
    assert len(bans(path)) == 1
    assert change(path, f"unban {BAD}") == {"source": BAD, "lifted": 1}
    daemon.wait_log(f"hatchd: bans of {BAD} are lifted at the control socket$")
    assert [is_served(port, BAD) for port in ports] == [True, True]
    assert bans(path) == []
    before = daemon.mark()
    assert refused(path, f"unban {BAD}") == "no such ban"
    change(path, f"ban {GOOD}")
    daemon.wait_log(f"{GOOD} is banned", after=before)
    assert not any("lifted" in line for line in daemon.log.lines[before:-1])


def test_a_network(hatchd, path):
    """Each of it, and each of two that lie in one another."""
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}")
    assert change(path, "ban 127.9.1.1/16") == {"source": "127.9.0.0/16"}
    change(path, "ban 127.9.1.0/24")
    assert not is_served(port, "127.9.1.2") and not is_served(port, "127.9.2.1")
    assert is_served(port, "127.8.1.2")
    assert refused(path, "unban 127.9.1.2") == "no such ban"
    change(path, "unban 127.9.0.0/16")
    assert not is_served(port, "127.9.1.2") and is_served(port, "127.9.2.1")
    assert banned(path) == [("127.9.1.0/24", None, "operator")]


def test_one_service(hatchd, path):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    change(path, f"ban {BAD} unlimited a")
    daemon.wait_log(f"a: {BAD} is banned at the control socket, until that is lifted$")
    assert [is_served(port, BAD) for port in ports] == [False, True]
    change(path, f"ban {BAD} 1h")
    assert banned(path, "b") == [(BAD, None, "operator")]
    assert banned(path, "a") == banned(path) == [
        (BAD, None, "operator"), (BAD, "a", "operator")]
    assert change(path, f"unban {BAD} a")["lifted"] == 1
    daemon.wait_log(f"hatchd: bans of {BAD} from a are lifted at the control socket$")
    assert refused(path, f"unban {BAD} a") == "no such ban"
    assert not is_served(ports[0], BAD)
    change(path, f"ban {BAD} 1h b")
    # Of whatever service.
    assert change(path, f"unban {BAD}")["lifted"] == 2
    assert [is_served(port, BAD) for port in ports] == [True, True]
    assert refused(path, f"ban {BAD} 1h c") == "no such service"


@needs_ipv6
def test_ipv6(hatchd, path):
    """Without a length it is the network of a host; IPv4 that came through IPv6 is IPv4."""
    port = free_port()
    hatchd.file(service("a", listen=f"tcp:{port}", exec="/bin/cat"), f"--control={path}")
    assert change(path, "ban ::1") == {"source": "::/64"}
    assert not is_served(f"tcp:[::1]:{port}")
    change(path, "unban ::1")
    assert change(path, "ban ::2/128") == {"source": "::2/128"}
    assert is_served(f"tcp:[::1]:{port}")
    change(path, "ban ::1/128")
    assert not is_served(f"tcp:[::1]:{port}")
    change(path, "ban ::ffff:127.0.0.3")
    assert not is_served(port, BAD) and is_served(port, GOOD)
    assert banned(path) == [
        (BAD, None, "operator"), ("::1/128", None, "operator"), ("::2/128", None, "operator")]


@needs_preload
def test_time(hatchd, path, world):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}", env=world.env)
    change(path, f"ban {BAD} 1h")
    daemon.wait_log(f"{BAD} is banned from all services at the control socket, for 1 h$")
    change(path, "ban 127.9.0.0/16 2h")
    [long, short] = bans(path)
    assert 0 < 3600e6 - short["left_usec"] < 60e6 and 0 < 7200e6 - long["left_usec"] < 60e6
    world.is_later(3000)
    assert not is_served(port, BAD)
    assert bans(path)[1]["left_usec"] < 600e6
    world.is_later(3700)
    assert is_served(port, BAD) and not is_served(port, "127.9.9.9")
    assert banned(path) == [("127.9.0.0/16", None, "operator")]
    # Another time counts from now on.
    change(path, "ban 127.9.0.0/16 1min")
    world.is_later(3800)
    assert is_served(port, "127.9.9.9") and bans(path) == []
    assert refused(path, "unban 127.9.0.0/16") == "no such ban"


def test_reloads(hatchd, path):
    """That of a service waits for it, should it be removed meanwhile."""
    ports = [free_port(), free_port()]
    config = cat("a", ports[0]) + cat("b", ports[1])
    daemon = hatchd.file(config, f"--control={path}")
    change(path, "ban 127.9.0.0/16")
    change(path, f"ban {BAD} 1h a")
    reload(daemon, cat("b", ports[1]))
    assert is_served(ports[1], BAD) and not is_served(ports[1], "127.9.1.1")
    assert banned(path) == [("127.9.0.0/16", None, "operator"), (BAD, "a", "operator")]
    reload(daemon, config)
    assert not is_served(ports[0], BAD) and is_served(ports[1], BAD)
    assert not is_served(ports[0], "127.9.1.1")
    reload(daemon, cat("b", ports[1]))
    # Also while it is away.
    assert change(path, f"unban {BAD} a")["lifted"] == 1
    reload(daemon, config)
    assert is_served(ports[0], BAD)


def test_full(hatchd, path):
    """An error, and nobody is let in for it."""
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}")
    for number in range(BANS_MAX):
        change(path, f"ban 127.{number // 250 + 10}.{number % 250}.0/24")
    assert refused(path, f"ban {BAD}") == "there are as many bans as there may be"
    assert is_served(port, BAD)
    assert not is_served(port, "127.10.0.9") and not is_served(port, "127.14.23.1")
    # More of them than are written at once, in their order.
    lines = bans(path)
    numbers = [tuple(map(int, re.findall(r"\d+", line["source"]))) for line in lines]
    assert len(lines) == BANS_MAX and numbers == sorted(set(numbers))
    change(path, "unban 127.10.7.0/24")
    change(path, f"ban {BAD}")
    assert not is_served(port, BAD) and is_served(port, "127.10.7.1")


def test_adhoc(hatchd, path):
    """It has one service, whatever its name is."""
    port = free_port()
    hatchd.adhoc("-l", f"tcp:127.0.0.1:{port}", f"--control={path}", "--", "/bin/cat")
    [line] = listed(path)
    change(path, f"ban {BAD} 1h {line['service']}")
    assert not is_served(port, BAD)
    assert banned(path) == [(BAD, line["service"], "operator")]


@pytest.mark.needs_root
def test_who_may_ban(hatchd, path, folder):
    gid = 54321
    groups = folder / "group"
    groups.write_text(f"root:x:0:\nhatchd-admin:x:{gid}:\n")
    launcher = with_mounts('mount --bind "$1" /etc/group || exit 99; shift; exec "$@"', groups)
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}", launcher=launcher)
    change(path, f"ban {BAD}")
    for request in f"ban {GOOD}", f"unban {BAD}":
        answer = as_user(65534, path, [gid], request).stdout
        assert json.loads(answer) == {"error": "only root may do that"}
    assert json.loads(as_user(65534, path, [gid], "bans").stdout)["source"] == BAD
    assert is_served(port, GOOD) and not is_served(port, BAD)


# ---------------------------------------------------------------------------
# Wherever clients come in


def test_behind_a_proxy(hatchd, path):
    """It is the client who is banned, and not who speaks for him."""
    port = free_port()
    daemon = hatchd.file(
        proxied(listen=f"tcp:{port}", proxies="127.0.0.1"), f"--control={path}")
    change(path, "ban 192.0.2.0/24")
    for header in v1, v2:
        assert talk_or_nothing(port, data=header(peer="192.0.2.7") + b"x") == b""
        assert talk(port, header(peer="192.0.3.7") + b"x") == b"x"
    daemon.wait_log(r"p: refused 192.0.2.7:4711.*: banned$")
    # A proxy is no client.
    change(path, "ban 127.0.0.1")
    assert talk(port, v1(peer="192.0.3.7") + b"x") == b"x"


def test_tcpmux(hatchd, path):
    """Of a service that he chooses by its name, and of the one that he asks."""
    port = free_port()
    daemon = hatchd.file(
        mux(port) + service("a", tcpmux="plus", exec="/bin/cat")
        + service("b", tcpmux="plus", exec="/bin/cat"), f"--control={path}")
    change(path, "ban 127.0.0.1 1h a")
    assert talk(port, b"a\r\nx").startswith(b"-")
    assert talk(port, b"b\r\nx") == b"+go\r\nx"
    daemon.wait_log(r"a: refused 127.0.0.1:\d+: banned$")
    change(path, "ban 127.0.0.1")
    assert talk_or_nothing(port, data=b"b\r\nx") == b""
    daemon.wait_log(r"mux: refused 127.0.0.1:\d+: banned$")


@needs_tls
def test_names_of_tls(hatchd, path, certificates):
    """Before he has shaken hands, if he is banned from all; else when he has chosen."""
    house = House(certificates)

    def who(names):
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            return house.who(names[0])[0]
        return ""

    daemon = hatchd.file(house.service("web", *WEB) + house.service("git", *GIT),
                         f"--control={path}")
    change(path, "ban 127.0.0.1 1h git")
    assert who(WEB) == "web" and who(GIT) == ""
    daemon.wait_log(r"git: refused 127.0.0.1:\d+: banned$")
    change(path, "ban 127.0.0.1")
    before = daemon.mark()
    assert who(WEB) == ""
    daemon.wait_log(r"refused 127.0.0.1:\d+: banned$", after=before)


def test_datagrams(hatchd, path, folder):
    """A program for each who sends, and one for all of them."""
    ports = [free_port(), free_port()]
    each = service("a", listen=f"udp4:{ports[0]}", exec="/bin/cat")
    all_ = service("b", listen=f"udp4:{ports[1]}", wait=True, exec=one_datagram(folder))
    daemon = hatchd.file(each + all_, f"--control={path}")
    with connect(f"udp:127.0.0.1:{ports[0]}") as client:
        client.send(b"x")
        assert client.recv(1) == b"x"
        bye(client)
    change(path, f"ban {BAD}")
    for port, name in zip(ports, "ab"):
        with connect(f"udp:127.0.0.1:{port}", source=BAD) as client:
            client.send(b"x")
            daemon.wait_log(rf"{name}: refused {BAD}:\d+: banned$")
    assert listed(path, "list b")[0]["started"] == 0
    assert udp(f"udp:127.0.0.1:{ports[1]}", b"x") == [b"x"]


@pytest.mark.needs_root
def test_users(hatchd, path, folder):
    place = folder / "socket"
    folder.chmod(0o755)
    hatchd.file(service("a", listen=f"unix:{place}", socket_mode="0666", shell="echo hello"),
                f"--control={path}")
    assert change(path, "ban uid:65534") == {"source": "uid:65534"}
    assert unix_as(place, 65534, 65534) == b""
    assert unix_as(place, 65533, 65534) == b"hello\n"
    assert banned(path) == [("uid:65534", None, "operator")]
    change(path, "unban uid:65534")
    assert unix_as(place, 65534, 65534) == b"hello\n"


@pytest.mark.needs_root
@needs_ipv6
def test_links(hatchd, path):
    """One who is on that link, and all who are on any."""
    port = free_port()
    with two_links():
        hatchd.file(service("a", listen=f"tcp6:{port}", shell="echo hello"),
                    f"--control={path}")
        here, there = LINKS

        def heard(number):
            return [talk_on_link(port, link, number) == b"hello\n" for link in (here, there)]

        assert change(path, f"ban fe80::1%{here}") == {"source": f"fe80::1%{here}"}
        change(path, "ban fe80::2")
        assert [heard(number) for number in (1, 2, 3)] == [
            [False, True], [False, False], [True, True]]
        change(path, f"ban fe80::%{there}/10")
        assert [heard(number) for number in (1, 2, 3)] == [
            [False, False], [False, False], [True, False]]
        assert banned(path)[0][0] == f"fe80::%{there}/10"
        change(path, f"unban fe80::%{there}/10")
        assert heard(3) == [True, True]


# ---------------------------------------------------------------------------
# By rules


def greedy(name, port, **options):
    return service(name, listen=f"tcp4:{port}", exec="/bin/cat", per_source_rate="1/1h",
                   overflow_source="ban 2h", **options)


def test_by_rules(hatchd, path):
    """They are shown and lifted; who is let in again has his rate again."""
    trap, port = free_port(), free_port()
    daemon = hatchd.file(sensor(trap, "1h") + greedy("a", port), f"--control={path}")
    assert not is_served(trap, BAD)
    assert is_served(port, GOOD) and not is_served(port, GOOD)
    wait_until(lambda: len(bans(path)) == 2)
    everywhere, of_one = sorted(bans(path), key=lambda line: line["service"] or "")
    assert 0 < 3600e6 - everywhere.pop("left_usec") < 60e6
    assert 0 < 7200e6 - of_one.pop("left_usec") < 60e6
    assert everywhere == {"service": None, "source": BAD, "by": "rule"}
    assert of_one == {"service": "a", "source": GOOD, "by": "rule"}
    assert len(bans(path, "a")) == 2 and len(bans(path, "trap")) == 1

    assert refused(path, f"unban {GOOD} trap") == "no such ban"
    assert refused(path, f"unban {BAD} a") == "no such ban"
    assert change(path, f"unban {GOOD} a") == {"source": GOOD, "lifted": 1}
    assert is_served(port, GOOD) and not is_served(port, GOOD)
    assert not is_served(port, BAD)
    # Both, and that of an operator, by the network that they are of.
    change(path, "ban 127.0.0.0/29")
    assert change(path, "unban 127.0.0.0/29")["lifted"] == 3
    assert is_served(port, GOOD) and is_served(port, BAD) and bans(path) == []
    daemon.wait_log("bans of 127.0.0.0/29 are lifted at the control socket$")


def test_as_networks(hatchd, path):
    """Whoever counts as a network is banned as one, and let in again by an address of it."""
    port = free_port()
    config = greedy("a", port, source_prefix4=24)
    daemon = hatchd.file(config, f"--control={path}")
    assert is_served(port, "127.9.1.1") and not is_served(port, "127.9.1.2")
    wait_until(lambda: bans(path))
    assert banned(path) == [("127.9.1.0/24", "a", "rule")]
    # That it was one is not forgotten when others are told apart in another way.
    reload(daemon, greedy("a", port))
    assert banned(path) == [("127.9.1.0/24", "a", "rule")]
    reload(daemon, config)
    assert not is_served(port, "127.9.1.3")
    assert change(path, "unban 127.9.1.77") == {"source": "127.9.1.77", "lifted": 1}
    assert is_served(port, "127.9.1.3")


def test_of_a_service_that_is_gone(hatchd, path):
    """Nobody can come there, so nobody is shown; with its children it comes back."""
    ports = [free_port(), free_port()]
    other = cat("b", ports[1])
    daemon = hatchd.file(greedy("a", ports[0]) + other, f"--control={path}")
    with connect(ports[0], source=GOOD) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert not is_served(ports[0], GOOD)
        wait_until(lambda: len(bans(path)) == 1)
        reload(daemon, other)
        assert banned(path) == [(GOOD, "a", "rule")]
    wait_until(lambda: bans(path) == [])


def test_many_by_rules(hatchd, path):
    """More than are written at once, each of them once, and all lifted in one go."""
    trap, n = free_port(), 3000
    daemon = hatchd.file(sensor(trap, "1h"), f"--control={path}")
    expected = {f"127.{i // 250 + 10}.{i % 250}.1" for i in range(n)}
    for source in expected:
        knock(trap, source)
    wait_until(lambda: len(bans(path)) == n)
    assert {line["source"] for line in bans(path)} == expected
    change(path, f"ban {BAD}")
    assert change(path, "unban 127.10.0.0/16")["lifted"] == 250
    assert change(path, "unban 0.0.0.0/0")["lifted"] == n - 250
    assert banned(path) == [(BAD, None, "operator")]
    daemon.wait_log("are lifted at the control socket", count=2)


def test_who_leaves_before_he_is_told(hatchd, path):
    """Half of the answer does no harm."""
    trap, port = free_port(), free_port()
    daemon = hatchd.file(sensor(trap, "1h") + cat("a", port), f"--control={path}")
    for i in range(500):
        knock(trap, f"127.10.{i // 250}.{i % 250 + 1}")
    wait_until(lambda: len(bans(path)) == 500)
    for request in b"bans\n", b"unban 127.10.0.0/24\n":
        with dial(path) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with held_back(daemon):
                client.sendall(request)
                client.close()
    assert is_served(port, GOOD)
    assert refused(path, "unban 127.11.0.0/16") == "no such ban"
