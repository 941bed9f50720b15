"""hatchctl selftest: a client at each address of a service, and what becomes of it."""

import json
import socket

import pytest

from certificates import needs_tls, secure
from harness import PYTHON, connect, free_port, hatchctl, put, service, stanza


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def tcp(port):
    return f"tcp:127.0.0.1:{port}"


def selftest(path, name, status=0):
    """The rows, less how long it took."""
    done = hatchctl("selftest", name, "--json", "-s", path)
    assert (done.returncode, done.stderr) == (status, b""), done
    rows = json.loads(done.stdout)["tests"]
    return [(row["address"], row["result"], row["detail"]) for row in rows]


def refusal(path, name, status=1):
    done = hatchctl("selftest", name, "-s", path)
    assert (done.returncode, done.stdout) == (status, b"")
    return done.stderr.decode()


def test_streams(hatchd, path, folder):
    """One after the other; the program is started at each, and finds the end of input."""
    port = free_port()
    addresses = [tcp(port), f"unix:{folder}/s", "unix-seqpacket:@selftest-" + str(port),
                 f"tcp4:{free_port()}", f"tcp:{free_port()}"]
    daemon = hatchd.file(
        service("cat", listen=addresses, exec="/bin/cat", instances=1),
        f"--control={path}")
    # There is room for one at a time: whoever comes next waits in the queue for it.
    told = selftest(path, "cat")
    assert [row[:2] for row in told] == [(address, "served") for address in addresses]
    assert all(detail.startswith("process ") for _, _, detail in told)
    daemon.wait_log("cat: child [0-9]+ ended: exit 0", count=len(addresses))
    shown = hatchctl("selftest", "cat", "-s", path).stdout.decode().splitlines()
    assert shown[0].split() == ["ADDRESS", "RESULT", "TIME", "DETAIL"]
    assert shown[1].split()[:2] == [tcp(port), "served"]


def test_a_program_that_is_gone_at_once(hatchd, path):
    """And is therefore among the connections no more."""
    port = free_port()
    hatchd.file(service("true", listen=tcp(port), exec="/bin/true", log_address="none"),
                f"--control={path}")
    assert selftest(path, "true")[0][1] == "served"


def test_workers(hatchd, path):
    port, other = free_port(), free_port()
    hatchd.file(
        stanza("service", "echo", listen=[tcp(port), f"udp:127.0.0.1:{port}"], builtin="echo")
        + stanza("service", "discard", listen=f"udp:127.0.0.1:{other}", builtin="discard"),
        f"--control={path}")
    assert selftest(path, "echo") == [
        (tcp(port), "served", "hatchd-builtin"),
        (f"udp:127.0.0.1:{port}", "served", "answered"),
    ]
    assert selftest(path, "discard") == [
        (f"udp:127.0.0.1:{other}", "untold", "sent, and not answered")]


def test_datagrams(hatchd, path, folder):
    """A child each, whatever it says."""
    addresses = [f"udp:127.0.0.1:{free_port()}", f"unix-dgram:{folder}/d"]
    hatchd.file(service("cat", listen=addresses, exec="/bin/cat"), f"--control={path}")
    assert [row[:2] for row in selftest(path, "cat")] == [
        (address, "served") for address in addresses]


def test_wait(hatchd, path, folder):
    """The child that has the socket itself: one that is started, and one that is there."""
    program = put(folder, "import socket\n"
                          "s = socket.socket(fileno=0)\n"
                          "while s.accept(): pass\n", "taker.py")
    port = free_port()
    daemon = hatchd.file(
        service("taker", listen=tcp(port), exec=[PYTHON, program], wait=True),
        f"--control={path}")
    for _ in range(2):
        ((_, result, detail),) = selftest(path, "taker")
        assert (result, detail) == ("served", f"process {daemon.wait_children(1)[0]}")
    daemon.stop(leave=True)


