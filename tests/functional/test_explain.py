"""--explain: whether a client may come in, which line says so, and what is limited."""

import os
import random
import re
import socket
import struct

import pytest

from harness import (
    IS_SANITIZED, World, comes_in, free_port, hello, put, run_hatchd, service, stanza,
)


def explain(path, *args, env=None):
    done = run_hatchd("--explain", *args, "-f", path, env=env)
    return done.returncode, done.stdout, done.stderr


def words_of(out, path):
    """[first word, rest] of each line, with one blank for many and without the folder."""
    lines = [(line[:13].strip(), " ".join(line[13:].split())) for line in out.splitlines()]
    return [(word, rest.replace(f"{path}:", ":")) for word, rest in lines]


def line_of(path, text):
    """":LINE" of the first that begins like that."""
    lines = path.read_text().split("\n")
    return f":{1 + next(i for i, line in enumerate(lines) if line.startswith(text))}"


def test_explain(folder):
    put(folder, "# bad ones\n10.1.0.0/16\n", "bad")
    path = put(folder, hello(
        "a", 7, only_from=["10.0.0.0/8", "2001:db8::/32"], no_access="file:bad", env="A=b c"),
        "hatchd.conf")
    line = 1 + path.read_text().split("\n").index(
        "only_from = { '10.0.0.0/8', '2001:db8::/32' }")

    status, out, err = explain(path, "a", "10.2.3.4:99")
    assert (status, err) == (0, "")
    assert "10.2.3.4 is admitted\n" in out
    assert f"decided by   {path}:{line}: only_from 10.0.0.0/8\n" in out
    assert 'arguments    /bin/echo -n a\n' in out
    assert 'environment  A=b c\n' in out
    assert "user         nobody, " in out or os.geteuid() != 0
    assert re.search(r"instances = 512 +default\n", out)
    assert re.search(r"per_source = 256 +half of instances\n", out)
    assert "rate" not in out and "time_limit" not in out and "kill_after" not in out

    status, out, _ = explain(path, "a", "::ffff:10.1.9.9")
    assert status == 1
    assert "10.1.9.9 is refused: no_access\n" in out
    assert f"{path}:{line + 1}: no_access file:bad, {folder}/bad:2\n" in out

    status, out, _ = explain(path, "a", "[2001:db9::1]:5")
    assert status == 1
    assert "2001:db9::1 is refused: only_from\n" in out
    assert f"decided by   {path}:{line}: only_from does not have him\n" in out

    status, out, _ = explain(path, "a", "unix:uid=0")
    assert status == 1
    assert "no address of the service is for clients of UNIX\n" in out


@pytest.mark.parametrize("args, said", [
    (("nonesuch", "::1"), "no service 'nonesuch'"),
    (("off", "::1"), "service 'off' is disabled"),
    (("a", "localhost"), "'localhost' is no client"),
    (("a", "10.0.0.0/8"), "'10.0.0.0/8' is no client"),
    (("a", "1.2.3.4:99999"), "is no client"),
    (("a", "[::1"), "is no client"),
    (("a", "unix:uid=nonesuch-user"), "there is no such user"),
])
def test_explain_cannot_tell(folder, args, said):
    path = put(folder, hello("a", 7) + hello("off", 8, disable=True), "hatchd.conf")
    status, out, err = explain(path, *args)
    assert (status, out) == (2, "")
    assert said in err


def test_explain_what_is_not_served(folder):
    path = put(
        folder, service("a", listen="tcp:7", exec="/nonesuch/program"), "hatchd.conf")
    status, out, _ = explain(path, "a", "::1")
    assert status == 1
    assert "the service waits: " in out


