"""What the behaviour tests are made of: the daemon as an object, and clients.

Everything waits for an event: a message on the notification socket, a line of
the log, a pidfd, a byte on a socket.  Where the kernel offers none (the number
of descriptors of another process), wait_until() looks again and again.

    def test_upper(hatchd):
        port = free_port()
        hatchd.file(service("upper", listen=f"tcp:{port}", exec=["/usr/bin/tr", "a-z", "A-Z"]))
        assert talk(port, b"bom dia") == b"BOM DIA"

The environment chooses what is tested:

    HATCHD, HATCHCTL     the programs (default: in the current folder)
    HATCHD_SPAWN         shared or private: --spawn of every daemon
    HATCHD_HIDE_CLONE3   if set and not 0, every daemon runs where clone3 fails with ENOSYS
    HIDE_CLONE3          the program for that (default: built where it is needed)
"""

import atexit
import contextlib
import ctypes
import datetime
import fcntl
import itertools
import json
import mmap
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent

# Programs that serve connections in the place of hatchd, and what it has open for each: its
# ends of a channel, the worker's end of one half, and its pidfd.
WORKERS = (
    "hatchd-builtin",
    "hatchd-front",
    "hatchd-lookup",
    "hatchd-relay",
    "hatchd-tls",
    "hatchd-udp",
)
WORKER_FDS = 4

# Others of its own, to each of which it has one descriptor.
HELPERS = ("hatchd-account", "hatchd-ask", "hatchd-bytes", "hatchd-orphans")


HATCHD = os.path.abspath(os.environ.get("HATCHD", "hatchd"))
HATCHCTL = os.path.abspath(os.environ.get("HATCHCTL", "hatchctl"))
IS_ROOT = os.geteuid() == 0

# Built with a sanitizer: then it has allocators of its own and must be loaded first, memory
# that was freed is kept, and everything takes several times as long.
IS_SANITIZED = os.path.exists(HATCHD) and b"__asan_init" in pathlib.Path(HATCHD).read_bytes()

# For programs that are served: any user may run it, unlike one in somebody's home.
PYTHON = next(
    path
    for path in ("/usr/bin/python3", "/usr/local/bin/python3", shutil.which("python3"))
    if path and os.access(path, os.X_OK)
)

# Longest wait for an event.  A slow machine needs it; a correct program never does.
TIMEOUT = 20.0

CLONE_NEWNET = 0x40000000
PR_SET_CHILD_SUBREAPER = 36

libc = ctypes.CDLL(None, use_errno=True)


# ---------------------------------------------------------------------------
# The machine


