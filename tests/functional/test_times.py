"""Hours, load, and children that live too long or whose clients are silent."""

import contextlib
import os
import select
import signal
import socket

import pytest

from harness import (
    IS_SANITIZED, PYTHON, built_helper, comes_in, connect, free_port, have_ipv6, held_back,
    proc_stat, read_all, read_exactly, read_line, reload, service, stanza, talk, wait_until,
)

needs_preload = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer must be loaded first")

# Long enough that nothing else but the limit can have ended it, and never waited for.
LONG = "1h"
HOUR = 3600


def end_all(daemon):
    for child in daemon.children():
        os.kill(child, signal.SIGKILL)
    daemon.wait_children(0)


def ended(daemon, name="s"):
    """What the record says of the first child that has ended."""
    return daemon.wait_log(rf"{name}: child \d+ ended: (.*?)(, from .*)?$")[1]


# -- time_limit and kill_after


def test_time_limit(hatchd):
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"tcp:127.0.0.1:{port}", exec=["/bin/sleep", "1000"],
        time_limit="200ms", kill_after=LONG))
    assert talk(port, half_close=False) == b""
    assert ended(daemon).startswith("time_limit, signal 15 (TERM), ")
    daemon.wait_children(0)


def limited(hatchd, world, shell, kill_after):
    """A daemon and a client of such a program, whose hour is over when it has said "on"."""
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"tcp:127.0.0.1:{port}", time_limit="1h", kill_after=kill_after,
        shell=shell), env=world.env)
    client = connect(port)
    assert read_line(client) == b"on"
    return daemon, client


@needs_preload
def test_program_may_end_as_it_likes(hatchd, world):
    """SIGTERM is a request: what it does then is its own affair, and in the record."""
    daemon, client = limited(hatchd, world, 'trap "echo bye; exit 3" TERM; '
                             "sleep 1000 </dev/null >/dev/null 2>&1 & echo on; wait", LONG)
    with client:
        world.is_later(HOUR, daemon)
        assert read_all(client) == b"bye\n"
    assert ended(daemon).startswith("time_limit, exit 3, ")


@needs_preload
def test_kill_after(hatchd, world):
    daemon, client = limited(hatchd, world, 'trap "" TERM; echo on; exec cat', "100ms")
    with client:
        world.is_later(HOUR, daemon)
        assert read_all(client) == b""
    assert ended(daemon).startswith("time_limit, signal 9 (KILL), ")
    daemon.wait_children(0)


@needs_preload
def test_stopped_program_is_killed(hatchd, world):
    """It does not get as far as to take SIGTERM."""
    daemon, client = limited(hatchd, world, "echo on; kill -STOP $$", "100ms")
    (child,) = daemon.children()
    wait_until(lambda: proc_stat(child)[0] == "T")
    with client:
        world.is_later(HOUR, daemon)
        assert read_all(client) == b""
    assert ended(daemon).startswith("time_limit, signal 9 (KILL), ")


@needs_preload
def test_pipeline_ends_as_a_whole(hatchd, world):
    """Not only the shell: whoever has the connection keeps the client waiting."""
    daemon, client = limited(hatchd, world, "sleep 1000 & echo on; wait", LONG)
    with client:
        world.is_later(HOUR, daemon)
        assert read_all(client) == b""


def test_no_limit_is_no_limit(hatchd):
    """Others are ended beside it, and it stays."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", time_limit="200ms")
        + service("o", listen=f"tcp:127.0.0.1:{other}", exec="/bin/cat"))
    with connect(other) as client:
        for _ in range(3):
            assert talk(port, half_close=False) == b""
        client.sendall(b"still here")
        assert read_exactly(client, 10) == b"still here"
    assert ended(daemon, "o").startswith("exit 0, ")


@needs_preload
def test_many_at_once(hatchd, world):
    """More of them are due in one turn than are looked after in one."""
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", time_limit="1h",
        instances=300, per_source=300), env=world.env)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(200)]
        for client in clients:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
        world.is_later(HOUR, daemon)
        for client in clients:
            assert read_all(client) == b""
    daemon.wait_children(0)
    daemon.wait_log(r"ended: time_limit, signal 15", count=200)


def test_short_lives_are_no_reason_to_pause(hatchd):
    """Five that die at once are a broken program, but not if it was us."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat",
                                 time_limit="100ms"))
    for _ in range(8):
        assert talk(port, half_close=False) == b""
    daemon.wait_log(r"ended: time_limit", count=8)
    assert "retrying" not in daemon.text()


