"""What --plan says that a reload would do is what the reload does, whatever the files say.

One daemon is led through a row of random configurations.  Before each reload --plan is
asked; afterwards the sockets that the daemon has, by the numbers of their inodes, have to
be those that were foretold, at the addresses that the configuration has, and no others.

HATCHD_TEST_PAIRS sets how many reloads (default: 30), HATCHD_TEST_SEED where chance begins
(default: 1); what fails says both, and shows the two configurations.
"""

import contextlib
import copy
import ipaddress
import os
import random
import re
import signal

import pytest

from harness import (
    connect, free_port, proc_net, read_exactly, reload, run_hatchd, stanza, wait_until,
)

# A process that is not dumpable, as hatchd is, shows its descriptors to root only.
pytestmark = pytest.mark.needs_root

PAIRS = int(os.environ.get("HATCHD_TEST_PAIRS", "30"))
SEED = int(os.environ.get("HATCHD_TEST_SEED", "1"))

NAMES = ("amber", "birch", "cedar", "dune", "ember", "fjord", "grove")

FATES = ("kept", "adjusted", "reopened", "opened", "closed")


# ---------------------------------------------------------------------------
# Where a socket is bound: what an address leads to, and what the kernel's tables say


def place(address):
    """Of a canonical address: (table, host, port).  Any port, if it is to be chosen."""
    scheme, rest = address.split(":", 1)
    if scheme.startswith("unix"):
        return "unix", scheme, rest
    host, _, port = rest.rpartition(":")
    if not host:
        host = "0.0.0.0" if scheme.endswith("4") else "::"
    host = ipaddress.ip_address(host.strip("[]"))
    return scheme.rstrip("46") + ("6" if host.version == 6 else ""), str(host), int(port)


def unpacked(text):
    """Host and port of a table: words of 32 bits as this machine has them."""
    host, port = text.split(":")
    raw = b"".join(bytes.fromhex(host[i : i + 8])[::-1] for i in range(0, len(host), 8))
    host = str(ipaddress.ip_address(raw))
    # Those of which hatchd was told that it may choose have an address of their own.
    return host, 0 if host.startswith("127.0.9.") else int(port, 16)


def identity(address):
    """What a reload knows it by: at a path, whatever type of socket is there."""
    return re.sub("^unix[a-z-]*:/", "/", address)


UNIX_SCHEMES = {"0001": "unix", "0002": "unix-dgram", "0005": "unix-seqpacket"}


def places(daemon):
    """{place: inode} of the sockets where clients or datagrams come to the daemon."""
    mine = {int(re.search(r"\d+", target)[0]) for target in daemon.listening()}
    found = {}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for fields in proc_net(daemon.pid, table):
            if int(fields[9]) in mine:
                found[(table, *unpacked(fields[1]))] = int(fields[9])
    for fields in proc_net(daemon.pid, "unix"):
        if int(fields[6]) in mine:
            found["unix", UNIX_SCHEMES[fields[4]], fields[7]] = int(fields[6])
    assert len(found) == len(mine), f"two at one place: {found}, {mine}"
    return found


# ---------------------------------------------------------------------------
# Configurations


def one_or_none(rng, *choices):
    return [rng.choice(choices)] if rng.random() < 0.7 else []


def some(rng, *choices):
    return [choice for choice in choices if rng.random() < 0.4]


class Pool:
    """All addresses that there may be.  What is drawn at a time is free of overlaps."""

    def __init__(self, folder):
        self.folder = folder
        self.whole = [free_port() for _ in range(3)]
        self.parts = [free_port() for _ in range(2)]
        self.row = [free_port() for _ in range(5)]
        self.datagrams = [free_port() for _ in range(2)]

    def streams(self, rng):
        drawn = []
        for port in self.whole:
            drawn += one_or_none(rng, f"tcp:{port}", f"tcp4:{port}", f"tcp6:{port}",
                                 f"tcp:127.0.0.1:{port}")
        for port in self.parts:
            drawn += some(rng, f"tcp:127.0.0.1:{port}", f"tcp:127.0.0.2:{port}",
                          f"tcp:[::1]:{port}")
        drawn += some(rng, *(f"tcp:127.0.0.3:{port}" for port in self.row))
        for name in ("one", "two"):
            drawn += one_or_none(rng, f"unix:{self.folder}/{name}",
                                 f"unix-seqpacket:{self.folder}/{name}")
        drawn += some(rng, f"unix:@{self.folder.name}/a", f"unix:{self.folder}/sub/deep")
        return drawn

    def packets(self, rng):
        drawn = some(rng, f"unix-dgram:{self.folder}/three", f"unix-dgram:{self.folder}/four")
        for port in self.datagrams:
            drawn += one_or_none(rng, f"udp:{port}", f"udp4:{port}", f"udp:127.0.0.1:{port}",
                                 f"udp:[::1]:{port}")
        return drawn


