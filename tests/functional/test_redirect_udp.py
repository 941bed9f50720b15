"""Services whose datagrams are passed on: to whom, for how long, and what is bounded."""

import contextlib
import os
import re
import select
import signal
import socket
import struct

import pytest

from harness import (
    TIMEOUT, connect, free_port, hatchctl, have_ipv6, parse_address, proc_fds, proc_status,
    read_exactly, reload, run_hatchd, service, stanza, talk, wait_exit, wait_until, workers,
)
from test_udp_sessions import OFFERS, ask, ask_until_answered, is_silent, liar


def redirect(name, listen, *targets, **options):
    return stanza("service", name, listen=listen, redirect=list(targets), **options)


def udp(host="127.0.0.1"):
    return f"udp:{host}:{free_port()}"


class Target:
    """A socket of the test's own, which says what it is told to."""

    def __init__(self, address=None):
        self.address = address or udp()
        family, kind, self.name = parse_address(self.address)
        self.sock = socket.socket(family, kind)
        self.sock.settimeout(TIMEOUT)
        self.sock.bind(self.name)

    def take(self, message):
        """Whom that comes from."""
        heard, sender = self.sock.recvfrom(70000)
        assert heard == message
        return sender

    def say(self, message, to):
        self.sock.sendto(message, to)

    def echo(self, message):
        sender = self.take(message)
        self.say(message, sender)
        return sender

    def is_asked(self):
        return bool(select.select([self.sock], [], [], 0)[0])

    def close(self):
        self.sock.close()


@pytest.fixture
def target():
    with contextlib.closing(Target()) as one:
        yield one


@pytest.fixture
def other():
    with contextlib.closing(Target()) as one:
        yield one


def start(hatchd, *targets, flags=("-v",), **options):
    """(a daemon with one redirect, its address)"""
    address = udp()
    places = [getattr(one, "address", one) for one in targets]
    return hatchd.file(redirect("r", address, *places, **options), *flags), address


def passes(client, target, message=b"x"):
    """It gets there and back.  Returns by which port of ours."""
    client.send(message)
    sender = target.echo(message)
    assert client.recv(70000) == message
    return sender


def until_asked(client, target):
    """Who was turned away is looked at again in a moment."""
    def asked():
        client.send(b"again")
        return select.select([target.sock], [], [], 0.05)[0]

    wait_until(asked, what="a datagram to be passed on")
    target.take(b"again")


def ends(daemon, how, count=1):
    daemon.wait_log(rf"r: connection \d+ ended: {how}, .*, from 127", count=count)


# ---------------------------------------------------------------------------
# What goes between


@pytest.mark.parametrize("there", [4, 6])
@pytest.mark.parametrize("here", [4, 6])
def test_both_ways(hatchd, here, there):
    """Each datagram as it was, the longest and the empty one too."""
    hosts = {4: "127.0.0.1", 6: "[::1]"}
    if 6 in (here, there) and not have_ipv6():
        pytest.skip("this machine has no IPv6")
    address = udp(hosts[here])
    with contextlib.closing(Target(udp(hosts[there]))) as target:
        hatchd.file(redirect("r", address, target.address))
        with connect(address) as client:
            for message in (b"a", b"", b"\0" * 9000, b"d" * 65507, b"e"):
                passes(client, target, message)


def test_first_datagrams_are_not_lost(hatchd, target):
    _, address = start(hatchd, target)
    with connect(address) as client:
        for number in range(8):
            client.send(b"%d" % number)
        for number in range(8):
            target.take(b"%d" % number)


def test_each_sender_has_a_socket(hatchd, target):
    """One for all that he sends; what is answered there is for nobody else."""
    daemon, address = start(hatchd, target)
    with connect(address) as first, connect(address) as second:
        one, two = passes(first, target, b"1"), passes(second, target, b"2")
        assert one != two
        assert passes(first, target, b"3") == one
        target.say(b"for two", two)
        target.say(b"for one", one)
        assert second.recv(100) == b"for two"
        assert first.recv(100) == b"for one"
        assert is_silent(first) and is_silent(second)
        assert len(workers(daemon.pid)) == 1
        assert daemon.children() == []


