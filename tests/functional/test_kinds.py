"""Kinds of addresses beside TCP, UDP and UNIX: MPTCP, UDP-Lite and vsock."""

import contextlib
import os
import socket

import pytest

from harness import (
    PYTHON, Probe, connect, free_port, hatchctl, have_ipv6, helper, parse_address, protocol_of,
    service, talk, udp,
)

needs_root = pytest.mark.needs_root
UPPER = ["/usr/bin/tr", "a-z", "A-Z"]
IPPROTO_MPTCP = 262
SO_PROTOCOL = 38


def offers(address):
    """Whether the kernel makes such sockets."""
    family, kind, _ = parse_address(address)
    try:
        socket.socket(family, kind, protocol_of(address)).close()
    except OSError:
        return False
    return True


needs_mptcp = pytest.mark.skipif(
    not offers("mptcp:127.0.0.1:1"), reason="this kernel offers no MPTCP")
needs_udplite = pytest.mark.skipif(
    not offers("udplite:127.0.0.1:1"), reason="this kernel has no UDP-Lite")


@pytest.fixture
def probe(folder):
    return helper("probe", folder)


# -- MPTCP


@needs_mptcp
@pytest.mark.parametrize("form", ["mptcp:{}", "mptcp4:{}", "mptcp:127.0.0.1:{}"])
def test_mptcp(hatchd, form):
    """The child's connection is one of MPTCP; its environment is that of TCP."""
    port = free_port()
    code = f"import socket; s = socket.socket(fileno=0); print(s.getsockopt(1, {SO_PROTOCOL}))"
    hatchd.file(
        service("kind", listen=form.format(port), exec=[PYTHON, "-S", "-E", "-c", code]))
    assert talk(f"mptcp:127.0.0.1:{port}") == b"%d\n" % IPPROTO_MPTCP


@needs_mptcp
def test_mptcp_serves_clients_of_tcp(hatchd, probe):
    port = free_port()
    hatchd.file(service("s", listen=f"mptcp:{port}", exec=probe))
    with connect(f"tcp:127.0.0.1:{port}") as client:
        name = client.getsockname()
        env = Probe(b"".join(iter(lambda: client.recv(65536), b""))).env
    assert env["PROTO"] == "TCP"
    assert (env["TCPREMOTEIP"], env["TCPREMOTEPORT"]) == (name[0], str(name[1]))
    assert (env["TCPLOCALIP"], env["TCPLOCALPORT"]) == ("127.0.0.1", str(port))


@needs_mptcp
@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
def test_mptcp_over_ipv6(hatchd):
    port = free_port()
    hatchd.file(service("upper", listen=f"mptcp6:{port}", exec=UPPER))
    assert talk(f"mptcp:[::1]:{port}", b"bom dia") == b"BOM DIA"


@contextlib.contextmanager
def mptcp_switched_off():
    path = "/proc/sys/net/mptcp/enabled"
    with open(path) as file:
        was = file.read()
    try:
        with open(path, "w") as file:
            file.write("0")
        yield
    finally:
        with open(path, "w") as file:
            file.write(was)


@needs_root
@pytest.mark.skipif(not os.path.exists("/proc/sys/net/mptcp/enabled"),
                    reason="this kernel has no MPTCP")
def test_mptcp_falls_back_to_tcp(hatchd):
    """Where the kernel offers none; said once for the address."""
    port = free_port()
    with mptcp_switched_off():
        daemon = hatchd.file(service("upper", listen=f"mptcp:{port}", exec=UPPER))
        daemon.wait_log(f"upper: mptcp:{port}: this kernel offers no MPTCP, serving plain TCP")
        assert talk(f"tcp:127.0.0.1:{port}", b"bom dia") == b"BOM DIA"
        done = hatchctl("connect", "-v", f"mptcp:127.0.0.1:{port}", input=b"x")
        assert done.stdout == b"X"
        assert done.stderr.decode().split("\n")[:2] == [
            "socket mptcp4", "no MPTCP here: socket tcp4"]
    assert daemon.text().count("MPTCP") == 1


@needs_mptcp
def test_mptcp_with_hatchctl(hatchd):
    port = free_port()
    hatchd.file(service("upper", listen=f"mptcp:{port}", exec=UPPER))
    done = hatchctl("connect", "-v", f"mptcp:127.0.0.1:{port}", input=b"bom dia")
    assert done.stdout == b"BOM DIA"
    assert done.stderr.startswith(b"socket mptcp4\n")


# -- UDP-Lite


def datagrams(folder):
    return [PYTHON, "-S", "-E", helper("datagrams.py", folder), "1"]


@needs_udplite
@pytest.mark.parametrize("form", ["udplite:{}", "udplite4:{}", "udplite:127.0.0.1:{}"])
def test_udplite(hatchd, folder, form):
    port = free_port()
    daemon = hatchd.file(
        service("echo", listen=form.format(port), wait=True, exec=datagrams(folder)))
    for number in (1, 2):
        assert udp(f"udplite:127.0.0.1:{port}", b"bom dia") == [b"bom dia"]
        daemon.wait_log("ended: exit 0", count=number)


