"""hatchd-lookup itself: it dies, hangs or lies, and is another one after a reload."""

import contextlib
import os
import pathlib
import shutil
import signal
import threading

import pytest

from harness import (
    HATCHD, PYTHON, children_named, connect, free_port, proc_status, read_all, read_exactly,
    reload, service, stanza, talk, wait_exit, wait_until,
)
from nameserver import NEVER, PTR, Identd, NameServer, good, reverse
from namespace import with_mounts
from test_lookup import (  # noqa: F401, fixtures among them
    HOST, NAME, OTHER, THIRD, asking, control, counts, dns, is_decided, known,
    resolver, start,
)

pytestmark = pytest.mark.needs_root


def lookups(daemon):
    return children_named(daemon.pid, "hatchd-lookup")


def kill(daemon):
    """The worker there is; returns when it has gone and the daemon knows it."""
    (pid,) = lookups(daemon)
    mark = daemon.mark()
    os.kill(pid, signal.SIGKILL)
    daemon.wait_log(f"hatchd-lookup: child {pid} ended: signal 9", after=mark)


def nothing_is_left(daemon, control):  # noqa: F811
    wait_until(lambda: counts(control) == (0, 0), what="nobody is there")
    wait_until(lambda: daemon.count_fds() <= daemon.fds_at_start,
               what=f"nothing is left, but {daemon.fds()}")


def cat(name, port, host="127.0.0.1"):
    return service(name, listen=f"tcp:{host}:{port}", exec="/bin/cat")


# ---------------------------------------------------------------------------
# Another one is asked


def test_one_for_all(start):
    """It starts with the first client who needs it."""
    one, other = free_port(), free_port()
    daemon = start(asking("s", one), asking("t", other))
    assert lookups(daemon) == []
    assert talk(one, source=HOST) == talk(other, source=HOST) == known(HOST, NAME)
    assert len(lookups(daemon)) == 1


def test_worker_has_no_rights(start):
    port = free_port()
    daemon = start(asking("s", port))
    assert talk(port, source=HOST) == known(HOST, NAME)
    (worker,) = lookups(daemon)
    status = proc_status(worker)
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert status["Groups"].strip() == ""
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0


WAITING = 50


def test_worker_dies(hatchd, dns, resolver, control):  # noqa: F811
    """While many wait: all of them are asked after again, and others go on."""
    port, plain = free_port(), free_port()
    sources = [f"127.0.4.{i}" for i in range(1, WAITING + 1)]
    for source in sources:
        dns.put(reverse(source), PTR, NEVER)
    daemon = hatchd.file(
        asking("s", port, lookup_timeout="10s") + cat("cat", plain), control,
        launcher=resolver.launcher)
    with connect(plain) as friend, contextlib.ExitStack() as stack:
        friend.sendall(b"1")
        assert read_exactly(friend, 1) == b"1"
        clients = [stack.enter_context(connect(port, source=source)) for source in sources]
        for source in sources:
            dns.wait_asked(reverse(source), PTR)
        assert counts(control) == (WAITING, 0)
        (worker,) = lookups(daemon)
        os.kill(worker, signal.SIGSTOP)
        for number, source in enumerate(sources):
            dns.host(f"n{number}.example.org", source)
        kill(daemon)
        for number, (client, source) in enumerate(zip(clients, sources)):
            assert read_all(client) == known(source, f"n{number}.example.org")
        friend.sendall(b"2")
        assert read_exactly(friend, 1) == b"2"
        friend.shutdown(2)
    assert lookups(daemon) != [worker]
    nothing_is_left(daemon, control)


