"""Clients whose first words are read before somebody serves them: PROXY, tcpmux, banners."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct

import pytest

from harness import (
    HATCHD, IS_SANITIZED, PYTHON, connect, free_port, is_refused, proc_children, proc_fds,
    proc_memory, read_all, read_exactly, read_line, reload, service, stanza, talk, wait_exit,
    wait_until, workers,
)

LOCAL = "127.0.0.1"
ELSEWHERE = "127.0.0.2"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v1(peer="192.0.2.7", port=4711, local="198.51.100.1", local_port=25):
    return f"PROXY TCP4 {peer} {local} {port} {local_port}\r\n".encode()


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def v2(peer="192.0.2.7", port=4711, local="198.51.100.1", local_port=25, tlvs=b"", command=1):
    block = (socket.inet_aton(peer) + socket.inet_aton(local) +
             struct.pack("!HH", port, local_port) + tlvs)
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, 0x11, len(block)) + block


def proxied(name="p", use="required", proxies=LOCAL, **options):
    options.setdefault("listen", f"tcp:{free_port()}")
    if not {"shell", "exec", "builtin"} & set(options):
        options["exec"] = "/bin/cat"
    maker = stanza if "builtin" in options else service
    text = maker("service", name, **options) if maker is stanza else maker(name, **options)
    return text[:text.rindex("}")] + (
        f'proxy_protocol = {use}\nproxy_from = {{ "{proxies}" }}\n}}\n')


def start(hatchd, use="required", proxies=LOCAL, **options):
    """(a daemon with one service that expects the header of a proxy, its port)"""
    port = free_port()
    daemon = hatchd.file(proxied(use=use, proxies=proxies, listen=f"tcp:{port}", **options))
    return daemon, port


SAY_WHO = 'echo "$REMOTE_ADDR $REMOTE_PORT $SERVER_ADDR $SERVER_PORT $PROXY_ADDR"; cat'


# ---------------------------------------------------------------------------
# Who it is


@pytest.mark.parametrize("header", [v1, v2])
def test_who_it_really_is(hatchd, header):
    """What comes behind the header in the same packet is the program's."""
    daemon, port = start(hatchd, shell=SAY_WHO)
    said = talk(port, header() + b"payload\n")
    assert said == b"192.0.2.7 4711 198.51.100.1 25 127.0.0.1\npayload\n"
    daemon.wait_log(r"p: child \d+ ended: .*from 192\.0\.2\.7:4711")


def test_split_at_every_byte(hatchd):
    _, port = start(hatchd, shell=SAY_WHO)
    for header in v1(), v2(tlvs=tlv(2, b"example.org")):
        for cut in range(1, len(header)):
            with connect(port) as client:
                client.sendall(header[:cut])
                client.sendall(header[cut:] + b"x\n")
                client.shutdown(socket.SHUT_WR)
                assert read_all(client).endswith(b"127.0.0.1\nx\n")


def test_nobody_else_is_meant(hatchd):
    """LOCAL and UNKNOWN: the connection's own addresses are the right ones."""
    _, port = start(hatchd, shell=SAY_WHO)
    for header in b"PROXY UNKNOWN\r\n", v2(command=0):
        assert talk(port, header).startswith(b"127.0.0.1 ")


def test_host_that_was_asked_for(hatchd):
    _, port = start(hatchd, shell='echo "<$PROXY_AUTHORITY>"')
    assert talk(port, v2(tlvs=tlv(2, b"example.org"))) == b"<example.org>\n"
    assert talk(port, v2(tlvs=tlv(2, b"a\nb\0c d"))) == b"<a?b?c?d>\n"
    assert talk(port, v2()) == b"<>\n"


def test_what_is_built_in(hatchd):
    daemon, port = start(hatchd, builtin="echo")
    assert talk(port, v1() + b"hello") == b"hello"
    daemon.wait_log(r"p: connection \d+ ended: finished, 5 bytes in, 5 out, .*192\.0\.2\.7")


