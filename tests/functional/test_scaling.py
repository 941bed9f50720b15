"""packaging/examples/haproxy: three machines with hatchd behind one with haproxy.

The files are those of the example, with its addresses; what is other here is where the
programs lie, and that the service is one whose answers arrivals.py can judge.  The clients
are in the network of the tests, with several addresses.

HATCHD_TEST_RATE sets how many of them come in a second (default: 500), HATCHD_TEST_ROLLS how
often all machines are upgraded while they do (default: once), and HATCHD_TEST_ARRIVALS how
many of them there are to be, at least, in each test that counts them.  For a minute each:

    HATCHD_TEST_ROLLS=5 HATCHD_TEST_ARRIVALS=30000
"""

import contextlib
import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from arrivals import Arrivals, expect_all_served
from boxes import Box
from harness import (
    HATCHCTL, TIMEOUT, connect, make_folder, read_all, read_exactly, take_time, talk,
    wait_until,
)
from test_programs import need
from upgrades import Installed

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "packaging/examples/haproxy"
RATE = int(os.environ.get("HATCHD_TEST_RATE", "500"))
ROLLS = int(os.environ.get("HATCHD_TEST_ROLLS", "1"))
ARRIVALS = int(os.environ.get("HATCHD_TEST_ARRIVALS", "500"))

# haproxy's addresses for clients, and from which of theirs clients go to each.
FRONTS = {f"198.51.100.{n}": f"198.51.100.{100 + n}" for n in range(1, 5)}
BALANCER = "192.0.2.10"
HOSTS = {"hatch1": "192.0.2.1", "hatch2": "192.0.2.2", "hatch3": "192.0.2.3"}
PORT = 7777

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("scaling")]

# Who is not one of the clients is not served.
CAT = "shell = 'case $REMOTE_ADDR in 198.51.100.10[1-4]) exec cat ;; esac'"
WHO = "shell = 'echo $REMOTE_ADDR $PROXY_ADDR $(hostname)'"

CONFIG = """\
include_dir("services.d")
accounting { file = /run/records }
"""

# In the place of a service manager: the whole hatchd ends, and another one begins.
START = "hatchd -f /etc/hatchd/hatchd.conf --daemon --pid-file=/run/hatchd.pid"
RESTART = f"hatchctl drain --stop --timeout=10s && exec {START}\n"

# In the place of ssh.
REACH = """\
read -r pid <'{folder}/'"$1"'.pid' || exit 255
exec nsenter --target="$pid" --net --mount --uts --pid env PATH='{programs}':"$PATH" sh -c "$2"
"""


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