def spelled(rng, address):
    """As somebody else might write it."""
    host = rng.choice(["[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]"])
    address = address.replace("[::1]", host)
    if re.fullmatch(r"tcp:\d+", address) and rng.random() < 0.5:
        return address.removeprefix("tcp:")
    return address


# What means the same to everybody whom the test asks something.
OPTIONS = {
    "instances": (10, 100, "unlimited"),
    "per_source": (10, "unlimited"),
    "rate": ("1000/s", "1000/s burst 2000"),
    "umask": ("022", "077"),
    "env": (["A=1"], ["A=2", "B=1"], []),
    "nice": (0, 5),
    "stderr": ("null", "log"),
    "only_from": (["127.0.0.0/8", "::1", "unix"], ["0.0.0.0/0", "::/0", "unix"]),
    "backlog": (16, 100, 4096),
    "reuse_port": (False, True),
    "transparent": (False, True),
    "free_bind": (False, True),
    "keepalive": (False, True),
    "keepalive_time": ("60s", "2min"),
    "nodelay": (False, True),
    "defer_accept": (0, "1s"),
    "fast_open": (0, 5),
    "ttl": (64, 65),
    "tos": (0, "0x10"),
    "priority": (1, 2),
    "mark": (0, 7),
    "broadcast": (False, True),
    "send_buffer": ("64K", "128K"),
    "receive_buffer": ("64K", "128K"),
    "v6only": (False, True),
    "socket_mode": ("0600", "0666"),
    "socket_user": ("root", "nobody"),
    "directory_mode": ("0755", "0711"),
    "remove_on_stop": (False, True),
}

DEFAULTS = ("instances", "per_source", "umask", "nice", "backlog", "keepalive", "ttl",
            "socket_mode", "send_buffer", "reuse_port")

PROGRAMS = {
    "cat": {"exec": ["/bin/cat"]},
    "shell": {"shell": "exec cat"},
    "builtin": {"builtin": "echo", "public": True},
    "lacking": {"exec": "/nonexistent"},
}


def draw_options(rng, names, chance):
    return {name: rng.choice(OPTIONS[name]) for name in names if rng.random() < chance}


class Service:
    """What one has in a configuration, and where it is to be found."""

    def __init__(self, rng, name, listen, packets):
        self.name = name
        self.listen = listen
        self.packets = packets
        self.chooses = not packets and rng.random() < 0.3
        self.options = draw_options(rng, OPTIONS, 0.1)
        self.draw_kind(rng)

    def draw_kind(self, rng):
        self.user = rng.choice(["nobody", "root", "daemon"])
        self.off = rng.random() < 0.1
        self.waits = rng.random() < (0.5 if self.packets else 0.2)
        self.program = rng.choice(["cat"] * 6 + ["builtin", "builtin", "shell", "lacking"])
        if self.program == "builtin" and (self.waits or any("unix-" in a for a in self.listen)):
            self.program = "cat"

    def again(self, rng):
        """What it may be in the next file."""
        then = copy.copy(self)
        then.listen = rng.sample(self.listen, len(self.listen))
        then.options = dict(self.options)
        if rng.random() < 0.3:
            name = rng.choice(list(OPTIONS))
            then.options[name] = rng.choice([*OPTIONS[name], None])
        if rng.random() < 0.15:
            then.draw_kind(rng)
        return then

    def addresses(self):
        """A port that is chosen belongs to the name of a service, and goes with it."""
        chosen = f"tcp:127.0.9.{1 + NAMES.index(self.name)}:0"
        return self.listen + ([chosen] if self.chooses else [])

    def is_served(self):
        return not self.off and self.program != "lacking"

    def echoes(self):
        return self.is_served() and not self.waits and not self.packets

    def text(self, rng):
        options = self.options | PROGRAMS[self.program]
        if self.off:
            options["disable"] = True
        if self.waits:
            options["wait"] = True
            options["only_from"] = None  # its program takes its clients itself
        if any("/deep" in address for address in self.listen):
            options.setdefault("directory_mode", "0755")
        listen = [spelled(rng, address) for address in in_rows(self.addresses())]
        return stanza("service", self.name, listen=listen, user=self.user, **options)


