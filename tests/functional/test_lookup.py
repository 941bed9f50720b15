"""Clients that are asked after before they come in: their names, and who they are.

DNS and identd are stubs that say what is to be said (nameserver.py), and the daemon knows of
no others.
"""

import contextlib
import json
import re
import select
import socket
import time

import pytest

from harness import (
    connect, free_port, hatchctl, have_ipv6, put, read_all, read_exactly, read_line,
    service, stanza, talk, wait_until,
)
from nameserver import (
    A, AAAA, NEVER, NXDOMAIN, PTR, REFUSED, SERVFAIL, TRUNCATED, Identd, NameServer, address,
    alias, error, good, pointer, reverse, says,
)
from namespace import Resolver, own_system, receiver
from test_callers import banner, by_name, mux, proxied, v1
from test_daemon import background  # noqa: F401, a fixture
from upgrades import ask_for_upgrade

pytestmark = pytest.mark.needs_root

# Clients, and what most of them are called.
HOST, OTHER, THIRD = "127.0.0.5", "127.0.0.6", "127.0.0.7"
NAME = "good.example.org"

SAY_WHO = 'echo "$REMOTE_HOST|$TCPREMOTEHOST|$REMOTE_INFO|$TCPREMOTEINFO"'


def known(host, name="", user=""):
    """What is said by SAY_WHO."""
    return f"{name or host}|{name}|{user}|{user}\n".encode()


# One name server at three addresses: so one that never answers is waited for until the
# time is over, and not until its client has tried often enough.
SERVERS = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@pytest.fixture
def dns():
    with NameServer(*SERVERS) as server:
        server.host(NAME, HOST)
        yield server


@pytest.fixture
def resolver(folder, dns):
    return Resolver(folder, *SERVERS)


@pytest.fixture
def start(hatchd, dns, resolver):
    """start(text, ...): a daemon that asks there; in the end it waits for nobody."""

    def started(*texts, **more):
        return hatchd.file("".join(texts), "-v", launcher=resolver.launcher, **more)

    yield started
    dns.release()


def asking(name, port, **options):
    """A service that says who its client is."""
    if not {"exec", "shell", "builtin", "redirect"} & set(options):
        options["shell"] = SAY_WHO
    options.setdefault("resolve", True)
    return service(name, listen=f"tcp:127.0.0.1:{port}", **options)


def is_decided(sock):
    """Whether somebody has said something to him, or closed."""
    return bool(select.select([sock], [], [], 0)[0])


def is_turned_away(port, source):
    return talk(port, source=source) == b""


def refusals(daemon, reason):
    return len(re.findall(rf"refused .*: {reason}$", daemon.log.text(), re.MULTILINE))


# ---------------------------------------------------------------------------
# Names


def test_name(start, dns):
    """It is in the environment and in the record; who has none comes in without one."""
    port = free_port()
    daemon = start(asking("s", port))
    assert talk(port, source=HOST) == known(HOST, NAME)
    daemon.wait_log(rf"s: child \d+ ended: .*, from {HOST}:\d+ \({NAME}\)$")
    assert talk(port, source=OTHER) == known(OTHER)
    daemon.wait_log(rf"s: child \d+ ended: .*, from {OTHER}:\d+$")
    assert dns.asked[reverse(HOST), PTR] and dns.asked[NAME, A]


def test_answers_are_kept(start, dns):
    """Names for as long as their server says, but not users: each has another connection."""
    dns.put(NAME, A, address(HOST, ttl=60))
    port = free_port()
    with Identd(HOST, good(b"joe")) as identd:
        start(asking("s", port, ident="yes"))
        for _ in range(5):
            assert talk(port, source=HOST) == known(HOST, NAME, "joe")
        # On a slow machine a question may be put twice, before its first answer comes.
        assert 0 < dns.asked[reverse(HOST), PTR] < 5 and 0 < dns.asked[NAME, A] < 5
        assert len(set(identd.asked)) == 5


def test_only_from_is_exact(start, dns):
    dns.host("sub.good.example.org", OTHER)
    port = free_port()
    daemon = start(asking("s", port, only_from=NAME))
    assert talk(port, source=HOST) == known(HOST, NAME)
    assert is_turned_away(port, OTHER)
    daemon.wait_log(rf"s: refused {OTHER}:\d+ \(sub\.good\.example\.org\): only_from$")
    assert is_turned_away(port, THIRD)
    daemon.wait_log(rf"s: refused {THIRD}:\d+: only_from$")


def test_only_from_a_domain(start, dns):
    """Not the domain itself, and no other that ends with the same letters."""
    names = {
        "127.0.1.1": ("www.example.org", True),
        "127.0.1.2": ("a.b.example.org", True),
        "127.0.1.3": ("example.org", False),
        "127.0.1.4": ("badexample.org", False),
        "127.0.1.5": ("www.example.org.evil.net", False),
    }
    port = free_port()
    start(asking("s", port, only_from=".example.org"))
    for host, (name, comes_in) in names.items():
        dns.host(name, host)
        assert talk(port, source=host) == (known(host, name) if comes_in else b"")


