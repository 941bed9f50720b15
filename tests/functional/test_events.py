"""What operators are told who follow what happens."""

import contextlib
import json
import re
import select
import signal
import socket
import subprocess
import time

import pytest

from harness import (
    HATCHCTL, TIMEOUT, connect, free_port, hatchctl, read_all, reload, service, talk,
    wait_until,
)
from test_control import ask, cat, is_served, status

FOLLOWERS_MAX = 8  # src/master/follow.h


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


class Follower:
    """Somebody who follows; next() is the next event, without its time."""

    def __init__(self, path, words="events"):
        self.socket = connect(f"unix:{path}")
        self.socket.sendall(words.encode() + b"\n")
        self.file = self.socket.makefile("rb")
        self.first = self.read()

    def read(self):
        line = self.file.readline()
        return json.loads(line) if line else None

    def next(self):
        event = self.read()
        assert abs(event.pop("time_usec") / 1e6 - time.time()) < 60
        return event

    def has_more(self):
        """Is there something to read now?"""
        return bool(select.select([self.socket], [], [], 0)[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


def test_connections(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port, no_access="127.0.0.2"), f"--control={path}")
    with Follower(path) as follower:
        assert follower.first["event"] == "begin" and follower.first["service"] is None
        with connect(port) as client:
            opened = follower.next()
            assert opened["event"] == "open" and opened["service"] == "a"
            assert opened["peer"] == "127.0.0.1:%d" % client.getsockname()[1]
            assert [opened["pid"]] == daemon.wait_children(1)
        closed = follower.next()
        assert closed["event"] == "close" and closed["connection"] == opened["connection"]
        assert (closed["result"], closed["status"]) == ("exit", 0)
        assert closed["duration_usec"] > 0 and closed["cpu_usec"] >= 0
        with connect(port, source="127.0.0.2") as stranger:
            assert read_all(stranger) == b""
        refused = follower.next()
        assert (refused["event"], refused["reason"]) == ("refused", "no_access")
        assert refused["peer"].startswith("127.0.0.2:") and "banned_usec" not in refused


def test_workers_and_failures(hatchd, path, folder):
    port, broken = free_port(), free_port()
    program = folder / "program"
    program.write_text("no program")
    program.chmod(0o755)
    hatchd.file(
        service("b", listen=f"tcp:127.0.0.1:{port}", builtin="echo")
        + service("broken", listen=f"tcp:127.0.0.1:{broken}", exec=str(program)),
        f"--control={path}")
    with Follower(path) as follower:
        assert talk(f"tcp:127.0.0.1:{port}", b"hello") == b"hello"
        opened, closed = follower.next(), follower.next()
        assert opened["worker"] == closed["worker"] == "hatchd-builtin"
        assert (closed["bytes_in"], closed["bytes_out"]) == (5, 5)
        assert closed["result"] == "finished"
        with connect(broken) as client:
            assert read_all(client) == b""
        events = [follower.next() for _ in range(3)]
        assert {event["event"] for event in events} == {"open", "failed", "paused"}
        assert all(event["service"] == "broken" for event in events)
        [failed] = [event for event in events if event["event"] == "failed"]
        assert (failed["result"], failed["reason"]) == ("failed", "exec")


def test_one_service(hatchd, path):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    with Follower(path, "events b") as follower:
        assert follower.first["service"] == "b"
        assert is_served(ports[0]) and is_served(ports[1])
        assert [follower.next()["service"] for _ in range(2)] == ["b", "b"]
        # What is nobody's is everybody's.
        reload(daemon)
        assert follower.next() == {"event": "reload", "result": "done"}


def test_operators(hatchd, path):
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    with Follower(path) as follower:
        for request, event in (("disable a", "disabled"), ("disable a", None),
                               ("enable a", "enabled"), ("enable a", None)):
            assert ask(path, request)[0] == {"done": True}
            if event:
                assert follower.next() == {"event": event, "service": "a"}
        daemon.write("service {")
        ask(path, "reload")
        assert follower.next() == {
            "event": "reload", "result": "failed", "reason": "the files have mistakes"}


def test_over_an_upgrade(hatchd, path):
    """Who follows is told of it, and of all that happens before and after."""
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    with Follower(path) as all_of_it, Follower(path, "events b") as some:
        with connect(ports[0]) as client:
            opened = all_of_it.next()
            for number in range(3):
                mark = daemon.mark()
                daemon.signal(signal.SIGUSR2)
                daemon.wait_log("upgraded to hatchd", after=mark)
                for follower in (all_of_it, some):
                    told = follower.next()
                    assert (told["event"], told["result"]) == ("upgrade", "done"), number
                    assert told["hatchd"] == status(path)["hatchd"]
            client.shutdown(socket.SHUT_WR)
            closed = all_of_it.next()
            assert closed["event"] == "close"
            assert closed["connection"] == opened["connection"]
        assert talk(ports[1], b"x") == b"x"
        for follower in (all_of_it, some):
            assert [follower.next()["event"] for _ in range(2)] == ["open", "close"]


def test_failed_upgrade(hatchd, path):
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    daemon.write("nonsense\n")
    with Follower(path) as follower:
        daemon.signal(signal.SIGUSR2)
        told = follower.next()
        assert (told["event"], told["result"]) == ("upgrade", "failed")
        assert "refuses the configuration" in told["reason"]


def test_upgrade_and_who_does_not_read(hatchd, path):
    """What he has not taken goes along, and no event is cut in two."""
    port, visits = free_port(), 400
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with Follower(path) as follower:
        follower.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for _ in range(visits):
            assert talk(port, b"x") == b"x"
        daemon.signal(signal.SIGUSR2)
        daemon.wait_log("upgraded to hatchd")
        counts, events = {}, 2 * visits + 1
        # Those that were lost are told of with the next one that he can be told.
        while sum(counts.values()) < events:
            if not follower.has_more():
                assert talk(port, b"x") == b"x"
                events += 2
            told = follower.next()
            counts[told["event"]] = counts.get(told["event"], 0) + told.get("count", 1)
        assert counts.get("upgrade", 1) == 1 and len(counts) <= 4


def test_the_end(hatchd, path):
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    with Follower(path) as follower:
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_end() == 0
        assert follower.next() == {"event": "end"}
        assert follower.read() is None


def test_bound(hatchd, path):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    followers = [Follower(path) for _ in range(FOLLOWERS_MAX)]
    assert ask(path, "events") == [{"error": "as many follow already as may"}]
    # They keep nobody from asking.
    assert status(path)["state"] == "serving"
    followers.pop().__exit__()

    def there_is_room():
        with Follower(path) as follower:
            return follower.first.get("event") == "begin"

    wait_until(there_is_room)
    for follower in followers:
        follower.__exit__()


def refuse_one(port):
    with connect(port) as client:
        assert read_all(client) == b""


def test_one_that_does_not_read(hatchd, path):
    """He loses events, and learns how many; others lose none, and no client waits."""
    port = free_port()
    hatchd.file(cat("a", port, no_access="127.0.0.1"), f"--control={path}")
    with Follower(path) as keen, connect(f"unix:{path}") as lazy:
        lazy.sendall(b"events\n")
        n = 0
        # More than there is room for, here and in the kernel.
        while n < 4000:
            refuse_one(port)
            n += 1
            assert keen.next()["event"] == "refused"
        lazy.setblocking(False)
        data = b""

        def has_lost():
            nonlocal data, n
            with contextlib.suppress(BlockingIOError):
                while part := lazy.recv(65536):
                    data += part
            refuse_one(port)
            n += 1
            assert keen.next()["event"] == "refused"
            return b'"lost"' in data

        wait_until(has_lost)
        events = [json.loads(line) for line in data[:data.rindex(b"\n")].splitlines()]
        kinds = [event["event"] for event in events]
        assert kinds[0] == "begin" and kinds.count("lost") == 1
        lost = events[kinds.index("lost")]["count"]
        assert 0 < lost and kinds[:kinds.index("lost")].count("refused") + lost <= n
        # Nothing is missing but what is said to be.
        numbers = [event["connection"] for event in events if event["event"] == "refused"]
        assert numbers[-1] - numbers[0] + 1 == len(numbers) + lost


# ---------------------------------------------------------------------------
# hatchctl events

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "



class Watching:
    """hatchctl events that runs.  It follows once it has told of something."""

    def __init__(self, path, *args):
        self.process = subprocess.Popen(
            [HATCHCTL, "events", "-s", path, *args], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def wait_first(self, make):
        """Have something happen until it tells of it; returns that line."""
        def told():
            make()
            return select.select([self.process.stdout], [], [], 0.05)[0]

        wait_until(told, what="hatchctl tells of events")
        return self.process.stdout.readline()

    def end(self):
        out, err = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, out.splitlines(), err


def test_hatchctl(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port, no_access="127.0.0.2"), f"--control={path}")
    watching = Watching(path)
    line = watching.wait_first(lambda: reload(daemon))
    assert re.fullmatch(STAMP + "reload: done\n", line)
    with connect(port) as client:
        number = client.getsockname()[1]
        daemon.wait_children(1)
    daemon.wait_children(0)
    with connect(port, source="127.0.0.2") as stranger:
        assert read_all(stranger) == b""
    ask(path, "disable a")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_end() == 0
    status, lines, err = watching.end()
    assert (status, err) == (0, "")
    while re.fullmatch(STAMP + "reload: done", lines[0]):
        del lines[0]
    for line, pattern in zip(lines, (
            rf"a: open 1 from 127\.0\.0\.1:{number}, child \d+",
            rf"a: close 1 from 127\.0\.0\.1:{number}: exit 0, [0-9.]+ m?s",
            r"a: refused 2 from 127\.0\.0\.2:\d+: no_access",
            "a: disabled",
            "end"), strict=True):
        assert re.fullmatch(STAMP + pattern, line), line


def test_hatchctl_chooses(hatchd, path):
    """Some kinds of one service, as JSON, and so many."""
    ports = [free_port(), free_port()]
    hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    watching = Watching(path, "--json", "--event=close,refused", "--count=3", "b")
    first = watching.wait_first(lambda: all(is_served(port) for port in ports))
    while watching.process.poll() is None:
        is_served(ports[1])
    status, lines, err = watching.end()
    events = [json.loads(line) for line in [first, *lines]]
    assert (status, err) == (0, "")
    assert [(event["event"], event["service"]) for event in events] == [("close", "b")] * 3


def test_hatchctl_and_a_hatchd_that_dies(hatchd, path):
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    watching = Watching(path)
    watching.wait_first(lambda: reload(daemon))
    daemon.kill()
    status, _, err = watching.end()
    assert (status, err) == (1, f"hatchctl: unable to read from {path}: hatchd has gone\n")


@pytest.mark.parametrize("text, why", [
    (b'{"event":"open","service":"\\u001b[2J","connection":7}\n{"event":"end"}\n', None),
    (b"nonsense\n", "that is no answer of hatchd"),
    (b"x" * 20000, "that is no answer of hatchd"),
    (b'{"error":"\\u001b]0;x\\u0007"}\n', r"\x1b]0;x\x07"),
    (b"", "hatchd has gone"),
])
def test_hatchctl_and_somebody_else(folder, text, why):
    """Whoever answers there drives no terminal."""
    place = folder / "control"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        watching = Watching(place)
        with listener.accept()[0] as conn:
            conn.recv(100)
            conn.sendall(text)
            conn.shutdown(socket.SHUT_WR)
            status, lines, err = watching.end()
    if why is None:
        assert (status, err) == (0, "")
        assert lines[0].endswith(r"\x1b[2J: open 7")
    else:
        assert status == 1 and why in err and "\x1b" not in err


@pytest.mark.parametrize("args, why", [
    (["--event=opn"], "unknown event 'opn'; did you mean 'open'?"),
    (["--event="], "unknown event ''"),
    (["--count=0"], "--count: '0' is not a number above 0"),
    (["a", "b"], "there is one service"),
    (["-a-"], "unknown option '-a'"),
    (["--", "-a"], "'-a' is not the name of a service"),
    (["--control"], "the option '--control' needs a value"),
])
def test_hatchctl_misused(args, why):
    done = hatchctl("events", *args)
    assert done.returncode == 2 and why in done.stderr.decode()


def test_words_drive_no_terminal():
    """Scripts hand on what others have said."""
    done = hatchctl("ban", "\x1b]0;x\x07\u009b1m", "--service=\x1b[2J")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr and b"\x07" not in done.stderr
    assert rb"\x1b" in done.stderr and b"\xc2\x9b" not in done.stderr


def test_no_such_service(hatchd, path):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    for question in ("events b", "bans b", "connections b", "list b"):
        assert ask(path, question) == [{"error": "no such service"}]
    for command in (["events", "b"], ["bans", "b"], ["connections", "b"], ["list", "b"],
                    ["selftest", "b"], ["top", "-b", "-n1", "b"]):
        done = hatchctl("-s", path, *command)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr == b"hatchctl: no such service\n"


def test_hatchctl_help():
    assert b"Usage: hatchctl events" in hatchctl("events", "--help").stdout
    assert b"events " in hatchctl("--help").stdout
    done = hatchctl("events", "-s", "/nonexistent/control")
    assert done.returncode == 1 and b"is hatchd running?" in done.stderr
