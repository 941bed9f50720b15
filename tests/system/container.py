"""A machine for a test: systemd as process 1, and hatchd installed.

    machine.serve(service("upper", listen=7777, exec=["/usr/bin/tr", "a-z", "A-Z"]))
    machine.systemctl("start", "hatchd")
    assert talk(7777, b"bom dia") == b"BOM DIA"

It boots in half a second.  Its files are an overlay: the Debian tree and what was
installed below, a file system in memory on top, all in a mount namespace that ends
with it.  It has the network of the tests, so that these are its clients.  Its
processes end with the tests, whatever ends those.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import TIMEOUT, Log, wait_until
from prepare import cgroup_folders, remove_group, tree_folder

FOLDER = pathlib.Path(os.environ["HATCHD_SYSTEM"])
PREFIX = "hatchd-system-"
UNIT = "hatchd.service"
EXAMPLES = "/usr/share/doc/hatchd/examples/systemd"
PR_SET_PDEATHSIG = 1

# What is to end the tests, by way of KeyboardInterrupt.
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

# Message of systemd: a unit has been started, systemd.journal-fields(7).
STARTED = "39f53479d3a045ac8e11786248231fbf"

# The folder with the layers, which of them, the name, the folders of its control groups, and
# after -- how systemd-nspawn is to start it.
BOOT = """
set -e
folder=$1 layers=$2 name=$3
shift 3
while [ "$1" != -- ]; do
	echo $$ >"$1/cgroup.procs"
	shift
done
shift
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/layers /run/up /run/work /run/machine
mount --bind "$folder" /run/layers
cd /run/layers
mount -t overlay -o "lowerdir=$layers,upperdir=/run/up,workdir=/run/work" overlay /run/machine
cd /
exec systemd-nspawn --quiet --directory=/run/machine --machine="$name" --register=no \
	--keep-unit --settings=no --link-journal=no --resolv-conf=off --timezone=off \
	--capability=CAP_NET_ADMIN "$@"
"""

INSIDE = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
}

libc = ctypes.CDLL(None, use_errno=True)
_n_machines = 0


def end_with_us():
    """In the new process: should we be killed, nobody is left to clean up but the kernel."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@contextlib.contextmanager
