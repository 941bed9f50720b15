"""Numbers of processes that come again (F27), and what is done to children (F36)."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from harness import (
    PYTHON, Daemon, Probe, connect, free_port, helper, proc_children, proc_stat, read_line,
    service, talk, wait_until,
)

needs_root = pytest.mark.needs_root

# A first process that lives as long as the name space, and hatchd beside it.
NAMESPACE = '"$@" & wait; exec /bin/sleep infinity'


class PidNamespace:
    """A hatchd among processes whose next number we can choose."""

    def __init__(self, config, folder):
        probe = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c",
                 "echo 300 > /proc/sys/kernel/ns_last_pid"]
        if subprocess.run(probe, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("numbers of processes cannot be chosen here")
        self.daemon = Daemon(
            config=config, folder=folder,
            launcher=["unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
                      "sh", "-c", NAMESPACE, "sh"])
        (self.init,) = proc_children(self.daemon.pid)
        (self.hatchd,) = proc_children(self.init)

    def next(self, number, *command):
        """The next process has this number; perhaps it is this program's."""
        script = f'echo {number - 1} > /proc/sys/kernel/ns_last_pid; "$@"'
        return subprocess.Popen(
            ["nsenter", "-t", str(self.init), "--pid", "--mount", "sh", "-c", script, "sh",
             *(command or [":"])])

    def choose(self, number):
        assert self.next(number).wait() == 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.daemon.close()


@needs_root
def test_numbers_come_again(folder):
    """F27: a new child with the number of one that has ended is another one."""
    port = free_port()
    config = service("s", listen=f"tcp:{port}", shell="read how; exit $how")
    with PidNamespace(config, folder) as space:
        for status in range(40):
            space.choose(4000)
            assert talk(port, b"%d\n" % status) == b""
            space.daemon.wait_log(rf"s: child 4000 ended: exit {status}, ")
        wait_until(lambda: not proc_children(space.hatchd))
        assert talk(port, b"0\n") == b""


@needs_root
def test_number_that_a_stranger_has_now(folder):
    """F27: hatchd stops, and ends its children; not who has their numbers."""
    port = free_port()
    config = service("s", listen=f"tcp:{port}", stop="terminate",
                     shell="echo $$; read x; exit 7")
    with PidNamespace(config, folder) as space:
        space.choose(5000)
        with connect(port) as client:
            assert read_line(client) == b"5000"
        space.daemon.wait_log(r"s: child 5000 ended: ")
        stranger = space.next(5000, "setsid", "sleep", "infinity")

        def found():
            for pid in pathlib.Path("/proc").iterdir():
                try:
                    status = (pid / "status").read_text()
                except OSError:
                    continue
                if re.search(r"^Name:\tsleep$.*^NSpid:\t\d+\t5000$", status, re.M | re.S):
                    return int(pid.name)
            return None

        pid = wait_until(found)
        with connect(port) as client:
            assert read_line(client) != b"5000"
            os.kill(space.hatchd, signal.SIGTERM)
            space.daemon.wait_log("stopped")
        assert proc_stat(pid)[0] in "SR"
        os.kill(pid, signal.SIGKILL)
        stranger.wait()


# -- F36


def with_echo(config):
    port = free_port()
    return config + service("echo", listen=f"tcp:{port}", exec="/bin/cat"), port


def test_child_kills_its_group_with_killpg(hatchd):
    """F36: with all that it has started; hatchd and the other children are in other groups."""
    port = free_port()
    program = [PYTHON, "-S", "-E", "-c",
               "import os, signal; os.fork(); os.write(1, b'x'); os.killpg(0, signal.SIGKILL)"]
    config, echo = with_echo(service("s", listen=f"tcp:{port}", exec=program))
    daemon = hatchd.file(config)
    with connect(echo) as other:
        other.sendall(b"x")
        assert other.recv(1) == b"x"
        for _ in range(5):
            assert talk(port) in (b"x", b"xx")
        daemon.wait_log(r"s: child \d+ ended: signal 9 \(KILL\)", count=5)
        other.sendall(b"y")
        assert other.recv(1) == b"y"


def memory_group():
    """A new memory cgroup of 16 MB, of either version, or None."""
    for base, limit in (("/sys/fs/cgroup", "memory.max"),
                        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
        group = pathlib.Path(base, f"hatchd-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            with open(group / limit, "r+", encoding="ascii") as file:  # not a new one
                file.write("16777216")
            return group
        except OSError:
            group.rmdir()
    return None


@needs_root
@pytest.mark.parametrize("mode", ["shared", "private"])
def test_child_runs_out_of_memory(hatchd, mode):
    """F36: it is killed for its memory, and only it."""
    group = memory_group()
    if group is None:
        pytest.skip("no memory cgroup can be made here")
    port = free_port()
    eat = f"{PYTHON} -S -E -c 'bytes([1]) * (1 << 28)'"
    config, echo = with_echo(service("s", listen=f"tcp:{port}", user="root",
                                     shell=f"echo $$ > {group}/cgroup.procs && exec {eat}"))
    try:
        daemon = hatchd.file(config, f"--spawn={mode}")
        for _ in range(3):
            assert talk(port) == b""
        daemon.wait_log(r"s: child \d+ ended: signal 9 \(KILL\)", count=3)
        assert talk(echo, b"served") == b"served"
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


@needs_root
@pytest.mark.parametrize("mode", ["auto", "private"])
@pytest.mark.parametrize("score", [-900, 500])
def test_oom_score_is_that_of_hatchd_alone(hatchd, folder, score, mode):
    """F36: what protects hatchd, or exposes it, is not for its children."""

    def set_score():
        pathlib.Path("/proc/self/oom_score_adj").write_text(str(score))

    try:
        done = subprocess.run(["true"], preexec_fn=set_score)
    except subprocess.SubprocessError:
        pytest.skip("the score may not be changed here")
    assert done.returncode == 0
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec=helper("probe", folder)),
                         f"--spawn={mode}", preexec=set_score)
    own = pathlib.Path(f"/proc/{daemon.pid}/oom_score_adj")
    assert own.read_text() == f"{score}\n"
    assert Probe(talk(port))["oom"] == "0"
    assert own.read_text() == f"{score}\n", "the score belongs to the memory"


def test_name_that_is_a_number(hatchd, folder):
    """As hatchd-ask has one, until it has got to its first line: a program is a child."""
    port = free_port()
    program = folder / "7"
    shutil.copy("/bin/cat", program)
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec=program))
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        (child,) = daemon.children()
        assert pathlib.Path(f"/proc/{child}/comm").read_text() == "7\n"
