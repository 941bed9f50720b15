"""Programs behind a redirect that are started for the first client and stopped when nobody
has been there for a while."""

import contextlib
import os
import re
import signal
import socket

import pytest

from harness import (
    IS_SANITIZED, PYTHON, connect, default_user, free_port, hatchctl, is_alive, listed, put,
    read_exactly, read_line, reload, run_hatchd, stanza, wait_until, workers,
)

needs_preload = pytest.mark.skipif(IS_SANITIZED, reason="sanitizers must be loaded first")

# Says to each client who it is and a word of its environment, and repeats what he says.
# Where it is told to, it waits for somebody to open a pipe for writing: before it listens, and
# when it has been told to end.
APP = r"""
import os, select, signal, socket, sys

address, before, last = sys.argv[1:]

def wait_for(pipe):
    if pipe != "-":
        open(pipe).close()

def end(*_):
    os.write(1, b"app is to end\n")
    wait_for(last)
    os._exit(0)

signal.signal(signal.SIGTERM, end)
os.write(1, f"app {os.getpid()} is up as {os.getuid()}\n".encode())
wait_for(before)
kind, rest = address.split(":", 1)
if kind == "unix":
    listener = socket.socket(socket.AF_UNIX)
    if os.path.exists(rest):
        os.unlink(rest)
    listener.bind(rest)
    os.chmod(rest, 0o666)
else:
    host, port = rest.rsplit(":", 1)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
listener.listen(100)
clients = []
while True:
    for ready in select.select([listener, *clients], [], [])[0]:
        if ready is listener:
            clients.append(listener.accept()[0])
            word = os.environ.get("WORD", "-")
            clients[-1].sendall(f"{os.getpid()} {word}\n".encode())
            continue
        try:
            said = ready.recv(4096)
        except ConnectionResetError:
            said = b""
        if said:
            ready.sendall(said)
        else:
            clients.remove(ready)
            ready.close()
"""


