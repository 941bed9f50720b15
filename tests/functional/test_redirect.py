"""Services whose clients are passed on: to whom, how it ends, and what becomes of them when
somebody is not there."""

import array
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import signal
import socket
import struct
import termios
import threading

import pytest

from harness import (
    TIMEOUT, connect, free_port, have_ipv6, is_refused, parse_address, proc_fds, read_all,
    read_exactly, reload, run_hatchd, service, stanza, talk, wait_until, workers,
)


def redirect(name, listen, *targets, **options):
    return stanza("service", name, listen=listen, redirect=list(targets), **options)


class Target:
    """A listener of the test's own."""

    def __init__(self, address, backlog=64):
        family, kind, name = parse_address(address)
        self.address = address
        self.sock = socket.socket(family, kind)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.settimeout(TIMEOUT)
        self.sock.bind(name)
        if family == socket.AF_UNIX and not address.startswith("unix:@"):
            os.chmod(name, 0o777)
        self.sock.listen(backlog)

    def accept(self):
        client, _ = self.sock.accept()
        client.settimeout(TIMEOUT)
        return client

    def is_asked(self):
        """Whether somebody waits there."""
        self.sock.setblocking(False)
        try:
            self.sock.accept()[0].close()
        except BlockingIOError:
            return False
        finally:
            self.sock.settimeout(TIMEOUT)
        return True

    def close(self):
        self.sock.close()


@pytest.fixture
def target():
    with contextlib.closing(Target(f"tcp:127.0.0.1:{free_port()}")) as one:
        yield one


def tcp():
    return f"tcp:127.0.0.1:{free_port()}"


def start(hatchd, *targets, flags=(), **options):
    """(a daemon with one redirect, its address)"""
    address = tcp()
    return hatchd.file(redirect("r", address, *targets, **options), *flags), address


@contextlib.contextmanager
def joined(address, target):
    """(a client, what the target has of it)"""
    with connect(address) as client, target.accept() as server:
        yield client, server


def unread(sock):
    """How many bytes lie there."""
    held = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, held)
    return held[0]


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# ---------------------------------------------------------------------------
# What goes between


def address_of(kind, folder, name):
    if kind == "tcp6":
        if not have_ipv6():
            pytest.skip("this machine has no IPv6")
        return f"tcp:[::1]:{free_port()}"
    if kind == "unix":
        # A worker is nobody, who has to get there.
        folder.chmod(0o755)
        return f"unix:{folder}/{name}.sock"
    return f"unix:@hatchd-{os.getpid()}-{name}" if kind == "abstract" else tcp()


@pytest.mark.parametrize("there", ["tcp", "tcp6", "unix", "abstract"])
@pytest.mark.parametrize("here", ["tcp", "tcp6", "unix"])
def test_everything_is_passed_on(hatchd, folder, here, there):
    """Through a program and back, both ways at once, and not a byte is changed."""
    address, behind = address_of(here, folder, "here"), address_of(there, folder, "there")
    more = {"socket_mode": "0666"} if there == "unix" else {}
    daemon = hatchd.file(
        redirect("r", address, behind) + service("cat", listen=behind, exec="/bin/cat", **more)
    )
    data = os.urandom(1 << 20) * 4
    answer = talk(address, data)
    assert hashlib.sha256(answer).digest() == hashlib.sha256(data).digest()
    n = len(data)
    daemon.wait_log(rf"r: connection \d+ ended: finished, {n} bytes in, {n} out")


def test_multipath_clients(hatchd, target):
    """They are those of TCP where the kernel has no MPTCP."""
    port = free_port()
    hatchd.file(redirect("r", f"mptcp:127.0.0.1:{port}", target.address))
    with joined(f"tcp:127.0.0.1:{port}", target) as (client, server):
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"


def v1_header(family, source, destination):
    """Of the version that is a line."""
    kind = "TCP4" if family == socket.AF_INET else "TCP6"
    return (
        f"PROXY {kind} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()
    )