def test_questions_are_not_asked_for_ever(start, dns):
    """One that may be why workers die is given up, and who is not known is not let in."""
    port, listed = free_port(), free_port()
    workers = set()

    def fatal(query):
        """Its worker dies of it."""
        for pid in lookups(daemon):
            workers.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return []

    dns.put(reverse(THIRD), PTR, fatal)
    daemon = start(asking("s", port, lookup_timeout="10s"),
                   asking("listed", listed, lookup_timeout="10s", only_from=NAME))
    with connect(port, source=THIRD) as client, connect(listed, source=THIRD) as other:
        assert read_all(client) == known(THIRD)
        assert read_all(other) == b""
    daemon.wait_log(rf"listed: refused {THIRD}:\d+: only_from$")
    daemon.wait_log("hatchd-lookup: child .* ended: signal 9", count=3)
    assert 3 <= len(workers) <= 6
    assert talk(port, source=HOST) == known(HOST, NAME)


@pytest.mark.parametrize("asked", [0, 5])
def test_worker_dies_with_users_to_ask_for(hatchd, resolver, control, asked):  # noqa: F811
    """Before it has read the questions, or when some have been put."""
    port = free_port()
    with Identd(HOST) as identd:
        daemon = hatchd.file(
            asking("s", port, ident="required", lookup_timeout="10s"), control, "-v",
            launcher=resolver.launcher)
        with contextlib.ExitStack() as stack:
            first = [stack.enter_context(connect(port, source=HOST))
                     for _ in range(max(asked, 1))]
            identd.wait_asked(len(first))
            (worker,) = lookups(daemon)
            os.kill(worker, signal.SIGSTOP)
            more = [stack.enter_context(connect(port, source=HOST)) for _ in range(5)]
            daemon.wait_log("s: accept from", count=len(first) + len(more))
            identd.answer = good(b"joe")
            kill(daemon)
            for client in first + more:
                assert read_all(client) == known(HOST, NAME, "joe")
    nothing_is_left(daemon, control)


def test_worker_hangs(hatchd, dns, resolver, world):  # noqa: F811
    """It is asked whether it goes on, and replaced; nobody is in the way of others."""
    if world is None:
        pytest.skip("a sanitizer must be loaded first")
    port, plain = free_port(), free_port()
    daemon = hatchd.file(asking("s", port, lookup_timeout="10s") + cat("cat", plain), "-v",
                         launcher=resolver.launcher, env=world.env)
    assert talk(port, source=HOST) == known(HOST, NAME)
    (worker,) = lookups(daemon)
    os.kill(worker, signal.SIGSTOP)
    world.is_later(2)
    with connect(port, source=HOST) as client:
        daemon.wait_log("s: accept from", count=2)
        assert talk(plain, b"x") == b"x"
        assert not is_decided(client)
        world.is_later(20, daemon)
        daemon.wait_log(f"hatchd-lookup: child {worker} does not answer, killing it")
        # His time is over as well.
        assert read_all(client) == known(HOST)
    assert talk(port, source=HOST) == known(HOST, NAME)
    assert lookups(daemon) != [worker]


def test_time_is_kept_without_the_worker(start):
    """It hangs, and nobody else comes who would have it asked whether it goes on."""
    port, listed = free_port(), free_port()
    daemon = start(asking("s", port, lookup_timeout="300ms"),
                   asking("listed", listed, lookup_timeout="300ms", only_from=NAME))
    assert talk(port, source=HOST) == known(HOST, NAME)
    (worker,) = lookups(daemon)
    os.kill(worker, signal.SIGSTOP)
    assert talk(port, source=HOST) == known(HOST)
    assert talk(listed, source=HOST) == b""
    daemon.wait_log(rf"listed: refused {HOST}:\d+: only_from$")
    os.kill(worker, signal.SIGCONT)
    # What it says now is nobody's, and no lie.
    assert talk(listed, source=HOST) == known(HOST, NAME)
    assert lookups(daemon) == [worker]


