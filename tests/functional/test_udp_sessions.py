"""One program for each of those who send datagrams, by way of hatchd-udp."""

import contextlib
import os
import pathlib
import select
import shutil
import signal
import socket

import pytest

from harness import (
    HATCHD, PYTHON, connect, free_port, have_ipv6, proc_fds, proc_status, put, read_exactly,
    reload, run_hatchd, service, talk, udp, wait_exit, wait_until, workers,
)
from test_workers import LIAR


def start(hatchd, *exec_, host="127.0.0.1", **options):
    """(a daemon with one service of datagrams, its address)"""
    address = f"udp:{host}:{free_port()}"
    options.setdefault("exec", list(exec_))
    return hatchd.file(service("d", listen=address, **options), "-v"), address


def bye(*clients):
    """An empty datagram is the end of input to a program that reads it, such as cat."""
    for client in clients:
        client.send(b"")


def ask(client, message):
    client.send(message)
    return client.recv(65536)


def is_silent(client):
    return not select.select([client], [], [], 0)[0]


def ask_until_answered(client, message=b"again"):
    """Who was turned away is looked at again in a moment."""
    def answered():
        client.send(message)
        return bool(select.select([client], [], [], 0.05)[0])

    wait_until(answered, what="an answer")
    assert client.recv(65536) == message


def python(folder, text, name="program.py"):
    """A program of the service; it has a socket `own`."""
    path = put(folder, "import os, socket, sys\nown = socket.socket(fileno=0)\n" + text, name)
    return [PYTHON, "-S", "-E", str(path)]


# ---------------------------------------------------------------------------
# What a program sees, and what its peer


def test_tr(hatchd):
    """It says all it has to say at the end of its input: an empty datagram is one."""
    port = free_port()
    hatchd.adhoc("-l", f"udp:127.0.0.1:{port}", "--", "tr", "a-z", "A-Z")
    with connect(f"udp:127.0.0.1:{port}") as client:
        client.send(b"bom ")
        client.send(b"dia")
        assert ask(client, b"") == b"BOM DIA"


def test_tr_per_datagram(hatchd):
    port = free_port()
    hatchd.adhoc("-l", f"udp:127.0.0.1:{port}", "--per-datagram", "--", "tr", "a-z", "A-Z")
    with connect(f"udp:127.0.0.1:{port}") as client:
        assert ask(client, b"bom") == b"BOM"
        assert ask(client, b"dia") == b"DIA"


def test_each_datagram_has_a_child(hatchd):
    daemon, address = start(hatchd, "/bin/cat", per_datagram=True)
    sent = {b"%d" % number for number in range(20)}
    with connect(address) as client:
        for message in sent:
            client.send(message)
        assert {client.recv(100) for _ in sent} == sent
    daemon.wait_log("exec /bin/cat", count=20)
    daemon.wait_log(r"child \d+ ended: exit 0, .*, from 127", count=20)


def test_boundaries_are_kept(hatchd):
    _, address = start(hatchd, "/bin/cat")
    sent = [b"a", b"bb", b"\0" * 9000, b"d" * 65507, b"e"]
    with connect(address) as client:
        for message in sent:
            assert ask(client, message) == message
        bye(client)


def test_first_datagrams_are_not_lost(hatchd):
    """They wait until the program is there, and it gets them in their order."""
    _, address = start(hatchd, "/bin/cat")
    sent = [b"%d" % number for number in range(8)]
    assert udp(address, *sent) == sent
    # Who is gone cannot say so.
    hatchd.daemons[0].stop(leave=True)


def test_empty_datagrams_of_a_program(hatchd, folder):
    """They go out as such; but before the end they cannot be told from it."""
    text = ("own.send(b'')\nown.send(b'one')\nown.send(b'')\nown.recv(10)\nown.recv(10)\n"
            "own.send(b'')\nown.send(b'two')\nown.send(b'')\n")
    daemon, address = start(hatchd, *python(folder, text))
    with connect(address) as client:
        assert ask(client, b"x") == b""
        assert client.recv(100) == b"one"
        assert client.recv(100) == b""
        assert ask(client, b"x") in (b"", b"two")
        daemon.wait_log(r"ended: exit 0, .*, from 127")


