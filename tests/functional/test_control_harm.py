"""Whoever may ask at the control socket means harm, or has gone mad.

Services are served meanwhile as if nobody asked, an operator is answered in time, what the
master has for those who ask is bounded, and when they have gone all is as it was.
"""

import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import statistics
import struct
import subprocess
import time

import pytest

from harness import (
    IS_SANITIZED, PYTHON, Loader, connect, free_port, hatchctl, helper, proc_net, read_all,
    service, talk, wait_until,
)
from namespace import with_mounts
from test_control import (
    ANSWERS_MAX, CLIENTS_MAX, dial, long_names, long_text, read_lines, status,
)
from test_events import FOLLOWERS_MAX, Follower
from test_harm import LONGEST, Probe, assert_waits, own_memory

needs_root = pytest.mark.needs_root

GID = 54321
STRANGER = 65534

IDLE = 1000
MAD = 4

# Seconds until an operator is answered, whoever is there.
ANSWERED = 2.0

# KiB that all who ask may cost: eight who are answered, what the allocator keeps, and the
# stacks of those who close for the master, of whom there are more where they seldom run.
# A sanitizer keeps what was freed.
COST = 1 << 20 if IS_SANITIZED else 8192


@contextlib.contextmanager
def crowd(path, folder, kind, count, uid):
    """Processes that do harm until the end of the context, as members of the group."""
    who = {} if uid == 0 else {"user": uid, "group": uid, "extra_groups": [GID]}
    script = helper("control-crowd.py", folder)
    # What they do to hatchd is the question, not what they do to the machine.
    process = subprocess.Popen(["nice", "-n", "19", PYTHON, script, path, kind, str(count)],
                               stdout=subprocess.PIPE, **who)
    try:
        assert process.stdout.readline() == b"there\n"
        yield process
        assert process.poll() is None, "they have given up"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def group_of_operators(folder):
    """A launcher: in there is a group whose members may look."""
    groups = folder / "group"
    groups.write_text(f"root:x:0:\nnogroup:x:65534:\nhatchd-admin:x:{GID}:\n")
    return with_mounts('mount --bind "$1" /etc/group || exit 99; shift; exec "$@"', groups)


def established(daemon):
    """Connections at UNIX sockets of the daemon that have a path: those of who asks."""
    mine = set(daemon.fds().values())
    return [fields for fields in proc_net(daemon.pid, "unix")
            if fields[5] == "03" and len(fields) > 7 and f"socket:[{fields[6]}]" in mine]


def seconds_until_answered(path, daemon):
    """As hatchctl asks: it waits for its turn to connect."""
    before = time.monotonic()
    with socket.socket(socket.AF_UNIX) as client:
        for option in socket.SO_SNDTIMEO, socket.SO_RCVTIMEO:
            client.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 60, 0))
        client.connect(str(path))
        client.sendall(b"status\n")
        assert json.loads(client.makefile().readline()).get("pid") == daemon.pid
    return time.monotonic() - before


@pytest.mark.alone
@needs_root
@pytest.mark.parametrize("uid", [0, STRANGER], ids=["same user", "another user"])
@pytest.mark.parametrize("kinds", [("idle", "flood"), ("half", "garbage"), ("unread", "flood")],
                         ids=" and ".join)
def test_crowd(hatchd, folder, kinds, uid):
    """A thousand who do nothing, and some who do what they can."""
    path = folder / "run" / "control"
    port, probed = free_port(), free_port()
    config = service("probed", listen=f"tcp:{probed}", exec="/bin/cat") + (
        long_text(long_names(), port) if "unread" in kinds else "")
    daemon = hatchd.file(config, f"--control={path}", launcher=group_of_operators(folder))
    seconds_until_answered(path, daemon)
    before = own_memory(daemon.pid)
    with crowd(path, folder, kinds[0], IDLE, uid), crowd(path, folder, kinds[1], MAD, uid):
        with Probe(probed):
            waited = [seconds_until_answered(path, daemon) for _ in range(10)]
            cost = own_memory(daemon.pid) - before
    assert statistics.median(waited) < ANSWERED
    assert max(waited) < ANSWERED + LONGEST
    assert cost < COST
    # They have gone: that they are closed is seen to by daemon.stop().
    daemon.wait_children(0)
    wait_until(lambda: daemon.count_fds() <= daemon.fds_at_start)
    assert seconds_until_answered(path, daemon) < LONGEST
    assert_waits(daemon)
    assert own_memory(daemon.pid) - before < COST


