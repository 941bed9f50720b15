"""What is recorded of connections: log_on_success, log_on_failure, log_address."""

import re
import socket

import pytest

from harness import (
    comes_in, connect, free_port, have_ipv6, hello, put, read_all, reload, run_hatchd,
    service, stanza, talk, udp,
)
from nameserver import Identd, NameServer, good
from namespace import Resolver

needs_root = pytest.mark.needs_root

SERVERS = "127.0.0.1",
HOST, NAME = "127.0.0.7", "good.example.org"
HASH = "hash:[0-9a-f]{16}"


def records(daemon, word="ended"):
    return [line for line in daemon.text().split("\n") if f" {word}" in line]


def one_record(hatchd, **options):
    """How one connection is recorded that takes no time and no bytes."""
    port = free_port()
    daemon = hatchd.file(hello("s", port, **options))
    assert talk(port) == b"s"
    daemon.wait_log("hatchd: s: .* ended")
    return records(daemon)[0]


# ---------------------------------------------------------------------------
# log_on_success


ALL = r"hatchd: s: child \d+ ended: exit 0, [\d.]+ [mu]?s, from 127\.0\.0\.1:\d+"


@pytest.mark.parametrize("words, line", [
    (None, ALL),
    ("all", ALL),
    ("pid", r"hatchd: s: child \d+ ended"),
    ("host", r"hatchd: s: connection 1 ended: from 127\.0\.0\.1:\d+"),
    ("userid", "hatchd: s: connection 1 ended"),
    ("exit", "hatchd: s: connection 1 ended: exit 0"),
    ("duration", r"hatchd: s: connection 1 ended: [\d.]+ [mu]?s"),
    ("traffic", "hatchd: s: connection 1 ended"),
    ("cpu", "hatchd: s: connection 1 ended"),
    (["pid", "exit"], r"hatchd: s: child \d+ ended: exit 0"),
    (["host", "duration"],
     r"hatchd: s: connection 1 ended: [\d.]+ [mu]?s, from 127\.0\.0\.1:\d+"),
])
def test_words(hatchd, words, line):
    assert re.fullmatch(line, one_record(hatchd, log_on_success=words))


def test_none(hatchd):
    """Nothing is told of it, and the next service is none the worse."""
    ports = free_port(), free_port()
    daemon = hatchd.file(hello("a", ports[0], log_on_success="none") + hello("b", ports[1]))
    assert talk(ports[0]) == b"a"
    assert talk(ports[1]) == b"b"
    daemon.wait_log("b: child .* ended")
    assert "a: child" not in daemon.text()
    assert "a: connection" not in daemon.text()


def test_list_of_defaults(hatchd):
    """= takes the place of what defaults say, += adds to it."""
    ports = [free_port() for _ in range(3)]
    daemon = hatchd.file(
        stanza("defaults", log_on_success="exit")
        + hello("a", ports[0]) + hello("b", ports[1], log_on_success="host")
        + hello("c", ports[2]).replace("exec", "log_on_success += pid\nexec"))
    for port in ports:
        assert talk(port) != b""
    daemon.wait_log("a: connection 1 ended: exit 0$")
    daemon.wait_log(r"b: connection 2 ended: from 127\.0\.0\.1:\d+$")
    daemon.wait_log(r"c: child \d+ ended: exit 0$")