def test_what_is_said_last_arrives(hatchd):
    """A program that ends without having read anything."""
    daemon, address = start(hatchd, shell="echo one; echo two", exec=None)
    with connect(address) as client:
        assert ask(client, b"x") == b"one\n"
        assert client.recv(100) == b"two\n"
        # And the next one has a program of his own again.
        ask_until(client, b"one\n")
    daemon.wait_log(r"ended: exit 0, .*, from 127", count=2)


def ask_until(client, answer, message=b"x"):
    """What comes while a program is about to end is lost with it."""
    seen = []

    def answered():
        # That nobody is there is told once, by whatever is done next.
        with contextlib.suppress(ConnectionRefusedError):
            client.send(message)
        with contextlib.suppress(ConnectionRefusedError):
            while select.select([client], [], [], 0.05)[0]:
                seen.append(client.recv(100))
        return answer in seen

    wait_until(answered, what=f"the answer {answer}, have {seen}")


def test_peers_are_kept_apart(hatchd):
    daemon, address = start(hatchd, "/bin/cat")
    with connect(address) as first, connect(address) as second:
        for number in range(10):
            first.send(b"first %d" % number)
            second.send(b"second %d" % number)
            assert second.recv(100) == b"second %d" % number
            assert first.recv(100) == b"first %d" % number
        assert len(daemon.children()) == 2
        assert len(workers(daemon.pid)) == 1
        bye(first)
        daemon.wait_children(1)
        assert ask(second, b"still") == b"still"
        assert ask(first, b"new") == b"new"
        bye(first, second)


def test_environment(hatchd):
    _, address = start(hatchd, shell='echo "$PROTO $UDPREMOTEIP $UDPREMOTEPORT $UDPLOCALIP '
                                     '$UDPLOCALPORT $REMOTE_ADDR"', exec=None)
    with connect(address, source="127.0.0.3") as client:
        port = client.getsockname()[1]
        own = address.rsplit(":", 1)[1]
        wanted = f"UDP 127.0.0.3 {port} 127.0.0.1 {own} 127.0.0.3\n"
        assert ask(client, b"x").decode() == wanted


@pytest.mark.parametrize("version", [4, 6])
def test_answers_leave_from_where_they_were_asked(hatchd, version):
    """A client that is connected takes them from nowhere else."""
    if version == 6 and not have_ipv6():
        pytest.skip("this machine has no IPv6")
    port = free_port()
    hatchd.file(service("d", listen=f"udp:{port}",
                        shell='echo "$UDPLOCALIP"', per_datagram=True))
    for host in ("127.0.0.5", "127.0.0.1") if version == 4 else ("::1",):
        at = f"udp:[{host}]:{port}" if version == 6 else f"udp:{host}:{port}"
        assert udp(at, b"x") == [host.encode() + b"\n"]


