"""hosts_access: who may come in by hosts.allow and hosts.deny."""

import random
import re
import shutil
import subprocess

import pytest

from harness import (
    HATCHD, base_environment, connect, free_port, hello, read_all, reload, service, talk,
)
from nameserver import NEVER, NXDOMAIN, PTR, SERVFAIL, A, Identd, NameServer, good, pointer, \
    reverse
from namespace import Resolver, with_mounts
from test_callers import proxied, v1

pytestmark = pytest.mark.needs_root

HOST, OTHER, THIRD = "127.0.0.5", "127.0.0.6", "127.0.0.7"
NAME = "good.example.org"
SERVERS = "127.0.0.1", "127.0.0.2", "127.0.0.3"


class Files:
    """An /etc in which hosts.allow and hosts.deny say that."""

    def __init__(self, folder):
        self.etc = folder / "etc"
        subprocess.run(["cp", "-a", "/etc", self.etc], check=True)
        self.launcher = with_mounts('mount --bind "$1" /etc && shift && exec "$@"', self.etc)
        self.write()

    def write(self, allow="", deny=""):
        for name, text in ("hosts.allow", allow), ("hosts.deny", deny):
            path = self.etc / name
            path.write_text(text)
            path.chmod(0o644)

    def run(self, *args):
        done = subprocess.run([*self.launcher, HATCHD, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=base_environment(), check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def files(folder):
    return Files(folder)


@pytest.fixture
def start(hatchd, files):
    def started(*texts, **more):
        return hatchd.file("".join(texts), "-v", launcher=files.launcher, **more)

    return started


@pytest.fixture
def dns():
    with NameServer(*SERVERS) as server:
        server.host(NAME, HOST)
        yield server


@pytest.fixture
def asked(hatchd, folder, files, dns):
    """start(), of a daemon that asks these servers."""
    resolver = Resolver(folder, *SERVERS)

    def started(*texts, **more):
        launcher = [*files.launcher, *resolver.launcher]
        return hatchd.file("".join(texts), "-v", launcher=launcher, **more)

    yield started
    dns.release()


def guarded(name, port, **options):
    return hello(name, port, hosts_access=True, **options)


def comes_in(port, source, name="s"):
    return talk(port, source=source) == name.encode()


def refused(daemon, source, name="s", known=""):
    daemon.wait_log(rf"{name}: refused {source}:\d+{known}: hosts_access$")


# ---------------------------------------------------------------------------
# Addresses


def test_order(start, files):
    """hosts.allow, then hosts.deny; who is in neither comes in."""
    files.write(f"s: {HOST}\n", f"s: 127.0.0.4/31 {OTHER}\n")
    port = free_port()
    daemon = start(guarded("s", port))
    assert comes_in(port, HOST)
    assert comes_in(port, THIRD)
    assert not comes_in(port, OTHER)
    refused(daemon, OTHER)
    assert not comes_in(port, "127.0.0.4")
    refused(daemon, "127.0.0.4")


def test_whose_rules(start, files):
    """By the name of the service, by that of its program, and of no other; nobody else's."""
    files.write("a: ALL\nb: ALL : DENY\n", "ALL EXCEPT echo: ALL\n")
    ports = [free_port() for _ in range(4)]
    start(guarded("a", ports[0]), guarded("b", ports[1]), guarded("c", ports[2]),
          hello("b2", ports[3]))
    assert comes_in(ports[0], HOST, "a")
    assert not comes_in(ports[1], HOST, "b")
    assert comes_in(ports[2], HOST, "c")
    assert comes_in(ports[3], HOST, "b2")


def test_after_only_from(start, files):
    """Both have to let him in."""
    files.write(f"s: {HOST} {OTHER}\n", "ALL: ALL\n")
    port = free_port()
    daemon = start(guarded("s", port, only_from=[HOST, THIRD], no_access="127.0.0.8"))
    assert comes_in(port, HOST)
    assert not comes_in(port, OTHER)
    daemon.wait_log(rf"s: refused {OTHER}:\d+: only_from$")
    assert not comes_in(port, THIRD)
    refused(daemon, THIRD)


def test_our_address(start, files):
    files.write("s@127.0.0.2: ALL\n", "s: ALL\n")
    port = free_port()
    start(service("s", listen=f"tcp4:{port}", exec=["/bin/echo", "-n", "s"],
                  hosts_access=True))
    assert talk(f"tcp:127.0.0.2:{port}", source=HOST) == b"s"
    assert talk(f"tcp:127.0.0.1:{port}", source=HOST) == b""


def test_through_a_proxy(start, files):
    """Who he really is."""
    files.write("", "s: 192.0.2.1\n")
    port = free_port()
    start(proxied("s", listen=f"tcp:127.0.0.1:{port}", exec=["/bin/echo", "-n", "s"],
                  hosts_access=True))
    for host, answer in ("192.0.2.1", b""), ("192.0.2.2", b"s"):
        with connect(port) as sock:
            sock.sendall(v1(host))
            assert read_all(sock) == answer


def test_datagrams(start, files):
    """Each sender who is to have a program."""
    files.write(f"s: {HOST}\n", "ALL: ALL\n")
    port = free_port()
    daemon = start(service("s", listen=f"udp:127.0.0.1:{port}",
                           exec=["/usr/bin/head", "-c", "1"], hosts_access=True))
    with connect(f"udp:127.0.0.1:{port}", source=OTHER) as sock:
        sock.send(b"x")
        refused(daemon, OTHER)
    with connect(f"udp:127.0.0.1:{port}", source=HOST) as sock:
        sock.send(b"x")
        assert sock.recv(10) == b"x"


def test_reload(start, files):
    """Another file is another service, and a mistake in it changes nothing."""
    files.write("s: ALL\n")
    port = free_port()
    daemon = start(guarded("s", port))
    assert comes_in(port, HOST)
    assert "nothing has changed" in reload(daemon)
    files.write("", f"s: {HOST}\n")
    assert "1 changed" in reload(daemon)
    assert not comes_in(port, HOST)
    assert comes_in(port, OTHER)
    files.write("", "s: @everybody\n")
    reload(daemon, line="keeping ")
    daemon.wait_log(r"/etc/hosts\.deny:1:4: error: '@everybody' is a netgroup")
    assert not comes_in(port, HOST)
    (files.etc / "hosts.deny").unlink()
    assert "1 changed" in reload(daemon)
    assert comes_in(port, HOST)


def test_mistake_at_start(files, folder):
    """A service whose rules are not understood is not served."""
    files.write("ALL: ALL: spawn /bin/true\n")
    path = folder / "c.conf"
    path.write_text(guarded("s", 7))
    status, _, err = files.run("--check", "-f", path)
    assert status != 0
    assert "/etc/hosts.allow:1:11: error: option 'spawn' is not for hatchd: " in err
    assert "    1 | ALL: ALL: spawn /bin/true\n" in err


# ---------------------------------------------------------------------------
# Names and users


def test_names(asked, files, dns):
    files.write("s: .example.org KNOWN EXCEPT bad.example.org\n", "ALL: ALL\n")
    dns.host("bad.example.org", OTHER)
    port = free_port()
    daemon = asked(guarded("s", port, resolve=True))
    assert comes_in(port, HOST)
    assert not comes_in(port, OTHER)
    refused(daemon, OTHER, known=r" \(bad\.example\.org\)")
    assert not comes_in(port, THIRD)
    refused(daemon, THIRD)


def test_decided_by_address(asked, files, dns):
    """Nobody asks for the name of whom his address keeps out."""
    files.write("s: 127.0.0.8 : DENY\ns: .example.org\n", "ALL: ALL\n")
    port = free_port()
    daemon = asked(guarded("s", port, resolve=True))
    assert not comes_in(port, "127.0.0.8")
    refused(daemon, "127.0.0.8")
    assert comes_in(port, HOST)
    assert dns.asked[reverse("127.0.0.8"), PTR] == 0


def test_words(asked, files, dns):
    """Who has no name, and whose name is a lie, are two."""
    ports = {word: free_port() for word in ("KNOWN", "UNKNOWN", "PARANOID", "LOCAL")}
    files.write("".join(f"s{word}: {word}\n" for word in ports), "ALL: ALL\n")
    dns.put(reverse(OTHER), PTR, pointer("lie.example.org"))
    dns.put("lie.example.org", A, NXDOMAIN)
    dns.host("short", "127.0.0.9")
    asked(*(guarded(f"s{word}", port, resolve=True) for word, port in ports.items()))
    for word, hosts in (("KNOWN", {HOST, "127.0.0.9"}), ("UNKNOWN", {THIRD}),
                        ("PARANOID", {OTHER}), ("LOCAL", {"127.0.0.9"})):
        for host in HOST, OTHER, THIRD, "127.0.0.9":
            assert comes_in(ports[word], host, f"s{word}") == (host in hosts), (word, host)


@pytest.mark.parametrize("what", [NEVER, SERVFAIL], ids=["late", "failed"])
def test_no_answer(asked, files, dns, what):
    """What cannot be found out lets nobody in, and keeps out whom it could be about."""
    dns.put(reverse(OTHER), PTR, what)
    ports = [free_port() for _ in range(4)]
    files.write("a: .example.org\na: ALL: DENY\nd: 127.0.0.6\n",
                "b: .evil.org\nc: PARANOID\nd: .evil.org\n")
    daemon = asked(*(guarded(name, port, resolve=True, lookup_timeout="300ms")
                     for name, port in zip("abcd", ports)))
    for name, port in zip("abc", ports):
        assert not comes_in(port, OTHER, name)
        refused(daemon, OTHER, name)
    assert comes_in(ports[3], OTHER, "d")
    # That there is none is an answer.
    assert comes_in(ports[1], THIRD, "b")
    assert comes_in(ports[2], THIRD, "c")


def test_users(asked, files):
    files.write("s: joe@127.\n", "ALL: ALL\n")
    port = free_port()
    with Identd(HOST, good(b"joe")), Identd(OTHER, good(b"jim")):
        daemon = asked(guarded("s", port, ident="yes"))
        assert comes_in(port, HOST)
        assert not comes_in(port, OTHER)
        refused(daemon, OTHER, known=r" \(user jim\)")
        assert not comes_in(port, THIRD)
        refused(daemon, THIRD)


# ---------------------------------------------------------------------------
# What is said about them


def test_explain(files, folder):
    files.write("# rules\ns: 10.1.\ns: .example.org\n", "s: 10.2.\n\ns: ALL\n")
    path = folder / "c.conf"
    path.write_text(service("s", listen="tcp:0.0.0.0:7", exec="/bin/cat", hosts_access=True,
                            resolve=True))
    at = next(n for n, line in enumerate(path.read_text().split("\n"), 1)
              if line.startswith("hosts_access"))

    status, out, _ = files.run("--explain", "s", "10.1.2.3", "-f", path)
    assert status == 0
    assert "client       10.1.2.3 is admitted\n" in out
    assert (f"hosts_access /etc/hosts.allow:2 lets him in, by hosts_access, {path}:{at}\n"
            in out)
    assert "looked up    his name, by resolve, " in out

    status, out, _ = files.run("--explain", "s", "10.2.2.3", "-f", path)
    assert status == 1
    assert "10.2.2.3 is admitted or refused by what is looked up: hosts_access\n" in out
    assert "decided by   /etc/hosts.allow:3\n" in out
    assert "/etc/hosts.allow:3 or a rule behind it decides when his name is known" in out

    files.write("s: 10.1.\n", "s: 10.2.\n")
    status, out, _ = files.run("--explain", "s", "10.2.2.3", "-f", path)
    assert status == 1
    assert "client       10.2.2.3 is refused: hosts_access\n" in out
    assert "decided by   /etc/hosts.deny:1\n" in out
    status, out, _ = files.run("--explain", "s", "10.3.2.3", "-f", path)
    assert status == 0
    assert "hosts_access no rule of hosts.allow or hosts.deny is about him, by" in out


# ---------------------------------------------------------------------------
# The oracle of tcp_wrappers

PATTERNS = [
    "ALL", "10.", "10.1.", "10.1.2.", "10.1.2.3", "10.1.2.0/24", "10.0.0.0/255.0.0.0",
    "10.0.0.3/255.0.0.255", "10.*", "10.1.?.3", "*.3", "[2001:db8::]/32", "[2001:db8::1]",
    "192.0.2.0/255.255.255.254", "192.0.2.1/32", "0.0.0.0/0.0.0.0", "[::]/0", "*",
]
CLIENTS = ["10.1.2.3", "10.1.2.4", "10.2.2.3", "192.0.2.1", "192.0.2.2", "2001:db8::1",
           "2001:db8:1::2", "2001:db9::1"]


def some_list(choose, words):
    parts = [" ".join(choose.sample(words, choose.randint(1, 3)))
             for _ in range(choose.choice([1, 1, 2, 3]))]
    return " EXCEPT ".join(parts)


def some_rules(choose, daemons):
    ends = ["", "", "", ": ALLOW", ": deny"]
    words = [*daemons, "ALL", "s*", "x"]
    return "".join(
        f"{some_list(choose, words)}: {some_list(choose, PATTERNS)} {choose.choice(ends)}\n"
        for _ in range(6))


def oracle(folder, daemon, client):
    done = subprocess.run(["tcpdmatch", "-d", "-i", "/dev/null", daemon, client], cwd=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    access = re.findall(rb"^access: +(\w+)$", done.stdout, re.MULTILINE)
    assert len(access) == 1, done.stdout
    return access[0] == b"granted"


@pytest.mark.skipif(not shutil.which("tcpdmatch"), reason="there is no tcpdmatch")
def test_oracle(files, folder):
    """tcpdmatch(8) says the same of the same files."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    daemons = ["s1", "s2", "s3"]
    path = folder / "c.conf"
    path.write_text("".join(
        service(name, listen=f"tcp:{number}", exec="/bin/cat", hosts_access=True)
        for number, name in enumerate(daemons, 7)))
    for _ in range(4):
        files.write(some_rules(choose, daemons), some_rules(choose, daemons))
        for name in daemons:
            for client in CLIENTS:
                status, out, err = files.run("--explain", name, client, "-f", path)
                assert status in (0, 1) and "error" not in err, err
                assert (status == 0) == oracle(files.etc, name, client), (name, client, out)
