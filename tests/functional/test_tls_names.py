"""Which service and which certificate a client of TLS gets, by the name that he asks for
(SNI), and by what he wants to speak (ALPN)."""

import os
import pwd
import re
import signal
import ssl

import pytest

from certificates import der, needs_tls
from harness import free_port, reload, service
from test_callers import v1
from test_control import ask
from tlsclient import Client, environment, talk, trusting

pytestmark = needs_tls

VERSIONS = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


class House:
    """Services at one address.  Each says its name, and gives back what it gets."""

    def __init__(self, certificates):
        self.certificates = certificates
        self.port = free_port()

    def service(self, name, *names, certified=None, alpn=None, tls=None, **options):
        """With a certificate of its own, for all its names, if not for others."""
        tls = dict(tls or {})
        certified = names if certified is None else certified
        if certified:
            tls["certificate"] = self.certificates.server(*certified)
        options.setdefault("shell", f"echo {name}; exec cat")
        return service(
            name, listen=f"tcp:127.0.0.1:{self.port}", tls=tls or None,
            tls_name=list(names) or None, tls_alpn=alpn, **options)

    def open(self, name=None, alpn=(), version=None, **more):
        """A client who has shaken hands."""
        context = trusting(self.certificates, alpn=alpn, version=version)
        return Client(self.port, context, name=name, **more)

    def who(self, *args, **more):
        """(the service that he gets, "": none, the certificate that he is shown)"""
        with self.open(*args, **more) as client:
            client.end()
            return client.read_all().decode().strip(), client.tls.getpeercert(True)

    def shown(self, *names):
        return der(self.certificates.server(*names))

    def is_refused(self, alert, *args, **more):
        with pytest.raises(ssl.SSLError) as refused:
            self.who(*args, **more)
        assert alert in str(refused.value).lower()
        return True


@pytest.fixture
def house(certificates):
    return House(certificates)


UNKNOWN_NAME = "unrecognized name"
NO_PROTOCOL = "no application protocol"

WEB = ("www.example.org",)
GIT = ("git.example.org",)
ANY = ("*.example.org",)


# ---------------------------------------------------------------------------
# Names


@VERSIONS
def test_names(hatchd, house, version):
    """The name itself, a pattern of one label, and whoever asks for anything else; each
    is shown the certificate with his name in it."""
    hatchd.file(house.service("web", *WEB, certified=WEB) + house.service("any", *ANY)
                + house.service("git", *GIT)
                + house.service("rest", certified=("rest.example.net",)))

    def who(name):
        return house.who(name, version=version)

    assert who("www.example.org") == ("web", house.shown(*WEB))
    assert who("git.example.org") == ("git", house.shown(*GIT))
    assert who("GIT.Example.ORG") == ("git", house.shown(*GIT))
    assert who("other.example.org") == ("any", house.shown(*ANY))
    assert who("rest.example.net") == ("rest", house.shown("rest.example.net"))
    # A star is one label: not none, and not two.
    for name in "example.org", "a.b.example.org", "xexample.org", "elsewhere.net", None:
        said, shown = who(name)
        assert said == "rest", name
        # The first of all is shown where none fits.
        assert shown == house.shown(*WEB)


def test_name_with_a_dot_at_its_end(hatchd, house):
    """RFC 6066 has none; some clients have."""
    hatchd.file(house.service("web", *WEB) + house.service("git", *GIT))
    assert house.who("git.example.org.")[0] == "git"


@VERSIONS
def test_nobody_for_the_rest(hatchd, house, version):
    """Who asks for what is not there, or for nothing, is told so within the handshake."""
    daemon = hatchd.file(house.service("web", *WEB) + house.service("git", *GIT))
    for name in "nobody.example.org", "example.org", None:
        assert house.is_refused(UNKNOWN_NAME, name, version=version)
        daemon.wait_log(r"web: .*refused 127\.0\.0\.1:\d+: handshake")
    assert house.who("git.example.org", version=version)[0] == "git"


def test_one_with_a_name_is_for_nobody_else(hatchd, house):
    hatchd.file(house.service("web", *WEB))
    assert house.who("www.example.org")[0] == "web"
    assert house.is_refused(UNKNOWN_NAME, "git.example.org")


def test_one_without_a_name_is_for_all(hatchd, house):
    """Also who asks for what its certificate does not have: that is for him to judge."""
    hatchd.file(house.service("web", certified=WEB))
    for name in "www.example.org", "git.example.org", None:
        assert house.who(name) == ("web", house.shown(*WEB))


def test_several_names_of_one(hatchd, house):
    names = ("a.example.org", "b.example.org", "*.c.example.org")
    hatchd.file(house.service("web", *names))
    for name in "a.example.org", "b.example.org", "x.c.example.org":
        assert house.who(name) == ("web", house.shown(*names))
    assert house.is_refused(UNKNOWN_NAME, "c.example.org")