def test_who_writes_to_two_addresses_is_two(hatchd):
    port = free_port()
    daemon = hatchd.file(service("d", listen=f"udp:{port}", exec="/bin/cat"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        for host in ("127.0.0.1", "127.0.0.2"):
            client.sendto(b"x", (host, port))
            assert client.recvfrom(10) == (b"x", (host, port))
        assert len(daemon.children()) == 2
        for host in ("127.0.0.1", "127.0.0.2"):
            client.sendto(b"", (host, port))


def test_udplite(hatchd):
    port = free_port()
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136).close()
    except OSError:
        pytest.skip("this kernel has no UDP-Lite")
    hatchd.file(service("d", listen=f"udplite:127.0.0.1:{port}", shell="echo $PROTO"))
    assert udp(f"udplite:127.0.0.1:{port}", b"x") == [b"UDPLITE\n"]


def test_tcp_beside_it(hatchd):
    port = free_port()
    hatchd.file(service("d", listen=[f"udp:127.0.0.1:{port}", f"tcp:{port}"],
                        exec="/bin/cat"))
    assert talk(port, b"by tcp") == b"by tcp"
    with connect(f"udp:127.0.0.1:{port}") as client:
        assert ask(client, b"by udp") == b"by udp"
        bye(client)


def test_too_long_a_message(hatchd, folder):
    """No datagram has room for it: it is counted, and the next one goes."""
    text = "own.recv(10)\nown.send(b'x' * 65508)\nown.send(b'x' * 100000)\nown.send(b'short')\n"
    daemon, address = start(hatchd, *python(folder, text))
    with connect(address) as client:
        assert ask(client, b"x") == b"short"
    daemon.stop()
    assert "hatchd-udp: socket 2: 2 datagrams lost: " in daemon.text()
    assert " 2 too long, " in daemon.text()


def test_who_does_not_read_holds_up_nobody(hatchd, folder):
    """What a program leaves unread is lost, and others are served meanwhile."""
    text = ("import signal\n"
            "while data := own.recv(100):\n"
            "    signal.pause() if data == b'wait' else own.send(data)\n")
    daemon, address = start(hatchd, *python(folder, text), stop="terminate")
    with connect(address) as stuck, connect(address) as other:
        stuck.send(b"wait")
        for _ in range(200):
            stuck.send(b"x" * 9000)
        assert ask(other, b"hello") == b"hello"
        bye(other)
        daemon.wait_children(1)
    daemon.stop(leave=True)
    assert " not read by programs, " in daemon.text()


def test_descriptors_of_a_program_go_nowhere(hatchd, folder):
    text = ("import array\n"
            "own.recv(10)\n"
            "with open('/dev/null') as null:\n"
            "    try:\n"
            "        own.sendmsg([b'take it'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,\n"
            "                    array.array('i', [null.fileno()] * 4))])\n"
            "    except PermissionError:\n"
            "        own.send(b'take it')\n"
            "own.recv(10)\n")
    daemon, address = start(hatchd, *python(folder, text))
    with connect(address) as client:
        assert ask(client, b"x") == b"take it"
        (worker,) = workers(daemon.pid)
        with contextlib.suppress(PermissionError):
            # /dev/null twice, the channel, standard error, the socket, one pair, two sets.
            assert len(proc_fds(worker)) == 9, proc_fds(worker)
        bye(client)


@pytest.mark.needs_root
def test_worker_has_no_rights(hatchd):
    daemon, address = start(hatchd, "/bin/cat")
    with connect(address) as client:
        assert ask(client, b"x") == b"x"
        (worker,) = workers(daemon.pid)
        status = proc_status(worker)
        assert status["Name"] == "hatchd-udp"
        assert "0" not in status["Uid"].split() + status["Gid"].split()
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        bye(client)


# ---------------------------------------------------------------------------
# How long a session lasts


def test_silence_is_the_end_of_input(hatchd):
    """The program gets the end of its input, and what it then says still arrives."""
    daemon, address = start(hatchd, shell="wc -c", exec=None, session_timeout="200ms")
    with connect(address) as client:
        client.send(b"12345")
        assert client.recv(100).strip() == b"5"
        daemon.wait_log("ended: exit 0, .*, from 127")


def test_who_sends_again_after_that_is_new(hatchd, folder):
    """Also while his first program has not ended."""
    text = ("import signal\n"
            "while data := own.recv(100): own.send(data)\n"
            "own.send(b'over')\n"
            "signal.pause()\n")
    daemon, address = start(
        hatchd, *python(folder, text), session_timeout="200ms", stop="terminate")
    with connect(address) as client:
        assert ask(client, b"one") == b"one"
        assert client.recv(100) == b"over"
        assert ask(client, b"two") == b"two"
        assert len(daemon.children()) == 2
    daemon.stop(leave=True)


def test_program_that_stays_loses_its_peer(hatchd, folder):
    """After a second session_timeout the pair is closed."""
    text = ("import select\n"
            "while own.recv(100): pass\n"
            "own.send(b'still here')\n"
            "hangup = select.poll()\n"
            "hangup.register(own, 0)\n"
            "hangup.poll()\n")
    daemon, address = start(hatchd, *python(folder, text), session_timeout="200ms")
    with connect(address) as client:
        assert ask(client, b"x") == b"still here"
        daemon.wait_log("ended: exit 0, .*, from 127")


def test_unlimited(hatchd):
    daemon, address = start(hatchd, "/bin/cat", session_timeout="unlimited")
    with connect(address) as client:
        assert ask(client, b"x") == b"x"
        bye(client)
    daemon.wait_log("ended: exit 0, .*, from 127")


def test_once(hatchd):
    """The one client is the first sender, and hatchd ends with his program."""
    port = free_port()
    daemon = hatchd.adhoc(
        "--once", "-l", f"udp:127.0.0.1:{port}", "--", "sh", "-c", "cat; exit 3")
    with connect(f"udp:127.0.0.1:{port}") as client:
        assert ask(client, b"one") == b"one"
        assert ask(client, b"two") == b"two"
        bye(client)
        assert daemon.wait_end() == 3


# ---------------------------------------------------------------------------
# Limits


def test_per_source(hatchd):
    daemon, address = start(hatchd, "/bin/cat", per_source=1)
    with connect(address) as first, connect(address) as second, \
            connect(address, source="127.0.0.2") as other:
        assert ask(first, b"1") == b"1"
        second.send(b"2")
        daemon.wait_log("refused 127.0.0.1:.*: per_source$")
        assert ask(other, b"3") == b"3"
        assert is_silent(second)
        bye(first)
        daemon.wait_children(1)
        ask_until_answered(second)
        bye(second, other)


def test_instances(hatchd):
    """Who finds no room is refused, and the others do not notice."""
    daemon, address = start(hatchd, "/bin/cat", instances=2, per_source=2)
    with connect(address) as first, connect(address) as second, \
            connect(address, source="127.0.0.2") as third:
        assert ask(first, b"1") == b"1"
        assert ask(second, b"2") == b"2"
        third.send(b"3")
        daemon.wait_log("refused 127.0.0.2:.*: instances$")
        assert ask(first, b"4") == b"4"
        bye(second)
        daemon.wait_children(1)
        ask_until_answered(third)
        assert ask(first, b"5") == b"5"
        bye(first, third)


def test_rates_are_of_sessions(hatchd):
    """Not of datagrams."""
    daemon, address = start(hatchd, "/bin/cat", per_source_rate="1/1h")
    with connect(address) as first, connect(address) as second:
        for number in range(10):
            assert ask(first, b"%d" % number) == b"%d" % number
        second.send(b"x")
        daemon.wait_log("refused 127.0.0.1:.*: per_source_rate$")
        bye(first)


def test_nobody_is_banned(hatchd):
    """Whoever makes up an address would ban somebody else."""
    daemon, address = start(hatchd, "/bin/cat", per_source=1, overflow_source="ban 1h")
    with connect(address) as first, connect(address) as second:
        assert ask(first, b"1") == b"1"
        second.send(b"2")
        daemon.wait_log("refused 127.0.0.1:.*: per_source$")
        bye(first)
        daemon.wait_children(0)
        ask_until_answered(second)
        bye(second)


def test_only_from(hatchd):
    daemon, address = start(hatchd, "/bin/cat", only_from="127.0.0.2")
    with connect(address) as stranger, connect(address, source="127.0.0.2") as friend:
        for _ in range(5):
            stranger.send(b"x")
        assert ask(friend, b"y") == b"y"
        daemon.wait_log("refused 127.0.0.1:.*: only_from$")
        assert is_silent(stranger)
        bye(friend)
    daemon.wait_children(0)
    # He was asked about once, not for each of his datagrams.
    assert len([line for line in daemon.log.lines if "refused" in line]) == 1


def test_many_made_up_sources(hatchd):
    """They take no place from him who is there, and leave nothing behind."""
    daemon, address = start(hatchd, "/bin/cat", instances=8, per_source=2)
    port = int(address.rsplit(":", 1)[1])
    with connect(address) as client:
        assert ask(client, b"first") == b"first"
        for high in range(1, 41):
            for low in range(1, 51):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
                    forger.bind((f"127.{high}.0.{low}", 0))
                    forger.sendto(b"x" * 100, ("127.0.0.1", port))
            assert ask(client, b"%d" % high) == b"%d" % high
        assert len(daemon.children()) <= 8
        daemon.wait_log("refused 127.*: instances")
    daemon.stop(leave=True)


def test_many_at_once(hatchd):
    """More than there are questions, or slots, at a time: nobody is lost.  The kernel has
    room for all of them, before there is somebody to read them."""
    daemon, address = start(hatchd, "/bin/cat", instances=300, per_source=300,
                            receive_buffer=200000)
    clients = [connect(address) for _ in range(200)]
    for number, client in enumerate(clients):
        client.send(b"%d" % number)
    for number, client in enumerate(clients):
        assert client.recv(100) == b"%d" % number
    assert len(daemon.children()) == 200
    bye(*clients)
    for client in clients:
        client.close()
    daemon.wait_children(0)
    assert len(workers(daemon.pid)) == 1
    assert "refused" not in daemon.text()


def test_broken_program(hatchd, folder):
    """It pauses the service as it does elsewhere; when it is there again it serves."""
    script = put(folder, "#!/bin/sh\nexec cat\n", "program")
    script.chmod(0o755)
    daemon, address = start(hatchd, str(script))
    script.rename(folder / "elsewhere")
    with connect(address) as client:
        client.send(b"x")
        daemon.wait_log("unable to start .*: exec: No such file or directory")
        (folder / "elsewhere").rename(script)
        ask_until_answered(client)
        bye(client)


# ---------------------------------------------------------------------------
# The worker, and reloading


def test_worker_dies(hatchd):
    """Programs get the end of their input; the next datagram starts another worker."""
    daemon, address = start(hatchd, "/bin/cat")
    with connect(address) as first, connect(address) as second:
        assert ask(first, b"1") == b"1"
        assert ask(second, b"2") == b"2"
        (worker,) = workers(daemon.pid)
        os.kill(worker, signal.SIGKILL)
        daemon.wait_log(r"socket \d+ ended: lost")
        daemon.wait_children(0)
        daemon.wait_log("ended: exit 0, .*, from 127", count=2)
        ask_until_answered(first)
        (new,) = workers(daemon.pid)
        assert new != worker
        bye(first)


def test_reload_without_a_change_disturbs_nobody(hatchd):
    daemon, address = start(hatchd, "/bin/cat")
    text = daemon.config_path.read_text()
    with connect(address) as client:
        assert ask(client, b"1") == b"1"
        before = daemon.children()
        reload(daemon, text + service("more", listen=f"tcp:{free_port()}", exec="/bin/cat"))
        assert ask(client, b"2") == b"2"
        assert daemon.children() == before
        bye(client)
        # Back, to what was open at the start.
        reload(daemon, text)


def test_more_sessions_after_a_reload(hatchd):
    """The worker keeps its sockets, and is the same: it has room for what is allowed now."""
    address = f"udp:127.0.0.1:{free_port()}"
    config = service("d", listen=address, exec="/bin/cat", instances=1000, per_source=1000)
    daemon = hatchd.file("total_instances = 1\n" + config)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(250)]
        assert ask(clients[0], b"one") == b"one"
        worker = workers(daemon.pid)
        reload(daemon, "total_instances = 1000\n" + config)
        for client in clients:
            assert ask(client, b"one") == b"one"
        assert workers(daemon.pid) == worker
        bye(*clients)