def isolate():
    """Move this process into a network namespace of its own, with loopback up.

    Root only; everybody else stays where they are and uses free high ports.
    Returns whether it was done.
    """
    if not IS_ROOT or libc.unshare(CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(sock, 0x8914, request)  # SIOCSIFFLAGS
    return True


def become_subreaper():
    """Children that a daemon leaves behind come to us, so that none is lost."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def have_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


_ports = itertools.count(20000 if IS_ROOT else 20000 + os.getpid() % 10000)


def free_port():
    """A port, TCP and UDP, that nobody has and no other test is going to use."""
    for port in _ports:
        with contextlib.ExitStack() as stack:
            try:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    sock = stack.enter_context(socket.socket(socket.AF_INET, kind))
                    sock.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


def wait_until(predicate, timeout=TIMEOUT, what=None):
    """Look until predicate() is true, and return it.

    For what the kernel does not tell: look for an event to wait for first.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen in {timeout} s: {what or predicate}")
        select.select([], [], [], 0.01)


@contextlib.contextmanager
def deadline(name, seconds):
    """What hangs in here is ended by TimeoutError, raised in the main thread.

    By the one alarm of the process: within, signal.alarm() moves the deadline.
    """

    def hung(number, frame):
        raise TimeoutError(f"{name} has not ended in {seconds} s")

    previous = signal.signal(signal.SIGALRM, hung)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def take_time(variable):
    """The limit of a test is for one that is as long as by default: `variable` says how long.

    For tests that have no deadline() of their own.
    """
    if int(os.environ.get(variable, "0")):
        signal.alarm(3600)


def wait_exit(pid, timeout=TIMEOUT):
    """Wait until a process, not necessarily our child, has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([pidfd], [], [], timeout)[0]:
            raise AssertionError(f"process {pid} did not end in {timeout} s")
    finally:
        os.close(pidfd)


# ---------------------------------------------------------------------------
# Reading /proc


def proc_status(pid):
    """/proc/PID/status as a dictionary of strings."""
    # Whoever names his process can give it any bytes.
    with open(f"/proc/{pid}/status", errors="backslashreplace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def proc_stat(pid):
    """Fields of /proc/PID/stat from the third on: state, ppid, pgrp, session ..."""
    with open(f"/proc/{pid}/stat", errors="backslashreplace") as file:
        return file.read().rsplit(")", 1)[1].split()


def wait_asleep(pid):
    """Until it waits for something: one that has always something to do never does."""
    looks = 50
    wait_until(lambda: all(proc_stat(pid)[0] == "S" for _ in range(looks)),
               what=f"process {pid} waits")


def is_alive(pid):
    """There is such a process, and it has not ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return proc_stat(pid)[0] not in "ZX"
    return False


def is_ours(pid):
    """A process of hatchd's own: that writes to a shared pipe or file, or that asks.

    What is run by its descriptor has the number for a name until it gives itself one; its
    file tells it from a service's program of such a name.
    """
    with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
        name = file.read().rstrip("\n")
    if name.isdigit():
        name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    return name in HELPERS or name in ("hatchd-log", *WORKERS)


def proc_memory(pid):
    """Bytes of memory that are its own, and its share of the others'."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise AssertionError(f"nothing is known of the memory of {pid}")


def children_named(pid, *names):
    """Pids of the children of a process that have one of these names; zombies too."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                status = proc_status(entry)
                if status["Name"] in names and int(status["PPid"]) == pid:
                    found.append(int(entry))
    return found


def askers(pid):
    """The processes by which a hatchd asks after connections."""
    return children_named(pid, "hatchd-ask")


def workers(pid):
    """The processes that serve connections in the place of a hatchd."""
    return children_named(pid, *WORKERS)


def proc_children(pid):
    """Pids of the children of a process, zombies too."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if int(proc_stat(entry)[1]) == pid and not is_ours(entry):
                    found.append(int(entry))
    return sorted(found)


def adopted():
    """Children that a daemon has left to us: unlike our own, each has its own session."""
    found = set()
    for pid in proc_children(os.getpid()) + workers(os.getpid()):
        with contextlib.suppress(OSError):
            if int(proc_stat(pid)[3]) != os.getsid(0):
                found.add(pid)
    return found


def listening_inodes(pid):
    """Inodes of all listening and all datagram sockets of the network a process lives in.

    A datagram socket of UNIX without a name is none of them: nobody can send to it.  With
    one of these the service manager is told, at whatever moment somebody looks.
    """
    found = set()
    for name in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6"):
        for fields in proc_net(pid, name):
            if fields[3] == "0A" or name.startswith("udp"):
                found.add(fields[9])
    for fields in proc_net(pid, "unix"):
        if int(fields[3], 16) & 0x10000 or fields[4] == "0002" and len(fields) > 7:
            found.add(fields[6])
    return found


def proc_net(pid, name):
    """The lines of one of its tables, as fields; none where the kernel has no such table."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [line.split() for line in lines[1:]]


def proc_fds(pid):
    """Open descriptors of a process: {number: target}."""
    found = {}
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found[int(entry)] = os.readlink(f"/proc/{pid}/fd/{entry}")
    return found


def cpu_seconds(pid):
    """Processor time of a process so far: of its threads that live, or in clock ticks."""
    try:
        threads = pathlib.Path(f"/proc/{pid}/task").iterdir()
        return sum(int((t / "schedstat").read_text().split()[0]) for t in threads) / 1e9
    except (OSError, IndexError, ValueError):
        pass
    stat = proc_stat(pid)
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------------------
# Configuration


def default_user():
    """Who services run as where a test does not care."""
    return "nobody" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name


def quote(value):
    """A value as hatchd.conf(5) writes it."""
    if value is True or value is False:
        return "yes" if value else "no"
    text = str(value)
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def stanza(kind, name=None, **options):
    """A section of the configuration; a dictionary becomes a section inside."""
    lines = [f"{kind} {name} {{" if name else f"{kind} {{"]
    for option, value in options.items():
        if value is None:
            continue
        if isinstance(value, dict):
            lines.append(stanza(option, **value))
        elif isinstance(value, (list, tuple)):
            lines.append(f"{option} = {{ {', '.join(quote(item) for item in value)} }}")
        else:
            lines.append(f"{option} = {quote(value)}")
    return "\n".join(lines) + "\n}\n"


def service(name, **options):
    """A service section.  Runs as nobody under root unless `user` says otherwise."""
    options.setdefault("user", default_user())
    return stanza("service", name, **options)


# A program that says a line, does not listen to SIGTERM, and goes when its client does.
DEAF = "trap '' TERM; echo; exec cat"


def hello(name, port, **options):
    """One that says its name and ends."""
    return service(name, listen=f"tcp:{port}", exec=["/bin/echo", "-n", name], **options)


def put(folder, text, name):
    """A file that only its owner may write."""
    path = pathlib.Path(folder) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o644)
    return path


