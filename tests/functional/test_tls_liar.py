"""A hatchd-tls that somebody has taken over: what it says is believed as far as it can be."""

import contextlib
import os
import shutil

import pytest

from harness import (
    HATCHD, connect, free_port, read_all, read_exactly, run_hatchd, service, talk)
from test_workers import liar

BEGIN = r"""
say(answer(READY))
c, p = take()
def fact(block):
    say(answer(FACT, c, p, authority=block))
def offer(**more):
    say(answer(OFFER, c, p, **more))
GOOD = b"SSL_PROTOCOL=TLSv1.3\0"
CERTIFIED = GOOD + b"SSL_CLIENT_VERIFY=SUCCESS\0SSL_CLIENT_S_DN=CN=alice\0"
"""

PASSED = 6

TELLS = "tells of a client what cannot be"
OFFERS = "offers a client whom it must not offer"
DOES_NOT_HAVE = "speaks of a connection that it does not have"

LIES = {
    "an offer without facts": (OFFERS, "offer()"),
    "facts without an end": (OFFERS, "fact(GOOD[:-1]); offer()"),
    "a fact that there is none": (OFFERS, r"fact(GOOD + b'PATH=/tmp\0'); offer()"),
    "a fact twice": (OFFERS, "fact(GOOD + GOOD); offer()"),
    "a line within a fact": (OFFERS, r"fact(GOOD + b'SSL_CIPHER=a\nb\0'); offer()"),
    "a subject of nobody": (OFFERS, r"fact(GOOD + b'SSL_CLIENT_S_DN=CN=a\0'); offer()"),
    "who he is by his address": (OFFERS, "fact(GOOD); offer(family=2)"),
    "a name besides": (OFFERS, "fact(GOOD); offer(authority=b'x')"),
    "a fact with an address": (TELLS, "say(answer(FACT, c, p, authority=GOOD, family=2))"),
    "a fact with a service": (TELLS, "say(answer(FACT, c, p, authority=GOOD, service=b's'))"),
    "more facts than there may be": (
        TELLS, "for i in range(17): fact(b'x' * 255)"),
    "a fact after the offer": (TELLS, "fact(GOOD); offer(); fact(GOOD)"),
    "two offers": (OFFERS, "fact(GOOD); offer(); offer()"),
    "an offer after the verdict": (OFFERS, "fact(GOOD); offer(); take(); offer()"),
    "an offer of somebody else": (OFFERS, "fact(GOOD); say(answer(OFFER, c + 1, p))"),
    "passed on": (DOES_NOT_HAVE, f"say(answer(DONE, c, p, {PASSED}))"),
    "passed on after the verdict": (
        DOES_NOT_HAVE, f"fact(GOOD); offer(); take(); say(answer(DONE, c, p, {PASSED}))"),
    "over twice": (
        DOES_NOT_HAVE, "fact(GOOD); offer(); take(); say(answer(DONE, c, p) * 2)"),
    "a program's client was cut off": (
        DOES_NOT_HAVE, "fact(GOOD); offer(); take(); say(answer(CUT, c, p))"),
    "cut off before he came in": (DOES_NOT_HAVE, "say(answer(CUT, c, p))"),
    "reached": ("speaks of a target", "say(answer(REACHED, c, p))"),
}


@pytest.fixture
def pem(folder):
    done = run_hatchd("--self-signed", "web.test", cwd=folder)
    if "built without TLS" in done.stderr:
        pytest.skip("built without TLS")
    return folder / "web.test.pem"


def web(port, pem, name="web", **options):
    text = service(name, listen=f"tcp:127.0.0.1:{port}", exec=options.pop("exec", "/bin/cat"),
                   **options)
    return text.rstrip().rstrip("}") + f"\ttls {{ certificate = {pem} }}\n}}\n"


def serve(hatchd, folder, pem, port, text, more="", **options):
    binary = liar(folder, BEGIN + text + "\nsignal.pause()\n", worker="hatchd-tls")
    shutil.copy(os.path.join(os.path.dirname(HATCHD), "hatchd-certificate"), folder / "own")
    return hatchd.file(web(port, pem, **options) + more, binary=binary)


@pytest.mark.parametrize("lie", LIES)
def test_lie(hatchd, folder, pem, lie):
    port, other = free_port(), free_port()
    reason, text = LIES[lie]
    daemon = serve(hatchd, folder, pem, port, text,
                   service("plain", listen=f"tcp:127.0.0.1:{other}", exec="/bin/cat"))
    with connect(other) as cat:
        cat.sendall(b"x")
        assert read_exactly(cat, 1) == b"x"
        with connect(port) as client:
            with contextlib.suppress(ConnectionResetError):
                assert read_all(client) == b""
            daemon.wait_log(f"hatchd-tls: child .* {reason}.*killing it")
        cat.sendall(b"y")
        assert read_exactly(cat, 1) == b"y"
    assert talk(other, b"z") == b"z"


def test_without_a_lie(hatchd, folder, pem):
    """So that it is the lie that those of above are killed for."""
    port = free_port()
    daemon = serve(hatchd, folder, pem, port, "fact(GOOD); offer(); take();"
                   "say(answer(DONE, c, p)); take()")
    with connect(port) as client:
        assert read_all(client) == b""
    daemon.wait_log("child .* ended: exit 0")
    assert "killing it" not in daemon.text()
    daemon.stop(leave=True)


def test_goes_while_his_program_runs(hatchd, folder, pem):
    """The worker says that he has gone, or dies: the program finds the end of its input."""
    for text in ("fact(GOOD); offer(); take(); say(answer(DONE, c, p)); take()",
                 "fact(GOOD); offer(); take(); os.kill(os.getpid(), 9)"):
        port = free_port()
        own = folder / str(port)
        own.mkdir()
        daemon = serve(hatchd, own, pem, port, text, exec=["/bin/sh", "-c", "cat; exit 7"])
        with connect(port):
            daemon.wait_log("child .* ended: exit 7")
        daemon.stop(leave=True)


def test_program_ends_and_the_worker_says_nothing(hatchd, folder, pem):
    """He has a place there, and is no child any more; a stop does not wait for ever."""
    port = free_port()
    daemon = serve(hatchd, folder, pem, port, "fact(GOOD); offer(); take()",
                   exec="/bin/true")
    with connect(port):
        daemon.wait_log("web: child .* ended: exit 0")
        daemon.stop(leave=True)