def test_only_from_is_about_the_client(hatchd):
    daemon, port = start(hatchd, only_from="192.0.2.0/24", shell="echo in")
    assert talk(port, v1()) == b"in\n"
    assert talk(port, v1("203.0.113.9")) == b""
    daemon.wait_log(r"refused 203\.0\.113\.9:4711: only_from")


def test_per_source_is_about_the_client(hatchd):
    daemon, port = start(hatchd, per_source=1)
    with connect(port) as one, connect(port) as other:
        one.sendall(v1("192.0.2.1") + b"1")
        assert read_exactly(one, 1) == b"1"
        other.sendall(v1("192.0.2.2") + b"2")
        assert read_exactly(other, 1) == b"2"
        assert talk(port, v1("192.0.2.1")) == b""
        daemon.wait_log(r"refused 192\.0\.2\.1:4711: per_source")


@pytest.mark.parametrize("limit", ["idle_timeout", "first_byte_timeout"])
@pytest.mark.parametrize("served", [{"exec": "/bin/cat"}, {"builtin": "echo"}],
                         ids=["exec", "builtin"])
def test_silent_client_of_a_proxy(hatchd, limit, served):
    """It is the connection that is asked after, not who it is for."""
    said = b"x" if limit == "idle_timeout" else b""
    daemon, port = start(hatchd, **{limit: "300ms"}, **served)
    with connect(port) as client:
        client.sendall(v1() + said)
        assert read_all(client) == said
        daemon.wait_log(rf"p: .*ended: {limit}, .*from 192\.0\.2\.7:4711")


# ---------------------------------------------------------------------------
# Whom nobody believes


def test_stranger_is_refused(hatchd):
    daemon, port = start(hatchd, proxies=ELSEWHERE, shell="echo in")
    with contextlib.suppress(ConnectionResetError):
        assert talk(port, v1()) == b""
    daemon.wait_log(r"refused 127\.0\.0\.1:\d+: proxy_from")
    assert talk(port, v1(), source=ELSEWHERE) == b"in\n"


def test_stranger_is_a_client_like_any_other(hatchd):
    """What he says is not looked at: it is the program's."""
    _, port = start(hatchd, use="optional", proxies=ELSEWHERE, shell=SAY_WHO)
    assert talk(port, v1()).startswith(b"127.0.0.1 ")
    assert talk(port, v1()).endswith(v1())
    assert talk(port, v1(), source=ELSEWHERE).startswith(b"192.0.2.7 ")
    assert talk(port, b"hello", source=ELSEWHERE).endswith(b"hello")


@pytest.mark.parametrize("said", [
    b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 a b c d\r\n", b"PROXY " + b"x" * 200,
    v2()[:12] + b"\x31", v2(tlvs=b"\x01\x00"), v2(tlvs=tlv(3, b"abcd")),
], ids=["none", "no addresses", "no end", "version 3", "cut TLV", "bad checksum"])
def test_what_is_no_header(hatchd, said):
    daemon, port = start(hatchd, shell="echo in")
    with contextlib.suppress(ConnectionResetError):
        assert talk(port, said) == b""
    daemon.wait_log(r"refused 127\.0\.0\.1:\d+: header")
    assert talk(port, v1()) == b"in\n"


def test_nothing_is_said(hatchd):
    """Whether the port is open: nobody is told of it."""
    daemon, port = start(hatchd, shell="echo in")
    assert talk(port) == b""
    assert talk(port, v1()) == b"in\n"
    assert "refused" not in daemon.log.text()


@pytest.mark.parametrize("said", [b"", b"PROXY TCP4 192", SIGNATURE + b"\x21\x11\xff\xff"],
                         ids=["nothing", "half", "65535 bytes to come"])
def test_too_late(hatchd, said):
    daemon, port = start(hatchd, header_timeout="300ms")
    with connect(port) as client:
        client.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(client) == b""
    daemon.wait_log(r"refused 127\.0\.0\.1:\d+: header_timeout")