def test_files_that_nobody_writes(hatchd, folder, dns, resolver):  # noqa: F811
    """The worker hangs before it has begun: he is decided about in time, and others go on."""
    port, listed, plain = free_port(), free_port(), free_port()
    os.mkfifo(folder / "fifo")
    hang = with_mounts(f'mount --bind "{folder}/fifo" /etc/resolv.conf && exec "$@"')
    daemon = hatchd.file(
        asking("s", port, lookup_timeout="300ms")
        + asking("listed", listed, lookup_timeout="300ms", only_from=NAME)
        + cat("cat", plain),
        launcher=[*resolver.launcher, *hang])
    assert talk(port, source=HOST) == known(HOST)
    assert talk(listed, source=HOST) == b""
    assert talk(plain, b"x") == b"x"
    kill(daemon)


def test_no_worker(hatchd, folder):
    """The program is not there: its services say so, and nobody is let in; others serve."""
    port, plain = free_port(), free_port()
    daemon = hatchd.file(asking("s", port) + cat("cat", plain), binary=instead(folder, None))
    with connect(port, source=HOST) as client:
        daemon.wait_log(
            "s: unable to pass a connection to hatchd-lookup: No such file or directory")
        assert talk(plain, b"x") == b"x"
        assert not is_decided(client)
    # He is held for the time when it comes.
    daemon.stop(leave=True)


# ---------------------------------------------------------------------------
# Reload


def test_reload_asks_again(start, dns):
    """Another one, which has read what has changed."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    text = asking("s", port, only_from=".example.org", lookup_timeout="10s")
    daemon = start(text)
    with connect(port, source=THIRD) as client:
        dns.wait_asked(reverse(THIRD), PTR)
        (worker,) = lookups(daemon)
        os.kill(worker, signal.SIGSTOP)
        dns.host("new.example.org", THIRD)
        reload(daemon, text)
        assert read_all(client) == known(THIRD, "new.example.org")
    assert lookups(daemon) != [worker]
    os.kill(worker, signal.SIGCONT)
    wait_exit(worker)


def test_reload_with_other_rules(start, dns):
    """Those hold that are in force when he is decided about."""
    dns.put(reverse(THIRD), PTR, NEVER)
    out, in_, plain = free_port(), free_port(), free_port()

    def text(first, second, **options):
        return (asking("out", out, only_from=first, lookup_timeout="10s")
                + asking("in", in_, only_from=second, lookup_timeout="10s")
                + asking("plain", plain, lookup_timeout="10s", **options))

    daemon = start(text("new.example.org", "old.example.org", only_from="old.example.org"))
    with contextlib.ExitStack() as stack:
        one, two, three = (
            stack.enter_context(connect(port, source=THIRD)) for port in (out, in_, plain))
        dns.wait_asked(reverse(THIRD), PTR)
        daemon.wait_log(f"accept from {THIRD}", count=3)
        (worker,) = lookups(daemon)
        os.kill(worker, signal.SIGSTOP)
        dns.host("new.example.org", THIRD)
        reload(daemon, text("old.example.org", "new.example.org", resolve=False))
        assert read_all(one) == b""
        assert read_all(two) == known(THIRD, "new.example.org")
        assert read_all(three) != b""
    daemon.wait_log(rf"out: refused {THIRD}:\d+ \(new\.example\.org\): only_from$")
    os.kill(worker, signal.SIGKILL)


def test_reload_without_the_service(start, dns):
    """Whoever was asked after for it is let go."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port, other = free_port(), free_port()
    stays = asking("t", other)
    daemon = start(asking("s", port, lookup_timeout="10s") + stays)
    with connect(port, source=THIRD) as client:
        dns.wait_asked(reverse(THIRD), PTR)
        reload(daemon, stays)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(client) == b""
    assert talk(other, source=HOST) == known(HOST, NAME)


