"""TLS in front of programs and all else that hatchd serves: bytes, ends, and sessions."""

import hashlib
import os
import re
import signal
import socket
import ssl
import struct

import pytest

from certificates import NAME, needs_tls, secure, start
from harness import (
    PYTHON, connect, free_port, have_ipv6, hello, helper, read_all, read_exactly, reload,
    service, workers,
)
from test_callers import v1, v2
from tlsclient import BROKEN_OFF, Client, environment, is_turned_away, talk, trusting

pytestmark = needs_tls

MUCH = 100_000_000
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]

both_versions = pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])

PIECE = os.urandom(250_000)


def pieces(total=MUCH):
    """So many bytes of which no two places are alike."""
    for number in range(total // len(PIECE)):
        yield struct.pack("!Q", number) + PIECE[8:]


class Sum:
    """What was taken, in short."""

    def __init__(self, data=()):
        self.sha, self.count = hashlib.sha256(), 0
        for piece in data:
            self.take(piece)

    def take(self, data):
        self.sha.update(data)
        self.count += len(data)

    def __eq__(self, other):
        return (self.count, self.sha.digest()) == (other.count, other.sha.digest())

    def __repr__(self):
        return f"{self.count} bytes, {self.sha.hexdigest()}"


# ---------------------------------------------------------------------------
# Bytes and their end


@both_versions
def test_upper(hatchd, certificates, version):
    _, port = start(hatchd, certificates, exec=["/usr/bin/tr", "a-z", "A-Z"])
    context = trusting(certificates, version=version)
    assert talk(port, context, b"bom dia") == b"BOM DIA"
    assert talk(port, context) == b""


def test_all_letters_go_at_once(hatchd, certificates):
    """What is said is not kept back for more to come."""
    _, port = start(hatchd, certificates)
    with Client(port, trusting(certificates)) as client:
        for byte in b"bom dia":
            client.send(bytes([byte]))
            assert client.recv() == bytes([byte])


def test_handshake_in_single_bytes(hatchd, certificates):
    _, port = start(hatchd, certificates)
    with Client(port, trusting(certificates), begin=False) as client:
        for byte in client.hello():
            client.sock.sendall(bytes([byte]))
        client.shake_hands()
        client.send(b"x")
        assert client.recv() == b"x"


@both_versions
def test_much_there_and_back(hatchd, certificates, version):
    """The client says its end first: all comes back behind it, and then the end."""
    daemon, port = start(hatchd, certificates)
    came = Sum()
    with Client(port, trusting(certificates, version=version)) as client:
        client.exchange(pieces(), came.take)
        assert came == Sum(pieces())
    daemon.wait_log(r"t: child \d+ ended: exit 0")


def test_much_to_a_client(hatchd, certificates):
    """Who has said his end already, and reads what there is."""
    daemon, port = start(hatchd, certificates, shell=f"cat; head -c {MUCH} /dev/zero")
    came = Sum()
    with Client(port, trusting(certificates)) as client:
        client.exchange([], came.take)
    assert came == Sum([bytes(MUCH)])
    daemon.wait_log(r"t: child \d+ ended: exit 0")


def test_program_says_its_end_first(hatchd, certificates, folder):
    """And gets all that the client says after that."""
    program = helper("half_close.py", folder)
    daemon, port = start(hatchd, certificates, exec=[PYTHON, "-SE", program])
    with Client(port, trusting(certificates)) as client:
        assert client.read_all() == b"no more from here\n"
        client.exchange(pieces(), None)
        daemon.wait_log(f"half_close: {MUCH} bytes")
    daemon.wait_log(r"t: child \d+ ended: exit 0")


@both_versions
def test_each_end_is_said(hatchd, certificates, version):
    """The program sees that of the client, who is told that the program has seen it."""
    _, port = start(hatchd, certificates, shell="cat >/dev/null; printf over")
    with Client(port, trusting(certificates, version=version)) as client:
        client.send(b"something")
        client.end()
        assert client.read_all() == b"over"
        # And behind close_notify the connection ends as well.
        assert client.sock.recv(1) == b""


@both_versions
def test_program_ends_at_once(hatchd, certificates, version):
    daemon, port = start(hatchd, certificates, shell="printf bye; exit 3")
    with Client(port, trusting(certificates, version=version)) as client:
        assert client.read_all() == b"bye"
    daemon.wait_log(r"t: child \d+ ended: exit 3")


def test_program_that_has_not_read_everything(hatchd, certificates):
    """What it has written is the client's, and nobody tells him that it was all."""
    _, port = start(hatchd, certificates, exec=["/usr/bin/head", "-c", "3"])
    with Client(port, trusting(certificates)) as client:
        client.send(b"abcdefg")
        assert client.read_exactly(3) == b"abc"
        with pytest.raises(BROKEN_OFF):
            client.recv()


@pytest.mark.parametrize("how", ["vanish", "reset"])
def test_client_that_does_not_say_its_end(hatchd, certificates, how):
    """The program finds the end of its input; who writes to him then gets SIGPIPE."""
    daemon, port = start(
        hatchd, certificates,
        shell='n=$(wc -c); echo "got $n" >&2; trap "" PIPE; echo too late || echo lost >&2')
    with Client(port, trusting(certificates)) as client:
        client.send(b"abc")
        getattr(client, how)()
        daemon.wait_log("got 3")
        daemon.wait_log("lost$")


def test_client_that_does_not_say_its_end_is_a_reset(hatchd, certificates):
    """Also in the log, for who wants to know it."""
    daemon, port = start(hatchd, certificates, "-v")
    context = trusting(certificates)
    with Client(port, context) as client:
        client.send(b"abc")
        assert client.read_exactly(3) == b"abc"
        client.vanish()
        daemon.wait_log("hatchd-tls: connection .* over, 3 bytes in, 3 out, reset$")
    assert talk(port, context, b"abc") == b"abc"
    daemon.wait_log("hatchd-tls: connection .* over, 3 bytes in, 3 out$")


# ---------------------------------------------------------------------------
# Sessions


def meet(port, context, session=None):
    """(a session to go on with, whether this one went on)"""
    with Client(port, context, session=session) as client:
        client.send(b"x")
        assert client.recv() == b"x"
        return client.tls.session, client.tls.session_reused


@both_versions
def test_session_goes_on(hatchd, certificates, version):
    _, port = start(hatchd, certificates)
    context = trusting(certificates, version=version)
    session, went_on = meet(port, context)
    assert not went_on
    for _ in range(3):
        session, went_on = meet(port, context, session)
        assert went_on


@both_versions
def test_session_goes_on_at_another_worker(hatchd, certificates, version):
    """They have one key of tickets."""
    port = free_port()
    daemon = hatchd.file("tls_workers = 2\n" + secure(certificates, "t", port))
    context = trusting(certificates, version=version)
    session, _ = meet(port, context)
    clients = [Client(port, context, session=session) for _ in range(8)]
    for client in clients:
        with client:
            assert client.tls.session_reused
            client.send(b"x")
            assert client.recv() == b"x"
    assert len(tls_workers(daemon)) == 2


@both_versions
def test_session_goes_on_at_a_new_worker(hatchd, certificates, version):
    """Also after a reload that has left the service as it was: all of them have one key,
    whichever it is then."""
    port = free_port()
    text = "tls_workers = 2\n" + secure(certificates, "t", port)
    daemon = hatchd.file(text)
    context = trusting(certificates, version=version)
    for client in [Client(port, context) for _ in range(4)]:
        client.sock.close()
    reload(daemon, text + hello("other", free_port()))
    os.kill(tls_workers(daemon)[0], signal.SIGKILL)
    daemon.wait_log("hatchd-tls.*: child .* ended: signal 9")
    session, _ = meet(port, context)
    clients = [Client(port, context, session=session) for _ in range(8)]
    for client in clients:
        with client:
            assert client.tls.session_reused
    reload(daemon, text)


def tls_workers(daemon):
    return [pid for pid in workers(daemon.pid)
            if re.match("hatchd-tls", open(f"/proc/{pid}/comm").read())]


@both_versions
def test_no_tickets(hatchd, certificates, version):
    _, port = start(hatchd, certificates, tls={"session_tickets": "no"})
    context = trusting(certificates, version=version)
    session, _ = meet(port, context)
    assert not meet(port, context, session)[1]


def test_session_of_another_day(hatchd, certificates):
    """Who comes with one that is good no longer shakes hands anew."""
    daemon, port = start(hatchd, certificates)
    context = trusting(certificates)
    session, _ = meet(port, context)
    reload(daemon, secure(certificates, "t", port, tls={"session_tickets": "no"}))
    assert not meet(port, context, session)[1]


# ---------------------------------------------------------------------------
# In front of what


def test_echo(hatchd, certificates):
    daemon, port = start(hatchd, certificates, builtin="echo")
    came = Sum()
    with Client(port, trusting(certificates)) as client:
        client.exchange(pieces(10_000_000), came.take)
    assert came == Sum(pieces(10_000_000))
    daemon.wait_log("t: connection .* ended: finished, 10000000 bytes in, 10000000 out")


def test_discard(hatchd, certificates):
    daemon, port = start(hatchd, certificates, builtin="discard")
    assert talk(port, trusting(certificates), b"x" * 1_000_000) == b""
    daemon.wait_log("t: connection .* ended: finished, 1000000 bytes in, 0 out")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_redirect(hatchd, certificates, folder, kind):
    """Both ends, in clear text behind hatchd."""
    address = f"tcp:127.0.0.1:{free_port()}" if kind == "tcp" else f"unix:{folder}/target"
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    name = ("127.0.0.1", int(address.split(":")[-1])) if kind == "tcp" else address[5:]
    with socket.socket(family) as target:
        target.bind(name)
        target.listen()
        if kind == "unix":
            os.chmod(name, 0o666)
        daemon, port = start(hatchd, certificates, redirect=address)
        with Client(port, trusting(certificates)) as client:
            client.send(b"bom dia")
            server, _ = target.accept()
            with server:
                server.settimeout(20)
                assert read_exactly(server, 7) == b"bom dia"
                server.sendall(b"boa tarde")
                assert client.read_exactly(9) == b"boa tarde"
                client.end()
                assert read_all(server) == b""
                server.sendall(b"boa noite")
            assert client.read_all() == b"boa noite"
        daemon.wait_log("t: .*ended: finished, 7 bytes in, 18 out")


def test_target_that_breaks_off(hatchd, certificates):
    with socket.create_server(("127.0.0.1", 0)) as target:
        _, port = start(
            hatchd, certificates, redirect=f"tcp:127.0.0.1:{target.getsockname()[1]}")
        with Client(port, trusting(certificates)) as client:
            client.send(b"x")
            server, _ = target.accept()
            assert read_exactly(server, 1) == b"x"
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.close()
            with pytest.raises(BROKEN_OFF):
                client.recv()


@pytest.mark.parametrize("cut", [Client.vanish, Client.reset])
def test_client_who_is_cut_off_is_no_end_to_a_target(hatchd, certificates, cut):
    """Who cuts connections of others cannot have half of what they say taken for all of it."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        daemon, port = start(
            hatchd, certificates, redirect=f"tcp:127.0.0.1:{target.getsockname()[1]}")
        with Client(port, trusting(certificates)) as client:
            client.send(b"half")
            server, _ = target.accept()
            with server:
                assert read_exactly(server, 4) == b"half"
                cut(client)
                with pytest.raises(ConnectionResetError):
                    server.recv(1)
        daemon.wait_log("t: connection 1 ended: reset, 4 bytes in")


SAY_WHO = 'echo "$REMOTE_ADDR $REMOTE_PORT $SERVER_ADDR $SERVER_PORT $PROXY_ADDR $SSL_PROTOCOL"'


def behind_a_proxy(hatchd, certificates, **options):
    return start(hatchd, certificates, proxy_protocol="required", proxy_from="127.0.0.1",
                 **options)


@pytest.mark.parametrize("header", [v1, v2])
def test_behind_a_proxy(hatchd, certificates, header):
    """Its header comes first, in the clear; the handshake in the same packet."""
    daemon, port = behind_a_proxy(hatchd, certificates, shell=SAY_WHO)
    said = talk(port, trusting(certificates), before=header())
    assert said == b"192.0.2.7 4711 198.51.100.1 25 127.0.0.1 TLSv1.3\n"
    daemon.wait_log(r"t: child \d+ ended: .*from 192\.0\.2\.7:4711")


def test_header_and_handshake_in_single_bytes(hatchd, certificates):
    _, port = behind_a_proxy(hatchd, certificates, shell=SAY_WHO)
    with Client(port, trusting(certificates), begin=False, before=v2()) as client:
        for byte in client.hello():
            client.sock.sendall(bytes([byte]))
        client.shake_hands()
        assert client.read_all().startswith(b"192.0.2.7 4711 ")


def test_rules_behind_a_proxy(hatchd, certificates):
    """They are about the client, and who is kept out hears nothing of a program."""
    daemon, port = behind_a_proxy(
        hatchd, certificates, shell="echo in", only_from="192.0.2.0/24")
    context = trusting(certificates)
    assert talk(port, context, before=v1()) == b"in\n"
    assert is_turned_away(port, context, before=v1("203.0.113.9"))
    daemon.wait_log(r"t: .*refused 203\.0\.113\.9:4711: only_from")


def test_what_is_said_to_a_proxy_is_not_asked_twice(hatchd, certificates):
    """Behind the header there is TLS or nothing."""
    daemon, port = behind_a_proxy(hatchd, certificates, shell="echo in")
    with connect(port) as client:
        client.sendall(v1() + v1() + b"x\n")
        assert b"in" not in read_all(client)
    daemon.wait_log(r"t: .*refused 192\.0\.2\.7:4711: ")


@pytest.mark.skipif(not have_ipv6(), reason="no IPv6")
def test_over_ipv6(hatchd, certificates):
    port = free_port()
    text = secure(certificates, "t", port, shell=SAY_WHO)
    hatchd.file(text.replace("tcp:127.0.0.1:", "tcp:[::1]:"))
    said = talk(f"tcp:[::1]:{port}", trusting(certificates))
    assert said.startswith(b"::1 ")


def test_neighbour_in_the_clear(hatchd, certificates):
    """A service without TLS is as it was, and knows nothing of anybody's."""
    port, other = free_port(), free_port()
    hatchd.file(secure(certificates, "t", port, shell="env")
                + service("plain", listen=f"tcp:127.0.0.1:{other}", shell="env"))
    with connect(other) as client:
        assert b"SSL_" not in read_all(client)
    assert environment(port, trusting(certificates))["SSL_PROTOCOL"] == "TLSv1.3"


@pytest.mark.parametrize("limit", ["idle_timeout", "first_byte_timeout", "time_limit"])
def test_limits_of_time(hatchd, certificates, limit):
    """As of every connection; a handshake alone says nothing."""
    daemon, port = start(hatchd, certificates, **{limit: "500ms"})
    with Client(port, trusting(certificates)) as client:
        try:
            assert client.read_all() == b""
        except BROKEN_OFF:
            pass
    daemon.wait_log(rf"t: .*ended: .*{limit}")


def test_limits_of_number(hatchd, certificates):
    daemon, port = start(hatchd, certificates, per_source=1)
    context = trusting(certificates)
    with Client(port, context) as client:
        client.send(b"x")
        assert client.recv() == b"x"
        assert is_turned_away(port, context, b"y")
        daemon.wait_log(r"t: .*refused 127\.0\.0\.1:\d+: per_source")
    daemon.wait_children(0)
    assert talk(port, context, b"y") == b"y"


def test_stop_waits_for_who_is_served(hatchd, certificates):
    """And what there was to be said is said."""
    daemon, port = start(hatchd, certificates, stop="leave")
    with Client(port, trusting(certificates)) as client:
        client.send(b"x")
        assert client.recv() == b"x"
        daemon.stop(leave=True)
        client.send(b"y")
        assert client.recv() == b"y"
        client.end()
        assert client.read_all() == b""


# ---------------------------------------------------------------------------
# On the command line


def test_adhoc(hatchd, certificates):
    port = free_port()
    hatchd.adhoc("-l", f"tcp:127.0.0.1:{port}", "--tls-certificate", certificates.server(NAME),
                 "--", "tr", "a-z", "A-Z")
    context = trusting(certificates)
    context.check_hostname = True
    assert talk(port, context, b"bom dia", name=NAME) == b"BOM DIA"


def test_adhoc_with_a_key_of_its_own(hatchd, certificates, folder):
    text = certificates.server(NAME).read_text()
    at = text.index("-----BEGIN PRIVATE")
    (folder / "c.pem").write_text(text[:at])
    (folder / "k.pem").write_text(text[at:])
    (folder / "k.pem").chmod(0o600)
    port = free_port()
    hatchd.adhoc("-l", f"tcp:127.0.0.1:{port}", "--tls-certificate=c.pem", "--tls-key=k.pem",
                 "--", "cat", cwd=folder)
    assert talk(port, trusting(certificates), b"bom dia") == b"bom dia"


@pytest.mark.parametrize("shell, status", [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_once(hatchd, certificates, shell, status):
    """It ends with its one client, who gets everything; the status is the program's."""
    port = free_port()
    daemon = hatchd.adhoc(
        "--once", "-l", f"tcp:127.0.0.1:{port}", "--tls-certificate", certificates.server(NAME),
        "--shell", f"cat; head -c 10000000 /dev/zero; {shell}")
    came = Sum()
    with Client(port, trusting(certificates)) as client:
        client.exchange([b"bom dia"], came.take)
    assert came == Sum([b"bom dia", bytes(10_000_000)])
    assert daemon.wait_end() == status


def test_once_is_not_for_who_only_looks(hatchd, certificates):
    """Whether the port is open, or whether it speaks anything but TLS."""
    port = free_port()
    daemon = hatchd.adhoc(
        "--once", "-l", f"tcp:127.0.0.1:{port}", "--tls-certificate", certificates.server(NAME),
        "--", "/bin/cat")
    connect(port).close()
    with connect(port) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        read_all(client)
    assert talk(port, trusting(certificates), b"bom dia") == b"bom dia"
    assert daemon.wait_end() == 0