def v2_header(family, source, destination):
    """Of the binary version, for a stream of that family, with addresses and ports."""
    rest = b"".join(socket.inet_pton(family, host) for host, _ in (source, destination))
    rest += struct.pack("!HH", source[1], destination[1])
    kind = 0x11 if family == socket.AF_INET else 0x21
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, kind, len(rest)) + rest


@pytest.mark.parametrize("here", ["tcp", "tcp6"])
@pytest.mark.parametrize("version", [1, 2])
def test_target_is_told_who_he_is(hatchd, folder, target, here, version):
    """First of all, and not counted: neither he nor anybody else has said it."""
    address = address_of(here, folder, "here")
    daemon = hatchd.file(redirect("r", address, target.address, send_proxy=version))
    with joined(address, target) as (client, server):
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        peer, local = client.getsockname()[:2], client.getpeername()[:2]
        family = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}[here]
        header = (v1_header, v2_header)[version - 1](family, peer, local)
        assert read_all(server) == header + b"hello"
    daemon.wait_log("ended: finished, 5 bytes in, 0 out")


def test_who_a_proxy_says_he_is(hatchd, target):
    """What was learned of a client is passed on, and what he has said behind it."""
    said = b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 80\r\n"
    daemon, address = start(
        hatchd, target.address, proxy_protocol="required", proxy_from=["127.0.0.1"],
        send_proxy=1,
    )
    with connect(address) as client:
        client.sendall(said + b"hello")
        with target.accept() as server:
            client.shutdown(socket.SHUT_WR)
            assert read_all(server) == said + b"hello"
    daemon.wait_log("ended: finished, 5 bytes in, 0 out.* from 192.0.2.7")


def test_redirect_by_name(hatchd, target):
    """A service that is had by its name over a port for many."""
    address = tcp()
    hatchd.file(
        stanza("service", "mux", listen=address, builtin="tcpmux")
        + stanza("service", "app", redirect=[target.address], tcpmux="plus")
    )
    with connect(address) as client:
        client.sendall(b"app\r\nhello")
        assert client.recv(1) == b"+"
        with target.accept() as server:
            assert read_exactly(server, 5) == b"hello"


def test_target_is_told_of_local_clients(hatchd, folder, target):
    """There is not much to say of them, and that is said."""
    one, two = address_of("unix", folder, "one"), address_of("unix", folder, "two")
    hatchd.file(
        redirect("one", one, target.address, send_proxy=1)
        + redirect("two", two, target.address, send_proxy=2)
    )
    with joined(one, target) as (client, server):
        client.close()
        assert read_all(server) == b"PROXY UNKNOWN\r\n"
    with joined(two, target) as (client, server):
        client.close()
        said = read_all(server)
    assert said[12:16] == b"\x21\x31" + struct.pack("!H", 216)
    assert said[16:16 + 108] == bytes(108)
    assert said[16 + 108:].rstrip(b"\0") == two.removeprefix("unix:").encode()


def test_urgent_bytes(hatchd, target):
    """They are passed on in their place, also the last before the end."""
    daemon, address = start(hatchd, target.address)
    with joined(address, target) as (client, server):
        for one, another in ((client, server), (server, client)):
            one.sendall(b"stop ")
            one.send(b"!", socket.MSG_OOB)
            one.sendall(b" now")
            one.shutdown(socket.SHUT_WR)
            assert read_all(another) == b"stop ! now"
    daemon.wait_log("ended: finished, 10 bytes in, 10 out")


def test_half_close_of_client(hatchd, target):
    daemon, address = start(hatchd, target.address)
    with joined(address, target) as (client, server):
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"question"
        for _ in range(3):
            server.sendall(b"answer")
            assert read_exactly(client, 6) == b"answer"
        server.close()
        assert read_all(client) == b""
    daemon.wait_log("ended: finished, 8 bytes in, 18 out")