def test_more_sockets_than_programs(hatchd):
    """How many may run says nothing of how many sockets there are."""
    port = free_port()
    addresses = [f"udp:127.0.1.{number}:{port}" for number in range(1, 101)]
    hatchd.file("total_instances = 1\n" + service(
        "d", listen=addresses, exec="/bin/cat", per_datagram=True))
    for address in addresses:
        with connect(address) as client:
            ask_until_answered(client)


def test_changed_service_ends_sessions(hatchd):
    """The socket stays, and what comes from then on is for new programs."""
    daemon, address = start(hatchd, "/bin/cat")
    with connect(address) as client:
        assert ask(client, b"1") == b"1"
        reload(daemon, service("d", listen=address, exec=["/usr/bin/tr", "a-z", "A-Z"],
                               per_datagram=True))
        daemon.wait_log(r"socket \d+ ended: ended, 1 bytes in, 1 out")
        daemon.wait_children(0)
        assert ask(client, b"bom dia") == b"BOM DIA"


def test_removed_service(hatchd):
    """Its programs get the end of their input, and the address is free."""
    daemon, address = start(hatchd, "/bin/cat")
    with connect(address) as client:
        assert ask(client, b"1") == b"1"
        reload(daemon, service("more", listen=f"tcp:{free_port()}", exec="/bin/cat"))
        daemon.wait_children(0)
    port = int(address.rsplit(":", 1)[1])

    def can_bind():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True

    wait_until(can_bind, what="the address to be free")


