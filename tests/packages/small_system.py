"""A small system for a test: this machine's /usr, and everything else its own.

    trees = install(run), unpack("runit", run), make_etc(folder)
    system = System(folder, trees, "runsvdir", "-P", "/etc/service")
    system.run("sv", "start", "hatchd")
    assert system.talk(7777, b"bom dia") == b"BOM DIA"

On top of /usr lie the files of trees, as packages or `make install` leave them.  It has
processes, a network and, where that can be, control groups of its own.  All of it is in
memory, and ends with the test, whatever ends that.  Its process 1 is what the test says.
"""

import concurrent.futures
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

import harness
from conftest import BUILD, KEPT, UNSHARE, need_mounts
from prepare import remove_group

PREFIX = "hatchd-system-"
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)
_n_systems = 0

# The folder of its root, the one that it shares with us, its control group or -, the trees,
# and after -- what process 1 executes.
SETUP = """
set -e
root=$1 shared=$2 group=$3 usr=
shift 3
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir dev etc proc root run shared sys tmp usr var .upper .work
mkdir var/log
while [ "$1" != -- ]; do
	find "$1" -mindepth 1 -maxdepth 1 ! -name usr -exec cp -a -t . {} +
	test ! -d "$1/usr" || usr=$usr$1/usr:
	shift
done
shift
for name in bin sbin lib lib32 lib64 libx32; do
	test ! -L "/$name" || ln -s "usr/$name" "$name"
done
cp -a /etc/alternatives /etc/ld.so.cache etc/
mount -t overlay -o "lowerdir=$usr/usr,upperdir=.upper,workdir=.work" overlay usr
for name in null zero full random urandom tty; do
	touch "dev/$name"
	mount --bind "/dev/$name" "dev/$name"
done
ln -s /proc/self/fd dev/fd
ln -s /shared/log dev/log
mount --bind "$shared" shared
mount -t proc proc proc
mount -t sysfs sysfs sys
test "$group" = - || mount -t cgroup2 cgroup2 sys/fs/cgroup
ip link set lo up
echo set up
exec chroot . "$@" >&2
"""

# Into the control group first, so that it is the root of those inside.
ENTER = f"""
test "$1" = - || echo $$ >"$1/cgroup.procs" || exit
shift
exec {UNSHARE} "$@"
"""

PASSWD = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nadm:x:4:\nuucp:x:10:\nnogroup:x:65534:\n"
NAMES = "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n"

INSIDE = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}


