"""The programs that are measured, and how each is told to serve others without
any limit of its own.

A Setup says what is to be served; a Server turns it into a command line.
"""

import contextlib
import ctypes
import dataclasses
import getpass
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

PATIENCE = 5  # seconds until a server must answer, or be gone
LOOK_AGAIN = 0.002  # seconds between two looks at a server that starts
PR_SET_PDEATHSIG = 1


class NotReady(Exception):
    """A server that does not answer; the text is what it said."""


class Unable(Exception):
    """What a server is not made for; the text says why."""


@dataclasses.dataclass
class Setup:
    """What is to be served, and where: a service for each port, on 127.0.0.1."""

    program: str  # absolute path
    port: int  # first of n_services
    folder: pathlib.Path  # for configuration files and logs
    n_services: int = 1
    other: str = None  # another program; its service has the port after these
    patience: float = PATIENCE

    def services(self):
        """(name, port, program) of each."""
        for i in range(self.n_services):
            yield f"hello-{i}", self.port + i, self.program
        if self.other:
            yield "other", self.other_port, self.other

    @property
    def other_port(self):
        return self.port + self.n_services

    @property
    def last_port(self):
        """Where a server that opens its sockets in turn is ready last."""
        return self.other_port if self.other else self.other_port - 1

    @property
    def single(self):
        return self.n_services == 1 and not self.other


class Server:
    """One kind of server.  Subclasses say where it is and how it is called."""

    name = ""
    binary = ""  # looked up in PATH and where daemons are
    reloads = False  # SIGHUP: read the file again
    has_workers = False  # children that serve one client after the other
    told_reloaded = None  # what it then writes into its log, if anything
    keeps_log = True  # what it says is kept, and told if it does not answer

    def find(self, _build):
        """Absolute path, or None if it is not there."""
        path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/local/sbin"
        return shutil.which(self.binary, path=path)

    def command(self, binary, setup):
        """The argument vector; may write files into setup.folder."""
        raise NotImplementedError

    def write_conf(self, setup):
        """The file, written as one who does not want it to be read half does it."""
        path = setup.folder / f"{self.name}.conf"
        new = setup.folder / f"{self.name}.conf.new"
        new.write_text(self.head() + "".join(self.stanza(*s) for s in setup.services()))
        new.rename(path)
        return str(path)

    def answers(self, setup):
        """Does the service answer that is ready last?"""
        return bool(answer(setup.last_port))

    def begun(self, setup):
        """Called when it answers, before it is measured."""

    def head(self):
        return ""

    def stanza(self, name, port, program):
        raise NotImplementedError


class Floor(Server):
    name = "floor"

    def find(self, build):
        return existing(build / "tests/bench/floor")

    def command(self, binary, setup):
        other = ["-o", setup.other] if setup.other else []
        return [binary, "-p", str(setup.n_services), *other, str(setup.port), setup.program]


class Hatchd(Server):
    """One service stands on the command line, several in a file."""

    name = "hatchd"
    flags = []
    limits = ["--instances=unlimited", "--per-source=unlimited"]
    reloads = True
    told_reloaded = "reloaded: "

    def find(self, build):
        return existing(build / "hatchd")

    def command(self, binary, setup):
        if not setup.single:
            return [binary, *self.flags, "-f", self.write_conf(setup)]
        return [
            binary,
            "-l", f"tcp4:127.0.0.1:{setup.port}",
            *self.limits,
            *self.flags, "--", setup.program,
        ]  # fmt: skip

    def head(self):
        return (
            f"defaults {{\n\tuser = {getpass.getuser()}\n"
            "\tinstances = unlimited\n\tper_source = unlimited\n}\n"
        )

    def stanza(self, name, port, program):
        return (
            f"service {name} {{\n\tlisten = tcp4:127.0.0.1:{port}\n"
            f'\texec = {{ "{program}" }}\n}}\n'
        )


class HatchdPrivate(Hatchd):
    """The mode for memory that may not be shared; measured on request."""

    name = "hatchd-private"
    flags = ["--spawn=private"]


