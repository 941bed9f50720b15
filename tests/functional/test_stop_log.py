"""The beginning, the end, and what is said in between."""

import os
import random
import re
import signal
import socket

import pytest

from harness import (
    PYTHON, Daemon, connect, free_port, is_refused, proc_stat, read_all, read_exactly,
    read_line, run_hatchd, service, talk, wait_until,
)
from namespace import with_mounts

needs_root = pytest.mark.needs_root


def echo(name="echo", **options):
    options.setdefault("exec", "/bin/cat")
    return service(name, **options)


# -- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_stop_it(hatchd, number):
    port = free_port()
    daemon = hatchd.file(echo(listen=f"tcp:{port}"))
    daemon.signal(number)
    assert daemon.wait_end() == 0
    assert is_refused(port)
    assert "stopped" in daemon.text()


def test_children_live_on(hatchd):
    port = free_port()
    daemon = hatchd.file(echo(listen=f"tcp:{port}"))
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        daemon.stop(leave=True)
        daemon.wait_log("stopped, leaving 1 child alive")
        assert is_refused(port)
        client.sendall(b"still here")
        assert read_exactly(client, 10) == b"still here"
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"", "no copy of the connection was left anywhere"


def test_next_hatchd_has_the_port_at_once(hatchd):
    """Beside children that live on, and connections in TIME_WAIT."""
    port = free_port()
    first = hatchd.file(echo(listen=f"tcp:{port}"))
    talk(port, b"x")
    first.wait_children(0)
    with connect(port) as old:
        first.wait_children(1)
        first.stop(leave=True)
        hatchd.file(echo(listen=f"tcp:{port}"))
        assert talk(port, b"new") == b"new"
        old.sendall(b"old")
        assert read_exactly(old, 3) == b"old"


def test_stubborn_child_is_left_at_the_second_signal(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", stop="terminate",
                shell="trap '' TERM; echo hello; exec cat"))
    with connect(port) as client:
        assert read_line(client) == b"hello"
        (child,) = daemon.children()
        daemon.signal(signal.SIGTERM)
        daemon.wait_notified("STOPPING=1")
        assert proc_stat(child)[0] != "Z"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_end() == 0


def test_waiting_child_keeps_its_socket(hatchd, folder):
    """hatchd stops; the child that was handed the listener goes on serving it."""
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"tcp:{port}", wait=True,
        exec=[PYTHON, "-S", "-E", "-c",
              "import socket; s = socket.socket(fileno=0)\n"
              "for _ in range(2): c, _ = s.accept(); c.sendall(b'hello'); c.close()"]))
    assert talk(port) == b"hello"
    daemon.stop(leave=True)
    assert talk(port) == b"hello"


@pytest.mark.parametrize("name", ["USR1", "USR2", "ALRM", "PIPE", "CHLD", "WINCH", "CONT"])
def test_other_signals_change_nothing(hatchd, name):
    port = free_port()
    daemon = hatchd.file(echo(listen=f"tcp:{port}"))
    daemon.signal(getattr(signal, f"SIG{name}"))
    assert talk(port, b"still here") == b"still here"


def test_notifications(hatchd):
    daemon = hatchd.file(echo(listen=f"tcp:{free_port()}"))
    assert re.search("^STATUS=Serving 1 ", daemon.messages[-1], re.MULTILINE)
    daemon.signal(signal.SIGTERM)
    daemon.wait_notified("STOPPING=1")
    assert daemon.wait_end() == 0


def test_ready_means_ready(hatchd):
    """A client that comes with READY=1 is never refused."""
    ports = [free_port() for _ in range(50)]
    hatchd.file(echo(listen=[f"tcp:{port}" for port in ports]))
    for port in ports:
        assert not is_refused(port)


# -- the log


def test_records_of_connections(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell="read how; exit $how"))
    for how, words in ((b"0", "exit 0"), (b"7", "exit 7")):
        with connect(port) as client:
            name = client.getsockname()[1]
            client.sendall(how + b"\n")
            assert read_all(client) == b""
        line = rf"hatchd: s: child \d+ ended: {words}, [\d.]+ \w+, from 127.0.0.1:{name}$"
        daemon.wait_log(line)


def test_record_of_a_signal(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell="kill -KILL $$"))
    assert talk(port) == b""
    daemon.wait_log(r"s: child \d+ ended: signal 9 \(KILL\), ")


def test_record_of_a_unix_client(hatchd, folder):
    daemon = hatchd.file(echo(listen=f"unix:{folder}/s"))
    talk(f"unix:{folder}/s", b"x")
    daemon.wait_log(rf"ended: exit 0, .*, from uid {os.geteuid()} pid {os.getpid()}$")


