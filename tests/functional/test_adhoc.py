"""hatchd -l ADDRESS -- PROGRAM: one program, from the command line."""

import contextlib
import os
import re
import signal
import socket

import pytest

from harness import (
    IS_ROOT, PYTHON, Probe, connect, free_port, have_ipv6, held_back, helper, is_refused,
    read_all, read_exactly, read_line, run_hatchd, service, talk, udp, wait_until,
)

UPPER = ["--", "tr", "a-z", "A-Z"]


@pytest.mark.parametrize("listen", ["{}", "tcp:{}", "tcp4:{}", "tcp:127.0.0.1:{}"])
def test_tcp(hatchd, listen):
    port = free_port()
    hatchd.adhoc("-l", listen.format(port), *UPPER)
    assert talk(port, b"bom dia") == b"BOM DIA"


@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("listen", ["{}", "tcp6:{}", "tcp:[::1]:{}"])
def test_tcp_over_ipv6(hatchd, listen):
    port = free_port()
    hatchd.adhoc("-l", listen.format(port), *UPPER)
    assert talk(f"tcp:[::1]:{port}", b"bom dia") == b"BOM DIA"


@pytest.mark.parametrize("kind", ["unix", "unix-seqpacket"])
def test_unix(hatchd, folder, kind):
    hatchd.adhoc("-l", f"{kind}:{folder}/s", "--socket-mode=0600", "--", "cat")
    assert os.stat(folder / "s").st_mode & 0o777 == 0o600
    with connect(f"{kind}:{folder}/s") as client:
        client.send(b"bom dia")
        assert client.recv(100) == b"bom dia"


def test_udp_with_wait(hatchd, folder):
    port = free_port()
    program = helper("datagrams.py", folder)
    hatchd.adhoc("-l", f"udp:{port}", "--wait", "--", PYTHON, "-S", "-E", program)
    assert udp(f"udp:127.0.0.1:{port}", b"bom dia") == [b"bom dia"]


def test_listen_repeats(hatchd, folder):
    one, two = free_port(), free_port()
    unix = f"unix:{folder}/s"
    daemon = hatchd.adhoc("-l", one, f"--listen=tcp:{two}", "--listen", unix, *UPPER)
    for address in (one, two, unix):
        assert talk(address, b"x") == b"X"
    daemon.wait_log("listening on", count=3)


def test_shell(hatchd):
    port = free_port()
    hatchd.adhoc("-l", port, "--shell", "sort | uniq -c")
    assert talk(port, b"b\na\nb\n") == b"      1 a\n      2 b\n"


def test_options_are_flags(hatchd, folder):
    port = free_port()
    flags = ["--env", "A=1", "--env=B=2", "--umask", "077", "--directory", folder]
    flags += ["--argv0=other", "--nice=3", "--env-dialect=socat"]
    hatchd.adhoc("-l", port, *flags, "--", helper("probe", folder))
    found = Probe(talk(port))
    assert (found.env["A"], found.env["B"]) == ("1", "2")
    assert (found["umask"], found["cwd"], found["nice"]) == ("0077", str(folder), "3")
    assert found.args == ["other"]
    assert "SOCAT_PEERADDR" in found.env


def test_flag_without_a_value_is_yes(hatchd):
    port = free_port()
    done = run_hatchd("--print-config", "-l", port, "--nodelay", "--", "cat")
    assert re.search(r"nodelay\s*= yes", done.stdout), done.stdout


def test_children_are_the_caller(hatchd, folder):
    port = free_port()
    daemon = hatchd.adhoc("-l", port, "--", helper("probe", folder), env={"SECRET": "token"})
    found = Probe(talk(port))
    assert found.status["Uid"].split() == [str(os.geteuid())] * 4
    assert found.env["PATH"] == os.environ["PATH"], "the caller's own programs are meant"
    assert "SECRET" not in found.env
    assert sorted(found.fds) == [0, 1, 2]
    assert ("--user" in daemon.text()) == IS_ROOT, "root is warned"


def test_who_can_reach_it_by_rules(hatchd):
    daemon = hatchd.adhoc("--only-from", "127.0.0.1", "-l", "tcp:127.0.0.1:0", *UPPER)
    daemon.wait_log("open to this machine only, as only_from and no_access say$")