# ---------------------------------------------------------------------------
# How many


def test_the_oldest_makes_room(hatchd):
    daemon, port = start(hatchd, pending=3, pending_per_source=3, header_timeout="1h")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(3)]
        fourth = stack.enter_context(connect(port))
        assert read_all(clients[0]) == b""
        daemon.wait_log(r"refused 127\.0\.0\.1:\d+: pending")
        for client in [*clients[1:], fourth]:
            client.sendall(v1() + b"x")
            assert read_exactly(client, 1) == b"x"


def test_silent_ones_keep_nobody_else_out(hatchd):
    """A crowd from one address, and somebody else is served at once."""
    daemon, port = start(hatchd, proxies="127.0.0.0/8", pending=50, header_timeout="1h")
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(port, source=ELSEWHERE))
        assert talk(port, v1() + b"x") == b"x"
        daemon.wait_log(r"refused 127\.0\.0\.2:\d+: pending")
    wait_until(lambda: daemon.count_fds() <= daemon.fds_at_start + 8)


def test_services_share_what_there_is(hatchd):
    """Three that may have 20 each have less in all: the one that has most loses one."""
    ports = [free_port() for _ in range(3)]
    daemon = hatchd.file("".join(
        proxied(f"p{i}", listen=f"tcp:{port}", proxies="127.0.0.0/8", pending=20,
                header_timeout="1h")
        for i, port in enumerate(ports)))
    with contextlib.ExitStack() as stack:
        for port in ports:
            for i in range(20):
                stack.enter_context(connect(port, source=f"127.0.1.{i + 1}"))
        daemon.wait_log(r"p\d: refused 127\.0\.1\.\d+:\d+: pending")
        for port in ports:
            assert talk(port, v1() + b"x") == b"x"


SLOW = 1000


@pytest.mark.parametrize("kind", ["proxy", "tcpmux"])
def test_slow_ones_cost_little(hatchd, kind):
    """Each says a byte now and then, and is waited for; 5,000 may cost 50 MB."""
    port = free_port()
    bounds = {"pending": 2 * SLOW, "pending_per_source": 2 * SLOW, "header_timeout": "1h"}
    if kind == "proxy":
        config, said = proxied(listen=f"tcp:{port}", **bounds), v1() + b"x"
    else:
        config = mux(port, **bounds) + by_name("cat", "plus", exec="/bin/cat")
        said = b"cat\r\nx"
    daemon = hatchd.file("total_instances = 100\n" + config)
    assert talk(port, said).endswith(b"x")
    before = sum(map(proc_memory, [daemon.pid, *workers(daemon.pid)]))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(SLOW)]
        for i in range(3):
            for client in clients:
                client.send(said[i:i + 1])
            assert talk(port, said).endswith(b"x")
        (worker,) = workers(daemon.pid)
        wait_until(lambda: len(proc_fds(worker)) >= SLOW)
        more = sum(map(proc_memory, [daemon.pid, worker])) - before
        assert IS_SANITIZED or more < SLOW * 10_000, f"{more // SLOW} bytes for each"
        for client in clients[::100]:
            client.sendall(said[3:])
            assert read_exactly(client, len(b"x")) != b""


def test_who_is_known_waits_for_his_turn(hatchd):
    daemon, port = start(hatchd, instances=1, per_source=1)
    with connect(port) as first, connect(port) as second:
        first.sendall(v1("192.0.2.1") + b"1")
        assert read_exactly(first, 1) == b"1"
        second.sendall(v1("192.0.2.2") + b"2")
        first.shutdown(socket.SHUT_WR)
        assert read_all(first) == b""
        assert read_exactly(second, 1) == b"2"
    assert "refused" not in daemon.log.text()