class App:
    """The program in a folder, and the pipes that it waits for."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "app.py"
        self.path.write_text(APP)
        self.path.chmod(0o644)
        self.target = f"tcp:127.0.0.1:{free_port()}"

    def pipe(self, name):
        path = self.folder / name
        os.mkfifo(path)
        path.chmod(0o666)
        return path

    def command(self, target=None, before="-", last="-"):
        return [PYTHON, "-SE", self.path, target or self.target, before, last]


def let_go(pipe):
    """Whoever waits for it goes on; the one who will wait for it comes by."""
    with open(pipe, "w", encoding="ascii"):
        pass


@pytest.fixture
def app(folder):
    return App(folder)


def listen():
    return f"tcp:127.0.0.1:{free_port()}"


def web(address, app, backend=None, target=None, **options):
    """A service with a backend; `backend` has what is not as usual."""
    options.setdefault("user", default_user())
    section = {"exec": app.command(target), "idle_stop": "10min", **(backend or {})}
    section = {key: value for key, value in section.items() if value is not None}
    options.setdefault("redirect", [target or app.target])
    return stanza("service", "web", listen=address, backend=section, **options)


def ask(client):
    """(who serves him, the word that this one was started with)"""
    pid, word = read_line(client).decode().split()
    return int(pid), word


def visit(address):
    with connect(address) as client:
        return ask(client)


def is_reset(client):
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def is_turned_away(address):
    """Perhaps before he knows that he has got there at all."""
    with pytest.raises(ConnectionResetError), connect(address) as client:
        client.recv(1)


def starts(daemon):
    return len(re.findall(r"backend \d+ started", daemon.text()))


def state_of(daemon):
    (told,) = listed(daemon.folder / "run" / "control").values()
    return told["backend"]


# ---------------------------------------------------------------------------
# The beginning


@pytest.mark.parametrize("other", ["udp", "name"])
def test_beside_other_targets(hatchd, app, other):
    """Whom it is not for has other targets, and whoever it is for waits for it as ever."""
    address = listen()
    port = address.rsplit(":", 1)[1]
    targets = {
        "udp": [f"udp:127.0.0.1:{free_port()}", app.target],
        "name": [app.target, f"tcp:localhost:{free_port()}"],
    }[other]
    addresses = [address, f"udp:127.0.0.1:{port}"] if other == "udp" else address
    daemon = hatchd.file(
        web(addresses, app, backend={"ready": app.target}, redirect=targets))
    if other == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
            target.bind(("127.0.0.1", int(targets[0].rsplit(":", 1)[1])))
            with connect(addresses[1]) as client:
                client.send(b"hello")
                assert target.recv(100) == b"hello"
    pid, _ = visit(address)
    assert is_alive(pid)
    daemon.stop(leave=True)


def test_started_once_for_many(hatchd, app):
    """All who come while it starts wait for it, and one start is enough for them."""
    before, address = app.pipe("before"), listen()
    daemon = hatchd.file(web(address, app, backend={"exec": app.command(before=before)}), "-v")
    assert starts(daemon) == 0
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(50)]
        daemon.wait_log("web: connection .* passed to", count=50)
        let_go(before)
        found = {ask(client) for client in clients}
        assert len(found) == 1
        for client in clients:
            client.sendall(b"hello")
            assert read_exactly(client, 5) == b"hello"
    assert starts(daemon) == 1
    daemon.wait_log("web: its backend takes clients")
    daemon.wait_log("ended: finished, 5 bytes in", count=50)
    daemon.stop(leave=True)
    assert not is_alive(found.pop()[0])


def test_client_who_does_not_wait(hatchd, app):
    """He is gone, and the backend starts for the next one all the same."""
    before, address = app.pipe("before"), listen()
    daemon = hatchd.file(web(address, app, backend={"exec": app.command(before=before)}), "-v")
    with connect(address):
        daemon.wait_log("web: connection .* passed to")
    with connect(address) as client:
        daemon.wait_log("web: connection .* passed to", count=2)
        let_go(before)
        ask(client)
    assert starts(daemon) == 1
    daemon.stop(leave=True)


def test_no_more_wait_than_may(hatchd, app):
    """Those above `instances` are in the queue of the kernel, and nobody else's."""
    before, address = app.pipe("before"), listen()
    daemon = hatchd.file(web(address, app, backend={"exec": app.command(before=before)},
                             instances=2, per_source=2), "-v")
    with connect(address) as one, connect(address) as two, connect(address) as three:
        daemon.wait_log("web: full with 2 children, new clients would wait")
        let_go(before)
        first = {ask(one), ask(two)}
        daemon.wait_log("passed to", count=2)
        assert len(re.findall("passed to", daemon.text())) == 2
        one.close()
        assert {ask(three)} == first
    daemon.stop(leave=True)


def test_as_whom_and_with_what(hatchd, app):
    """It is started as the program of the service would be, and what it says is in the log."""
    address = listen()
    daemon = hatchd.file(web(
        address, app, env=["WORD=${HOME}"], directory=app.folder, umask="027", argv0="other",
        rlimit={"nofile": 77}, user=default_user()))
    pid, word = visit(address)
    assert word == "${HOME}"
    status = dict(line.split(":\t", 1) for line in open(
        f"/proc/{pid}/status", encoding="ascii").read().splitlines() if ":\t" in line)
    assert status["Umask"] == "0027"
    limits = open(f"/proc/{pid}/limits", encoding="ascii").read()
    assert re.search(r"Max open files +77 +77", limits)
    assert open(f"/proc/{pid}/cmdline", "rb").read().startswith(b"other\0")
    assert os.readlink(f"/proc/{pid}/cwd") == str(app.folder)
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    daemon.wait_log(rf"^app {pid} is up as {status['Uid'].split()[0]}$")
    if os.geteuid() == 0:
        assert status["Uid"].split()[0] != "0"
    daemon.stop(leave=True)


def test_output_into_a_file(hatchd, app):
    """Both, and none of it is in the log."""
    address, out = listen(), app.folder / "out"
    out.touch()
    out.chmod(0o666)
    command = " ".join(map(str, app.command()))
    daemon = hatchd.file(web(
        address, app, backend={"exec": None, "shell": f"echo to stderr >&2; exec {command}"},
        stderr=out))
    pid, _ = visit(address)
    assert out.read_text().splitlines()[0] == "to stderr"
    assert f"app {pid} is up" in out.read_text()
    assert "is up" not in daemon.text()
    daemon.stop(leave=True)