def end_with_us():
    """In the new process: if we are killed, so is it, and with it all that is in the system."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def need_systems():
    """Skip, with the reason, where there can be none: in many a container."""
    if not os.path.islink("/bin"):
        pytest.skip("programs of this machine are not all in /usr")
    need_mounts()
    remove_stale_groups()


def merge_usr(tree):
    """Packages of Debian 12 have files in /bin and /lib, which are links into /usr."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if (tree / name).is_dir() and not (tree / name).is_symlink():
            shutil.copytree(tree / name, tree / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(tree / name)


def libraries_of(package, run):
    """The packages of libraries that it needs; everybody has that of C."""
    said = run("apt-cache", "depends", "--no-recommends", "--no-suggests", package,
               status=None)
    names = re.findall(r"^ *Depends: (lib\S+)$", said, re.MULTILINE)
    return [name for name in names if name != "libc6"]


def unpack(package, run):
    """The files of a package of Debian, beside the machine; kept once they are there."""
    tree, new = KEPT / "systems" / package, KEPT / "systems/new"
    if tree.is_dir():
        return tree
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    packages = [package, *libraries_of(package, run)]
    got = subprocess.run(["apt-get", "-qq", "download", *packages], cwd=new,
                         stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if got.returncode:
        said = got.stderr.decode(errors="backslashreplace").strip()
        pytest.skip(f"unable to load {', '.join(packages)}: {said}")
    for file in new.glob("*.deb"):
        run("dpkg-deb", "--extract", file, new)
        file.unlink()
    merge_usr(new)
    new.rename(tree)
    return tree


def install(run):
    """What `make install` installs, for the prefix of this build."""
    tree = KEPT / "systems/installed"
    shutil.rmtree(tree, ignore_errors=True)
    run(os.environ["MAKE"], "-C", BUILD, "install", f"DESTDIR={tree}")
    merge_usr(tree)
    return tree


def make_etc(folder):
    """A tree with what every system has; a test adds what its own is to have."""
    etc = folder / "tree/etc"
    etc.mkdir(parents=True)
    for name, text in [("passwd", PASSWD), ("group", GROUP), ("nsswitch.conf", NAMES)]:
        (etc / name).write_text(text)
    return folder / "tree"


def group_folder():
    """Where control groups of version 2 are; None: nowhere."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, options = line.split()[:4]
        if kind == "cgroup2" and "rw" in options.split(","):
            return pathlib.Path(folder)
    return None


def remove_stale_groups():
    """Those of tests that were killed."""
    folder = group_folder()
    for group in folder.glob(f"{PREFIX}*") if folder else ():
        if not os.path.exists(f"/proc/{group.name.removeprefix(PREFIX).split('-')[0]}"):
            remove_group(group)


class System:
    """A system that has just begun: process 1 has been executed."""

    def __init__(self, folder, trees, *argv):
        self.shared = folder / "shared"
        (folder / "root").mkdir()
        self.shared.mkdir()
        self.group = self._make_group()
        self.output = open(folder / "console", "w+b")
        self.syslog = []
        threading.Thread(target=self._collect, args=(self._log(),), daemon=True).start()
        self.process = self.leader = None
        try:
            self._start(folder, trees, argv)
        except BaseException:
            self.close()
            raise

    def _log(self):
        """The socket that syslog(3) writes to."""
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.bind(str(self.shared / "log"))
        return log

    def _collect(self, log):
        with log:
            while message := log.recv(65536):
                self.syslog.append(message.decode(errors="backslashreplace"))

    @staticmethod
    def _make_group():
        global _n_systems
        _n_systems += 1
        folder = group_folder()
        if folder is None:
            return None
        group = folder / f"{PREFIX}{os.getpid()}-{_n_systems}"
        try:
            group.mkdir()
        except OSError:
            return None
        return group

    def _start(self, folder, trees, argv):
        group = str(self.group or "-")
        setup = ["sh", "-c", SETUP, "sh", folder / "root", self.shared, group, *trees, "--"]
        self.process = subprocess.Popen(
            [str(word) for word in ("sh", "-c", ENTER, "sh", group, *setup, *argv)],
            env=INSIDE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.output,
            preexec_fn=end_with_us, start_new_session=True)
        with self.process.stdout as ready:
            assert ready.readline() == b"set up\n", self.console()
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.leader = int(children.read_text().split()[0])

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        if self.group:
            harness.wait_until(lambda: remove_group(self.group), what="its end")
        self.output.close()
        # Empty: the end.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.sendto(b"", str(self.shared / "log"))

    def console(self):
        """What process 1 and its children have printed."""
        return os.pread(self.output.fileno(), 1 << 20, 0).decode(errors="backslashreplace")

    # -- inside

    def path(self, name):
        """A file in it, for us."""
        return pathlib.Path(f"/proc/{self.leader}/root/{str(name).lstrip('/')}")

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def popen(self, *argv):
        """A process inside; its standard output is what it prints, on either output."""
        return subprocess.Popen(
            ["nsenter", f"--target={self.leader}", "--all", "--root", "--wd",
             *map(str, argv)],
            env=INSIDE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, preexec_fn=end_with_us)

    def run(self, *argv, status=0):
        """Run it to its end, and see that its status is right: what it printed, as text."""
        with self.popen(*argv) as process:
            try:
                said = process.communicate(timeout=3 * harness.TIMEOUT)[0]
            except BaseException:
                process.kill()
                raise
        said = said.decode(errors="backslashreplace")
        wrong = status is not None and process.returncode != status
        assert not wrong, f"{argv}: status {process.returncode}\n{said}\n{self.console()}"
        return said

    def _call(self, function, *args, **more):
        """Call it in a thread that has gone into its network."""
        def inside():
            with open(f"/proc/{self.leader}/ns/net") as network:
                assert libc.setns(network.fileno(), 0) == 0
            return function(*args, **more)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(inside).result()

    def connect(self, port):
        return self._call(harness.connect, f"tcp:127.0.0.1:{port}")

    def talk(self, port, data=b""):
        return self._call(harness.talk, f"tcp:127.0.0.1:{port}", data)

    def is_refused(self, port):
        return self._call(harness.is_refused, f"tcp:127.0.0.1:{port}")