@needs_preload
def test_wait_service(hatchd, world):
    """The limit is the program's, and the next arrival has another one."""
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"udp:127.0.0.1:{port}", wait=True, time_limit="1h",
        shell="head -c1 >/dev/null; echo took >&2; exec sleep 1000"), env=world.env)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for count in (1, 2):
            client.sendto(b"x", ("127.0.0.1", port))
            daemon.wait_log("^took", count=count)
            world.is_later(count * HOUR, daemon)
            daemon.wait_log(r"s: child \d+ ended: time_limit", count=count)


def test_reload_is_for_new_children(hatchd):
    port = free_port()

    def conf(limit):
        return service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", time_limit=limit)

    daemon = hatchd.file(conf("unlimited"))
    with connect(port) as old:
        old.sendall(b"1")
        assert read_exactly(old, 1) == b"1"
        reload(daemon, conf("200ms"), "reloaded: 0 added, 1 changed")
        assert talk(port, half_close=False) == b""
        old.sendall(b"2")
        assert read_exactly(old, 1) == b"2"
    daemon.wait_children(0)


# -- first_byte_timeout and idle_timeout

HOSTS = ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(
    not have_ipv6(), reason="no IPv6"))]
ALL = pytest.mark.parametrize("host", HOSTS)


def dial(host, port):
    return connect(f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}")


@ALL
@pytest.mark.parametrize("listen", ["tcp:{port}", "tcp:{host}:{port}"])
def test_first_byte(hatchd, host, listen):
    """Who says nothing goes, who has said something stays."""
    port = free_port()
    shown = f"[{host}]" if ":" in host else host
    daemon = hatchd.file(service("s", listen=listen.format(host=shown, port=port),
                                 exec="/bin/cat", first_byte_timeout="300ms"))
    with contextlib.ExitStack() as clients:
        with held_back(daemon):
            talker = clients.enter_context(dial(host, port))
            talker.sendall(b"x")
        assert read_exactly(talker, 1) == b"x"
        with dial(host, port) as mute:
            assert read_all(mute) == b""
        assert ended(daemon).startswith("first_byte_timeout, signal 15 (TERM), ")
        # A second silent one has the same time: by then the first was asked after.
        with dial(host, port) as mute:
            assert read_all(mute) == b""
        talker.sendall(b"y")
        assert read_exactly(talker, 1) == b"y"


def read_to_the_end(client):
    """On a slow machine his time is over before the program has read what he has said."""
    with contextlib.suppress(ConnectionResetError):
        assert read_all(client) in (b"x", b"")


@ALL
def test_idle(hatchd, host):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat",
                                 idle_timeout="500ms"))
    with contextlib.ExitStack() as clients:
        with held_back(daemon):
            client = clients.enter_context(dial(host, port))
            client.sendall(b"x")
        read_to_the_end(client)
    assert ended(daemon).startswith("idle_timeout, signal 15 (TERM), ")


def have_mptcp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("client", ["tcp", "mptcp"])
def test_several_paths(hatchd, client):
    """MPTCP is asked after in another way, and its clients of TCP as all of those."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"mptcp:127.0.0.1:{port}", exec="/bin/cat",
                                 first_byte_timeout="300ms", idle_timeout="1s"))
    if client == "mptcp" and not have_mptcp():
        pytest.skip("no MPTCP")
    with connect(f"{client}:127.0.0.1:{port}") as mute:
        assert read_all(mute) == b""
        daemon.wait_log("ended: first_byte_timeout, signal 15")
    with contextlib.ExitStack() as clients:
        with held_back(daemon):
            talker = clients.enter_context(connect(f"{client}:127.0.0.1:{port}"))
            talker.sendall(b"x")
        read_to_the_end(talker)
        daemon.wait_log("ended: idle_timeout, signal 15")


def test_answers_count_as_well(hatchd):
    """A client that only listens is not idle while there is something to hear: one who came
    after him and hears nothing goes first."""
    port, quiet = free_port(), free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", idle_timeout="2s", exec="/usr/bin/yes")
        + service("quiet", listen=f"tcp:127.0.0.1:{quiet}", idle_timeout="2s", exec="/bin/cat"))
    with connect(port) as listener:
        assert read_line(listener) == b"y"
        with connect(quiet) as silent:
            while not select.select([silent], [], [], 0)[0]:
                assert listener.recv(65536)
            assert read_all(silent) == b""
        assert listener.recv(65536)
    daemon.wait_log("quiet: child .* ended: idle_timeout, ")
    assert not ended(daemon).startswith("idle_timeout")


def test_who_does_not_read_is_idle(hatchd):
    """The program hangs in a write, and the client takes nothing."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:127.0.0.1:{port}", idle_timeout="500ms",
                                 exec=["/bin/cat", "/dev/zero"]))
    with connect(port):
        assert ended(daemon).startswith("idle_timeout, signal 15 (TERM), ")


