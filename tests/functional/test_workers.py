"""Services that a worker serves: what it says, and what becomes of them when it dies."""

import contextlib
import datetime
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import time

import pytest

from harness import (
    HATCHD, PYTHON, Daemon, connect, free_port, have_ipv6, is_refused, proc_fds, proc_stat,
    proc_status, read_all, read_exactly, read_line, reload, service, stanza, talk, udp,
    wait_exit, wait_until, workers,
)

SECONDS_1900_TO_1970 = 2_208_988_800
CHARS = "".join(map(chr, range(32, 127)))


def builtin(name, kind, *listen, **options):
    return stanza("service", name, listen=list(listen), builtin=kind, **options)


def start(hatchd, kind, **options):
    """(a daemon with one built-in service, its port)"""
    port = free_port()
    return hatchd.file(builtin("b", kind, f"tcp:{port}", **options)), port


# ---------------------------------------------------------------------------
# What they say


def test_echo(hatchd):
    _, port = start(hatchd, "echo")
    assert talk(port, b"Bom dia") == b"Bom dia"
    assert talk(port, b"") == b""


def test_echo_of_much(hatchd):
    """Both ways at once, more than any buffer between."""
    _, port = start(hatchd, "echo")
    data = os.urandom(1 << 20) * 8
    assert talk(port, data) == data


def test_echo_in_small_pieces(hatchd):
    _, port = start(hatchd, "echo")
    with connect(port) as client:
        for byte in b"Hello, world!":
            client.sendall(bytes([byte]))
            assert read_exactly(client, 1) == bytes([byte])


def test_discard(hatchd):
    daemon, port = start(hatchd, "discard")
    assert talk(port, b"x" * 1_000_000) == b""
    daemon.wait_log("ended: finished, 1000000 bytes in, 0 out")


def test_chargen(hatchd):
    """RFC 864: 72 characters of those that print, each line begins one further."""
    _, port = start(hatchd, "chargen")
    with connect(port) as client:
        client.sendall(b"thrown away")
        for line in range(200):
            expected = "".join(CHARS[(line + i) % 95] for i in range(72))
            assert read_exactly(client, 74) == expected.encode() + b"\r\n"


def test_daytime(hatchd):
    _, port = start(hatchd, "daytime")
    answer = talk(port)
    assert answer.endswith(b"\r\n")
    said = datetime.datetime.strptime(answer.decode().strip(), "%a %b %d %H:%M:%S %Y")
    assert abs((datetime.datetime.now() - said).total_seconds()) < 60


def test_daytime_is_local_time():
    """The zone comes from a file, and files are out of reach in the sandbox."""
    port = free_port()
    config = builtin("b", "daytime", f"tcp:{port}")
    with Daemon(config=config, env={"TZ": "XYZ-11:30"}):
        said = datetime.datetime.strptime(talk(port).decode().strip(), "%a %b %d %H:%M:%S %Y")
    there = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(
        hours=11, minutes=30
    )
    assert abs((there - said).total_seconds()) < 60


def test_time(hatchd):
    """RFC 868: four bytes, seconds since 1900."""
    _, port = start(hatchd, "time")
    (said,) = struct.unpack("!I", talk(port))
    assert abs((time.time() + SECONDS_1900_TO_1970) % 2**32 - said) < 60


def test_qotd(hatchd, folder):
    quotes = folder / "quotes"
    quotes.write_text("Bom dia.\n%\nHello,\nworld!\n")
    _, port = start(hatchd, "qotd", text_file=quotes)
    wanted = {b"Bom dia.\r\n", b"Hello,\r\nworld!\r\n"}
    seen = set()
    for _ in range(1000):
        seen.add(talk(port))
        if seen == wanted:
            break
    assert seen == wanted


def test_text(hatchd):
    port = free_port()
    hatchd.file(
        f'service b {{ listen = tcp:{port}\nbuiltin = text\ntext = "go away\\n" }}\n'
    )
    assert talk(port) == b"go away\n"
    # Who speaks first still gets his answer, and no reset.
    assert talk(port, b"GET / HTTP/1.0\r\n\r\n") == b"go away\n"


