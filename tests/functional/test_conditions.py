"""What the world lacks: its service alone waits for it, and is served when it comes (I7)."""

import contextlib
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness import (
    Loader,
    connect,
    free_port,
    have_ipv6,
    is_refused,
    proc_status,
    reload,
    service,
    talk,
    wait_until,
)
from namespace import Etc

needs_root = pytest.mark.needs_root
needs_ip = pytest.mark.skipif(not shutil.which("ip"), reason="needs ip (Debian: iproute2)")
needs_ipv6 = pytest.mark.skipif(not have_ipv6(), reason="there is no IPv6 here")

# The first attempt by the clock comes after so long; others take twice as long each.
RETRY = 1.0


def say(word, name="s", **options):
    return service(name, exec=["/bin/echo", "-n", word], **options)


def ip(*args):
    subprocess.run(["ip", *map(str, args)], check=True, stdout=subprocess.DEVNULL)


def occupy(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen()
    return sock


# ---------------------------------------------------------------------------
# Addresses


def test_occupied_at_start(hatchd):
    port, other = free_port(), free_port()
    with occupy(port):
        daemon = hatchd.file(
            say("x", listen=f"tcp4:127.0.0.1:{port}") + say("y", "t", listen=f"tcp:{other}")
        )
        address = f"tcp:127.0.0.1:{port}"
        daemon.wait_log(f"s: waiting: unable to bind {address}: somebody listens there already")
        assert talk(other) == b"y"
        assert daemon.text().count(f"tcp:127.0.0.1:{port}: somebody listens") == 1
    daemon.wait_log(f"s: listening on tcp:127.0.0.1:{port} now")
    assert talk(port) == b"x"


def test_occupied_at_reload(hatchd):
    port, other = free_port(), free_port()
    daemon = hatchd.file(say("y", "t", listen=f"tcp:{other}"))
    with occupy(port):
        text = say("x", listen=f"tcp4:127.0.0.1:{port}") + say("y", "t", listen=f"tcp:{other}")
        assert "1 added" in reload(daemon, text)
        daemon.wait_log(f"s: waiting: unable to bind tcp:127.0.0.1:{port}")
        assert talk(other) == b"y"
        # Still: a reload does not make it forget.
        assert "nothing has changed" in reload(daemon)
    daemon.wait_log(f"s: listening on tcp:127.0.0.1:{port} now")
    assert talk(port) == b"x"
    reload(daemon, "")


def test_reload_tries_what_unchanged_services_lack(hatchd):
    """Who asks for a reload does not wait for the clock, and reads nothing untrue."""
    port = free_port()
    text = say("x", listen=f"tcp4:127.0.0.1:{port}")
    with occupy(port):
        daemon = hatchd.file(text)
        daemon.wait_log("1 service not served")
        mark = daemon.mark()
    assert "nothing has changed" in reload(daemon)
    assert talk(port) == b"x"
    said = "\n".join(daemon.text().split("\n")[mark:])
    assert "waiting: " not in said
    assert said.index(f"s: listening on tcp:127.0.0.1:{port} now") < said.index("reloaded: ")


def test_one_of_two_addresses(hatchd):
    one, two = free_port(), free_port()
    with occupy(one):
        daemon = hatchd.file(
            say("x", listen=[f"tcp4:127.0.0.1:{one}", f"tcp4:127.0.0.1:{two}"])
        )
        assert talk(two) == b"x"
    daemon.wait_log(f"s: listening on tcp:127.0.0.1:{one} now")
    assert talk(one) == b"x"


def test_removed_while_it_waits(hatchd):
    """Nothing is tried any longer."""
    port = free_port()
    with occupy(port):
        daemon = hatchd.file(say("x", listen=f"tcp4:127.0.0.1:{port}"))
        reload(daemon, "")
    switches_none(daemon)
    assert is_refused(port)
    reload(daemon, say("x", listen=f"tcp4:127.0.0.1:{port}"))
    assert talk(port) == b"x"


def sooner_than_by_the_clock(start, happen):
    """Once in some attempts it takes less time than until the clock would have it tried:
    a machine may be slow, but without the event it never does."""
    for _ in range(10):
        with start() as daemon:
            began = time.monotonic()
            happen()
            daemon.wait_log("s: listening on .* now")
            if time.monotonic() - began < RETRY * 0.8:
                return
    raise AssertionError("it was never sooner than by the clock")


@needs_root
@needs_ip
def test_address_comes(hatchd):
    port = free_port()

    @contextlib.contextmanager
    def start():
        daemon = hatchd.file(say("x", listen=f"tcp:192.0.2.1:{port}"))
        daemon.wait_log("s: waiting: unable to bind tcp:192.0.2.1")
        try:
            yield daemon
            assert talk(f"tcp:192.0.2.1:{port}") == b"x"
            daemon.stop()
        finally:
            ip("addr", "del", "192.0.2.1/32", "dev", "lo")

    sooner_than_by_the_clock(start, lambda: ip("addr", "add", "192.0.2.1/32", "dev", "lo"))


@needs_root
@needs_ip
def test_address_goes_and_comes_back(hatchd):
    """Linux lets the socket be: nothing has to be done."""
    port = free_port()
    ip("addr", "add", "192.0.2.2/32", "dev", "lo")
    try:
        daemon = hatchd.file(say("x", listen=f"tcp:192.0.2.2:{port}"))
        assert talk(f"tcp:192.0.2.2:{port}") == b"x"
        ip("addr", "del", "192.0.2.2/32", "dev", "lo")
        assert "nothing has changed" in reload(daemon)
        ip("addr", "add", "192.0.2.2/32", "dev", "lo")
        assert talk(f"tcp:192.0.2.2:{port}") == b"x"
    finally:
        ip("addr", "del", "192.0.2.2/32", "dev", "lo")


@needs_root
@needs_ip
@pytest.mark.parametrize("kind", ["device", "scope"])
def test_interface_comes(hatchd, kind):
    port = free_port()
    text = {
        "device": say("x", listen=f"tcp:{port}", bind_to_device="hatchd9"),
        "scope": say("x", listen=f"tcp:[fe80::9%hatchd9]:{port}"),
    }[kind]
    if kind == "scope" and not have_ipv6():
        pytest.skip("there is no IPv6 here")

    @contextlib.contextmanager
    def start():
        daemon = hatchd.file(text)
        daemon.wait_log("s: waiting: .*[Nn]o such (interface|device)")
        try:
            yield daemon
            daemon.stop()
        finally:
            ip("link", "del", "hatchd9")

    def happen():
        ip("link", "add", "hatchd9", "type", "veth", "peer", "name", "hatchd8")
        ip("link", "set", "hatchd8", "up")
        ip("link", "set", "hatchd9", "up")
        if kind == "scope":
            ip("addr", "add", "fe80::9/64", "dev", "hatchd9", "nodad")

    sooner_than_by_the_clock(start, happen)


@needs_root
@needs_ipv6
def test_ipv6_switched_off(hatchd):
    """A dual service serves IPv4; what is IPv6 alone waits, and comes with it."""
    dual, single = free_port(), free_port()
    switch = pathlib.Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
    try:
        switch.write_text("1")
    except OSError:
        pytest.skip("this network namespace cannot be changed")
    try:
        daemon = hatchd.file(
            say("dual", listen=f"tcp:{dual}") + say("six", "six", listen=f"tcp:[::1]:{single}")
        )
        daemon.wait_log(r"six: waiting: unable to bind tcp:\[::1\]")
        assert talk(dual) == b"dual"
    finally:
        switch.write_text("0")
    daemon.wait_log("six: listening on .* now")
    assert talk(f"tcp:[::1]:{single}") == b"six"
    assert talk(f"tcp:[::1]:{dual}") == b"dual"


# ---------------------------------------------------------------------------
# Files of the system, in a mount namespace of the daemon's own


@pytest.fixture
def passwd(folder):
    return Etc(folder, "passwd")


PAULA = "paula:x:4711:4711::/:/bin/sh"


def test_user_comes(hatchd, passwd):
    port, other = free_port(), free_port()
    both = say("x", listen=f"tcp:{port}", user="paula") + say("y", "t", listen=f"tcp:{other}")
    daemon = hatchd.file(both, launcher=passwd.launcher)
    daemon.wait_log("s: waiting: .*paula")
    assert talk(other) == b"y"
    assert is_refused(port)
    passwd.add(PAULA)
    daemon.wait_log("s: served now")
    assert talk(port) == b"x"
    # The master and its loader agree about what is in force now.
    assert "nothing has changed" in reload(daemon)


def test_user_goes(hatchd, passwd):
    """The service goes on as it was started; the next reload finds out."""
    port = free_port()
    without = passwd.path.read_text()
    passwd.add(PAULA)
    daemon = hatchd.file(say("x", listen=f"tcp:{port}", user="paula"), launcher=passwd.launcher)
    passwd.write(without)
    assert talk(port) == b"x"
    assert "1 changed" in reload(daemon)
    daemon.wait_log("s: waiting: no user 'paula'")
    assert is_refused(port)
    passwd.add(PAULA)
    daemon.wait_log("s: served now")
    assert talk(port) == b"x"


def test_wait_child_survives_what_comes_for_others(hatchd, passwd, folder):
    """A service that came back by itself is unchanged for a reload: its child lives."""
    port, other = free_port(), free_port()
    both = service(
        "s", listen=f"tcp:{port}", user="paula", wait=True,
        shell="echo started >&2; exec sleep 1000",
    ) + say("y", "t", listen=f"tcp:{other}", user="paul")
    daemon = hatchd.file(both, launcher=passwd.launcher)
    passwd.add(PAULA)
    daemon.wait_log("s: served now")
    with connect(port):
        daemon.wait_log("started")
        child = daemon.wait_children(1)[0]
        assert "nothing has changed" in reload(daemon)
        passwd.add(PAULA.replace("paula", "paul"))
        daemon.wait_log("t: served now")
        assert daemon.children() == [child]
        reload(daemon, "")
        daemon.wait_children(0)


def test_only_what_was_waited_for_is_taken(hatchd, passwd):
    """Not what else an edited file says that nobody has asked to be read."""
    port, other, third = free_port(), free_port(), free_port()
    daemon = hatchd.file(
        say("x", listen=f"tcp:{port}", user="paula") + say("old", "t", listen=f"tcp:{other}"),
        launcher=passwd.launcher,
    )
    daemon.write(
        say("x", listen=f"tcp:{port}", user="paula")
        + say("new", "t", listen=f"tcp:{other}")
        + say("u", "u", listen=f"tcp:{third}")
    )
    passwd.add(PAULA)
    daemon.wait_log("s: served now")
    assert talk(port) == b"x"
    assert talk(other) == b"old"
    assert is_refused(third)
    assert "1 added, 1 changed, 0 removed, 1 unchanged" in reload(daemon)
    assert talk(other) == b"new"
    assert talk(third) == b"u"
    reload(daemon, "")


def test_program_comes(hatchd, folder):
    port = free_port()
    program = folder / "program"
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec=[program]))
    daemon.wait_log("s: waiting: ")
    shutil.copyfile("/bin/cat", program)
    program.chmod(0o755)
    daemon.wait_log("s: served now")
    assert talk(port, b"x") == b"x"


