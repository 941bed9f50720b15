"""What limits know, what operators have set and what is counted goes on over an upgrade.

A rate that is to be reached is one per hour, as in test_rates: nothing comes back meanwhile.
"""

import contextlib

import pytest

from harness import (
    connect, free_port, hatchctl, is_refused, read_all, reload, service, wait_until,
)
from test_bans import banned, bans, cat, change
from test_control import listed, status
from test_control_change import opened
from test_metrics import ask as ask_metrics
from test_rates import (
    BAD, HELLO, is_served, is_silent, is_turned_away, sensor, talk_or_nothing,
)

HOUR = 3600 * 1000000


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.fixture
def upgrade(path):
    def run():
        done = hatchctl("upgrade", "-s", path)
        assert done.returncode == 0, done

    return run


# ---------------------------------------------------------------------------
# Bans


def test_bans_of_operators(hatchd, path, upgrade):
    ports = [free_port(), free_port()]
    hatchd.file(service("a", listen=f"tcp:{ports[0]}", shell=HELLO)
                + service("b", listen=f"tcp:{ports[1]}", shell=HELLO), f"--control={path}")
    change(path, "ban 127.0.0.2")
    change(path, "ban 127.0.0.3 1h a")
    change(path, "ban 2001:db8::/32 unlimited b")
    before = banned(path)
    upgrade()
    assert banned(path) == before and len(before) == 3
    assert [line["left_usec"] is None for line in bans(path)] == [
        source != "127.0.0.3" for source, _, _ in before]
    [left] = [line["left_usec"] for line in bans(path) if line["source"] == "127.0.0.3"]
    assert 0 < left < HOUR
    assert is_turned_away(ports[0], source="127.0.0.2")
    assert is_turned_away(ports[1], source="127.0.0.2")
    assert is_turned_away(ports[0], source="127.0.0.3")
    assert is_served(ports[1], source="127.0.0.3")
    change(path, "unban 127.0.0.2")
    upgrade()
    assert is_served(ports[0], source="127.0.0.2")


def test_bans_of_rules(hatchd, path, upgrade):
    """From all services, and from one."""
    trap, port, other = free_port(), free_port(), free_port()
    hatchd.file(
        sensor(trap, "1h")
        + service("s", listen=f"tcp:{port}", shell=HELLO, per_source_rate="1/1h",
                  overflow_source="ban 2h")
        + service("o", listen=f"tcp:{other}", shell=HELLO), f"--control={path}")
    assert is_turned_away(trap, source=BAD)
    assert is_served(port, source="127.0.0.2")
    assert is_turned_away(port, source="127.0.0.2")
    before = sorted(banned(path))
    upgrade()
    assert sorted(banned(path)) == before == [
        ("127.0.0.2", "s", "rule"), (BAD, None, "rule")]
    assert is_turned_away(other, source=BAD)
    assert is_turned_away(port, source="127.0.0.2")
    assert is_served(other, source="127.0.0.2")
    assert is_served(port, source="127.0.0.4")


def test_bans_are_not_inherited(hatchd, path, upgrade):
    """A service that comes after another one has gone is not that one, whatever its number
    might have been, and neither is one that was there before it."""
    ports = [free_port() for _ in range(4)]

    def text(*names):
        return "".join(
            service(name, listen=f"tcp:{ports['abcd'.index(name)]}", shell=HELLO,
                    per_source_rate="1/1h", overflow_source="ban 2h") for name in names)

    daemon = hatchd.file(text("a", "b", "c"), f"--control={path}")
    for name in "abc":
        assert is_served(ports["abcd".index(name)], source=BAD)
    assert is_turned_away(ports[1], source=BAD)
    reload(daemon, text("b", "c"))
    reload(daemon, text("c", "b"))
    upgrade()
    assert banned(path) == [(BAD, "b", "rule")]
    reload(daemon, text("d", "a", "c"))
    upgrade()
    assert is_turned_away(ports[2], source=BAD)
    reload(daemon, text("d", "a", "b"))
    for name in "dab":
        assert is_served(ports["abcd".index(name)], source=BAD)