# ---------------------------------------------------------------------------
# The daemon


def make_folder():
    """A temporary folder that every user may enter, unlike those of pytest."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hatchd-test-"))
    folder.chmod(0o755)
    return folder


_built_helpers = {}
_helper_folders = []


@atexit.register
def remove_built_helpers():
    """Those compiled on the spot, when nobody needs them any more."""
    while _helper_folders:
        shutil.rmtree(_helper_folders.pop(), ignore_errors=True)


def built_helper(name):
    """A helper in C: from the build folder, or compiled on the spot.

    "x" is made of x.c and what there is of x-*.c; "x.so" is to be loaded before a program's
    own libraries.
    """
    if name in _built_helpers:
        return _built_helpers[name]
    path = os.path.join(os.environ.get("builddir", "."), "tests/functional/helpers", name)
    if not os.access(path, os.X_OK):
        folder = make_folder()
        _helper_folders.append(folder)
        path = str(folder / name)
        compiler = os.environ.get("CC", "cc").split()
        stem, helpers = name.removesuffix(".so"), HERE / "helpers"
        sources = [helpers / f"{stem}.c", *sorted(helpers.glob(f"{stem}-*.c"))]
        kind = ["-shared", "-fPIC"] if name.endswith(".so") else []
        subprocess.run(
            [*compiler, "-D_GNU_SOURCE", "-O1", *kind, "-o", path, *sources], check=True
        )
    _built_helpers[name] = os.path.abspath(path)
    return _built_helpers[name]


def helper(name, folder):
    """A copy of helpers/NAME that every user may run; the sources may lie in a home.

    A name without a suffix is that of a program in C.
    """
    target = pathlib.Path(folder) / name
    if not target.exists():
        shutil.copyfile(HERE / "helpers" / name if "." in name else built_helper(name), target)
        target.chmod(0o755)
    return str(target)


class Probe:
    """What helpers/probe.c has printed about the process it was."""

    def __init__(self, text):
        lines = text.decode(errors="backslashreplace").split("\n")
        assert "end" in lines, f"probe was not at its end: {text!r}"
        self.env, self.fds, self.args, self.status, self.limits = {}, {}, [], {}, {}
        self.values = {}
        for line in lines[: lines.index("end")]:
            key, _, rest = line.partition(" ")
            if key == "env":
                name, _, value = rest.partition("=")
                assert name not in self.env, f"{name} is in the environment twice"
                self.env[name] = value
            elif key == "fd":
                number, _, target = rest.partition(" ")
                self.fds[int(number)] = target
            elif key == "arg":
                self.args.append(rest.partition(" ")[2])
            elif key == "status":
                name, _, value = rest.partition(":")
                self.status[name] = value.strip()
            elif key == "limit":
                name, soft, hard = rest.split()
                self.limits[name] = (int(soft), int(hard))
            else:
                self.values[key] = rest

    def __getitem__(self, key):
        return self.values[key]

    def get(self, key):
        return self.values.get(key)


_WITHOUT_CONTROL = ("--control", "--check", "--plan", "--explain", "--print-config")


def hatchd_command(*args, binary=None):
    """argv of a hatchd, as the environment wants it tested."""
    command = [str(binary or HATCHD)]
    if os.environ.get("HATCHD_HIDE_CLONE3", "0") not in ("", "0"):
        command.insert(0, os.environ.get("HIDE_CLONE3") or built_helper("hide-clone3"))
    spawn = os.environ.get("HATCHD_SPAWN")
    if spawn and not any(str(arg).startswith("--spawn") for arg in args):
        command.append(f"--spawn={spawn}")
    # The one of the machine is not for tests.
    if "-f" in args and not any(str(arg).startswith(_WITHOUT_CONTROL) for arg in args):
        command.append("--control=none")
    return command + [str(arg) for arg in args]


def base_environment():
    """What a hatchd is started with: nothing that the tests happen to have."""
    kept = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "GCOV_PREFIX")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    # Its runtime would lower the core limit before hatchd sees it.
    options = [environment.get("ASAN_OPTIONS"), "disable_coredump=0"]
    environment["ASAN_OPTIONS"] = ":".join(filter(None, options))
    return environment


def run_hatchd(*args, env=None, input=b"", cwd=None):
    """A hatchd that ends by itself, such as --check: CompletedProcess with text."""
    done = subprocess.run(
        hatchd_command(*args),
        env={**base_environment(), **(env or {})},
        input=input,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT * 2,
        cwd=cwd,
    )
    done.stdout = done.stdout.decode(errors="backslashreplace")
    done.stderr = done.stderr.decode(errors="backslashreplace")
    return done


class Log:
    """Lines of a stream, collected by a thread; anybody may wait for one."""

    def __init__(self, stream):
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        self.thread = threading.Thread(target=self._collect, args=(stream,), daemon=True)
        self.thread.start()

    def _collect(self, stream):
        with stream:
            for line in stream:
                with self.changed:
                    self.lines.append(line.decode(errors="backslashreplace").rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def text(self):
        with self.changed:
            return "\n".join(self.lines)

    def wait(self, pattern, timeout=TIMEOUT, after=0, count=1):
        """The match of the count-th line, from number `after` on, that has the pattern."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                found = [m for m in (re.search(pattern, x) for x in self.lines[after:]) if m]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if self.ended or not self.changed.wait(max(left, 0)) and left <= 0:
                    text = "\n".join(self.lines)
                    raise AssertionError(f"the log has no {count} lines {pattern!r}:\n{text}")