def test_target_may_say_more(hatchd, target):
    """Or nothing, or later: that is between the two."""
    _, address = start(hatchd, target)
    with connect(address) as client:
        client.send(b"x")
        sender = target.take(b"x")
        for number in range(100):
            target.say(b"%d" % number, sender)
            assert client.recv(100) == b"%d" % number


def test_nobody_else_is_heard(hatchd, target, other):
    """Who finds out the port from which a target is asked can say nothing there."""
    _, address = start(hatchd, target)
    with connect(address) as client:
        client.send(b"x")
        sender = target.take(b"x")
        other.say(b"a lie", sender)
        target.say(b"the truth", sender)
        assert client.recv(100) == b"the truth"
        assert is_silent(client)


@pytest.mark.parametrize("version", [4, 6])
def test_answers_leave_from_where_they_were_asked(hatchd, target, version):
    """A client that is connected takes them from nowhere else."""
    if version == 6 and not have_ipv6():
        pytest.skip("this machine has no IPv6")
    port = free_port()
    hatchd.file(redirect("r", f"udp:{port}", target.address))
    for host in ("127.0.0.5", "127.0.0.1") if version == 4 else ("[::1]",):
        with connect(f"udp:{host}:{port}") as client:
            passes(client, target)


def test_with_tcp_beside_it(hatchd, target):
    """As of a name server: each goes to the targets of its kind."""
    port, behind = free_port(), free_port()
    daemon = hatchd.file(
        redirect("r", [f"tcp:127.0.0.1:{port}", f"udp:127.0.0.1:{port}"],
                 f"tcp:127.0.0.1:{behind}", target.address)
        + service("cat", listen=f"tcp:127.0.0.1:{behind}", exec="/bin/cat"))
    assert talk(port, b"by tcp") == b"by tcp"
    with connect(f"udp:127.0.0.1:{port}") as client:
        passes(client, target)
    assert len(workers(daemon.pid)) == 2


def test_from_udplite(hatchd, target):
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136).close()
    except OSError:
        pytest.skip("this kernel has no UDP-Lite")
    address = f"udplite:127.0.0.1:{free_port()}"
    hatchd.file(redirect("r", address, target.address))
    with connect(address) as client:
        passes(client, target)


@pytest.mark.needs_root
def test_from_nobody(hatchd, target):
    """Port 0 is nobody's: there is nobody to answer."""
    daemon, address = start(hatchd, target)
    port = int(address.rsplit(":", 1)[1])
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        raw.sendto(struct.pack("!HHHH", 0, port, 9, 0) + b"y", ("127.0.0.1", port))
    with connect(address) as client:
        passes(client, target)
    assert not target.is_asked()
    daemon.stop()
    assert "1 that could not be sent or answered" in daemon.text()


# ---------------------------------------------------------------------------
# How long


def test_session_timeout(hatchd, target):
    """Silence is the end; who sends again then is new, with another port."""
    daemon, address = start(hatchd, target, session_timeout="200ms")
    with connect(address) as client:
        client.send(b"five.")
        before = target.take(b"five.")
        daemon.wait_log(r"r: connection \d+ ended: finished, 5 bytes in, 0 out, .*, from 127")
        client.send(b"again")
        assert target.take(b"again") != before
        ends(daemon, "finished", count=2)
        # What is sent to the old port goes nowhere.
        target.say(b"late", before)
        assert is_silent(client)
    # /dev/null twice, the channel, standard error, the socket, two sets.
    assert len(proc_fds(workers(daemon.pid)[0])) == 8


def test_time_limit(hatchd, target):
    """The master ends it, and the sender is as new."""
    daemon, address = start(hatchd, target, time_limit="1s")
    with connect(address) as client:
        client.send(b"one")
        before = target.take(b"one")
        ends(daemon, "time_limit")
        client.send(b"two")
        assert target.take(b"two") != before