def test_program_of_the_current_folder(hatchd, folder):
    """PATH as a shell uses it; and a name with a slash stands for itself."""
    (folder / "greet").write_text("#!/bin/sh\necho bom dia\n")
    (folder / "greet").chmod(0o755)
    port = free_port()
    hatchd.adhoc("-l", port, "--", "./greet", cwd=str(folder))
    assert talk(port) == b"bom dia\n"


def test_port_zero_prints_the_port(hatchd):
    daemon = hatchd.adhoc("-l", "tcp:127.0.0.1:0", *UPPER)
    line = r"listening on tcp:127\.0\.0\.1:(\d+), open to this machine only"
    port = int(daemon.wait_log(line)[1])
    assert port != 0
    assert talk(port, b"bom dia") == b"BOM DIA"


def test_who_can_reach_it(hatchd, folder):
    port = free_port()
    abstract = f"unix:@hatchd-test-{os.getpid()}"
    daemon = hatchd.adhoc("-l", port, "-l", f"unix:{folder}/s", "-l", abstract, *UPPER)
    for address, who in (
        (f"tcp:{port}", "anybody who can reach this machine"),
        (f"unix:{folder}/s", "users of this machine that may write"),
        (abstract, "every user of this machine"),
    ):
        daemon.wait_log(f"listening on {address}, open to {who}")


def test_narration(hatchd):
    """In the words of the system calls, in their order."""
    port = free_port()
    daemon = hatchd.adhoc("-v", "-l", port, *UPPER)
    with connect(port) as client:
        name = client.getsockname()[1]
        client.sendall(b"bom dia")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"BOM DIA"
    child = daemon.wait_log(r"child (\d+) ended: exit 0, [\d.]+ (us|ms|s)")[1]
    family, wildcard = ("tcp6", "[::]") if have_ipv6() else ("tcp4", "0.0.0.0")
    expected = [
        f"socket {family}",
        f"bind {wildcard}:{port}",
        "listen, queue 4096",
        f"accept from 127.0.0.1:{name}",
        f"child {child}: descriptors 0 and 1 are the connection",
        "exec /usr/bin/tr",
        f"child {child} ended: exit 0, ",
    ]
    lines = iter(daemon.log.lines)
    for words in expected:
        assert any(words in line for line in lines), f"no {words!r} in:\n{daemon.text()}"


def test_narration_of_a_waiting_child(hatchd, folder):
    port = free_port()
    program = [PYTHON, "-S", "-E", helper("handed_over.py", folder)]
    daemon = hatchd.adhoc("-v", "-l", f"tcp4:{port}", "--wait", "--", *program)
    assert talk(port, b"x") == b"x"
    daemon.wait_log(rf"child \d+: descriptors 0 and 1 are the socket tcp4:{port}")


# -- once


@pytest.mark.parametrize("shell, status", [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137),
                                           ("kill -TERM $$", 143), ("exit 255", 255)])
def test_once_has_the_status_of_the_program(hatchd, shell, status):
    port = free_port()
    daemon = hatchd.adhoc("--once", "-l", port, "--shell", shell)
    talk(port)
    assert daemon.wait_end() == status


def test_once_serves_one(hatchd):
    port = free_port()
    daemon = hatchd.adhoc("--once", "-l", port, "--", "cat")
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        wait_until(lambda: is_refused(port))
    assert daemon.wait_end() == 0


def test_once_with_a_client_at_each_address(hatchd):
    """Both come in one event: one is served, the other finds nobody."""
    one, two = free_port(), free_port()
    daemon = hatchd.adhoc("--once", "-l", one, "-l", two, "--", "/bin/cat")
    with contextlib.ExitStack() as stack:
        with held_back(daemon):
            clients = [stack.enter_context(connect(port)) for port in (one, two)]
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
        assert daemon.wait_end() == 0


def test_once_program_that_goes_away(hatchd, folder):
    """It was there when hatchd started, but not when the client came."""
    program = folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    port = free_port()
    daemon = hatchd.adhoc("--once", "-l", port, "--", program)
    program.unlink()
    assert talk(port) == b""
    assert daemon.wait_end() == 127


def test_once_program_that_goes_bad(hatchd, folder):
    program = folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    port = free_port()
    daemon = hatchd.adhoc("--once", "-l", port, "--", program)
    program.write_bytes(b"\x7fELF, but not really")
    assert talk(port) == b""
    assert daemon.wait_end() == 126