class Daemon:
    """A running hatchd.

        with Daemon(config=service(...)) as daemon:      # a file, as `hatchd -f`
        with Daemon("-l", "7777", "--", "tr", ...):      # ad-hoc mode

    The constructor returns when hatchd has said READY=1, and raises if it ended
    before.  Keyword arguments:

    config      text of the main file; it is written to folder/hatchd.conf
    folder      where files go (default: a new one, removed by stop())
    env         additional environment of hatchd
    launcher    argv in front of hatchd's: a program that prepares something and execs
    stderr      instead of the pipe that `log` reads; then there is no `log`
    preexec     called in the new process before the exec
    ready       False: do not wait
    pass_fds    descriptors that stay open
    binary      which hatchd; it finds its other programs beside it
    """

    def __init__(self, *args, config=None, folder=None, env=None, launcher=(), stderr=None,
                 preexec=None, ready=True, pass_fds=(), cwd="/", stdin=subprocess.DEVNULL,
                 binary=None):
        self.own_folder = folder is None
        self.folder = pathlib.Path(folder) if folder else make_folder()
        self.stopped = False
        self.leftovers = set()
        self.messages = []
        self.config_path = self.folder / "hatchd.conf"
        if config is not None:
            self.write(config)
            args = ("-f", self.config_path, *args)

        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"\0hatchd-test/{os.getpid()}/{self.folder.name}/{id(self)}")
        environment = {
            **base_environment(),
            "NOTIFY_SOCKET": "@" + self.notify.getsockname()[1:].decode(),
            **(env or {}),
        }
        self.process = subprocess.Popen(
            [*launcher, *hatchd_command(*args, binary=binary)],
            env=environment,
            stdin=stdin,
            stderr=subprocess.PIPE if stderr is None else stderr,
            preexec_fn=preexec,
            pass_fds=pass_fds,
            cwd=cwd,
        )
        self.pid = self.process.pid
        self.log = Log(self.process.stderr) if stderr is None else None
        try:
            self.pidfd = os.pidfd_open(self.pid)
            if ready:
                self.wait_notified("READY=1")
                self.fds_at_start = self.count_fds()
        except BaseException:
            self.kill()
            raise

    # -- files

    def write(self, text, name="hatchd.conf"):
        """A file in the daemon's folder that only its owner may write."""
        return put(self.folder, text, name)

    # -- events

    def wait_notified(self, word, timeout=TIMEOUT):
        """Wait for a message with this assignment on the notification socket."""
        deadline = time.monotonic() + timeout
        while not any(word in message.split("\n") for message in self.messages):
            left = max(deadline - time.monotonic(), 0)
            came = select.select([self.notify, self.pidfd], [], [], left)[0]
            if self.notify in came:
                self.messages.append(self.notify.recv(65536).decode())
            elif came:
                self.process.wait()
                raise AssertionError(
                    f"hatchd ended with {self.process.returncode} before {word}:\n{self.text()}"
                )
            else:
                raise AssertionError(f"no {word} in {timeout} s:\n{self.text()}")

    def notified(self, word, count):
        """Wait until so many messages have had this assignment; returns all messages."""
        while sum(word in message.split("\n") for message in self.messages) < count:
            if not select.select([self.notify], [], [], TIMEOUT)[0]:
                raise AssertionError(f"no {count} messages {word}: {self.messages}")
            self.messages.append(self.notify.recv(65536).decode())
        return self.messages

    def text(self):
        """The log so far."""
        if self.log is None:
            return "(no log)"
        if self.process.poll() is not None:
            self.log.thread.join(1)
        return self.log.text()

    def wait_log(self, pattern, timeout=TIMEOUT, after=0, count=1):
        """Wait for a line that matches the regular expression; returns the match."""
        return self.log.wait(pattern, timeout, after, count)

    def mark(self):
        """Number of lines so far, for `after`."""
        return len(self.log.lines)

    def wait_end(self, timeout=TIMEOUT):
        """Wait until hatchd has ended by itself; returns its status."""
        self._remember_children()
        if not select.select([self.pidfd], [], [], timeout)[0]:
            raise AssertionError(f"hatchd did not end in {timeout} s:\n{self.text()}")
        self.process.wait()
        self.stopped = True
        self._clean()
        return self.process.returncode

    # -- looking at it

    def children(self):
        """Pids of its children, zombies too."""
        return proc_children(self.pid)

    def wait_children(self, count, timeout=TIMEOUT):
        """Wait until it has so many children; returns them."""
        found = []

        def right():
            found[:] = self.children()
            return len(found) == count

        wait_until(right, timeout, f"{count} children of hatchd, which has {found}")
        return found

    def fds(self):
        """Its open descriptors: {number: target}.  Root only."""
        return proc_fds(self.pid)

    def listening(self):
        """{inode: number} of those where clients or datagrams come in.  Root only.

        Connections are not among them: they are closed when their time comes.
        """
        inodes = listening_inodes(self.pid)
        return {
            target: fd
            for fd, target in self.fds().items()
            if target.removeprefix("socket:[").rstrip("]") in inodes
        }

    def count_fds(self):
        """How many they are, without those to helpers and to workers, and texts for
        these, which come when they are needed and stay; None where that cannot be seen."""
        # Who looks for orphans comes and goes, and is a zombie when his is closed.
        wait_until(lambda: not children_named(self.pid, "hatchd-orphans"))
        try:
            own = len({name for name in HELPERS if children_named(self.pid, name)})
            own += WORKER_FDS * len(workers(self.pid))
            return sum("hatchd-text" not in what for what in self.fds().values()) - own
        except PermissionError:
            return None

    def cpu(self):
        """Seconds of processor time that it has used."""
        return cpu_seconds(self.pid)

    # -- the end

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self, leave=False, status=0):
        """SIGTERM; asserts that hatchd ends with `status` and has left nothing behind.

        leave: children may be alive, and the descriptors they need open.
        """
        if self.stopped:
            return
        if not leave:
            self.wait_children(0)
            if self.fds_at_start is not None:
                wait_until(
                    lambda: self.count_fds() <= self.fds_at_start,
                    what=f"{self.fds_at_start} open descriptors, has {self.fds()}",
                )
        self.signal(signal.SIGTERM)
        assert self.wait_end() == status, self.text()

    def _remember_children(self):
        with contextlib.suppress(OSError):
            self.leftovers.update(self.children() + workers(self.pid))

    def kill(self):
        """Whatever happened, nothing stays: by pid, hatchd and the children it had."""
        if self.process.poll() is None:
            self._remember_children()
            self.process.kill()
            self.process.wait()
        self.stopped = True
        for pid in self.leftovers | adopted():
            with contextlib.suppress(OSError):
                # It is ours now, or a stranger with the same number.
                if int(proc_stat(pid)[1]) == os.getpid():
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        self._clean()

    def _clean(self):
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def close(self):
        self.kill()
        self.notify.close()
        with contextlib.suppress(AttributeError, OSError):
            os.close(self.pidfd)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.stop()
        finally:
            self.close()


