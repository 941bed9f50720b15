"""hatchd is killed again and again under load, while systemd keeps its sockets for it.

HATCHD_TEST_KILLS sets how often (default: 20 times), HATCHD_TEST_RATE how many clients come
in a second (default: 300), HATCHD_TEST_SEED the moments.
"""

import os
import random
import time

from arrivals import Arrivals, endpoint, expect_all_served
from container import STARTED, UNIT
from harness import free_port, service, stanza, take_time

KILLS = int(os.environ.get("HATCHD_TEST_KILLS", "20"))
RATE = int(os.environ.get("HATCHD_TEST_RATE", "300"))
SEED = int(os.environ.get("HATCHD_TEST_SEED", "1"))
RESTARTS = 5

# Whom a kill may cost his connection: who was taken out of the queue of a socket and not yet
# handed to anybody.  The next one is taken when that is done.
IN_HAND = 1

KEPT = """[Unit]
StartLimitIntervalSec=0
[Service]
FileDescriptorStoreMax=100
Restart=always
RestartSec=0
"""


class Kept:
    """A hatchd whose sockets are in the store; `gaps` are from each kill to the next start."""

    def __init__(self, machine):
        self.machine = machine
        self.path = "/run/cat.sock"
        self.ports = [free_port() for _ in range(3)]
        self.gaps = []
        machine.unit_file(f"{UNIT}.d/kept.conf", KEPT)
        machine.serve(self.text())
        machine.systemctl("start", "hatchd")
        self.n_starts = 1
        self.started = machine.journal(f"UNIT={UNIT}", f"MESSAGE_ID={STARTED}")
        self.started.wait()
        machine.wait_kept(len(self.places()))

    def text(self):
        cat, echo, relay = self.ports
        many = {"instances": 2000, "per_source": "unlimited"}
        return (
            service("cat", listen=[f"tcp:{cat}", f"unix:{self.path}"], exec="/bin/cat", **many)
            + stanza("service", "echo", listen=f"tcp:{echo}", builtin="echo", **many)
            + stanza("service", "relay", listen=f"tcp:{relay}",
                     redirect=f"tcp:127.0.0.1:{echo}", **many))

    def places(self):
        return [endpoint(port) for port in self.ports] + [
            f"unix:{self.machine.path(self.path)}"]

    def wait_started(self):
        self.n_starts += 1
        self.started.wait(count=self.n_starts)

    def kill(self):
        """It is restarted by systemd, and is ready when this returns."""
        pid = self.machine.main_pid()
        killed = time.monotonic()
        self.machine.kill("KILL", pid)
        self.wait_started()
        self.gaps.append((killed, time.monotonic()))

    def in_a_gap(self, failure):
        return any(failure["begun"] <= end and failure["at"] >= start
                   for start, end in self.gaps)


def test_killed_under_load(machine, record_property):
    """Nobody is refused, who is being served goes on, and a kill costs those in hand alone."""
    take_time("HATCHD_TEST_KILLS")
    rng = random.Random(SEED)
    kept = Kept(machine)
    with Arrivals(*kept.places(), rate=RATE, most=1000, lasting=kept.places()) as crowd:
        crowd.wait_settled()
        for _ in range(KILLS):
            crowd.wait_served(rng.randrange(1, 200))
            kept.kill()
            assert crowd.now()["refused"] == 0, crowd.failures
        crowd.wait_served(100)
        totals = crowd.stop()
    cut_off = crowd.of("send", "receive", "short")
    record_property("totals", totals)
    print(f"{KILLS} kills: {totals}")
    assert totals["refused"] == totals["wrong"] == 0 and crowd.of("connect", "late") == []
    assert [one for one in crowd.failures if one["lasting"]] == []
    assert [one for one in cut_off if not kept.in_a_gap(one)] == []
    assert len(cut_off) <= IN_HAND * KILLS
    assert totals["served"] + len(cut_off) == totals["begun"]


def test_restarted_under_load(machine):
    """An orderly one costs nobody anything."""
    kept = Kept(machine)
    with Arrivals(*kept.places(), rate=RATE, most=1000, lasting=kept.places()) as crowd:
        crowd.wait_settled()
        for _ in range(RESTARTS):
            crowd.wait_served(50)
            machine.systemctl("restart", "hatchd")
            kept.wait_started()
        crowd.wait_served(100)
        expect_all_served(crowd)