def test_capitals(start, dns):
    dns.put(reverse(HOST), PTR, pointer("GOOD.Example.ORG"))
    port = free_port()
    start(asking("s", port, only_from="gooD.exaMPLE.org"))
    assert talk(port, source=HOST) == known(HOST, NAME)


def test_beside_addresses(start, dns):
    """An address decides first: whoever is in a list of these needs no name for it."""
    dns.host(NAME, HOST, OTHER)
    dns.put(reverse(THIRD), PTR, SERVFAIL)
    port = free_port()
    daemon = start(asking("s", port, only_from=[NAME, THIRD], no_access=OTHER))
    assert talk(port, source=HOST) == known(HOST, NAME)
    assert talk(port, source=THIRD) == known(THIRD)
    assert is_turned_away(port, OTHER)
    daemon.wait_log(rf"s: refused {OTHER}:\d+: no_access$")
    assert dns.asked[reverse(OTHER), PTR] == 0


def test_names_in_a_file(start, dns, folder):
    names = put(folder, f"# friends\n{NAME}\n127.0.0.9\n.example.net\n", "friends")
    dns.host("www.example.net", OTHER)
    port = free_port()
    start(asking("s", port, only_from=f"file:{names}"))
    assert talk(port, source=HOST) == known(HOST, NAME)
    assert talk(port, source=OTHER) == known(OTHER, "www.example.net")
    assert is_turned_away(port, THIRD)


def test_ipv6_and_both(start, dns):
    """Also where IPv4 comes to a socket of IPv6."""
    if not have_ipv6():
        pytest.skip("this machine has no IPv6")
    dns.host("six.example.org", "::1")
    port = free_port()
    with Identd(HOST, good(b"joe")), Identd("::1", good(b"jane")):
        start(service("s", listen=f"tcp:{port}", shell=SAY_WHO, resolve=True,
                      ident="required", only_from=".example.org"))
        assert talk(port, source=HOST) == known(HOST, NAME, "joe")
        assert talk(f"tcp:[::1]:{port}") == known("::1", "six.example.org", "jane")
    assert dns.asked[reverse("::1"), PTR] and dns.asked["six.example.org", AAAA]


def test_hosts_come_first(start, dns, resolver):
    """What the administrator has written is not asked about, nor contradicted."""
    resolver.hosts.write(f"{OTHER} printer.lan other.lan\n{THIRD} {NAME}\n")
    port = free_port()
    start(asking("s", port, only_from=["printer.lan", NAME]))
    assert talk(port, source=OTHER) == known(OTHER, "printer.lan")
    assert talk(port, source=THIRD) == known(THIRD, NAME)
    assert not dns.asked
    # The name server says that this is one too; but it has another address here.
    assert is_turned_away(port, HOST)
    assert dns.asked[reverse(HOST), PTR] and not dns.asked[NAME, A]


def test_only_files(start, dns, resolver):
    """As nsswitch.conf(5) says."""
    resolver.order.write("hosts: files\n")
    resolver.hosts.write(f"{OTHER} printer.lan\n")
    port = free_port()
    start(asking("s", port))
    assert talk(port, source=OTHER) == known(OTHER, "printer.lan")
    assert talk(port, source=HOST) == known(HOST)
    assert not dns.asked


# ---------------------------------------------------------------------------
# What name servers say


def other_number(query):
    return [query.answer(pointer(NAME), number=query.number ^ 0x5555)]


def other_question(query):
    question = b"\x03www" + query.question[query.question.index(b"\0") - 4:]
    return [query.answer(pointer(NAME), question=question)]


def other_kind(query):
    return [query.answer(pointer(NAME), question=query.question[:-4] + b"\0\x10\0\1")]


def garbage(query):
    return [b"\xff" * 200, b"", b"\0", bytes(range(256))]


def cut_short(query):
    return [query.answer(pointer(NAME))[:-7]]


def endless_names(query):
    """Compressed into themselves."""
    packet = query.answer(pointer(NAME))
    return [packet[:-18] + b"\xc0" + bytes([len(packet) - 18]) + packet[-16:]]


def flood(query):
    """Before the answer that there is none."""
    return [query.answer(pointer(NAME), number=(query.number + n) & 0xffff)
            for n in range(1, 1000)] + [query.answer(code=NXDOMAIN)]


