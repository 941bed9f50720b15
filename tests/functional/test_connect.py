"""hatchctl connect ADDRESS: standard input and output to any address."""

import hashlib
import os
import signal
import socket
import subprocess
import threading

import pytest

from harness import (
    HATCHCTL, PYTHON, free_port, have_ipv6, hatchctl, helper, read_all, service,
)


@pytest.mark.parametrize(
    "form", ["{}", "tcp:127.0.0.1:{}", "tcp4:127.0.0.1:{}", "tcp:localhost:{}"]
)
def test_tcp(hatchd, form):
    port = free_port()
    hatchd.file(service("upper", listen=f"tcp:{port}", exec=["/usr/bin/tr", "a-z", "A-Z"]))
    done = hatchctl("connect", form.format(port), input=b"bom dia")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"BOM DIA", b"")


@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("form", ["tcp:[::1]:{}", "tcp6:[::1]:{}"])
def test_tcp_over_ipv6(hatchd, form):
    port = free_port()
    hatchd.file(service("upper", listen=f"tcp:{port}", exec=["/usr/bin/tr", "a-z", "A-Z"]))
    done = hatchctl("connect", form.format(port), input=b"bom dia")
    assert (done.returncode, done.stdout) == (0, b"BOM DIA")


@pytest.mark.parametrize("name", ["{folder}/s", "@hatchd-test-{pid}"])
@pytest.mark.parametrize("kind", ["unix", "unix-seqpacket"])
def test_unix(hatchd, folder, kind, name):
    address = f"{kind}:" + name.format(folder=folder, pid=os.getpid())
    hatchd.file(service("upper", listen=address, exec=["/bin/cat"]))
    done = hatchctl("connect", address, input=b"bom dia")
    assert (done.returncode, done.stdout) == (0, b"bom dia"), done.stderr


def test_udp_with_an_answer(hatchd, folder):
    port = free_port()
    hatchd.file(service("echo", listen=f"udp:{port}", wait=True,
                        exec=[PYTHON, "-S", "-E", helper("datagrams.py", folder)]))
    done = hatchctl("connect", f"udp:127.0.0.1:{port}", input=b"bom dia")
    assert (done.returncode, done.stdout) == (0, b"bom dia")


def test_unix_dgram_with_an_answer(hatchd, folder):
    hatchd.file(service("echo", listen=f"unix-dgram:{folder}/s", wait=True,
                        exec=[PYTHON, "-S", "-E", helper("datagrams.py", folder)]))
    done = hatchctl("connect", f"unix-dgram:{folder}/s", input=b"bom dia")
    assert (done.returncode, done.stdout) == (0, b"bom dia"), done.stderr


def test_udp_without_an_answer():
    """--wait says for how long; the status says that nobody answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"udp:127.0.0.1:{silent.getsockname()[1]}"
        done = hatchctl("connect", "--wait", "100ms", address, input=b"anybody?")
        assert done.returncode == 1
        assert b"no answer within 100ms" in done.stderr
        assert silent.recv(100) == b"anybody?"


def test_udp_without_a_wait():
    """--wait 0 sends and goes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(20)
        address = f"udp:127.0.0.1:{silent.getsockname()[1]}"
        assert hatchctl("connect", "--wait", "0", address, input=b"bye").returncode == 0
        assert silent.recv(100) == b"bye"


def test_empty_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        address = f"udp:127.0.0.1:{server.getsockname()[1]}"
        assert hatchctl("connect", "--wait", "0", address, input=b"").returncode == 0
        assert server.recv(100) == b""


def test_answer_after_the_end_of_input(hatchd):
    """Half-close: wc answers when everything has been said."""
    port = free_port()
    hatchd.file(service("words", listen=f"tcp:{port}", exec=["/usr/bin/wc", "-w"]))
    assert hatchctl("connect", port, input=b"one two three\n").stdout.strip() == b"3"