def test_once(hatchd, target):
    """The one client is the first sender, and hatchd ends with his session."""
    port = free_port()
    daemon = hatchd.adhoc("--once", "-l", f"udp:127.0.0.1:{port}", "--redirect",
                          target.address)
    with connect(f"udp:127.0.0.1:{port}") as client, \
            connect(f"udp:127.0.0.1:{port}") as stranger:
        passes(client, target, b"one")
        stranger.send(b"x")
        passes(client, target, b"two")
        assert not target.is_asked()
        target.close()
        client.send(b"lost")
        assert daemon.wait_end() == 0


# ---------------------------------------------------------------------------
# Several targets, and none


def test_first(hatchd, target, other):
    _, address = start(hatchd, target, other)
    for _ in range(3):
        with connect(address) as client:
            passes(client, target)


def test_round_robin(hatchd, target, other):
    _, address = start(hatchd, target, other, redirect_order="round-robin")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(6)]
        for number, client in enumerate(clients):
            passes(client, (target, other)[number % 2])
        for number, client in enumerate(clients):
            passes(client, (target, other)[number % 2])


def test_target_is_away(hatchd, target):
    """Others are tried first then, and it is said once."""
    gone = udp()
    daemon, address = start(hatchd, gone, target)
    with connect(address) as client:
        client.send(b"lost")
        daemon.wait_log(f"unable to reach {gone}: Connection refused, trying others first")
        ends(daemon, "unreachable")
        passes(client, target)
    for _ in range(3):
        with connect(address) as client:
            passes(client, target)
    assert daemon.text().count("unable to reach") == 1


def test_target_leaves(hatchd, target, other):
    """Who has heard of it is told from who never did."""
    daemon, address = start(hatchd, target, other)
    with connect(address) as client:
        passes(client, target)
        target.close()
        client.send(b"lost")
        ends(daemon, "target_reset")
        passes(client, other)


def test_only_target_is_away(hatchd):
    """It is tried all the same: whoever comes back is found at once."""
    gone = udp()
    daemon, address = start(hatchd, gone)
    with connect(address) as client:
        for count in range(1, 4):
            client.send(b"lost")
            ends(daemon, "unreachable", count=count)
        with contextlib.closing(Target(gone)) as target:
            passes(client, target)
    assert daemon.text().count("unable to reach") == 1


def test_no_way_to_the_target(hatchd):
    """A network that the machine is not in: nothing is sent, and nobody is asked again for
    each datagram."""
    daemon, address = start(hatchd, "udp:192.0.2.1:53")
    with connect(address) as client:
        client.send(b"x")
        daemon.wait_log("unable to reach udp:192.0.2.1:53: Network is unreachable")
        ends(daemon, "unreachable")


# ---------------------------------------------------------------------------
# Limits


def test_per_source(hatchd, target):
    daemon, address = start(hatchd, target, per_source=1)
    with connect(address) as first, connect(address) as second, \
            connect(address, source="127.0.0.2") as other:
        passes(first, target)
        second.send(b"2")
        daemon.wait_log("refused 127.0.0.1:.*: per_source$")
        passes(other, target)
        assert not target.is_asked()
        # There is room when the first one's session is over.
        target.close()
        first.send(b"lost")
        ends(daemon, "target_reset")
        with contextlib.closing(Target(target.address)) as new:
            until_asked(second, new)


def test_instances(hatchd, target):
    daemon, address = start(hatchd, target, instances=2, per_source=2)
    with connect(address) as first, connect(address) as second, \
            connect(address, source="127.0.0.2") as third:
        passes(first, target)
        passes(second, target)
        third.send(b"3")
        daemon.wait_log("refused 127.0.0.2:.*: instances$")
        passes(first, target)
        assert not target.is_asked()


def test_total_instances(hatchd, target):
    address, cat = udp(), free_port()
    daemon = hatchd.file("total_instances = 1\n" + redirect("r", address, target.address)
                         + service("cat", listen=f"tcp:{cat}", exec="/bin/cat"), "-v")
    with connect(cat) as client, connect(address) as sender:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        sender.send(b"x")
        daemon.wait_log("refused 127.0.0.1:.*: total_instances$")
        assert not target.is_asked()