def test_explain_agrees_with_what_happens(hatchd):
    """The same answer from the files and from the daemon, for clients all over."""
    draw = random.Random(5)
    port = free_port()
    rules = {"only_from": [], "no_access": []}
    for _ in range(60):
        bits = draw.randrange(8, 33)
        word = 127 << 24 | draw.randrange(1 << 24) & 0x0303FF
        network = word & (0xFFFFFFFF << (32 - bits))
        text = socket.inet_ntoa(struct.pack("!I", network))
        rules[draw.choice(list(rules))].append(f"{text}/{bits}")
    daemon = hatchd.file(hello("a", port, **rules))
    seen = set()
    for _ in range(30):
        source = socket.inet_ntoa(struct.pack(
            "!I", 127 << 24 | draw.randrange(1 << 24) & 0x0303FF | 1))
        status, out, _ = explain(daemon.config_path, "a", source)
        assert comes_in(port, source) == (status == 0), out
        seen.add(status)
    assert seen == {0, 1}, "some are to come in, and some are not"


def test_explain_limits(folder):
    """Each with the line that says so, in the order in which they are asked."""
    path = put(folder, "total_instances = 2000\n" + stanza(
        "defaults", per_source_rate="10/min", idle_timeout="5min",
    ) + hello(
        "a", 7, instances=40, rate="100/1min burst 30", max_load=4.5,
        overflow_source="ban 10min", source_prefix4=24, time_limit="30min",
    ) + hello("b", 8, instances="unlimited", per_source_rate="unlimited"), "hatchd.conf")

    def at_line(text):
        return line_of(path, text)

    status, out, _ = explain(path, "a", "10.2.3.4")
    words = words_of(out, path)
    first = next(i for i, (word, _) in enumerate(words) if word == "counts as")
    last = next(i for i, (word, _) in enumerate(words) if word == "program")
    load = next(rest for _, rest in words if rest.startswith("max_load"))
    assert status == 0
    assert re.fullmatch(rf"max_load = 4.5 {at_line('max_load')}, it is \d+\.\d\d now", load)
    assert words[first:last] == [
        ("counts as", f"10.2.3.0/24, by source_prefix4, {at_line('source_prefix4')}"),
        ("per client", "per_source = 20 half of instances"),
        ("", f"per_source_rate = 10/min {at_line('per_source_rate')}"),
        ("", f'overflow_source = "ban 10min" {at_line("overflow_source")}'),
        ("", "ban_scope = service default"),
        ("for all", f"instances = 40 {at_line('instances')}"),
        ("", f"total_instances = 2000 {at_line('total_instances')}"),
        ("", f'rate = "100/min burst 30" {at_line("rate")}'),
        ("", load),
        ("", "overflow = wait default"),
        ("per child", f"time_limit = 30min {at_line('time_limit')}"),
        ("", f"idle_timeout = 5min {at_line('idle_timeout')}"),
        ("", "kill_after = 10s default"),
    ]

    # What is unlimited is said only if somebody has written it.
    _, out, _ = explain(path, "b", "2001:db8:1:2:3::4")
    words = words_of(out, path)
    assert ("counts as", "2001:db8:1:2::/64, by source_prefix6, default") in words
    unlimited = at_line("per_source_rate = 'unlimited'")
    assert ("per client", f"per_source_rate = unlimited {unlimited}") in words
    assert "per_source =" not in out and "overflow_source" not in out


def test_explain_link_local(folder):
    """As the log names him; he is one by himself, and rules do not know his interface."""
    path = put(folder, hello("a", 7, no_access="fe80::2"), "hatchd.conf")
    for client in "fe80::1%eth0", "[fe80::1%eth0]:1234", "fe80::1":
        status, out, _ = explain(path, "a", client)
        assert status == 0 and "client       fe80::1 is admitted\n" in out
        assert "counts as" not in out
    status, out, _ = explain(path, "a", "[fe80::2%eth1]:5")
    assert status == 1 and "fe80::2 is refused: no_access\n" in out
    for client in "2001:db8::1%eth0", "192.0.2.1%eth0", "fe80::1%":
        status, out, err = explain(path, "a", client)
        assert (status, out) == (2, "") and "write a client as" in err


def test_explain_without_total_instances(folder):
    path = put(folder, hello("a", 7), "hatchd.conf")
    _, out, _ = explain(path, "a", "10.2.3.4")
    assert re.search(r"total_instances +as many as the machine allows\n", out)
    assert "counts as" not in out