def test_reload_again_and_again(start, dns):
    """Nobody is lost, however often he is asked after anew."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    text = asking("s", port, lookup_timeout="10s")
    daemon = start(text)
    with connect(port, source=THIRD) as client:
        for count in range(1, 6):
            dns.wait_asked(reverse(THIRD), PTR, count)
            reload(daemon, text)
            assert talk(port, source=HOST) == known(HOST, NAME)
        assert not is_decided(client)
        dns.host("new.example.org", THIRD)
        reload(daemon, text)
        assert read_all(client) == known(THIRD, "new.example.org")


def test_reload_under_load(start):
    """Thirty times, while clients come one after the other: each is served, by his name."""
    port = free_port()
    texts = [asking("s", port, only_from=[NAME, extra], lookup_timeout="10s")
             for extra in ("a.example.org", "b.example.org")]
    daemon = start(texts[0])
    ended, said = threading.Event(), []

    def come():
        while not ended.is_set():
            said.append(talk(port, source=HOST))

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(30):
            before = len(said)
            reload(daemon, texts[number % 2])
            wait_until(lambda before=before: len(said) > before, what="one more")
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert set(said) == {known(HOST, NAME)}


def test_reload_reads_resolv_conf(start, dns, resolver):  # noqa: F811
    port = free_port()
    text = asking("s", port)
    with NameServer("127.0.0.4") as second:
        second.host("second.example.org", HOST)
        daemon = start(text)
        assert talk(port, source=HOST) == known(HOST, NAME)
        resolver.ask("127.0.0.4")
        assert talk(port, source=HOST) == known(HOST, NAME)
        reload(daemon, text)
        assert talk(port, source=HOST) == known(HOST, "second.example.org")


def test_reload_reads_hosts(start, resolver):  # noqa: F811
    port = free_port()
    text = asking("s", port)
    daemon = start(text)
    assert talk(port, source=OTHER) == known(OTHER)
    resolver.hosts.add(f"{OTHER} printer.lan")
    reload(daemon, text)
    assert talk(port, source=OTHER) == known(OTHER, "printer.lan")


def test_reload_that_fails(start, dns):
    """Nothing has changed, and nobody is asked after anew."""
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    daemon = start(asking("s", port, lookup_timeout="10s"))
    with connect(port, source=THIRD) as client:
        dns.wait_asked(reverse(THIRD), PTR)
        (worker,) = lookups(daemon)
        reload(daemon, "service s { lisn = 7 }", line="keeping the configuration")
        assert lookups(daemon) == [worker] and not is_decided(client)
        dns.release()
        assert read_all(client) == known(THIRD)


def test_stop_while_somebody_is_asked_after(start, dns):
    dns.put(reverse(THIRD), PTR, NEVER)
    port = free_port()
    daemon = start(asking("s", port, lookup_timeout="10s"))
    with connect(port, source=THIRD) as client:
        dns.wait_asked(reverse(THIRD), PTR)
        (worker,) = lookups(daemon)
        daemon.stop(leave=True)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(client) == b""
    wait_exit(worker)


# ---------------------------------------------------------------------------
# One that somebody has taken over

LIAR = """\
#!{python} -SE
import os, signal, socket, struct, sys
requests = socket.socket(fileno=3)
ANSWER = "=HHIQI4xHH192s516s"
READY, DONE, PONG = 1, 2, 3
ASK, FORGET, DRAIN, PING = 1, 2, 3, 4
NAME_OF, ADDRESSES_OF, IDENT = 1, 2, 3
FOUND, NONE = 0, 1
def address(family=2, ip=b"\\x7f\\0\\0\\x09"):
    return struct.pack("=HHI16s", family, 0, 0, ip)
def answer(kind, connection=0, place=0, what=0, result=0, text=b"", version=2, n_addresses=0,
           addresses=b""):
    return struct.pack(ANSWER, version, kind, what, connection, place, result, n_addresses,
                       addresses, text)
def say(*answers):
    os.write(4, b"".join(answers))
def hear():
    data = requests.recv(4096)
    if not data:
        sys.exit()
    kind, = struct.unpack_from("=H", data, 2)
    return kind, *struct.unpack_from("=QI", data, 8), struct.unpack_from("=I", data, 32)[0]
