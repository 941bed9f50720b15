"""Services of hatchd's own: what is said about them, and who would serve them."""

import re
import signal
import subprocess

import pytest

from harness import (
    HATCHD, TIMEOUT, base_environment, free_port, run_hatchd, service, stanza, talk,
)
from namespace import Etc

needs_root = pytest.mark.needs_root


def builtin(name, port=None, **options):
    return stanza("service", name, listen=f"tcp:{port or free_port()}", **options)


def put(folder, name, text, mode=0o644):
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def reload(daemon, text=None):
    if text is not None:
        daemon.write(text)
    mark = daemon.mark()
    daemon.signal(signal.SIGHUP)
    return daemon.wait_log("reloaded: .*", after=mark).string


def mistake(hatchd, said, **options):
    done = hatchd.check(builtin("wrong", **options))
    assert re.search(rf"hatchd\.conf:\d+:\d+: error: .*{said}", done.stderr), done.stderr
    assert done.returncode == 1


def test_from_one_to_another(hatchd):
    port = free_port()
    text = builtin("echo", port, builtin="echo")
    daemon = hatchd.file(text)
    assert talk(port, b"served") == b"served"
    assert "nothing has changed" in reload(daemon)
    assert talk(port, b"served") == b"served"
    assert "1 changed" in reload(daemon, text.replace("'echo'", "'discard'"))
    assert talk(port, b"served") == b""


def test_from_program_to_built_in(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat"))
    assert talk(port, b"x") == b"x"
    assert "1 changed" in reload(daemon, builtin("s", port, builtin="text", text="y"))
    assert talk(port, b"x") == b"y"
    assert "1 changed" in reload(daemon, service("s", listen=f"tcp:{port}", exec="/bin/cat"))
    assert talk(port, b"x") == b"x"


def test_file_comes(hatchd, folder):
    """What it waits for is told first, and looked for."""
    path = folder / "motd"
    port = free_port()
    text = builtin("s", port, builtin="text", text_file=path) + builtin(
        "q", builtin="qotd", text_file=path)
    daemon = hatchd.file(text)
    daemon.wait_log(f"s: waiting: no file {path}")
    daemon.wait_log(f"q: waiting: no file {path}")
    put(folder, "motd", "%\n")
    mark = daemon.mark()
    assert "2 changed" in reload(daemon)
    daemon.wait_log(f"q: waiting: {path} has no quotation", after=mark)
    assert talk(port) == b"%\n"
    daemon.stop(leave=True)  # it has a socket more than at the start


def test_ad_hoc_is_told(folder):
    done = run_hatchd("-l", str(free_port()), "--builtin", "text", "--text", "x", "--check")
    assert done.returncode == 0, done.stderr
    done = run_hatchd("-l", str(free_port()), "--builtin=text", "--text-file=motd", "--check")
    assert "--text-file: 'motd' is not an absolute path" in done.stderr


def test_print_config(hatchd, folder):
    """What is printed is read as the same."""
    path = put(folder, "quotes", "one\n%\ntwo\n")
    daemon = hatchd.file(
        builtin("a", builtin="text", text="it's \"x\"\\")
        + builtin("b", builtin="qotd", text_file=path)
        + builtin("c", builtin="chargen", time_limit="1min")
    )
    printed = run_hatchd("--print-config", "-f", daemon.config_path)
    assert "text    = 'it\\'s \"x\"\\\\'" in printed.stdout
    assert "builtin   = qotd" in printed.stdout
    again = put(folder, "again.conf", printed.stdout)
    assert run_hatchd("--print-config", "-f", again).stdout == printed.stdout


def test_text_has_a_longest(hatchd):
    """What --check takes, the master takes."""
    port = free_port()
    done = hatchd.check(builtin("s", builtin="text", text="x" * 65537))
    assert "this value is longer than 65536 bytes" in done.stderr
    assert done.returncode == 1
    hatchd.file(builtin("s", port, builtin="text", text="x" * 65536))
    assert talk(port) == b"x" * 65536


def test_explain_over_udp(hatchd):
    """Only rules are about those who send datagrams."""
    config = stanza(
        "service", "s", listen="udp:127.0.0.1:7777", builtin="echo", instances=0, rate="0/s",
        no_access="127.0.0.2")
    daemon = hatchd.file(config)
    for peer, status in (("127.0.0.1", 0), ("127.0.0.2", 1)):
        done = run_hatchd("--explain", "s", peer, "-f", daemon.config_path)
        assert done.returncode == status, done.stdout
        assert "instances" not in done.stdout and "start_timeout" not in done.stdout


def test_explain(hatchd):
    daemon = hatchd.file(builtin("s", builtin="echo"))
    done = run_hatchd("--explain", "s", "192.0.2.1", "-f", daemon.config_path)
    assert "built-in echo, in hatchd-builtin as " in done.stdout
    assert done.returncode == 0


def test_mistakes(hatchd, folder):
    path = put(folder, "motd", "x")
    mistake(
        hatchd, "only one of exec, shell, builtin and redirect", builtin="echo",
        exec="/bin/cat",
    )
    mistake(hatchd, "is for builtin = text", builtin="echo", text="x")
    mistake(hatchd, "is for builtin = qotd or text", builtin="echo", text_file=path)
    mistake(hatchd, "either text or text_file", builtin="text", text="x", text_file=path)
    mistake(hatchd, "leave out wait = yes", builtin="echo", wait=True)


@needs_root
def test_others_must_not_choose_what_root_reads(hatchd, folder):
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "motd").symlink_to("/etc/shadow")
    mistake(hatchd, f"root reads it, but others than root may write to {shared}",
            builtin="text", text_file=shared / "motd")
    path = put(folder, "motd", "x", 0o666)
    mistake(hatchd, f"root reads it, but others than root may write to {path}",
            builtin="qotd", text_file=path)
    # Where nobody else can, links are followed as ever.
    (folder / "link").symlink_to(put(folder, "other", "x"))
    done = hatchd.check(builtin("s", builtin="text", text_file=folder / "link"))
    assert ": error: " not in done.stderr