def test_what_takes_ten_seconds(folder, world):
    """One record for a connection that is still open; one line for what repeats itself.

    They are waited for where nobody can have the clock in hand.
    """
    bad = folder / "bad"
    bad.write_bytes(b"\x7fELF, but not really")
    bad.chmod(0o755)
    port, failing = free_port(), free_port()
    config = echo(listen=f"tcp:{port}") + service("bad", listen=f"tcp:{failing}", exec=bad)
    with Daemon(config=config, folder=folder, env=world and world.env) as daemon, \
            connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        name = client.getsockname()[1]
        (child,) = daemon.children()
        for refused in [connect(failing) for _ in range(30)]:
            assert read_all(refused) == b""
            refused.close()
        daemon.wait_log("bad: unable to start .*: exec: Exec format error, from 127.0.0.1")
        daemon.wait_children(1)
        assert "more failures" not in daemon.text() and "open for" not in daemon.text()

        if world:
            world.is_later(10, daemon)
        daemon.wait_log("bad: 29 more failures like that in the last 10 s")
        daemon.wait_log(f"echo: child {child} open for 1[0-9](.[0-9]+)? s, from "
                        f"127.0.0.1:{name}")
        assert daemon.text().count("unable to start") == 1
        assert daemon.cpu() < 1
        assert talk(port, b"others are served") == b"others are served"
        client.close()
        daemon.wait_log(f"echo: child {child} ended: exit 0, 1[0-9].*s, from 127.0.0.1:{name}")


def stalled_pipe():
    """A pipe that is full: (read end, write end)."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b"." * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(write_end, True)
    return read_end, write_end


def test_stalled_log_blocks_nobody(folder):
    """What cannot be written is dropped, and told later."""
    port = free_port()
    read_end, write_end = stalled_pipe()
    daemon = Daemon(config=echo(listen=f"tcp:{port}", stderr="null"), folder=folder,
                    stderr=write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as log, daemon:
        for number in range(900):  # more than all buffers on the way hold
            assert talk(port, b"%d" % number) == b"%d" % number
        daemon.wait_children(0)

        # Somebody reads again: the next messages come through, and the number lost.
        lines, lost = [], None
        while lost is None:
            line = log.readline().decode().lstrip(".").rstrip()
            lines.append(line)
            lost = re.search(r"warning: (\d+) messages lost: standard error did not", line)
        records = sum("ended: exit 0" in line for line in lines)
        assert int(lost[1]) > 0
        assert records + int(lost[1]) >= 895, "each message came through or was counted"


def test_log_without_a_reader(folder):
    """The pipe is broken: no signal, no end."""
    port = free_port()
    read_end, write_end = os.pipe()
    with Daemon(config=echo(listen=f"tcp:{port}"), folder=folder, stderr=write_end):
        os.close(write_end)
        os.close(read_end)
        for _ in range(20):
            assert talk(port, b"x") == b"x"


def test_log_into_a_file_that_children_share(folder):
    """Both append: nobody's lines are overwritten."""
    port = free_port()
    config = service("s", listen=f"tcp:{port}", shell='echo "from the child" >&2')
    with open(folder / "log", "wb") as log:
        with Daemon(config=config, folder=folder, stderr=log) as daemon:
            for _ in range(20):
                talk(port)
            daemon.wait_children(0)
            wait_until(lambda: (folder / "log").read_text().count("ended: exit 0") == 20)
    text = (folder / "log").read_text()
    assert text.count("from the child\n") == 20
    assert text.count("hatchd: s: child ") == 20
    assert "\0" not in text


JOURNAL = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && cd /run/systemd/journal &&
ln -s "$1/journal" socket && ln -s "$1/stdout" stdout || exit 99
shift
exec "$@"
"""


@pytest.fixture
def journal(folder):
    """A journal of our own: the socket of its messages and the one of its streams."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messages, \
            socket.socket(socket.AF_UNIX) as streams:
        messages.bind(f"{folder}/journal")
        messages.settimeout(20)
        streams.bind(f"{folder}/stdout")
        streams.listen()
        streams.settimeout(20)
        yield messages, streams


def journal_message(messages, word):
    """The next message whose text has the word, as a dictionary."""
    while True:
        lines = messages.recv(65536).decode().split("\n")
        fields = dict(line.split("=", 1) for line in lines if "=" in line)
        if word in fields["MESSAGE"]:
            return fields