def from_elsewhere(query):
    """The right answer of somebody who was not asked."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.99", 53))
        sock.sendto(query.answer(pointer(NAME)), query.client)
    return []


def silent_over_tcp(query):
    return [] if query.over_tcp else [query.answer(flags=TRUNCATED)]


def garbage_over_tcp(query):
    return garbage(query) if query.over_tcp else [query.answer(flags=TRUNCATED)]


def circle(query):
    return [query.answer(alias("x.example.org"), alias(query.name, owner="x.example.org"))]


# What is said to a question for the names of an address.
LIES = {
    "no such name": [NXDOMAIN],
    "nothing": [],
    "it fails": [SERVFAIL],
    "it does not want to": [REFUSED],
    "never": [NEVER],
    "a name of somebody else": [pointer("other.example.org")],
    "a name that does not exist": [pointer("nothing.example.org")],
    "a name whose server fails": [pointer("fails.example.org")],
    "a name whose server does not answer": [pointer("never.example.org")],
    "to another question": [other_question],
    "to a question of another kind": [other_kind],
    "with another number": [other_number],
    "garbage": [garbage],
    "cut short": [cut_short],
    "names without an end": [endless_names],
    "a circle": [circle],
    "cut, and cut again": [lambda query: [query.answer(flags=TRUNCATED)]],
    "cut, and silent over TCP": [silent_over_tcp],
    "cut, and garbage over TCP": [garbage_over_tcp],
    "a flood": [flood],
    "by somebody who was not asked": [from_elsewhere],
    "an address": [address(HOST)],
    "addresses for names": [pointer("127.0.0.1")],
    "control characters": [pointer([b"good\x1b[2J", "example", "org"])],
    "the end of a line": [pointer([b"good\nhatchd", "example", "org"])],
    "percent": [pointer(["%n%s%n%s", "example", "org"])],
    "blanks": [pointer(["good ", "example", "org"])],
    "a dot in a label": [pointer([b"good.example", "org"])],
    "a NUL": [pointer([b"good\0", "example", "org"])],
    "a NUL behind it": [pointer(["good", "example", b"org\0"])],
    "255 bytes": [pointer(["x" * 63] * 3 + ["y" * 61])],
    "the root": [pointer([])],
    "the same as the hundredth": [*[pointer(f"n{i}.example.org") for i in range(99)],
                                  pointer(NAME)],
}


@pytest.mark.parametrize("lie", LIES)
def test_whom_nobody_knows(start, dns, lie):
    """He is not let in by a name (CVE-2000-0536), has none elsewhere, and is one line of the
    log; somebody else is known all the while."""
    dns.put("other.example.org", A, address(OTHER))
    dns.put("fails.example.org", A, SERVFAIL)
    dns.put("never.example.org", A, NEVER)
    for i in range(99):
        dns.put(f"n{i}.example.org", A, address(OTHER))
    dns.put(reverse(THIRD), PTR, *LIES[lie])
    listed, open_ = free_port(), free_port()
    daemon = start(
        asking("listed", listed, only_from=[".example.org", ".org"], lookup_timeout="300ms"),
        asking("open", open_, lookup_timeout="300ms"))
    with connect(listed, source=THIRD) as one, connect(open_, source=THIRD) as other:
        assert talk(listed, source=HOST) == known(HOST, NAME)
        assert read_all(one) == b""
        assert read_all(other) == known(THIRD)
    daemon.wait_log(rf"^hatchd: listed: refused {THIRD}:\d+: only_from$")
    daemon.wait_log(rf"^hatchd: open: child \d+ ended: exit 0, .*, from {THIRD}:\d+$")
    assert daemon.log.text().replace("\n", "").isprintable()
    assert dns.asked[reverse(THIRD), PTR] > 0


def test_unknown_ones_are_told_of(start, dns):
    """A name server that fails is news to the operator, a client without a name is not."""
    dns.put(reverse(THIRD), PTR, SERVFAIL)
    port = free_port()
    daemon = start(asking("s", port))
    assert talk(port, source=OTHER) == known(OTHER)
    assert "unable to look up" not in daemon.log.text()
    assert talk(port, source=THIRD) == known(THIRD)
    daemon.wait_log(rf"s: unable to look up name of {THIRD}: who was asked failed")


def test_one_of_several_names(start, dns):
    """The first that leads back; what others say who have that address means nothing."""
    dns.put(reverse(HOST), PTR, pointer("trusted.example.net"), pointer("nothing.example.org"),
            pointer(NAME), pointer("late.example.org"))
    dns.put("trusted.example.net", A, address(OTHER))
    dns.put("late.example.org", A, address(HOST))
    port = free_port()
    start(asking("s", port))
    assert talk(port, source=HOST) == known(HOST, NAME)


def test_a_name_with_many_addresses(start, dns):
    dns.put(NAME, A, *(address(f"127.1.0.{i}") for i in range(20)), address(HOST))
    port = free_port()
    start(asking("s", port, only_from=NAME))
    assert talk(port, source=HOST) == known(HOST, NAME)


def test_aliases(start, dns):
    """RFC 2317 has them on the way to a name, and a name may be one."""
    dns.put(reverse(HOST), PTR, alias("5.0-127.0.0.127.in-addr.arpa"),
            pointer("alias.example.org", owner="5.0-127.0.0.127.in-addr.arpa"))
    dns.put("alias.example.org", A, alias("real.example.net"),
            address(HOST, owner="real.example.net"))
    port = free_port()
    start(asking("s", port, only_from="alias.example.org"))
    assert talk(port, source=HOST) == known(HOST, "alias.example.org")


def test_long_answers(start, dns):
    """More than goes into a datagram is asked for over TCP."""
    dns.host(NAME, HOST, names=[NAME, *(f"{'x' * 60}.n{i}.example.org" for i in range(99))])
    port = free_port()
    start(asking("s", port, only_from=NAME))
    assert talk(port, source=HOST) == known(HOST, NAME)
    assert dns.asked[reverse(HOST), PTR, "tcp"] > 0


def test_the_longest_name(start, dns):
    """253 characters; the record has all of it."""
    name = ".".join(["x" * 63] * 3 + ["y" * 57, "org"])
    assert len(name) == 253
    dns.host(name, HOST)
    port = free_port()
    daemon = start(asking("s", port, only_from=".org"))
    assert talk(port, source=HOST) == known(HOST, name)
    daemon.wait_log(rf"ended: exit 0, .*, from {HOST}:\d+ \({name}\)$")


def test_forged_answers_before_the_right_one(start, dns):
    """Whoever guesses wrong changes nothing."""
    forged = "forged.example.org"
    dns.put(forged, A, address(HOST))

    def race(query):
        return [query.answer(pointer(forged), number=n) for n in range(query.number)][-50:] + [
            query.answer(pointer(forged), question=b"\1x" + query.question),
            query.answer(pointer(NAME))]

    dns.put(reverse(HOST), PTR, race)
    port = free_port()
    start(asking("s", port))
    assert talk(port, source=HOST) == known(HOST, NAME)


def test_second_server(start, dns, resolver):
    """The first one fails."""
    with NameServer("127.0.0.4") as second:
        second.host("second.example.org", HOST)
        dns.put(reverse(HOST), PTR, SERVFAIL)
        dns.put("second.example.org", A, SERVFAIL)
        resolver.ask("127.0.0.1", "127.0.0.4")
        port = free_port()
        start(asking("s", port))
        assert talk(port, source=HOST) == known(HOST, "second.example.org")
        assert dns.asked[reverse(HOST), PTR] > 0


def test_no_server(hatchd, folder):
    """Nobody is there; that is found out at once."""
    resolver = Resolver(folder, "127.0.0.9")
    port = free_port()
    hatchd.file(asking("s", port, lookup_timeout="10s"), launcher=resolver.launcher)
    assert talk(port, source=HOST) == known(HOST)


# ---------------------------------------------------------------------------
# How long it takes


def test_time_is_kept(start, dns):
    """He who may wait for less is decided about before him who may wait for more."""
    dns.put(reverse(THIRD), PTR, NEVER)
    dns.put(reverse(OTHER), PTR, NEVER)
    short, listed, long_ = (free_port() for _ in range(3))
    daemon = start(
        asking("short", short, lookup_timeout="300ms"),
        asking("listed", listed, lookup_timeout="300ms", only_from=NAME),
        asking("long", long_, lookup_timeout="10s"))
    with connect(long_, source=OTHER) as patient:
        dns.wait_asked(reverse(OTHER), PTR)
        begun = time.monotonic()
        assert talk(short, source=THIRD) == known(THIRD)
        assert time.monotonic() - begun >= 0.3
        begun = time.monotonic()
        assert is_turned_away(listed, THIRD)
        assert time.monotonic() - begun >= 0.3
        daemon.wait_log(
            rf"short: unable to look up name of {THIRD}: nobody has answered in time")
        assert not is_decided(patient)


def test_never_in_the_way(start, dns):
    """While somebody is asked after for long: others of his service, and other services."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port, other, plain = free_port(), free_port(), free_port()
    start(asking("s", port, lookup_timeout="10s"), asking("t", other, lookup_timeout="10s"),
          service("plain", listen=f"tcp:{plain}", exec="/bin/cat"))
    with connect(port, source=THIRD) as waits:
        dns.wait_asked(reverse(THIRD), PTR)
        for _ in range(5):
            assert talk(port, source=HOST) == known(HOST, NAME)
            assert talk(other, source=HOST) == known(HOST, NAME)
            assert talk(plain, b"x", source=THIRD) == b"x"
        assert not is_decided(waits)


