"""What a hatchd that has died leaves behind: it goes on, and the next one can end it."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from harness import (
    PYTHON, connect, free_port, hatchctl, is_alive, proc_stat, read_exactly, service, stanza,
    talk, wait_until, workers,
)
from slow_file import slow_file
from test_control import ask, cat, dial, read_lines, status
from test_redirect import Target, redirect

DONE, FAILED, USAGE = 0, 1, 2

# One that has started another, and does not go when it is told to.
STUBBORN = "trap '' TERM; exec 3<&0; cat <&3 & echo; wait"

pytestmark = pytest.mark.needs_root


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.fixture
def start(path, hatchd):
    """One after the other, with the same file."""
    return lambda config, **more: hatchd.file(config, f"--control={path}", **more)


def crash(daemon):
    daemon.signal(signal.SIGKILL)
    assert daemon.wait_end() == -signal.SIGKILL


def ctl(path, *args):
    done = hatchctl("orphans", "-s", path, *args)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def orphans(path, *args):
    """{pid: row}."""
    code, out, err = ctl(path, "--json", *args)
    assert (code, err) == (DONE, "")
    rows = json.loads(out)["orphans"]
    assert [row["pid"] for row in rows] == sorted(row["pid"] for row in rows)
    return {row["pid"]: row for row in rows}


def assert_left(path, pids):
    """Those and no others, as soon as what was found last is no answer any more."""
    wait_until(lambda: orphans(path).keys() == set(pids))


def opened(port, data=b"x"):
    client = connect(port)
    client.sendall(data)
    assert read_exactly(client, len(data)) == data
    return client


def goes_on(client):
    client.sendall(b"still")
    return read_exactly(client, 5) == b"still"


def mark_of(pid):
    for entry in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if entry.startswith(b"HATCHD_MASTER="):
            return entry.decode()
    raise AssertionError(f"{pid} has no mark")


# ---------------------------------------------------------------------------
# To be found


def test_after_a_crash(start, path):
    """Programs and workers go on; all are found, counted and told apart."""
    ports = [free_port() for _ in range(3)]
    config = (cat("a", ports[0]) + cat("b", ports[1])
              + stanza("service", "echo", listen=f"tcp:{ports[2]}", builtin="echo"))
    first = start(config)
    with opened(ports[0]) as a, opened(ports[1]) as b, opened(ports[2]) as echo:
        pids = {row["service"]: row["pid"] for row in ask(path, "connections")[:-1]}
        (worker,) = workers(first.pid)
        crash(first)
        second = start(config)
        line = second.wait_log("an earlier hatchd has left .*").string
        assert line.endswith("left 3 processes running; hatchctl orphans lists them")
        assert status(path)["orphans"] == 3 and status(path)["children"] == 0
        found = orphans(path)
        assert found.keys() == {pids["a"], pids["b"], worker}
        assert found[pids["a"]] == {
            "service": "a", "connection": 1, "pid": pids["a"], "user": "nobody",
            "age_usec": found[pids["a"]]["age_usec"], "command": "cat"}
        assert 0 < found[pids["a"]]["age_usec"] < 600e6
        assert found[worker]["service"] is None and found[worker]["connection"] is None
        assert found[worker]["command"] == "hatchd-builtin"
        assert b"\nhatchd_orphans 3\n" in hatchctl("metrics", "-s", path).stdout
        assert orphans(path, "b").keys() == {pids["b"]} and not orphans(path, "nobody")
        assert "Orphans:       3 left by an earlier hatchd" in (
            hatchctl("status", "-s", path).stdout.decode())
        with opened(ports[0]), opened(ports[2]):
            assert orphans(path).keys() == found.keys()
        assert goes_on(a) and goes_on(b) and goes_on(echo)
    for pid in found:
        wait_until(lambda: not is_alive(pid))
    assert_left(path, [])
    assert status(path)["orphans"] == 0
    second.wait_log("nothing is running any more that an earlier hatchd has left")


def test_after_a_stop(start, path):
    """Who was left to serve his client is left, however hatchd has ended."""
    port = free_port()
    config = cat("a", port)
    first = start(config)
    with opened(port) as client:
        first.stop(leave=True)
        second = start(config)
        # Nothing but the process is there to tell of the first one: nobody looks by himself.
        assert status(path)["orphans"] is None
        assert len(orphans(path)) == 1 and goes_on(client)
        second.wait_log("an earlier hatchd has left 1 process running; .* lists it")


def test_after_two_crashes(start, path):
    port = free_port()
    first = start(cat("a", port))
    with opened(port):
        crash(first)
        second = start(cat("a", port))
        with opened(port):
            crash(second)
            start(cat("a", port))
            assert len(orphans(path)) == 2


def test_asked_all_the_time(start, path):
    """A look is the answer to all who ask for a while, and the log is not filled with it."""
    port = free_port()
    first = start(cat("a", port))
    with opened(port):
        crash(first)
        daemon = start(cat("a", port))
        daemon.wait_log("an earlier hatchd has left 1 process running")
        mark, begun = daemon.mark(), time.monotonic()
        for _ in range(100):
            assert len(ask(path, "orphans")) == 2
        # There is a pause of 100 ms from one search to the next.
        assert time.monotonic() - begun < 5
        assert not daemon.log.lines[mark:]


def test_who_has_gone(start, path):
    """What he has asked for is not done later on."""
    port = free_port()
    first = start(cat("a", port))
    with opened(port) as client:
        crash(first)
        second = start(cat("a", port))
        assert len(orphans(path)) == 1
        with dial(path) as stays, dial(path) as goes:
            second.signal(signal.SIGSTOP)
            stays.sendall(b"end-orphans nobody\n")
            goes.sendall(b"kill-orphans a\n")
            goes.close()
            second.signal(signal.SIGCONT)
            assert read_lines(stays)[0] == {"done": True, "told": 0}
        assert ask(path, "end-orphans nobody")[0] == {"done": True, "told": 0}
        assert goes_on(client)
        assert "SIGKILL" not in second.text()


def test_nothing_is_left(start, path):
    port = free_port()
    start(cat("a", port))
    with opened(port):
        assert status(path)["orphans"] is None
        assert ctl(path, "--noheadings") == (DONE, "", "")
        assert ctl(path, "--end") == (DONE, "0 processes are told to end\n", "")
        assert ctl(path, "--end", "--kill-after=1s") == (DONE, "0 processes have ended\n", "")


def test_another_hatchd(hatchd, folder):
    """Each has its own, whoever lives; one that serves the same file is no earlier one."""
    ports = [free_port(), free_port()]
    paths = [folder / name / "run" / "control" for name in "ab"]
    configs = [cat("x", port) for port in ports]
    for path in paths:
        path.parent.parent.mkdir()

    def start(i, control=None):
        return hatchd.file(configs[i], f"--control={control or paths[i]}",
                           folder=paths[i].parent.parent)

    first, other = start(0), start(1)
    with opened(ports[0]), opened(ports[1]):
        mine, theirs = first.children(), other.children()
        twin = start(0, folder / "twin")
        assert orphans(folder / "twin") == {}
        crash(first)
        assert orphans(paths[1]) == {}
        assert_left(folder / "twin", mine)
        crash(twin)
        start(0)
        assert orphans(paths[0]).keys() == set(mine)
        crash(other)
        assert_left(paths[0], mine)
        start(1)
        assert orphans(paths[1]).keys() == set(theirs)


def test_what_programs_start(start, path):
    """It is its parent's affair, as long as that lives; what lives on is no orphan while its
    hatchd serves."""
    port = free_port()
    config = service("s", listen=f"tcp:{port}", shell=STUBBORN)
    first = start(config)
    with connect(port) as client:
        assert client.recv(1) == b"\n"
        (shell,) = first.children()
        crash(first)
        second = start(config)
        assert orphans(path).keys() == {shell}
        os.kill(shell, signal.SIGKILL)
        wait_until(lambda: not is_alive(shell))
        wait_until(lambda: shell not in orphans(path))
        ((left, row),) = orphans(path).items()
        assert (row["command"], row["service"]) == ("cat", "s")
        with connect(port) as another:
            assert another.recv(1) == b"\n"
            (shell,) = second.children()
            os.kill(shell, signal.SIGKILL)
            second.wait_children(0)
            assert orphans(path).keys() == {left}


def test_forged(start, path, folder):
    """Whoever says so of himself is listed, in words that do no harm; nothing else is."""
    port = free_port()
    first = start(cat("a", port))
    with opened(port):
        (child,) = first.children()
        mark = mark_of(child)
        crash(first)
        start(cat("a", port))
        family = mark.split("=")[1].split("-")[0]
        dead = mark.rpartition("-")[0]
        alive = proc_stat(os.getpid())[19]
        # $$ is the session of each: the one it begins with itself.
        marks = {
            "forged": f"{dead}-$$",
            "reused": f"HATCHD_MASTER={family}-{os.getpid()}-{int(alive) + 1}-$$",
            "alive": f"HATCHD_MASTER={family}-{os.getpid()}-{alive}-$$",
            "stranger": f"HATCHD_MASTER={int(family, 16) ^ 1:016x}-{os.getpid()}-1-$$",
            "malformed": f"{dead}-$$x",
            "number": f"HATCHD_MASTER={family}-99999999999-1-$$",
            "on its own": mark,
        }
        with contextlib.ExitStack() as stack:
            pids = {}
            for name, entry in marks.items():
                process = stack.enter_context(subprocess.Popen(
                    ["/bin/sh", "-c", f'exec /usr/bin/env "{entry}" /bin/cat'],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
                    env={"HATCHD_SERVICE": "\x1b[2J\nx", "HATCHD_CONNECTION": "-1"}))
                process.stdin.write(b"x")
                process.stdin.flush()
                process.stdout.read(1)
                pids[name] = process.pid
            assert_left(path, {child, pids["forged"], pids["reused"]})
            found = orphans(path)
            assert found[pids["forged"]]["service"] is None
            assert found[pids["forged"]]["connection"] is None
            assert "\x1b" not in ctl(path)[1]


def test_what_is_on_its_own(start, path, hatchd):
    """A daemon that a service has started is nobody's, and so is another hatchd: the one that
    drains after somebody has taken over is not ended, nor are those whom it serves."""
    ports = [free_port(), free_port()]
    shell = "setsid sleep 1000 & echo $!; wait"
    config = cat("a", ports[0]) + service("s", listen=f"tcp:{ports[1]}", shell=shell)
    first = start(config)
    with connect(ports[1]) as client:
        left = int(client.recv(99))
        try:
            (program,) = first.children()
            mark = mark_of(program)
            crash(first)
            os.kill(program, signal.SIGKILL)
            # From within a service: it has the mark of the first one.
            second = start(config, env={"HATCHD_MASTER": mark.split("=")[1]})
            with opened(ports[0]) as served:
                third = hatchd.file(config, f"--control={path}", f"--take-over={path}")
                assert orphans(path) == {}
                assert ctl(path, "--end")[1] == "0 processes are told to end\n"
                assert goes_on(served) and is_alive(left)
            assert second.wait_end() == 0
            assert third.children() == []
        finally:
            os.kill(left, signal.SIGKILL)


# One of its threads has its memory, and the other one wants it.
DELAY = """
import ctypes, mmap, os, sys, threading
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
fd = os.open(sys.argv[1], os.O_RDONLY)
page = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, 0)
copy = ctypes.create_string_buffer(8)
touch = lambda: libc.memcpy(copy, ctypes.c_void_p(page), ctypes.c_size_t(8))
threading.Thread(target=touch, daemon=True).start()
while True:
    at = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANON, -1, 0)
    libc.munmap(ctypes.c_void_p(at), 4096)
