"""What operators are told who follow what happens."""

import contextlib
import json
import signal
import time

import pytest

from harness import connect, free_port, read_all, reload, service, talk, wait_until
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