@needs_root
def test_journal(hatchd, folder, journal):
    """Fields with stable names; and the children's standard error does not pass through us."""
    messages, streams = journal
    port = free_port()
    read_end, write_end = os.pipe()
    st = os.fstat(write_end)
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell="echo oops >&2; exit 3"),
        launcher=with_mounts(JOURNAL, folder),
        stderr=write_end, env={"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"})
    os.close(write_end)
    stream, _ = streams.accept()
    with stream, os.fdopen(read_end, "rb") as rest:
        with connect(port) as client:
            peer = "127.0.0.1:%d" % client.getsockname()[1]
            assert read_all(client) == b""
        fields = journal_message(messages, "ended")
        assert fields["PRIORITY"] == "6"
        assert fields["SYSLOG_IDENTIFIER"] == "hatchd"
        assert (fields["SERVICE"], fields["CONNECTION"], fields["PEER"]) == ("s", "1", peer)
        assert fields["LOCAL"].endswith(f"127.0.0.1:{port}")
        assert (fields["RESULT"], fields["STATUS"]) == ("exit", "3")
        assert fields["PID"].isdigit()
        assert int(fields["DURATION_USEC"]) > 0
        assert int(fields["CPU_USEC"]) >= 0

        head = b"".join(iter(lambda: stream.recv(1), b"\n"))
        assert head == b"hatchd/s"
        rest_of_stream = b""
        while not rest_of_stream.endswith(b"oops\n"):
            rest_of_stream += stream.recv(1000)
        daemon.stop()
        assert rest.read() == b"", "nothing of it went to the terminal"


@needs_root
def test_journal_of_failures_and_refusals(hatchd, folder, journal):
    messages, _ = journal
    bad = folder / "bad"
    bad.write_bytes(b"\x7fELF, but not really")
    bad.chmod(0o755)
    failing, one = free_port(), free_port()
    read_end, write_end = os.pipe()
    st = os.fstat(write_end)
    hatchd.file(
        service("bad", listen=f"tcp:{failing}", exec=bad)
        + echo("one", listen=f"tcp:{one}", per_source=1),
        launcher=with_mounts(JOURNAL, folder),
        stderr=write_end, env={"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"})
    os.close(write_end)
    os.close(read_end)
    assert talk(failing) == b""
    fields = journal_message(messages, "unable to start")
    assert (fields["SERVICE"], fields["RESULT"], fields["REASON"]) == ("bad", "failed", "exec")
    assert fields["PRIORITY"] == "3"
    with connect(one) as first:
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        assert talk(one) == b""
    fields = journal_message(messages, "refused")
    assert (fields["SERVICE"], fields["RESULT"]) == ("one", "refused")
    assert fields["REASON"] == "per_source"


# -- files


def write(folder, text, name="hatchd.conf"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o644)
    return path


def test_empty_configuration(hatchd):
    """Valid: it serves nobody, and says so."""
    daemon = hatchd.file("")
    daemon.wait_log("no service is configured: serving nobody")


def test_check_statuses(folder):
    good = write(folder, echo(listen="tcp:7777"))
    assert run_hatchd("--check", "-f", good).returncode == 0
    wrong = write(folder, echo(listen="tcp:7777", instance=3))
    assert run_hatchd("--check", "-f", wrong).returncode == 1
    condition = write(folder, service("s", listen="tcp:7777", exec="/no/such/program"))
    assert run_hatchd("--check", "-f", condition).returncode == 1
    assert run_hatchd("--check", "-f", folder / "missing").returncode == 2
    assert run_hatchd("--check", "--nonsense").returncode == 2


def test_refused_configuration(folder):
    wrong = write(folder, echo(listen="tcp:7777", instance=3))
    done = run_hatchd("-f", wrong)
    assert done.returncode == 78
    assert f"{wrong}:" in done.stderr
    assert "did you mean 'instances'" in done.stderr
    assert run_hatchd("-f", folder / "missing").returncode == 78


def test_three_mistakes_in_one_run(folder):
    """Each with file, line, column, caret and suggestion."""
    path = write(folder, """service one {
	listen = tcp:7777
	exce   = "/bin/cat"
	user   = nobody
}

service two {
	listen    = tcp:7778
	exec      = "/bin/cat"
	user      = nobody
	instances = lots
	stopp     = leave
}
""")
    done = run_hatchd("--check", "-f", path)
    assert done.returncode == 1
    for place, words in (("3:2", "did you mean 'exec'"), ("11:14", "instances"),
                         ("12:2", "did you mean 'stop'")):
        assert re.search(rf"^{re.escape(str(path))}:{place}: error: .*{words}", done.stderr,
                         re.MULTILINE), done.stderr
    assert done.stderr.count("^") >= 3