def test_who_is_known_is_refused(hatchd):
    daemon, port = start(hatchd, instances=1, per_source=1, overflow="refuse")
    with connect(port) as second, connect(port) as first:
        first.sendall(v1("192.0.2.1") + b"1")
        assert read_exactly(first, 1) == b"1"
        second.sendall(v1("192.0.2.2") + b"2")
        with contextlib.suppress(ConnectionResetError):
            assert read_all(second) == b""
        daemon.wait_log(r"refused 192\.0\.2\.2:4711: instances")


# ---------------------------------------------------------------------------
# tcpmux


def mux(port, **options):
    return stanza("service", "mux", listen=f"tcp:{port}", builtin="tcpmux", **options)


def by_name(name, use="yes", **options):
    return service(name, tcpmux=use, **options)


def test_tcpmux(hatchd):
    port = free_port()
    hatchd.file(
        mux(port)
        + by_name("upper", "plus", exec=["/usr/bin/tr", "a-z", "A-Z"])
        + by_name("Bare", shell='printf "+here\\r\\n"; cat')
        + service("hidden", listen=f"tcp:{free_port()}", exec="/bin/cat")
    )
    assert talk(port, b"upper\r\nhello") == b"+go\r\nHELLO"
    assert talk(port, b"UPPER\nhello") == b"+go\r\nHELLO"
    assert talk(port, b"bare\r\nx") == b"+here\r\nx"
    assert talk(port, b"HELP\r\n") == b"bare\r\nupper\r\n"
    for name in b"hidden", b"nothing", b"mux":
        assert talk(port, name + b"\r\n").startswith(b"-")
    assert talk(port, b"\r\n").startswith(b"-")
    assert talk(port, b"x" * 100).startswith(b"-")


def test_tcpmux_tells_who_may_not(hatchd):
    port = free_port()
    daemon = hatchd.file(
        mux(port) + by_name("far", "plus", exec="/bin/cat", only_from="192.0.2.1")
        + by_name("one", "plus", exec="/bin/cat", instances=1, overflow="refuse"))
    assert talk(port, b"far\r\n").startswith(b"-")
    daemon.wait_log(r"far: .*refused 127\.0\.0\.1:\d+: only_from")
    with connect(port) as client:
        client.sendall(b"one\r\nx")
        assert read_line(client) == b"+go\r"
        assert read_exactly(client, 1) == b"x"
        assert talk(port, b"one\r\n").startswith(b"-")


def test_tcpmux_name_of_another_day(hatchd):
    """A service that a reload has added, and one that it has taken away."""
    port = free_port()
    daemon = hatchd.file(mux(port) + by_name("a", "plus", exec="/bin/cat"))
    assert talk(port, b"a\r\nx") == b"+go\r\nx"
    reload(daemon, mux(port) + by_name("b", "plus", exec="/bin/cat"))
    assert talk(port, b"a\r\nx").startswith(b"-")
    assert talk(port, b"b\r\nx") == b"+go\r\nx"
    assert talk(port, b"help\r\n") == b"b\r\n"


def test_tcpmux_of_many(hatchd):
    """More services are asked for at once than the daemon keeps in memory."""
    port, n = free_port(), 300
    daemon = hatchd.file(
        mux(port, pending_per_source=n, header_timeout="1h")
        + "".join(by_name(f"s{i}", "plus", exec="/bin/cat") for i in range(n)))
    assert talk(port, b"s0\r\nx") == b"+go\r\nx"
    (worker,) = workers(daemon.pid)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(n)]
        wait_until(lambda: len(proc_fds(worker)) >= n)
        os.kill(worker, signal.SIGSTOP)
        for i, client in enumerate(clients):
            client.sendall(b"s%d\r\nx" % i)
        os.kill(worker, signal.SIGCONT)
        for client in clients:
            assert read_line(client) == b"+go\r"
            assert read_exactly(client, 1) == b"x"


def test_tcpmux_behind_a_proxy(hatchd):
    port = free_port()
    hatchd.file(
        proxied("mux", listen=f"tcp:{port}", builtin="tcpmux")
        + by_name("who", "plus", shell=SAY_WHO))
    assert talk(port, v1() + b"who\r\nx") == (
        b"+go\r\n192.0.2.7 4711 198.51.100.1 25 127.0.0.1\nx")