def test_traffic_of_workers(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", builtin="echo", log_on_success="traffic"))
    assert talk(port, b"abc") == b"abc"
    daemon.wait_log(r"s: connection \d+ ended: 3 bytes in, 3 out$")


def test_reload(hatchd):
    """A child is recorded as it was to be when it began."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec=["/bin/cat"], log_on_success="exit"))
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        reload(daemon, service(
            "s", listen=f"tcp:{port}", exec=["/bin/cat"], log_on_success="none"))
        assert talk(port, b"y") == b"y"
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    daemon.wait_log("s: connection 1 ended: exit 0$")
    assert len(records(daemon)) == 1


def test_adhoc(hatchd):
    port = free_port()
    daemon = hatchd.adhoc(
        "-l", f"tcp:127.0.0.1:{port}", "--log-on-success=host", "--log-on-success=exit",
        "--log-address=prefix", "--", "/bin/echo", "-n", "x")
    assert talk(port) == b"x"
    daemon.wait_log(r"connection 1 ended: exit 0, from 127\.0\.0\.0/24$")


@pytest.mark.parametrize("option, value, message", [
    ("log_on_success", "PID", "'PID' is not all, none, pid, host, userid, exit, duration, "
     "traffic or cpu; did you mean 'pid'?"),
    ("log_on_failure", "pid", "'pid' is not all, none, host, userid or attempt"),
    ("log_on_success", ["pid", "none"], "'none' stands alone, behind ="),
    ("log_address", "hidden", "'hidden' is not full, prefix, hash or none"),
])
def test_mistakes(hatchd, option, value, message):
    checked = hatchd.check(hello("s", 7777, **{option: value}))
    assert checked.returncode == 1
    assert f"{option}: {message}" in checked.stderr


def test_print_config(folder):
    path = folder / "x.conf"
    path.write_text(
        hello("a", 7777, log_on_success=["pid", "cpu"], log_on_failure="none",
              log_address="hash")
        + hello("b", 7778, log_on_success="all", log_on_failure="attempt"))
    path.chmod(0o644)
    printed = run_hatchd("--print-config", "-f", path).stdout
    assert re.search(r"log_on_success += { pid, cpu }\n\tlog_on_failure += none\n"
                     r"\tlog_address +=? hash\n", printed)
    assert re.search(r"log_on_success += all\n\tlog_on_failure += attempt\n", printed)


# ---------------------------------------------------------------------------
# log_on_failure


@pytest.mark.parametrize("words, line", [
    (None, r"hatchd: s: refused 127\.0\.0\.1:\d+: only_from"),
    ("all", r"hatchd: s: refused 127\.0\.0\.1:\d+: only_from"),
    ("host", r"hatchd: s: refused 127\.0\.0\.1:\d+: only_from"),
    ("userid", "hatchd: s: refused: only_from"),
    ("attempt", "hatchd: s: refused: only_from"),
])
def test_refused(hatchd, words, line):
    port = free_port()
    daemon = hatchd.file(hello("s", port, only_from="127.0.0.2", log_on_failure=words))
    assert not comes_in(port)
    daemon.wait_log("s: refused")
    assert re.fullmatch(line, records(daemon, "refused")[0])


def test_nobody_was_refused(hatchd):
    """Neither one by one nor together; and they are counted."""
    port = free_port()
    daemon = hatchd.file(hello("s", port, only_from="127.0.0.2", log_on_failure="none"))
    for _ in range(3):
        assert not comes_in(port)
    daemon.signal(10)
    daemon.wait_log(r"s: serving, .* refused: only_from 3|refused.*only_from 3")
    daemon.stop()
    assert "127.0.0.1" not in daemon.text().replace("listening on tcp:127.0.0.1", "")


def test_more_of_them(hatchd):
    """The line that counts those that were not told says no more than the others."""
    ports = free_port(), free_port()
    daemon = hatchd.file(
        hello("a", ports[0], only_from="127.0.0.2", log_on_failure="attempt")
        + hello("b", ports[1], only_from="127.0.0.2", log_address="prefix"))
    for port in ports:
        for _ in range(3):
            assert not comes_in(port, "127.0.0.9")
    daemon.stop()
    assert "a: 2 more refused in the last 10 s: only_from\n" in daemon.text()
    assert "b: 2 more refused from 127.0.0.0/24 in the last 10 s: only_from\n" in daemon.text()
    assert "127.0.0.9" not in daemon.text()


def test_not_started(hatchd, folder):
    """That is the service's failure, and is told; but not who was there."""
    port = free_port()
    program = put(folder, "#!/bin/sh\n", "program")
    program.chmod(0o755)
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec=[program], log_on_failure="none"))
    program.unlink()
    assert talk(port) == b""
    daemon.wait_log("s: unable to start .*program: exec: No such file or directory$")