def test_explain_sensor(folder):
    """Banned as what he counts as for all services; and nothing is ever started."""
    path = put(folder, service(
        "trap", listen="tcp:23", sensor=True, no_access="10.0.0.0/8", source_prefix6=128,
        ban_time="1d", user=None), "hatchd.conf")
    status, out, _ = explain(path, "trap", "2001:db8::7")
    assert status == 1
    assert words_of(out, path)[1:] == [
        ("client", "2001:db8::7 is refused: sensor"),
        ("decided by", f"{line_of(path, 'sensor')}: sensor = yes"),
        ("banned", "for 1d from all services, as 2001:db8::/64, by ban_time, "
                   + line_of(path, "ban_time")),
        ("address", "tcp:23"),
    ]
    status, out, _ = explain(path, "trap", "10.0.0.1")
    assert status == 1
    assert "10.0.0.1 is refused: no_access\n" in out and "banned" not in out
    status, out, _ = explain(path, "trap", "127.0.0.1")
    assert status == 1
    assert ("banned", "no, it is this machine") in words_of(out, path)


@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer must be loaded first")
@pytest.mark.parametrize("when, status, said", [
    ("2026-01-05 06:59", 1, "closed until mon 8:00 (8:00-12:00); it is mon 7:59"),
    ("2026-01-05 07:00", 0, "open until mon 12:00 (8:00-12:00); it is mon 8:00"),
    # One after the other without a gap.
    ("2026-01-03 10:00", 0, "open until sat 14:30 (8:00-12:00); it is sat 11:00"),
    ("2026-01-03 11:00", 0, 'open until sat 14:30 ("sat 12:00-14:30"); it is sat 12:00'),
    # The clock is set forward in the night, from 2:00 to 3:00.
    ("2026-03-28 22:30", 0, 'open until sun 4:00 ("sat 23:00-4:00"); it is sat 23:30'),
    ("2026-03-29 02:00", 1, "closed until sun 8:00 (8:00-12:00); it is sun 4:00"),
])
def test_explain_hours(folder, when, status, said):
    path = put(folder, hello("a", 7, access_times=[
        "8:00-12:00", "sat 12:00-14:30", "sat 23:00-4:00"]), "hatchd.conf")
    line = line_of(path, "access_times")
    world = World(folder)
    world.is_at(when)
    done, out, _ = explain(path, "a", "10.0.0.1", env=world.env)
    assert done == status
    assert ("hours", f"{line}: {said}") in words_of(out, path)
    assert ("10.0.0.1 is refused: access_times\n" in out) == (status == 1)
    assert (f"decided by   {path}{line}: access_times\n" in out) == (status == 1)


def test_explain_always_open(folder):
    path = put(folder, hello("a", 7, access_times=["0:00-12:00", "12:00-24:00"]),
               "hatchd.conf")
    status, out, _ = explain(path, "a", "10.0.0.1")
    assert status == 0
    assert re.search(r"hours +\S+: open \(\d+:00-\d+:00\); it is [a-z]{3} \d+:\d\d\n", out)


@pytest.mark.parametrize("options, said", [
    ({"instances": 0}, "waits: instances"),
    ({"instances": 0, "overflow": "refuse"}, "is refused: instances"),
    ({"rate": 0}, "waits: rate"),
    ({"rate": 0, "overflow": "refuse"}, "is refused: rate"),
    ({"per_source": 0}, "is refused: per_source"),
    ({"per_source_rate": 0}, "is refused: per_source_rate"),
])
def test_explain_nobody(folder, options, said):
    """A limit of none at all is one that is reached."""
    path = put(folder, hello("a", 7, **options), "hatchd.conf")
    option = next(iter(options))
    status, out, _ = explain(path, "a", "10.0.0.1")
    assert status == 1
    assert f"client       10.0.0.1 {said}\n" in out
    assert f"decided by   {path}{line_of(path, option)}: {option} = 0\n" in out