def test_tcpmux_has_rules_of_its_own(hatchd):
    """Also about those whom a proxy speaks of."""
    port = free_port()
    daemon = hatchd.file(
        proxied("mux", listen=f"tcp:{port}", builtin="tcpmux", only_from="192.0.2.0/24")
        + by_name("cat", "plus", exec="/bin/cat"))
    assert talk(port, v1() + b"cat\r\nx") == b"+go\r\nx"
    assert talk(port, v1("203.0.113.9") + b"cat\r\nx").startswith(b"-")
    daemon.wait_log(r"mux: .*refused 203\.0\.113\.9:4711: only_from")


def test_tcpmux_has_a_rate_of_its_own(hatchd):
    """Names are asked for, whatever they are of."""
    port = free_port()
    daemon = hatchd.file(mux(port, rate="2/1h", overflow="refuse")
                         + by_name("cat", "plus", exec="/bin/cat"))
    assert talk(port, b"cat\r\nx") == b"+go\r\nx"
    assert talk(port, b"nothing\r\n").startswith(b"-")
    with contextlib.suppress(ConnectionResetError):
        assert talk(port, b"cat\r\n") == b""
    daemon.wait_log(r"mux: .*refused 127\.0\.0\.1:\d+: rate")


# ---------------------------------------------------------------------------
# Banners


def banner(folder, name):
    path = folder / name
    path.write_text(f"{name}\r\n")
    path.chmod(0o644)
    return str(path)


def banners(folder):
    return {name: banner(folder, name) for name in ("banner", "banner_success", "banner_fail")}


def test_banners(hatchd, folder):
    port = free_port()
    hatchd.file(service("b", listen=f"tcp:{port}", exec="/bin/cat", no_access=ELSEWHERE,
                        **banners(folder)))
    assert talk(port, b"x") == b"banner\r\nbanner_success\r\nx"
    assert talk(port, b"x", source=ELSEWHERE) == b"banner_fail\r\n"


def test_banners_behind_a_proxy(hatchd, folder):
    _, port = start(hatchd, no_access="192.0.2.9", **banners(folder))
    assert talk(port, v1() + b"x") == b"banner\r\nbanner_success\r\nx"
    assert talk(port, v1("192.0.2.9") + b"x") == b"banner\r\nbanner_fail\r\n"


def test_banners_of_who_is_asked_for(hatchd, folder):
    port = free_port()
    hatchd.file(mux(port) + by_name("b", "plus", exec="/bin/cat", **banners(folder)))
    assert talk(port, b"b\r\nx") == b"+go\r\nbanner\r\nbanner_success\r\nx"


# ---------------------------------------------------------------------------
# Here and there


def test_unix_socket(hatchd, folder):
    daemon = hatchd.file(proxied(
        listen=f"unix:{folder}/s", proxies="unix", shell='echo "$REMOTE_ADDR"; cat'))
    assert talk(f"unix:{folder}/s", v1() + b"x") == b"192.0.2.7\nx"
    daemon.wait_log(r"from 192\.0\.2\.7:4711")


def test_once(hatchd):
    """Who only looks whether the port is open is not the one."""
    port = free_port()
    daemon = hatchd.adhoc("--once", "-l", f"tcp:127.0.0.1:{port}", "--proxy-protocol",
                          "required", "--proxy-from", LOCAL, "--", "/bin/cat")
    assert talk(port) == b""
    assert talk(port, v1() + b"x") == b"x"
    assert daemon.wait_end() == 0


def test_stopped_while_somebody_is_silent(hatchd):
    daemon, port = start(hatchd, header_timeout="1h")
    with connect(port) as client:
        wait_until(lambda: workers(daemon.pid))
        daemon.stop(leave=True)
        assert read_all(client) == b""


