"""hatchd-certificate by itself: what the loader has it do, it does with empty hands."""

import contextlib
import errno
import hashlib
import os
import pathlib
import re
import socket
import struct
import subprocess

import pytest

from certificates import needs_tls
from harness import (
    HATCHD, IS_SANITIZED, TIMEOUT, base_environment, built_helper, proc_status, run_hatchd)

pytestmark = needs_tls

PROGRAM = pathlib.Path(HATCHD).parent / "hatchd-certificate"

# The same on all machines.
LANDLOCK_RESTRICT_SELF = 446

MARK = 0x68637101
DIGEST = 4


def blob(data):
    return struct.pack("<I", len(data)) + data


def message(body, mark=MARK):
    return struct.pack("<II", mark, len(body)) + body


@contextlib.contextmanager
def started(launcher=(), **more):
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    with ours, theirs:
        process = subprocess.Popen(
            [*launcher, PROGRAM], stdin=theirs, stdout=subprocess.DEVNULL,
            env=base_environment(), **more)
        theirs.close()
        try:
            yield process, ours
        finally:
            process.kill()
            process.wait()


def read(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise EOFError(data)
        data += more
    return data


def ask(sock, body):
    sock.sendall(message(body))
    mark, size = struct.unpack("<II", read(sock, 8))
    assert mark == MARK
    return read(sock, size)


def digest(sock, one, other):
    answer = ask(sock, bytes([DIGEST]) + blob(one) + blob(other))
    assert answer == bytes(4) + hashlib.sha256(one).digest() + hashlib.sha256(other).digest()


def test_has_nothing():
    """Also where who starts it has more: its answer shows that it has begun by then."""
    with open("/etc/passwd") as other:
        with started(pass_fds=[other.fileno()]) as (process, sock):
            digest(sock, b"a", b"b")
            status = proc_status(process.pid)
            assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
            assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapInh")} == {0}
            if os.geteuid() == 0:
                assert sorted(os.listdir(f"/proc/{process.pid}/fd")) == ["0", "1", "2"]


@pytest.mark.skipif(IS_SANITIZED, reason="sanitizers need what is refused")
def test_cannot_be_shut_in():
    """It says why, and answers nothing."""
    if "Landlock       yes" not in run_hatchd("-V").stdout:
        pytest.skip("there is no Landlock here that could fail")
    refuse = [built_helper("refuse-call"), str(LANDLOCK_RESTRICT_SELF), str(errno.EPERM)]
    with started(refuse, stderr=subprocess.PIPE, text=True) as (process, sock):
        assert process.communicate(timeout=TIMEOUT)[1] == (
            "hatchd-certificate: unable to leave the file system: Operation not permitted\n")
        assert process.returncode == 1
        assert sock.recv(1) == b""


def test_one_question_after_another():
    with started() as (process, sock):
        for i in range(100):
            digest(sock, b"x" * i, b"")
        sock.close()
        assert process.wait(TIMEOUT) == 0


def test_ends_with_who_has_started_it():
    """A loader that takes too long is killed, and what it has asked for may take for ever."""
    with started(["/bin/sh", "-c", '"$0"; :']) as (shell, sock):
        digest(sock, b"a", b"b")
        shell.kill()
        assert sock.recv(1) == b""


@pytest.mark.parametrize("text", [
    message(b""), message(bytes([77])), message(bytes([DIGEST]) + b"torn"),
    message(bytes([DIGEST]) + 2 * blob(b"x") + b"more"), message(b"", mark=MARK + 1),
    struct.pack("<II", MARK, 1 << 31),
])
def test_no_question(text):
    """Whoever asks what it does not understand is left without an answer."""
    with started() as (process, sock):
        sock.sendall(text)
        assert sock.recv(1) == b""
        assert process.wait(TIMEOUT) == 1


def test_is_not_for_people():
    done = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=base_environment(), timeout=TIMEOUT)
    assert done.returncode == 1
    assert re.fullmatch("hatchd-certificate: is started by hatchd-load\n", done.stderr)
