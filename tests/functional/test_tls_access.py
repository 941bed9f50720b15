"""Who comes in by his certificate, and what a reload changes for who has shown one already."""

import contextlib

import pytest

from certificates import fingerprint, needs_tls, secure, start
from harness import connect, free_port, read_all, reload
from tlsclient import BROKEN_OFF, Client, talk, trusting

pytestmark = needs_tls

HELLO = ["/bin/sh", "-c", "echo hello"]

# Of a service with room for one.
ONE = {"instances": 1, "per_source": 2, "overflow": "wait",
       "exec": ["/bin/sh", "-c", "echo hello; cat"]}


def asking(certificates, verify="optional"):
    return {"verify": verify, "ca": certificates.ca()}


def comes_in(certificates, port, certificate=None, **more):
    try:
        return talk(port, trusting(certificates, certificate), **more) == b"hello\n"
    except BROKEN_OFF:
        return False


@pytest.mark.parametrize(("rule", "subject", "sans"), [
    ("cert:CN=ann", "/CN=ann", []),
    ("cert:CN=a, b", "/CN=a, b", []),
    ("cert:DNS:*.example.org", "/CN=x", ["DNS:host.example.org"]),
    ("cert:email:ann@example.org", "/CN=x", ["email:ann@example.org"]),
    ("cert:IP:192.0.2.7", "/CN=x", ["IP:192.0.2.7"]),
    ("cert:*", "/CN=x", []),
])
def test_rule(hatchd, certificates, rule, subject, sans):
    """Who is in it comes in; who is not, has none, or one of somebody else's, does not."""
    daemon, port = start(
        hatchd, certificates, exec=HELLO, only_from=[rule], tls=asking(certificates))
    assert comes_in(certificates, port, certificates.client(subject, sans=sans))
    mark = daemon.mark()
    strangers = [certificates.client(subject, sans=sans, by="others"), None]
    if rule != "cert:*":
        strangers.append(certificates.client("/CN=bob", sans=["DNS:other.example.net"]))
    for certificate in strangers:
        assert not comes_in(certificates, port, certificate)
    daemon.wait_log("refused 127.0.0.1:.*: only_from", after=mark)


def test_hash(hatchd, certificates):
    """It is that one, whoever has signed it."""
    ann = certificates.client("/CN=ann", by="others")
    _, port = start(hatchd, certificates, exec=HELLO, tls=asking(certificates),
                    only_from=[f"cert:SHA256:{fingerprint(ann)}"])
    assert comes_in(certificates, port, ann)
    assert not comes_in(certificates, port, certificates.client("/CN=ann"))


def test_address_or_certificate(hatchd, certificates):
    """Either is enough."""
    here, other = free_port(), free_port()
    hatchd.file("".join(
        secure(certificates, name, port, exec=HELLO, tls=asking(certificates),
               only_from=[address, "cert:CN=ann"])
        for name, port, address in [
            ("here", here, "127.0.0.1"), ("other", other, "192.0.2.1")]))
    assert comes_in(certificates, here)
    assert comes_in(certificates, other, certificates.client())
    assert not comes_in(certificates, other)


def test_guest(hatchd, certificates):
    """Each of those that share a listener has rules of its own."""
    port = free_port()
    names = ["one.example.org", "two.example.org"]
    text = "".join(
        secure(certificates, name.split(".")[0], port, exec=HELLO, tls_name=name,
               only_from=[f"cert:CN={name.split('.')[0]}"],
               tls=asking(certificates) if name == names[0] else {})
        for name in names)
    hatchd.file(text)
    for person in ("one", "two"):
        certificate = certificates.client(f"/CN={person}")
        for name in names:
            assert comes_in(certificates, port, certificate, name=name) == (
                name.startswith(person))


# ---------------------------------------------------------------------------
# A reload while somebody waits


def meet(daemon, port, certificates, **more):
    """(one who is served where there is room for one, another who has come before and waits)"""
    second = Client(port, trusting(certificates), begin=False, **more)
    daemon.wait_log("connection 1: passed to child .*, hatchd-tls")
    first = Client(port, trusting(certificates), **more)
    assert first.read_line() == b"hello"
    second.shake_hands()
    # For a client that may be so before hatchd has read his last word.
    daemon.wait_log("connection 1: TLS is spoken")
    return first, second


def waiting(hatchd, certificates):
    daemon, port = start(hatchd, certificates, "-v", **ONE)
    return daemon, port, *meet(daemon, port, certificates)


def test_other_rules_about_certificates(hatchd, certificates):
    """Who had none when none was asked for is not let in when one is."""
    daemon, port, first, second = waiting(hatchd, certificates)
    with first, second:
        reload(daemon, secure(certificates, "t", port, **ONE,
                              tls=asking(certificates, "required")))
        mark = daemon.mark()
        first.vanish()
        daemon.wait_log("refused 127.0.0.1:.*: handshake", after=mark)


def test_renewed_certificate(hatchd, certificates):
    """That makes no difference to who waits."""
    daemon, port, first, second = waiting(hatchd, certificates)
    with first, second:
        text = secure(certificates, "t", port, **ONE,
                      tls={"certificate": certificates.another("www.example.org")})
        assert "1 changed" in reload(daemon, text)
        first.vanish()
        assert second.read_line() == b"hello"


def test_host_is_replaced_while_somebody_waits_for_a_guest(hatchd, certificates):
    """The listener goes to another service, and the guest with it: so does who waits for it."""
    port, name = free_port(), "guest.example.org"
    guest = secure(certificates, "guest", port, tls_name=name, **ONE)
    daemon = hatchd.file(secure(certificates, "host", port, exec=HELLO) + guest, "-v")
    first, second = meet(daemon, port, certificates, name=name)
    with first, second:
        reload(daemon, secure(certificates, "heir", port, exec=HELLO) + guest)
        first.vanish()
        assert second.read_line() == b"hello"
    assert comes_in(certificates, port)


def test_guest_is_gone_while_somebody_waits_for_it(hatchd, certificates):
    port, name = free_port(), "guest.example.org"
    host = secure(certificates, "host", port, exec=HELLO)
    guest = secure(certificates, "guest", port, tls_name=name, **ONE)
    daemon = hatchd.file(host + guest, "-v")
    first, second = meet(daemon, port, certificates, name=name)
    with first, second:
        reload(daemon, host)
        with pytest.raises(BROKEN_OFF):
            second.read_line()
    assert comes_in(certificates, port)


def test_nothing_in_the_clear(hatchd, certificates):
    """Who says his PROXY header while the service becomes somebody's guest speaks TLS, or gets
    nothing."""
    port = free_port()

    def front(name, **options):
        return secure(certificates, name, port, exec=HELLO, proxy_protocol="required",
                      proxy_from=["127.0.0.1"], **options)

    def guest(name, **options):
        return secure(certificates, name, port, exec=HELLO, tls_name="a.example.org", **options)

    daemon = hatchd.file(front("a"), "-v")
    with connect(port) as client:
        client.sendall(b"PROXY TCP4 192.0.2.1 ")
        daemon.wait_log("passed to child .*, hatchd-front")
        reload(daemon, front("b") + guest("a"))
        client.sendall(b"192.0.2.2 1 2\r\nPLAIN\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"hello" not in read_all(client)