def test_reload_lets_go_of_who_is_silent(hatchd):
    """Of a service that is there no longer; of the others nobody."""
    one, other = free_port(), free_port()
    stays = proxied("stays", listen=f"tcp:{other}", header_timeout="1h")
    daemon = hatchd.file(proxied("goes", listen=f"tcp:{one}", header_timeout="1h") + stays)
    with connect(one) as lost, connect(other) as kept:
        wait_until(lambda: any(len(proc_fds(pid)) >= 8 for pid in workers(daemon.pid)))
        reload(daemon, stays)
        assert read_all(lost) == b""
        assert is_refused(one)
        kept.sendall(v1() + b"x")
        assert read_exactly(kept, 1) == b"x"


@pytest.mark.parametrize("goes", ["service", "tcpmux", "both"])
def test_reload_lets_go_of_who_waits(hatchd, goes):
    """He has asked for a service that is full: he goes with it, and with where he came to."""
    port = free_port()
    way, one = mux(port), by_name("one", "plus", exec="/bin/cat", instances=1)
    rest = by_name("other", "plus", exec="/bin/cat")
    after = {"service": way, "tcpmux": one, "both": ""}[goes] + rest
    daemon = hatchd.file(way + one + rest)
    with connect(port) as first, connect(port, source=ELSEWHERE) as second:
        first.sendall(b"one\r\n1")
        assert read_exactly(first, 6) == b"+go\r\n1"
        second.sendall(b"one\r\n2")
        assert read_line(second) == b"+go\r"
        reload(daemon, after)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(second) == b""
        first.sendall(b"2")
        assert read_exactly(first, 1) == b"2"
    if goes == "service":
        assert talk(port, b"other\r\nx") == b"+go\r\nx"


# ---------------------------------------------------------------------------
# The worker