CROWD = 200


@pytest.mark.parametrize("what", ["resolve", "ident"])
def test_crowd_of_one_source(start, dns, what):
    """Whose name servers, or whose identd, never answer: in nobody's way but its own."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    options = {"lookup_timeout": "10s", "pending": 1000, "pending_per_source": 1000,
               "ident": "yes" if what == "ident" else "no", "resolve": what == "resolve"}
    name, user = (NAME, "") if what == "resolve" else ("", "joe")
    daemon = start(asking("s", port, **options))
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(Identd(THIRD))
        stack.enter_context(Identd(HOST, good(b"joe")))
        crowd = [stack.enter_context(connect(port, source=THIRD)) for _ in range(CROWD)]
        daemon.wait_log(rf"s: accept from {THIRD}", count=CROWD)
        if what == "resolve":
            dns.wait_asked(reverse(THIRD), PTR)
        else:
            silent.wait_asked()
        for _ in range(3):
            assert talk(port, source=HOST) == known(HOST, name, user)
        # Whom there was no room for comes in without a user; some wait all the same.
        waiting = [client for client in crowd if not is_decided(client)]
        assert len(waiting) >= 16


def test_crowd_of_many_sources(start, dns):
    """More than can be asked after at a time; the oldest of them makes room."""
    port = free_port()
    sources = [f"127.0.2.{i}" for i in range(1, 101)]
    for source in sources:
        dns.put(reverse(source), PTR, NEVER)
    start(asking("s", port, lookup_timeout="10s", pending=1000))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port, source=source)) for source in sources]
        for source in sources:
            dns.wait_asked(reverse(source), PTR)
        assert talk(port, source=HOST) == known(HOST, NAME)
        assert read_all(clients[0]) == known(sources[0])
        assert not is_decided(clients[-1])


# ---------------------------------------------------------------------------
# Who they are


# What an identd says, and who that is.
USERS = {
    "a user": (good(b"joe"), "joe"),
    "with a system and a character set": (
        lambda ports: ports + b":USERID:OTHER,US-ASCII:joe\r\n", "joe"),
    "blanks around it": (good(b" \t joe \t "), "joe"),
    "blanks inside": (good(b"joe doe"), "joe?doe"),
    "control characters": (good(b"joe\x1b[2J\x07\x7f"), "joe?[2J??"),
    "a lone LF": (good(b"joe\nhatchd: forged"), ""),
    "a lone CR": (good(b"joe\rforged"), ""),
    "a second line": (good(b"joe\r\nhatchd: forged"), "joe"),
    "percent": (good(b"%n%s%n%s"), "%n%s%n%s"),
    "shell": (good(b"$(reboot)`reboot`;'\""), "$(reboot)`reboot`;'\""),
    "bytes that are no text": (good(b"j\xf6\xff\xfe"), "j???"),
    "colons": (good(b"a:b:c"), "a:b:c"),
    "512 bytes": (good(b"x" * 512), "x" * 64),
    "513 bytes": (good(b"x" * 513), ""),
    "no name": (good(b""), ""),
    "a NUL": (good(b"joe\0root"), ""),
    "nothing but NULs": (says(b"\0" * 1000), ""),
    "nobody": (error(b"NO-USER"), ""),
    "not told": (error(b"HIDDEN-USER"), ""),
    "an error and a user": (lambda ports: ports + b" : ERROR : USERID : UNIX : root\r\n", ""),
    "64 kB without an end": (says(b"x" * 65536), ""),
    "64 kB of a name": (good(b"x" * 65536), ""),
    "a megabyte of %n": (good(b"%n%s" * 262144), ""),
    "closes at once": (says(b""), ""),
    "half a line": (lambda ports: ports + b" : USERID : UNIX : joe", ""),
    "other ports": (says(b"1 , 2 : USERID : UNIX : root\r\n"), ""),
    "the ports the other way round": (
        lambda ports: b" , ".join(ports.split(b" , ")[::-1]) + b" : USERID : UNIX : root\r\n",
        ""),
    "ports that are the same in 16 bits": (
        lambda ports: b"%d , %d : USERID : UNIX : root\r\n" % tuple(
            int(port) + 65536 for port in ports.split(b" , ")), ""),
    "garbage": (says(bytes(range(1, 256)) * 4), ""),
    "never": (None, ""),
}


@pytest.mark.parametrize("case", USERS)
def test_ident(start, case):
    """`yes` tells what is known, `required` refuses where nothing is."""
    said, user = USERS[case]
    wanted, required = free_port(), free_port()
    # Only where nobody is going to answer does the test wait for the end of this.
    timeout = "10s" if said else "300ms"
    daemon = start(
        asking("wanted", wanted, resolve=False, ident="yes", lookup_timeout=timeout),
        asking("required", required, resolve=False, ident="required", lookup_timeout=timeout))
    with Identd(HOST, said) as identd:
        assert talk(wanted, source=HOST) == known(HOST, user=user)
        assert talk(required, source=HOST) == (known(HOST, user=user) if user else b"")
        with connect(wanted, source=HOST) as client:
            ports = b"%d , %d" % (client.getsockname()[1], wanted)
            identd.wait_asked(3)
            assert identd.asked[2] == ports
            read_all(client)
    who = re.escape(f" (user {user})") if user else ""
    daemon.wait_log(rf"^hatchd: wanted: child \d+ ended: .*, from {HOST}:\d+{who}$", count=2)
    if user:
        daemon.wait_log(rf"^hatchd: required: child \d+ ended: .*, from {HOST}:\d+{who}$")
    else:
        daemon.wait_log(rf"^hatchd: required: refused {HOST}:\d+: ident$")
    assert daemon.log.text().replace("\n", "").isprintable()
    assert "forged" not in daemon.log.text()


def test_no_identd(start):
    """Most machines have none, and that is found out at once."""
    wanted, required = free_port(), free_port()
    daemon = start(
        asking("wanted", wanted, ident="yes", lookup_timeout="10s"),
        asking("required", required, ident="required", lookup_timeout="10s"))
    assert talk(wanted, source=HOST) == known(HOST, NAME)
    assert is_turned_away(required, HOST)
    daemon.wait_log(rf"required: refused {HOST}:\d+ \({NAME}\): ident$")


def test_name_and_user(start):
    port = free_port()
    with Identd(HOST, good(b"joe")):
        daemon = start(asking("s", port, ident="required", only_from=NAME))
        assert talk(port, source=HOST) == known(HOST, NAME, "joe")
        daemon.wait_log(rf"ended: .*, from {HOST}:\d+ \({NAME}, user joe\)$")


def test_slow_identd(start):
    """A byte at a time; between them a client of another service is served."""
    port, other = free_port(), free_port()
    with Identd(HOST, good(b"joe"), in_steps=True) as identd:
        start(asking("s", port, ident="required", lookup_timeout="10s"),
              asking("t", other, ident="yes", lookup_timeout="10s"))
        with connect(port, source=HOST) as client:
            identd.wait_asked()
            while identd.step():
                assert talk(other, source=OTHER) == known(OTHER)
            assert read_all(client) == known(HOST, NAME, "joe")


def test_identd_that_never_answers(start):
    """Others of the same machine wait no longer for it."""
    port, plain = free_port(), free_port()
    with Identd(HOST) as identd:
        daemon = start(
            asking("s", port, ident="required", lookup_timeout="500ms"),
            service("plain", listen=f"tcp:{plain}", exec="/bin/cat"))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(port, source=HOST)) for _ in range(10)]
            identd.wait_asked(10)
            assert talk(plain, b"x", source=HOST) == b"x"
            for client in clients:
                assert read_all(client) == b""
        daemon.wait_log(rf"refused {HOST}:\d+ \({NAME}\): ident$", count=10)


# ---------------------------------------------------------------------------
# Behind a proxy, with banners, by name


def test_behind_a_proxy(start, dns):
    """It is the client's name that counts, and not that of his proxy."""
    dns.host("client.example.net", "192.0.2.7")
    dns.host("proxy.example.org", "127.0.0.1")
    port = free_port()
    daemon = start(proxied("s", listen=f"tcp:{port}", resolve=True, shell=SAY_WHO,
                           only_from=".example.net"))
    assert talk(port, v1("192.0.2.7")) == known("192.0.2.7", "client.example.net")
    assert talk(port, v1("192.0.2.8")) == b""
    daemon.wait_log(r"s: refused 192\.0\.2\.8:4711: only_from$")
    assert talk(port, v1(HOST)) == b""
    daemon.wait_log(rf"s: refused {HOST}:4711 \({NAME}\): only_from$")
    assert dns.asked[reverse("127.0.0.1"), PTR] == 0