def test_who_came_is_told_and_nobody_else(hatchd, folder):
    """What the others wait for has been told."""
    port = free_port()
    program = folder / "program"
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec=[program])
        + service("t", listen=f"tcp:{free_port()}", exec=[folder / "never"])
    )
    daemon.wait_log("t: waiting: ")
    daemon.wait_log("not served, see above")
    mark = daemon.mark()
    shutil.copyfile("/bin/cat", program)
    program.chmod(0o755)
    daemon.wait_log("s: served now", after=mark)
    assert talk(port, b"x") == b"x"
    assert "nothing has changed" in reload(daemon)
    said = daemon.text().split("\n")[mark:]
    before = said[: next(i for i, line in enumerate(said) if "s: served now" in line)]
    assert not [line for line in before if "waiting: " in line]
    assert "t: served now" not in daemon.text()
    assert daemon.text().count("s: served now") == 1
    reload(daemon, "")


def test_mistakes_keep_it_from_being_served(hatchd, folder):
    """Nobody has asked for a reload, so nobody else tells of them; once, until they are
    mended."""
    port = free_port()
    program = folder / "program"
    text = service("s", listen=f"tcp:{port}", exec=[program])
    hindered = "unable to look whether waiting services can be served: the files "
    daemon = hatchd.file(text)
    daemon.write(text + "stray")
    daemon.wait_log(hindered + "have mistakes")
    shutil.copyfile("/bin/cat", program)
    program.chmod(0o755)
    daemon.write(text)
    daemon.wait_log("s: served now")
    assert talk(port, b"x") == b"x"
    assert daemon.text().count(hindered) == 1