def test_worker_dies(hatchd):
    """Whom it has is lost; whoever is served already, or comes, is not."""
    daemon, port = start(hatchd, header_timeout="1h")
    with connect(port) as served, connect(port) as silent:
        served.sendall(v1() + b"1")
        assert read_exactly(served, 1) == b"1"
        (worker,) = workers(daemon.pid)
        wait_until(lambda: len(proc_fds(worker)) > 6)
        os.kill(worker, signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(silent) == b""
        daemon.wait_log("hatchd-front: 1 connection lost")
        served.sendall(b"2")
        assert read_exactly(served, 1) == b"2"
    assert talk(port, v1() + b"x") == b"x"


def test_master_dies(hatchd):
    """Whoever waits for its word waits no longer, and the worker ends."""
    port = free_port()
    daemon = hatchd.file(mux(port) + by_name("cat", exec="/bin/cat"))
    assert talk(port, b"cat\r\nx") == b"x"
    (worker,) = workers(daemon.pid)
    with connect(port) as client:
        wait_until(lambda: len(proc_fds(worker)) > 6)
        os.kill(worker, signal.SIGSTOP)
        client.sendall(b"cat\r\n")
        daemon.signal(signal.SIGKILL)
        daemon.wait_end()
        os.kill(worker, signal.SIGCONT)
        wait_exit(worker)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(client) == b""


def test_worker_dies_before_it_has_read(hatchd):
    """The next one reads what they say."""
    daemon, port = start(hatchd, header_timeout="1h")
    assert talk(port, v1() + b"x") == b"x"
    (worker,) = workers(daemon.pid)
    os.kill(worker, signal.SIGSTOP)
    with contextlib.ExitStack() as stack:
        before = daemon.count_fds()
        clients = [stack.enter_context(connect(port)) for _ in range(20)]
        wait_until(lambda: daemon.count_fds() >= before + 20)
        os.kill(worker, signal.SIGKILL)
        for client in clients:
            client.sendall(v1() + b"x")
            assert read_exactly(client, 1) == b"x"


LIAR = """\
#!{python} -SE
import os, signal, socket, struct
requests = socket.socket(fileno=3)
ANSWER = "=HHIQI4xQQI2H16s2H16sH255s65s2x"
READY, DONE, PONG, OFFER = 1, 2, 3, 4
DRAIN = 3
FINISHED, REFUSED, PASSED = 0, 3, 6
def answer(kind, connection=0, place=0, result=0, family=0, service=b"", authority_len=0,
           taken=0):
    return struct.pack(ANSWER, 4, kind, result, connection, place, taken, 0, 0,
                       family, 1, b"", 0, 0, b"", authority_len, b"", service)
def say(*answers):
    os.write(4, b"".join(answers))
def take():
    data, fds, _, _ = socket.recv_fds(requests, 4096, 4)
    for fd in fds:
        os.close(fd)
    return struct.unpack_from("=QI", data, 8)
def until_drained():
    while struct.unpack_from("=H", requests.recv(4096), 2)[0] != DRAIN:
        pass
say(answer(READY))
c, p = take()
while not c:
    say(answer(PONG))
    c, p = take()
"""

LIES = {
    "offer twice": "say(answer(OFFER, c, p), answer(OFFER, c, p))",
    "foreign connection": "say(answer(OFFER, c + 1, p))",
    "foreign place": "say(answer(DONE, c, p + 1, PASSED))",
    "place beyond all": "say(answer(OFFER, c, 2**32 - 1))",
    "done twice": "say(answer(DONE, c, p), answer(DONE, c, p))",
    "passed twice": "say(answer(DONE, c, p, PASSED), answer(DONE, c, p, PASSED))",
    "a name that nobody was asked for": "say(answer(DONE, c, p, PASSED, service=b'mux'))",
    "a user": "say(answer(DONE, c, p, PASSED, family=1))",
    "a name in an offer": "say(answer(OFFER, c, p, service=b'mux'))",
}


def front_instead(folder, text):
    """A hatchd whose hatchd-front does that."""
    own = folder / "own"
    own.mkdir()
    own.chmod(0o755)
    for name in ("hatchd", "hatchd-load", "hatchd-ask", "hatchd-builtin"):
        shutil.copy(pathlib.Path(HATCHD).parent / name, own / name)
    worker = own / "hatchd-front"
    worker.write_text(LIAR.format(python=PYTHON) + text)
    worker.chmod(0o755)
    return own / "hatchd"


HAS_NO_MEMORY = """
first = c
say(answer(DONE, c, p, REFUSED, taken={taken}))
c = 0
while not c:
    c, p = take()
    if not c:
        say(answer(PONG))
os.write(2, b"has him again\\n" if c == first else b"has another one\\n")
signal.pause()
"""


@pytest.mark.parametrize("taken", [0, 5])
def test_worker_lacks_memory(hatchd, folder, taken):
    """It is given him again; but what is behind a header that it has taken is no header."""
    port = free_port()
    daemon = hatchd.file(
        proxied(listen=f"tcp:{port}"),
        binary=front_instead(folder, HAS_NO_MEMORY.format(taken=taken)))
    with connect(port) as client:
        if taken:
            assert read_all(client) == b""
            with connect(port):
                daemon.wait_log("has another one")
        else:
            daemon.wait_log("has him again")
    daemon.stop(leave=True)


OFFERS_MANY = """
import fcntl, select, termios
guests = [(c, p)]
while len(guests) < {n}:
    c, p = take()
    guests.append((c, p)) if c else say(answer(PONG))
for c, p in guests:
    select.select([], [4], [])
    say(answer(OFFER, c, p, service=b"x"))
while fcntl.ioctl(4, termios.FIONREAD, bytes(4)) != bytes(4):
    pass
while guests:
    c, p = take()
    if c:
        guests.remove((c, p))
    select.select([], [4], [])
    say(answer(DONE, c, p, PASSED, service=b"x") if c else answer(PONG))
until_drained()
"""


def test_more_verdicts_than_there_is_room_for(hatchd, folder):
    """The worker does not read for a while: everybody gets his all the same."""
    port, n = free_port(), 600
    daemon = hatchd.file(
        mux(port, pending_per_source=n)
        + by_name("x", builtin="echo", per_source=n, instances=n),
        binary=front_instead(folder, OFFERS_MANY.format(n=n)))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(n)]
        for client in clients:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
    daemon.stop(leave=True)