@needs_root
@pytest.mark.parametrize("uid", [0, STRANGER], ids=["same user", "another user"])
def test_followers(hatchd, folder, uid):
    """One of those who have taken all places to follow has to go for an operator."""
    path = folder / "run" / "control"
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat"),
                         f"--control={path}", launcher=group_of_operators(folder))
    seconds_until_answered(path, daemon)
    with crowd(path, folder, "follow", 20, uid):
        # Theirs are all taken when one more of them is turned away.
        wait_until(lambda: len(established(daemon)) >= FOLLOWERS_MAX)
        with Follower(path) as follower:
            assert follower.first["event"] == "begin"
            for _ in range(20):
                assert talk(port, b"x") == b"x"
                assert [follower.next()["event"] for _ in range(2)] == ["open", "close"]


def test_who_waits_for_a_reload(hatchd, folder, monkeypatch):
    """Takes no turn from others meanwhile, however many they are; all are told of its end."""
    path = folder / "run" / "control"
    loader = Loader(folder, monkeypatch)
    daemon = hatchd.file(service("s", listen=f"tcp:{free_port()}", exec="/bin/cat"),
                         f"--control={path}")
    loader.hold()
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(dial(path)) for _ in range(2 * ANSWERS_MAX)]
        for client in waiting:
            client.sendall(b"reload\n")
        pid = loader.wait_held()
        # Those whose request comes second wait for another reload.
        assert status(path)["reload"]["running"] is True
        for _ in range(5):
            assert seconds_until_answered(path, daemon) < ANSWERED
        loader.release(pid)
        for client in waiting:
            assert read_lines(client)[-1]["end"] is True


# So many that what is told of them is more than the kernel takes for who does not read.
LEFT = 1000

# Their names take as much room as can be.
LEAVE = f"""
import ctypes, os, signal
libc = ctypes.CDLL(None)
libc.prctl(15, b"\\x01" * 15)
for _ in range({LEFT}):
    if os.fork() == 0:
        signal.pause()
libc.prctl(15, b"parent")
os.execve("/bin/cat", ["cat"], {{}})
"""


@contextlib.contextmanager
def left_behind(mark):
    """Processes that say so of themselves."""
    environment = {"MARK": mark, "HATCHD_SERVICE": "s" * 64,
                   "HATCHD_CONNECTION": str(2**64 - 1)}
    begin = 'export HATCHD_MASTER="$MARK-$$"; exec "$@"'
    process = subprocess.Popen(["/bin/sh", "-c", begin, "sh", PYTHON, "-S", "-E", "-c", LEAVE],
                               env=environment, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()


def family_of(daemon, port):
    """As the mark of its children says it."""
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        (child,) = daemon.children()
        environ = pathlib.Path(f"/proc/{child}/environ").read_text()
    return environ.split("HATCHD_MASTER=")[1].split("-")[0]


@needs_root
def test_who_waits_for_orphans(hatchd, folder):
    """When what all have waited for comes, they are answered as others are: a few at a time,
    and who does not read has his turn taken away."""
    path = folder / "run" / "control"
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat"),
                         f"--control={path}")
    mark = f"{family_of(daemon, port)}-999999-1"
    with contextlib.ExitStack() as stack:
        stack.enter_context(left_behind(mark))
        wait_until(lambda: hatchctl("orphans", "-s", path).stdout.count(b"\n") == LEFT + 1)
        wait_until(lambda: not established(daemon))
        waiting = [stack.enter_context(dial(path)) for _ in range(CLIENTS_MAX)]
        for client in waiting:
            client.sendall(b"orphans\n")
        wait_until(lambda: len(select.select(waiting, [], [], 0)[0]) > ANSWERS_MAX)
        for _ in range(3):
            before = time.monotonic()
            # Another process, which has fewer of them.
            assert hatchctl("status", "-s", path).returncode == 0
            assert time.monotonic() - before < ANSWERED + LONGEST


def test_too_many_who_have_asked(hatchd, folder):
    """Who has too many loses his last ones, and is told why."""
    path = folder / "run" / "control"
    names = long_names()
    hatchd.file(long_text(names, free_port()), f"--control={path}")
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(CLIENTS_MAX + 1):
            clients.append(stack.enter_context(dial(path)))
            clients[-1].sendall(b"list\n")
        assert read_lines(clients[-1]) == [{"error": "too many ask at once"}]
        # The others get their turns, as soon as those before them have read, or have not.
        data = [read_all(client) for client in clients[:-1]]
    assert all(text.startswith(b'{"service":"first"') for text in data)
    assert any(b'"end":true' in text for text in data)
