"""Reload again and again: under load, and with configurations that nobody would write.

HATCHD_TEST_ROUNDS sets how often (default: 100 reloads under load, 300 damaged
configurations), HATCHD_TEST_SEED where the damage begins.
"""

import os
import random
import re
import shutil
import signal
import socket
import threading

import pytest

from harness import (
    PYTHON,
    connect,
    free_port,
    helper,
    read_all,
    run_hatchd,
    service,
    take_time,
    talk,
)

ROUNDS = int(os.environ.get("HATCHD_TEST_ROUNDS", "0"))
SEED = int(os.environ.get("HATCHD_TEST_SEED", "1"))

APPLIED = "reloaded: "
KEPT = "unable to reload: "


def hang_up(daemon):
    """SIGHUP; returns the line with which the reload has ended."""
    mark = daemon.mark()
    daemon.signal(signal.SIGHUP)
    return daemon.wait_log(f"({APPLIED}|{KEPT}).*", after=mark).string


# ---------------------------------------------------------------------------
# Under load


class Clients:
    """Threads that ask without a pause, and remember what went wrong."""

    def __init__(self):
        self.threads = []
        self.asked = {}
        self.failures = []
        self.over = threading.Event()

    def start(self, name, ask):
        """`ask` returns what is wrong with an answer, or None."""

        def run():
            while not self.over.is_set() and not self.failures:
                try:
                    wrong = ask()
                except OSError as error:
                    wrong = repr(error)
                if wrong:
                    self.failures.append(f"{name}, after {self.asked[name]}: {wrong}")
                self.asked[name] += 1

        self.asked[name] = 0
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures
        assert all(self.asked.values()), self.asked


FILLING = "x" * 5000


def answer(number):
    """Long enough that half of it would be seen."""
    return f"{number}:{FILLING}:end"


def test_nobody_is_lost(hatchd, folder):
    """Old sockets, new programs: each answer is complete, and after `reloaded` it is new."""
    take_time("HATCHD_TEST_ROUNDS")
    tcp, changing, datagrams = free_port(), free_port(), free_port()
    path = folder / "sock"

    def config(number):
        echo = ["/bin/echo", "-n", answer(number)]
        return (
            service("steady", listen=[f"tcp:{tcp}", f"unix:{path}"],
                    exec=["/bin/echo", "-n", answer("steady")])
            + service("changing", listen=f"tcp:{changing}", exec=echo)
            + service("datagrams", listen=f"udp:{datagrams}", wait=True,
                      exec=[PYTHON, helper("datagrams.py", folder), 50])
        )

    reached = [0]  # what every connection made from now on is to be answered at least

    def steady(address):
        text = talk(address).decode()
        return None if text == answer("steady") else f"got {text[:20]!r}, {len(text)}"

    def change():
        least = reached[0]
        text = talk(changing).decode()
        number = int(text.split(":")[0] or -1)
        if text != answer(number) or not least <= number <= reached[0] + 1:
            return f"got {text[:20]!r}, {len(text)}, after {least}"
        return None

    sock = connect(f"udp:{datagrams}")
    counter = iter(range(1 << 30))

    def datagram():
        message = str(next(counter)).encode()
        sock.send(message)
        return None if sock.recv(100) == message else "another datagram"

    daemon = hatchd.file(config(0))
    before = daemon.listening()
    clients = Clients()
    clients.start("tcp", lambda: steady(tcp))
    clients.start("unix", lambda: steady(f"unix:{path}"))
    clients.start("changing", change)
    clients.start("udp", datagram)
    for number in range(1, (ROUNDS or 100) + 1):
        daemon.write(config(number))
        assert APPLIED in hang_up(daemon)
        reached[0] = number
        assert talk(changing).decode() == answer(number)
        assert not clients.failures, clients.failures
    clients.stop()
    assert daemon.listening() == before
    sock.send(b"end")
    assert sock.recv(100) == b"end"
    sock.close()


# ---------------------------------------------------------------------------
# Damage