# ---------------------------------------------------------------------------
# log_address


@pytest.mark.parametrize("how, shown", [
    ("full", r"127\.0\.0\.9:\d+"),
    ("prefix", r"127\.0\.0\.0/24"),
    ("hash", HASH),
    ("none", "-"),
])
def test_address(hatchd, how, shown):
    """At every level, of those who come in and of those who do not."""
    ports = free_port(), free_port()
    daemon = hatchd.file(
        hello("a", ports[0], log_address=how)
        + hello("b", ports[1], log_address=how, no_access="127.0.0.0/8"), "-v")
    assert talk(ports[0], source="127.0.0.9") == b"a"
    assert not comes_in(ports[1], "127.0.0.9")
    daemon.wait_log(f"a: accept from {shown}$")
    daemon.wait_log(f"a: child .* ended: .*, from {shown}$")
    daemon.wait_log(f"b: refused {shown}: no_access$")
    assert how == "full" or "127.0.0.9" not in daemon.text()


def test_hash_is_of_the_client(hatchd):
    """The same for the same client, whatever his port and the service; not for another one;
    and another one when hatchd has been started anew."""
    text = "".join(hello(name, port, log_address="hash")
                   for name, port in zip("ab", (free_port(), free_port())))
    ports = [int(port) for port in re.findall(r"tcp:(\d+)", text)]
    seen = []
    for _ in range(2):
        daemon = hatchd.file(text)
        for port, source in ((ports[0], "127.0.0.9"), (ports[1], "127.0.0.9"),
                             (ports[0], "127.0.0.8")):
            assert talk(port, source=source) != b""
        daemon.wait_log("ended", count=3)
        seen.append(re.findall(HASH, "\n".join(sorted(records(daemon)))))
        daemon.stop()
    for hashes in seen:
        assert len(hashes) == 3
        assert len(set(hashes)) == 2
    assert not set(seen[0]) & set(seen[1])


@pytest.mark.skipif(not have_ipv6(), reason="no IPv6")
def test_ipv6(hatchd):
    port = free_port()
    daemon = hatchd.file(hello("s", port, log_address="prefix"))
    assert talk(f"tcp:[::1]:{port}") == b"s"
    daemon.wait_log("from ::/48$")


def test_unix(hatchd, folder):
    path = f"unix:{folder}/s"
    daemon = hatchd.file(
        service("s", listen=path, exec=["/bin/echo"], log_address="prefix",
                socket_mode="0666"))
    assert talk(path) == b"\n"
    daemon.wait_log("ended: .*, from unix$")


def test_datagrams(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"udp:{port}", shell="cat", session_timeout="100ms",
                log_address="none"), "-v")
    assert udp(f"udp:127.0.0.1:{port}", b"x") == [b"x"]
    daemon.wait_log("s: datagrams from -$")
    daemon.wait_log("s: child .* ended: .*, from -$")