# ---------------------------------------------------------------------------
# Who serves them


@pytest.fixture
def passwd(folder):
    """Without anybody for that purpose, whatever this machine has."""
    etc = Etc(folder, "passwd")
    lines = etc.path.read_text().splitlines(keepends=True)
    etc.write("".join(line for line in lines if not line.startswith("_hatchd:")))
    return etc


def inside(passwd, *args):
    """A hatchd that ends by itself, and sees that file."""
    return subprocess.run(
        [*passwd.launcher, HATCHD, *map(str, args)], env=base_environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT * 2, text=True)


@needs_root
def test_worker_is_in_the_image(hatchd, passwd):
    """--plan compares what is in force with what would be."""
    daemon = hatchd.file(builtin("s", builtin="echo"), launcher=passwd.launcher)
    plan = "--plan", "-f", daemon.config_path
    assert inside(passwd, *plan).stdout == "nothing would change\n"
    passwd.add("_hatchd:x:4711:4712::/:/bin/false")
    assert inside(passwd, *plan).stdout == (
        "for all services:\n  what workers serve runs as number 4711 now, group 4712"
        " (before 65532, group 65532)\n1 service unchanged\n")
    reload(daemon)
    assert inside(passwd, *plan).stdout == "nothing would change\n"


@needs_root
@pytest.mark.parametrize("ids", ["0:4711", "4711:0"])
def test_worker_is_never_root(hatchd, passwd, ids):
    passwd.add(f"_hatchd:x:{ids}::/:/bin/false")
    daemon = hatchd.file(builtin("s", builtin="echo"), launcher=passwd.launcher)
    done = inside(passwd, "--check", "-f", daemon.config_path)
    assert "user '_hatchd' is root or in its group, using number 65532 instead" in done.stderr
    plan = inside(passwd, "--plan", "-f", daemon.config_path)
    assert plan.stdout == "nothing would change\n"