def undisturbed():
    """Who presses Ctrl-C twice has to wait: the second time must not stop the cleaning."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def remove_stale_groups():
    """Those of tests that were killed.  A group that is in use cannot be removed."""
    for folder in cgroup_folders():
        for group in folder.glob(PREFIX + "*"):
            remove_group(group)


class Nspawn:
    """A running systemd-nspawn in control groups of its own."""

    def __init__(self, layers, *args, env=None):
        global _n_machines
        _n_machines += 1
        self.name = f"{PREFIX}{os.getpid()}-{_n_machines}"
        self.groups = [folder / self.name for folder in cgroup_folders()]
        self.output = tempfile.TemporaryFile()
        self.process = None
        try:
            for group in self.groups:
                group.mkdir()
            with undisturbed():
                self.process = self._start(layers, args, env or {})
        except BaseException:
            self.close()
            raise

    def _start(self, layers, args, env):
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", BOOT, "sh", str(FOLDER), layers, self.name]
            + [str(group) for group in self.groups] + ["--", *args],
            env={
                **INSIDE,
                # Its init gets control groups of version 2, whatever this machine has.
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                "SYSTEMD_NSPAWN_LOCK": "0",
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_us,
            start_new_session=True,
        )

    def text(self):
        """What it has printed so far, the console among it."""
        return os.pread(self.output.fileno(), 1 << 20, 0).decode(errors="backslashreplace")

    def close(self):
        with undisturbed():
            self._close()

    def _close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        for group in self.groups:
            # Only version 2 has it; the other processes end with process 1 of theirs.
            with contextlib.suppress(OSError):
                (group / "cgroup.kill").write_text("1")
        for group in self.groups:
            # Version 1 has no event for the end of the last process.
            wait_until(lambda: remove_group(group), what=f"the end of {group}")
        self.output.close()


def layers(release, installed=True):
    """The folders that the files of a machine come from, the first that has one."""
    tree = tree_folder(release).name
    return f"root:{tree}" if installed else tree


def try_it(release):
    """Why systemd-nspawn cannot start a mere program here; None if it can."""
    nspawn = Nspawn(layers(release), "--as-pid2", "true")
    try:
        status = nspawn.process.wait(TIMEOUT)
        return nspawn.text().strip() or f"status {status}" if status else None
    finally:
        nspawn.close()


# ---------------------------------------------------------------------------


class Machine:
    """A container that has booted, with hatchd as `make install` leaves it, or without."""

    def __init__(self, release, installed=True):
        self.release = release
        self.journals = []
        self.leader = None
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # A name of the kernel's choice, in the network namespace of the tests.
            self.notify.bind("")
            name = "@" + self.notify.getsockname()[1:].decode()
            self.nspawn = Nspawn(
                layers(release, installed),
                "--boot", "--console=read-only", "--notify-ready=yes",
                env={"NOTIFY_SOCKET": name},
            )
            self._wait_booted()
            # From 257 on systemd tells of each of its reloads, too, and waits for a reader.
            self.notify.close()
        except BaseException:
            self.close()
            raise

    def _wait_booted(self):
        """systemd-nspawn tells process 1, and that it has told to be ready."""
        deadline = time.monotonic() + 3 * TIMEOUT
        told = []
        pidfd = os.pidfd_open(self.nspawn.process.pid)
        try:
            while "READY=1" not in told:
                left = max(deadline - time.monotonic(), 0)
                came = select.select([self.notify, pidfd], [], [], left)[0]
                if self.notify not in came:
                    raise AssertionError(f"did not boot: {told}\n{self.nspawn.text()}")
                told += self.notify.recv(65536).decode().split("\n")
        finally:
            os.close(pidfd)
        leaders = [line for line in told if line.startswith("X_NSPAWN_LEADER_PID=")]
        self.leader = int(leaders[0].partition("=")[2])

    def close(self):
        if hasattr(self, "nspawn"):
            self.nspawn.close()
        self.notify.close()
        for journal in self.journals:
            journal.close()

    # -- inside

    def popen(self, *argv, **more):
        """A process in it; its control group and its parent are ours.

        --root: in a chroot, the root of its mount namespace is not that of its process 1.
        """
        return subprocess.Popen(
            ["nsenter", f"--target={self.leader}", "--all", "--root", "--wd", *map(str, argv)],
            env=INSIDE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            **more,
        )

    def run(self, *argv, status=0):
        """Run it to its end, and see that its status is right: what it printed, as text."""
        process = self.popen(*argv, stderr=subprocess.STDOUT)
        try:
            text = process.communicate(timeout=3 * TIMEOUT)[0].decode(errors="backslashreplace")
        except BaseException:
            process.kill()
            process.wait()
            raise
        wrong = status is not None and process.returncode != status
        assert not wrong, f"{argv}: status {process.returncode}\n{text}\n{self.log()}"
        return text

    def kill(self, name, pid):
        """A signal, for a process as it is numbered in there; there is no program for that."""
        self.run("sh", "-c", f"kill -{name} {pid}")

    def path(self, name):
        """A file in it, for us."""
        return pathlib.Path(f"/proc/{self.leader}/root/{name}")

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def serve(self, text, name="test"):
        """Write a file of services; nobody is told to read it."""
        self.write(f"/etc/hatchd/services.d/{name}.conf", text)

    # -- systemd

    def systemctl(self, *args, status=0):
        return self.run("systemctl", *args, status=status)

    def show(self, name, unit=UNIT):
        """A property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def main_pid(self, unit=UNIT):
        """As it is numbered in there."""
        return int(self.show("MainPID", unit))

    def wait_kept(self, count, unit=UNIT):
        """Until systemd keeps so many sockets for it."""
        wait_until(lambda: int(self.show("NFileDescriptorStore", unit)) == count,
                   timeout=6 * TIMEOUT, what=f"{count} sockets that systemd keeps")

    def unit_file(self, name, text):
        """A unit of the test's own."""
        self.write(f"/etc/systemd/system/{name}", text)
        self.systemctl("daemon-reload")

    def drop_in(self, name, unit=UNIT):
        """One of our examples for part of a unit, put where it says that it is to be put."""
        self.unit_file(f"{unit}.d/{name}", self.path(f"{EXAMPLES}/{name}").read_text())

    def do(self, commands):
        """Lines of a shell, such as a comment has for whoever reads it."""
        for command in commands:
            self.run("sh", "-c", command)

    def version(self):
        """Of systemd."""
        return int(self.systemctl("--version").split()[1])

    def log(self):
        """What our units have to say, for whoever wants to know why a test has failed."""
        command = ("journalctl", "--output=short-monotonic", "--lines=60", "--unit=hatchd*")
        with self.popen(*command) as process:
            return process.stdout.read().decode(errors="backslashreplace")

    def journal(self, *matches):
        """The entries that match, from the first to those that will come."""
        journal = Journal(self, matches)
        self.journals.append(journal)
        return journal


class Journal:
    """`journalctl --follow`, and a wait for entries.

    Fields are compared, but MESSAGE is a regular expression to be found.
    """

    def __init__(self, machine, matches):
        self.machine = machine
        self.process = machine.popen(
            "journalctl", "--follow", "--lines=all", "--output=json", "--quiet", *matches
        )
        self.log = Log(self.process.stdout)

    def entries(self, **fields):
        """Those so far that have these fields."""
        text = re.compile(fields.pop("MESSAGE", ""))
        found = map(json.loads, self.log.text().splitlines())
        return [
            entry for entry in found
            if text.search(entry["MESSAGE"])
            and all(entry.get(name) == value for name, value in fields.items())
        ]

    def wait(self, count=1, **fields):
        """Wait for the count-th entry with these fields, and return it."""
        deadline = time.monotonic() + TIMEOUT
        with self.log.changed:
            while len(found := self.entries(**fields)) < count:
                left = deadline - time.monotonic()
                if self.log.ended or left <= 0:
                    raise AssertionError(
                        f"no {count} entries with {fields}:\n{self.machine.log()}"
                    )
                self.log.changed.wait(left)
            return found[count - 1]

    def close(self):
        self.process.kill()
        self.process.wait()