class Site:
    """All of it.  A server of haproxy has the name of its box."""

    def __init__(self, folder, stack):
        need("haproxy", "ip", "nsenter", "socat")
        self.folder = pathlib.Path(folder)
        self.programs = Installed(folder).folder
        shutil.copy(HATCHCTL, self.programs)
        self.reach = script(self.folder / "reach", REACH.format(
            folder=folder, programs=self.programs))
        script(self.programs / "restart", RESTART)
        self.stack = stack
        self.boxes = {}
        self.balancer = self._box("balancer")
        self._connect_servers()
        self._connect_clients(stack)
        for name in HOSTS:
            self.boot(name)
        self._start_haproxy()

    def _box(self, name):
        box = self.stack.enter_context(Box(name, self.folder))
        (self.folder / f"{name}.pid").write_text(f"{box.init}\n")
        return box

    def boot(self, name):
        """A machine with hatchd, that is there for the first time, or again."""
        self.boxes[name] = box = self._box(name)
        self.balancer.cable(box, name, "servers")
        box.ip("address", "add", f"{HOSTS[name]}/24", "dev", "eth0")
        self._start_hatchd(name)

    def _connect_servers(self):
        balancer = self.balancer
        try:
            balancer.ip("link", "add", "servers", "type", "bridge")
        except AssertionError:
            pytest.skip("this machine has no bridges")
        balancer.ip("address", "add", f"{BALANCER}/24", "dev", "servers")
        balancer.ip("link", "set", "servers", "up")

    def _connect_clients(self, stack):
        """Several clients: each goes to an address of haproxy's, from one of his own."""
        ip("link", "add", "hatchd-c", "type", "veth", "peer", "name", "clients", "netns",
           self.balancer.init)
        stack.callback(ip, "link", "delete", "hatchd-c")
        ip("link", "set", "hatchd-c", "up")
        self.balancer.ip("link", "set", "clients", "up")
        for front, client in FRONTS.items():
            self.balancer.ip("address", "add", f"{front}/24", "dev", "clients")
            ip("address", "add", f"{client}/24", "dev", "hatchd-c")
        for front, client in FRONTS.items():
            ip("route", "add", front, "dev", "hatchd-c", "src", client)

    def _install(self, name, path, replaced=()):
        """A file of the example."""
        text = (EXAMPLE / name).read_text()
        for old, new in (("/usr/bin/hatchctl", f"{self.programs}/hatchctl"), *replaced):
            text = text.replace(old, new)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        shutil.copymode(EXAMPLE / name, path)

    def install_service(self, name, program):
        """The one of the example, with another program."""
        self._install("upper.conf", self.boxes[name].etc / "hatchd/services.d/upper.conf",
                      [("exec           = { /usr/bin/tr, a-z, A-Z }", program)])

    def _start_hatchd(self, name):
        etc = self.boxes[name].etc / "hatchd"
        self.install_service(name, CAT)
        self._install("pool.conf", etc / "services.d/pool.conf")
        self._install("pool-agent", etc / "pool-agent")
        (etc / "hatchd.conf").write_text(CONFIG)
        self.on(name, START)

    def _start_haproxy(self):
        self._install("haproxy.cfg", self.balancer.etc / "haproxy/haproxy.cfg")
        self.on("balancer", "mkdir /run/haproxy && haproxy -D -q -f /etc/haproxy/haproxy.cfg")
        self.wait_status(*HOSTS, status="UP")
        # Until an agent has spoken, they are UP as well.
        wait_until(lambda: all(self.asked(name) >= 2 for name in HOSTS), what="the agents")

    def on(self, name, command, status=0):
        """A shell's command on one of the machines: what it has printed."""
        done = subprocess.run([self.reach, name, command], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=2 * TIMEOUT)
        assert done.returncode == status, done.stdout
        return done.stdout

    def begin_roll(self, *args):
        """rolling-upgrade of the example."""
        return subprocess.Popen(
            [EXAMPLE / "rolling-upgrade", "-e", self.reach, *args], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def roll(self, *args, status=0):
        """To its end: what it has said."""
        rolling = self.begin_roll(*args)
        said, _ = rolling.communicate()
        assert rolling.returncode == status, said
        return said

    # -- what haproxy thinks

    def servers(self):
        """{name: the columns of `show stat`}"""
        with connect(f"unix:{self.balancer.path('/run/haproxy/admin.sock')}") as admin:
            admin.sendall(b"show stat upper 4 -1\n")
            text = read_all(admin).decode().removeprefix("# ").strip()
        return {row["svname"]: row for row in csv.DictReader(text.splitlines())}

    def wait_status(self, *names, status):
        """Until haproxy says of each of them what begins like that."""
        wait_until(lambda: all(self.servers()[name]["status"].startswith(status)
                               for name in names), what=f"{names} are {status}")

    # -- what hatchd has done

    def asked(self, name):
        """How often an agent has answered haproxy."""
        said = self.on(name, "hatchctl list --raw --noheadings -o started pool")
        return int(said)

    def pid(self, name):
        return int(self.boxes[name].path("/run/hatchd.pid").read_text())

    def pids(self):
        return {name: self.pid(name) for name in HOSTS}

    def clients(self, name):
        """Addresses of all who were served there; none of who only looks."""
        with open(self.boxes[name].path("/run/records"), encoding="ascii") as file:
            records = [json.loads(line) for line in file if line.endswith("\n")]
        return {one["peer"].rpartition(":")[0] for one in records
                if one["service"] == "upper" and one["result"] == "exit"}


    def host_of(self, client):
        """Which machine serves him."""
        peer = ":".join(map(str, client.getsockname()))
        for name in HOSTS:
            if peer in self.on(name, "hatchctl connections -rno peer upper"):
                return name
        raise AssertionError(f"nobody serves {peer}")


def ip(*argv):
    subprocess.run(["ip", *map(str, argv)], check=True)


def endpoints():
    return [f"tcp:{front}:{PORT}" for front in FRONTS]


@contextlib.contextmanager
def machines():
    folder = make_folder()
    try:
        with contextlib.ExitStack() as stack:
            yield Site(folder, stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def all_there():
    """One for the tests that leave it as it was."""
    with machines() as made:
        yield made


@pytest.fixture
def site(all_there):
    """With all of its machines in the pool, as the files say, and without clients."""
    for name in HOSTS:
        all_there.on(name, "rm -f /run/out-of-pool; hatchctl reload")
    all_there.wait_status(*HOSTS, status="UP")
    wait_until(lambda: all(row["weight"] == "100" for row in all_there.servers().values()),
               what="all machines without clients")
    return all_there


def expect_clients_seen(site):
    """Each machine has served each of the clients, and the proxy is none."""
    for name in HOSTS:
        wait_until(lambda: site.clients(name) == set(FRONTS.values()),
                   what=f"records of {name} about all clients, and nobody else")


def expect_rate(totals):
    """Who asks for a rate wants it to have been one."""
    reached = totals["begun"] / totals["seconds"]
    print(f"{ROLLS} rolls, {reached:.0f}/s: {totals}")
    assert "HATCHD_TEST_RATE" not in os.environ or reached >= 0.95 * RATE


def test_upgraded_in_place(site):
    """Nobody is refused, reset or lost, of those who come and of those who stay."""
    take_time("HATCHD_TEST_ROLLS")
    before = site.pids()
    with Arrivals(*endpoints(), rate=RATE, lasting=endpoints()) as crowd:
        crowd.wait_settled()
        for _ in range(ROLLS):
            said = site.roll(*HOSTS)
            assert said.count("upgraded to hatchd ") == 3
            crowd.wait_served(ARRIVALS // ROLLS)
        crowd.wait_served(3 * crowd.n_lasting, "exchanges")
        expect_all_served(crowd)
    assert site.pids() == before
    expect_clients_seen(site)
    expect_rate(crowd.totals)


def test_replaced(site):
    """One after the other leaves the pool, ends, begins, and comes back."""
    take_time("HATCHD_TEST_ROLLS")
    before = site.pids()
    with Arrivals(*endpoints(), rate=RATE) as crowd:
        crowd.wait_served(100)
        for _ in range(ROLLS):
            said = site.roll("-p", "balancer", "-c", "restart", *HOSTS)
            assert re.findall(r"(\S+): is back", said) == list(HOSTS)
            crowd.wait_served(ARRIVALS // ROLLS)
        expect_all_served(crowd)
    after = site.pids()
    assert all(before[name] != after[name] for name in HOSTS)
    expect_clients_seen(site)
    expect_rate(crowd.totals)


def test_who_the_client_is(site):
    """They do not end their side: haproxy gives up who has nothing to say and ends it."""
    for name in HOSTS:
        site.install_service(name, WHO)
        site.on(name, "hatchctl reload")
    said = [talk(address, half_close=False).decode().split() for address in 3 * endpoints()]
    for name in HOSTS:
        site.install_service(name, CAT)
    assert [words[0] for words in said] == 3 * list(FRONTS.values())
    assert {words[1] for words in said} == {BALANCER}
    assert {words[2] for words in said} == set(HOSTS)


# ---------------------------------------------------------------------------
# What the agents say


@contextlib.contextmanager
def one_on_each(site):
    """{machine: a client that it serves}"""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for address in endpoints()[:3]]
        for client in clients:
            assert is_served(client)
        found = {site.host_of(client): client for client in clients}
        assert set(found) == set(HOSTS)
        yield found


def is_served(client):
    client.sendall(b"x")
    return read_exactly(client, 1) == b"x"


def test_weights(site):
    """As many as there is room for; where there is none nobody is sent who can go elsewhere."""
    weight = {}

    def is_so():
        weight.update((name, int(row["weight"])) for name, row in site.servers().items())
        return weight == {"hatch1": 76, "hatch2": 1, "hatch3": 100}

    site.on("hatch1", "hatchctl set upper instances 4")
    site.on("hatch2", "hatchctl set upper instances 1")
    with one_on_each(site):
        wait_until(is_so, what=f"the right weights, not {weight}")
        wait_until(lambda: "full" in site.on("hatch2", "hatchctl list -rno state upper"))


def test_drained_service(site):
    """No other clients are sent there, and who is there stays until he goes."""
    with one_on_each(site) as clients:
        draining = subprocess.Popen([site.reach, "hatch2", "hatchctl drain upper"])
        site.wait_status("hatch2", status=("DRAIN", "DOWN"))
        with contextlib.ExitStack() as stack:
            for address in endpoints():
                client = stack.enter_context(connect(address))
                assert is_served(client) and site.host_of(client) != "hatch2"
        assert all(is_served(client) for client in clients.values())
        assert draining.poll() is None
        clients["hatch2"].close()
        assert draining.wait(TIMEOUT) == 0
    site.on("hatch2", "hatchctl enable upper")
    site.wait_status("hatch2", status="UP")


# ---------------------------------------------------------------------------
# rolling-upgrade, step by step


def test_roll_waits_for_the_last_client(site):
    with one_on_each(site) as clients:
        run = "touch /run/run"
        said = site.roll("-p", "balancer", "-t", "1", "-c", run, "hatch1", status=1)
        assert "hatch1: after 1 s it still has clients" in said
        site.on("hatch1", "rm /run/out-of-pool; test ! -e /run/run")
        site.wait_status("hatch1", status="UP")
        rolling = site.begin_roll("-p", "balancer", "-c", run, "hatch1")
        site.wait_status("hatch1", status="DRAIN")
        assert is_served(clients["hatch1"])
        site.on("hatch1", "test ! -e /run/run")
        clients["hatch1"].close()
        assert rolling.wait(TIMEOUT) == 0
        site.on("hatch1", "test -e /run/run")
        assert is_served(clients["hatch2"]) and is_served(clients["hatch3"])


def expect_one_missing(site):
    """It is hatch1, and nothing begins then."""
    site.wait_status("hatch1", status=("DRAIN", "DOWN"))
    site.wait_status("hatch2", "hatch3", status="UP")
    said = site.roll("-p", "balancer", "-c", "restart", *HOSTS, status=1)
    assert "hatch1 is not UP in the pool; nothing was done" in said


def test_roll_ends_at_a_failure(site):
    """Before the next machine; and it does not begin while one is missing."""
    before = site.pids()
    said = site.roll("-p", "balancer", "-c", "false", *HOSTS, status=1)
    assert "hatch1: the command has failed" in said and "rm /run/out-of-pool" in said
    expect_one_missing(site)
    site.on("hatch1", "rm /run/out-of-pool")
    site.wait_status("hatch1", status="UP")
    end = "hatchctl drain --stop"
    said = site.roll("-p", "balancer", "-t", "3", "-c", end, *HOSTS, status=1)
    assert "hatch1: after 3 s it is not back in the pool" in said
    expect_one_missing(site)
    site.on("hatch1", START)
    site.wait_status("hatch1", status="UP")
    assert site.pid("hatch2") == before["hatch2"] and site.pid("hatch3") == before["hatch3"]
    said = site.roll("-p", "balancer", "-c", "restart", "nobody", status=1)
    assert "nobody is not UP in the pool; nothing was done" in said


@pytest.mark.parametrize("args", [(), ("-x", "hatch1"), ("-p", "balancer", "hatch1")])
def test_roll_usage(args):
    done = subprocess.run([EXAMPLE / "rolling-upgrade", *args], stderr=subprocess.PIPE)
    assert done.returncode == 2 and b"Usage: " in done.stderr


# ---------------------------------------------------------------------------
# One of them is gone


def expect_end(client, began, seconds):
    """Of who is silent, and whose machine does not answer any more."""
    client.settimeout(2 * seconds)
    with contextlib.suppress(ConnectionResetError):
        assert read_all(client) == b""
    assert time.monotonic() - began < seconds + 5


def test_one_loses_power(site):
    """Lost is at most who was there; others who come wait until haproxy tries another one.
    When it is there again it is in the pool again.

    Who is there and silent is told after half a minute: it is waited for in long runs.
    """
    with one_on_each(site) as clients:
        with Arrivals(*endpoints(), rate=min(RATE, 200), most=1000, patience=6) as crowd:
            crowd.wait_served(200)
            site.boxes["hatch2"].cut_power()
            dead = time.monotonic()
            there = int(site.servers()["hatch2"]["scur"])
            site.wait_status("hatch2", status="DOWN")
            crowd.wait_served(ARRIVALS)
            crowd.stop()
        assert all(is_served(clients[name]) for name in ("hatch1", "hatch3"))
        if ROLLS > 1:
            expect_end(clients["hatch2"], dead, 25)
    assert [one for one in crowd.failures if one["begun"] > dead] == []
    assert len(crowd.failures) < there, "one of them is there to stay"
    assert crowd.totals["wrong"] == crowd.totals["refused"] == 0
    # The cable is there for as long as the kernel tries to end what the dead one has had.
    site.balancer.ip("link", "delete", "hatch2")
    site.boot("hatch2")
    site.wait_status("hatch2", status="UP")
    print(f"{len(crowd.failures)} of {there} lost, slowest {crowd.totals['slowest']:.3f} s")