def test_rates_are_of_sessions(hatchd, target):
    daemon, address = start(hatchd, target, per_source_rate="1/1h")
    with connect(address) as first, connect(address) as second:
        for _ in range(10):
            passes(first, target)
        second.send(b"x")
        daemon.wait_log("refused 127.0.0.1:.*: per_source_rate$")


def test_nobody_is_banned(hatchd, target):
    daemon, address = start(hatchd, target, per_source=1, overflow_source="ban 1h")
    with connect(address) as first, connect(address) as second:
        passes(first, target)
        second.send(b"2")
        daemon.wait_log("refused 127.0.0.1:.*: per_source$")
        passes(first, target)


def test_only_from(hatchd, target):
    daemon, address = start(hatchd, target, only_from="127.0.0.2")
    with connect(address) as stranger, connect(address, source="127.0.0.2") as friend:
        for _ in range(5):
            stranger.send(b"x")
        passes(friend, target)
        daemon.wait_log("refused 127.0.0.1:.*: only_from$")
    assert not target.is_asked()
    assert len([line for line in daemon.log.lines if "refused" in line]) == 1


def test_many_made_up_sources(hatchd, target):
    """They take no place from him who is there."""
    daemon, address = start(hatchd, target, instances=8, per_source=2)
    port = int(address.rsplit(":", 1)[1])
    target.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    with connect(address) as client:
        own = passes(client, target, b"first")
        for high in range(1, 21):
            for low in range(1, 51):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
                    forger.bind((f"127.{high}.0.{low}", 0))
                    forger.sendto(b"x" * 100, ("127.0.0.1", port))
            client.send(b"%d" % high)
            while True:
                heard, sender = target.sock.recvfrom(200)
                if sender == own:
                    break
            assert heard == b"%d" % high
            target.say(heard, own)
            assert client.recv(100) == heard
        daemon.wait_log("refused 127.*: instances")
    assert len(set(re.findall(r"datagrams from (\S+)", daemon.text()))) > 8
    (worker,) = workers(daemon.pid)
    assert len(proc_fds(worker)) <= 8 + 8


def test_many_at_once(hatchd, target):
    """More than there are questions at a time: nobody is lost."""
    _, address = start(hatchd, target, instances=300, per_source=300)
    target.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(200)]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        for _ in clients:
            target.say(*target.sock.recvfrom(100))
        for number, client in enumerate(clients):
            assert client.recv(100) == b"%d" % number


def test_places_are_used_again(hatchd, target):
    daemon, address = start(hatchd, target, session_timeout="100ms", instances=3, per_source=3)
    for count in range(1, 13):
        with connect(address) as client:
            client.send(b"x")
            target.take(b"x")
            ends(daemon, "finished", count=count)
    assert "refused" not in daemon.text()


def test_two_that_pass_on_to_each_other(hatchd):
    """Nobody can see that in one configuration: it ends when a datagram has no hops left."""
    hops, first, second = 10, udp(), udp()
    one = hatchd.file(redirect("one", first, second), "-v")
    two = hatchd.file(redirect("two", second, first), "-v")

    def count():
        return sum(each.text().count("datagrams from") for each in (one, two))

    for turn in (1, 2):
        with connect(first) as client:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
            client.send(b"round and round")
            wait_until(lambda: count() >= turn * (hops - 1), what=f"{hops - 1} hops")
            assert is_silent(client)
    one.stop()
    two.stop()
    assert count() == 2 * (hops - 1)


# ---------------------------------------------------------------------------
# The worker, reloading, and the end


def test_worker_dies(hatchd, target):
    """All sessions are over, and told of; the next datagram starts another worker."""
    daemon, address = start(hatchd, target)
    with connect(address) as first, connect(address) as second:
        passes(first, target)
        passes(second, target)
        (worker,) = workers(daemon.pid)
        os.kill(worker, signal.SIGKILL)
        ends(daemon, "lost", count=2)
        daemon.wait_log(r"socket \d+ ended: lost")
        until_asked(first, target)
        (new,) = workers(daemon.pid)
        assert new != worker


