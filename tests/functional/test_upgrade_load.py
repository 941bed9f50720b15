"""Upgrades under load: whoever comes is served, whoever stays goes on, and nothing leaks.

HATCHD_TEST_UPGRADES sets how often (default: 10 times, with as many reloads for each),
HATCHD_TEST_RATE how many clients come in a second (default: 300), and HATCHD_TEST_ARRIVALS
how many of them there are to be, at least.  For a minute of 2,000 a second:

    HATCHD_TEST_UPGRADES=100 HATCHD_TEST_RATE=2000 HATCHD_TEST_ARRIVALS=120000
"""

import os
import re
import time
from collections import Counter

import pytest

from arrivals import Arrivals, endpoint, expect_all_served
from certificates import needs_tls, secure
from harness import (
    IS_SANITIZED, Probe, free_port, helper, proc_fds, proc_stat, reload, service, take_time,
    talk, wait_until, workers,
)
from test_restart_load import without_limits
from tlsclient import Client, trusting
from upgrades import UPGRADES, upgrade

RELOADS = 10  # for each upgrade
RATE = int(os.environ.get("HATCHD_TEST_RATE", "300"))
ARRIVALS = int(os.environ.get("HATCHD_TEST_ARRIVALS", 10 * UPGRADES))
MEMORY = 1 << 20  # bytes that it may have more in the end


class Site:
    """Every way in which somebody is served; each reload changes one service of no interest."""

    def __init__(self, hatchd, folder, certificates):
        self.certificates = certificates
        self.path = f"unix:{folder}/sock"
        self.names = "cat", "echo", "relay", "tls", "grams", "onward"
        self.ports = {name: free_port() for name in self.names}
        self.n_texts = 0
        self.daemon = hatchd.file(self.text())
        self.pid, self.started = self.daemon.pid, proc_stat(self.daemon.pid)[19]

    def text(self):
        self.n_texts += 1
        at = self.ports
        return (
            without_limits("cat", f"tcp:{at['cat']}", self.path, exec="/bin/cat")
            + without_limits("echo", f"tcp:{at['echo']}", endpoint(at["echo"], "udp"),
                             builtin="echo", user=None)
            + without_limits("relay", f"tcp:{at['relay']}", user=None,
                             redirect=f"tcp:127.0.0.1:{at['echo']}")
            + secure(self.certificates, "tls", at["tls"])
            + without_limits("grams", f"udp:{at['grams']}", exec="/bin/cat")
            + without_limits("onward", f"udp:{at['onward']}", user=None,
                             redirect=f"udp:127.0.0.1:{at['echo']}")
            + service("changing", listen=f"unix:{self.path.partition(':')[2]}-2",
                      exec="/bin/cat", env=[f"N={self.n_texts}"])
        )

    def reload(self):
        reload(self.daemon, self.text())

    def streams(self):
        return [endpoint(self.ports[name]) for name in ("cat", "echo", "relay")] + [self.path]

    def datagrams(self):
        return [endpoint(self.ports[name], "udp") for name in ("echo", "grams", "onward")]

    def tls(self):
        return Client(self.ports["tls"], trusting(self.certificates))

    def expect_same_process(self):
        assert proc_stat(self.pid)[19] == self.started


@pytest.fixture
def site(hatchd, folder, certificates):
    return Site(hatchd, folder, certificates)


def expect_rate(totals):
    """Who asks for a rate wants it to have been one."""
    reached = totals["begun"] / totals["seconds"]
    print(f"{UPGRADES} upgrades, {UPGRADES * RELOADS} reloads, {reached:.0f}/s: {totals}")
    assert "HATCHD_TEST_RATE" not in os.environ or reached >= 0.95 * RATE


@needs_tls
def test_upgraded_under_load(site):
    """Nobody is refused, reset or lost, of those who come, and of those who stay."""
    take_time("HATCHD_TEST_UPGRADES")
    places = site.streams()
    with Arrivals(*places, rate=RATE, lasting=places) as crowd, site.tls() as secret:
        crowd.wait_settled()
        for number in range(UPGRADES):
            upgrade(site.daemon)
            secret.send(b"%d\n" % number)
            assert secret.read_line() == b"%d" % number
            for _ in range(RELOADS):
                site.reload()
            crowd.wait_served(ARRIVALS // UPGRADES)
            assert crowd.failures == []
        crowd.wait_served(3 * crowd.n_lasting, "exchanges")
        secret.end()
        assert secret.read_all() == b""
        expect_all_served(crowd)
        expect_rate(crowd.totals)
    site.expect_same_process()


def test_datagrams_under_upgrades(site):
    """They wait in the socket, too; but who had sent one and not heard yet is asked again."""
    with Arrivals(*site.datagrams(), rate=60, patience=1) as crowd:
        spans = []
        for _ in range(3):
            crowd.wait_served(20)
            began = time.monotonic()
            upgrade(site.daemon)
            spans.append((began, time.monotonic()))
        crowd.wait_served(20)
        totals = crowd.stop()
    assert totals["refused"] == totals["reset"] == totals["wrong"] == 0, crowd.failures
    assert [one for one in crowd.failures if not any(
        began - 1 <= one["begun"] <= ended for began, ended in spans)] == []


# ---------------------------------------------------------------------------
# Leaks


def kinds_of_fds(pid):
    """How many there are of each kind; numbers of sockets and of pipes are not compared."""
    return Counter(re.sub(r"\d+", "N", what) for what in proc_fds(pid).values())


def maps(pid):
    """How often each file is mapped."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        lines = [line.split() for line in file]
    return Counter(fields[5] for fields in lines if len(fields) > 5)


class Seen:
    """What a hatchd has.  Some of it goes in a moment, also of what is seen before."""

    def __init__(self, daemon):
        self.fds, self.maps = kinds_of_fds(daemon.pid), maps(daemon.pid)
        self.workers, self.children = workers(daemon.pid), daemon.children()

    def is_no_more_than(self, other):
        return (not self.fds - other.fds and not self.maps - other.maps
                and len(self.workers) <= len(other.workers)
                and self.children == other.children)


def memory(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@needs_tls
@pytest.mark.needs_root
def test_nothing_leaks(site):
    """Not more descriptors, maps, and workers after the last upgrade than after the second."""
    take_time("HATCHD_TEST_UPGRADES")
    pid = site.pid
    with Arrivals(lasting=site.streams()) as crowd, site.tls():
        crowd.wait_settled()
        for _ in range(2):
            upgrade(site.daemon)
        before, pages = Seen(site.daemon), memory(pid)
        for _ in range(UPGRADES):
            upgrade(site.daemon)
        wait_until(lambda: Seen(site.daemon).is_no_more_than(before), what="as many as before")
        assert IS_SANITIZED or memory(pid) <= pages + MEMORY
        expect_all_served(crowd)


def test_program_inherits_nothing_more(hatchd, folder):
    """What it is started with is as it was before: descriptors, environment, signals."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec=helper("probe", folder)))

    def look():
        found = Probe(talk(port))
        signals = {name: found.status[name] for name in ("SigBlk", "SigIgn")}
        return sorted(found.fds), sorted(found.env), signals, found.limits

    before = look()
    for _ in range(3):
        upgrade(daemon)
        assert look() == before