def test_ident_is_not_for_who_comes_through_a_proxy(start):
    """The connection is the proxy's; the proxy's user is not the client."""
    port = free_port()
    with Identd("127.0.0.1", good(b"proxy")) as identd, Identd(HOST, good(b"joe")):
        start(proxied("s", use="optional", listen=f"tcp:{port}", ident="yes", resolve=True,
                      shell=SAY_WHO))
        assert talk(port, v1("192.0.2.7")) == known("192.0.2.7")
        assert identd.asked == []
        assert talk(port, source=HOST) == known(HOST, NAME, "joe")


@pytest.fixture
def greeting(folder):
    return {name: banner(folder, name) for name in ("banner", "banner_success", "banner_fail")}


def test_banners(start, greeting):
    """What he is told depends on his name."""
    port = free_port()
    start(asking("s", port, only_from=NAME, **greeting))
    assert talk(port, source=HOST) == b"banner\r\nbanner_success\r\n" + known(HOST, NAME)
    assert talk(port, source=OTHER) == b"banner\r\nbanner_fail\r\n"


def test_banner_waits(start, dns, greeting):
    """He who is asked after is told that he may come in when that is known, and others are
    greeted meanwhile."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    start(asking("s", port, only_from=NAME, lookup_timeout="500ms", **greeting))
    with connect(port, source=THIRD) as client:
        dns.wait_asked(reverse(THIRD), PTR)
        assert talk(port, source=HOST).startswith(b"banner\r\nbanner_success\r\n")
        assert read_all(client) == b"banner\r\nbanner_fail\r\n"


def test_banners_behind_a_proxy(start, dns, greeting):
    dns.host("client.example.net", "192.0.2.7")
    port = free_port()
    start(proxied("s", listen=f"tcp:{port}", resolve=True, shell=SAY_WHO,
                  only_from="client.example.net", **greeting))
    who = known("192.0.2.7", "client.example.net")
    assert talk(port, v1("192.0.2.7")) == b"banner\r\nbanner_success\r\n" + who
    assert talk(port, v1("192.0.2.8")) == b"banner\r\nbanner_fail\r\n"


def test_tcpmux(start, greeting):
    """Only of whom he asks for has to do with his name."""
    port = free_port()
    with Identd(HOST, good(b"joe")):
        daemon = start(
            mux(port), by_name("known", "plus", shell=SAY_WHO, resolve=True, only_from=NAME),
            by_name("user", "plus", shell=SAY_WHO, ident="required"),
            by_name("greeted", "plus", shell=SAY_WHO, resolve=True, only_from=NAME, **greeting),
            by_name("all", "plus", shell=SAY_WHO))
        assert talk(port, b"known\r\n", source=HOST) == b"+go\r\n" + known(HOST, NAME)
        assert talk(port, b"known\r\n", source=OTHER).startswith(b"-")
        daemon.wait_log(rf"known: refused {OTHER}:\d+: only_from$")
        assert talk(port, b"user\r\n", source=HOST) == b"+go\r\n" + known(HOST, user="joe")
        assert talk(port, b"user\r\n", source=OTHER).startswith(b"-")
        daemon.wait_log(rf"user: refused {OTHER}:\d+: ident$")
        assert talk(port, b"greeted\r\n", source=HOST) == (
            b"+go\r\nbanner\r\nbanner_success\r\n" + known(HOST, NAME))
        assert talk(port, b"greeted\r\n", source=OTHER).startswith(b"-")
        assert talk(port, b"all\r\n", source=OTHER) == b"+go\r\n" + known(OTHER)


def test_built_in(start):
    port = free_port()
    daemon = start(stanza("service", "s", listen=f"tcp:127.0.0.1:{port}", builtin="echo",
                          resolve=True, only_from=NAME))
    assert talk(port, b"x", source=HOST) == b"x"
    daemon.wait_log(rf"s: connection \d+ ended: finished, .*, from {HOST}:\d+ \({NAME}\)$")
    with contextlib.suppress(ConnectionResetError):
        assert talk(port, b"x", source=OTHER) == b""
    daemon.wait_log(rf"s: refused {OTHER}:\d+: only_from$")


def test_who_speaks_first_is_heard(start, dns):
    """What he has sent while he was asked after is the program's."""
    port = free_port()
    start(asking("s", port, exec="/bin/cat"))
    with connect(port, source=HOST) as client:
        client.sendall(b"hello\n")
        assert read_line(client) == b"hello"


