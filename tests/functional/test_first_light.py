"""What the tutorial promises: programs of a few lines become servers."""

import pathlib
import socket
import subprocess
import sys

import pytest

from harness import (
    PYTHON, connect, free_port, have_ipv6, helper, is_refused, proc_children, read_all, service,
    talk, udp,
)

# The two clients of the lecture: one port and one sentence each.
ECHO_PORTS = {5000: b"Bom dia", 8888: b"Hello, world!"}


def echo_service(*listen):
    return service("echo", listen=listen, exec="/bin/cat")


def free_echo_ports(hatchd):
    """The lecture's own numbers where nobody else can have them."""
    for port in ECHO_PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                pytest.skip(f"port {port} is in use")


@pytest.mark.parametrize("port", ECHO_PORTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_lecture_client_gets_its_bytes_back(hatchd, port, host):
    if host == "[::1]" and not have_ipv6():
        pytest.skip("this machine has no IPv6")
    free_echo_ports(hatchd)
    hatchd.file(echo_service(*(f"tcp:{number}" for number in ECHO_PORTS)))
    with connect(f"tcp:{host}:{port}") as client:
        client.sendall(ECHO_PORTS[port])
        assert client.recv(1024) == ECHO_PORTS[port]


@pytest.mark.parametrize("sentence", ECHO_PORTS.values())
def test_lecture_client_over_unix(hatchd, folder, sentence):
    hatchd.file(echo_service(f"unix:{folder}/echo.sock"))
    assert talk(f"unix:{folder}/echo.sock", sentence) == sentence


def test_lecture_client_as_a_program_of_its_own(hatchd):
    """Nothing of ours on the client's side: the shortest client that one can write."""
    port = free_port()
    hatchd.file(echo_service(f"tcp:{port}"))
    client = (
        "import socket; s = socket.socket(); "
        f"s.connect(('localhost', {port})); s.send(b'Bom dia'); print(s.recv(1024).decode())"
    )
    done = subprocess.run([sys.executable, "-c", client], stdout=subprocess.PIPE, timeout=20)
    assert done.stdout == b"Bom dia\n"


def test_python_server_with_a_handed_over_listener(hatchd, folder):
    port = free_port()
    server = [PYTHON, "-S", "-E", helper("handed_over.py", folder), "2"]
    daemon = hatchd.file(service("server", listen=f"tcp:{port}", wait=True, exec=server))
    assert daemon.children() == []
    assert talk(port, b"Bom dia") == b"Bom dia"
    (child,) = daemon.children()
    assert talk(port, b"Hello, world!") == b"Hello, world!"
    daemon.wait_log(f"child {child} ended: exit 0")

    # The child has ended; hatchd looks at the socket again, and starts another.
    assert talk(port, b"again") == b"again"
    assert daemon.children() != [child]
    talk(port, b"the last one")


def test_port_without_a_service_refuses(hatchd):
    port = free_port()
    hatchd.file(echo_service(f"tcp:{port}"))
    assert not is_refused(port)
    assert is_refused(free_port())


def test_byte_out_of_band_reaches_the_child(hatchd, folder):
    port = free_port()
    program = [PYTHON, "-S", "-E", helper("urgent.py", folder)]
    hatchd.file(service("urgent", listen=f"tcp:{port}", exec=program))
    with connect(port) as client:
        client.send(b"!", socket.MSG_OOB)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"urgent: !"


def test_client_half_closes_first(hatchd):
    """wc answers when its input ends; the answer still finds its way back."""
    port = free_port()
    hatchd.file(service("words", listen=f"tcp:{port}", exec=["/usr/bin/wc", "-w"]))
    assert talk(port, b"one two three\n").strip() == b"3"


def test_child_half_closes_first(hatchd, folder):
    port = free_port()
    program = [PYTHON, "-S", "-E", helper("half_close.py", folder)]
    daemon = hatchd.file(service("half", listen=f"tcp:{port}", exec=program))
    with connect(port) as client:
        assert read_all(client) == b"no more from here\n"
        client.sendall(b"x" * 100000)
        client.shutdown(socket.SHUT_WR)
        daemon.wait_log("half_close: 100000 bytes")


def test_end_of_the_child_is_end_of_file(hatchd):
    """hatchd keeps no copy of a connection that would hold it open."""
    port = free_port()
    hatchd.file(service("date", listen=f"tcp:{port}", exec=["/bin/echo", "now"]))
    assert talk(port, half_close=False) == b"now\n"


def test_tcp_and_udp_of_one_number_are_independent(hatchd, folder):
    port = free_port()
    datagrams = [PYTHON, "-S", "-E", helper("datagrams.py", folder)]
    hatchd.file(
        service("stream", listen=f"tcp:{port}", exec=["/usr/bin/tr", "a-z", "A-Z"])
        + service("datagram", listen=f"udp:{port}", wait=True, exec=datagrams)
    )
    assert talk(port, b"bom dia") == b"BOM DIA"
    assert udp(f"udp:127.0.0.1:{port}", b"bom dia") == [b"bom dia"]


def test_udp_alone_leaves_tcp_refused(hatchd, folder):
    port = free_port()
    datagrams = [PYTHON, "-S", "-E", helper("datagrams.py", folder)]
    hatchd.file(service("datagram", listen=f"udp:{port}", wait=True, exec=datagrams))
    assert is_refused(port)


@pytest.mark.parametrize(
    "shell, sent, answer",
    [
        ("sort | uniq -c | sort -rn", b"b\na\nb\n", b"      2 b\n      1 a\n"),
        ("wc -c | sed 's/$/ bytes/'", b"hello", b"5 bytes\n"),
        ('read line; echo "got <$line>"', b"a  b\n", b"got <a  b>\n"),
    ],
)
def test_shell_pipeline(hatchd, shell, sent, answer):
    port = free_port()
    hatchd.file(service("pipe", listen=f"tcp:{port}", shell=shell))
    assert talk(port, sent) == answer


def test_text_larger_than_all_buffers(hatchd):
    port = free_port()
    hatchd.file(echo_service(f"tcp:{port}"))
    text = bytes(range(256)) * 32768
    assert talk(port, text) == text


def test_many_clients_at_once(hatchd):
    port = free_port()
    daemon = hatchd.file(echo_service(f"tcp:{port}"))
    clients = [connect(port) for _ in range(100)]
    daemon.wait_children(100)
    for number, client in enumerate(clients):
        client.sendall(b"%d\n" % number)
    for number, client in enumerate(clients):
        assert client.recv(100) == b"%d\n" % number
        client.close()


def test_thousand_connections_leave_nothing(hatchd):
    """stop() compares the descriptors with those at the start; here is the reason."""
    port = free_port()
    daemon = hatchd.file(echo_service(f"tcp:{port}"))
    for _ in range(1000):
        with connect(port) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
    daemon.wait_children(0)


def test_clients_that_are_gone_at_once(hatchd):
    """Connect and reset, before anything can be accepted: nothing stays, nothing stops."""
    port = free_port()
    daemon = hatchd.file(echo_service(f"tcp:{port}"))
    for _ in range(200):
        client = connect(port)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    assert talk(port, b"still here") == b"still here"
    daemon.wait_children(0)


def test_no_zombies(hatchd):
    port = free_port()
    daemon = hatchd.file(service("true", listen=f"tcp:{port}", exec="/bin/true"))
    for _ in range(50):
        assert talk(port) == b""
    daemon.wait_log("ended: exit 0", count=50)
    assert proc_children(daemon.pid) == []


def test_program_that_fails_is_told(hatchd, folder):
    """A file that says it is a program and is none: the log names step and reason."""
    bad = pathlib.Path(folder, "bad")
    bad.write_bytes(b"\x7fELF, but not really")
    bad.chmod(0o755)
    port = free_port()
    daemon = hatchd.file(service("bad", listen=f"tcp:{port}", exec=bad))
    assert talk(port, half_close=False) == b""
    daemon.wait_log(f"bad: unable to start {bad}: exec: Exec format error")
