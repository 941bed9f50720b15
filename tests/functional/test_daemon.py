"""hatchd --daemon: in the background, and only one of it.

The daemon leaves its caller, so each of these tests holds it by its pid file.
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import termios

import pytest

from harness import (
    HATCHD, IS_ROOT, PYTHON, Daemon, Probe, base_environment, connect, free_port,
    hatchd_command, helper, is_refused, proc_fds, proc_stat, proc_status, read_exactly,
    run_hatchd, service, talk, wait_exit, wait_until,
)
from namespace import own_system, receiver

needs_root = pytest.mark.needs_root


class Background:
    """Daemons with one configuration and one pid file, that end with the test."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self.pid_file = folder / "run" / "hatchd.pid"
        self.pid_file.parent.mkdir(mode=0o755)
        self.config(service("echo", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat"))
        self.pids = set()

    def config(self, text):
        path = self.folder / "hatchd.conf"
        path.write_text(text)
        path.chmod(0o644)

    def args(self, *more):
        return ("--daemon", f"--pid-file={self.pid_file}", "--control=none", "-f",
                str(self.folder / "hatchd.conf"), *more)

    def pid(self):
        pid = int(self.pid_file.read_text())
        self.pids.add(pid)
        return pid

    def run(self, *more, **options):
        """Start one, as a script would: CompletedProcess."""
        return run_hatchd(*self.args(*more), **options)

    def start(self, *more, **options):
        """One that has to come up; returns its pid."""
        done = self.run(*more, **options)
        assert done.returncode == 0, done.stderr
        return self.pid()

    def command(self, *command, env=None):
        """A program that runs hatchd --daemon: what it has written to standard error."""
        done = subprocess.run([*map(str, command), *hatchd_command(*self.args())],
                              env={**base_environment(), **(env or {})}, check=True,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return done.stderr.decode()

    def stop(self, pid):
        os.kill(pid, signal.SIGTERM)
        wait_exit(pid)
        self.reap(pid)
        assert not self.pid_file.exists()

    def reap(self, pid):
        """It has come to us, and nobody else waits for it."""
        with contextlib.suppress(ChildProcessError):
            return os.waitpid(pid, 0)[1]

    def end(self):
        with contextlib.suppress(OSError, ValueError):
            self.pid()
        for pid in self.pids:
            with contextlib.suppress(OSError):
                if int(proc_stat(pid)[1]) == os.getpid():
                    os.kill(pid, signal.SIGKILL)
                    self.reap(pid)


@pytest.fixture
def background(folder):
    background = Background(folder, free_port())
    yield background
    background.end()


# -- coming up


def test_serves_when_the_caller_returns(background):
    """run_hatchd() reads to the end of file: nothing holds the caller's pipes."""
    done = background.run()
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "hatchd: ready: 1 service on 1 address\n"
    assert talk(background.port, b"Bom dia") == b"Bom dia"
    pid = background.pid()
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(background.reap(pid)) == 0
    assert not background.pid_file.exists()
    assert is_refused(background.port)


@pytest.mark.parametrize("parent", ["clean", "dirty"])
def test_nothing_of_the_caller_stays(background, parent):
    """Session, terminal, folder, mask, descriptors: daemon(7)."""
    if parent == "dirty":
        background.command(PYTHON, "-S", "-E", helper("dirty.py", background.folder))
    else:
        background.start()
    pid = background.pid()
    stat = proc_stat(pid)
    assert int(stat[3]) != os.getsid(0)
    assert int(stat[3]) != pid, "the leader of a session could get a terminal"
    assert stat[4] == "0", "there is a terminal"
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert proc_status(pid)["Umask"] == "0077"
    fds = proc_fds(pid)
    assert [fds[n] for n in range(3)] == ["/dev/null"] * 3
    assert "/etc/passwd" not in fds.values()
    # The pipe to the caller is closed when the caller has returned.
    wait_until(lambda: not any("pipe:" in target for target in proc_fds(pid).values()))
    assert oct(background.pid_file.stat().st_mode & 0o7777) == "0o644"
    assert talk(background.port, b"x") == b"x"
    background.stop(pid)


def test_terminal_is_let_go(background):
    """It closes: the daemon is not hung up, and never had it."""
    primary, secondary = pty.openpty()

    def own_terminal():
        os.setsid()
        fcntl.ioctl(secondary, termios.TIOCSCTTY, 0)

    caller = subprocess.Popen(hatchd_command(*background.args()), env=base_environment(),
                              stdin=secondary, stdout=secondary, stderr=secondary,
                              preexec_fn=own_terminal)
    os.close(secondary)
    assert caller.wait() == 0
    assert b"ready: 1 service" in os.read(primary, 1000)
    pid = background.pid()
    assert proc_stat(pid)[4] == "0"
    assert not [target for target in proc_fds(pid).values() if "/pts/" in target]
    with pytest.raises(OSError):  # EIO: nobody has its other end
        os.read(primary, 1)
    os.close(primary)
    assert talk(background.port, b"x") == b"x"
    background.stop(pid)


@pytest.mark.parametrize("closed", ["0", "0,1", "0,1,2", "2"])
def test_without_standard_descriptors(background, closed):
    background.command(PYTHON, "-S", "-E", helper("closed.py", background.folder), closed)
    assert talk(background.port, b"x") == b"x"
    background.stop(background.pid())


def test_notification(background):
    """Both ways to tell a manager: the message names the process to look after."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"\0hatchd-test/{os.getpid()}/{background.folder.name}")
        notify.settimeout(20)
        pid = background.start(env={"NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode()})
        message = notify.recv(65536).decode().split("\n")
    assert "READY=1" in message
    assert f"MAINPID={pid}" in message


def test_watchdog(background):
    """It is meant for the caller's process, and the daemon is in its place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"\0hatchd-test/{os.getpid()}/{background.folder.name}")
        notify.settimeout(20)
        subprocess.run(
            ["/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh",
             *hatchd_command(*background.args())],
            env={**base_environment(), "WATCHDOG_USEC": "1000000",
                 "NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode()}, check=True)
        while notify.recv(65536) != b"WATCHDOG=1":
            pass
    background.stop(background.pid())


def test_sockets_that_were_handed_over(background):
    """They are meant for the caller's process, which is not the daemon."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        background.config(service("echo", listen="fd:web", exec="/bin/cat"))
        script = (f"exec 3<&{sock.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$ "
                  'LISTEN_FDNAMES=web; exec "$@"')
        subprocess.run(["/bin/bash", "-c", script, "bash",
                        *hatchd_command(*background.args())], env=base_environment(),
                       pass_fds=[sock.fileno()], check=True)
    assert talk(port, b"x") == b"x"
    background.stop(background.pid())


# -- not coming up


def test_refused_configuration(background):
    background.config(service("echo", listen="tcp:7777", exce="/bin/cat"))
    done = background.run()
    assert done.returncode == 78
    assert "did you mean 'exec'" in done.stderr
    assert not background.pid_file.exists()


def test_failed_start(background):
    """Told before the caller returns."""
    done = subprocess.run(
        ["/bin/bash", "-c", 'ulimit -n 64; exec "$@"', "bash",
         *hatchd_command(*background.args())], env=base_environment(), stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"unable to start: 1 service needs " in done.stderr
    assert not background.pid_file.exists()


@pytest.mark.parametrize("more", [
    ["--check"], ["--print-config"], ["-l", "7777", "--", "cat"],
    ["--once", "-l", "7777", "--", "cat"], ["--shell", "cat", "-l", "7777"],
])
@pytest.mark.parametrize("flag", ["--daemon", "--pid-file=/run/hatchd-test.pid"])
def test_what_it_does_not_go_with(flag, more):
    done = run_hatchd(flag, *more)
    assert done.returncode == 2
    assert flag.split("=")[0] in done.stderr
    assert "Try 'hatchd --help'" in done.stderr
    assert not os.path.exists("/run/hatchd-test.pid")


class SlowLoader:
    """A copy of hatchd whose loader waits for us, and so does the start."""

    def __init__(self, background):
        here = background.folder / "slow"
        here.mkdir()
        shutil.copy(HATCHD, here / "hatchd")
        self.real = os.path.join(os.path.dirname(HATCHD), "hatchd-load")
        if not os.path.exists(self.real):
            pytest.skip("the loader is not beside hatchd")
        self.told, self.go = here / "told", here / "go"
        os.mkfifo(self.told)
        os.mkfifo(self.go)
        (here / "hatchd-load").write_text(
            f"#!/bin/sh\nls -l /proc/$$/fd > {here}/fds\n"
            f"echo $PPID > {self.told}\nread x < {self.go}\nexec {self.real} \"$@\"\n")
        (here / "hatchd-load").chmod(0o755)
        self.folder = here
        self.caller = subprocess.Popen([here / "hatchd", *background.args()],
                                       env=base_environment(), stderr=subprocess.PIPE)
        # Opened for both, so that neither end waits for the other when it ends.
        self.hold = [os.open(path, os.O_RDWR) for path in (self.told, self.go)]
        self.daemon = int(os.read(self.hold[0], 100))
        background.pids.add(self.daemon)

    def release(self):
        os.write(self.hold[1], b"go\n")

    def close(self):
        self.caller.kill()
        self.caller.wait()
        self.caller.stderr.close()
        for fd in self.hold:
            os.close(fd)


@pytest.fixture
def slow(background):
    loader = SlowLoader(background)
    yield loader
    loader.close()


def test_caller_waits_until_somebody_is_served(background, slow):
    assert slow.caller.poll() is None
    assert is_refused(background.port)
    assert background.pid() == slow.daemon, "who stops it now knows whom"
    slow.release()
    assert slow.caller.wait() == 0
    assert talk(background.port, b"x") == b"x"
    fds = (slow.folder / "fds").read_text()
    assert "memfd:hatchd-conf" in fds
    assert "hatchd.pid" not in fds, "the loader has the lock"
    background.stop(slow.daemon)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_caller_gives_up(background, slow, number):
    """Nobody is left behind who serves after all."""
    slow.caller.send_signal(number)
    assert slow.caller.wait() == -number
    slow.release()
    status = background.reap(slow.daemon)
    assert os.waitstatus_to_exitcode(status) == 1
    assert is_refused(background.port)
    assert not background.pid_file.exists()


def test_daemon_dies_while_it_starts(background, slow):
    os.kill(slow.daemon, signal.SIGKILL)
    assert slow.caller.wait() == 1
    assert b"the daemon ended before it was ready" in slow.caller.stderr.readline()
    slow.release()


# -- one instance


def identity(path):
    st = path.stat()
    return st.st_ino, st.st_mtime_ns, st.st_ctime_ns, path.read_text()


@pytest.mark.parametrize("second", ["daemon", "foreground"])
def test_second_instance(background, second):
    pid = background.start()
    before = identity(background.pid_file)
    args = background.args() if second == "daemon" else background.args()[1:]
    done = run_hatchd(*args)
    assert done.returncode == 1
    assert done.stderr == ("hatchd: error: unable to start: hatchd is already running as "
                           f"process {pid} (pid file {background.pid_file})\n")
    assert identity(background.pid_file) == before
    assert talk(background.port, b"still served") == b"still served"
    background.stop(pid)


def test_killed_and_started_again(background):
    """The lock ends with the process, though its children live on."""
    pid = background.start()
    with connect(background.port) as old:
        old.sendall(b"x")
        assert old.recv(1) == b"x"
        os.kill(pid, signal.SIGKILL)
        background.reap(pid)
        assert background.pid_file.read_text() == f"{pid}\n"
        again = background.start()
        assert again != pid
        assert talk(background.port, b"new") == b"new"
        old.sendall(b"old")
        assert read_exactly(old, 3) == b"old"
        background.stop(again)


def test_file_of_somebody_else_stays(background):
    pid = background.start()
    background.pid_file.unlink()
    background.pid_file.write_text("12345\n")
    os.kill(pid, signal.SIGTERM)
    background.reap(pid)
    assert background.pid_file.read_text() == "12345\n"
    background.pid_file.unlink()


def test_what_is_no_pid_file_is_left_alone(background):
    background.pid_file.write_text("precious\n")
    done = background.run()
    assert done.returncode == 1
    assert f"unable to write pid file {background.pid_file}: it is there already" in done.stderr
    assert background.pid_file.read_text() == "precious\n"
    background.pid_file.unlink()
    background.pid_file.parent.chmod(0o777)
    done = background.run()
    assert done.returncode == 1
    assert "others may write in its folder" in done.stderr


@pytest.mark.skipif(not IS_ROOT, reason="needs root, to see descriptors")
def test_children_do_not_have_the_lock(background):
    background.config(service("look", listen=f"tcp:127.0.0.1:{background.port}",
                              exec=helper("probe", background.folder)))
    pid = background.start()
    lock = [n for n, target in proc_fds(pid).items() if target == str(background.pid_file)]
    assert len(lock) == 1 and lock[0] >= 256, "children need the numbers below"
    found = Probe(talk(background.port))
    assert sorted(found.fds) == [0, 1, 2]
    assert found.fds[2] == "/dev/null"
    background.stop(pid)


def test_pid_file_in_the_foreground(background):
    """For supervisors that want one; and no child holds its lock, the log's neither."""
    config = (background.folder / "hatchd.conf").read_text()
    with Daemon(f"--pid-file={background.pid_file}", config=config,
                folder=background.folder) as daemon:
        assert background.pid_file.read_text() == f"{daemon.pid}\n"
        with connect(background.port) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            daemon.signal(signal.SIGKILL)
            daemon.wait_end()
            with Daemon(f"--pid-file={background.pid_file}", config=config,
                        folder=background.folder) as again:
                assert background.pid_file.read_text() == f"{again.pid}\n"
    assert not background.pid_file.exists()


# -- the log


@needs_root
@pytest.mark.parametrize("there", [["journal"], ["log"], ["journal", "log"]])
def test_log_of_the_system(background, there):
    """The journal if there is one; the caller sees the beginning only."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(receiver(background.folder / name)) for name in there]
        check_log_of_the_system(background, there[0], *sockets)


def check_log_of_the_system(background, kind, target, other=None):
    stderr = background.command(*own_system(background.folder))
    assert stderr == "hatchd: ready: 1 service on 1 address\n"
    pid = background.pid()
    assert b"ready: 1 service on 1 address" in target.recv(65536)
    assert talk(background.port, b"x") == b"x"
    text = target.recv(65536).decode()
    if kind == "journal":
        assert re.search(r"^SYSLOG_IDENTIFIER=hatchd$", text, re.MULTILINE)
        assert re.search(r"^SERVICE=echo$", text, re.MULTILINE)
    else:
        assert re.match(rf"<30>hatchd\[{pid}\]: echo: child \d+ ended: exit 0, ", text)
    background.stop(pid)
    assert other is None or not select.select([other], [], [], 0)[0]


@needs_root
def test_mistakes_at_reload_are_in_the_log(background):
    """Standard error leads nowhere by then."""
    with receiver(background.folder / "log") as log:
        background.command(*own_system(background.folder))
        pid = background.pid()
        background.config("service echo { lisn = 7 }")
        os.kill(pid, signal.SIGHUP)
        text = log.recv(65536)
        while b"keeping the configuration" not in text:
            text += log.recv(65536)
        assert re.search(rb"<27>hatchd\[\d+\]: .*: error: unknown option 'lisn'", text)
        assert talk(background.port, b"x") == b"x"
        background.stop(pid)


def test_log_that_comes_later(background):
    """What nobody takes is counted, and told when somebody does."""
    launcher = own_system(background.folder)
    path = background.folder / "log"
    with receiver(path):
        pass
    background.command(*launcher)  # a socket file that nobody has open
    assert talk(background.port, b"x") == b"x"
    path.unlink()
    with receiver(path) as log:
        assert talk(background.port, b"x") == b"x"
        lost = rb"\]: \d messages? lost: the system log did not take"
        assert re.search(lost, log.recv(65536))
    background.stop(background.pid())
