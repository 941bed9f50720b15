"""A hatchd whose package of TLS is not installed: what is said of that, and what is served
all the same; and what becomes of it when the package comes, and goes again.
"""

import os
import pathlib
import re
import shutil
import ssl
import subprocess

import pytest

from certificates import needs_tls
from harness import (
    HATCHCTL, HATCHD, TIMEOUT, base_environment, connect, free_port, hatchd_command, put,
    reload, service, talk)

pytestmark = needs_tls

TLS = ("hatchctl-tls", "hatchd-certificate", "hatchd-tls")

MISSING = (r"TLS is not installed: install the package hatchd-tls "
           r"\(/.*/{} is missing\)")


class Programs:
    """A copy of all programs but those of TLS, which can be installed and removed."""

    def __init__(self, folder):
        self.build = pathlib.Path(HATCHD).parent
        self.folder = folder / "programs"
        self.folder.mkdir()
        self.folder.chmod(0o755)
        for path in [*self.build.glob("hatchd*"), pathlib.Path(HATCHCTL)]:
            if path.name not in TLS and path.is_file() and os.access(path, os.X_OK):
                shutil.copy(path, self.folder)
        self.hatchd = self.folder / "hatchd"

    def install(self, *names):
        for name in names or TLS:
            shutil.copy(self.build / name, self.folder)

    def remove(self, *names):
        for name in names or TLS:
            (self.folder / name).unlink()

    def run(self, *args, cwd=None):
        command = hatchd_command(*args, binary=self.hatchd)
        return subprocess.run(command, cwd=cwd, env=base_environment(), capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT)


@pytest.fixture
def programs(folder):
    programs = Programs(folder)
    if not re.match(MISSING.format("hatchd-tls"), programs.run("-V").stdout.splitlines()[2]):
        pytest.skip("a hatchd with TLS is installed on this machine")
    return programs


@pytest.fixture
def pem(programs, folder):
    programs.install()
    done = programs.run("--self-signed", "web.test", cwd=folder)
    assert done.returncode == 0, done.stderr
    programs.remove()
    return folder / "web.test.pem"


def web(port, pem, name="web"):
    text = service(name, listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat")
    return re.sub(r"}\s*$", f"\ttls {{ certificate = \"{pem}\" }}\n}}\n", text)


def speak(port, pem):
    """What TLS gives back of a greeting."""
    context = ssl.create_default_context(cafile=pem)
    with context.wrap_socket(connect(port), server_hostname="web.test") as client:
        client.sendall(b"hello")
        return client.recv(5)


def test_check_says_what_helps_once_for_each_place(programs, pem, folder):
    path = put(folder, web(7777, pem, "a") + web(7778, pem, "b"), "hatchd.conf")
    done = programs.run("--check", "-f", path)
    said = re.findall(rf"^(.*):(\d+):\d+: waiting: {MISSING.format('hatchd-tls')}$",
                      done.stderr, re.MULTILINE)
    assert len(said) == 2 and said[0][1] != said[1][1], done.stderr
    assert (done.returncode, done.stdout) == (1, "2 conditions in 1 file\n")
    programs.install("hatchd-tls", "hatchctl-tls")
    said = re.findall(MISSING.format("hatchd-certificate"), programs.run(
        "--check", "-f", path).stderr)
    assert len(said) == 2
    programs.install("hatchd-certificate")
    assert programs.run("--check", "-f", path).returncode == 0


def test_nobody_else_needs_it(programs, folder):
    text = service("a", listen="tcp:127.0.0.1:7777", exec="/bin/cat")
    done = programs.run("--check", "-f", put(folder, text, "hatchd.conf"))
    assert (done.returncode, done.stderr) == (0, "")


def test_others_are_served(hatchd, programs, pem):
    """And so is it, as soon as the package is there, without a restart or a word to hatchd."""
    port, tls_port = free_port(), free_port()
    other = service("other", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat")
    daemon = hatchd.file(other + web(tls_port, pem), binary=programs.hatchd)
    daemon.wait_log(f"waiting: {MISSING.format('hatchd-tls')}")
    assert talk(port, b"x") == b"x"
    with pytest.raises(ConnectionRefusedError):
        connect(tls_port).close()

    programs.install()
    daemon.wait_log("web: served now")
    assert speak(tls_port, pem) == b"hello"

    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        # What has gone is told, and ends nothing but what needs it.
        programs.remove()
        mark = daemon.mark()
        reload(daemon)
        daemon.wait_log(f"waiting: {MISSING.format('hatchd-tls')}", after=mark)
        with pytest.raises(ConnectionRefusedError):
            connect(tls_port).close()
        client.sendall(b"y")
        assert client.recv(1) == b"y"


def test_ad_hoc(programs, pem):
    done = programs.run("-l", free_port(), f"--tls-certificate={pem}", "--user=nobody", "--",
                        "/bin/cat")
    assert done.returncode == 2
    assert re.search(MISSING.format("hatchd-tls"), done.stderr)


def test_self_signed(programs, folder):
    done = programs.run("--self-signed", "x.test", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(f"hatchd: {MISSING.format('hatchd-tls')}\n", done.stderr)
    assert not (folder / "x.test.pem").exists()


def test_connect(programs):
    done = subprocess.run([programs.folder / "hatchctl", "connect", "tls:127.0.0.1:1"],
                          capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"hatchctl: unable to connect to tls:127\.0\.0\.1:1: "
                        rf"{MISSING.format('hatchctl-tls')}\n", done.stderr)


def test_connect_of_plain_words(programs):
    """Mistakes in them are told before anybody looks whether there is TLS."""
    done = subprocess.run([programs.folder / "hatchctl", "connect", "tls:127.0.0.1"],
                          capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 2
    assert "TLS is not installed" not in done.stderr


def test_version(programs):
    programs.install()
    assert programs.run("-V").stdout.splitlines()[2] == "TLS is installed"
    programs.remove("hatchd-certificate")
    said = programs.run("-V").stdout.splitlines()[2]
    assert re.fullmatch(MISSING.format("hatchd-certificate"), said)


@pytest.mark.parametrize("script, said", [
    ("exit 1", "it has ended"),
    ("kill -9 $$", "it has ended"),
    ("printf '12345678' >&0; cat >/dev/null", "it is of another version, or says nonsense"),
])
def test_certificate_goes_wrong(hatchd, programs, pem, script, said):
    """A reload that cannot be done to the end changes nothing."""
    programs.install()
    port = free_port()
    daemon = hatchd.file(web(port, pem), binary=programs.hatchd)
    assert speak(port, pem) == b"hello"
    other = programs.folder / "hatchd-certificate"
    other.unlink()
    other.write_text(f"#!/bin/sh\n{script}\n")
    other.chmod(0o755)
    mark = daemon.mark()
    reload(daemon, line="unable to reload")
    daemon.wait_log(f"error: unable to ask hatchd-certificate: {said}", after=mark)
    assert speak(port, pem) == b"hello"