def test_input_after_the_end_of_the_answer(hatchd, folder):
    """Half-close the other way: the service has ended its direction, and still listens."""
    port = free_port()
    daemon = hatchd.file(service("half", listen=f"tcp:{port}",
                                 exec=[PYTHON, "-S", "-E", helper("half_close.py", folder)]))
    client = subprocess.Popen([HATCHCTL, "connect", str(port)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    with client:
        assert client.stdout.read() == b"no more from here\n"
        client.stdin.write(b"x" * 1000)
        client.stdin.close()
        assert client.wait(20) == 0
    daemon.wait_log("half_close: 1000 bytes")


def test_a_hundred_megabytes_both_ways(hatchd):
    """Byte for byte, with both directions busy at once."""
    port = free_port()
    hatchd.file(service("echo", listen=f"tcp:{port}", exec="/bin/cat"))
    block = os.urandom(1 << 20)
    sent, received = hashlib.sha256(), hashlib.sha256()
    client = subprocess.Popen([HATCHCTL, "connect", str(port)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)

    def send():
        for number in range(100):
            piece = number.to_bytes(4, "big") + block
            sent.update(piece)
            client.stdin.write(piece)
        client.stdin.close()

    with client:
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        count = 0
        for piece in iter(lambda: client.stdout.read(1 << 18), b""):
            received.update(piece)
            count += len(piece)
        sender.join()
        assert client.wait(20) == 0
    assert count == 100 * (len(block) + 4)
    assert received.digest() == sent.digest()


def test_reset_is_a_failure():
    """A connection that was cut is not the end of an answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = subprocess.Popen(
            [HATCHCTL, "connect", str(listener.getsockname()[1])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with client:
            connection, _ = listener.accept()
            connection.sendall(b"half of an ans")
            assert client.stdout.read(14) == b"half of an ans"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
            assert client.wait(20) == 1
            assert b"Connection reset by peer" in client.stderr.read()


@pytest.mark.parametrize(
    "address", ["tcp:127.0.0.1:{}", "udp:127.0.0.1:{}", "unix:/nowhere/{}"]
)
def test_nobody_is_there(address):
    done = hatchctl("connect", address.format(free_port()), input=b"x")
    assert done.returncode == 1
    assert done.stderr.startswith(b"hatchctl: ")
    assert done.stdout == b""


def test_output_that_nobody_reads(hatchd):
    """Like a pipe into head: it ends, without a word."""
    port = free_port()
    hatchd.file(service("yes", listen=f"tcp:{port}", exec="/usr/bin/yes"))
    done = subprocess.run(
        f"'{HATCHCTL}' connect {port} </dev/null | head -n1", shell=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    assert (done.stdout, done.stderr) == (b"y\n", b"")


def test_verbose_narrates(hatchd):
    port = free_port()
    hatchd.file(service("echo", listen=f"tcp:{port}", exec="/bin/cat"))
    done = hatchctl("connect", "-v", f"tcp:127.0.0.1:{port}", input=b"x")
    lines = done.stderr.decode().split("\n")
    assert lines[:2] == ["socket tcp4", f"connect 127.0.0.1:{port}"]
    assert done.stdout == b"x"


@pytest.mark.parametrize(
    "args, words",
    [
        ([], b"address is missing"),
        (["7777", "8888"], b"unexpected argument '8888'"),
        (["tcp:127.0.0.1"], b"invalid address"),
        (["127.0.0.1:80"], b"did you mean 'tcp:127.0.0.1:80'?"),
        (["localhost:80"], b"such as tcp: udp: unix: or vsock:, see hatchd.conf(5)"),
        (["tcp:0"], b"port 0"),
        (["vsock:host:0"], b"port 0"),
        (["vsock:guest:1"], b"the CID of a vsock address"),
        (["tcp:8000-8010"], b"not to a range"),
        (["fd:web"], b"fd:web"),
        (["--wait", "soon", "7777"], b"invalid duration 'soon'"),
        (["--wiat", "1s", "7777"], b"--wiat"),
        (["--wait"], b"--wait"),
    ],
)
def test_usage_errors(args, words):
    done = hatchctl("connect", *args)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stdout == b""


def test_commands():
    assert hatchctl().returncode == 2
    done = hatchctl("conect", "7777")
    assert done.returncode == 2
    assert b"connect" in done.stderr
    done = hatchctl("--help")
    assert done.returncode == 0
    assert b"connect" in done.stdout
    assert hatchctl("connect", "--help").returncode == 0
    assert hatchctl("--version").stdout.startswith(b"hatchctl ")


def test_interrupt_ends_it():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = subprocess.Popen([HATCHCTL, "connect", str(listener.getsockname()[1])],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with client:
            connection, _ = listener.accept()
            client.send_signal(signal.SIGINT)
            try:
                assert client.wait(20) != 0
            finally:
                client.kill()
            assert read_all(connection) == b""
            connection.close()
