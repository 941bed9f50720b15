"""hatchctl reload, with what really comes of it."""

import pytest

from harness import Loader, free_port, hatchctl, is_refused
from test_control import cat, is_served


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.fixture
def ctl(path):
    """hatchctl COMMAND at the socket of the test: (status, stdout, stderr)."""

    def run(command, *args, **more):
        done = hatchctl(command, "-s", path, *args, **more)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


def says(text, status=0):
    return status, text, ""


def fails(text, status=1):
    return status, "", f"hatchctl: {text}\n"


# ---------------------------------------------------------------------------
# Files are read again


def test_reload(hatchd, path, ctl):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]), f"--control={path}")
    daemon.write(cat("b", ports[1]))
    assert ctl("reload") == says("reloaded\n")
    assert is_served(ports[1])


def test_reload_with_mistakes(hatchd, path, ctl):
    """They are shown as hatchd --check shows them."""
    port = free_port()
    daemon = hatchd.file(cat("a", port), f"--control={path}")
    daemon.write(cat("a", port, instances="many"))
    status, out, err = ctl("reload")
    assert (status, out) == (1, "")
    assert f"{daemon.config_path}:4:13: error: instances: 'many' is neither" in err
    assert err.endswith(
        "\nhatchctl: the reload failed, and nothing has changed: the files have mistakes\n")
    assert is_served(port)


def test_reload_that_nobody_ends(hatchd, path, ctl, folder, monkeypatch):
    """The loader hangs: that is waited for, and the reason told."""
    loader = Loader(folder, monkeypatch)
    hatchd.file(cat("a", free_port()), f"--control={path}", "--loader-timeout=2000")
    loader.hold()
    assert ctl("reload") == fails(
        "the reload failed, and nothing has changed: the loader did not answer in time")


@pytest.mark.needs_root
def test_plan(hatchd, path, ctl):
    ports = [free_port(), free_port()]
    daemon = hatchd.file(cat("a", ports[0]), f"--control={path}")
    assert ctl("reload", "--plan") == says("nothing would change\n")
    daemon.write(cat("a", ports[0]) + cat("b", ports[1]))
    assert ctl("reload", "--plan") == says(
        f"b: new\n  opened   tcp:127.0.0.1:{ports[1]}\n1 service unchanged\n1 opened\n")
    assert is_refused(ports[1])
    daemon.write("service {")
    status, out, err = ctl("reload", "--plan")
    assert status == 1 and ": error: " in err
    assert out.endswith("a reload would change nothing\n")


def test_plan_of_a_command_line(hatchd, path, ctl):
    hatchd.adhoc("-l", "tcp:127.0.0.1:0", f"--control={path}", "--", "cat")
    assert ctl("reload", "--plan") == fails("hatchd serves its command line, and no file", 2)


# ---------------------------------------------------------------------------
# Who may, and what is no command