@pytest.mark.parametrize("to_wait", [True, False])
def test_reload_between_wait_and_not(hatchd, folder, to_wait):
    text = ("data, peer = own.recvfrom(100)\n"
            "own.sendto(b'wait ' + data, peer)\n")
    address = f"udp:127.0.0.1:{free_port()}"
    waits = service("d", listen=address, exec=python(folder, text), wait=True)
    peers = service("d", listen=address, exec="/bin/cat")
    daemon = hatchd.file(peers if to_wait else waits, "-v")
    before, after = (b"1", b"wait 1") if to_wait else (b"wait 1", b"1")
    with connect(address) as client:
        assert ask(client, b"1") == before
        if to_wait:
            bye(client)
        daemon.wait_children(0)
        reload(daemon, waits if to_wait else peers)
        if to_wait:
            daemon.wait_log(r"socket \d+ ended: ended")
        # Where programs have had the socket another one takes its place, a moment later.
        ask_until(client, after, b"1")
        if not to_wait:
            bye(client)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_end_of_hatchd(hatchd, end):
    """However it ends: programs get the end of their input, and nothing is left."""
    daemon, address = start(hatchd, "/bin/cat")
    with connect(address) as client:
        assert ask(client, b"1") == b"1"
        (worker,), (child,) = workers(daemon.pid), daemon.children()
        if end == "stop":
            daemon.stop(leave=True)
        else:
            daemon.process.kill()
            daemon.process.wait()
            daemon.stopped = True
        wait_exit(worker)
        wait_exit(child)