def test_once(hatchd, resolver):
    """Who is refused for his name is not the one."""
    port = free_port()
    daemon = hatchd.adhoc(
        "--once", "-l", f"tcp:127.0.0.1:{port}", "--resolve", "--only-from", NAME, "--",
        "/bin/sh", "-c", SAY_WHO + "; exit 3", launcher=resolver.launcher)
    assert is_turned_away(port, OTHER)
    assert talk(port, source=HOST) == known(HOST, NAME)
    assert daemon.wait_end() == 3


def test_once_while_somebody_is_asked_after(hatchd, dns, resolver):
    """Who is let in first is the one; the other is let go."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    daemon = hatchd.adhoc(
        "--once", "-l", f"tcp:127.0.0.1:{port}", "--resolve", "--lookup-timeout=10s", "--",
        "/bin/sh", "-c", SAY_WHO, launcher=resolver.launcher)
    with connect(port, source=THIRD) as waits:
        dns.wait_asked(reverse(THIRD), PTR)
        assert talk(port, source=HOST) == known(HOST, NAME)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(waits) == b""
    assert daemon.wait_end() == 0


def test_proxy_at_a_unix_socket(start, dns, folder):
    """It has no address, but its client has one."""
    dns.host("client.example.net", "192.0.2.7")
    path = f"unix:{folder}/s"
    start(proxied("s", listen=path, proxies="unix", resolve=True, shell=SAY_WHO,
                  only_from="client.example.net"))
    assert talk(path, v1("192.0.2.7")) == known("192.0.2.7", "client.example.net")
    assert talk(path, v1("192.0.2.8")) == b""


def test_fields_of_the_journal(background, dns, resolver):  # noqa: F811
    """PEER_NAME and PEER_USER, of who comes in and of who does not."""
    with receiver(background.folder / "journal") as journal, Identd(HOST, good(b"j \x1b")):
        background.config(asking("s", background.port, ident="required", only_from=NAME))
        background.command(*own_system(background.folder), *resolver.launcher)
        pid = background.pid()
        assert talk(background.port, source=HOST) == known(HOST, NAME, "j??")
        text = b""
        while b"RESULT=" not in text:
            text = journal.recv(65536)
        assert b"\nPEER_NAME=good.example.org\n" in text
        assert b"\nPEER_USER=j??\n" in text
        background.stop(pid)


# ---------------------------------------------------------------------------
# How many


@pytest.fixture
def control(folder):
    return f"--control={folder / 'run' / 'control'}"


def counts(control, name="s"):
    """(callers, children) of a service, as hatchctl has them."""
    (facts,) = json.loads(hatchctl("list", name, "--json", control).stdout)["services"]
    return facts["pending"] or 0, facts["children"]


def test_who_leaves_is_forgotten(hatchd, dns, resolver, control):
    """When the time is over at the latest; until then he is counted."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    daemon = hatchd.file(
        asking("s", port, lookup_timeout="10s", ident="yes"), control,
        launcher=resolver.launcher)
    with Identd(THIRD) as identd:
        clients = [connect(port, source=THIRD) for _ in range(16)]
        identd.wait_asked(16)
        assert counts(control) == (16, 0)
        for client in clients:
            client.close()
        dns.release()
    wait_until(lambda: counts(control) == (0, 0), what="nobody is there")
    wait_until(lambda: daemon.count_fds() <= daemon.fds_at_start, what="nothing is left")
    assert talk(port, source=HOST) == known(HOST, NAME)