def test_reload_without_a_change_disturbs_nobody(hatchd, target):
    daemon, address = start(hatchd, target)
    text = daemon.config_path.read_text()
    with connect(address) as client:
        before = passes(client, target)
        reload(daemon, text + service("more", listen=f"tcp:{free_port()}", exec="/bin/cat"))
        assert passes(client, target) == before
        # Back, to what was open at the start.
        reload(daemon, text)


def test_other_target_after_a_reload(hatchd, target, other):
    """The socket stays; who has a session loses it, and his next datagram goes there."""
    daemon, address = start(hatchd, target)
    with connect(address) as client:
        passes(client, target)
        reload(daemon, redirect("r", address, other.address))
        ends(daemon, "ended")
        daemon.wait_log(r"r: socket \d+ ended: ended, 1 bytes in, 1 out")
        passes(client, other)


def test_removed_service(hatchd, target):
    daemon, address = start(hatchd, target)
    with connect(address) as client:
        passes(client, target)
        reload(daemon, service("more", listen=f"tcp:{free_port()}", exec="/bin/cat"))
        ends(daemon, "ended")
    name = parse_address(address)[2]

    def can_bind():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind(name)
            except OSError:
                return False
        return True

    wait_until(can_bind, what="the address to be free")


def test_from_program_to_redirect_and_back(hatchd, target):
    address = udp()
    program = service("r", listen=address, exec="/bin/cat")
    daemon = hatchd.file(program, "-v")
    with connect(address) as client:
        assert ask(client, b"1") == b"1"
        reload(daemon, redirect("r", address, target.address))
        daemon.wait_log(r"r: socket \d+ ended: ended")
        passes(client, target, b"2")
        reload(daemon, program)
        ends(daemon, "ended")
        ask_until_answered(client, b"3")
        client.send(b"")
        daemon.wait_children(0)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_end_of_hatchd(hatchd, target, end):
    """Nobody is left, and nothing is left over."""
    daemon, address = start(hatchd, target)
    with connect(address) as client:
        passes(client, target)
        (worker,) = workers(daemon.pid)
        if end == "stop":
            daemon.stop(leave=True)
            ends(daemon, "ended")
            assert "leaving" not in daemon.text()
        else:
            daemon.process.kill()
            daemon.process.wait()
            daemon.stopped = True
        wait_exit(worker)


@pytest.mark.needs_root
def test_worker_has_no_rights(hatchd, target):
    daemon, address = start(hatchd, target)
    with connect(address) as client:
        passes(client, target)
        (worker,) = workers(daemon.pid)
        status = proc_status(worker)
        assert status["Name"] == "hatchd-udp"
        assert "0" not in status["Uid"].split() + status["Gid"].split()
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"


def test_programs_are_not_in_that_worker(hatchd, target):
    """Who has none may connect, and who has one may not: these are two."""
    address = udp()
    daemon = hatchd.file(redirect("r", udp(), target.address)
                         + service("d", listen=address, exec="/bin/cat"))
    with connect(address) as client:
        assert ask(client, b"x") == b"x"
        assert len(workers(daemon.pid)) == 1
        client.send(b"")


# ---------------------------------------------------------------------------
# What is said


def test_hatchctl_list(hatchd, target, folder):
    path = folder / "control"
    daemon, address = start(hatchd, target, flags=(f"--control={path}",))
    with connect(address) as first, connect(address) as second:
        passes(first, target)
        passes(second, target)
        line = hatchctl("list", "r", "--json", f"--control={path}").stdout.decode()
        assert re.search(r'"children": ?2\b', line), line
    assert daemon.children() == []