# ---------------------------------------------------------------------------
# UNIX datagrams


@pytest.mark.parametrize("abstract", [True, False])
def test_unix_named(hatchd, folder, abstract):
    """Who is to be answered has to let the worker write to his socket."""
    address = f"unix-dgram:{folder}/s"
    hatchd.file(service("d", listen=address, exec="/bin/cat"))
    own = f"\0hatchd-test-client-{os.getpid()}" if abstract else f"{folder}/client"
    with connect(address, source=own) as client:
        if not abstract:
            os.chmod(own, 0o666)
        assert ask(client, b"one") == b"one"
        assert ask(client, b"x" * 65536) == b"x" * 65536
        bye(client)


def test_unix_environment(hatchd, folder):
    address = f"unix-dgram:{folder}/s"
    hatchd.file(service(
        "d", listen=address, shell='echo "$PROTO $IPCREMOTEEUID $IPCREMOTEPID $IPCLOCALPATH"'))
    with connect(address, source=f"\0hatchd-test-client-{os.getpid()}") as client:
        wanted = f"IPC {os.geteuid()} {os.getpid()} {folder}/s\n"
        assert ask(client, b"x").decode() == wanted


def test_unix_unnamed(hatchd, folder):
    """He cannot be answered; his datagrams are one program's all the same."""
    address = f"unix-dgram:{folder}/s"
    out = folder / "out"
    out.touch()
    out.chmod(0o666)
    daemon = hatchd.file(service(
        "d", listen=address, shell=f"echo hello; cat >>{out}; echo end >>{out}"))
    with connect(address) as client:
        for message in (b"one\n", b"two\n", b""):
            client.send(message)
        daemon.wait_log(r"ended: exit 0, .*, from uid \d+ pid \d+")
    assert out.read_bytes() == b"one\ntwo\nend\n"
    daemon.stop()
    assert "1 datagrams lost: " in daemon.text()