@pytest.mark.parametrize("kind", ["tcp6", "unix"])
def test_other_sockets(hatchd, folder, kind):
    if kind == "tcp6" and not have_ipv6():
        pytest.skip("this machine has no IPv6")
    address = f"unix:{folder}/echo.sock" if kind == "unix" else f"tcp:[::1]:{free_port()}"
    daemon = hatchd.file(builtin("b", "echo", address))
    assert talk(address, b"Bom dia") == b"Bom dia"
    daemon.wait_log("ended: finished, 7 bytes in, 7 out")


def test_half_close(hatchd):
    """Everything comes back after the client has said that it has said everything."""
    _, port = start(hatchd, "echo")
    with connect(port) as client:
        client.sendall(b"abc")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"abc"


def test_reset(hatchd):
    daemon, port = start(hatchd, "chargen")
    client = connect(port)
    read_exactly(client, 74)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    daemon.wait_log("ended: reset")


def test_one_worker_for_all(hatchd):
    ports = [free_port() for _ in range(3)]
    daemon = hatchd.file(
        "".join(builtin(f"b{port}", "echo", f"tcp:{port}") for port in ports)
    )
    assert workers(daemon.pid) == []
    for port in ports:
        assert talk(port, b"x") == b"x"
    assert len(workers(daemon.pid)) == 1


# ---------------------------------------------------------------------------
# Over UDP


def test_udp_echo(hatchd):
    port = free_port()
    hatchd.file(builtin("b", "echo", f"udp:127.0.0.1:{port}"))
    assert udp(f"udp:127.0.0.1:{port}", b"Bom dia", b"", b"x" * 9000) == [
        b"Bom dia", b"", b"x" * 9000]


def test_udp_never_answers_more_than_it_got(hatchd):
    port, other = free_port(), free_port()
    hatchd.file(
        builtin("d", "daytime", f"udp:127.0.0.1:{port}")
        + builtin("t", "time", f"udp:127.0.0.1:{other}")
    )
    for address, length in ((f"udp:127.0.0.1:{port}", 26), (f"udp:127.0.0.1:{other}", 4)):
        with connect(address) as sock:
            for size in (0, 1, length - 1, length):
                sock.send(b"x" * size)
            # The only answer is that to the last.
            assert len(sock.recv(1000)) == length
            sock.send(b"x" * (length + 1))
            assert len(sock.recv(1000)) == length


def test_udp_chargen_is_left_to_chance(hatchd):
    """How long an answer is, RFC 864: also where each is asked for alone."""
    port = free_port()
    hatchd.file(builtin("c", "chargen", f"udp:127.0.0.1:{port}"))
    with connect(f"udp:127.0.0.1:{port}") as sock:
        lengths = set()
        for _ in range(40):
            sock.send(b"x" * 512)
            lengths.add(len(sock.recv(1000)))
    assert len(lengths) > 1


def test_udp_and_tcp_of_one_service(hatchd):
    """The socket counts for no limit: a client of the stream has the one place."""
    port = free_port()
    hatchd.file(builtin("b", "echo", f"udp:127.0.0.1:{port}", f"tcp:{port}", instances=1))
    assert udp(f"udp:127.0.0.1:{port}", b"x") == [b"x"]
    assert talk(port, b"y") == b"y"
    assert udp(f"udp:127.0.0.1:{port}", b"z") == [b"z"]


