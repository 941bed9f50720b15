"""A service manager that keeps descriptors: FDSTORE of sd_notify(3).

    keeper = Keeper()
    daemon = keeper.start(folder, service(...))
    keeper.wait_kept("hatchd//tcp=7777")
    die(daemon)
    daemon = keeper.start(folder)           # with all that it has kept

It reads what it is told only while one of these waits.
"""

import array
import os
import select
import socket
import sys
import time

from harness import TIMEOUT, Daemon

PYTHON = sys.executable

# Sockets from 3 on, as sd_listen_fds(3) describes them.
HAND_OVER = """
import fcntl, os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv.pop(1)) or hard, hard))
fds = [int(fd) for fd in sys.argv[2].split(",") if fd]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 3 + len(fds)) for fd in fds]
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n, inheritable=True)
if fds:
    os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[1])
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
"""


class Keeper:
    def __init__(self, places=1000, says_so=True):
        self.places = places
        self.says_so = says_so
        self.kept = []  # (name, descriptor), in the order in which they came
        self.said = []  # assignments of all messages
        self.barriers = None  # a list: pipes of BARRIER=1 stay open in it, as if it were slow
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("")

    # -- what it is told

    def _forget(self, name):
        for entry in [entry for entry in self.kept if entry[0] == name]:
            self.kept.remove(entry)
            os.close(entry[1])

    def _hear(self, text, fds):
        said = text.split("\n")
        names = [line.partition("=")[2] for line in said if line.startswith("FDNAME=")]
        self.said += said
        if "FDSTORE=1" in said:
            assert "FDPOLL=0" in said and len(names) == 1 and len(fds) == 1
            assert len(names[0]) <= 255 and ":" not in names[0] and names[0].isprintable()
            assert len(self.kept) < self.places, "more than there are places for"
            self.kept.append((names[0], fds.pop()))
        if "FDSTOREREMOVE=1" in said:
            assert len(names) == 1
            self._forget(names[0])
        if "BARRIER=1" in said and self.barriers is not None:
            self.barriers += fds
            return
        for fd in fds:
            os.close(fd)

    def hear(self, timeout=0, daemon=None):
        """One message.  False: there is none, or hatchd has ended."""
        wanted = [self.sock, daemon.pidfd] if daemon else [self.sock]
        if self.sock not in select.select(wanted, [], [], timeout)[0]:
            return False
        room = socket.CMSG_SPACE(array.array("i").itemsize)
        text, controls, flags, _ = self.sock.recvmsg(65536, room)
        fds = array.array("i")
        for _, _, data in controls:
            fds.frombytes(data)
        self._hear(text.decode(), list(fds))
        return True

    def wait(self, predicate, what, daemon=None):
        deadline = time.monotonic() + TIMEOUT
        while not predicate():
            if not self.hear(max(deadline - time.monotonic(), 0), daemon):
                log = daemon.text() if daemon else ""
                raise AssertionError(f"not told: {what}; {self.said[-30:]}\n{log}")

    def wait_said(self, word, count=1, daemon=None):
        self.wait(lambda: self.said.count(word) >= count, word, daemon)

    def names(self):
        return sorted(name for name, _ in self.kept)

    def wait_kept(self, *names):
        """Until exactly these are kept."""
        self.wait(lambda: self.names() == sorted(names), names)

    def socket(self, name):
        """The socket itself: what is asked of it is asked of hatchd's."""
        found = [fd for key, fd in self.kept if key == name]
        assert len(found) == 1, self.names()
        return socket.socket(fileno=os.dup(found[0]))

    def put(self, name, fd):
        """As if one before had given it."""
        self.kept.append((name, os.dup(fd)))

    # -- hatchd

    def start(self, folder, config=None, *args, most=0, **more):
        """hatchd with all that is kept; returns when it says that it is ready.

        most: the soft limit on descriptors that it is started with, 0: the hard one.
        """
        names = ":".join(name for name, _ in self.kept)
        fds = [fd for _, fd in self.kept]
        env = {"NOTIFY_SOCKET": "@" + self.sock.getsockname()[1:].decode()}
        if self.says_so:
            env["FDSTORE"] = str(self.places)
        if config is None:
            args = ("-f", folder / "hatchd.conf", *args)
        ready = self.said.count("READY=1")
        daemon = Daemon(
            *args, config=config, folder=folder, env=env, pass_fds=fds, ready=False,
            launcher=[PYTHON, "-S", "-E", "-c", HAND_OVER, str(most), names,
                      ",".join(map(str, fds))],
            **more)
        try:
            self.wait_said("READY=1", ready + 1, daemon)
            daemon.fds_at_start = None  # it has sockets to give, and to take back
        except BaseException:
            daemon.close()
            raise
        return daemon

    def release(self):
        """What was slow has read all that it was told."""
        for fd in self.barriers:
            os.close(fd)
        self.barriers = None

    def close(self):
        if self.barriers is not None:
            self.release()
        for _, fd in self.kept:
            os.close(fd)
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()


def die(daemon):
    """kill -9."""
    daemon.process.kill()
    daemon.process.wait()
    daemon.close()