def test_unix_socket(hatchd, app):
    """It is not there at first, and what the last one has left behind is in nobody's way."""
    place, address = app.folder / "run", listen()
    place.mkdir()
    place.chmod(0o777)
    daemon = hatchd.file(web(address, app, target=f"unix:{place}/app.sock"))
    first, _ = visit(address)
    os.kill(first, signal.SIGKILL)
    daemon.wait_log("web: backend .* ended: signal 9")
    second, _ = visit(address)
    assert first != second
    daemon.stop(leave=True)


def test_which_target_is_its_own(hatchd, app):
    """Others are tried as ever, and the one that is started is waited for."""
    address, nobody = listen(), f"tcp:127.0.0.1:{free_port()}"
    daemon = hatchd.file(stanza(
        "service", "web", listen=address, redirect=[nobody, app.target], user=default_user(),
        backend={"exec": app.command(), "ready": app.target}))
    visit(address)
    daemon.wait_log(f"unable to connect to {nobody}: Connection refused")
    daemon.stop(leave=True)


# ---------------------------------------------------------------------------
# It does not begin


def test_never_ready(hatchd, app):
    """Whoever waits is told, it is stopped, and the next one has it started anew."""
    address = listen()
    daemon = hatchd.file(web(address, app, backend={
        "exec": ["/bin/sleep", "1000"], "start_timeout": "100ms"}))
    for count in (1, 2):
        is_turned_away(address)
        daemon.wait_log(r"connection \d+ ended: backend.start_timeout, 0 bytes", count=count)
        daemon.wait_log(r"backend \d+ ended: signal 15", count=count)
    daemon.wait_log(r"backend \d+ has taken no client within 100 ms, stopping it, retrying in ")
    assert starts(daemon) == 2