def test_explain_wait(folder):
    """What is not seen is not judged, and limits that make no difference are not told."""
    limits = {"per_source_rate": "5/s", "overflow": "refuse", "idle_timeout": "5min",
              "per_source": 4, "overflow_source": "ban 10min", "only_from": "10.0.0.0/8"}
    path = put(folder, stanza("defaults", **limits) + service(
        "stream", listen="tcp:7", exec="/bin/cat", wait=True,
    ) + service("udp", listen="udp:7", exec="/bin/cat", wait=True), "hatchd.conf")
    status, out, _ = explain(path, "stream", "192.0.2.1")
    assert status == 0
    assert "192.0.2.1 is admitted\n" in out and "nobody is checked\n" in out
    assert not any(option in out for option in limits if option != "only_from"), out
    assert "decided by   nobody is checked, the program takes its clients itself\n" in out

    status, out, _ = explain(path, "udp", "192.0.2.1")
    assert status == 1
    assert "192.0.2.1 is refused: only_from\n" in out
    told = [option for option in limits if f" {option} = " in out]
    assert told == ["per_source_rate", "overflow"]


def test_explain_unix_is_not_watched(folder):
    path = put(folder, stanza("defaults", idle_timeout="5min") + service(
        "a", listen=[f"unix:{folder}/s", "tcp:7"], exec="/bin/cat"), "hatchd.conf")
    _, out, _ = explain(path, "a", "unix:uid=0")
    assert "idle_timeout" not in out and "kill_after" not in out
    _, out, _ = explain(path, "a", "::1")
    assert "idle_timeout" in out and "kill_after" in out


def test_explain_proxy(folder):
    """Who is asked about is the client, and it is told whose word for that is taken."""
    path = put(folder, hello(
        "a", 7, proxy_protocol="required", proxy_from="10.0.0.0/8", only_from="192.0.2.0/24",
        pending=9,
    ) + service(
        "b", listen=f"unix:{folder}/s", exec="/bin/cat", proxy_protocol="optional",
        proxy_from="unix",
    ), "hatchd.conf")
    line = line_of(path, "proxy_protocol")
    status, out, err = explain(path, "a", "192.0.2.7")
    assert (status, err) == (0, "")
    assert ("proxy", f"only through one of proxy_from, which says who he is, {line}") \
        in words_of(out, path)
    assert re.search(r"header_timeout = 5s +default\n", out)
    assert re.search(r"pending = 9 +\S+:\d+\n", out)
    assert re.search(r"pending_per_source = 4 +half of pending\n", out)

    status, out, _ = explain(path, "a", "10.0.0.1")
    assert status == 1 and "10.0.0.1 is refused: only_from\n" in out
    assert "he is in proxy_from: without a header he is refused, " in out

    # Through a proxy anybody can come from anywhere.
    status, out, _ = explain(path, "b", "192.0.2.7")
    assert status == 0 and f"address      unix:{folder}/s\n" in out
    assert "by himself, or through one of proxy_from, which says who he is, " in out
    status, out, _ = explain(path, "b", "unix:uid=0")
    assert status == 0 and "he is in proxy_from: a header of his is believed, " in out


def test_explain_tcpmux(folder):
    """Who cannot come to a service may give its name."""
    named = service("named", exec="/bin/cat", tcpmux="plus")
    path = put(folder, named, "alone.conf")
    status, out, _ = explain(path, "named", "192.0.2.7")
    assert status == 1 and "no address of the service is for clients of IPv4\n" in out

    path = put(folder, named + stanza("service", "mux", listen="tcp:1", builtin="tcpmux"),
               "hatchd.conf")
    status, out, err = explain(path, "named", "192.0.2.7")
    assert (status, err) == (0, "")
    assert "address      tcp:1, by its name, from service mux\n" in out
    assert "header_timeout" not in out
    status, out, _ = explain(path, "mux", "192.0.2.7")
    assert status == 0 and "built-in tcpmux, in hatchd-front as " in out
    assert "says         6 bytes of names to who asks for HELP\n" in out