def test_certificates_of_one(hatchd, house, certificates):
    """Several files for one service: the one that has his name, else the first."""
    files = [certificates.server(*WEB), certificates.server(*GIT),
             certificates.server(*WEB, key="RSA-2048")]
    hatchd.file(house.service("web", certified=(), tls={"certificate": files}))
    for name, wanted in (WEB[0], files[0]), (GIT[0], files[1]), (None, files[0]):
        assert house.who(name)[1] == der(wanted)
    # Whoever cannot use one kind of key gets the other.
    context = trusting(certificates, version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE+aRSA")
    with Client(house.port, context, name=WEB[0]) as client:
        assert client.tls.getpeercert(True) == der(files[2])


# ---------------------------------------------------------------------------
# Protocols


@VERSIONS
def test_protocols(hatchd, house, version):
    """What was chosen chooses the service; who offers none gets the one for all."""
    hatchd.file(
        house.service("web", certified=WEB, tls={"alpn": ["h2", "http/1.1"]})
        + house.service("acme", alpn="acme-tls/1") + house.service("other", alpn="x"))
    for offered, service_, chosen in (
            (["h2"], "web", "h2"), (["http/1.1", "h2"], "web", "h2"),
            (["acme-tls/1"], "acme", "acme-tls/1"), (["y", "x"], "other", "x"),
            ([], "web", None)):
        with house.open("www.example.org", offered, version=version) as client:
            assert client.tls.selected_alpn_protocol() == chosen
            client.end()
            assert client.read_all().decode() == f"{service_}\n"
    assert house.is_refused(NO_PROTOCOL, "www.example.org", ["y"], version=version)


def test_protocol_is_not_asked(hatchd, house):
    """Where none is said: whatever is offered is all the same."""
    hatchd.file(house.service("web", certified=WEB))
    with house.open(alpn=["h2"]) as client:
        assert client.tls.selected_alpn_protocol() is None
        assert client.read_line() == b"web"


def test_name_and_protocol(hatchd, house):
    """It takes both."""
    hatchd.file(house.service("web", *WEB, tls={"alpn": ["http/1.1"]})
                + house.service("git", *GIT, alpn="git") + house.service("plain", *GIT,
                                                                         certified=()))
    assert house.who("git.example.org", ["git"])[0] == "git"
    assert house.who("git.example.org")[0] == "plain"
    assert house.who("git.example.org", ["http/1.1", "git"])[0] in ("git", "plain")
    assert house.who("www.example.org", ["git", "http/1.1"])[0] == "web"
    assert house.is_refused(NO_PROTOCOL, "www.example.org", ["other"])


# ---------------------------------------------------------------------------
# Each has its own


def test_rules_are_those_of_the_one_that_was_chosen(hatchd, house):
    daemon = hatchd.file(
        house.service("web", *WEB, only_from="127.0.0.2")
        + house.service("git", *GIT, only_from="127.0.0.3", per_source=1))
    for (name,), said, source in (WEB, "web", "127.0.0.2"), (GIT, "git", "127.0.0.3"):
        assert house.who(name, source=source)[0] == said
    for (name,), said, source in (WEB, "web", "127.0.0.3"), (GIT, "git", "127.0.0.2"):
        assert house.who(name, source=source)[0] == ""
        daemon.wait_log(rf"{said}: .*refused {re.escape(source)}:\d+: only_from")
    with house.open(GIT[0], source="127.0.0.3") as client:
        assert client.read_line() == b"git"
        assert house.who(GIT[0], source="127.0.0.3")[0] == ""
        daemon.wait_log(r"git: .*refused 127\.0\.0\.3:\d+: per_source")


def test_limits_of_one_are_not_those_of_another(hatchd, house):
    daemon = hatchd.file(house.service("web", *WEB, instances=1,
                                       per_source="unlimited", overflow="refuse")
                         + house.service("git", *GIT))
    with house.open(WEB[0]) as client:
        assert client.read_line() == b"web"
        for _ in range(3):
            assert house.who(GIT[0])[0] == "git"
        assert house.who(WEB[0])[0] == ""
        daemon.wait_log(r"web: .*refused 127\.0\.0\.1:\d+: instances")
        assert house.who(GIT[0])[0] == "git"
        client.send(b"x")
        assert client.recv() == b"x"


def test_disable_the_one_that_has_the_socket(hatchd, house, folder):
    """The others go on at it; who wants the one that is disabled gets nobody."""
    path = folder / "run" / "control"
    daemon = hatchd.file(house.service("web", *WEB) + house.service("git", *GIT),
                         f"--control={path}")
    assert ask(path, "disable web")[0] == {"done": True}
    web, git, _ = ask(path, "list")
    assert (web["state"], git["state"]) == ("disabled", "serving")
    for _ in range(3):
        assert house.who(GIT[0])[0] == "git"
        assert house.who(WEB[0])[0] == ""
    daemon.wait_log(r"web: .*refused 127\.0\.0\.1:\d+: ")
    assert ask(path, "enable web")[0] == {"done": True}
    assert house.who(WEB[0])[0] == "web"
    assert ask(path, "disable git")[0] == {"done": True}
    assert house.who(WEB[0])[0] == "web"
    assert house.who(GIT[0])[0] == ""
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert (house.who(WEB[0])[0], house.who(GIT[0])[0]) == ("web", "git")


def test_environment_of_each(hatchd, house):
    env = {"shell": 'env; echo "ID=$(id -u)"'}
    hatchd.file(house.service("web", *WEB, env=["A=1"], **env)
                + house.service("git", *GIT, env=["B=2"], **env))
    context = trusting(house.certificates)
    web = environment(house.port, context, name=WEB[0])
    git = environment(house.port, context, name=GIT[0])
    assert (web["A"], web["HATCHD_SERVICE"], "B" in web) == ("1", "web", False)
    assert (git["B"], git["HATCHD_SERVICE"], "A" in git) == ("2", "git", False)
    assert web["SSL_TLS_SNI_SERVERNAME"] == WEB[0]
    assert git["SSL_TLS_SNI_SERVERNAME"] == GIT[0]
    assert git["TCPREMOTEIP"] == git["REMOTE_ADDR"] == "127.0.0.1"
    assert git["TCPLOCALPORT"] == str(house.port)


@pytest.mark.needs_root
def test_user_of_each(hatchd, house):
    hatchd.file(house.service("web", *WEB, user="nobody", shell="id -un")
                + house.service("git", *GIT, user="daemon", shell="id -un"))
    assert house.who(WEB[0])[0] == "nobody"
    assert house.who(GIT[0])[0] == "daemon"
    assert pwd.getpwnam("daemon").pw_uid != os.geteuid()


def test_names_behind_a_proxy(hatchd, house):
    """Rules are about whom it speaks of, and those of the service that he chooses."""
    proxy = {"proxy_protocol": "required", "proxy_from": "127.0.0.1"}
    daemon = hatchd.file(house.service("web", *WEB, **proxy)
                         + house.service("git", *GIT, only_from="192.0.2.7"))
    assert house.who(GIT[0], before=v1("192.0.2.7"))[0] == "git"
    assert house.who(WEB[0], before=v1("192.0.2.8"))[0] == "web"
    assert house.who(GIT[0], before=v1("192.0.2.8"))[0] == ""
    daemon.wait_log(r"git: .*refused 192\.0\.2\.8:\d+: only_from")


def test_guests_of_other_kinds(hatchd, house):
    """One is built in, another one is elsewhere."""
    other = free_port()
    hatchd.file(
        house.service("web", *WEB)
        + house.service("echo", *GIT, builtin="echo", shell=None, user=None)
        + house.service("far", *ANY, redirect=f"tcp:127.0.0.1:{other}", shell=None)
        + service("target", listen=f"tcp:127.0.0.1:{other}", shell="echo target; exec cat"))
    context = trusting(house.certificates)
    assert talk(house.port, context, b"x", name=GIT[0]) == b"x"
    assert talk(house.port, context, b"x", name="far.example.org") == b"target\nx"
    assert talk(house.port, context, b"x", name=WEB[0]) == b"web\nx"


# ---------------------------------------------------------------------------
# Another day


def test_names_after_a_reload(hatchd, house):
    """Another name, a guest more, and one less, whose client stays."""
    daemon = hatchd.file(house.service("web", *WEB) + house.service("git", *GIT))
    with house.open(GIT[0]) as client:
        assert client.read_line() == b"git"
        reload(daemon, house.service("web", "new.example.org") + house.service(
            "mail", "mail.example.org"))
        for name in WEB[0], GIT[0]:
            assert house.is_refused(UNKNOWN_NAME, name)
        assert house.who("new.example.org") == ("web", house.shown("new.example.org"))
        assert house.who("mail.example.org") == ("mail", house.shown("mail.example.org"))
        client.send(b"x")
        assert client.recv() == b"x"
        client.end()
        assert client.read_all() == b""
    daemon.wait_log(r"git: child \d+ ended: exit 0")


def test_guest_that_goes_in_the_middle_of_a_handshake(hatchd, house):
    """The one whom he has asked for is not there any more when he has shaken hands."""
    daemon = hatchd.file(house.service("web", *WEB) + house.service("git", *GIT))
    with house.open(GIT[0], begin=False) as client:
        hello = client.hello()
        client.sock.sendall(hello[:50])
        assert house.who(WEB[0])[0] == "web"
        reload(daemon, house.service("web", *WEB))
        client.sock.sendall(hello[50:])
        with pytest.raises(OSError):
            client.shake_hands()
            raise ConnectionError if client.recv() == b"" else AssertionError("served")
    assert house.who(WEB[0])[0] == "web"
    assert house.is_refused(UNKNOWN_NAME, GIT[0])
