"""Children held before their exec, which otherwise is over in a moment.

A process that opens a file for which somebody has a write lease waits until
the lease is given up, for at most fs.lease-break-time (45 s).  An exec opens
the program; so, with a lease on it, the child hangs in the exec.  SIGKILL ends
it at once.
"""

import fcntl
import os
import pathlib
import shutil
import signal

from harness import wait_until


class Lease:
    """A copy of a program whose exec hangs as long as this context lasts.

        program = Lease(folder)
        hatchd.file(service("hung", listen=..., exec=program.path))
        with program:                   # not before hatchd has looked at the file
            client = connect(...)
            program.wait_wanted()       # a child hangs in its exec
    """

    def __init__(self, folder, source="/bin/cat", name="held"):
        self.path = pathlib.Path(folder) / name
        shutil.copyfile(os.path.realpath(source), self.path)
        self.path.chmod(0o755)
        self.fd = -1

    def __enter__(self):
        # Whoever opens the file is announced to us by this signal.
        self.handler = signal.signal(signal.SIGIO, lambda number, frame: None)
        self.take()
        return self

    def __exit__(self, kind, value, trace):
        self.give_up()
        signal.signal(signal.SIGIO, self.handler)

    def take(self):
        """Not possible while anybody has the file open."""
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    def give_up(self):
        """Whoever waits goes on."""
        if self.fd >= 0:
            fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            os.close(self.fd)
            self.fd = -1

    def renew(self):
        """For as long again; when nobody waits."""
        self.give_up()
        self.take()

    def wait_wanted(self):
        """Until somebody waits for the file."""
        wait_until(
            lambda: fcntl.fcntl(self.fd, fcntl.F_GETLEASE) != fcntl.F_WRLCK,
            what="an exec that hangs",
        )