class HatchdLimits(Hatchd):
    """What limits cost that nobody reaches: all there are, and somebody else is banned.
    Measured by `limits`, and on request."""

    name = "hatchd-limits"
    networks = 10_000  # in a list file

    def command(self, binary, setup):
        return [binary, *self.flags, "-f", self.write_conf(setup)]

    def write_conf(self, setup):
        """The trap has the port after the services."""
        lines = (f"10.{i // 256}.{i % 256}.0/24\n" for i in range(self.networks))
        (setup.folder / "strangers").write_text("".join(lines))
        path = pathlib.Path(super().write_conf(setup))
        trap = f"tcp4:127.0.0.1:{self.trap(setup)}"
        with open(path, "a", encoding="ascii") as conf:
            conf.write(f"service trap {{\n\tlisten = {trap}\n\tsensor = yes\n}}\n")
        return str(path)

    def trap(self, setup):
        return setup.last_port + 1

    def head(self):
        return (
            f"defaults {{\n\tuser = {getpass.getuser()}\n"
            '\tonly_from = { 127.0.0.0/8, 192.168.0.0/16, "::1" }\n'
            "\tno_access = { 127.1.0.0/16, 192.168.7.0/24, file:strangers }\n"
            "\taccess_times = 0:00-24:00\n\tmax_load = 100000\n"
            "\tinstances = 100000\n\tper_source = 50000\n"
            "\trate = 1000000/s\n\tper_source_rate = 1000000/s\n"
            "\toverflow_source = \"ban 1h\"\n"
            "\ttime_limit = 1h\n\tfirst_byte_timeout = 1h\n\tidle_timeout = 1h\n"
            "\tkill_after = 1h\n}\n"
        )

    def begun(self, setup):
        with socket.create_connection(
            ("127.0.0.1", self.trap(setup)), PATIENCE, source_address=("127.0.0.9", 0)
        ) as sock:
            try:
                sock.recv(1)
            except ConnectionResetError:
                pass
        if answer(setup.port, source="127.0.0.9"):
            raise NotReady("who touches a trap is not banned")


class Xinetd(Server):
    name = binary = "xinetd"
    reloads = True

    def command(self, binary, setup):
        pid = setup.folder / "xinetd.pid"
        return [binary, "-dontfork", "-f", self.write_conf(setup), "-pidfile", str(pid)]

    def stanza(self, name, port, program):
        return self.describe(name, "UNLISTED", port, f"\tserver = {program}\n")

    def describe(self, name, kind, port, more):
        return (
            f"service {name}\n{{\n"
            f"\ttype = {kind}\n\tsocket_type = stream\n\tprotocol = tcp\n\twait = no\n"
            f"\tuser = {getpass.getuser()}\n\tbind = 127.0.0.1\n\tport = {port}\n"
            f"{more}"
            "\tinstances = UNLIMITED\n\tper_source = UNLIMITED\n\tcps = 10000000 1\n"
            "\tlog_on_success =\n\tlog_on_failure =\n}\n"
        )


class Inetd(Server):
    name = "openbsd-inetd"
    binary = "inetd"
    reloads = True

    def command(self, binary, setup):
        return [binary, "-i", "-q", "4096", "-R", "1000000000", self.write_conf(setup)]

    def stanza(self, _name, port, program):
        return f"127.0.0.1:{port} stream tcp nowait {getpass.getuser()} {program} {program}\n"


class Tcpserver(Server):
    name = binary = "tcpserver"

    def command(self, binary, setup):
        if not setup.single:
            raise Unable("serves one port only")
        limits = ["-c", "1000000", "-b", "4096"]
        no_lookups = ["-H", "-R", "-l", "localhost", "-Q"]
        return [binary, *limits, *no_lookups, "127.0.0.1", str(setup.port), setup.program]


ALL = [Floor(), Hatchd(), HatchdPrivate(), HatchdLimits(), Xinetd(), Inetd(), Tcpserver()]
ON_REQUEST = {"hatchd-private", "hatchd-limits"}


def existing(path):
    return str(path) if os.access(path, os.X_OK) else None


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Running:
    """A started server: a context in which it answers; ended on the way out."""

    def __init__(self, server, binary, setup):
        self.server, self.setup = server, setup
        self.log = setup.folder / f"{server.name}.log"
        self.argv = server.command(binary, setup)
        self.process = None
        self.startup = None  # usec from its start to the first answer

    def __enter__(self):
        began = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log if self.server.keeps_log else subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            self.wait_until_it_answers(began + self.setup.patience)
            self.startup = (time.monotonic() - began) * 1_000_000
            self.server.begun(self.setup)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def wait_until_it_answers(self, deadline):
        while time.monotonic() < deadline:
            if self.server.answers(self.setup):
                return
            try:
                self.process.wait(LOOK_AGAIN)
                break
            except subprocess.TimeoutExpired:
                pass
        said = self.said().strip().splitlines()
        if not said:
            raise NotReady(f"no answer in {self.setup.patience} s")
        raise NotReady(said[-1].removeprefix(f"{self.server.name}: "))

    def said(self):
        return self.log.read_text(errors="replace")

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # A child of socat's may wait for a datagram for ever, at the port of the next one.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def pid(self):
        return self.process.pid


def answer(port, source="127.0.0.1"):
    """What is served there; nothing if nothing is, or only a part of it."""
    try:
        with socket.create_connection(
            ("127.0.0.1", port), timeout=1, source_address=(source, 0)
        ) as s:
            return s.recv(64)
    except OSError:
        return b""