def test_half_close_of_target(hatchd, target):
    daemon, address = start(hatchd, target.address)
    with joined(address, target) as (client, server):
        server.sendall(b"greeting")
        server.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"greeting"
        client.sendall(b"late")
        client.close()
        assert read_all(server) == b"late"
    daemon.wait_log("ended: finished, 4 bytes in, 8 out")


def test_reset_by_client(hatchd, target):
    daemon, address = start(hatchd, target.address)
    with joined(address, target) as (client, server):
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"
        reset(client)
        with pytest.raises(ConnectionResetError):
            server.recv(1)
    daemon.wait_log("ended: reset, 1 bytes in, 0 out")


def test_reset_by_target(hatchd, target):
    daemon, address = start(hatchd, target.address)
    with joined(address, target) as (client, server):
        server.sendall(b"y")
        assert read_exactly(client, 1) == b"y"
        reset(server)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    daemon.wait_log("ended: target_reset, 0 bytes in, 1 out")


def send_all_that_fits(sock):
    """Until nothing more goes, to somebody who does not read: how much that was."""
    sock.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += sock.send(b"x" * 65536)
    return sent


def test_client_who_does_not_wait(hatchd, folder, target):
    """He says much and is gone; the target speaks first, and reads then."""
    address = address_of("unix", folder, "here")
    daemon = hatchd.file(redirect("r", address, target.address))
    with joined(address, target) as (client, server):
        sent = send_all_that_fits(client)
        client.close()
        server.sendall(b"220 welcome\r\n")
        assert len(read_all(server)) == sent
    daemon.wait_log(rf"ended: finished, {sent} bytes in, 0 out")


@pytest.mark.parametrize("kind", ["tcp", "abstract"])
def test_target_that_does_not_listen(hatchd, folder, kind):
    """What it answers before it breaks off is not lost, though writing to it fails first."""
    with contextlib.closing(Target(address_of(kind, folder, "there"))) as target:
        daemon, address = start(hatchd, target.address)
        for _ in range(10):
            with joined(address, target) as (client, server):
                client.sendall(b"POST")
                assert read_exactly(server, 4) == b"POST"
                (worker,) = workers(daemon.pid)
                os.kill(worker, signal.SIGSTOP)
                client.sendall(b"y" * 1000)
                server.sendall(b"413 too large")
                server.close()
                os.kill(worker, signal.SIGCONT)
                assert read_exactly(client, 13) == b"413 too large"


def test_answer_of_one_who_breaks_off(hatchd, folder):
    """The client takes his time, and gets everything before the reset."""
    with contextlib.closing(Target(address_of("abstract", folder, "there"))) as target:
        daemon, address = start(hatchd, target.address)
        with joined(address, target) as (client, server):
            client.sendall(b"GET")
            assert read_exactly(server, 3) == b"GET"
            sent = send_all_that_fits(server)
            client.sendall(b"more")
            wait_until(lambda: unread(server) == 4)
            server.close()
            assert len(read_exactly(client, sent)) == sent
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    daemon.wait_log(rf"ended: target_reset, 7 bytes in, {sent} out")


def test_who_does_not_read_is_not_read(hatchd, target):
    """Much less than was sent is between them, and nobody else waits for it."""
    _, address = start(hatchd, target.address)
    with joined(address, target) as (client, server):
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            for _ in range(100_000):
                client.send(b"x" * 65536)
        with joined(address, target) as (other, behind):
            other.sendall(b"y")
            assert read_exactly(behind, 1) == b"y"
        server.sendall(b"z")
        client.settimeout(TIMEOUT)
        assert read_exactly(client, 1) == b"z"


def test_idle_connections_cost_two_descriptors(hatchd, target):
    daemon, address = start(hatchd, target.address, per_source="unlimited")
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(joined(address, target)) for _ in range(100)]
        for client, server in pairs:
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"
        (worker,) = workers(daemon.pid)
        held = list(proc_fds(worker).values())
        assert sum(path.startswith("socket:") for path in held) == 2 * 100 + 1
        assert sum(path.startswith("pipe:") for path in held) < 40