def take():
    while True:
        kind, c, p, what = hear()
        if kind == PING:
            say(answer(PONG))
        elif kind == DRAIN:
            sys.exit()
        elif kind == ASK:
            return c, p, what
"""

# After READY, and with the first question: c, p, and what.
LIES = {
    "says what cannot be understood": {
        "torn": "say(b'x' * 3)",
        "torn in the end": "say(answer(DONE, c, p, what, NONE)[:-1])",
        "unknown kind": "say(answer(77))",
        "unknown result": "say(answer(DONE, c, p, what, 77))",
        "unknown question": "say(answer(DONE, c, p, 77, NONE))",
        "another version": "say(answer(DONE, c, p, what, NONE, version=1))",
        "a name with the end of a line": "say(answer(DONE, c, p, what, text=b'good\\nx.org'))",
        "a name with capitals": "say(answer(DONE, c, p, what, text=b'Good.example.org'))",
        "an address for a name": "say(answer(DONE, c, p, what, text=b'127.0.0.1'))",
        "no name": "say(answer(DONE, c, p, what))",
        "a name without end": "say(answer(DONE, c, p, what, text=b'x' * 516))",
        "too long a name": "say(answer(DONE, c, p, what, text=b'x.' * 127 + b'org'))",
        "a name and addresses":
            "say(answer(DONE, c, p, what, text=b'good.example.org', n_addresses=1, "
            "addresses=address()))",
        "more addresses than there is room for":
            "say(answer(DONE, c, p, what, n_addresses=65535))",
        "a name that was not found":
            "say(answer(DONE, c, p, what, NONE, text=b'good.example.org'))",
    },
    "says what it was not asked": {
        "ready twice": "say(answer(READY))",
        "an answer without a question": "say(answer(PONG), answer(PONG))",
        "another connection": "say(answer(DONE, c + 1, p, what, NONE))",
        "another place": "say(answer(DONE, c, p + 1, what, NONE))",
        "a place beyond all": "say(answer(DONE, c, 2**32 - 1, what, NONE))",
        "a place of nobody": "say(answer(DONE, 0, p + 1, what, NONE))",
        "a user for a name": "say(answer(DONE, c, p, IDENT, text=b'root'))",
        "addresses for a name":
            "say(answer(DONE, c, p, ADDRESSES_OF, n_addresses=1, addresses=address()))",
        "done twice": "say(answer(DONE, c, p, what, NONE), answer(DONE, c, p, what, NONE))",
        "a name, and another one":
            "say(answer(DONE, c, p, what, NONE), "
            "answer(DONE, c, p, what, text=b'good.example.org'))",
        "flood": "while True: say(answer(DONE, 1, 1, what, NONE) * 5)",
    },
}


def instead(folder, text, *others):
    """A hatchd whose hatchd-lookup does that; None: it has none.  `others` are as they are."""
    own = folder / "own"
    own.mkdir()
    own.chmod(0o755)
    for name in ("hatchd", "hatchd-load", "hatchd-ask", *others):
        shutil.copy(pathlib.Path(HATCHD).parent / name, own / name)
    if text is not None:
        worker = own / "hatchd-lookup"
        worker.write_text(LIAR.format(python=PYTHON) + text)
        worker.chmod(0o755)
    return own / "hatchd"


def liar(folder, lie, then="signal.pause()"):
    return instead(folder, f"say(answer(READY))\nc, p, what = take()\n{lie}\n{then}\n")


@pytest.mark.parametrize(
    ("reason", "lie"), [(reason, lie) for reason, lies in LIES.items() for lie in lies])
def test_liar(hatchd, folder, reason, lie):
    """It is killed and told of; nobody comes in by what it has said, and others go on."""
    port, plain = free_port(), free_port()
    daemon = hatchd.file(
        asking("s", port, only_from=NAME, lookup_timeout="10s") + cat("cat", plain),
        binary=liar(folder, LIES[reason][lie]))
    with connect(plain) as friend:
        friend.sendall(b"1")
        assert read_exactly(friend, 1) == b"1"
        with connect(port, source=HOST) as client:
            daemon.wait_log(f"hatchd-lookup: child .* {reason}, killing it")
            # Asked again and again of one that lies, which is given up after a while.
            assert read_all(client) == b""
        daemon.wait_log(rf"s: refused {HOST}:\d+: only_from$")
        friend.sendall(b"2")
        assert read_exactly(friend, 1) == b"2"
    assert talk(plain, b"x") == b"x"
    assert daemon.log.text().replace("\n", "").isprintable()
    assert "s: child" not in daemon.log.text()
    daemon.stop(leave=True)


HONEST = """
say(answer(READY))
while True:
    c, p, what = take()
    say({answer})