# Takes one client, and no other one.
ONE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = listener.accept()[0]
listener.close()
client.sendall(f"{os.getpid()} -\\n".encode())
client.recv(1)
client.close()
os.write(1, b"takes nobody any more\\n")
open(sys.argv[2]).read()
"""


def test_takes_nobody_any_more(hatchd, app):
    """It is stopped when it serves nobody, and the next one has it started anew."""
    address, for_ever = listen(), app.pipe("for-ever")
    command = [PYTHON, "-SEc", ONE, app.target.rsplit(":", 1)[1], for_ever]
    daemon = hatchd.file(web(address, app, backend={"exec": command}))
    pid, _ = visit(address)
    daemon.wait_log("takes nobody any more")
    daemon.wait_log("connection .* ended: finished")
    reload(daemon, web(address, app, backend={"exec": command, "start_timeout": "100ms"}))
    is_turned_away(address)
    daemon.wait_log(rf"web: backend {pid} has taken no client within .*, stopping it")
    daemon.wait_log(rf"web: backend {pid} ended: signal 15")
    with connect(address):
        daemon.wait_log(r"web: backend \d+ started", count=2)
    daemon.stop(leave=True)


@needs_preload
def test_dies_at_start(hatchd, app, world):
    """Whoever waits is told at once, and the pauses grow."""
    before, address = app.pipe("before"), listen()
    daemon = hatchd.file(web(
        address, app, backend={"exec": None, "shell": f"read x <{before}; exit 3"}), "-v",
        env=world.env)
    for count, pause in enumerate(("100 ms", "200 ms"), 1):
        with connect(address) as one, connect(address) as two:
            daemon.wait_log("web: connection .* passed to", count=2 * count)
            let_go(before)
            is_reset(one)
            is_reset(two)
        daemon.wait_log(r"backend \d+ ended: exit 3", count=count)
        daemon.wait_log("web: its backend has ended before it took a client, "
                        f"retrying in {pause}")
        daemon.wait_log(r"connection \d+ ended: backend_ended, 0 bytes", count=2 * count)
        # Not more often than once in 10 s is it told.
        world.is_later(20 * count, daemon)
    assert starts(daemon) == 2


def test_cannot_be_executed(hatchd, app):
    """It was there when it was looked for."""
    address, program = listen(), app.folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    daemon = hatchd.file(web(address, app, backend={"exec": program}))
    program.unlink()
    is_turned_away(address)
    daemon.wait_log("web: unable to start .*/program: exec: No such file")
    daemon.wait_log(r"connection \d+ ended: backend_ended")


@needs_preload
def test_good_after_bad(hatchd, app, world):
    """The first one who is served ends the pauses."""
    address, good = listen(), app.folder / "good"
    daemon = hatchd.file(web(
        address, app, backend={"exec": None, "shell": f"test -e {good} || exit 3; exec "
                       + " ".join(map(str, app.command()))}), env=world.env)
    is_turned_away(address)
    daemon.wait_log("before it took a client, retrying in 100 ms")
    good.touch()
    pid, _ = visit(address)
    good.unlink()
    os.kill(pid, signal.SIGKILL)
    daemon.wait_log("backend .* ended: signal 9")
    mark = daemon.mark()
    world.is_later(20, daemon)
    is_turned_away(address)
    daemon.wait_log("before it took a client, retrying in 100 ms", after=mark)


def test_program_that_is_not_there(hatchd, app):
    """A condition: the service waits, as any would."""
    address = listen()
    daemon = hatchd.file(web(address, app, backend={"exec": "/no/such/program"}))
    daemon.wait_log("no program /no/such/program")


def test_who_is_there_when_it_dies(hatchd, app):
    """He gets its end, and the next one another one."""
    address = listen()
    daemon = hatchd.file(web(address, app))
    with connect(address) as client:
        pid, _ = ask(client)
        os.kill(pid, signal.SIGKILL)
        assert client.recv(1) == b""
    daemon.wait_log(r"web: backend \d+ ended: signal 9")
    assert visit(address)[0] != pid
    daemon.stop(leave=True)


# ---------------------------------------------------------------------------
# The end


@needs_preload
def test_stopped_when_idle(hatchd, app, world):
    """Not before its time, nor while somebody is there."""
    address = listen()
    daemon = hatchd.file(web(address, app), env=world.env)
    with connect(address) as client:
        first, _ = ask(client)
        world.is_later(3600, daemon)
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
    daemon.wait_log(r"connection \d+ ended: finished")
    world.is_later(3600 + 599 - 60, daemon)
    assert visit(address)[0] == first
    daemon.wait_log(r"connection \d+ ended: finished", count=2)
    assert "stopping it" not in daemon.text()
    world.is_later(2 * 3600, daemon)
    daemon.wait_log(rf"web: backend {first} had no connection for 10 min, stopping it")
    daemon.wait_log(rf"web: backend {first} ended: exit 0")
    assert visit(address)[0] != first
    daemon.stop(leave=True)


def test_stopped_soon(hatchd, app):
    """By the clock that everybody has."""
    address = listen()
    daemon = hatchd.file(web(address, app, backend={"idle_stop": "100ms"}))
    first, _ = visit(address)
    daemon.wait_log(rf"web: backend {first} ended: exit 0")
    daemon.wait_children(0)


def test_come_while_it_stops(hatchd, app):
    """Nobody is lost: they wait until it has ended, and have it started anew."""
    last, address = app.pipe("last"), listen()
    daemon = hatchd.file(web(address, app, backend={
        "exec": app.command(last=last), "idle_stop": "100ms"}, kill_after="1h"))
    first, _ = visit(address)
    daemon.wait_log("^app is to end")
    with connect(address) as one, connect(address) as two:
        # It still listens, and gets nobody.
        assert is_alive(first)
        let_go(last)
        daemon.wait_log(rf"web: backend {first} ended: exit 0")
        found = {ask(one)[0], ask(two)[0]}
        assert len(found) == 1 and first not in found
        assert starts(daemon) == 2
        assert "ended: reset" not in daemon.text()
    daemon.wait_log("^app is to end", count=2)
    let_go(last)
    daemon.wait_children(0)


def test_introduced_while_it_stops(hatchd, app):
    """He was there before, and nobody knew who he is; he waits like the others."""
    header = b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 80\r\n"
    last, address = app.pipe("last"), listen()
    daemon = hatchd.file(web(address, app, backend={
        "exec": app.command(last=last), "idle_stop": "100ms"}, kill_after="1h",
        proxy_protocol="required", proxy_from=["127.0.0.1"], header_timeout="1h"), "-v")
    with connect(address) as early, connect(address) as client:
        daemon.wait_log("web: accept from", count=2)
        client.sendall(header)
        first, _ = ask(client)
        client.close()
        daemon.wait_log("^app is to end")
        early.sendall(header)
        let_go(last)
        assert ask(early)[0] != first
    assert starts(daemon) == 2
    daemon.wait_log("^app is to end", count=2)
    let_go(last)
    daemon.wait_children(0)


def test_one_that_does_not_end(hatchd, app):
    """It is killed, and with it what it has started."""
    last, address = app.pipe("last"), listen()
    command = " ".join(map(str, app.command(last=last)))
    daemon = hatchd.file(web(address, app, backend={
        "exec": None, "idle_stop": "100ms", "shell": f'trap "" TERM; {command} & wait'},
        kill_after="100ms"))
    app_pid, _ = visit(address)
    daemon.wait_log(r"web: backend \d+ ended: signal 9 \(KILL\)")
    wait_until(lambda: not is_alive(app_pid))


def test_hatchd_stops(hatchd, app):
    """First the connections, then what they were passed on to."""
    address = listen()
    daemon = hatchd.file(web(address, app))
    with connect(address) as client:
        pid, _ = ask(client)
        daemon.stop(leave=True)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    text = daemon.text()
    assert text.index(" ended: ended, ") < text.index(f"backend {pid} ended: exit 0")
    assert not is_alive(pid)


def test_hatchd_stops_and_leaves(hatchd, app):
    """Whoever may stay needs somebody to talk to."""
    address = listen()
    daemon = hatchd.file(web(address, app, stop="leave"))
    with connect(address) as client:
        pid, _ = ask(client)
        daemon.stop(leave=True)
        client.sendall(b"hello")
        assert read_exactly(client, 5) == b"hello"
    assert is_alive(pid)


def test_hatchd_stops_while_it_starts(hatchd, app):
    before, address = app.pipe("before"), listen()
    daemon = hatchd.file(web(address, app, backend={"exec": app.command(before=before)}), "-v")
    with connect(address) as client:
        daemon.wait_log("^app .* is up")
        daemon.stop(leave=True)
        is_reset(client)
    daemon.wait_log(r"web: backend \d+ ended: exit 0")


# ---------------------------------------------------------------------------
# Reload


def test_reload_that_changes_nothing(hatchd, app):
    """Nor what is about its clients."""
    address = listen()
    daemon = hatchd.file(web(address, app))
    pid, _ = visit(address)
    reload(daemon)
    reload(daemon, web(address, app, backend={"idle_stop": "1h"}, instances=7))
    assert visit(address)[0] == pid
    reload(daemon, web(address, app, backend={"idle_stop": "100ms"}, instances=7))
    daemon.wait_log(rf"web: backend {pid} ended: exit 0")
    daemon.wait_children(0)


def test_reload_of_an_idle_one(hatchd, app):
    """It is stopped at once."""
    address = listen()
    daemon = hatchd.file(web(address, app, env=["WORD=old"]))
    first, word = visit(address)
    assert word == "old"
    daemon.wait_log("ended: finished")
    reload(daemon, web(address, app, env=["WORD=new"]))
    daemon.wait_log(rf"web: backend {first} ended: exit 0")
    assert visit(address)[1] == "new"
    daemon.stop(leave=True)


def test_reload_of_a_busy_one(hatchd, app):
    """It goes on until nobody is there; then comes the other one."""
    address = listen()
    daemon = hatchd.file(web(address, app, env=["WORD=old"]))
    with connect(address) as client:
        first, _ = ask(client)
        reload(daemon, web(address, app, env=["WORD=new"]))
        daemon.wait_log(rf"web: backend {first} is not as configured, stopping it when 1 "
                        "connection is over")
        assert visit(address) == (first, "old")
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
    daemon.wait_log(rf"web: backend {first} ended: exit 0")
    assert visit(address)[1] == "new"
    daemon.stop(leave=True)


def test_reload_back(hatchd, app):
    """What was to be changed and is not has nothing to fear."""
    address = listen()
    old = web(address, app, env=["WORD=old"])
    daemon = hatchd.file(old)
    with connect(address) as client:
        first, _ = ask(client)
        reload(daemon, web(address, app, env=["WORD=new"]))
        reload(daemon, old)
    daemon.wait_log("ended: finished")
    assert visit(address) == (first, "old")
    daemon.stop(leave=True)


def test_reload_to_another_address(hatchd, app):
    """There can be both: the new one is started at once."""
    address, other = listen(), f"tcp:127.0.0.1:{free_port()}"
    daemon = hatchd.file(web(address, app))
    with connect(address) as client:
        first, _ = ask(client)
        reload(daemon, web(address, app, target=other))
        second, _ = visit(address)
        assert second != first
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
    daemon.wait_log(rf"web: backend {first} ended: exit 0")
    assert visit(address)[0] == second
    daemon.stop(leave=True)


def test_reload_to_another_address_and_back(hatchd, app):
    """Who comes to the one that is still there is its client, and not lost with the others."""
    address, other = listen(), f"tcp:127.0.0.1:{free_port()}"
    daemon = hatchd.file(web(address, app))
    with connect(address) as old, contextlib.ExitStack() as later:
        pid, _ = ask(old)
        reload(daemon, web(address, app, target=other))
        reload(daemon, web(address, app))
        new = later.enter_context(connect(address))
        assert ask(new)[0] == pid
        old.close()
        daemon.wait_log("ended: finished")
        new.sendall(b"x")
        assert read_exactly(new, 1) == b"x"
    assert starts(daemon) == 1
    daemon.stop(leave=True)


def test_service_is_removed(hatchd, app):
    """It goes on with those who are there; one that nobody has goes at once."""
    address, empty = listen(), "# nothing\n"
    daemon = hatchd.file(web(address, app))
    with connect(address) as client:
        first, _ = ask(client)
        reload(daemon, empty)
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        assert is_alive(first)
    daemon.wait_log(rf"web: backend {first} ended: exit 0")
    reload(daemon, web(address, app))
    second, _ = visit(address)
    daemon.wait_log("ended: finished", count=2)
    reload(daemon, empty)
    daemon.wait_log(rf"web: backend {second} ended: exit 0")
    daemon.wait_children(0)


def test_service_comes_back(hatchd, app):
    """The one that is there is still its own."""
    address = listen()
    daemon = hatchd.file(web(address, app))
    with connect(address) as client:
        first, _ = ask(client)
        reload(daemon, "# nothing\n")
        reload(daemon, web(address, app))
        assert visit(address)[0] == first
    daemon.wait_log("ended: finished", count=2)
    assert visit(address)[0] == first
    assert starts(daemon) == 1
    daemon.stop(leave=True)


def test_service_without_one_any_more(hatchd, app):
    """What was a backend ends; where clients go is somebody else's now."""
    address = listen()
    daemon = hatchd.file(web(address, app))
    first, _ = visit(address)
    daemon.wait_log("ended: finished")
    reload(daemon, stanza("service", "web", listen=address, redirect=[app.target]))
    daemon.wait_log(rf"web: backend {first} ended: exit 0")
    is_turned_away(address)
    daemon.wait_log(r"connection \d+ ended: unreachable")


