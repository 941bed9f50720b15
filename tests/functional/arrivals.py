"""Clients that come all the time, and miss none of them who is not served: helpers/arrivals.c.

    with Arrivals("tcp:127.0.0.1:7777", lasting=["tcp:127.0.0.1:7777"]) as crowd:
        crowd.wait_served(100)                  # so many more, from now on
        os.kill(...)
    assert crowd.failures == []                 # one dictionary each
    assert crowd.totals["served"] == crowd.totals["begun"]
"""

import json
import subprocess

from harness import TIMEOUT, Log, built_helper, wait_until


def endpoint(port, kind="tcp"):
    return f"{kind}:127.0.0.1:{port}"


class Arrivals:
    """RATE a second in all, to one address after the other; `each` stay at each of `lasting`.

    The rest is as the program has it: at most so many at a time, bytes that they say,
    seconds that they wait, seconds between two exchanges of one who stays.
    """

    def __init__(self, *addresses, rate=500, most=200, size=100, patience=10, lasting=(),
                 each=2, interval=0.05):
        options = ["-r", rate, "-m", most, "-b", size, "-t", int(patience * 1000), "-n", each,
                   "-i", int(interval * 1000)]
        for address in lasting:
            options += ["-k", address]
        self.n_lasting = len(lasting) * each
        self.n_asked = 0
        self.totals = None
        self.process = subprocess.Popen(
            [built_helper("arrivals"), *map(str, options), *addresses],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.log = Log(self.process.stdout)

    def now(self):
        """The totals so far."""
        self.n_asked += 1
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return json.loads(self.log.wait('^{"begun"', count=self.n_asked).string)

    def wait_served(self, count, what="served"):
        """Until so many more have been served than now, or have exchanged words."""
        goal = self.now()[what] + count
        wait_until(lambda: self.now()[what] >= goal, what=f"{count} more {what}")

    def wait_settled(self):
        """Until whoever is to stay has been served once."""
        wait_until(lambda: self.now()["settled"] == self.n_lasting, what="who is to stay")

    @property
    def failures(self):
        return [json.loads(line) for line in self.log.text().splitlines()
                if line.startswith('{"failed"')]

    def of(self, *steps):
        """The failures in one of these steps."""
        return [failure for failure in self.failures if failure["failed"] in steps]

    def stop(self):
        """Those who are there are served, and nobody comes any more; returns the totals."""
        if self.totals is None:
            self.process.stdin.close()
            status = self.process.wait(2 * TIMEOUT)
            self.log.thread.join()
            assert status in (0, 1), self.log.text()
            self.totals = json.loads(self.log.wait('"over": true').string)
        return self.totals

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.stop()
        finally:
            self.process.kill()
            self.process.wait()


def expect_all_served(crowd):
    """Nobody was refused, reset, or lost, and who was to stay has stayed."""
    totals = crowd.stop()
    assert crowd.failures == [], totals
    assert totals["served"] == totals["begun"] > 0, totals
    assert totals["exchanges"] >= crowd.n_lasting, totals