"""


def test_the_same_without_a_lie(hatchd, folder):
    """So that it is the lie that those of above are killed for."""
    port = free_port()
    binary = instead(folder, HONEST.format(
        answer="answer(DONE, c, p, what, text=b'good.example.org')"))
    daemon = hatchd.file(asking("s", port, only_from=NAME), binary=binary)
    for _ in range(3):
        assert talk(port, source=HOST) == known(HOST, NAME)
    assert "killing it" not in daemon.log.text()
    daemon.stop(leave=True)


def test_user_that_is_no_text(hatchd, folder):
    """Bytes that are none are not printed; control characters are a lie."""
    port = free_port()
    binary = instead(folder, HONEST.format(
        answer="answer(DONE, c, p, what, text=b'j\\xc3\\xb6rg x'.ljust(512, b'y'))"))
    daemon = hatchd.file(asking("s", port, resolve=False, ident="required"), binary=binary)
    assert talk(port, source=HOST) == known(HOST, user="j??rg?x" + "y" * 57)
    daemon.stop(leave=True)


@pytest.mark.parametrize("text", ["b'joe\\x1b[m'", "b''", "b'x' * 513"])
def test_user_that_is_a_lie(hatchd, folder, text):
    port = free_port()
    daemon = hatchd.file(
        asking("s", port, resolve=False, ident="required", lookup_timeout="10s"),
        binary=liar(folder, f"say(answer(DONE, c, p, what, text={text}))"))
    with connect(port, source=HOST) as client:
        daemon.wait_log("hatchd-lookup: child .* says what cannot be understood, killing it")
        assert read_all(client) == b""
    daemon.wait_log(rf"s: refused {HOST}:\d+: ident$")
    daemon.stop(leave=True)


TARGET_LIES = {
    "none": "say(answer(DONE, c, p, what))",
    "another family":
        "say(answer(DONE, c, p, what, n_addresses=1, addresses=address(family=1)))",
    "nine": "say(answer(DONE, c, p, what, n_addresses=9, addresses=address() * 8))",
    "eight, of which one is none":
        "say(answer(DONE, c, p, what, n_addresses=8, addresses=address() * 7))",
    "65535": "say(answer(DONE, c, p, what, n_addresses=65535, addresses=address() * 8))",
    "and a name":
        "say(answer(DONE, c, p, what, n_addresses=1, addresses=address(), text=b'x'))",
    "that were not found":
        "say(answer(DONE, c, p, what, NONE, n_addresses=1, addresses=address()))",
}


def redirect(port, behind):
    return stanza("service", "r", listen=f"tcp:127.0.0.1:{port}", lookup_timeout="10s",
                  redirect=f"tcp:app.internal:{behind}")


@pytest.mark.parametrize("lie", TARGET_LIES)
def test_liar_about_targets(hatchd, folder, lie):
    """Nobody is passed on to what it says."""
    port, behind = free_port(), free_port()
    daemon = hatchd.file(
        redirect(port, behind) + cat("x", behind, "127.0.0.9"),
        binary=liar(folder, TARGET_LIES[lie]))
    with connect(port, source=HOST) as client:
        daemon.wait_log("hatchd-lookup: child .* says what cannot be understood, killing it")
        assert read_all(client) == b""
    daemon.wait_log(rf"r: refused {HOST}:\d+: target$")
    daemon.stop(leave=True)


def test_port_of_a_target_is_not_for_the_worker(hatchd, folder):
    """It may say an address, and what it says besides is not looked at."""
    port, behind = free_port(), free_port()
    honest = HONEST.format(answer="answer(DONE, c, p, what, n_addresses=1, "
                                  "addresses=struct.pack('=HHI4s12x', 2, 1, 7, "
                                  "bytes([127, 0, 0, 9])))")
    daemon = hatchd.file(
        redirect(port, behind) + cat("x", behind, "127.0.0.9"),
        binary=instead(folder, honest, "hatchd-relay"))
    assert talk(port, b"x", source=HOST) == b"x"
    daemon.stop(leave=True)


@pytest.mark.parametrize("what", ["requests", "answers", "both"])
def test_worker_closes_its_channel(hatchd, folder, what):
    """It cannot be asked, or heard, any more: another one is."""
    port, plain = free_port(), free_port()
    lie = {"requests": "requests.close()", "answers": "os.close(4)",
           "both": "requests.close(); os.close(4)"}[what]
    daemon = hatchd.file(
        asking("s", port, lookup_timeout="2s", only_from=NAME) + cat("cat", plain),
        binary=liar(folder, lie))
    with connect(port, source=HOST) as client:
        assert read_all(client) == b""
        assert talk(plain, b"x") == b"x"
    daemon.wait_log(rf"s: refused {HOST}:\d+: only_from$")
    daemon.stop(leave=True)


def test_worker_that_never_answers(hatchd, folder, world):
    """Not even whether it goes on: it is killed.  Others are served all the while."""
    if world is None:
        pytest.skip("a sanitizer must be loaded first")
    port, plain = free_port(), free_port()
    daemon = hatchd.file(
        asking("s", port, only_from=NAME, lookup_timeout="10s") + cat("cat", plain), "-v",
        binary=instead(folder, "say(answer(READY))\nsignal.pause()\n"), env=world.env)
    clients = [connect(port, source=HOST) for _ in range(200)]
    daemon.wait_log("s: accept from", count=len(clients))
    assert talk(plain, b"x") == b"x"
    daemon.wait_log("hatchd-lookup: ready")
    world.is_later(30, daemon)
    daemon.wait_log("hatchd-lookup: child .* does not answer, killing it")
    for client in clients:
        with client:
            assert read_all(client) == b""
    assert talk(plain, b"x") == b"x"
    daemon.stop(leave=True)


def test_worker_that_only_says_that_it_goes_on(hatchd, folder):
    """Nobody waits for longer than he may, however often it is asked."""
    port, listed = free_port(), free_port()
    daemon = hatchd.file(
        asking("s", port, lookup_timeout="300ms")
        + asking("listed", listed, lookup_timeout="300ms", only_from=NAME),
        binary=instead(folder, "say(answer(READY))\nwhile True: take()\n"))
    for _ in range(2):
        assert talk(port, source=HOST) == known(HOST)
        assert talk(listed, source=HOST) == b""
    daemon.wait_log(rf"s: unable to look up name of {HOST}: nobody has answered in time")
    assert "killing it" not in daemon.log.text()
    daemon.stop(leave=True)


def test_worker_that_cannot_begin(hatchd, folder):
    """It is not started for ever; who has no name in time has none."""
    port, listed = free_port(), free_port()
    daemon = hatchd.file(
        asking("s", port, lookup_timeout="1s")
        + asking("listed", listed, lookup_timeout="1s", only_from=NAME),
        binary=instead(folder, "sys.exit(1)\n"))
    with connect(port, source=HOST) as one, connect(listed, source=HOST) as other:
        daemon.wait_log("hatchd-lookup: it has not become ready, retrying in 100 ms")
        assert read_all(one) == known(HOST)
        assert read_all(other) == b""
    daemon.stop(leave=True)