GARBAGE = (
    b"service listen = { } \" ' # // /* */ ${ \\ += , % \0 \xff \xef\xbb\xbf yes no 0".split()
)


def cut(text, rng):
    return text[: rng.randrange(len(text) + 1)]


def flip(text, rng):
    damaged = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def insert(text, rng):
    at = rng.randrange(len(text) + 1)
    return text[:at] + b" " + rng.choice(GARBAGE) + b" " + text[at:]


def remove(text, rng):
    at = rng.randrange(len(text))
    return text[:at] + text[at + rng.randint(1, 40) :]


def swap_lines(text, rng):
    lines = text.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def repeat_lines(text, rng):
    lines = text.split(b"\n")
    i = rng.randrange(len(lines))
    return b"\n".join(lines[:i] + lines[i : i + rng.randint(1, 6)] * 2 + lines[i + 1 :])


def nothing_but_noise(text, rng):
    return rng.randbytes(rng.randrange(3000))


def huge_word(text, rng):
    at = rng.randrange(len(text) + 1)
    return text[:at] + bytes([rng.choice(b"a9({\"'")]) * rng.randint(1, 100000) + text[at:]


def nest(text, rng):
    return b"service x {\n" * rng.randint(1, 2000) + text + b"}\n" * rng.randint(1, 2000)


def nul_bytes(text, rng):
    at = rng.randrange(len(text) + 1)
    return text[:at] + b"\0" * rng.randint(1, 5000) + text[at:]


DAMAGES = [cut, flip, flip, flip, insert, insert, remove, swap_lines, repeat_lines,
           nothing_but_noise, huge_word, nest, nul_bytes]


def missing(path):
    path.unlink()


def folder_instead(path):
    path.unlink()
    path.mkdir()


def fifo_instead(path):
    path.unlink()
    os.mkfifo(path)


def socket_instead(path):
    path.unlink()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def loop_instead(path):
    path.unlink()
    path.symlink_to(path.name)


def for_everybody(path):
    path.chmod(0o666)


def device_instead(path):
    path.unlink()
    path.symlink_to("/dev/zero")


NO_FILES = [missing, folder_instead, fifo_instead, socket_instead, loop_instead,
            for_everybody, device_instead]


def listening_ports():
    """TCP ports of this network namespace that somebody listens on."""
    ports = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/net/{name}") as table:
            for line in list(table)[1:]:
                fields = line.split()
                if fields[3] == "0A":
                    ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


def wanted_ports(printed, said):
    """What --print-config lists, but for services that wait; None: it does not tell."""
    if re.search(r": waiting: unable to ", said):
        return None
    waiting = set(re.findall(r"([\w.-]+): waiting: ", said))
    ports, fixed = set(), True
    for name, body in re.findall(r"service \"?([\w.-]+)\"? \{\n(.*?)\n\}", printed, re.S):
        if name in waiting or re.search(r"disable\s*= yes", body):
            continue
        for item in re.split(r"[\s{},\"]+", re.search(r"listen\s*= (.*)", body)[1]):
            found = re.fullmatch(r"(?:tcp[46]?:)?(?:.*:)?(\d+)(?:-(\d+))?", item)
            if not found and item:
                return None
            if found:
                first, last = int(found[1]), int(found[2] or found[1])
                fixed = fixed and first > 0
                ports.update(range(first, last + 1))
    return ports if fixed else None