@pytest.mark.parametrize("program, status", [("no-such-program-anywhere", 127),
                                             ("/etc/passwd", 126), ("/etc", 126)])
def test_once_program_that_is_none(program, status):
    done = run_hatchd("--once", "-l", free_port(), "--", program, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == status, done.stderr
    assert program in done.stderr


@pytest.mark.skipif(IS_ROOT, reason="root may search every folder")
def test_folder_of_path_that_may_not_be_searched(folder):
    (folder / "closed").mkdir(mode=0)
    path = f"{folder}/closed:/usr/bin:/bin"
    done = run_hatchd("--once", "-l", free_port(), "--", "no-such-program", env={"PATH": path})
    assert done.returncode == 127, done.stderr


def test_once_busy_port():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        done = run_hatchd("--once", "-l", f"tcp:127.0.0.1:{busy.getsockname()[1]}", *UPPER)
    assert done.returncode == 125, done.stderr


# -- the end


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"])
def test_signals_end_it_and_its_children(hatchd, name):
    """A child that listens to TERM says so; Ctrl-C ends the whole thing."""
    port = free_port()
    shell = "trap 'echo bye; exit 3' TERM; echo hello; while :; do read x || :; done"
    daemon = hatchd.adhoc("-l", port, "--shell", shell)
    with connect(port) as client:
        assert read_line(client) == b"hello"
        daemon.signal(getattr(signal, name))
        assert daemon.wait_end() == 0
        assert read_all(client) == b"bye\n"


def test_second_signal_does_not_wait(hatchd):
    port = free_port()
    daemon = hatchd.adhoc("-l", port, "--shell", "trap '' TERM; echo hello; exec cat")
    with connect(port) as client:
        assert read_line(client) == b"hello"
        daemon.signal(signal.SIGINT)
        daemon.wait_notified("STOPPING=1")
        daemon.signal(signal.SIGINT)
        assert daemon.wait_end(timeout=5) == 0
        client.sendall(b"alive")
        assert read_exactly(client, 5) == b"alive"


# -- print-config


def printed(*args):
    done = run_hatchd("--print-config", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMAND_LINES = [
    ["-l", "7777", "--", "tr", "a-z", "A-Z"],
    ["-l", "tcp:127.0.0.1:7777", "-l", "unix:/run/x.sock", "--per-source", "4", "--", "cat"],
    ["-l", "7777", "--shell", "sort | uniq -c | sed 's/\"/\\\\/'"],
    ["-l", "udp:7777", "--wait", "--rlimit-nofile=1:2", "--", "cat", "a b", "'", '"', "\\", ""],
    ["-l", "7777", "--env", "A=b c", "--env", "D=$HOME", "--umask=027", "--", "env"],
    ["-l", "7777", "--resolve", "--ident=required", "--lookup-timeout=2s",
     "--only-from", ".Example.org", "--", "cat"],
    ["-l", "7777-7780", "--start-timeout=1500ms", "--send-buffer=64K", "--", "/bin/cat"],
]


@pytest.mark.parametrize("args", COMMAND_LINES, ids=range(len(COMMAND_LINES)))
def test_print_config_parses_back(hatchd, args):
    """What it prints is a valid file, and prints as itself."""
    user = ["--user", "nobody"] if IS_ROOT else []
    text = printed(*user, *args)
    done = hatchd.check(text)
    assert done.returncode == 0, done.stdout + done.stderr + text
    again = printed("-f", hatchd.folder / "hatchd.conf")
    assert body(again) == body(text)


def body(text):
    """Without comments and blank lines, and blanks as one."""
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def test_print_config_is_what_is_served(hatchd):
    port = free_port()
    user = ["--user", "nobody"] if IS_ROOT else []
    text = printed(*user, "-l", port, "--shell", "read x; echo \"<$x> it's\"")
    hatchd.file(text)
    assert talk(port, b"bom dia\n") == b"<bom dia> it's\n"


def test_print_config_opens_nothing(folder):
    printed("-l", f"unix:{folder}/s", "--", "cat")
    assert not (folder / "s").exists()


def test_print_config_of_a_file(hatchd, folder):
    path = folder / "hatchd.conf"
    path.write_text(service("s", listen="tcp:7777", exec="/bin/cat", instances=3))
    path.chmod(0o644)
    assert re.search(r"instances\s*= 3", printed("-f", path))


# -- mistakes


def test_busy_port_fails_at_once():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        done = run_hatchd("-l", f"tcp:127.0.0.1:{port}", *UPPER)
    assert done.returncode == 1
    assert f"unable to bind tcp:127.0.0.1:{port}: somebody listens there already" in done.stderr
    assert len(done.stderr.strip().split("\n")) <= 2, done.stderr


def test_one_busy_port_of_two_fails_as_well():
    free = free_port()
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        done = run_hatchd("-l", free, "-l", f"tcp:127.0.0.1:{busy.getsockname()[1]}", *UPPER)
    assert done.returncode == 1
    assert is_refused(free)


@pytest.mark.parametrize(
    "args, words",
    [
        (["-l", "7777"], "no program"),
        (["--", "cat"], "no address; add -l"),
        (["-l", "7777", "--"], "the program after -- is missing"),
        (["-l", "7777", "cat"], "put -- before the program: -- cat"),
        (["-l"], "-l needs a value"),
        (["-f", "a", "-l", "7777", "--", "cat"], "choose one"),
        (["-f", "a", "-f", "b"], "-f is given twice"),
        (["-l", "7777", "--instance=4", "--", "cat"], "did you mean '--instances'"),
        (["-l", "7777", "--userr=x", "--", "cat"], "did you mean '--user'"),
        (["--chekc"], "did you mean '--check'"),
        (["-x"], "unknown flag '-x'"),
        (["file.conf"], "a configuration file after -f"),
        (["--check=yes"], "takes no value"),
        (["--check", "--print-config"], "exclude one another"),
        (["--spawn=slowly"], "auto, shared or private"),
        (["--once"], "--once is for"),
        (["--umask=077"], "--umask is for"),
        (["-l", "7777", "--umask=077", "--umask=022", "--", "cat"], "--umask is given twice"),
        (["-l", "7777", "--shell", "true", "--", "cat"], "exclude each other"),
    ],
)
def test_usage_errors(args, words):
    done = run_hatchd(*args)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Try 'hatchd --help'." in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "args, words",
    [
        (["-l", "tcp:nowhere-to-be-found", "--", "cat"], "nowhere-to-be-found"),
        (["-l", "7777", "--instances=many", "--", "cat"], "--instances"),
        (["-l", "7777", "--umask=999", "--", "cat"], "--umask"),
        (["-l", "udp:7777", "--session-timeout=1ms", "--", "cat"], "--session-timeout"),
        (["-l", "7777", "--access-times=8:00-25:00", "--", "cat"], "--access-times: '8:00"),
        (["-l", "unix:/tmp/x", "--idle-timeout=5s", "--", "cat"], "--idle-timeout: only"),
        (["-l", "7777", "--only-from=all", "--", "cat"], "--only-from: 'all' is no address"),
        (["-l", "7777", "--only-from=a.example", "--", "cat"],
         "--only-from: 'a.example' is the name of a host; those need --resolve"),
        (["-l", "7777", "--resolve", "--no-access=.example", "--", "cat"],
         "--no-access: '.example' is the name of a domain; a name can let somebody in"),
        (["-l", "7777", "--ident=maybe", "--", "cat"], "--ident: 'maybe' is not no, yes or"),
        (["-l", "7777", "--lookup-timeout=1min", "--", "cat"], "--lookup-timeout: '1min'"),
        (["-l", "udp:7777", "--ident=required", "--", "cat"], "--ident: required is for conn"),
        (["-l", "7777", "--per-source=UNLIMITED", "--", "cat"], "did you mean 'unlimited'?"),
    ],
)
def test_values_that_are_none(args, words):
    done = run_hatchd(*args)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr


def test_help_and_version():
    for flag in ("--help", "-h"):
        done = run_hatchd(flag)
        assert (done.returncode, done.stderr) == (0, "")
        assert "hatchd -l 7777 -- tr a-z A-Z" in done.stdout
    for flag in ("--version", "-V"):
        done = run_hatchd(flag)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.match(r"hatchd \d\S*\nchildren start with ", done.stdout)


@pytest.mark.parametrize("mode", ["shared", "private", "auto"])
def test_spawn_modes(hatchd, mode):
    port = free_port()
    daemon = hatchd.adhoc(f"--spawn={mode}", "-v", "-l", port, *UPPER)
    assert talk(port, b"bom dia") == b"BOM DIA"
    daemon.wait_log("children start with ")