def test_bad_file_of_a_folder_is_left_out(hatchd):
    port = free_port()
    folder = hatchd.folder
    write(folder, echo("good", listen=f"tcp:{port}"), "services.d/good.conf")
    bad = write(folder, echo("bad", listen="tcp:7777", instance=3), "services.d/bad.conf")
    write(folder, "not looked at {", "services.d/README")
    write(folder, "not looked at {", "services.d/.hidden.conf")
    daemon = hatchd.file('include_dir("services.d")\n')
    daemon.wait_log(f"{re.escape(str(bad))}:.*error")
    daemon.wait_log("ready: 1 service on 1 address")
    assert talk(port, b"served") == b"served"

    done = run_hatchd("--check", "-f", folder / "hatchd.conf")
    assert done.returncode == 1
    done = run_hatchd("--strict", "-f", folder / "hatchd.conf")
    assert done.returncode == 78


def test_include(hatchd):
    port = free_port()
    write(hatchd.folder, echo(listen=f"tcp:{port}"), "more.conf")
    hatchd.file('include("more.conf")\n')
    assert talk(port, b"x") == b"x"


def test_mistake_in_an_included_file_has_its_name(folder):
    bad = write(folder, echo("bad", listen="tcp:7777", instance=3), "more.conf")
    path = write(folder, 'include("more.conf")\n')
    assert f"{bad}:" in run_hatchd("--check", "-f", path).stderr


@needs_root
def test_file_that_others_may_write(folder):
    path = write(folder, echo(listen="tcp:7777"))
    path.chmod(0o666)
    done = run_hatchd("-f", path)
    assert done.returncode == 78
    assert "writ" in done.stderr
    path.chmod(0o644)
    os.chown(path, 65534, 65534)
    assert run_hatchd("-f", path).returncode == 78


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "socket"])
def test_configuration_that_is_no_file(folder, kind):
    path = folder / "hatchd.conf"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
        sock.close()
    else:
        path = "/dev/zero"
    assert run_hatchd("--check", "-f", path).returncode == 2
    assert run_hatchd("-f", path).returncode == 78


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_folder_with_something_that_is_no_file(hatchd, kind):
    port = free_port()
    odd = hatchd.folder / "services.d" / "odd.conf"
    write(hatchd.folder, echo(listen=f"tcp:{port}"), "services.d/good.conf")
    odd.mkdir() if kind == "directory" else os.mkfifo(odd)
    daemon = hatchd.file('include_dir("services.d")\n')
    daemon.wait_log("odd.conf")
    assert talk(port, b"served") == b"served"


HUGE = 16 << 20

CONTENTS = {
    "sixteen megabytes of one word": b"a" * HUGE,
    "more than sixteen megabytes": b"#" * (HUGE + 1),
    "sixteen megabytes of braces": b"service a { " * (HUGE // 12),
    "nul": b"service a {\0}",
    "only nul": bytes(4096),
    "every byte": bytes(range(256)),
    "open string": b'service a { exec = "',
    "open comment": b"/* ",
    "nothing but quotes": b"'\"" * 10000,
    "long line": b"service a { exec = { " + b'"x", ' * 10000 + b"} }",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_contents_that_are_none(folder, content):
    """Refused with a message, in reasonable time."""
    path = write(folder, content)
    done = run_hatchd("--check", "-f", path)
    assert done.returncode in (1, 2), done
    assert "hatchd.conf" in done.stderr
    assert len(done.stderr) < 200000
    assert run_hatchd("-f", path).returncode == 78


def test_large_but_valid(hatchd):
    """Comments of 15 MB cost nothing but their reading."""
    port = free_port()
    hatchd.file("# a comment\n" * (15 << 20 >> 4) + echo(listen=f"tcp:{port}"))
    assert talk(port, b"x") == b"x"


@pytest.mark.parametrize("seed", range(10))
def test_random_bytes(folder, seed):
    path = write(folder, random.Random(seed).randbytes(5000))
    assert run_hatchd("--check", "-f", path).returncode in (1, 2)


@pytest.mark.parametrize("seed", range(15))
def test_damaged_configuration(folder, seed):
    """A good file with a few bytes exchanged: an answer, never a crash."""
    dice = random.Random(seed)
    text = bytearray((
        'include_dir("services.d")\ndefaults { instances = 3 }\n'
        + echo(listen=["tcp:7777", "unix:/run/x"], env=["A=b"], umask="022", stop="leave")
    ).encode())
    for _ in range(3):
        text[dice.randrange(len(text))] = dice.choice(b"{}='\"\\\n#/*,;$ \0\xffa0")
    path = write(folder, bytes(text))
    assert run_hatchd("--check", "-f", path).returncode in (0, 1, 2)


def test_many_services(hatchd):
    """A thousand of them, each with a socket."""
    ports = [free_port() for _ in range(1000)]
    services = (echo(f"s{port}", listen=f"tcp4:127.0.0.1:{port}") for port in ports)
    daemon = hatchd.file("".join(services))
    daemon.wait_log("ready: 1000 services on 1000 addresses")
    for port in ports[::100]:
        assert talk(port, b"x") == b"x"
