"""Of whom nothing can be looked up, and who lies about what is."""

import contextlib
import os
import pathlib
import re
import shutil
import signal

import pytest

from harness import (
    HATCHD, PYTHON, children_named, connect, free_port, read_all, read_exactly, reload, service,
    stanza, talk,
)
from nameserver import A, Identd, address, good
from test_callers import banner, by_name, proxied, v1
from test_lookup import HOST, asking, dns, resolver, start  # noqa: F401, fixtures

NAME = "www.example.org"
NAMED = {"resolve": True, "only_from": NAME}


# ---------------------------------------------------------------------------
# Who has no name is not let in by it


def what_is_said(address):
    with connect(address) as client, contextlib.suppress(ConnectionResetError):
        return read_all(client)
    return b""


def test_unix_client_has_no_name(hatchd, folder):
    """Not where he is greeted first, either."""
    plain, greeted = f"unix:{folder}/plain", f"unix:{folder}/greeted"
    daemon = hatchd.file(
        service("plain", listen=[f"tcp:{free_port()}", plain], shell="echo x", **NAMED)
        + service("greeted", listen=[f"tcp:{free_port()}", greeted], shell="echo x",
                  banner=banner(folder, "banner"), **NAMED))
    assert what_is_said(plain) == b""
    daemon.wait_log("plain: refused .*: only_from$")
    assert what_is_said(greeted) == b"banner\r\n"
    daemon.wait_log("greeted: refused .*: only_from$")


def test_names_of_defaults_where_nobody_has_one(hatchd, folder):
    path = f"unix:{folder}/s"
    daemon = hatchd.file(
        stanza("defaults", **NAMED) + service("s", listen=path, shell="echo x"))
    assert what_is_said(path) == b""
    daemon.wait_log("s: refused .*: only_from$")


def test_unix_client_of_tcpmux_has_no_name(hatchd, folder):
    path = f"unix:{folder}/mux"
    daemon = hatchd.file(
        stanza("service", "mux", listen=path, builtin="tcpmux")
        + by_name("x", "plus", exec="/bin/cat", **NAMED)
        + by_name("y", "plus", exec="/bin/cat", ident="required"))
    for name, reason in ("x", "only_from"), ("y", "ident"):
        assert talk(path, f"{name}\r\n".encode()).startswith(b"-")
        daemon.wait_log(f"{name}: refused .*: {reason}$")


@pytest.mark.parametrize("given", ["here", "in defaults"])
def test_user_is_required_behind_a_proxy(hatchd, given):
    """Nobody can be asked there, so nobody is named, and somebody has to be."""
    port, here = free_port(), given == "here"
    text = proxied(listen=f"tcp:{port}", use="optional" if here else "required",
                   ident="required" if here else None)
    defaults = "" if here else stanza("defaults", ident="required")
    daemon = hatchd.file(defaults + text)
    assert talk(port, v1()) == b""
    daemon.wait_log("p: refused 192.0.2.7:4711: ident$")


@pytest.mark.needs_root
def test_user_is_not_asked_for_behind_a_proxy_of_this_machine(start, folder):  # noqa: F811
    """Who comes over a UNIX socket has no address, but he is a proxy all the same."""
    with Identd("127.0.0.5", good(b"joe")) as identd:
        start(proxied(listen=[f"tcp:{free_port()}", f"unix:{folder}/s"], proxies="unix",
                      use="optional", ident="yes", shell="echo $REMOTE_INFO"))
        header = v1("127.0.0.5", local="127.0.0.1")
        assert talk(f"unix:{folder}/s", header) == b"\n"
        assert identd.asked == []


# ---------------------------------------------------------------------------
# Workers that lie

# hatchd-lookup: says of each question what `answer` makes of it.
LOOKUP = """\
#!{python} -SE
import os, select, signal, socket, struct, time
requests = socket.socket(fileno=3)
READY, DONE, PONG = 1, 2, 3
ASK, FORGET, DRAIN, PING = 1, 2, 3, 4
FOUND, NONE = 0, 1
def say(kind, what=0, number=0, place=0, result=NONE, text=b""):
    os.write(4, struct.pack("=HHIQI4xHH192s516s", 2, kind, what, number, place, result, 0, b"",
                            text))
def take():
    "(kind, number, place, what) of the next request; (0, ...): there will be none."
    data = requests.recv(4096)
    if not data:
        return 0, 0, 0, 0
    kind, number, place, what = struct.unpack_from("=2xH4xQI12xI", data)
    return kind, number, place, what
say(READY)
"""

# hatchd-front: says that somebody is there whom it has not taken yet, and dies.
PEEKS = """\
#!{python} -SE
import os, socket, struct
requests = socket.socket(fileno=3)
ANSWER = "=HHIQI4xQQI2H16s2H16sH255s65s2x"
def say(kind, number=0, place=0):
    os.write(4, struct.pack(ANSWER, 4, kind, 0, number, place, 0, 0, 0, 0, 1, b"", 0, 0, b"", 0,
                            b"", b""))
if os.path.exists({mark!r}):
    os._exit(1)
os.close(os.open({mark!r}, os.O_CREAT))
say(1)
number = 0
while not number:
    number, place = struct.unpack_from("=QI", requests.recv(4096, socket.MSG_PEEK), 8)
    if not number:
        requests.recv(4096)
        say(3)
say(4, number, place)
"""