# ---------------------------------------------------------------------------
# Who is not there


def test_next_target(hatchd, target):
    daemon, address = start(hatchd, tcp(), target.address)
    for _ in range(3):
        with joined(address, target) as (client, server):
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"
    # Told once, though it was not there for three.
    daemon.wait_log("unable to connect to tcp:.*: Connection refused, trying others")
    daemon.wait_log("ended: finished, 1 bytes in", count=3)
    assert daemon.text().count("unable to connect") == 1


def test_nobody_is_there(hatchd):
    daemon, address = start(hatchd, tcp(), "unix:/nonexistent/app.sock")
    with pytest.raises(ConnectionResetError), connect(address) as client:
        client.recv(1)
    daemon.wait_log(r"r: connection \d+ ended: unreachable, 0 bytes in, 0 out")
    daemon.wait_log("unable to connect to unix:/nonexistent/app.sock: No such file")


def test_it_comes_back(hatchd):
    """One that is not there is skipped only where there is another one."""
    where = tcp()
    daemon, address = start(hatchd, where)
    with pytest.raises(ConnectionResetError), connect(address) as client:
        client.recv(1)
    daemon.wait_log("ended: unreachable")
    with contextlib.closing(Target(where)) as target:
        with joined(address, target) as (client, server):
            client.sendall(b"x")
            assert read_exactly(server, 1) == b"x"


@contextlib.contextmanager
def full():
    """A listener that nobody is taken from, and whose queue is full."""
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(contextlib.closing(Target(tcp(), backlog=0)))
        while True:
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0.2)
            try:
                sock.connect(parse_address(target.address)[2])
            except TimeoutError:
                break
        yield target


def test_connect_timeout(hatchd, target):
    with full() as silent:
        daemon, address = start(
            hatchd, silent.address, target.address, connect_timeout="300ms"
        )
        with connect(address) as client:
            client.sendall(b"early")
            with target.accept() as server:
                assert read_exactly(server, 5) == b"early"
        daemon.wait_log(rf"unable to connect to {silent.address}: Connection timed out")


def test_client_leaves_before_there_is_a_target(hatchd):
    with full() as silent:
        daemon, address = start(hatchd, silent.address, connect_timeout="1min")
        client = connect(address)
        wait_until(lambda: workers(daemon.pid))
        reset(client)
        daemon.wait_log("ended: reset, 0 bytes in, 0 out")


def test_time_limit_before_there_is_a_target(hatchd):
    """Nobody has told him anything, so he is not told an end."""
    with full() as silent:
        daemon, address = start(
            hatchd, silent.address, connect_timeout="1min", time_limit="300ms"
        )
        with connect(address) as client:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        daemon.wait_log("ended: time_limit, 0 bytes in, 0 out")


def test_round_robin(hatchd):
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(contextlib.closing(Target(tcp()))) for _ in range(3)]
        _, address = start(
            hatchd, *(t.address for t in targets), redirect_order="round-robin"
        )
        for _ in range(2):
            for target in targets:
                with joined(address, target) as (client, server):
                    server.sendall(b"me")
                    assert read_exactly(client, 2) == b"me"


# ---------------------------------------------------------------------------
# The worker, and limits


@pytest.mark.needs_root
def test_worker_has_no_rights(hatchd, target):
    daemon, address = start(hatchd, target.address)
    with joined(address, target):
        (worker,) = workers(daemon.pid)
        status = pathlib.Path(f"/proc/{worker}/status").read_text()
        assert re.search(r"^CapEff:\s0+$", status, re.MULTILINE)
        assert re.search(r"^Seccomp:\s2$", status, re.MULTILINE)
        assert not re.search(r"^Uid:.*\s0\s", status, re.MULTILINE)