def test_worker_dies(hatchd, app):
    """Its connections are over; the backend serves those who come next."""
    address = listen()
    daemon = hatchd.file(web(address, app))
    with connect(address) as client:
        first, _ = ask(client)
        (worker,) = workers(daemon.pid)
        os.kill(worker, signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    daemon.wait_log("1 connection lost")
    assert visit(address)[0] == first
    daemon.stop(leave=True)


# ---------------------------------------------------------------------------
# What is told


def test_told(hatchd, app):
    before, address = app.pipe("before"), listen()
    path = app.folder / "run" / "control"
    daemon = hatchd.file(web(address, app, backend={"exec": app.command(before=before)}),
                         f"--control={path}")
    assert state_of(daemon) == {"state": "off", "connections": 0}
    with connect(address) as client:
        pid = int(daemon.wait_log(r"backend (\d+) started")[1])
        assert state_of(daemon) == {"state": "starting", "pid": pid, "connections": 1}
        let_go(before)
        ask(client)
        assert state_of(daemon) == {"state": "running", "pid": pid, "connections": 1}
        said = hatchctl("status", "--control", path).stdout.decode()
        assert f"Backend:       web, process {pid}, running, connections: 1\n" in said
    daemon.stop(leave=True)


def test_explained(folder, app):
    """As whom it would run, and where it would be reached."""
    path = put(folder, web("tcp:127.0.0.1:7777", app), "x.conf")
    said = run_hatchd("--explain", "web", "127.0.0.1", "-f", path).stdout
    assert re.search(rf"backend +started on demand, and takes clients at {app.target}", said)
    assert re.search(rf"program +{re.escape(PYTHON)}\n", said)