def reload(daemon, text=None, line="reloaded: "):
    """SIGHUP, with another text if there is one; returns the line that says how it went."""
    if text is not None:
        daemon.write(text)
    mark = daemon.mark()
    daemon.signal(signal.SIGHUP)
    return daemon.wait_log(line + ".*", after=mark).string


@contextlib.contextmanager
def held_back(daemon):
    """What comes meanwhile it finds all at once, however slow the machine is."""
    daemon.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: proc_stat(daemon.pid)[0] == "T", what="hatchd stops")
        yield
    finally:
        daemon.signal(signal.SIGCONT)


class World:
    """What helpers/another-world.c says of the clocks and the load, to who has its `env`.

    Sanitizers must be loaded first, so those are without it.
    """

    def __init__(self, folder):
        path = pathlib.Path(folder) / "world"
        path.write_bytes(struct.pack("qqq", -1, -1, -1))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 24)
        self.env = {
            "LD_PRELOAD": built_helper("another-world.so"),
            "WORLD": str(path),
            "TZ": "CET-1CEST,M3.5.0,M10.5.0/3",
        }

    def is_at(self, text):
        """UTC; it is winter or summer in the middle of Europe."""
        when = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
        struct.pack_into("q", self.map, 0, int(when.timestamp()))

    def is_loaded(self, hundredths):
        struct.pack_into("q", self.map, 8, hundredths)

    def is_later(self, seconds, daemon=None):
        """Than it is, by the clock that nobody sets; the wall shows nothing of it.

        Timers do not either: a daemon that is to see it at once is woken up.
        """
        struct.pack_into("q", self.map, 16, seconds)
        if daemon is not None:
            daemon.signal(signal.SIGUSR1)