def test_explain(hatchd):
    path = hatchd.file(redirect(
        "r", udp(), "udp:192.0.2.1:53", "udp:[2001:db8::1]:53",
        redirect_order="round-robin")).config_path
    said = run_hatchd("--explain", "r", "192.0.2.9", "-f", path).stdout
    assert ("redirect to udp:192.0.2.1:53 or udp:[2001:db8::1]:53 in turns, in hatchd-udp as "
            in said)
    assert "session_timeout = 1min " in said
    assert "per_datagram" not in said
    assert "overflow = " not in said
    path.write_text(redirect("r", "fd:name", "udp:192.0.2.1:53"))
    said = run_hatchd("--explain", "r", "192.0.2.9", "-f", path).stdout
    assert "redirect to udp:192.0.2.1:53, in hatchd-udp as " in said
    path.write_text(redirect("r", [udp(), f"tcp:{free_port()}"], "udp:192.0.2.1:53",
                             "tcp:192.0.2.1:53"))
    said = run_hatchd("--explain", "r", "192.0.2.9", "-f", path).stdout
    assert re.search(r"redirect to (udp|tcp):192.0.2.1:53, in hatchd-", said)


def test_adhoc(hatchd, target):
    port = free_port()
    daemon = hatchd.adhoc("-l", f"udp:127.0.0.1:{port}", "--redirect", target.address)
    with connect(f"udp:127.0.0.1:{port}") as client:
        passes(client, target)
    daemon.stop()


# ---------------------------------------------------------------------------
# A worker that somebody has taken over


# What comes with a VERDICT: a client, with a number and a place.
CLIENTS = OFFERS + """
os.set_blocking(4, True)
def let_in(ticket):
    say(offer(c, p, ticket))
    while True:
        data, fds, _, _ = socket.recv_fds(requests, 4096, 4)
        for fd in fds: os.close(fd)
        kind = struct.unpack_from('=H', data, 2)[0]
        if kind == 4: say(answer(PONG))
        if kind == 5: return struct.unpack_from('=QI', data, len(data) - 16)
"""

LIES = {
    "speaks of a connection that it does not have": {
        "a client whom it has not": "n, at = let_in(0); say(answer(DONE, n + 1, at))",
        "twice the end of one": "n, at = let_in(0); say(answer(DONE, n, at) * 2)",
        "another place": "n, at = let_in(0); say(answer(DONE, n, at + 1))",
    },
    "offers a client whom it must not offer": {
        "for a client": "n, at = let_in(0); say(offer(n, at, 0))",
        "for one of no number": "let_in(0); say(offer(c, p, 0))",
    },
}


@pytest.mark.parametrize(
    ("reason", "lie"), [(reason, lie) for reason, lies in LIES.items() for lie in lies])
def test_liar(hatchd, folder, target, reason, lie):
    """It is killed and told of, his client is lost, and other services do not notice."""
    address, port = udp(), free_port()
    binary = liar(folder, CLIENTS + LIES[reason][lie] + "\nsignal.pause()\n")
    daemon = hatchd.file(
        redirect("r", address, target.address)
        + service("cat", listen=f"tcp:{port}", exec="/bin/cat"), binary=binary)
    with connect(port) as cat, connect(address) as client:
        client.send(b"x")
        daemon.wait_log(f"hatchd-udp-relay: child .* {reason}, killing it")
        daemon.wait_log(r"r: socket \d+ ended: lost")
        cat.sendall(b"y")
        assert read_exactly(cat, 1) == b"y"


def test_the_same_without_a_lie(hatchd, folder, target):
    """So that it is the lie that those of above are killed for."""
    address = udp()
    text = CLIENTS + (
        "for ticket in range(100):\n"
        "    n, at = let_in(ticket)\n"
        "    say(answer(DONE, n, at))\n"
        "while True:\n"
        "    data = requests.recv(4096)\n"
        "    kind = struct.unpack_from('=H', data, 2)[0] if data else 3\n"
        "    if kind == 4: say(answer(PONG))\n"
        "    if kind == 3: sys.exit(0)\n"
        "    if kind == 2: say(answer(DONE, c, p, 2))\n")
    daemon = hatchd.file(redirect("r", address, target.address), "-v",
                         binary=liar(folder, text))
    with connect(address) as client:
        client.send(b"x")
        daemon.wait_log(r"r: connection \d+ ended: finished, 0 bytes in, 0 out, .*, from "
                        r"127.0.0.1:4711", count=100)
    assert "killing it" not in daemon.text()
    daemon.stop(leave=True)