def test_worker_dies(hatchd, target):
    """Its connections end on both sides, and the next client is served."""
    daemon, address = start(hatchd, target.address)
    with joined(address, target) as (client, server):
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"
        os.kill(workers(daemon.pid)[0], signal.SIGKILL)
        for sock in (client, server):
            with contextlib.suppress(ConnectionResetError):
                assert read_all(sock) == b""
        daemon.wait_log("ended: lost")
    with joined(address, target) as (client, server):
        client.sendall(b"again")
        assert read_exactly(server, 5) == b"again"


def test_worker_dies_before_it_has_taken_them(hatchd, target):
    """Targets go along to the next one."""
    daemon, address = start(hatchd, target.address, flags=["-v"])
    with joined(address, target), contextlib.ExitStack() as stack:
        (worker,) = workers(daemon.pid)
        os.kill(worker, signal.SIGSTOP)
        clients = [stack.enter_context(connect(address)) for _ in range(10)]
        daemon.wait_log(f"passed to child {worker}, hatchd-relay", count=11)
        os.kill(worker, signal.SIGKILL)
        servers = [stack.enter_context(target.accept()) for _ in clients]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        assert {read_exactly(server, 1) for server in servers} == {
            b"%d" % number for number in range(10)
        }


def test_two_kinds_of_workers(hatchd):
    """A redirect to something built in: each has its process."""
    here, there = tcp(), tcp()
    daemon = hatchd.file(
        redirect("r", here, there) + stanza("service", "e", listen=there, builtin="echo")
    )
    assert talk(here, b"Bom dia") == b"Bom dia"
    assert len(workers(daemon.pid)) == 2


def test_who_may_be_held_up_by_whom(hatchd, folder, target):
    """Who is passed on to a UNIX socket, or comes from one, has nothing to do with others."""
    network, both, local = tcp(), tcp(), address_of("unix", folder, "here")
    there = address_of("abstract", folder, "there")
    with contextlib.closing(Target(there)) as other:
        daemon = hatchd.file(
            redirect("network", network, target.address)
            + redirect("both", both, target.address, there)
            + redirect("local", local, target.address),
            "-v",
        )
        for address, worker in (
            (network, "hatchd-relay"), (both, "hatchd-relay-local"),
            (local, "hatchd-relay-local"),
        ):
            mark = daemon.mark()
            with joined(address, target) as (client, server):
                client.sendall(b"x")
                assert read_exactly(server, 1) == b"x"
                passed = daemon.wait_log(r"passed to child \d+, (\S+)$", after=mark)
                assert passed[1] == worker
        assert not other.is_asked()


def test_per_source(hatchd, target):
    daemon, address = start(hatchd, target.address, per_source=1)
    with joined(address, target):
        with connect(address) as other:
            assert read_all(other) == b""
        daemon.wait_log("refused 127.0.0.1:.*: per_source")
        assert not target.is_asked()


def test_time_limit(hatchd, target):
    daemon, address = start(hatchd, target.address, time_limit="300ms")
    with joined(address, target) as (client, server):
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"
        for sock in (server, client):
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
    daemon.wait_log("ended: time_limit, 1 bytes in, 0 out")


def test_time_limit_behind_an_end(hatchd, target):
    """Who knows that he has got everything is not told otherwise."""
    daemon, address = start(hatchd, target.address, time_limit="300ms")
    with joined(address, target) as (client, server):
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert read_all(server) == b"x"
    daemon.wait_log("ended: time_limit, 1 bytes in, 0 out")


def test_reload(hatchd, target):
    """Who is there stays where he is; who comes goes to the new target."""
    daemon, address = start(hatchd, target.address)
    with contextlib.closing(Target(tcp())) as other, joined(address, target) as pair:
        assert "1 changed" in reload(daemon, redirect("r", address, other.address))
        with joined(address, other) as (client, server):
            client.sendall(b"new")
            assert read_exactly(server, 3) == b"new"
        pair[0].sendall(b"old")
        assert read_exactly(pair[1], 3) == b"old"


