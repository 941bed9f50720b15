"""Clients that are passed on to a host by its name, whose addresses are looked up for them."""

import contextlib
import re

import pytest

from harness import (
    connect, free_port, have_ipv6, read_all, reload, service, stanza, talk, wait_until,
)
from nameserver import (
    A, AAAA, NEVER, NXDOMAIN, SERVFAIL, Identd, address, alias, good,
)
from test_callers import banner, proxied, v1
from test_kinds import needs_mptcp
from test_lookup import (  # noqa: F401, fixtures among them
    HOST, NAME, OTHER, dns, is_decided, resolver, start,
)

pytestmark = pytest.mark.needs_root

APP = "app.internal"
ONE, TWO, DEAD = "127.0.0.21", "127.0.0.22", "127.0.0.23"


def app(dns, *addresses):  # noqa: F811
    """It has these from now on; none: there is no such host."""
    for kind in A, AAAA:
        found = [x for x in map(address, addresses) if x.kind == kind]
        dns.put(APP, kind, *(found or ([] if addresses else [NXDOMAIN])))


def targets(port):
    """Services that say where they are."""
    return "".join(
        service(name, listen=f"tcp:{host}:{port}", exec=["/bin/echo", "-n", name])
        for name, host in (("one", ONE), ("two", TWO)))


def redirect(port, *written, name="r", **options):
    return stanza("service", name, listen=f"tcp:127.0.0.1:{port}", redirect=list(written),
                  **options)


@pytest.fixture
def ports():
    """(of the redirect, of the targets)"""
    return free_port(), free_port()


def test_name(start, dns, ports):  # noqa: F811
    port, behind = ports
    app(dns, ONE)
    daemon = start(redirect(port, f"tcp:{APP}:{behind}"), targets(behind))
    assert talk(port) == b"one"
    daemon.wait_log(r"r: connection \d+ ended: finished, 0 bytes in, 3 out")


def test_name_in_hosts(start, dns, resolver, ports):  # noqa: F811
    port, behind = ports
    resolver.hosts.write(f"{TWO} {APP}\n")
    app(dns, ONE)
    start(redirect(port, f"tcp:{APP}:{behind}"), targets(behind))
    assert talk(port) == b"two"
    assert not dns.asked


def test_alias(start, dns, ports):  # noqa: F811
    port, behind = ports
    dns.put(APP, A, alias("real.internal"), address(TWO, owner="real.internal"))
    start(redirect(port, f"tcp:{APP}:{behind}"), targets(behind))
    assert talk(port) == b"two"


@pytest.mark.parametrize("first", [DEAD, ONE])
def test_several_addresses(start, dns, ports, first):  # noqa: F811
    """The first that takes him."""
    port, behind = ports
    app(dns, first, TWO)
    start(redirect(port, f"tcp:{APP}:{behind}"), targets(behind))
    assert talk(port) == (b"two" if first == DEAD else b"one")


def test_more_addresses_than_are_tried(start, dns, ports):  # noqa: F811
    port, behind = ports
    app(dns, ONE, *(f"127.0.5.{i}" for i in range(1, 100)))
    start(redirect(port, f"tcp:{APP}:{behind}"), targets(behind))
    assert talk(port) == b"one"


def test_beside_addresses(start, dns, ports):  # noqa: F811
    """In their order; a name that does not exist is one that cannot be reached."""
    port, behind = ports
    other, third = free_port(), free_port()
    app(dns, ONE)
    start(
        redirect(port, f"tcp:{DEAD}:{behind}", f"tcp:{APP}:{behind}", f"tcp:{TWO}:{behind}"),
        redirect(other, f"tcp:{TWO}:{behind}", f"tcp:{APP}:{behind}", name="o"),
        redirect(third, f"tcp:nothing.internal:{behind}", f"tcp:{TWO}:{behind}", name="t"),
        targets(behind))
    assert talk(port) == b"one"
    assert talk(other) == b"two"
    assert talk(third) == b"two"


def test_families(start, dns, ports):  # noqa: F811
    if not have_ipv6():
        pytest.skip("this machine has no IPv6")
    port, behind = ports
    four, six, neither = free_port(), free_port(), free_port()
    app(dns, "::1", ONE)
    dns.put("four.internal", A, address(ONE))
    start(
        redirect(port, f"tcp:{APP}:{behind}"),
        redirect(four, f"tcp4:{APP}:{behind}", name="four"),
        redirect(six, f"tcp6:{APP}:{behind}", name="six"),
        redirect(neither, f"tcp6:four.internal:{behind}", name="neither"),
        targets(behind),
        service("v6", listen=f"tcp:[::1]:{behind}", exec=["/bin/echo", "-n", "v6"]))
    assert talk(port) in (b"v6", b"one")
    assert talk(four) == b"one"
    assert talk(six) == b"v6"
    assert talk(neither) == b""