def test_udp_rules_hold_for_each_datagram(hatchd):
    port = free_port()
    daemon = hatchd.file(
        builtin("b", "echo", f"udp:127.0.0.1:{port}", no_access="127.0.0.2"))
    address = f"udp:127.0.0.1:{port}"
    with connect(address) as friend, connect(address, source="127.0.0.2") as stranger:
        for number in range(10):
            stranger.send(b"s%d" % number)
            friend.send(b"f%d" % number)
            assert friend.recv(100) == b"f%d" % number
        # Rules that have changed hold at once: the worker gives the socket back.
        daemon.write(builtin("b", "echo", f"udp:127.0.0.1:{port}", no_access="127.0.0.1"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded: ")
        daemon.wait_log(r"socket \d+ ended: ended")
        friend.send(b"no more")
        stranger.send(b"welcome")
        assert stranger.recv(100) == b"welcome"
        stranger.setblocking(False)
        friend.setblocking(False)
        for sock in (friend, stranger):
            with pytest.raises(BlockingIOError):
                sock.recv(100)


def test_udp_for_all(hatchd):
    """On every address, and over IPv6 where there is any."""
    port = free_port()
    hatchd.file(builtin("b", "echo", f"udp:{port}", public=True))
    assert udp(f"udp:127.0.0.1:{port}", b"x") == [b"x"]
    if have_ipv6():
        assert udp(f"udp:[::1]:{port}", b"y") == [b"y"]


def test_udp_worker_dies(hatchd):
    port = free_port()
    daemon = hatchd.file(builtin("b", "echo", f"udp:127.0.0.1:{port}"))
    assert udp(f"udp:127.0.0.1:{port}", b"x") == [b"x"]
    (worker,) = workers(daemon.pid)
    os.kill(worker, signal.SIGKILL)
    daemon.wait_log("ended: lost")
    assert udp(f"udp:127.0.0.1:{port}", b"y") == [b"y"]
    (new,) = workers(daemon.pid)
    assert new != worker


def test_udp_worker_hangs(hatchd, folder, world):
    """Nobody comes who would have it asked: it is asked all the same, and replaced."""
    if world is None:
        pytest.skip("a sanitizer must be loaded first")
    port = free_port()
    daemon = hatchd.file(
        builtin("b", "echo", f"udp:127.0.0.1:{port}"), env=world.env)
    assert udp(f"udp:127.0.0.1:{port}", b"x") == [b"x"]
    (worker,) = workers(daemon.pid)
    os.kill(worker, signal.SIGSTOP)
    world.is_later(31, daemon)
    daemon.wait_log("hatchd: b: ")
    world.is_later(42, daemon)
    daemon.wait_log(f"hatchd-builtin: child {worker} does not answer, killing it")
    assert udp(f"udp:127.0.0.1:{port}", b"y") == [b"y"]


def can_bind(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_udp_socket_is_free_after_a_reload(hatchd):
    """Another program can have the address as soon as it is ours no longer."""
    port = free_port()
    daemon = hatchd.file(builtin("b", "echo", f"udp:127.0.0.1:{port}"))
    assert udp(f"udp:127.0.0.1:{port}", b"x") == [b"x"]
    daemon.write(builtin("b", "echo", f"tcp:{port}"))
    daemon.signal(signal.SIGHUP)
    daemon.wait_log(r"socket \d+ ended: ended, 1 bytes in, 1 out")
    # What programs have had is closed by a thread, a moment later.
    wait_until(lambda: can_bind(port), what=f"port {port} to be free")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_udp_socket_is_free_after_the_end(hatchd, end):
    """However hatchd ends: a worker does not keep what lasts for ever."""
    port = free_port()
    daemon = hatchd.file(builtin("b", "echo", f"udp:127.0.0.1:{port}"))
    assert udp(f"udp:127.0.0.1:{port}", b"x") == [b"x"]
    (worker,) = workers(daemon.pid)
    if end == "stop":
        daemon.stop(leave=True)
        assert "leaving" not in daemon.text()
    else:
        daemon.process.kill()
        daemon.process.wait()
        daemon.stopped = True
    wait_exit(worker)
    assert can_bind(port)


@pytest.mark.needs_root
def test_udp_two_echoes_do_not_talk_to_each_other(hatchd):
    """One datagram that pretends to come from the other one (CVE-1999-0103)."""
    port = free_port()
    daemon = hatchd.file(
        builtin("a", "echo", f"udp:127.0.0.1:{port}")
        + builtin("b", "echo", f"udp:127.0.0.2:{port}")
    )
    for host in ("127.0.0.1", "127.0.0.2"):
        assert udp(f"udp:{host}:{port}", b"x") == [b"x"]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        raw.sendto(forged("127.0.0.2", "127.0.0.1", port, b"ping"), ("127.0.0.1", 0))
    for host in ("127.0.0.1", "127.0.0.2"):
        assert udp(f"udp:{host}:{port}", b"y") == [b"y"]
    daemon.write(service("cat", listen=f"tcp:{free_port()}", exec="/bin/cat"))
    daemon.signal(signal.SIGHUP)
    # "x" and "y", and the forged one at one of them, that nobody has answered.
    daemon.wait_log(r"a: socket \d+ ended: ended, 6 bytes in, 2 out")
    daemon.wait_log(r"b: socket \d+ ended: ended, 2 bytes in, 2 out")


def forged(source, target, port, data):
    """An IPv4 packet; the kernel fills in length and checksum of its header."""
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0,
        socket.inet_aton(source), socket.inet_aton(target))
    return header + struct.pack("!HHHH", port, port, 8 + len(data), 0) + data


# ---------------------------------------------------------------------------
# Limits are those of every service


def test_instances(hatchd):
    _, port = start(hatchd, "echo", instances=1)
    with connect(port) as first:
        first.sendall(b"1")
        assert read_exactly(first, 1) == b"1"
        second = connect(port)
        second.sendall(b"2")
        # Still the first one's turn: what is sent after that is not answered before.
        first.sendall(b"3")
        assert read_exactly(first, 1) == b"3"
    with second:
        assert read_exactly(second, 1) == b"2"


def test_refused_sources(hatchd):
    daemon, port = start(hatchd, "echo", only_from="127.0.0.2", per_source=1)
    with connect(f"tcp:127.0.0.1:{port}", source="127.0.0.1") as client:
        assert read_all(client) == b""
    with connect(f"tcp:127.0.0.1:{port}", source="127.0.0.2") as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        with connect(f"tcp:127.0.0.1:{port}", source="127.0.0.2") as other:
            assert read_all(other) == b""
    daemon.wait_log("refused 127.0.0.1:.*: only_from")
    daemon.wait_log("refused 127.0.0.2:.*: per_source")


def test_time_limit(hatchd):
    daemon, port = start(hatchd, "chargen", time_limit="300ms")
    with connect(port) as client, contextlib.suppress(ConnectionResetError):
        while client.recv(65536):
            pass
    daemon.wait_log("ended: time_limit, ")


def test_silent_clients_end(hatchd):
    daemon, port = start(hatchd, "echo", first_byte_timeout="300ms")
    with connect(port) as client:
        assert read_all(client) == b""
    daemon.wait_log("ended: first_byte_timeout, 0 bytes in, 0 out")


# ---------------------------------------------------------------------------
# The worker


@pytest.mark.needs_root
def test_worker_lies_where_others_may_not_go(hatchd, folder):
    """In the home of root, for one: it is run all the same, as somebody else."""
    port = free_port()
    config = builtin("b", "echo", f"tcp:{port}")
    inside = folder / "inside"
    inside.mkdir(mode=0o700)
    for name in ("hatchd", "hatchd-load", "hatchd-ask", "hatchd-builtin"):
        shutil.copy(pathlib.Path(HATCHD).parent / name, inside / name)
    daemon = hatchd.file(config, binary=inside / "hatchd")
    assert talk(port, b"x") == b"x"
    (worker,) = workers(daemon.pid)
    assert proc_status(worker)["Name"] == "hatchd-builtin"


@pytest.mark.needs_root
def test_worker_has_no_rights(hatchd):
    daemon, port = start(hatchd, "echo")
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        (worker,) = workers(daemon.pid)
        status = proc_status(worker)
        assert "0" not in status["Uid"].split() + status["Gid"].split()
        assert status["Groups"].strip() == ""
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[kind], 16) == 0
        targets = sorted(re.sub(r"[:\[].*", "", path) for path in proc_fds(worker).values())
        assert targets[:2] == ["/dev/null", "/dev/null"]
        # Its channel, standard error, the epoll set, and one client.
        assert len(targets) == 7, targets


def test_worker_dies(hatchd):
    """Its own connections end, nobody else's, and the next client is served."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        builtin("b", "echo", f"tcp:{port}")
        + service("cat", listen=f"tcp:{other}", exec="/bin/cat")
    )
    with connect(port) as client, connect(other) as cat:
        for sock in (client, cat):
            sock.sendall(b"x")
            assert read_exactly(sock, 1) == b"x"
        (worker,) = workers(daemon.pid)
        os.kill(worker, signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(client) == b""
        daemon.wait_log("ended: lost")
        daemon.wait_log("hatchd-builtin: 1 connection lost")
        assert talk(port, b"again") == b"again"
        (new,) = workers(daemon.pid)
        assert new != worker
        cat.sendall(b"y")
        assert read_exactly(cat, 1) == b"y"


def test_worker_dies_before_it_has_taken_them(hatchd):
    """Nobody is lost whom it has not seen: the next one serves them."""
    port = free_port()
    daemon = hatchd.file(builtin("b", "echo", f"tcp:{port}"), "-v")
    with connect(port) as first, contextlib.ExitStack() as stack:
        first.sendall(b"x")
        assert read_exactly(first, 1) == b"x"
        (worker,) = workers(daemon.pid)
        os.kill(worker, signal.SIGSTOP)
        clients = [stack.enter_context(connect(port)) for _ in range(100)]
        daemon.wait_log(f"passed to child {worker}, hatchd-builtin", count=101)
        os.kill(worker, signal.SIGKILL)
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
            client.shutdown(socket.SHUT_WR)
        for number, client in enumerate(clients):
            assert read_all(client) == b"%d" % number
    daemon.wait_log("hatchd-builtin: 1 connection lost")


def test_worker_dies_again_and_again(hatchd):
    daemon, port = start(hatchd, "echo")
    for _ in range(20):
        with connect(port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
            (worker,) = workers(daemon.pid)
            os.kill(worker, signal.SIGKILL)
            with contextlib.suppress(ConnectionResetError):
                read_all(client)
    assert talk(port, b"x") == b"x"


def test_many_are_ended_at_once(hatchd):
    """More than a channel holds: nobody is forgotten, and nobody else suffers."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        builtin("b", "echo", f"tcp:{port}", per_source=600, instances=600,
                time_limit="1500ms", kill_after="5s")
        + builtin("other", "echo", f"tcp:{other}")
    )
    with connect(other) as friend, contextlib.ExitStack() as stack:
        friend.sendall(b"x")
        assert read_exactly(friend, 1) == b"x"
        (worker,) = workers(daemon.pid)
        os.kill(worker, signal.SIGSTOP)
        clients = [stack.enter_context(connect(port)) for _ in range(500)]
        daemon.wait_log("hatchd-builtin has all it can do, new clients wait")
        os.kill(worker, signal.SIGCONT)
        for client in clients:
            with contextlib.suppress(ConnectionResetError):
                assert read_all(client) == b""
        daemon.wait_log("ended: time_limit", count=500)
        friend.sendall(b"y")
        assert read_exactly(friend, 1) == b"y"
        assert workers(daemon.pid) == [worker]