class Damaged:
    """A daemon whose configuration is replaced by damaged ones, and repaired."""

    def __init__(self, hatchd, others):
        self.ports = [free_port() for _ in range(3)]
        self.good = self.text().encode()
        self.others = others
        self.daemon = hatchd.file(self.good)
        self.path = self.daemon.config_path
        self.before = self.daemon.listening()
        self.n_applied = 0

    def text(self):
        one, two, three = self.ports
        return (
            "# An ordinary file.\n"
            "defaults {\n\tinstances = 7\n}\n"
            + service("one", listen=f"tcp:{one}", exec=["/bin/echo", "-n", "one"],
                      per_source="unlimited")
            + service("two", listen=[f"tcp:127.0.0.1:{two}", f"tcp4:{three}"], backlog=99,
                      exec=["/bin/echo", "-n", "two"], env=["A=1", "B=2"], umask="022",
                      rlimit={"core": 0, "nofile": "100:200"}, nice=5,
                      per_source="unlimited")
            + service("off", listen="tcp:7", exec="/bin/cat", disable=True)
        )

    def expect_kept(self, what):
        said = hang_up(self.daemon)
        assert KEPT in said, f"{what} was put in force: {said}"
        self.expect_as_before(what)

    def expect_as_before(self, what):
        assert self.daemon.listening() == self.before, what
        assert talk(self.ports[0]) == b"one", what

    def try_text(self, text, what):
        self.daemon.write(text)
        valid = run_hatchd("--print-config", "--strict", "-f", self.path)
        if valid.returncode != 0:
            self.expect_kept(what)
            return
        mark = self.daemon.mark()
        said = hang_up(self.daemon)
        assert APPLIED in said, f"{what}: {said}\n{valid.stderr}"
        self.n_applied += 1
        self.expect_served(valid.stdout, mark, what)
        self.repair()

    def expect_served(self, printed, mark, what):
        # What waits is told right after `reloaded`; a reload of nothing comes behind it.
        assert "nothing has changed" in hang_up(self.daemon), what
        wanted = wanted_ports(printed, "\n".join(self.daemon.log.lines[mark:]))
        if wanted is not None:
            assert listening_ports() - self.others == wanted, f"{what}\n{printed}"

    def repair(self):
        self.daemon.write(self.good)
        assert APPLIED in hang_up(self.daemon)
        assert talk(self.ports[0]) == b"one"
        assert talk(self.ports[1]) == b"two"
        self.before = self.daemon.listening()

    def try_no_file(self, change):
        change(self.path)
        self.expect_kept(change.__name__)
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        self.path.unlink(missing_ok=True)
        self.repair()


@pytest.mark.needs_root
def test_damaged_configurations(hatchd):
    """Either it is refused, and all is as it was; or it is valid, and served as it says."""
    take_time("HATCHD_TEST_ROUNDS")
    rng = random.Random(SEED)
    damaged = Damaged(hatchd, listening_ports())
    for number in range(ROUNDS or 300):
        if number % 50 == 0:
            damaged.try_no_file(NO_FILES[number // 50 % len(NO_FILES)])
        text = damaged.good
        for _ in range(rng.randint(1, 2)):
            text = rng.choice(DAMAGES)(text, rng) or b" "
        damaged.try_text(text, f"configuration {number} of seed {SEED}")
    for change in NO_FILES:
        damaged.try_no_file(change)
    assert damaged.n_applied > 0


def test_datagrams_survive_reloads(hatchd, folder):
    """What waits in the socket is there for the next program."""
    port = free_port()

    def config(number):
        return service("s", listen=f"udp:{port}", wait=True, env=[f"N={number}"],
                       exec=[PYTHON, helper("datagrams.py", folder)])

    daemon = hatchd.file(config(0))
    for number in range(1, 11):
        with connect(f"udp:{port}") as one, connect(f"udp:{port}") as two:
            one.send(b"1")
            two.send(b"2")
            daemon.write(config(number))
            assert APPLIED in hang_up(daemon)
            assert two.recv(9) == b"2"
    daemon.wait_children(0)


def test_half_a_connection(hatchd):
    """A client in the queue of a service that is full gets the program of after the reload."""
    port = free_port()

    def config(word):
        return service("s", listen=f"tcp:{port}", instances=1,
                       shell=f"read x; echo -n {word}")

    daemon = hatchd.file(config("old"))
    with connect(port) as first, connect(port) as second:
        daemon.wait_log("s: full with 1 child")
        daemon.write(config("new"))
        hang_up(daemon)
        first.sendall(b"\n")
        assert read_all(first) == b"old"
        second.sendall(b"\n")
        assert read_all(second) == b"new"