def test_stop(hatchd, target):
    daemon, address = start(hatchd, target.address, stop="terminate")
    with joined(address, target) as (client, server):
        (worker,) = workers(daemon.pid)
        daemon.stop(leave=True)
        for sock in (client, server):
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
    wait_until(lambda: not pathlib.Path(f"/proc/{worker}/exe").exists())


def test_stop_leaves_connections(hatchd, target):
    daemon, address = start(hatchd, target.address, stop="leave")
    with joined(address, target) as (client, server):
        (worker,) = workers(daemon.pid)
        daemon.stop(leave=True)
        assert is_refused(address)
        client.sendall(b"x")
        assert read_exactly(server, 1) == b"x"
    wait_until(lambda: not pathlib.Path(f"/proc/{worker}/exe").exists())


def test_many_at_once(hatchd):
    """Nothing is mixed up, and nothing is left of them."""
    here, there = tcp(), tcp()
    daemon = hatchd.file(
        redirect("r", here, there, per_source="unlimited")
        + stanza("service", "e", listen=there, builtin="echo", per_source="unlimited")
    )
    wrong = []

    def one(number):
        data = b"%d\n" % number * 20_000
        if talk(here, data) != data:
            wrong.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert wrong == []
    daemon.wait_log(r"r: connection \d+ ended: finished", count=50)


# ---------------------------------------------------------------------------
# What is said about them


def test_ad_hoc(target):
    done = run_hatchd(
        "-l", str(free_port()), "--redirect", target.address, "--redirect", "unix:/run/x",
        "--redirect-order=round-robin", "--connect-timeout=5s", "--print-config",
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"redirect += \{ .*unix:/run/x", done.stdout), done.stdout
    done = run_hatchd("-l", str(free_port()), "--redirect", "tcp:-host:80", "--check")
    assert "bad address 'tcp:-host:80': this is neither an IP address nor a host name" \
        in done.stderr


def test_print_config(hatchd, folder, target):
    daemon, _ = start(
        hatchd, target.address, "unix:@x", redirect_order="round-robin", connect_timeout="3s",
        send_proxy=2,
    )
    printed = run_hatchd("--print-config", "-f", daemon.config_path)
    again = folder / "again.conf"
    again.write_text(printed.stdout)
    assert run_hatchd("--print-config", "-f", again).stdout == printed.stdout
    assert re.search("redirect_order += round-robin", printed.stdout)
    assert re.search("connect_timeout += 3s", printed.stdout)
    assert re.search("send_proxy += 2", printed.stdout)


def test_explain(hatchd):
    daemon, _ = start(hatchd, "tcp:127.0.0.1:8080", "unix:/run/app.sock")
    done = run_hatchd("--explain", "r", "192.0.2.1", "-f", daemon.config_path)
    assert (
        "redirect to tcp:127.0.0.1:8080, else unix:/run/app.sock, in hatchd-relay as "
    ) in done.stdout
    daemon, _ = start(hatchd, "unix:/run/app.sock", send_proxy=1)
    done = run_hatchd("--explain", "r", "192.0.2.1", "-f", daemon.config_path)
    assert (
        "redirect to unix:/run/app.sock, which is told who he is (PROXY version 1), in "
    ) in done.stdout


def test_plan(hatchd):
    daemon, address = start(hatchd, "tcp:127.0.0.1:8080")
    daemon.write(redirect("r", address, "tcp:127.0.0.1:8081"))
    done = run_hatchd("--plan", "-f", daemon.config_path)
    assert re.search(r"redirect .*8080.* -> .*8081", done.stdout), done.stdout


def test_from_program_to_redirect(hatchd, target):
    address = tcp()
    daemon = hatchd.file(service("s", listen=address, exec="/bin/cat"))
    assert talk(address, b"x") == b"x"
    reload(daemon, redirect("s", address, target.address))
    with joined(address, target) as (client, server):
        client.sendall(b"y")
        assert read_exactly(server, 1) == b"y"
    reload(daemon, service("s", listen=address, exec="/bin/cat"))
    assert talk(address, b"z") == b"z"