def test_pending_per_source(start, dns):
    """One more is asked after in the place of the oldest of his source."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    daemon = start(asking("s", port, lookup_timeout="10s", pending_per_source=3))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port, source=THIRD)) for _ in range(4)]
        assert read_all(clients[0]) == b""
        daemon.wait_log(rf"s: refused {THIRD}:\d+: pending$")
        dns.release()
        for client in clients[1:]:
            assert read_all(client) == known(THIRD)
    assert refusals(daemon, "pending") == 1


def test_pending(start, dns):
    """Of all; it is one of the source that has the most who goes."""
    dns.put(reverse(THIRD), PTR, NEVER)
    dns.put(reverse(OTHER), PTR, NEVER)
    port = free_port()
    daemon = start(asking("s", port, lookup_timeout="10s", pending=4, pending_per_source=4))
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(connect(port, source=OTHER))
        dns.wait_asked(reverse(OTHER), PTR)
        crowd = [stack.enter_context(connect(port, source=THIRD)) for _ in range(4)]
        assert read_all(crowd[0]) == b""
        daemon.wait_log(rf"s: refused {THIRD}:\d+: pending$")
        assert talk(port, source=HOST) == known(HOST, NAME)
        dns.release()
        assert read_all(first) == known(OTHER)
    daemon.wait_log(rf"s: refused {THIRD}:\d+: pending$", count=2)
    assert f"refused {OTHER}" not in daemon.log.text()


def test_upgrade(start, dns):
    """Who is asked after is asked after once more, by the next image."""
    dns.put(reverse(THIRD), PTR, NEVER)
    ports = [free_port(), free_port()]
    daemon = start(asking("s", ports[0], lookup_timeout="10s"),
                   proxied(listen=f"tcp:127.0.0.1:{ports[1]}", shell=SAY_WHO, resolve=True,
                           lookup_timeout="10s", ))
    with connect(ports[0], source=THIRD) as plain, connect(ports[1]) as behind:
        dns.wait_asked(reverse(THIRD), PTR)
        behind.sendall(v1(THIRD))
        ask_for_upgrade(daemon)
        assert "upgraded to hatchd" in daemon.text()
        assert talk(ports[0], source=HOST) == known(HOST, NAME)
        dns.release()
        assert read_all(plain) == read_all(behind) == known(THIRD)


def test_limits_are_those_of_every_service(start, dns):
    """Whoever is asked after has no place among the children; who is known waits for one."""
    dns.host("other.example.org", OTHER)
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    start(asking("s", port, exec="/bin/cat", instances=1, lookup_timeout="10s"))
    with connect(port, source=THIRD) as waits:
        dns.wait_asked(reverse(THIRD), PTR)
        with connect(port, source=HOST) as one:
            one.sendall(b"1")
            assert read_exactly(one, 1) == b"1"
            two = connect(port, source=OTHER)
            two.sendall(b"2")
            one.sendall(b"x")
            assert read_exactly(one, 1) == b"x"
            assert not is_decided(two)
        with two:
            assert read_exactly(two, 1) == b"2"
        assert not is_decided(waits)


def test_per_source_is_asked_after_the_name(start):
    port = free_port()
    daemon = start(asking("s", port, exec="/bin/cat", per_source=1))
    with connect(port, source=HOST) as one:
        one.sendall(b"1")
        assert read_exactly(one, 1) == b"1"
        assert is_turned_away(port, HOST)
    daemon.wait_log(rf"s: refused {HOST}:\d+.*: per_source$")


def test_crowd_leaves_nothing(hatchd, dns, resolver, control):
    """All kinds of clients at once, many times more than there are places."""
    port = free_port()
    for i in range(50):
        source = f"127.0.3.{i}"
        if i % 3:
            dns.host(f"n{i}.example.org", source)
        else:
            dns.put(reverse(source), PTR, NEVER)
    daemon = hatchd.file(
        asking("s", port, ident="yes", lookup_timeout="500ms", pending=64), control,
        launcher=resolver.launcher)
    for _ in range(4):
        with contextlib.ExitStack() as stack:
            for i in range(100):
                client = stack.enter_context(connect(port, source=f"127.0.3.{i % 50}"))
                if i % 2:
                    client.close()
        wait_until(lambda: counts(control) == (0, 0), what="nobody is there")
    wait_until(lambda: daemon.count_fds() <= daemon.fds_at_start, what="nothing is left")
    assert talk(port, source=HOST) == known(HOST, NAME)