def in_rows(addresses):
    """Ports that follow each other, as a range."""
    found = []
    for address in addresses:
        head, _, port = address.rpartition(":")
        last = found[-1] if found else ""
        before = re.fullmatch(re.escape(head) + r":(?:(\d+)-)?(\d+)", last)
        if "127.0.0.3" in head and before and int(before[2]) + 1 == int(port):
            found[-1] = f"{head}:{before[1] or before[2]}-{port}"
        else:
            found.append(address)
    return found


class Configuration:
    """One of all there might be: another one altogether, or much like the one before."""

    def __init__(self, rng, pool, before=None):
        if before and rng.random() < 0.7:
            self.services = [service.again(rng) for service in before.services]
            self.defaults = before.defaults
            self.remove_one(rng)
            self.exchange(rng)
        else:
            self.services = []
            self.deal(rng, pool.streams(rng), NAMES[:5], False)
            self.deal(rng, pool.packets(rng), NAMES[5:], True)
            self.defaults = draw_options(rng, DEFAULTS, 0.1)
        if rng.random() < 0.5:
            rng.shuffle(self.services)
        text = [service.text(rng) for service in self.services]
        if self.defaults:
            text.insert(rng.randint(0, len(text)), stanza("defaults", **self.defaults))
        self.text = "".join(text)

    def deal(self, rng, addresses, names, packets):
        """Sockets of streams and of datagrams do not have the same services here."""
        hands = {name: [] for name in names}
        for address in addresses:
            hands[rng.choice(names)].append(address)
        self.services += [Service(rng, name, listen, packets)
                          for name, listen in hands.items() if listen]

    def remove_one(self, rng):
        if self.services and rng.random() < 0.2:
            self.services.remove(rng.choice(self.services))

    def exchange(self, rng):
        """Two may have each other's addresses; or a name is another one's."""
        packets = rng.random() < 0.3
        found = [service for service in self.services if service.packets == packets]
        if len(found) < 2 or rng.random() < 0.7:
            return
        one, two = rng.sample(found, 2)
        if rng.random() < 0.5:
            one.name, two.name = two.name, one.name
        else:
            one.listen, two.listen = two.listen, one.listen
        for service in one, two:
            service.draw_kind(rng)

    def addresses(self):
        """Those that are to be served, canonical."""
        return [a for service in self.services if service.is_served()
                for a in service.addresses()]


# ---------------------------------------------------------------------------
# Plans


class Plan:
    """What hatchd --plan has printed."""

    def __init__(self, text):
        self.text = text
        self.fates = {}  # of addresses; those of services that stay as they are are not told
        self.services = {"added": 0, "changed": 0, "removed": 0, "unchanged": 0}
        self.totals = {}
        self.nothing = text.startswith("nothing would change")
        for line in text.splitlines():
            self.take(line)
        self.check_totals()

    def take(self, line):
        address = re.fullmatch(rf"  ({'|'.join(FATES)}) +(\S+)(?: \(.*\))?", line)
        service = re.match(r"([\w.-]+): (new|enabled|changed|would|removed|disabled)", line)
        unchanged = re.match(r"(\d+) services? unchanged", line)
        if address:
            self.take_address(*address.groups())
        elif service:
            words = {"new": "added", "enabled": "added", "removed": "removed",
                     "disabled": "removed"}
            self.services[words.get(service[2], "changed")] += 1
        elif unchanged:
            self.services["unchanged"] = int(unchanged[1])
        elif re.fullmatch(r"(\d+ (\w+)(, )?)+", line):
            self.totals = {fate: int(n) for n, fate in re.findall(r"(\d+) (\w+)", line)}

    def take_address(self, fate, address):
        head, first, last = re.fullmatch(r"(.*?)(?:(?<=:)(\d+)(?:-(\d+))?)?", address).groups()
        ports = range(int(first), int(last or first) + 1) if first else [""]
        for known in (identity(f"{head}{port}") for port in ports):
            assert known not in self.fates, f"told twice: {known}"
            self.fates[known] = fate

    def check_totals(self):
        told = list(self.fates.values())
        assert self.totals == {fate: told.count(fate) for fate in FATES if fate in told}

    def fate(self, known):
        return self.fates.get(known, "kept")


def ask_plan(daemon):
    done = run_hatchd("--plan", "-f", daemon.config_path)
    assert done.returncode == 0, done.stderr + done.stdout
    return Plan(done.stdout)


# ---------------------------------------------------------------------------
# The comparison