def test_one_is_told_to_end_twice(hatchd):
    """Before there was room to tell it once; then nothing is left to be told."""
    port, other = free_port(), free_port()
    rest = builtin("b", "echo", f"tcp:{port}", per_source=600, instances=600)

    def text(rule):
        return rest + builtin("u", "echo", f"udp:127.0.0.1:{other}", no_access=rule)

    daemon = hatchd.file(text("127.0.0.2"))
    assert udp(f"udp:127.0.0.1:{other}", b"x") == [b"x"]
    (worker,) = workers(daemon.pid)
    os.kill(worker, signal.SIGSTOP)
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(connect(port))
        daemon.wait_log("hatchd-builtin has all it can do, new clients wait")
        reload(daemon, text("127.0.0.3"))
        reload(daemon, text("127.0.0.4"))
        os.kill(worker, signal.SIGCONT)
        daemon.wait_log(r"u: socket \d+ ended: ended")
    daemon.wait_children(0)
    wait_until(lambda: proc_stat(daemon.pid)[0] == "S", what="a hatchd that sleeps")
    assert udp(f"udp:127.0.0.1:{other}", b"y") == [b"y"]


def test_all_are_told_to_end_at_stop(hatchd):
    port = free_port()
    daemon = hatchd.file(builtin(
        "b", "echo", f"tcp:{port}", per_source=600, instances=600, stop="terminate"))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(500)]
        for client in clients:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
        (worker,) = workers(daemon.pid)
        # Nothing is read while more is written than the channel holds.
        os.kill(worker, signal.SIGSTOP)
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping, waiting for 500 children to end")
        os.kill(worker, signal.SIGCONT)
        assert daemon.wait_end() == 0
        assert "leaving" not in daemon.text()
        for client in clients:
            assert read_all(client) == b""