ANSWERS = {
    "no such name": (NXDOMAIN, "there is none"),
    "it fails": (SERVFAIL, "who was asked failed"),
    "never": (NEVER, "nobody has answered in time"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_address(start, dns, ports, answer):  # noqa: F811
    """He is refused, and the operator is told of his own host; another name is found."""
    port, behind = ports
    other = free_port()
    said, words = ANSWERS[answer]
    for kind in A, AAAA:
        dns.put(APP, kind, said)
    dns.put("other.internal", A, address(TWO))
    daemon = start(redirect(port, f"tcp:{APP}:{behind}", lookup_timeout="500ms"),
                   redirect(other, f"tcp:other.internal:{behind}", name="o"), targets(behind))
    with connect(port, source=HOST) as client:
        assert talk(other) == b"two"
        assert read_all(client) == b""
    daemon.wait_log(rf"r: unable to look up target {re.escape(APP)}: {words}$")
    daemon.wait_log(rf"r: refused {HOST}:\d+: target$")


def test_nobody_is_there(start, dns, ports):  # noqa: F811
    """A name with an address, which nobody answers at, is not the look-up's business."""
    port, behind = ports
    app(dns, DEAD)
    daemon = start(redirect(port, f"tcp:{APP}:{behind}"))
    with contextlib.suppress(ConnectionResetError):
        assert talk(port) == b""
    daemon.wait_log(r"r: connection \d+ ended: unreachable")


def test_address_changes(start, dns, ports):  # noqa: F811
    """It is followed without a reload, once what was known is old."""
    port, behind = ports
    app(dns, ONE)
    start(redirect(port, f"tcp:{APP}:{behind}"), targets(behind))
    assert talk(port) == b"one"
    app(dns, TWO)
    said = []

    def follows():
        said.append(talk(port))
        return said[-1] == b"two"

    wait_until(follows, what="the new address")
    # Not for each client.
    assert dns.asked[APP, A] < len(said)


def test_address_changes_with_a_reload(start, dns, ports):  # noqa: F811
    """What was known before is not, however long it would have been true."""
    port, behind = ports
    dns.put(APP, A, address(ONE, ttl=3600))
    text = redirect(port, f"tcp:{APP}:{behind}") + targets(behind)
    daemon = start(text)
    assert talk(port) == b"one"
    dns.put(APP, A, address(TWO, ttl=3600))
    assert talk(port) == b"one"
    reload(daemon, text)
    assert talk(port) == b"two"


@pytest.mark.parametrize("itself", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_back_to_itself(start, dns, ports, itself):  # noqa: F811
    """Nobody is passed on to where he has come to, but to the other address he is."""
    port, behind = ports
    other = free_port()
    app(dns, itself)
    dns.put("both.internal", A, address("127.0.0.1"), address(TWO))
    daemon = start(
        redirect(port, f"tcp:{APP}:{port}"),
        redirect(other, f"tcp:both.internal:{other}", f"tcp:{TWO}:{behind}", name="o"),
        targets(behind))
    assert talk(port, source=HOST) == b""
    daemon.wait_log(rf"r: refused {HOST}:\d+: target$")
    assert talk(other) == b"two"
    assert len(re.findall(" r: accept from", daemon.log.text())) == 1
    assert len(re.findall(" o: accept from", daemon.log.text())) == 1


def test_back_to_itself_by_any_address(start, dns, ports):  # noqa: F811
    """The socket is open on all of them, and he has come to one."""
    if not have_ipv6():
        pytest.skip("this machine has no IPv6")
    port, _ = ports
    app(dns, "127.0.0.1")
    daemon = start(stanza("service", "r", listen=f"tcp:{port}",
                          redirect=f"tcp:{APP}:{port}"))
    assert talk(port, source=HOST) == b""
    daemon.wait_log(rf"r: refused {HOST}:\d+: target$")


def test_back_to_itself_through_a_proxy(start, dns, ports):  # noqa: F811
    """Whatever the proxy says where its client has come to."""
    port, behind = ports
    app(dns, "127.0.0.1")
    dns.put("both.internal", A, address(ONE))
    other = free_port()
    daemon = start(
        proxied("r", listen=f"tcp:{port}", builtin=None, redirect=f"tcp:{APP}:{port}",
                send_proxy=1),
        proxied("o", listen=f"tcp:{other}", builtin=None,
                redirect=f"tcp:both.internal:{behind}"),
        targets(behind))
    assert talk(port, v1()) == b""
    daemon.wait_log(r" r: refused 192\.0\.2\.7:4711: target$")
    assert len(re.findall(" r: accept from", daemon.log.text())) == 1
    # And where it says that he has come to is no reason not to go there.
    assert talk(other, v1(local=ONE, local_port=behind)) == b"one"


@needs_mptcp
def test_back_to_itself_over_mptcp(start, dns, ports):  # noqa: F811
    port, _ = ports
    app(dns, "127.0.0.1")
    daemon = start(stanza("service", "r", listen=f"mptcp:127.0.0.1:{port}",
                          redirect=f"tcp:{APP}:{port}"))
    assert talk(port, source=HOST) == b""
    daemon.wait_log(rf"r: refused {HOST}:\d+: target$")


@pytest.mark.parametrize("nowhere", ["0.0.0.0", "::", "::ffff:0.0.0.0"])
def test_address_that_is_none(start, dns, ports, nowhere):  # noqa: F811
    """It is what filters say of names that they want nobody to reach; who connects to it
    comes to this machine.  Another address of the name is one."""
    port, behind = ports
    other = free_port()
    app(dns, nowhere)
    dns.put("both.internal", A, address("0.0.0.0"), address(ONE))
    daemon = start(
        redirect(port, f"tcp:{APP}:{behind}"),
        redirect(other, f"tcp:both.internal:{behind}", name="o"),
        service("inside", listen=f"tcp:{behind}", exec=["/bin/echo", "-n", "inside"]))
    assert talk(port, source=HOST) == b""
    daemon.wait_log(rf"r: refused {HOST}:\d+: target$")
    assert talk(other, source=HOST) == b"inside"


def test_never_in_the_way(start, dns, ports):  # noqa: F811
    port, behind = ports
    other = free_port()
    for kind in A, AAAA:
        dns.put(APP, kind, NEVER)
    start(redirect(port, f"tcp:{APP}:{behind}", lookup_timeout="10s"),
          redirect(other, f"tcp:{TWO}:{behind}", name="o"), targets(behind))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port, source=HOST)) for _ in range(20)]
        dns.wait_asked(APP, A)
        for _ in range(5):
            assert talk(other) == b"two"
        assert not any(map(is_decided, clients))


