"""The control socket: what is asked, told, and done to it."""

import array
import contextlib
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess

import pytest

from harness import (
    PYTHON, Loader, connect, free_port, proc_status, read_all, run_hatchd, service, stanza,
    talk, wait_until,
)
from namespace import with_mounts

CLIENTS_MAX = 32  # src/master/control.h
ANSWERS_MAX = 8
NAME_MAX = 64


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def dial(path):
    return connect(f"unix:{path}")


def read_lines(client):
    """All lines of an answer; what was sent behind a question may end it with a reset."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while True:
            part = client.recv(65536)
            if not part:
                break
            data += part
    assert data.endswith(b"\n") or not data
    return [json.loads(line) for line in data.splitlines()]


def ask(path, question):
    with dial(path) as client:
        client.sendall(question.encode() + b"\n")
        return read_lines(client)


def status(path):
    facts, end = ask(path, "status")
    assert end == {"end": True, "reloaded": False}
    return facts


def listed(path, question="list"):
    *services, end = ask(path, question)
    assert end == {"end": True, "reloaded": False}
    return services


def cat(name, port, **options):
    return service(name, listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", **options)


def is_served(port):
    return talk(f"tcp:127.0.0.1:{port}", b"x") == b"x"


# ---------------------------------------------------------------------------
# What is told


def test_status(hatchd, path):
    port, other = free_port(), free_port()
    daemon = hatchd.file(cat("a", port, per_source=1) + cat("b", other), f"--control={path}")
    first = status(path)
    version = run_hatchd("-V").stdout.splitlines()
    assert f"hatchd {first['hatchd']}" == version[0]
    assert version[1].endswith(first["spawn"]) or os.environ.get("HATCHD_SPAWN")
    assert first["protocol"] == 2 and first["pid"] == daemon.pid
    assert first["config"] == str(daemon.config_path) and first["state"] == "serving"
    assert first["reload"] == {"running": False, "last": None}
    assert (first["services"], first["children"], first["connections"]) == (2, 0, 0)
    assert first["refused"] == {} and first["workers"] == [] and first["total_instances"] > 0

    with connect(port) as one, connect(other):
        one.sendall(b"x")
        assert one.recv(1) == b"x"
        daemon.wait_children(2)
        with connect(port) as another:
            assert read_all(another) == b""
        then = status(path)
    assert (then["children"], then["connections"], then["clients"]) == (2, 3, 2)
    assert then["refused"] == {"per_source": 1}
    assert then["up_usec"] > first["up_usec"] and abs(then["since"] - first["since"]) <= 1

    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert status(path)["reload"]["last"] == "done"
    daemon.write("service {")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("unable to reload")
    reload = status(path)["reload"]
    assert (reload["last"], reload["reason"]) == ("failed", "the files have mistakes")
    assert reload["ago_usec"] >= 0 and not reload["running"]


def test_a_reload_that_runs(hatchd, path, folder, monkeypatch):
    loader = Loader(folder, monkeypatch)
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    loader.hold()
    daemon.signal(signal.SIGHUP)
    pid = loader.wait_held()
    assert status(path)["reload"]["running"] is True
    loader.release(pid)
    daemon.wait_log("reloaded")
    assert status(path)["reload"]["running"] is False


def test_list(hatchd, path):
    ports = [free_port() for _ in range(5)]
    taken = socket.create_server(("127.0.0.1", ports[3]))
    text = (
        cat("busy", ports[0], no_access="127.0.0.2")
        + cat("full", ports[1], instances=1)
        + service("lacking", listen=f"tcp:127.0.0.1:{ports[2]}", exec="/nonexistent/program")
        + service("half", exec="/bin/cat", instances="unlimited",
                  listen=[f"tcp:127.0.0.1:{ports[4]}", f"tcp:127.0.0.1:{ports[3]}"])
    )
    with taken:
        daemon = hatchd.file(text, f"--control={path}")
        with connect(ports[0]), connect(ports[0]), connect(ports[1]):
            daemon.wait_children(3)
            with connect(ports[0], source="127.0.0.2") as stranger:
                assert read_all(stranger) == b""
            busy, full, lacking, half = listed(path)
            # The same words as in the log.
            before = daemon.mark()
            daemon.signal(signal.SIGUSR1)
            daemon.wait_log("half: serving, 0 children", after=before)
            daemon.wait_log("busy: serving, 2 children, refused 1", after=before)
            daemon.wait_log("full: full, 1 child", after=before)
            daemon.wait_log("lacking: waiting, 0 children", after=before)
    assert busy == {
        "service": "busy", "state": "serving", "children": 2, "instances": 512, "started": 2,
        "refused": {"no_access": 1},
        "addresses": [{"address": f"tcp:127.0.0.1:{ports[0]}", "state": "open"}],
    }
    assert (full["state"], full["children"], full["instances"]) == ("full", 1, 1)
    assert (lacking["state"], lacking["reason"]) == (
        "waiting", "no program /nonexistent/program")
    assert lacking["addresses"] == [
        {"address": f"tcp:127.0.0.1:{ports[2]}", "state": "waiting"}]
    assert (half["state"], half["instances"]) == ("serving", None)
    assert half["addresses"] == [
        {"address": f"tcp:127.0.0.1:{ports[4]}", "state": "open"},
        {"address": f"tcp:127.0.0.1:{ports[3]}", "state": "waiting",
         "reason": "unable to bind: somebody listens there already"},
    ]
    daemon.wait_children(0)
    assert [s["started"] for s in listed(path)] == [2, 1, 0, 0]
    assert listed(path, "list full")[0]["service"] == "full"


def test_paused(hatchd, path, folder):
    program = folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:127.0.0.1:{port}", exec=program),
                         f"--control={path}")
    program.unlink()
    # Each pause is longer than the one before: some day one is long enough to be seen.
    def paused():
        with contextlib.suppress(OSError), connect(port) as client:
            read_all(client)
        found = listed(path)[0]
        return found if found["state"] == "paused" else None

    found = wait_until(paused, what="a pause")
    assert found["reason"] == "the program cannot be started"
    assert 0 < found["resumes_usec"] <= 30_000_000
    assert daemon.process.poll() is None


def test_removed_services_with_children(hatchd, path):
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with connect(port):
        daemon.wait_children(1)
        daemon.write("")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded")
        facts = status(path)
        assert (facts["services"], facts["removed"], facts["children"]) == (0, 1, 1)
        assert listed(path) == []


def test_names_are_escaped(hatchd, path, folder):
    """A path may have anything in it that is no slash; addresses are told as written."""
    address = f"unix:{folder}/" + r'a"b\\c\x09d'
    hatchd.file(service("s", listen=address, exec="/bin/cat"), f"--control={path}")
    assert listed(path)[0]["addresses"] == [{"address": address, "state": "open"}]


def test_adhoc(hatchd, path):
    """A program of the command line has one only if it is asked for."""
    daemon = hatchd.adhoc("-l", "tcp:127.0.0.1:0", f"--control={path}", "--", "/bin/cat")
    (only,) = listed(path)
    assert only["service"] == "cat" and only["state"] == "serving"
    assert re.fullmatch("tcp:127.0.0.1:[1-9][0-9]*", only["addresses"][0]["address"])
    assert listed(path, "list cat") == [only]
    assert status(path)["config"] is None
    daemon.stop()
    assert not path.exists()


# ---------------------------------------------------------------------------
# What is asked


@pytest.mark.parametrize("question, error", [
    ("", "the request is empty"),
    ("statu", "unknown request"),
    ("STATUS", "unknown request"),
    ("status all", "too many words"),
    ("list a b", "too many words"),
    ("list /etc", "not the name of a service"),
    ("list b", "no such service"),
    ("\0", "unknown request"),
    ("GET / HTTP/1.0", "unknown request"),
    ("x" * 255, "unknown request"),
    ("x" * 256, "the line is too long"),
    ("x" * 100_000, "the line is too long"),
])
def test_no_question(hatchd, path, question, error):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    with dial(path) as client:
        with contextlib.suppress(BrokenPipeError):
            client.sendall(question.encode() + b"\n")
        assert read_lines(client) == [{"error": error}]
    assert status(path)["services"] == 1


def test_in_pieces(hatchd, path):
    hatchd.file(cat("a", free_port()), f"--control={path}")
    with dial(path) as client:
        for byte in b" list  a \r\n":
            client.sendall(bytes([byte]))
        assert read_lines(client)[0]["service"] == "a"
    with dial(path) as client:
        client.sendall(b"status")
        client.shutdown(socket.SHUT_WR)
        assert "hatchd" in read_lines(client)[0]
    with dial(path) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_lines(client) == []
    # One question for each connection.
    with dial(path) as client:
        client.sendall(b"list\nstatus\nlist\n")
        assert [line.get("service") for line in read_lines(client)] == ["a", None]


def test_descriptors_are_not_taken(hatchd, path):
    """F7: what is sent along is closed by somebody who may wait."""
    hatchd.file(cat("a", free_port()), f"--control={path}")
    reader, writer = os.pipe()
    for data in (b"status\n", b"sta"):
        with dial(path) as client:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))]
            client.sendmsg([data], rights)
            assert read_lines(client) == [{"error": "descriptors are not taken"}]
    os.close(writer)
    assert select.select([reader], [], [], 20)[0], "hatchd keeps what it was sent"
    assert os.read(reader, 1) == b""
    os.close(reader)


# ---------------------------------------------------------------------------
# Many, slow, silent


def long_names():
    """Services whose list does not fit into the buffers of a socket, whatever they hold."""
    with socket.socket(socket.AF_UNIX) as sock:
        room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    n = max(400, (2 * room + 65536) // 1200)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 10 * n:
        pytest.skip("too few descriptors")
    return [f"{i:04}-" + "n" * (NAME_MAX - 5) for i in range(n)]


def long_text(names, port):
    return cat("first", port) + "".join(
        service(name, exec="/bin/cat",
                listen=[f"unix:@{name}/{port}/{j}{'-' * 20}" for j in range(8)])
        for name in names)


def test_many_services(hatchd, path):
    port = free_port()
    names = [f"s{i}" for i in range(1000)]
    hatchd.file("".join(
        service(name, listen=f"tcp:127.0.{i // 250}.{1 + i % 250}:{port}", exec="/bin/cat")
        for i, name in enumerate(names)), f"--control={path}")
    assert [s["service"] for s in listed(path)] == names
    assert listed(path, "list s999")[0]["addresses"][0]["state"] == "open"
    assert talk(f"tcp:127.0.0.1:{port}", b"x") == b"x"


def test_more_than_a_buffer(hatchd, path):
    """A service with so many addresses that its line comes in several pieces."""
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:127.0.0.1:{port}-{port + 999}", exec="/bin/cat")
                + cat("t", port + 1000), f"--control={path}")
    s, t = listed(path)
    assert [a["address"] for a in s["addresses"]] == [
        f"tcp:127.0.0.1:{port + i}" for i in range(1000)]
    assert t["service"] == "t"


def test_clients_that_do_not_read(hatchd, path):
    port = free_port()
    names = long_names()
    hatchd.file(long_text(names, port), f"--control={path}")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(dial(path)) for _ in range(ANSWERS_MAX)]
        for client in clients:
            client.sendall(b"list\n")
        assert is_served(port)
        # He gets the turn of one of them.
        assert [s["service"] for s in listed(path)] == ["first", *names]
        assert is_served(port)
        data = [read_all(client) for client in clients]
    assert not all(b'"end":true' in text for text in data)


def test_a_client_that_reads_slowly(hatchd, path):
    port = free_port()
    names = long_names()
    hatchd.file(long_text(names, port), f"--control={path}")
    with dial(path) as client:
        client.sendall(b"list\n")
        assert client.recv(10) == b'{"service"'
        for _ in range(20):
            assert status(path)["services"] == len(names) + 1
            client.recv(10000)
        assert b'{"end":true,"reloaded":false}\n' in read_all(client)


def test_silent_clients(hatchd, path):
    """The oldest has to go when there are too many, also if he has begun to ask."""
    port = free_port()
    hatchd.file(cat("a", port), f"--control={path}")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(dial(path))]
        clients[0].sendall(b"stat")
        clients += [stack.enter_context(dial(path)) for _ in range(CLIENTS_MAX)]
        assert is_served(port)
        assert status(path)["services"] == 1
        assert read_lines(clients[0]) == []
        clients[-1].sendall(b"status\n")
        assert "hatchd" in read_lines(clients[-1])[0]


def test_a_crowd(hatchd, path):
    """Nobody who asks at once is turned away, also where there are too many at once."""
    hatchd.file(cat("a", free_port()), f"--control={path}")
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(50):
            clients.append(stack.enter_context(dial(path)))
            clients[-1].sendall(b"list\n")
        for client in clients:
            assert [line.get("service") for line in read_lines(client)] == ["a", None]


def test_a_crowd_that_says_nothing(hatchd, path):
    """It costs services nothing, and places come free."""
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS_MAX + 20):
            stack.enter_context(dial(path))
        for _ in range(50):
            assert is_served(port)
        before = daemon.cpu()
    assert status(path)["services"] == 1
    assert daemon.cpu() - before < 1


def test_no_descriptors(hatchd, path):
    """F1: who asks waits in the queue, as every client, and is answered when there are some."""
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)

    def wakeups():
        return int(proc_status(daemon.pid)["voluntary_ctxt_switches"])

    before = wakeups()
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    with dial(path) as client:
        client.sendall(b"status\n")
        wait_until(lambda: wakeups() > before)
        cpu = daemon.cpu()
        assert not select.select([client], [], [], 0)[0]
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
        assert read_lines(client)[0]["pid"] == daemon.pid
    assert daemon.cpu() - cpu < 0.5


# ---------------------------------------------------------------------------
# Reloads


def test_a_reload_in_the_middle(hatchd, path):
    """Whoever stays is told of once, wherever it stands now; others may be missing."""
    port = free_port()
    names = long_names()
    daemon = hatchd.file(long_text(names, port), f"--control={path}")
    with dial(path) as client:
        client.sendall(b"list\n")
        assert client.recv(10, socket.MSG_PEEK) == b'{"service"'
        staying = names[::2]
        daemon.write(cat("new", free_port()) + long_text(staying, port))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded: 1 added")
        *services, end = read_lines(client)
    assert end == {"end": True, "reloaded": True}
    told = [s["service"] for s in services]
    assert len(told) == len(set(told)) and told[0] == "first"
    assert [name for name in told if name in staying] == staying
    assert [s["service"] for s in listed(path)] == ["new", "first", *staying]


def test_reloads_all_the_time(hatchd, path):
    ports = [free_port() for _ in range(60)]
    texts = [
        "".join(cat(f"s{i}", port) for i, port in enumerate(ports)),
        "".join(cat(f"s{i}", port) for i, port in reversed(list(enumerate(ports[:40])))),
        cat("s0", ports[0]),
    ]
    daemon = hatchd.file(texts[0], f"--control={path}")
    for i in range(60):
        daemon.write(texts[i % 3], "next.conf").rename(daemon.config_path)
        daemon.signal(signal.SIGHUP)
        *services, end = ask(path, "list")
        names = [s["service"] for s in services]
        assert end["reloaded"] or len(names) in (1, 40, 60)
        assert len(names) == len(set(names))
        assert status(path)["pid"] == daemon.pid
    assert is_served(ports[0])
    # The last request was for the third text, and none is forgotten.
    wait_until(lambda: [s["service"] for s in ask(path, "list")[:-1]] == ["s0"])


# ---------------------------------------------------------------------------
# The socket


def test_it_is_made_and_removed(hatchd, path):
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    assert oct(path.stat().st_mode & 0o7777) == "0o600"
    assert oct(path.parent.stat().st_mode & 0o7777) == "0o751"
    assert status(path)["pid"] == daemon.pid
    daemon.stop()
    assert not path.exists()


def test_stale(hatchd, path):
    path.parent.mkdir(mode=0o750)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    assert status(path)["pid"] == daemon.pid
    daemon.kill()
    assert path.exists()
    again = hatchd.file(cat("a", free_port()), f"--control={path}")
    assert status(path)["pid"] == again.pid


def test_live(hatchd, path):
    """It is never stolen; whoever comes too late serves without, until it is free."""
    port = free_port()
    first = hatchd.file(cat("a", free_port()), f"--control={path}")
    second = hatchd.file(cat("b", port), f"--control={path}")
    second.wait_log(f"warning: unable to open the control socket {path}: somebody answers "
                    "there already, going on without")
    assert is_served(port)
    assert status(path)["pid"] == first.pid
    second.signal(signal.SIGHUP)
    second.wait_log("reloaded")
    assert status(path)["pid"] == first.pid
    first.stop()
    second.signal(signal.SIGHUP)
    second.wait_log("reloaded", count=2)
    assert status(path)["pid"] == second.pid
    second.stop(leave=True)


def test_it_comes_back(hatchd, path):
    """Somebody has tidied up: the next reload makes it anew."""
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    path.unlink()
    path.parent.rmdir()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert status(path)["pid"] == daemon.pid


@pytest.mark.parametrize("obstacle, reason", [
    ("file", "a file that is not a socket is in the way"),
    ("link", "a symbolic link is in the way"),
    ("open folder", "others may write in its folder"),
])
def test_what_is_in_the_way_is_left_alone(hatchd, path, obstacle, reason):
    path.parent.mkdir(mode=0o755)
    if obstacle == "file":
        path.write_text("precious")
    elif obstacle == "link":
        path.symlink_to("/etc/passwd")
    else:
        path.parent.chmod(0o777)
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    daemon.wait_log(f"unable to open the control socket {path}: {reason}, going on without")
    assert is_served(port)
    daemon.stop()
    assert obstacle != "file" or path.read_text() == "precious"
    assert obstacle != "link" or path.is_symlink()


def as_user(user, path, groups=(), request="status"):
    """The first line that somebody else is told."""
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.connect(sys.argv[1])\n"
        "try: s.sendall(sys.argv[2].encode() + b'\\n')\n"
        "except BrokenPipeError: pass\n"
        "print(s.makefile().readline())\n"
    )
    return subprocess.run([PYTHON, "-c", script, path, request], user=user, group=user,
                          extra_groups=list(groups), capture_output=True, text=True)


@pytest.mark.needs_root
def test_who_may_ask(hatchd, path):
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}")
    assert "Permission denied" in as_user(65534, path).stderr
    # Whatever becomes of the modes, he is known.
    path.parent.chmod(0o755)
    path.chmod(0o666)
    assert json.loads(as_user(65534, path).stdout) == {"error": "permission denied"}
    daemon.wait_log("refused uid 65534 pid [0-9]+ at the control socket")
    assert "hatchd" in json.loads(as_user(0, path).stdout)


def with_admins(groups, gid):
    """A launcher of a hatchd that knows the group whose members may ask."""
    groups.write_text(f"root:x:0:\nnogroup:x:65534:\nhatchd-admin:x:{gid}:\n")
    return with_mounts('mount --bind "$1" /etc/group || exit 99; shift; exec "$@"', groups)


@pytest.mark.needs_root
@pytest.mark.parametrize("made", ["", ":/run/other", "/other"])
def test_folder_that_was_made_for_it(hatchd, path, folder, made):
    """RUNTIME_DIRECTORY says so; any other one that is there stays as it is."""
    gid = 54321
    path.parent.mkdir(0o750)
    hatchd.file(cat("a", free_port()), f"--control={path}",
                launcher=with_admins(folder / "group", gid),
                env={"RUNTIME_DIRECTORY": f"{path.parent}{made}"})
    assert path.stat().st_gid == gid
    assert path.parent.stat().st_gid == (0 if made else gid)


@pytest.mark.needs_root
@pytest.mark.parametrize("groups", [[], [54321]])
def test_group_of_others(hatchd, path, folder, groups):
    """Who is not root can give a socket to his own groups only; else it is for him alone."""
    port = free_port()
    path.parent.mkdir(0o700)
    os.chown(path.parent, 65534, 65534)
    become = ["setpriv", "--reuid=65534", "--regid=65534",
              f"--groups={groups[0]}" if groups else "--clear-groups"]
    daemon = hatchd.file(stanza("service", "a", listen=f"tcp:{port}", exec=["/bin/cat"]),
                         f"--control={path}",
                         launcher=[*with_admins(folder / "group", 54321), *become])
    assert status(path)["pid"] == daemon.pid
    assert path.stat().st_gid == (groups or [65534])[0]
    assert path.stat().st_mode & 0o777 == (0o660 if groups else 0o600)


@pytest.mark.needs_root
def test_a_group_may_ask(hatchd, path, folder):
    gid = 54321
    groups = folder / "group"
    launcher = with_admins(groups, gid)
    daemon = hatchd.file(cat("a", free_port()), f"--control={path}", launcher=launcher)
    for name, mode in ((path, 0o660), (path.parent, 0o751)):
        assert name.stat().st_gid == gid
        assert name.stat().st_mode & 0o7777 == mode
    assert json.loads(as_user(65534, path, [gid]).stdout)["pid"] == daemon.pid
    # And change nothing.
    for request in ("reload", "disable a", "enable a", "set a instances 1", "kill 1",
                    "log-level debug", "end-orphans", "kill-orphans a", "drain",
                    "take-over 1"):
        answer = as_user(65534, path, [gid], request).stdout
        assert json.loads(answer) == {"error": "only root may do that"}
    assert "Permission denied" in as_user(65534, path).stderr
    # A reload sees that there is no such group any more.
    groups.write_text("root:x:0:\nnogroup:x:65534:\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert path.stat().st_mode & 0o7777 == 0o600
    assert status(path)["pid"] == daemon.pid


def test_default(hatchd, folder):
    """Without --control there is one for services of a file, and none for a command line."""
    assert "--control=PATH|none" in run_hatchd("--help").stdout
    daemon = hatchd.file(cat("a", free_port()), "--control=none")
    assert not any("control" in line for line in daemon.log.lines)