@pytest.mark.parametrize("total", [1, 2])
def test_total_instances_are_clients(hatchd, total):
    """The worker is a child as well, and has sockets, but these are nobody's client."""
    port, other = free_port(), free_port()
    sockets = [f"udp:127.0.0.{host}:{port}" for host in range(1, 5)]
    hatchd.file(
        f"total_instances = {total}\n" + builtin("b", "echo", f"tcp:{port}", *sockets)
        + service("cat", listen=f"tcp:{other}", exec="/bin/cat"))
    for address in sockets:
        assert udp(address, b"x") == [b"x"]
    for _ in range(3):
        assert talk(port, b"x") == b"x"
        assert talk(other, b"y") == b"y"


def test_more_places_after_a_reload(hatchd):
    port = free_port()
    text = builtin("b", "echo", f"tcp:{port}")
    daemon = hatchd.file("total_instances = 2\n" + text)
    assert talk(port, b"x") == b"x"
    daemon.write("total_instances = 500\n" + text)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded: ")
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            client = stack.enter_context(connect(port))
            client.sendall(b"y")
            assert read_exactly(client, 1) == b"y"


def test_worker_that_cannot_begin_is_not_started_for_ever(hatchd, folder):
    port = free_port()
    binary = liar(folder, "sys.exit(1)\n")
    daemon = hatchd.file(builtin("b", "echo", f"tcp:{port}"), binary=binary)
    begun = time.monotonic()
    with connect(port):
        daemon.wait_log("hatchd-builtin: it has not become ready, retrying in 100 ms")
        daemon.wait_log("hatchd-builtin: child .* ended: exit 1", count=4)
    # Pauses that double.
    assert time.monotonic() - begun >= 0.1 + 0.2 + 0.4
    daemon.stop(leave=True)


