"""Started by somebody careless, or where half of the kernel is hidden.

The numbers are those of a catalogue of faults: F31 is a bad parent, F32 a
container that hides /proc or filters system calls.
"""

import errno
import os
import platform
import resource
import signal
import subprocess
import time

import pytest

from harness import (
    PYTHON, Daemon, Probe, base_environment, built_helper, connect, free_port, hatchd_command,
    helper, proc_fds, proc_status, read_all, service, talk, wait_exit,
)
from namespace import own_system, with_mounts

needs_root = pytest.mark.needs_root

CLOSE_RANGE = 436  # on every architecture of today
UNSHARE = {"x86_64": 272, "aarch64": 97, "riscv64": 97}.get(platform.machine())


def dirty(folder):
    return [PYTHON, "-S", "-E", helper("dirty.py", folder)]


def nofile(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def look(port):
    return Probe(talk(port))


# -- F31: the parent


def test_signals_of_the_parent(hatchd, folder):
    """F31: SIGCHLD ignored, all blocked: children are reaped with their status, TERM works."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell="read how; exit $how"),
                         launcher=dirty(folder))
    for status in (0, 3):
        assert talk(port, b"%d\n" % status) == b""
        daemon.wait_log(rf"s: child \d+ ended: exit {status}, ")
    daemon.wait_children(0)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_end() == 0


@pytest.mark.parametrize("mask", [0, 0o777])
def test_umask_of_the_parent(hatchd, folder, mask):
    """F31: what hatchd makes has the mode that is documented."""
    port = free_port()
    path = folder / "s"
    daemon = hatchd.file(
        service("s", listen=[f"unix:{path}", f"tcp:{port}"], exec=helper("probe", folder)),
        preexec=lambda: os.umask(mask))
    assert oct(path.stat().st_mode & 0o777) == "0o666"
    assert look(port)["umask"] == "0022"
    assert proc_status(daemon.pid)["Umask"] == "0077"


@needs_root
@pytest.mark.parametrize("how", ["foreground", "daemon"])
def test_folder_of_the_parent_can_be_unmounted(folder, how):
    """F31: hatchd holds no file system that it was started in."""
    port = free_port()
    (folder / "mnt").mkdir()
    config = folder / "hatchd.conf"
    config.write_text(service("s", listen=f"tcp:{port}", exec="/bin/cat"))
    pid_file = folder / "run.pid"
    script = (f"mount -t tmpfs tmpfs {folder}/mnt && cd {folder}/mnt && "
              f'cp {config} here.conf && exec "$@"')
    command = [*with_mounts(script),
               *hatchd_command("-f", "here.conf", f"--pid-file={pid_file}")]
    if how == "daemon":
        subprocess.run([*command, "--daemon"], env=base_environment(), check=True)
        pid = int(pid_file.read_text())
    else:
        process = subprocess.Popen(command, env=base_environment(), stderr=subprocess.PIPE)
        assert b"ready: 1 service" in process.stderr.readline()
        pid = process.pid
    try:
        done = subprocess.run(["nsenter", "-t", str(pid), "--mount", "umount", f"{folder}/mnt"],
                              stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr
        assert talk(port, b"x") == b"x"
    finally:
        os.kill(pid, signal.SIGTERM)
        if how == "daemon":
            assert os.waitpid(pid, 0)[1] == 0
        else:
            assert process.wait() == 0
            process.stderr.close()


@needs_root
def test_huge_number_of_descriptors(hatchd, folder):
    """F31: a limit is no reason for a table of that size, nor for so many calls."""
    port = free_port()
    with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
        most = int(file.read())
    raised = ["prlimit", f"--nofile={most}:{most}", "true"]
    if subprocess.run(raised, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("the limit of descriptors may not be raised here")
    before = time.monotonic()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec=helper("probe", folder)),
                         preexec=nofile(most, most))
    assert time.monotonic() - before < 10
    assert daemon.cpu() < 1
    assert int(proc_status(daemon.pid)["FDSize"]) <= 131072
    assert look(port).limits["nofile"] == (most, most)


STRAYS = range(3, 10)


def with_strays(launcher=()):
    """A launcher, and a function that makes these the ends of one pipe: (read end, ...)."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    script = "".join(f"exec {n}>&{write_end}; " for n in STRAYS if n != write_end)
    return read_end, write_end, ["/bin/bash", "-c", script + 'exec "$@"', "bash", *launcher]


def check_strays(hatchd, folder, launcher=(), *args):
    """A daemon that has closed what it was started with, and that serves."""
    port = free_port()
    read_end, write_end, launcher = with_strays(launcher)
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec=helper("probe", folder)),
                         *args, launcher=launcher, pass_fds=[write_end])
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == b"", "nobody holds the other end any more"
    for _ in range(3):
        assert sorted(look(port).fds) == [0, 1, 2]
    daemon.wait_children(0)
    return daemon


def check_end(daemon):
    """With it ends everything that has its standard error."""
    daemon.stop()
    daemon.log.thread.join(20)
    assert daemon.log.ended, "somebody still writes to the log"