def test_end_of_input_is_not_hidden(hatchd):
    """Nothing is kept of a connection that is watched: the client sees its end at once."""
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"tcp:127.0.0.1:{port}", idle_timeout=LONG, first_byte_timeout=LONG,
        shell="echo last words; exec >&- <&- 2>&-; exec sleep 1000"))
    assert talk(port, half_close=False) == b"last words\n"
    end_all(daemon)


def test_closed_connection_is_not_idle(hatchd):
    """A program that has hung up may work on, and is not asked after any more."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", idle_timeout="2s",
                shell="exec >&- <&- 2>&-; exec sleep 1000")
        + service("o", listen=f"tcp:127.0.0.1:{other}", idle_timeout="400ms", exec="/bin/cat"))
    assert talk(port) == b""
    (child,) = daemon.children()
    # Whose time comes later than that of the first.
    for _ in range(6):
        with connect(other) as client:
            assert read_all(client) == b""
    daemon.wait_children(1)
    assert daemon.children() == [child]
    end_all(daemon)


def test_program_knows_nothing_of_it(hatchd):
    """hatchd's own socket for it, open from the first question on, does not get to a child."""
    port, other, idle = free_port(), free_port(), free_port()
    count = "ls /proc/self/fd | wc -l; exec cat"
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", idle_timeout=LONG, shell=count)
        + service("o", listen=f"tcp:127.0.0.1:{other}", shell=count)
        + service("idle", listen=f"tcp:127.0.0.1:{idle}", idle_timeout="300ms",
                  exec="/bin/cat"))
    usual = talk(other)
    assert talk(port) == usual
    assert talk(idle, half_close=False) == b""
    daemon.wait_log("idle: child .* ended: idle_timeout")
    assert talk(port) == talk(other) == usual


@needs_preload
def test_no_tcp_diag(hatchd):
    """A kernel without it says of everything that it does not exist."""
    daemon = hatchd.file(service("s", listen=f"tcp:127.0.0.1:{free_port()}", exec="/bin/cat",
                                 idle_timeout="300ms"),
                         env={"LD_PRELOAD": built_helper("no-tcp-diag.so")})
    daemon.wait_log("idle_timeout: has no effect, the kernel does not tell about connections "
                    r"\(tcp_diag\): Protocol not supported")


# -- access_times and max_load

ACCEPT_ONE = "import socket; socket.socket(fileno=0).accept()"


@needs_preload
def test_hours(hatchd, world):
    """Across midnight, over the change of the clock, and whatever the clock does."""
    port = free_port()
    world.is_at("2026-03-28 12:00")
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat",
                access_times=["sat 22:00-6:00", "mon-fri 8:00-12:00"]), env=world.env)

    def open_at(text):
        world.is_at(text)
        return comes_in(port, data=b"x")

    assert not open_at("2026-03-28 20:59")
    daemon.wait_log(r"s: refused 127\.0\.0\.1:\d+: access_times")
    assert open_at("2026-03-28 21:00")
    assert open_at("2026-03-29 00:59")
    # The hour from 2:00 to 3:00 is left out.
    assert open_at("2026-03-29 03:59")
    assert not open_at("2026-03-29 04:00")
    assert open_at("2026-03-30 06:00")
    assert not open_at("2026-03-30 10:00")
    # In autumn, and years later.
    assert open_at("2026-10-26 07:00")
    assert not open_at("2026-10-26 06:59")
    assert open_at("2039-07-04 06:00")
    assert not open_at("2039-07-04 05:59")
    assert not open_at("1970-01-03 01:00")
    assert open_at("2026-03-30 06:00")


@needs_preload
def test_hours_of_a_wait_service(hatchd, world):
    """Who has connected cannot be turned away, so who comes too early waits."""
    port = free_port()
    world.is_at("2026-06-01 05:00")
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", wait=True, access_times="8:00-12:00",
                exec=[PYTHON, "-c", ACCEPT_ONE]), env=world.env)
    with connect(port):
        daemon.wait_log(r"s: nobody is taken in now \(access_times\), new clients wait")
        before = daemon.cpu()
        assert daemon.children() == []
        world.is_at("2026-06-01 06:00")
        daemon.wait_log(r"s: child \d+ ended: exit 0")
        assert daemon.cpu() - before < 0.5