def test_looked_up(folder):
    """What is looked up about clients has a time limit, and others that wait as well."""
    path = put(folder, hello("a", 7, resolve=True, lookup_timeout="300ms")
               + hello("b", 8, ident="yes", pending=40)
               + hello("c", 9), "hatchd.conf")

    status, out, err = explain(path, "a", "10.0.0.1")
    assert (status, err) == (0, "")
    assert re.search(r"lookup_timeout = 300ms +\S+:\d+\n", out)
    assert re.search(r"pending = 1000 +default\n", out)
    assert re.search(r"pending_per_source = 500 +half of pending\n", out)
    assert "header_timeout" not in out

    status, out, err = explain(path, "b", "10.0.0.1")
    assert (status, err) == (0, "")
    assert re.search(r"lookup_timeout = 5s +default\n", out)
    assert re.search(r"pending = 40 +\S+:\d+\n", out)

    status, out, err = explain(path, "c", "10.0.0.1")
    assert "lookup_timeout" not in out and "pending" not in out


def test_by_name(folder):
    """Names are not asked for: that it depends on one is what there is to say."""
    put(folder, ".example.net\n10.2.0.0/16\n", "friends")
    path = put(folder, hello(
        "a", 7, only_from=["10.1.0.0/16", "WWW.example.org", "file:friends"],
        no_access="10.1.2.0/24", resolve=True, ident="required"), "hatchd.conf")
    named = (f"{path}{line_of(path, 'only_from')}: only_from, by his name, which is not asked "
             "now: www.example.org .example.net\n")

    status, out, err = explain(path, "a", "192.0.2.9")
    assert (status, err) == (1, "")
    assert "192.0.2.9 is refused: only_from, unless he has one of its names\n" in out
    assert f"decided by   {named}" in out
    assert f"looked up    his name, by resolve, {path}{line_of(path, 'resolve')}\n" in out
    assert "looked up    who he is where he comes from, and without an answer he is refused, " \
        f"by ident, {path}{line_of(path, 'ident')}\n" in out

    for client, verdict in (("10.2.0.1", "is admitted"), ("10.1.2.3", "is refused: no_access")):
        status, out, _ = explain(path, "a", client)
        assert status == ("refused" in verdict)
        assert f"{client} {verdict}\n" in out
        assert named not in out
        assert ("looked up" in out) == (status == 0)


def test_by_many_names(folder):
    names = [f"host{i}.example.org" for i in range(12)]
    path = put(folder, hello("a", 7, only_from=names, resolve=True), "hatchd.conf")
    _, out, _ = explain(path, "a", "192.0.2.9")
    assert ": " + " ".join(names[:8]) + " and 4 more\n" in out


def test_names_of_others(folder):
    """Nobody is asked after who comes over a UNIX socket, or as a datagram."""
    path = put(folder, service("a", listen=f"unix:{folder}/a", exec=["/bin/cat"], resolve=True,
                               proxy_protocol="optional", proxy_from="unix", ident="yes",
                               only_from=["host.example.org"])
               + service("b", listen=["udp:127.0.0.1:9", "tcp:127.0.0.1:9"], builtin="echo",
                         resolve=True, ident="yes", only_from=["::1", "host.example.org"]),
               "hatchd.conf")
    for name, client in (("a", "unix:uid=0"), ("b", "192.0.2.9")):
        status, out, _ = explain(path, name, client)
        assert status == 1
        assert "decided by" in out and "by his name" not in out and "looked up" not in out

    # Of him a proxy speaks, whose connection it is.
    _, out, _ = explain(path, "a", "192.0.2.9")
    assert "by his name" in out and "his name, by resolve" in out and "by ident" not in out


def test_target_by_name(folder):
    """The name of a host is told as it was written, with the families that are asked for."""
    path = put(folder, service("a", listen="tcp:7", user=None, lookup_timeout="1s", redirect=[
        "tcp:App.internal:80", "tcp4:b:81", "tcp6:c:82", "tcp:10.0.0.1:83"]), "hatchd.conf")
    status, out, err = explain(path, "a", "10.0.0.1")
    assert (status, err) == (0, "")
    assert "redirect to tcp:app.internal:80, else tcp4:b:81, else tcp6:c:82, " \
        "else tcp:10.0.0.1:83, in hatchd-relay" in out
    assert re.search(r"lookup_timeout = 1s +\S+:\d+\n", out)
    assert re.search(r"pending = 1000 +default\n", out)
