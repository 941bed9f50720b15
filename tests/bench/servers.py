"""The programs that are measured, and how each is told to serve one program
without any limit of its own.

A Setup says what is to be served; a Server turns it into a command line.
"""

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
PR_SET_PDEATHSIG = 1


class NotReady(Exception):
    """A server that does not answer; the text is what it said."""


@dataclasses.dataclass
class Setup:
    """What is to be served, and where."""

    program: str  # absolute path
    port: int  # first of n_services, all on 127.0.0.1
    folder: pathlib.Path  # for configuration files and logs
    n_services: int = 1


class Server:
    """One kind of server.  Subclasses say where it is and how it is called."""

    name = ""
    binary = ""  # looked up in PATH and where daemons are

    def find(self, _build):
        """Absolute path, or None if it is not there."""
        path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/local/sbin"
        return shutil.which(self.binary, path=path)

    def command(self, binary, setup):
        """The argument vector; may write files into setup.folder."""
        raise NotImplementedError


class Floor(Server):
    name = "floor"

    def find(self, build):
        return existing(build / "tests/bench/floor")

    def command(self, binary, setup):
        return [binary, str(setup.port), setup.program]


class Hatchd(Server):
    name = "hatchd"
    flags = []

    def find(self, build):
        return existing(build / "hatchd")

    def command(self, binary, setup):
        return [
            binary,
            "-l", f"tcp4:127.0.0.1:{setup.port}",
            "--instances=unlimited", "--per-source=unlimited",
            *self.flags, "--", setup.program,
        ]  # fmt: skip


class HatchdPrivate(Hatchd):
    """The mode for memory that may not be shared; measured on request."""

    name = "hatchd-private"
    flags = ["--spawn=private"]


class Xinetd(Server):
    name = binary = "xinetd"

    def command(self, binary, setup):
        conf = setup.folder / "xinetd.conf"
        conf.write_text(
            "service hello\n{\n"
            "\ttype = UNLISTED\n\tsocket_type = stream\n\tprotocol = tcp\n\twait = no\n"
            f"\tuser = {getpass.getuser()}\n\tbind = 127.0.0.1\n\tport = {setup.port}\n"
            f"\tserver = {setup.program}\n"
            "\tinstances = UNLIMITED\n\tper_source = UNLIMITED\n\tcps = 10000000 1\n"
            "\tlog_on_success =\n\tlog_on_failure =\n}\n"
        )
        pid = setup.folder / "xinetd.pid"
        return [binary, "-dontfork", "-f", str(conf), "-pidfile", str(pid)]


class Inetd(Server):
    name = "openbsd-inetd"
    binary = "inetd"

    def command(self, binary, setup):
        conf = setup.folder / "inetd.conf"
        conf.write_text(
            f"127.0.0.1:{setup.port} stream tcp nowait {getpass.getuser()}"
            f" {setup.program} {setup.program}\n"
        )
        return [binary, "-i", "-q", "4096", "-R", "1000000000", str(conf)]


class Tcpserver(Server):
    name = binary = "tcpserver"

    def command(self, binary, setup):
        limits = ["-c", "1000000", "-b", "4096"]
        no_lookups = ["-H", "-R", "-l", "localhost", "-Q"]
        return [binary, *limits, *no_lookups, "127.0.0.1", str(setup.port), setup.program]


ALL = [Floor(), Hatchd(), HatchdPrivate(), Xinetd(), Inetd(), Tcpserver()]
ON_REQUEST = {"hatchd-private"}


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

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def wait_until_it_answers(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if answers(self.setup.port):
                return
            try:
                self.process.wait(0.02)
                break
            except subprocess.TimeoutExpired:
                pass
        said = self.log.read_text(errors="replace").strip().splitlines()
        raise NotReady(said[-1] if said else "no answer")

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def pid(self):
        return self.process.pid


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
            return s.makefile("rb").read() != b""
    except OSError:
        return False