@needs_preload
def test_hours_of_datagrams(hatchd, world):
    """One that comes too early is thrown away, and wakes nobody again."""
    port = free_port()
    world.is_at("2026-06-01 05:00")
    daemon = hatchd.file(
        service("s", listen=f"udp:127.0.0.1:{port}", wait=True, access_times="8:00-12:00",
                shell="echo took $(head -c1) >&2"), env=world.env)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("127.0.0.1", port))
        daemon.wait_log(r"s: refused 127.0.0.1:\d+: access_times")
        assert daemon.children() == []
        world.is_at("2026-06-01 06:00")
        client.sendto(b"y", ("127.0.0.1", port))
        daemon.wait_log(r"^took y$")
        daemon.wait_log(r"s: child \d+ ended: exit 0")


@needs_preload
def test_load(hatchd, world):
    """Whoever comes waits until the load is low enough; nobody is turned away."""
    port, other = free_port(), free_port()
    world.is_loaded(251)
    daemon = hatchd.file(
        service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", max_load="2.5")
        + service("o", listen=f"tcp:127.0.0.1:{other}", exec="/bin/cat"), env=world.env)
    with connect(port) as client:
        client.sendall(b"x")
        daemon.wait_log(r"s: nobody is taken in now \(max_load\), new clients wait")
        assert talk(other, b"y") == b"y"
        daemon.wait_children(0)  # a program that had been started would stay
        world.is_loaded(250)
        assert read_exactly(client, 1) == b"x"


# -- bans and rates, by a clock that a test has in hand


def is_served(port, source):
    return comes_in(port, source, b"x")


@needs_preload
def test_bans_end(hatchd, world):
    """That of a sensor, and that of a limit: each when its time is over, and not before."""
    trap, port, other = free_port(), free_port(), free_port()
    toucher, noisy = "127.0.0.2", "127.0.0.3"
    daemon = hatchd.file(
        stanza("service", "trap", listen=f"tcp4:{trap}", sensor=True, ban_time="2h")
        + service("s", listen=f"tcp4:{port}", exec="/bin/cat", per_source_rate="1/10min",
                  overflow_source="ban 1h")
        + service("o", listen=f"tcp4:{other}", exec="/bin/cat"), env=world.env)
    assert not is_served(trap, toucher)
    assert is_served(port, noisy) and not is_served(port, noisy)
    daemon.wait_log(r"s: refused 127\.0\.0\.3:\d+: per_source_rate, banned for 1 h")

    # Some hours and some years make no difference if it is only the wall that says so.
    for text in ("2026-06-01 12:00", "2039-06-01 12:00", "1970-01-01 00:00"):
        world.is_at(text)
        assert not is_served(port, noisy) and not is_served(other, toucher)
    # His rate is whole again, his ban is not over.
    world.is_later(1800)
    assert not is_served(port, noisy)
    daemon.wait_log(r"s: refused 127\.0\.0\.3:\d+: banned$")
    world.is_later(3600)
    assert is_served(port, noisy)
    assert not is_served(other, toucher) and not is_served(port, toucher)
    daemon.wait_log(r"o: refused 127\.0\.0\.2:\d+: banned$")
    world.is_later(7200)
    assert is_served(other, toucher) and is_served(port, toucher)
    assert not is_served(trap, toucher)
    assert not is_served(other, toucher)


@needs_preload
def test_rates_mind_no_wall(hatchd, world):
    """Whatever it shows: a token comes when its time has gone by."""
    port = free_port()
    world.is_at("2026-06-01 12:00")
    hatchd.file(service("s", listen=f"tcp4:{port}", exec="/bin/cat",
                        per_source_rate="2/2h burst 1"), env=world.env)
    assert is_served(port, "127.0.0.2")
    for text in ("2039-06-01 12:00", "1970-01-01 00:00", "2026-06-01 14:00"):
        world.is_at(text)
        assert not is_served(port, "127.0.0.2")
    assert is_served(port, "127.0.0.3")
    world.is_later(3600)
    assert is_served(port, "127.0.0.2") and is_served(port, "127.0.0.3")
    assert not is_served(port, "127.0.0.2")