def test_reload_keeps_connections(hatchd):
    daemon, port = start(hatchd, "echo")
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        daemon.write(service("cat", listen=f"tcp:{free_port()}", exec="/bin/cat"))
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: is_refused(port))
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"


def test_stop(hatchd):
    """Who is told to end ends with hatchd, and the worker with the last of them."""
    daemon, port = start(hatchd, "echo", stop="terminate")
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        (worker,) = workers(daemon.pid)
        daemon.stop(leave=True)
        assert read_all(client) == b""
    wait_exit(worker)


def test_stop_leaves_connections(hatchd):
    daemon, port = start(hatchd, "echo", stop="leave")
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        (worker,) = workers(daemon.pid)
        daemon.stop(leave=True)
        client.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
    wait_exit(worker)


def test_many_clients(hatchd):
    """More than one turn of anything; nothing is left of them."""
    daemon, port = start(hatchd, "echo", instances=400, per_source=400)
    for _ in range(5):
        clients = [connect(port) for _ in range(300)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        for number, client in enumerate(clients):
            assert read_line(client) == b"%d" % number
            client.close()
    assert len(workers(daemon.pid)) == 1


def test_open_ones_are_told_of(hatchd):
    """As of a child that lives for long; the connection has a number instead of a pid."""
    daemon, port = start(hatchd, "echo")
    with connect(port) as client:
        client.sendall(b"x")
        read_exactly(client, 1)
    daemon.wait_log(r"b: connection \d+ ended: finished, 1 bytes in, 1 out, ")


# ---------------------------------------------------------------------------
# A worker that somebody has taken over

LIAR = """\
#!{python} -SE
import os, signal, socket, struct, sys
requests = socket.socket(fileno=3)
ANSWER = "=HHIQI4xQQI2H16s2H16sH255s65s2x"
def answer(kind, connection=0, place=0, result=0, version=4, ticket=0, family=0, service=b"",
           authority_len=0, authority=b"", bytes_in=0):
    return struct.pack(ANSWER, version, kind, result, connection, place, bytes_in, 0, ticket,
                       family, 0, b"", 0, 0, b"",
                       authority_len or len(authority), authority, service)
def say(data):
    os.write(4, data)
def take():
    # The next request that is no PING, which is answered.
    kind = PING
    while kind == PING:
        data, fds, _, _ = socket.recv_fds(requests, 4096, 4)
        for fd in fds:
            os.close(fd)
        kind, = struct.unpack_from("=H", data, 2)
        if kind == PING:
            say(answer(PONG))
    return struct.unpack_from("=QI", data, 8)
READY, DONE, PONG, OFFER, REACHED, MISSED, FACT, CUT = 1, 2, 3, 4, 5, 6, 7, 8
PING = 4
"""


def liar(folder, text, worker="hatchd-builtin"):
    """A hatchd whose worker does that instead of what it should; without a text it has
    none."""
    own = folder / "own"
    own.mkdir()
    own.chmod(0o755)
    for name in ("hatchd", "hatchd-load", "hatchd-ask"):
        shutil.copy(pathlib.Path(HATCHD).parent / name, own / name)
    if text:
        path = own / worker
        path.write_text(LIAR.format(python=PYTHON) + text)
        path.chmod(0o755)
    return own / "hatchd"


LIES = {
    "says what cannot be understood": {
        "torn": "say(answer(READY)); take(); say(b'x' * 3)",
        "torn in the end": "say(answer(READY)); take(); say(answer(DONE)[:-1])",
        "unknown kind": "say(answer(READY)); take(); say(answer(77))",
        "unknown result": "say(answer(READY)); c, p = take(); say(answer(DONE, c, p, 77))",
        "another version": "say(answer(READY, version=1))",
        "unknown family": "say(answer(READY, family=77))",
        "name without end": "say(answer(READY, service=b'x' * 65))",
        "too long a host": "say(answer(READY, authority_len=256))",
    },
    "speaks of a connection that it does not have": {
        "foreign connection": "say(answer(READY)); c, p = take(); say(answer(DONE, c + 1, p))",
        "foreign place": "say(answer(READY)); c, p = take(); say(answer(DONE, c, p + 1))",
        "place beyond all":
            "say(answer(READY)); c, p = take(); say(answer(DONE, c, 2**32 - 1))",
        "passed on": "say(answer(READY)); c, p = take(); say(answer(DONE, c, p, 6))",
        "done twice": "say(answer(READY)); c, p = take(); say(answer(DONE, c, p) * 2)",
        "flood": "say(answer(READY))\nwhile True: say(answer(DONE, 1, 1) * 100)",
    },
    "offers a client whom it must not offer": {
        "an offer": "say(answer(READY)); c, p = take(); say(answer(OFFER, c, p))",
    },
    "speaks of a target that was not started": {
        "reached": "say(answer(READY)); c, p = take(); say(answer(REACHED, c, p))",
        "missed": "say(answer(READY)); c, p = take(); say(answer(MISSED, c, p))",
    },
    "says what it was not asked": {
        "ready twice": "say(answer(READY) * 2)",
        "an answer without a question": "say(answer(READY)); take(); say(answer(PONG) * 2)",
    },
}


# Whoever waits then is not told of.
BEFORE_READY = ("another version", "unknown family", "name without end", "too long a host")


@pytest.mark.parametrize(
    ("reason", "lie"), [(reason, lie) for reason, lies in LIES.items() for lie in lies])
def test_liar(hatchd, folder, reason, lie):
    """It is killed and told of; descriptors, children and other services stay."""
    port, other = free_port(), free_port()
    binary = liar(folder, LIES[reason][lie] + "\nsignal.pause()\n")
    config = builtin("b", "echo", f"tcp:{port}") + service(
        "cat", listen=f"tcp:{other}", exec="/bin/cat"
    )
    daemon = hatchd.file(config, binary=binary)
    with connect(other) as cat:
        cat.sendall(b"x")
        assert read_exactly(cat, 1) == b"x"
        with connect(port) as client:
            # Whom it has not taken it has not harmed; he waits for the next one.
            if lie not in BEFORE_READY:
                with contextlib.suppress(ConnectionResetError):
                    assert read_all(client) == b""
            daemon.wait_log(f"hatchd-builtin: child .* {reason}, killing it")
        cat.sendall(b"y")
        assert read_exactly(cat, 1) == b"y"
    assert talk(other, b"z") == b"z"
    if lie in BEFORE_READY:
        daemon.stop(leave=True)


@pytest.mark.parametrize("lie", ["torn", "foreign connection", "done twice", "an offer"])
def test_liar_that_relays(hatchd, folder, lie):
    """What it says is heard by the same ears; another client is served by another one."""
    port, other = free_port(), free_port()
    reason = next(reason for reason, lies in LIES.items() if lie in lies)
    text = LIES[reason][lie] + "\nsignal.pause()\n"
    binary = liar(folder, text, worker="hatchd-relay")
    daemon = hatchd.file(
        service("r", listen=f"tcp:{port}", redirect=f"tcp:127.0.0.1:{other}")
        + service("cat", listen=f"tcp:{other}", exec="/bin/cat"), binary=binary)
    with connect(other) as cat, connect(port) as client:
        with contextlib.suppress(ConnectionResetError):
            assert read_all(client) == b""
        daemon.wait_log(f"hatchd-relay: child .* {reason}, killing it")
        cat.sendall(b"y")
        assert read_exactly(cat, 1) == b"y"
    assert talk(other, b"z") == b"z"


def test_the_same_without_a_lie(hatchd, folder):
    """So that it is the lie that those of above are killed for."""
    port = free_port()
    binary = liar(folder, "say(answer(READY))\nwhile True:\n    c, p = take()\n"
                          "    say(answer(DONE, c, p) if c else answer(PONG))\n")
    daemon = hatchd.file(builtin("b", "echo", f"tcp:{port}"), binary=binary)
    for _ in range(3):
        with connect(port) as client:
            assert read_all(client) == b""
    assert "killing it" not in daemon.log.text()
    daemon.stop(leave=True)


@pytest.mark.needs_root
def test_liar_that_does_not_read(hatchd, folder):
    """Its clients wait; those of a program do not."""
    port, other = free_port(), free_port()
    binary = liar(folder, "say(answer(READY)); signal.pause()\n")
    config = builtin("b", "echo", f"tcp:{port}", instances=2000, per_source=2000) + service(
        "cat", listen=f"tcp:{other}", exec="/bin/cat"
    )
    daemon = hatchd.file(config, binary=binary)
    clients = [connect(port) for _ in range(600)]
    daemon.wait_log("hatchd-builtin has all it can do, new clients wait")
    assert talk(other, b"z") == b"z"
    # It is asked whether it goes on, and does not say so.
    daemon.wait_log("hatchd-builtin: child .* does not answer, killing it")
    assert talk(other, b"z") == b"z"
    for client in clients:
        client.close()
    # Those that could not be passed are held for the next worker.
    daemon.stop(leave=True)


def test_no_worker(hatchd, folder):
    """The program is not there: its services say so, the others serve."""
    port, other = free_port(), free_port()
    binary = liar(folder, "")
    config = builtin("b", "echo", f"tcp:{port}") + service(
        "cat", listen=f"tcp:{other}", exec="/bin/cat"
    )
    daemon = hatchd.file(config, binary=binary)
    with connect(port):
        daemon.wait_log(
            "unable to pass a connection to hatchd-builtin: No such file or directory"
        )
        assert talk(other, b"z") == b"z"
    # The client is held for the time when it comes.
    daemon.stop(leave=True)