WHEN_TOLD = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
kind = 0
while kind != ASK:
    kind, number, place, what = take()
    if kind == PING:
        say(PONG)
os.write(2, b"%d has a question\\n" % os.getpid())
signal.sigwait([signal.SIGUSR1])
say(DONE, what, number, place)
while kind not in (0, DRAIN):
    kind, number, place, what = take()
"""


def workers_instead(folder, **texts):
    """A hatchd with workers that do that, by the last part of their name."""
    own = folder / "own"
    own.mkdir()
    own.chmod(0o755)
    for path in pathlib.Path(HATCHD).parent.glob("hatchd*"):
        if path.is_file() and os.access(path, os.X_OK) and path.stem == path.name:
            shutil.copy(path, own / path.name)
    for name, text in texts.items():
        worker = own / f"hatchd-{name}"
        worker.unlink()
        worker.write_text(text)
        worker.chmod(0o755)
    return own / "hatchd"


def test_offer_of_one_who_was_not_taken(hatchd, folder):
    """He goes with the worker: he cannot be asked about and wait for the next one at once."""
    (folder / "marks").mkdir()
    (folder / "marks").chmod(0o777)
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        proxied(listen=f"tcp:{port}", use="optional", resolve=True, lookup_timeout="10s")
        + service("other", listen=f"tcp:{other}", exec="/bin/cat"),
        binary=workers_instead(
            folder, front=PEEKS.format(python=PYTHON, mark=str(folder / "marks" / "first")),
            lookup=LOOKUP.format(python=PYTHON) + WHEN_TOLD))
    with connect(port) as client:
        daemon.wait_log("has a question")
        lookup = int(re.search(r"(\d+) has a question", daemon.log.text())[1])
        daemon.wait_log("hatchd-front: child .* ended: exit 0")
        os.kill(lookup, signal.SIGUSR1)
        assert talk(other, b"x") == b"x"
        with contextlib.suppress(ConnectionResetError):
            assert read_all(client) == b""
    assert talk(other, b"x") == b"x"
    daemon.stop(leave=True)


SAYS_NOTHING = """
kind = ASK
while kind not in (0, DRAIN):
    kind, number, place, what = take()
    if kind == PING:
        say(PONG)
"""


def test_worker_that_does_not_answer(hatchd, folder):
    """Nobody waits longer for it than he has to; it is killed, and the next one asked."""
    port, listed = free_port(), free_port()
    options = {"resolve": True, "lookup_timeout": "100ms", "shell": "echo x"}
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", **options)
        + service("listed", listen=f"tcp:{listed}", only_from=NAME, **options),
        binary=workers_instead(folder, lookup=LOOKUP.format(python=PYTHON) + SAYS_NOTHING))
    assert talk(port) == b"x\n"
    assert talk(listed) == b""
    daemon.wait_log(r"listed: refused 127.0.0.1:\d+: only_from$")
    daemon.wait_log("hatchd-lookup: child .* does not answer a question, killing it")
    assert talk(port) == b"x\n"
    daemon.stop(leave=True)


@pytest.mark.needs_root
def test_worker_that_hangs_when_another_takes_its_place(start):  # noqa: F811
    """It does not see that it was let go; the reload after that ends it."""
    port = free_port()
    daemon = start(asking("s", port))
    assert talk(port, source=HOST)
    (first,) = children_named(daemon.pid, "hatchd-lookup")
    os.kill(first, signal.SIGSTOP)
    for number in 1, 2:
        reload(daemon, asking("s", port, nice=number))
        assert talk(port, source=HOST)
    daemon.wait_log(rf"hatchd-lookup: child {first} ended: signal 9")


@pytest.mark.needs_root
def test_stopped_with_somebody_who_was_asked_about(start):  # noqa: F811
    """What is known of him is not left behind; with a sanitizer that is told."""
    port = free_port()
    daemon = start(asking("s", port, exec="/bin/cat"))
    with connect(port) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        daemon.stop(leave=True)


@pytest.mark.needs_root
def test_target_that_is_no_machine(start, dns):  # noqa: F811
    """As name servers say of what they hide: the others are passed on to all the same."""
    echo, port, alone = free_port(), free_port(), free_port()
    dns.put("app.internal", A, address("0.0.0.0"), address("127.0.0.1"))
    dns.put("nowhere.internal", A, address("0.0.0.0"))
    daemon = start(
        stanza("service", "echo", listen=f"tcp:127.0.0.1:{echo}", builtin="echo")
        + stanza("service", "s", listen=f"tcp:127.0.0.2:{port}",
                 redirect=f"tcp:app.internal:{echo}")
        + stanza("service", "alone", listen=f"tcp:127.0.0.2:{alone}",
                 redirect=f"tcp:nowhere.internal:{echo}"))
    assert talk(f"tcp:127.0.0.2:{port}", b"x") == b"x"
    assert what_is_said(f"tcp:127.0.0.2:{alone}") == b""
    daemon.wait_log(r"alone: refused 127\.0\.0\.1:\d+: target$")
