"""hatchd is killed at random moments while clients come and go, and others stay.

No service manager keeps its sockets: who comes while there is none is refused.  But the
next one serves at once, and who is being served is none the worse.

HATCHD_TEST_KILLS sets how often (default: 8 times), HATCHD_TEST_SEED the moments.
"""

import contextlib
import os
import random
import signal
import time

import pytest

from arrivals import Arrivals, endpoint
from certificates import needs_tls, secure
from harness import (
    Daemon, adopted, free_port, is_alive, service, stanza, take_time, talk, wait_until,
)
from tlsclient import Client, trusting

KILLS = int(os.environ.get("HATCHD_TEST_KILLS", "8"))
SEED = int(os.environ.get("HATCHD_TEST_SEED", "1"))

needs_root = pytest.mark.needs_root


def without_limits(name, *listen, **options):
    """A service that may have as many as come, from one source too."""
    return service(name, listen=list(listen), instances=2000, per_source="unlimited",
                   **options)


class Lives:
    """One hatchd after the other, with the same configuration.

    `gaps` are the spans of time in which there was none that served, as far as clients can
    know: from before the kill until after the next one has said that it is ready.
    """

    def __init__(self, folder, config):
        self.folder, self.config = folder, config
        self.daemons, self.gaps = [], []
        self.begin()

    def begin(self):
        self.daemons.append(Daemon(config=self.config, folder=self.folder))

    @property
    def daemon(self):
        return self.daemons[-1]

    def kill(self):
        """At once, and the next one begins; the children of the last one live."""
        killed = time.monotonic()
        self.daemon.signal(signal.SIGKILL)
        assert self.daemon.wait_end() == -signal.SIGKILL
        self.begin()
        self.gaps.append((killed, time.monotonic()))

    def in_a_gap(self, failure):
        """He came before there was somebody to serve him again, and that was noticed after
        the one who was to serve him had gone."""
        return any(failure["begun"] <= end and failure["at"] >= start
                   for start, end in self.gaps)

    def close(self):
        for daemon in self.daemons:
            daemon.close()


@contextlib.contextmanager
def lives(folder, config):
    with contextlib.closing(Lives(folder, config)) as those:
        yield those
        those.daemon.stop()


def wait_all_ended():
    """Who was left by those that were killed ends by itself, when his client has gone."""
    wait_until(lambda: not any(map(is_alive, adopted())), what="children of the dead end")


def waits(daemon):
    """Services that could not have their sockets."""
    return [line for line in daemon.text().splitlines() if ": waiting: " in line]


def test_killed_under_load(folder):
    """Refused is only who comes while there is none; who stays goes on through all of it."""
    take_time("HATCHD_TEST_KILLS")
    rng = random.Random(SEED)
    port, path = free_port(), f"unix:{folder}/sock"
    config = without_limits("cat", f"tcp:{port}", path, exec="/bin/cat")
    places = [endpoint(port), path]
    with lives(folder, config) as those, Arrivals(*places, lasting=places) as crowd:
        crowd.wait_settled()
        for _ in range(KILLS):
            crowd.wait_served(rng.randrange(1, 100))
            those.kill()
            assert waits(those.daemon) == [], "its ports were not free"
            assert talk(port, b"x") == b"x"
        crowd.wait_served(100)
        crowd.wait_served(100, "exchanges")
        totals = crowd.stop()
        outside = [one for one in crowd.failures if not those.in_a_gap(one)]
        assert outside == []
        assert [one for one in crowd.failures if one["lasting"]] == []
        assert totals["wrong"] == 0 and crowd.of("late") == []
        wait_all_ended()


def all_kinds(certificates, ports):
    """One for each way in which somebody can be served for long."""
    return (
        service("cat", listen=f"tcp:{ports[0]}", exec="/bin/cat")
        + stanza("service", "echo", listen=f"tcp:{ports[1]}", builtin="echo")
        + stanza("service", "relay", listen=f"tcp:{ports[2]}",
                 redirect=f"tcp:127.0.0.1:{ports[0]}")
        + secure(certificates, "tls", ports[3]))


@needs_tls
def test_whoever_is_served_goes_on(folder, certificates):
    """By programs, and by workers, which outlive the hatchd that has started them."""
    ports = [free_port() for _ in range(4)]
    config = all_kinds(certificates, ports)
    staying = [endpoint(port) for port in ports[:3]]
    with lives(folder, config) as those, Arrivals(lasting=staying) as crowd:
        crowd.wait_settled()
        with Client(ports[3], trusting(certificates)) as secret:
            secret.send(b"before\n")
            assert secret.read_line() == b"before"
            for number in range(3):
                those.kill()
                assert waits(those.daemon) == []
                crowd.wait_served(4 * crowd.n_lasting, "exchanges")
                secret.send(b"%d\n" % number)
                assert secret.read_line() == b"%d" % number
            secret.end()
            assert secret.read_all() == b""
        crowd.stop()
        assert crowd.failures == []
        wait_all_ended()