"""


@contextlib.contextmanager
def who_delays(folder):
    """The pid of a process whose environment nobody can read."""
    folder.mkdir()
    process = None
    try:
        with slow_file(folder) as path:
            process = subprocess.Popen([PYTHON, "-S", "-E", "-c", DELAY, path])
            wait_until(lambda: proc_stat(process.pid)[0] == "D")
            yield process.pid
    finally:
        # Not before its file is gone does it end.
        if process:
            process.kill()
            process.wait()


def test_who_delays(start, path, folder):
    """Who cannot be looked into delays others for a moment, and hides nobody."""
    with contextlib.ExitStack() as stack:
        try:
            slow = stack.enter_context(who_delays(folder / "slow"))
        except OSError:
            pytest.skip("no FUSE here")
        port = free_port()
        first = start(cat("a", port))
        client = stack.enter_context(opened(port))
        (child,) = first.children()
        assert child > slow
        crash(first)
        start(cat("a", port))
        assert orphans(path).keys() == {child}
        assert ctl(path, "--end")[1] == "1 process is told to end\n"
        assert client.recv(1) == b""


def test_strange_names(start, path, folder):
    """What a process calls itself is shown, and not obeyed."""
    port = free_port()
    script = ("import ctypes, sys; ctypes.CDLL(None).prctl(15, b'\\x1b[2J)\\n(S 1\\xff'); "
              "print('x', flush=True); sys.stdin.read()")
    config = service("a", listen=f"tcp:{port}", exec=[PYTHON, "-c", script])
    first = start(config)
    with connect(port) as client:
        assert read_exactly(client, 2) == b"x\n"
        (child,) = first.children()
        crash(first)
        start(config)
        assert orphans(path)[child]["command"] == "\x1b[2J)\n(S 1\ufffd"
        assert "\x1b" not in ctl(path)[1] and ctl(path)[1].count("\n") == 2


def test_redirect(start, path):
    """A worker passes on what its clients say until they are done, and their targets."""
    port = free_port()
    with contextlib.closing(Target(f"tcp:127.0.0.1:{free_port()}")) as target:
        config = redirect("r", f"tcp:127.0.0.1:{port}", target.address)
        first = start(config)
        (client, behind) = connect(port), target.accept()
        with client, behind:
            (worker,) = workers(first.pid)
            crash(first)
            start(config)
            assert [row["command"] for row in orphans(path).values()] == ["hatchd-relay"]
            client.sendall(b"there")
            behind.sendall(b"back")
            assert (read_exactly(behind, 5), read_exactly(client, 4)) == (b"there", b"back")
            with connect(port):
                target.accept().close()
        wait_until(lambda: not is_alive(worker))
        assert_left(path, [])


def test_datagrams(start, path):
    """Who has the socket of a service ends with hatchd: the next one gets the address."""
    address = f"udp:127.0.0.1:{free_port()}"
    config = service("u", listen=address, exec="/bin/cat", session_timeout="1s")
    first = start(config)
    with connect(address) as client:
        client.send(b"x")
        assert client.recv(1) == b"x"
        crash(first)
        start(config)
        client.send(b"y")
        assert client.recv(1) == b"y"
        assert orphans(path) == {}


# ---------------------------------------------------------------------------
# To be ended


def test_end(start, path):
    """Those of one service, those that will not go, and nobody else."""
    ports = [free_port(), free_port()]
    config = cat("a", ports[0]) + service("b", listen=f"tcp:{ports[1]}", shell=STUBBORN)
    first = start(config)
    with opened(ports[0]) as a, connect(ports[1]) as b:
        assert b.recv(1) == b"\n"
        crash(first)
        second = start(config)
        with opened(ports[0]) as living:
            assert ctl(path, "--end", "a") == (DONE, "1 process is told to end\n", "")
            assert a.recv(1) == b""
            second.wait_log("a: sent SIGTERM to 1 process that an earlier hatchd has left")
            assert len(orphans(path)) == 1
            assert ctl(path, "--end", "b") == (DONE, "1 process is told to end\n", "")
            assert len(orphans(path)) == 1
            assert ctl(path, "--end", "--kill-after", "100ms") == (
                DONE, "1 process has ended\n", "")
            assert b.recv(1) == b"" and orphans(path) == {} and goes_on(living)
            second.wait_log("sent SIGKILL to . process(es)? that")
            assert " 0 process" not in second.text()


def test_address(start, path):
    """A program that has the socket itself keeps the address, until it is made to end."""
    port = free_port()
    accept = ("import socket; s = socket.socket(fileno=0); "
              "[(c.sendall(c.recv(9)), c.close()) for c in iter(lambda: s.accept()[0], 0)]")
    config = service("a", listen=f"tcp:{port}", wait=True, exec=[PYTHON, "-c", accept])
    first = start(config)
    assert talk(port, b"first") == b"first"
    crash(first)
    second = start(config)
    assert talk(port, b"still") == b"still" and not second.children()
    assert ctl(path, "--end") == (DONE, "1 process is told to end\n", "")
    second.wait_log(f"a: listening on tcp:{port} now")
    assert talk(port, b"second") == b"second" and len(second.children()) == 1
    os.kill(second.children()[0], signal.SIGKILL)


def test_who_may_end(start, path):
    port = free_port()
    first = start(cat("a", port))
    with opened(port) as client:
        crash(first)
        start(cat("a", port))
        assert ctl(path, "--kill-after=1s")[0] == USAGE
        assert ctl(path, "--end", "--kill-after=x")[0] == USAGE
        assert ctl(path, "--end", "a", "b")[0] == USAGE
        for style in (["--json"], ["-r"], ["-n"], ["-o", "pid"], ["-O"], ["--color=never"]):
            code, out, err = ctl(path, "--end", *style)
            assert (code, out) == (USAGE, "") and "no use with --end" in err
        for name in "../a", "a\nb", "":
            assert "is not the name of a service" in ctl(path, "--end", name)[2]
        assert goes_on(client)
        assert ask(path, "kill-orphans a")[0] == {"done": True, "told": 1}
        assert client.recv(1) == b""
    assert ask(path, "end-orphans a b")[0] == {"error": "too many words"}
    assert ask(path, "orphans ../a")[0] == {"error": "not the name of a service"}


def test_not_root(start, path, folder):
    """Who is nobody in particular sees and ends what is his."""
    port = free_port()
    path.parent.mkdir()
    os.chown(path.parent, 65534, 65534)
    somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    first = start(cat("a", port), launcher=somebody)
    with opened(port) as client:
        (child,) = first.children()
        crash(first)
        start(cat("a", port), launcher=somebody)
        assert orphans(path).keys() == {child} and goes_on(client)
        assert ctl(path, "--end")[1] == "1 process is told to end\n"
        assert client.recv(1) == b""


def test_blind(start, path, hatchd):
    """In a container that may not look into processes nothing is found: who asks is told."""
    port = free_port()
    launcher = ["setpriv", "--bounding-set=-sys_ptrace"]
    crash(start(cat("a", port), launcher=launcher))
    daemon = hatchd.file(cat("a", port), "-v", f"--control={path}", launcher=launcher)
    failure = ("unable to look for what an earlier hatchd has left: "
               "that takes CAP_SYS_PTRACE")
    assert "warning" not in daemon.wait_log(failure).string
    assert ctl(path) == (
        FAILED, "", "hatchctl: it is not known what others have left\n")
    assert status(path)["orphans"] is None


def test_adhoc_has_none(hatchd, path):
    """Nobody comes in its place, and nothing is marked."""
    port = free_port()
    daemon = hatchd.adhoc("-l", f"tcp:{port}", f"--control={path}", "--user=nobody",
                          "--", "/bin/cat")
    with opened(port):
        (child,) = daemon.children()
        assert b"HATCHD_MASTER" not in pathlib.Path(f"/proc/{child}/environ").read_bytes()
    assert ask(path, "orphans") == [{"error": "it is not known what others have left"}]
    assert status(path)["orphans"] is None


# ---------------------------------------------------------------------------
# By the control group


@pytest.fixture
def group():
    """A control group, as a unit of systemd's has one."""
    for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
        made = pathlib.Path(root, f"hatchd-test-{os.getpid()}")
        with contextlib.suppress(OSError):
            made.mkdir()
            break
    else:
        pytest.skip("no control group can be made here")
    yield made
    for pid in (made / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (made.parent / "cgroup.procs").write_text(pid)
    wait_until(lambda: not (made / "cgroup.procs").read_text())
    made.rmdir()


def started_in(group, main_process):
    """As systemd starts it, or as one of its processes does."""
    pid = "$$" if main_process else "1"
    return ["/bin/sh", "-c", f"echo $$ > {group}/cgroup.procs; "
            f'export SYSTEMD_EXEC_PID={pid}; exec "$@"', "sh"]


def test_after_a_stop_in_the_group(start, path, group):
    """Whoever is in there says that there was somebody."""
    port = free_port()
    first = start(cat("a", port), launcher=started_in(group, True))
    with opened(port) as client:
        first.stop(leave=True)
        second = start(cat("a", port), launcher=started_in(group, True))
        second.wait_log("an earlier hatchd has left 1 process running")
        assert goes_on(client)


@pytest.mark.parametrize("main_process", [True, False])
def test_without_a_mark(start, path, group, main_process):
    """A program that has lost its environment is known by its group, if that is hatchd's."""
    port = free_port()
    config = service("a", listen=f"tcp:{port}", exec=["/usr/bin/env", "-i", "/bin/cat"])
    first = start(config, launcher=started_in(group, main_process))
    with opened(port):
        (child,) = first.children()
        crash(first)
        second = start(config, launcher=started_in(group, main_process))
        with opened(port):
            (other,) = second.children()
            found = orphans(path)
            assert found.keys() == ({child} if main_process else set())
            if main_process:
                assert found[child]["service"] is None and other not in found
                assert ctl(path, "--end", "a")[1] == "0 processes are told to end\n"
                assert ctl(path, "--end")[1] == "1 process is told to end\n"
                wait_until(lambda: not is_alive(child))