@pytest.mark.parametrize("other", [False, True])
def test_unix_answers_are_not_answered(hatchd, folder, other):
    """Who gives the name of a service as his own does not have it talk to itself."""
    first = f"{folder}/first"
    last = f"{folder}/last" if other else first
    config = service("first", listen=f"unix-dgram:{first}", exec="/bin/cat")
    if other:
        config += service("last", listen=f"unix-dgram:{last}", exec="/bin/cat")
    daemon = hatchd.file(config, "-v")
    own = f"{folder}/own"
    with connect(f"unix-dgram:{first}", source=own) as client:
        os.rename(own, f"{folder}/mine")
        os.symlink(last, own)
        client.send(b"boo")
        daemon.wait_log("first: exec /bin/cat")
        # When the program ends, everything that it has said has been sent.
        bye(client)
        daemon.wait_log(r"first: child \d+ ended: exit 0, .*, from uid")
    with connect(f"unix-dgram:{last}", source=f"\0hatchd-test-own-{os.getpid()}") as client:
        assert ask(client, b"one") == b"one"
        bye(client)
    daemon.stop()
    assert daemon.text().count("datagrams from") == 2
    assert "that could not be sent or answered" in daemon.text()


@pytest.mark.needs_root
def test_unix_rules(hatchd, folder):
    """Of users, as the kernel tells them."""
    address = f"unix-dgram:{folder}/s"
    daemon = hatchd.file(
        service("d", listen=address, exec="/bin/cat", only_from="unix:uid=root"), "-v")
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            os.setresgid(65533, 65533, 65533)
            os.setresuid(65533, 65533, 65533)
            with connect(address) as sock:
                sock.send(b"x")
            status = 0
        os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    daemon.wait_log("refused uid 65533 pid .*: only_from")
    with connect(address, source=f"\0hatchd-test-client-{os.getpid()}") as client:
        assert ask(client, b"one") == b"one"
        bye(client)


# ---------------------------------------------------------------------------
# A worker that somebody has taken over

# What an honest one would say: a client of 127.0.0.1 that has written to 127.0.0.1.
OFFERS = """
def offer(c, p, ticket=0, peer=socket.AF_INET, local=socket.AF_INET, name=b""):
    ip = socket.inet_aton("127.0.0.1")
    return struct.pack(ANSWER, 4, OFFER, 0, c, p, 0, 0, ticket, peer, 4711, ip, local, 53, ip,
                       0, b"", name)
say(answer(READY))
c, p = take()
while not c:
    c, p = take()
"""

LIES = {
    "asks twice": "say(offer(c, p)); say(offer(c, p))",
    "asks by another number": "say(offer(c, p, 1))",
    "asks about another socket": "say(offer(c + 1, p))",
    "asks about another place": "say(offer(c, p + 1))",
    "asks about a place beyond all": "say(offer(c, 2**32 - 1))",
    "asks about nobody": "say(offer(c, p, peer=0))",
    "asks about a user": "say(offer(c, p, peer=socket.AF_UNIX))",
    "does not say where he has written to": "say(offer(c, p, local=0))",
    "asks for another service": "say(offer(c, p, name=b'other'))",
    "does not wait for answers":
        "for ticket in range(100000): say(offer(c, p, ticket, name=b''))",
}


def liar(folder, text):
    own = folder / "own"
    own.mkdir()
    own.chmod(0o755)
    for name in ("hatchd", "hatchd-load", "hatchd-ask"):
        shutil.copy(pathlib.Path(HATCHD).parent / name, own / name)
    worker = own / "hatchd-udp"
    worker.write_text(LIAR.format(python=PYTHON) + text)
    worker.chmod(0o755)
    return own / "hatchd"


@pytest.mark.parametrize("lie", LIES)
def test_liar(hatchd, folder, lie):
    """It is killed and told of, and other services do not notice."""
    address, other = f"udp:127.0.0.1:{free_port()}", free_port()
    binary = liar(folder, OFFERS + LIES[lie] + "\nsignal.pause()\n")
    config = service("d", listen=address, exec="/bin/cat", instances=3) + service(
        "cat", listen=f"tcp:{other}", exec="/bin/cat")
    daemon = hatchd.file(config, binary=binary)
    with connect(other) as cat, connect(address) as client:
        client.send(b"x")
        daemon.wait_log("hatchd-udp: child .* offers a client .*, killing it")
        daemon.wait_log(r"socket \d+ ended: lost")
        cat.sendall(b"y")
        assert read_exactly(cat, 1) == b"y"