def test_descriptors_of_the_parent(hatchd, folder):
    """F31: 3 to 9 are open."""
    check_end(check_strays(hatchd, folder))


@pytest.mark.parametrize("variables", [
    "LISTEN_PID=1 LISTEN_FDS=3", "LISTEN_PID=0 LISTEN_FDS=1", "LISTEN_PID=x LISTEN_FDS=x",
    "LISTEN_FDS=7", "LISTEN_PID=$$", "LISTEN_PID=-1 LISTEN_FDS=2000000000",
    "LISTEN_PID= LISTEN_FDS=", "LISTEN_PID=99999999999999999999 LISTEN_FDS=1",
])
def test_sockets_of_somebody_else(hatchd, folder, variables):
    """F31: never taken for ours, whatever is wrong with them."""
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:{port}", exec=helper("probe", folder)),
                launcher=["/bin/sh", "-c", f'export {variables}; exec "$@"', "sh"])
    assert not [name for name in look(port).env if name.startswith("LISTEN")]


@pytest.mark.parametrize("variables", [
    "LISTEN_FDS=0", "LISTEN_FDS=x", "LISTEN_FDS=2000000000", "LISTEN_FDS=3",
    "LISTEN_FDS=1 LISTEN_FDNAMES=a:b",
])
def test_sockets_that_are_not_there(folder, variables):
    """They are meant for us and cannot be: that is said, not guessed about."""
    config = folder / "hatchd.conf"
    config.write_text(service("s", listen=f"tcp:{free_port()}", exec="/bin/cat"))
    done = subprocess.run(
        ["/bin/sh", "-c", f'export LISTEN_PID=$$ {variables}; exec "$@"', "sh",
         *hatchd_command("-f", config)], env=base_environment(), stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"unable to clean up what the process was started with: " in done.stderr


# -- F31 and F32: the machine


@needs_root
@pytest.mark.parametrize("mode", ["shared", "private"])
def test_without_proc_and_dev_log(hatchd, folder, mode):
    """F31, F32: nothing to read there, and nowhere to log to but standard error."""
    check_end(check_strays(hatchd, folder, own_system(folder, hide="proc"), f"--spawn={mode}"))


@needs_root
@pytest.mark.parametrize("closed", ["2", "0,1,2"])
def test_without_any_log(hatchd, folder, closed):
    """F31: no /dev/log, no journal, no standard error."""
    port = free_port()
    launcher = [*own_system(folder), PYTHON, "-S", "-E", helper("closed.py", folder), closed]
    hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat"), launcher=launcher)
    for _ in range(20):
        assert talk(port, b"x") == b"x"


@needs_root
def test_processes_of_others_are_hidden(hatchd, folder):
    """F32: /proc shows everybody only his own."""
    port = free_port()
    script = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    hatchd.file(service("s", listen=f"tcp:{port}", exec=helper("probe", folder)),
                launcher=with_mounts(script))
    assert sorted(look(port).fds) == [0, 1, 2]


def refuse(number, error):
    return [built_helper("refuse-call"), str(number), str(error)]


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM], ids=["ENOSYS", "EPERM"])
@pytest.mark.parametrize("mode", ["shared", "private"])
def test_close_range_is_refused(hatchd, folder, mode, error):
    """F32: strays are closed all the same, in hatchd, its log and its children."""
    launcher = refuse(CLOSE_RANGE, error)
    check_end(check_strays(hatchd, folder, launcher, f"--spawn={mode}"))


@pytest.mark.skipif(UNSHARE is None, reason="the number of unshare is not known here")
@pytest.mark.parametrize("mode", ["shared", "private"])
def test_close_range_and_unshare_are_refused(hatchd, folder, mode):
    """F32: a table cannot be unshared, so each child is born with one of its own."""
    launcher = refuse(CLOSE_RANGE, errno.EPERM) + refuse(UNSHARE, errno.EPERM)
    check_end(check_strays(hatchd, folder, launcher, f"--spawn={mode}"))


@needs_root
@pytest.mark.parametrize("mode", ["shared", "private"])
def test_close_range_is_refused_and_proc_hidden(hatchd, folder, mode):
    """F32: one number after the other, below a bound."""
    launcher = own_system(folder, hide="proc") + refuse(CLOSE_RANGE, errno.ENOSYS)
    check_end(check_strays(hatchd, folder, launcher, f"--spawn={mode}"))


@needs_root
def test_killed_where_close_range_is_refused(folder):
    """F32: neither the log's process nor a child keeps a socket or the pid file's lock."""
    port = free_port()
    config = service("s", listen=f"tcp:{port}", exec="/bin/cat")
    more = {"config": config, "folder": folder,
            "launcher": refuse(CLOSE_RANGE, errno.ENOSYS)}
    first = Daemon(f"--pid-file={folder}/x.pid", **more)
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        (child,) = first.children()
        assert sorted(proc_fds(child)) == [0, 1, 2]
        first.signal(signal.SIGKILL)
        first.wait_end()
        with Daemon(f"--pid-file={folder}/x.pid", **more):
            assert talk(port, b"again") == b"again"
        client.shutdown(1)
        assert read_all(client) == b""
    wait_exit(child)
    first.close()