def stop_impatiently(daemon, world):
    """hatchd waits for execs that hang, for 5 s: not longer than a moment in such a world."""
    daemon.signal(signal.SIGTERM)
    if world:
        daemon.wait_notified("STOPPING=1")
        world.is_later(5, daemon)
    assert daemon.wait_end() == 0, daemon.text()


# ---------------------------------------------------------------------------
# Clients


_KINDS = {
    "tcp": socket.SOCK_STREAM,
    "mptcp": socket.SOCK_STREAM,
    "udp": socket.SOCK_DGRAM,
    "udplite": socket.SOCK_DGRAM,
    "vsock": socket.SOCK_STREAM,
    "unix": socket.SOCK_STREAM,
    "unix-dgram": socket.SOCK_DGRAM,
    "unix-seqpacket": socket.SOCK_SEQPACKET,
}

# The protocol, where the kind of socket does not say it.
_PROTOCOLS = {"mptcp": 262, "udplite": 136}


def protocol_of(address):
    return _PROTOCOLS.get(str(address).split(":", 1)[0].rstrip("46"), 0)


def parse_address(address):
    """(family, kind, sockaddr) of an address as hatchd writes it.

    A number is a TCP port of 127.0.0.1.
    """
    if isinstance(address, int):
        address = f"tcp:127.0.0.1:{address}"
    scheme, rest = str(address).split(":", 1)
    kind = _KINDS[scheme.rstrip("46")]
    if scheme.startswith("unix"):
        return socket.AF_UNIX, kind, "\0" + rest[1:] if rest.startswith("@") else rest
    if scheme == "vsock":
        cid, port = rest.split(":")
        return socket.AF_VSOCK, kind, (int(cid), int(port))
    host, port = rest.rsplit(":", 1) if ":" in rest else ("127.0.0.1", rest)
    host = host.strip("[]")
    info = socket.getaddrinfo(host, int(port), type=kind, flags=socket.AI_NUMERICHOST)[0]
    return info[0], kind, info[4]