# ---------------------------------------------------------------------------
# Rates and counts


def test_rate(hatchd, path, upgrade):
    """Half used before, half after; and who waited waits."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=HELLO, rate="2/1h"), f"--control={path}")
    assert is_served(port)
    upgrade()
    assert is_served(port)
    with connect(port) as third:
        daemon.wait_log("s: rate of 2/h reached, new clients wait")
        upgrade()
        assert is_silent(third)
        reload(daemon, service("s", listen=f"tcp:{port}", shell=HELLO, rate="3/1h"))
        assert read_all(third) == b"hello\n"
    assert daemon.text().count("s: rate of 2/h reached") == 1


def test_rate_of_a_source(hatchd, path, upgrade):
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:{port}", shell=HELLO, per_source_rate="2/1h"),
                f"--control={path}")
    assert is_served(port)
    upgrade()
    assert is_served(port)
    assert is_turned_away(port)
    upgrade()
    assert is_turned_away(port)
    assert is_served(port, source="127.0.0.2")


def test_children_of_a_source(hatchd, path, upgrade):
    """They are counted once, also when there is something else to remember of him."""
    port = free_port()
    daemon = hatchd.file(
        service("cat", listen=f"tcp:{port}", exec="/bin/cat", per_source=2,
                per_source_rate="100/1h"), f"--control={path}")
    with opened(port) as first, contextlib.ExitStack() as stack:
        stack.enter_context(opened(port))
        upgrade()
        assert talk_or_nothing(port, data=b"x") == b""
        first.close()
        daemon.wait_children(1)
        stack.enter_context(opened(port))
        upgrade()
        assert talk_or_nothing(port, data=b"x") == b""
        assert status(path)["clients"] == 1
    daemon.wait_children(0)
    assert status(path)["clients"] == 0
    with opened(port), opened(port):
        pass


# ---------------------------------------------------------------------------
# What operators have set


def test_set(hatchd, path, upgrade):
    """Until the next reload, which puts back what is configured."""
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    change(path, "set a instances 1")
    upgrade()
    with opened(port) as one, connect(port) as waits:
        daemon.wait_log("a: full with 1 child")
        assert listed(path)[0]["instances"] == 1
        reload(daemon)
        waits.sendall(b"y")
        assert waits.recv(1) == b"y"
        one.sendall(b"y")
        assert one.recv(1) == b"y"


def test_disabled(hatchd, path, upgrade):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]) + cat("b", ports[1]), f"--control={path}")
    with opened(ports[0]) as client:
        change(path, "disable a")
        upgrade()
        assert is_refused(ports[0])
        client.sendall(b"y")
        assert client.recv(1) == b"y"
    with opened(ports[1]):
        pass
    change(path, "enable a")
    with opened(ports[0]):
        pass
    change(path, "disable a")
    upgrade()
    reload(daemon)
    with opened(ports[0]):
        pass


def test_log_level(hatchd, path, upgrade):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    change(path, "log-level debug")
    upgrade()
    mark = daemon.mark()
    with opened(port):
        daemon.wait_log("a: exec /bin/cat", after=mark)


# ---------------------------------------------------------------------------
# Counts


def test_counts(hatchd, path, upgrade):
    """They only grow, and each is counted once."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        cat("a", port)
        + service("b", listen=f"tcp:{other}", shell=HELLO, no_access=BAD), f"--control={path}")
    with opened(port):
        assert is_served(other)
        assert is_turned_away(other, source=BAD)
        reload(daemon)
        before = ask_metrics(path)
        since = status(path)["since"]
        upgrade()
        after = ask_metrics(path)
        assert abs(status(path)["since"] - since) <= 1
        assert status(path)["connections"] == 3
        for old, new in zip(before[:3], after[:3]):
            for key in ("accepted", "refused", "ended", "started", "reloads", "queue",
                        "wait"):
                assert old.get(key) == new.get(key), key
    daemon.wait_children(0)
    wait_until(lambda: ask_metrics(path)[0]["ended"]["success"] == 2)
    with opened(port):
        assert status(path)["connections"] == 4