# Asks a hundred times and is told, then waits for its end.
HONEST = """
os.set_blocking(4, True)
for ticket in range(100):
    say(offer(c, p, ticket))
    while True:
        data, fds, _, _ = socket.recv_fds(requests, 4096, 4)
        for fd in fds: os.close(fd)
        kind = struct.unpack_from('=H', data, 2)[0]
        if kind == 5: break
        if kind == 4: say(answer(PONG))
while True:
    data = requests.recv(4096)
    kind = struct.unpack_from('=H', data, 2)[0]
    if kind == 4: say(answer(PONG))
    if kind == 3 or not data: sys.exit(0)
    if kind == 2: say(answer(DONE, c, p, 2))
"""


def test_the_same_without_a_lie(hatchd, folder):
    """So that it is the lie that those of above are killed for."""
    address = f"udp:127.0.0.1:{free_port()}"
    binary = liar(folder, OFFERS + HONEST)
    daemon = hatchd.file(
        service("d", listen=address, exec="/bin/cat", instances=1000, per_source=1000), "-v",
        binary=binary)
    with connect(address) as client:
        client.send(b"x")
        # Whose pairs are closed have the end of their input.
        daemon.wait_log(r"ended: exit 0, .*, from 127.0.0.1:4711", count=100)
    assert "killing it" not in daemon.text()
    daemon.stop(leave=True)


def test_lie_about_what_was_not_read(hatchd, folder):
    """The next worker, who gets it, is not held to what the last one has asked about it."""
    addresses = [f"udp:127.0.0.1:{free_port()}" for _ in range(2)]
    seen = folder / "seen"
    seen.touch()
    seen.chmod(0o666)
    # The first one takes a socket, and asks about the next while that is on its way.
    text = OFFERS + (
        f"if not os.path.getsize('{seen}'):\n"
        f"    open('{seen}', 'w').write('x')\n"
        "    while True:\n"
        "        data = requests.recv(4096, socket.MSG_PEEK)\n"
        "        if struct.unpack_from('=H', data, 2)[0] == 1: break\n"
        "        take()\n"
        "        say(answer(PONG))\n"
        "    c, p = struct.unpack_from('=QI', data, 8)\n"
        "    for ticket in range(8): say(offer(c, p, ticket))\n"
        "    sys.exit(0)\n") + HONEST
    daemon = hatchd.file(
        service("d", listen=addresses, exec="/bin/cat", instances=1000, per_source=1000),
        "-v", binary=liar(folder, text))
    with connect(addresses[0]) as first, connect(addresses[1]) as last:
        first.send(b"x")
        wait_until(seen.read_bytes, what="the first socket to be taken")
        last.send(b"x")
        daemon.wait_log(r"socket \d+ ended: lost")
        daemon.wait_log(r"ended: exit 0, .*, from 127.0.0.1:4711", count=100)
    assert "killing it" not in daemon.text()
    daemon.stop(leave=True)


# ---------------------------------------------------------------------------
# What is said of options


def test_values(hatchd):
    for text, said in (
        ("session_timeout = 1ms", "session_timeout"),
        ("per_datagram = maybe", "per_datagram"),
    ):
        done = hatchd.check(f"service d {{ listen = udp:7 exec = /bin/cat\n{text} }}\n")
        assert done.returncode == 1
        assert said in done.stderr


def test_explain(folder):
    """What ends a session; but neither bans nor queues."""
    path = put(folder, service(
        "d", listen=["udp:7", "tcp:8"], exec="/bin/cat", per_datagram=True,
        overflow_source="ban 1min"), "hatchd.conf")
    udp_only = put(folder, path.read_text().replace(", 'tcp:8'", ""), "other.conf")
    said = run_hatchd("--explain", "d", "127.0.0.1", "-f", udp_only).stdout
    assert "127.0.0.1 is admitted" in said
    assert "session_timeout = 1min " in said
    assert "per_datagram = yes " in said
    assert "overflow = " not in said
    assert "ban_scope = " not in said