def connect(address, source=None, timeout=TIMEOUT, prepare=None):
    """A connected socket with a timeout.  `source` binds it to that local address first."""
    family, kind, name = parse_address(address)
    sock = socket.socket(family, kind, protocol_of(address))
    try:
        sock.settimeout(timeout)
        if prepare:
            prepare(sock)
        if source is not None:
            sock.bind(source if family == socket.AF_UNIX else (source, 0))
        sock.connect(name)
    except BaseException:
        sock.close()
        raise
    return sock


def read_all(sock):
    """Everything until the end of file."""
    parts = []
    while True:
        part = sock.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def read_exactly(sock, count):
    """So many bytes, or fewer if the other end has closed."""
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            break
        data += part
    return data


def read_line(sock):
    """One line without its end, byte by byte so that nothing behind it is taken."""
    line = b""
    while not line.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte:
            break
        line += byte
    return line.rstrip(b"\n")


def talk(address, data=b"", half_close=True, source=None, timeout=TIMEOUT):
    """Send, half-close, read everything: the answer of a service.

    The sending runs beside the reading, so any size will do.
    """
    with connect(address, source=source, timeout=timeout) as sock:

        def send():
            with contextlib.suppress(OSError):
                sock.sendall(data)
                if half_close:
                    sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        answer = read_all(sock)
        sender.join(timeout)
        return answer


