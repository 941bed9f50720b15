"""A file system of our own around a daemon: its /run, /dev and /proc.

It goes with the last process in it.  Root only.
"""

import contextlib
import pathlib
import socket
import subprocess

import pytest

from harness import HATCHD, IS_SANITIZED

# The folder, what is to be hidden (proc or -), and the command.
SYSTEM = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal || exit 99
if [ -S "$1/journal" ]; then ln -s "$1/journal" /run/systemd/journal/socket; fi
mkdir -p "$1/dev" && mount -t tmpfs tmpfs "$1/dev" || exit 99
for name in null zero full random urandom tty; do
	touch "$1/dev/$name" && mount --bind "/dev/$name" "$1/dev/$name" || exit 99
done
if [ -S "$1/log" ]; then ln -s "$1/log" "$1/dev/log"; fi
mount --rbind "$1/dev" /dev || exit 99
if [ "$2" = proc ]; then
	mount -t tmpfs tmpfs /proc && mkdir /proc/self && ln -s "$3" /proc/self/exe || exit 99
fi
shift 3
exec "$@"
"""


def with_mounts(script, *args):
    """A launcher: first a shell runs that script, in a mount namespace of the daemon's own.

    It has the arguments as $1 ..., and ends with exec "$@" when it has shifted them away.
    In a plain chroot there is no such namespace.
    """
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("mount namespaces are not possible here")
    return ["unshare", "--mount", "sh", "-c", script, "sh", *map(str, args)]


class Etc:
    """A file below /etc as the daemon sees it."""

    def __init__(self, folder, name, text=None):
        self.path = folder / name
        self.path.write_text(pathlib.Path("/etc", name).read_text() if text is None else text)
        self.path.chmod(0o644)
        self.launcher = with_mounts(f'mount --bind "{self.path}" /etc/{name} && exec "$@"')

    def write(self, text):
        """In place: the mount is of the file, not of its name."""
        with open(self.path, "w") as file:
            file.write(text)

    def add(self, line):
        self.write(self.path.read_text() + line + "\n")


class Resolver:
    """Where the daemon looks names up: in these hosts, and then at these name servers."""

    def __init__(self, folder, *servers, hosts="127.0.0.1 localhost\n"):
        for name in ("hosts", "nsswitch.conf", "resolv.conf"):
            if not pathlib.Path("/etc", name).exists():
                pytest.skip(f"this machine has no /etc/{name} in whose place another one goes")
        self.folder = folder
        self.hosts = Etc(folder, "hosts", hosts)
        self.servers = Etc(folder, "resolv.conf", self._text(servers))
        self.order = Etc(folder, "nsswitch.conf", "hosts: files dns\n")
        parts = self.hosts, self.servers, self.order
        self.launcher = [word for part in parts for word in part.launcher]

    @staticmethod
    def _text(servers):
        return "".join(f"nameserver {server}\n" for server in servers)

    def ask(self, *servers):
        """Others from now on."""
        self.servers.write(self._text(servers))


def own_system(folder, hide="-"):
    """A launcher.  The logs of its system are the sockets that the folder has.

    hide="proc": there is no /proc but a link, by which a hatchd that is not
    installed finds its loader.
    """
    launcher = with_mounts(SYSTEM, folder, hide, HATCHD)
    # Sanitizers read even their options there.
    if hide == "proc" and IS_SANITIZED:
        pytest.skip("sanitizers do not work without /proc")
    return launcher


@contextlib.contextmanager
def receiver(path):
    """A datagram socket there: the journal's, or that of syslog."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(20)
        yield sock