def test_refused(hatchd, path):
    port = free_port()
    hatchd.file(service("a", listen=tcp(port), exec="/bin/cat", no_access="127.0.0.0/8"),
                f"--control={path}")
    assert selftest(path, "a", status=1) == [(tcp(port), "refused", "no_access")]


def test_while_others_come(hatchd, path):
    """What becomes of others is not taken for ours."""
    port, local = free_port(), "127.0.0.1"
    hatchd.file(service("a", listen=tcp(port), exec="/bin/cat", no_access="127.0.0.2",
                        per_source="unlimited"), f"--control={path}")
    others = [connect(port, source="127.0.0.2" if i % 2 else local) for i in range(50)]
    assert selftest(path, "a")[0][1] == "served"
    for other in others:
        other.close()


def test_a_program_that_cannot_be_executed(hatchd, path, folder):
    """It was there when the configuration was read."""
    program = put(folder, "#!/bin/sh\n", "program")
    program.chmod(0o755)
    port = free_port()
    daemon = hatchd.file(service("a", listen=tcp(port), exec=program), f"--control={path}")
    program.write_text("#!/nonexistent\n")
    assert selftest(path, "a", status=1) == [
        (tcp(port), "failed", "unable to start the program: exec")]
    daemon.wait_log("unable to start")


def test_an_address_that_cannot_be_had(hatchd, path):
    port = free_port()
    lacking = f"tcp:192.0.2.99:{port}"
    hatchd.file(service("a", listen=[tcp(port), lacking], exec="/bin/cat"),
                f"--control={path}")
    served, failed = selftest(path, "a", status=1)
    assert served[1] == "served"
    assert failed == (lacking, "failed", "unable to bind: Cannot assign requested address")


def test_somebody_has_to_begin(hatchd, path):
    port = free_port()
    hatchd.file(service("a", listen=tcp(port), exec="/bin/cat", proxy_protocol="required",
                        proxy_from="127.0.0.1"), f"--control={path}")
    assert selftest(path, "a") == [
        (tcp(port), "pending", "a header, a name or a look-up is waited for")]


@needs_tls
def test_tls(hatchd, path, certificates):
    port = free_port()
    hatchd.file(secure(certificates, "a", port), f"--control={path}")
    assert selftest(path, "a") == [(tcp(port), "pending", "TLS was not begun")]


def test_not_serving(hatchd, path):
    port = free_port()
    daemon = hatchd.file(
        service("lacking", listen=tcp(free_port()), exec="/nonexistent/program")
        + service("full", listen=tcp(port), exec="/bin/cat", instances=1, per_source=1)
        + service("off", listen=tcp(free_port()), exec="/bin/cat"), f"--control={path}")
    assert refusal(path, "lacking") == (
        "hatchctl: lacking is not serving: no program /nonexistent/program\n")
    with connect(port):
        daemon.wait_children(1)
        assert refusal(path, "full") == "hatchctl: full is full: a client would wait\n"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(b"disable off\n")
        assert b"done" in sock.makefile("rb").read()
    assert refusal(path, "off") == "hatchctl: off is not serving: disabled\n"
    assert refusal(path, "nobody", 2) == "hatchctl: no such service\n"


def test_full_in_the_middle(hatchd, path):
    """By the test's own clients: a program that does not end keeps its place."""
    addresses = [tcp(free_port()), tcp(free_port())]
    daemon = hatchd.file(service("a", listen=addresses, shell="exec sleep 1000", instances=1),
                         f"--control={path}")
    served, failed = selftest(path, "a", status=1)
    assert served[1] == "served"
    assert failed == (addresses[1], "failed", "connected, and nobody took it: full")
    daemon.stop(leave=True)


@pytest.mark.parametrize("args, message", [
    ([], "the service is missing"),
    (["a", "b"], "unexpected argument 'b': there is one service"),
    (["a/b"], "'a/b' is not the name of a service"),
    (["a", "-o", "adress"], "unknown column 'adress'; did you mean 'ADDRESS'?"),
])
def test_usage(args, message):
    done = hatchctl("selftest", *args)
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"hatchctl: {message}\n" in done.stderr.decode()