@needs_udplite
def test_udplite_and_udp_have_ports_of_their_own(hatchd, folder):
    port = free_port()
    hatchd.file(service(
        "echo", listen=[f"udp4:{port}", f"udplite4:{port}"], wait=True, exec=datagrams(folder)))
    assert udp(f"udp:127.0.0.1:{port}", b"plain") == [b"plain"]
    assert udp(f"udplite:127.0.0.1:{port}", b"lite") == [b"lite"]


NOTE_ENVIRONMENT = """
import os, sys
with open(sys.argv[1], "w") as file:
    file.write(" ".join(os.environ[name] for name in sys.argv[2:]))
os.read(0, 100)
"""


@needs_udplite
def test_udplite_environment(hatchd, folder):
    port, path = free_port(), folder / "seen"
    folder.chmod(0o777)
    names = ["PROTO", "UDPLITELOCALIP", "UDPLITELOCALPORT"]
    daemon = hatchd.file(service(
        "s", listen=f"udplite4:{port}", wait=True,
        exec=[PYTHON, "-S", "-E", "-c", NOTE_ENVIRONMENT, path, *names]))
    with connect(f"udplite:127.0.0.1:{port}") as client:
        client.send(b"x")
        daemon.wait_log("ended: exit 0")
    assert path.read_text() == f"UDPLITE 0.0.0.0 {port}"


@needs_udplite
def test_udplite_with_hatchctl(hatchd, folder):
    port = free_port()
    hatchd.file(
        service("echo", listen=f"udplite:127.0.0.1:{port}", wait=True, exec=datagrams(folder)))
    done = hatchctl("connect", f"udplite:127.0.0.1:{port}", input=b"bom dia")
    assert done.stdout == b"bom dia"


# -- vsock


def vsock_port():
    """A free port of vsock, which is one for the whole machine."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as sock:
        sock.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        return sock.getsockname()[1]


def vsock_reaches_itself():
    """Whether a client on this machine can be one: that takes the loopback transport."""
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listener, \
                socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as client:
            listener.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
            listener.listen()
            client.settimeout(2)
            client.connect((1, listener.getsockname()[1]))
    except OSError:
        return False
    return True


needs_vsock = pytest.mark.skipif(
    not offers("vsock:1:1"), reason="this kernel has no vsock")


@pytest.fixture(scope="module")
def vsock_loopback():
    if not offers("vsock:1:1") or not vsock_reaches_itself():
        pytest.skip("this kernel has no vsock, or not its loopback (vsock_loopback)")


@needs_vsock
def test_vsock_listens(hatchd):
    port = vsock_port()
    daemon = hatchd.file(service("upper", listen=f"vsock:any:{port}", exec=UPPER))
    daemon.wait_log("ready: 1 service on 1 address")
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as second:
        with pytest.raises(OSError, match="in use"):
            second.bind((socket.VMADDR_CID_ANY, port))


@needs_vsock
def test_vsock_announces_who_can_reach_it(hatchd):
    port = vsock_port()
    daemon = hatchd.adhoc("-l", f"vsock:{port}", "--", *UPPER)
    daemon.wait_log(f"listening on vsock:any:{port}, open to the host of this machine and its")


@needs_vsock
def test_vsock_any_free_port(hatchd):
    daemon = hatchd.adhoc("-l", "vsock:any:0", "--", *UPPER)
    assert int(daemon.wait_log(r"listening on vsock:any:(\d+)")[1]) > 0


@needs_vsock
def test_vsock_port_that_somebody_has(hatchd):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as first:
        first.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        first.listen()
        port = first.getsockname()[1]
        daemon = hatchd.file(service("upper", listen=f"vsock:any:{port}", exec=UPPER))
        daemon.wait_log(f"unable to bind vsock:any:{port}: somebody listens there already")


def test_vsock_serves(hatchd, vsock_loopback):
    port = vsock_port()
    hatchd.file(service("upper", listen=f"vsock:any:{port}", exec=UPPER))
    assert talk(f"vsock:1:{port}", b"bom dia") == b"BOM DIA"
    assert hatchctl("connect", f"vsock:local:{port}", input=b"bom dia").stdout == b"BOM DIA"


def test_vsock_environment(hatchd, probe, vsock_loopback):
    port = vsock_port()
    hatchd.file(service(
        "s", listen=f"vsock:any:{port}", exec=probe, env_dialect=["socat", "ncat"]))
    with connect(f"vsock:1:{port}") as client:
        own = client.getsockname()[1]
        env = Probe(b"".join(iter(lambda: client.recv(65536), b""))).env
    expected = {
        "PROTO": "VSOCK", "VSOCKLOCALCID": "1", "VSOCKLOCALPORT": str(port),
        "VSOCKREMOTECID": "1", "VSOCKREMOTEPORT": str(own), "REMOTE_ADDR": "vsock:1",
        "REMOTE_PORT": str(own), "SOCAT_PEERADDR": "1", "NCAT_PROTO": "VSOCK",
    }
    assert {name: env.get(name) for name in expected} == expected


def test_vsock_source_is_the_machine(hatchd, vsock_loopback):
    """Its second connection is over the limit, whatever port it comes from."""
    port = vsock_port()
    daemon = hatchd.file(
        service("cat", listen=f"vsock:any:{port}", exec="/bin/cat", per_source=1))
    with connect(f"vsock:1:{port}") as first:
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        with connect(f"vsock:1:{port}") as second:
            daemon.wait_log("refused.*per_source")
            assert second.recv(1) == b""