def test_the_oldest(hatchd):
    """Whoever has the service full."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec=["/bin/cat"], instances=1, per_source=1,
                log_address="prefix"))
    with connect(port, source="127.0.0.9") as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        daemon.wait_log(r"full with 1 child, .*; the oldest is from 127\.0\.0\.0/24")
    daemon.wait_log("ended")
    assert "127.0.0.9" not in daemon.text()


# ---------------------------------------------------------------------------
# Names and users


@pytest.fixture
def named(folder):
    """A machine where HOST has a name."""
    with NameServer(*SERVERS) as server:
        server.host(NAME, HOST)
        yield Resolver(folder, *SERVERS)


def serve_named(hatchd, named, port, **options):
    return hatchd.file(
        hello("s", port, resolve=True, ident=True, **options), "-v",
        launcher=named.launcher)


@needs_root
@pytest.mark.parametrize("how, shown", [
    ("full", rf"127\.0\.0\.7:\d+ \({NAME}, user joe\)"),
    ("prefix", r"127\.0\.0\.0/24"),
    ("hash", HASH),
    ("none", "-"),
])
def test_names_go_with_the_address(hatchd, named, how, shown):
    port = free_port()
    with Identd(HOST, good(b"joe")):
        daemon = serve_named(hatchd, named, port, log_address=how)
        assert talk(port, source=HOST) == b"s"
        daemon.wait_log(f"ended: .*, from {shown}$")
    if how != "full":
        assert not re.search(rf"{NAME}|joe|127\.0\.0\.7", daemon.text())


@needs_root
@pytest.mark.parametrize("words, shown", [
    ("host", rf"127\.0\.0\.7:\d+ \({NAME}\)"),
    ("userid", "user joe"),
])
def test_words_of_names(hatchd, named, words, shown):
    port = free_port()
    with Identd(HOST, good(b"joe")):
        daemon = serve_named(hatchd, named, port, log_on_success=words)
        assert talk(port, source=HOST) == b"s"
        daemon.wait_log(rf"connection \d+ ended: from {shown}$")


@needs_root
def test_whose_name_is_not_found(hatchd, folder):
    """Whom nobody knows is not told of by his address."""
    port = free_port()
    with NameServer(*SERVERS):
        daemon = serve_named(hatchd, Resolver(folder, *SERVERS), port, log_address="none")
        assert talk(port, source=HOST) == b"s"
        daemon.wait_log("s: (no|unable to look up) name of -: ")
        daemon.wait_log("s: (no|unable to look up) user at -: ")
        daemon.wait_log("ended")
    assert HOST not in daemon.text()


# ---------------------------------------------------------------------------
# What strangers say


# A blank, ESC, a format, and what is no UTF-8.
EVIL = b"j y\x1b[31m%n%s\xff\xc2\x9b"


@needs_root
def test_user_is_escaped(hatchd, named):
    """It takes one line, in which there are no orders to a terminal."""
    port = free_port()
    with Identd(HOST, good(EVIL)):
        daemon = serve_named(hatchd, named, port)
        assert talk(port, source=HOST) == b"s"
        daemon.wait_log(r"ended: .*user [^\n]*\)$")
    assert "\x1b" not in daemon.text()
    assert re.search(r"user j\?y\?\[31m%n%s\?+\)", daemon.text())


def test_paths_are_escaped(hatchd, folder):
    """Of a socket that is named so, and of clients who have given their own a name."""
    name = "s\n\x1b[31m%n"
    path = folder / name
    daemon = hatchd.file(
        service("s", listen=f"unix:{folder}/t", exec=["/bin/echo"], socket_mode="0666"), "-v")
    with socket.socket(socket.AF_UNIX) as client:
        client.bind(str(path))
        client.connect(f"{folder}/t")
        assert read_all(client) == b"\n"
    daemon.wait_log("ended")
    assert "\x1b" not in daemon.text()
    assert "\n\x1b" not in daemon.text() and "[31m%n\n" not in daemon.text()


def test_name_of_tcpmux_is_escaped(hatchd):
    """Whoever asks for a service that there is not."""
    port = free_port()
    daemon = hatchd.file(
        service("m", listen=f"tcp:{port}", builtin="tcpmux")
        + service("u", exec=["/bin/echo"], tcpmux="yes"), "-v")
    assert talk(port, b"no\x1b[31m%n%s\x07\r\n").startswith(b"-")
    daemon.wait_log("m: (refused|connection)")
    assert "\x1b" not in daemon.text() and "\x07" not in daemon.text()