def test_status_tells_of_a_failed_reload(hatchd, folder):
    """Also after a look that succeeds: the files are still not in force."""
    program = folder / "program"
    text = service("s", listen=f"tcp:{free_port()}", exec=[program])
    daemon = hatchd.file(text)
    daemon.write(text + "stray")
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("STATUS=Serving 0 of 1 services; the last reload failed")
    daemon.write(text)
    shutil.copyfile("/bin/cat", program)
    program.chmod(0o755)
    daemon.wait_notified("STATUS=Serving 1 of 1 services; the last reload failed")
    reload(daemon)
    daemon.wait_notified("STATUS=Serving 1 of 1 services")


def test_program_comes_to_any_ports(hatchd, folder):
    """Ports that the kernel chooses: as many as before are kept, more are opened."""
    program = folder / "program"

    def config(n):
        return service("s", listen=["tcp:0"] * n, exec=[program], instances=5)

    daemon = hatchd.file(config(2))
    daemon.wait_log("s: waiting: ")
    shutil.copyfile("/bin/cat", program)
    program.chmod(0o755)
    daemon.wait_log("s: served now")
    assert "1 changed" in reload(daemon, config(3))
    assert "1 changed" in reload(daemon, config(1))


def test_program_comes_and_wait_changes(hatchd, folder):
    """Between two reloads it came, and nobody but the look at it knows: its socket does
    not stay a blocking one."""
    port = free_port()
    program = folder / "program"

    def config(wait):
        return service("s", listen=f"tcp:{port}", exec=[program], wait=wait)

    daemon = hatchd.file(config(True))
    daemon.wait_log("s: waiting: ")
    shutil.copyfile("/bin/cat", program)
    program.chmod(0o755)
    daemon.wait_log("s: served now")
    reload(daemon, config(False))
    assert talk(port, b"x") == b"x"
    # A client that is gone before it is accepted would block a blocking accept().
    for _ in range(20):
        with connect(port) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert talk(port, b"y") == b"y"
    daemon.wait_children(0)