TELLS_LATER = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
say(answer(OFFER, c, p, service=b"x"))
while take()[0] != c:
    say(answer(PONG))
os.write(2, b"has its verdict\\n")
signal.sigwait([signal.SIGUSR1])
say(answer(DONE, c, p, PASSED, service=b"x"))
until_drained()
"""


def reload_after_verdict(hatchd, folder, port, before, after):
    """Who may come in to `before` is told so, and is with the worker yet when it changes.
    (the daemon, and what he gets)"""
    daemon = hatchd.file(mux(port) + before, binary=front_instead(folder, TELLS_LATER))
    with connect(port) as client:
        daemon.wait_log("has its verdict")
        (worker,) = [pid for pid in proc_children(daemon.pid) if pid != daemon.pid]
        reload(daemon, mux(port) + after)
        client.sendall(b"y")
        client.shutdown(socket.SHUT_WR)
        os.kill(worker, signal.SIGUSR1)
        with contextlib.suppress(ConnectionResetError):
            return daemon, read_all(client)
    return daemon, b""


def test_reload_after_verdict(hatchd, folder):
    """He gets what the service is by then."""
    port = free_port()
    daemon, said = reload_after_verdict(
        hatchd, folder, port, by_name("x", exec="/bin/cat"),
        by_name("x", shell="echo new; cat"))
    assert said == b"new\ny"
    daemon.stop(leave=True)


@pytest.mark.parametrize("change", ["not by name", "sockets of its own", "sensor"])
def test_reload_after_verdict_is_for_others(hatchd, folder, change):
    """The service is not had by its name any more: he does not come in, nor is he banned."""
    port, listen = free_port(), f"unix:{folder}/s"
    after = {
        "not by name": service("x", listen=listen, exec="/bin/cat"),
        "sockets of its own": service("x", listen=listen, exec="/bin/cat", wait=True),
        "sensor": service("x", listen=listen, exec="/bin/cat", sensor=True),
    }
    daemon, said = reload_after_verdict(
        hatchd, folder, port, by_name("x", exec="/bin/cat"), after[change])
    assert said == b""
    daemon.wait_log(r"x: refused 127\.0\.0\.1:\d+: tcpmux$")
    daemon.stop(leave=True)


@pytest.mark.parametrize("lie", LIES)
def test_liar(hatchd, folder, lie):
    """It is killed and told of; children and other services stay."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        proxied(listen=f"tcp:{port}") + service("cat", listen=f"tcp:{other}", exec="/bin/cat"),
        binary=front_instead(folder, LIES[lie] + "\nsignal.pause()\n"))
    with connect(other) as cat:
        cat.sendall(b"x")
        assert read_exactly(cat, 1) == b"x"
        with connect(port):
            daemon.wait_log("hatchd-front: child .* (speaks of|offers) .*, killing it")
        cat.sendall(b"y")
        assert read_exactly(cat, 1) == b"y"
    daemon.stop(leave=True)


@pytest.mark.parametrize(("said", "lie"), [
    ("without a proxy", "say(answer(DONE, c, p, PASSED, family=2, service=b'cat'))"),
    ("a host without a proxy",
     "say(answer(DONE, c, p, PASSED, authority_len=3, service=b'cat'))"),
    ("no name", "say(answer(DONE, c, p, PASSED))"),
])
def test_liar_of_tcpmux(hatchd, folder, said, lie):
    """What its part is not it may not say."""
    port = free_port()
    daemon = hatchd.file(mux(port) + by_name("cat", exec="/bin/cat"),
                         binary=front_instead(folder, lie + "\nsignal.pause()\n"))
    with connect(port):
        daemon.wait_log("hatchd-front: child .* speaks of a connection .*, killing it")
    daemon.stop(leave=True)