def test_crowd_is_one_question(start, dns, ports):  # noqa: F811
    """However many clients wait for it, and of however many sources."""
    port, behind = ports
    for kind in A, AAAA:
        dns.put(APP, kind, NEVER)
    daemon = start(
        redirect(port, f"tcp:{APP}:{behind}", lookup_timeout="10s"), targets(behind))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port, source=f"127.0.6.{i}"))
                   for i in range(1, 101)]
        dns.wait_asked(APP, A)
        daemon.wait_log("r: accept from", count=100)
        app(dns, ONE)
        for client in clients:
            assert read_all(client) == b"one"


def test_all_is_asked_at_once(start, dns, ports):  # noqa: F811
    """His name, his user, and where he wants to go."""
    port, behind = ports
    app(dns, ONE)
    with Identd(HOST, good(b"joe")):
        daemon = start(
            redirect(port, f"tcp:{APP}:{behind}", resolve=True, ident="required",
                     only_from=NAME),
            targets(behind))
        assert talk(port, source=HOST) == b"one"
        daemon.wait_log(rf"r: connection \d+ ended: .*from {HOST}:\d+ \({NAME}, user joe\)$")
        assert talk(port, source=OTHER) == b""
        daemon.wait_log(rf"r: refused {OTHER}:\d+: only_from$")


def test_reload_to_another_name(start, dns, ports):  # noqa: F811
    """He goes where the configuration has it by then."""
    port, behind = ports
    for kind in A, AAAA:
        dns.put(APP, kind, NEVER)
    dns.put("other.internal", A, address(TWO))
    daemon = start(
        redirect(port, f"tcp:{APP}:{behind}", lookup_timeout="10s"), targets(behind))
    with connect(port, source=HOST) as client, connect(port, source=OTHER) as second:
        dns.wait_asked(APP, A)
        daemon.wait_log("r: accept from", count=2)
        reload(daemon, redirect(port, f"tcp:other.internal:{behind}") + targets(behind))
        dns.release()
        assert read_all(client) == read_all(second) == b"two"


def test_reload_to_an_address(start, dns, ports):  # noqa: F811
    port, behind = ports
    for kind in A, AAAA:
        dns.put(APP, kind, NEVER)
    daemon = start(
        redirect(port, f"tcp:{APP}:{behind}", lookup_timeout="10s"), targets(behind))
    with connect(port, source=HOST) as client:
        dns.wait_asked(APP, A)
        reload(daemon, redirect(port, f"tcp:{TWO}:{behind}") + targets(behind))
        app(dns, ONE)
        dns.release()
        assert read_all(client) == b"two"


def test_behind_a_proxy(start, dns, ports, folder):  # noqa: F811
    port, behind = ports
    app(dns, ONE)
    start(proxied("r", listen=f"tcp:{port}", user=None, builtin=None, shell=None,
                  exec=None, redirect=f"tcp:{APP}:{behind}"), targets(behind))
    assert talk(port, v1()) == b"one"


def test_banner_says_whether_there_is_a_target(start, dns, ports, folder):  # noqa: F811
    port, behind = ports
    gone = free_port()
    app(dns, ONE)
    greeting = {name: banner(folder, name) for name in ("banner_success", "banner_fail")}
    start(redirect(port, f"tcp:{APP}:{behind}", **greeting),
          redirect(gone, f"tcp:nothing.internal:{behind}", name="gone", **greeting),
          targets(behind))
    assert talk(port) == b"banner_success\r\none"
    assert talk(gone) == b"banner_fail\r\n"