@needs_root
def test_service_name_unknown(hatchd, folder):
    """A port by name, and an empty /etc/services: that service is left out or waits."""
    services = Etc(folder, "services", "")
    other = free_port()
    path = folder / "finger.conf"
    path.write_text(say("x", listen="tcp:finger"))
    path.chmod(0o644)
    daemon = hatchd.file(
        'include("finger.conf")\n' + say("y", "t", listen=f"tcp:{other}"),
        launcher=services.launcher,
    )
    daemon.wait_log("finger")
    assert talk(other) == b"y"
    services.write("finger 79/tcp\n")
    reload(daemon)
    assert talk(79) == b"x"
    reload(daemon, "")


@needs_root
@needs_ip
def test_storm_of_changes_starts_few_loaders(hatchd, folder, monkeypatch):
    """A change of addresses is no reason to look for users and programs more often than
    once in a second."""
    loader = Loader(folder, monkeypatch)
    port, other = free_port(), free_port()
    program = folder / "program"
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec=[program])
        + say("x", "t", listen=f"tcp:192.0.2.9:{other}")
    )
    daemon.wait_log("s: waiting: ")
    runs, began = loader.runs(), time.monotonic()
    while time.monotonic() - began < 3 * RETRY:
        ip("addr", "add", "192.0.2.8/32", "dev", "lo")
        ip("addr", "del", "192.0.2.8/32", "dev", "lo")
    # One may have been on its way at the beginning.
    started = loader.runs() - runs
    passed = time.monotonic() - began
    assert 1 <= started <= 2 + passed / RETRY

    # Who waits for an address is served at once all the same, and the others in the end.
    ip("addr", "add", "192.0.2.9/32", "dev", "lo")
    try:
        daemon.wait_log("t: listening on tcp:192.0.2.9")
        shutil.copyfile("/bin/cat", program)
        program.chmod(0o755)
        daemon.wait_log("s: served now")
        assert talk(port, b"x") == b"x"
        reload(daemon, "")
    finally:
        ip("addr", "del", "192.0.2.9/32", "dev", "lo")


# ---------------------------------------------------------------------------
# Nobody is woken up for nothing


def switches(pid):
    status = proc_status(pid)
    return [status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"]]


def switches_none(daemon, seconds=2 * RETRY + 1):
    """The master sleeps all that time, in which it would have tried twice."""

    def stay_the_same(seconds):
        before = switches(daemon.pid)
        assert not select.select([daemon.pidfd], [], [], seconds)[0]
        return switches(daemon.pid) == before

    wait_until(lambda: stay_the_same(0.1), what="the master goes to sleep")
    # Something else of the machine may have its turn; what comes by the clock comes again.
    assert any(stay_the_same(seconds) for _ in range(3))


def test_no_wake_up_when_nothing_is_missing(hatchd):
    daemon = hatchd.file(say("x", listen=f"tcp:{free_port()}"))
    reload(daemon)
    daemon.wait_children(0)
    switches_none(daemon)


def test_no_wake_up_when_nothing_is_missing_any_longer(hatchd):
    port = free_port()
    with occupy(port):
        daemon = hatchd.file(say("x", listen=f"tcp4:127.0.0.1:{port}"))
    daemon.wait_log(f"s: listening on tcp:127.0.0.1:{port} now")
    assert talk(port) == b"x"
    daemon.wait_children(0)
    switches_none(daemon)
