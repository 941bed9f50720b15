"""Certificates that are renewed while clients come, and sessions go on.

HATCHD_TEST_ROUNDS sets how often (default: 20 times).
"""

import os
import ssl

import pytest

from certificates import NAME, der, needs_tls, secure
from harness import free_port, reload, service, take_time
from harness import talk as talk_plainly
from test_reload_load import ROUNDS, Clients
from tlsclient import Client, talk, trusting

pytestmark = needs_tls


class Site:
    """One service, whose certificate is in a file of its own."""

    def __init__(self, hatchd, certificates, folder, **tls):
        self.certificates = certificates
        self.pem = folder / "web.pem"
        self.port = free_port()
        self.shown = self.put(certificates.server(NAME).read_text())
        self.config = secure(
            certificates, "t", self.port, tls={"certificate": self.pem, **tls})
        self.daemon = hatchd.file(self.config)

    def put(self, text):
        """In the place of what was there; at no moment there is half of it."""
        new = self.pem.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o600)
        os.rename(new, self.pem)
        return der(self.pem) if "CERTIFICATE" in text else None

    def renew(self):
        return self.put(self.certificates.another(NAME).read_text())

    def seen(self, context):
        """The certificate that the next one is shown, who is served as well."""
        with Client(self.port, context) as client:
            client.send(b"x")
            assert client.recv() == b"x"
            return client.tls.getpeercert(True)


@pytest.fixture
def site(hatchd, certificates, folder):
    return Site(hatchd, certificates, folder)


def test_certificates_are_renewed(site, certificates):
    """Every client is served, every session goes on, and after `reloaded` it is the new one."""
    take_time("HATCHD_TEST_ROUNDS")
    context = trusting(certificates)
    crowd = Clients()
    for number in range(2):
        crowd.start(f"client {number}", lambda: (
            None if talk(site.port, context, b"x" * 5000) == b"x" * 5000 else "another answer"))
    lasting = [Client(site.port, context) for _ in range(3)]
    try:
        for number in range(ROUNDS or 20):
            new = site.renew()
            reload(site.daemon)
            assert site.seen(context) == new
            for client in lasting:
                client.send(b"%d\n" % number)
                assert client.read_line() == b"%d" % number
    finally:
        crowd.stop()
    for client in lasting:
        with client:
            client.end()
            assert client.read_all() == b""


def test_session_of_before(site, certificates):
    """Who comes back with the session of an old certificate is served, one way or the other."""
    context = trusting(certificates)
    with Client(site.port, context) as client:
        client.send(b"x")
        assert client.recv() == b"x"
        session = client.tls.session
    site.renew()
    reload(site.daemon)
    with Client(site.port, context, session=session) as client:
        client.send(b"x")
        assert client.recv() == b"x"


def test_in_the_middle_of_a_handshake(site, certificates):
    """He ends it as he has begun it."""
    context = trusting(certificates)
    with Client(site.port, context, begin=False) as client:
        hello = client.hello()
        client.sock.sendall(hello[:100])
        # Whoever comes later has been seen later.
        assert site.seen(context) == site.shown
        new = site.renew()
        reload(site.daemon)
        assert site.seen(context) == new
        client.sock.sendall(hello[100:])
        client.shake_hands()
        assert client.tls.getpeercert(True) in (site.shown, new)
        client.send(b"x")
        assert client.recv() == b"x"


def broken(certificates):
    """{what is wrong: such a file}"""
    good = certificates.server(NAME).read_text()
    other = certificates.server("other.example.org").read_text()
    at = good.index("-----BEGIN PRIVATE")
    return {
        "nothing that is known": "x" * 1000,
        "half of it": good[:len(good) // 3],
        "no key": good[:at],
        "key of another one": good[:at] + other[other.index("-----BEGIN PRIVATE"):],
        "damaged": good[:100] + "AAAA" + good[104:],
    }


def test_broken_certificates(site, certificates):
    """The old one stays, and the line says which file it is."""
    context = trusting(certificates)
    with Client(site.port, context) as client:
        for what, text in broken(certificates).items():
            site.pem.write_text(text)
            mark = site.daemon.mark()
            assert "unable to reload" in reload(site.daemon, line="reload"), what
            assert "web.pem" in "\n".join(site.daemon.log.lines[mark:]), what
            assert site.seen(context) == site.shown, what
        client.send(b"x")
        assert client.recv() == b"x"
    new = site.renew()
    reload(site.daemon)
    assert site.seen(context) == new


def test_who_is_believed_changes(hatchd, certificates, folder):
    """A session is no way around another authority, nor around being asked at all."""
    site = Site(hatchd, certificates, folder, verify="required", ca=certificates.ca())
    context = trusting(certificates, certificates.client())
    with Client(site.port, context) as client:
        client.send(b"x")
        assert client.recv() == b"x"
        session = client.tls.session
    theirs = certificates.ca("theirs")
    reload(site.daemon, site.config.replace(str(certificates.ca()), str(theirs)))
    for more in {"session": session}, {}:
        with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
            talk(site.port, context, b"x", **more)
    other = trusting(certificates, certificates.client(by="theirs"))
    assert talk(site.port, other, b"x") == b"x"


def test_tls_comes_and_goes(site, certificates):
    """The socket stays; each client gets what there is when he comes."""
    context = trusting(certificates)
    plain = service("t", listen=f"tcp:127.0.0.1:{site.port}", exec="/bin/cat")
    with Client(site.port, context) as client:
        # To have shaken hands is not yet to be in: hatchd may not have heard of it.
        client.send(b"a")
        assert client.recv() == b"a"
        reload(site.daemon, plain)
        assert talk_plainly(site.port, b"plain") == b"plain"
        reload(site.daemon, site.config)
        assert talk(site.port, context, b"hidden") == b"hidden"
        client.send(b"x")
        assert client.recv() == b"x"