class Walk:
    """A daemon on its way from one configuration to the next."""

    def __init__(self, hatchd, folder):
        self.pool = Pool(folder)
        self.rng = random.Random(SEED)
        self.here = Configuration(self.rng, self.pool)
        self.daemon = hatchd.file(self.here.text)
        self.sockets = self.settled()
        self.n_fates = dict.fromkeys(FATES, 0)

    def settled(self):
        """{identity: inode} of this configuration, when all is there and nothing else is."""
        wanted = {place(address): address for address in self.here.addresses()}
        found = {}

        def right():
            found.clear()
            # One may be closed while it is looked at.
            with contextlib.suppress(AssertionError):
                found.update(places(self.daemon))
            return found.keys() == wanted.keys()

        try:
            wait_until(right)
        except AssertionError:
            raise AssertionError(
                f"not served: {wanted.keys() - found.keys()}, "
                f"too much: {found.keys() - wanted.keys()}\n{self.daemon.text()}") from None
        return {identity(wanted[place]): inode for place, inode in found.items()}

    def go(self, number):
        """One reload.  Whatever the plan has said is true."""
        there = Configuration(self.rng, self.pool, self.here)
        before = self.here, self.sockets
        with self.client() as (client, sent):
            self.daemon.write(there.text)
            plan = ask_plan(self.daemon)
            assert set(places(self.daemon).values()) == set(before[1].values()), "looking"
            told = reload(self.daemon)
            self.here = there
            try:
                self.sockets = self.settled()
                self.compare(plan, before[1], told)
                if client:
                    client.sendall(sent)
                    assert read_exactly(client, len(sent)) == sent, "a client was lost"
            except AssertionError as error:
                raise AssertionError(
                    f"reload {number} of seed {SEED}: {error}\n{told}\n--- plan\n{plan.text}"
                    f"--- before\n{before[0].text}--- after\n{there.text}") from None

    def go_wrong(self):
        """With a mistake in the file nothing happens, and nothing is said to."""
        self.daemon.write(Configuration(self.rng, self.pool, self.here).text + "oops")
        done = run_hatchd("--plan", "-f", self.daemon.config_path)
        assert (done.returncode, "a reload would change nothing\n" in done.stdout) == (1, True)
        reload(self.daemon, line="unable to reload: ")
        assert set(places(self.daemon).values()) == set(self.sockets.values())

    @contextlib.contextmanager
    def client(self):
        """Whoever is connected stays so: what serves him finishes."""
        echoing = [address for service in self.here.services if service.echoes()
                   for address in service.listen
                   if not re.fullmatch(r"tcp6?:\d+", address)]
        if not echoing:
            yield None, b""
            return
        with connect(self.rng.choice(echoing)) as client:
            client.sendall(b"1")
            assert client.recv(1) == b"1"
            yield client, b"2"

    def compare(self, plan, before, told):
        self.compare_services(plan, told)
        had = set(before.values())
        for known in before.keys() | self.sockets.keys():
            fate = plan.fate(known)
            self.n_fates[fate] += 1
            then, now = before.get(known), self.sockets.get(known)
            real = {
                "kept": then == now,
                "adjusted": then == now,
                "reopened": then and now and now not in had,
                "opened": not then and now and now not in had,
                "closed": then and not now,
            }
            assert real[fate], f"{known} was to be {fate}: {then} -> {now}"
        strange = plan.fates.keys() - before.keys() - self.sockets.keys()
        assert not strange, f"nobody has or had {strange}"
        assert ask_plan(self.daemon).nothing, "something is still to be done"

    @staticmethod
    def compare_services(plan, told):
        counted = {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", told)}
        changes = {word: n for word, n in plan.services.items() if word != "unchanged"}
        if not any(changes.values()):
            assert told.endswith("nothing has changed"), "no service was to change"
        else:
            assert counted == plan.services


def test_a_reload_does_what_the_plan_says(hatchd, folder):
    if PAIRS > 100:
        signal.alarm(30 + PAIRS)  # the limit of a test is for the default
    walk = Walk(hatchd, folder)
    for number in range(1, PAIRS + 1):
        walk.go(number)
        if number % 15 == 0:
            walk.go_wrong()
    print(f"HATCHD_TEST_SEED={SEED} HATCHD_TEST_PAIRS={PAIRS}: {walk.n_fates}")
    # Chance has tried everything, more than once.
    assert PAIRS < 30 or min(walk.n_fates.values()) >= 5, walk.n_fates
    # With nothing to be served, nothing is left.
    reload(walk.daemon, "")
    wait_until(lambda: not walk.daemon.listening())