def udp(address, *messages, timeout=TIMEOUT):
    """Send datagrams to a service from one socket; returns that many answers."""
    with connect(address, timeout=timeout) as sock:
        for message in messages:
            sock.send(message)
        return [sock.recv(65536) for _ in messages]


def comes_in(address, source=None, data=b""):
    """Whether somebody is served who says that, or nothing, to a service that answers.

    Who is turned away has not been heard: with what he has sent unread, his end is a reset.
    """
    try:
        return talk(address, data, source=source) != b""
    except ConnectionResetError:
        return False


def unix_as(path, uid, gid, groups=()):
    """What a client of a UNIX socket is told who is that user, in these groups; b"" if he
    is turned away.  Root only."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            with connect(f"unix:{path}") as sock:
                os.write(writer, sock.recv(100))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0, f"user {uid} could not ask"
    return told


def is_refused(address):
    """Whether nobody listens there; who has just stopped resets what waits for him."""
    try:
        connect(address).close()
    except (ConnectionRefusedError, ConnectionResetError, FileNotFoundError):
        return True
    return False


def hatchctl(*args, input=b"", timeout=TIMEOUT, **more):
    """Run hatchctl: CompletedProcess with bytes."""
    return subprocess.run(
        [HATCHCTL, *map(str, args)],
        input=input,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=timeout,
        **more,
    )


def listed(path, **more):
    """What hatchctl tells of services, all of it, by their names."""
    done = hatchctl("list", "--json", "--output-all", f"--control={path}", **more)
    return {row["service"]: row for row in json.loads(done.stdout)["services"]}


# ---------------------------------------------------------------------------
# The loader


_LOADER = """#!/bin/sh
# In the place of hatchd-load, which hatchd looks for beside itself.
echo run >>'{folder}/runs'
if [ -e '{folder}/hold' ]; then
	echo $$ >'{folder}/held'
	kill -STOP $$
fi
if [ -e '{folder}/instead' ]; then
	. '{folder}/instead'
fi
exec '{loader}' "$@"
"""


class Loader:
    """A loader that a test has in hand, for daemons started after it was made.

    It lies beside a copy of hatchd in `folder`; hatchd finds it there.
    """

    def __init__(self, folder, monkeypatch):
        self.folder = pathlib.Path(folder) / "loader"
        self.folder.mkdir()
        copy = self.folder / "hatchd"
        shutil.copyfile(HATCHD, copy)
        copy.chmod(0o755)
        script = self.folder / "hatchd-load"
        loader = os.path.join(os.path.dirname(HATCHD), "hatchd-load")
        script.write_text(_LOADER.format(folder=self.folder, loader=loader))
        script.chmod(0o755)
        shutil.copy(os.path.join(os.path.dirname(HATCHD), "hatchd-ask"), self.folder)
        monkeypatch.setattr("harness.HATCHD", str(copy))

    def runs(self):
        """How often it was started."""
        with contextlib.suppress(FileNotFoundError):
            return len((self.folder / "runs").read_text().splitlines())
        return 0

    def hold(self):
        """From now on it stops, as one that hangs in a name service does."""
        (self.folder / "held").unlink(missing_ok=True)
        (self.folder / "hold").touch()

    def wait_held(self):
        """Wait until one has stopped; returns its pid."""

        def held():
            with contextlib.suppress(OSError, ValueError):
                pid = int((self.folder / "held").read_text())
                return pid if proc_stat(pid)[0] == "T" else None

        return wait_until(held, what="a loader that has stopped")

    def release(self, pid):
        """Let it go on, and those to come with it."""
        (self.folder / "hold").unlink()
        os.kill(pid, signal.SIGCONT)

    def instead(self, script):
        """Shell commands that it runs in the place of its work; None: none."""
        path = self.folder / "instead"
        path.unlink(missing_ok=True)
        if script is not None:
            path.write_text(script)
