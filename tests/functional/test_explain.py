"""--explain: whether a client may come in, and which line says so."""

import os
import random
import socket
import struct

import pytest

from harness import free_port, run_hatchd, service, talk


def hello(name, port, **options):
    return service(name, listen=f"tcp:{port}", exec=["/bin/echo", "-n", name], **options)


def put(folder, text, name):
    """A file that only its owner may write."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o644)
    return path


def comes_in(address, source=None):
    """Whether somebody is served who says nothing."""
    try:
        return talk(address, source=source) != b""
    except ConnectionResetError:
        return False


def explain(path, *args):
    done = run_hatchd("--explain", *args, "-f", path)
    return done.returncode, done.stdout, done.stderr


def test_explain(folder):
    put(folder, "# bad ones\n10.1.0.0/16\n", "bad")
    path = put(folder, hello(
        "a", 7, only_from=["10.0.0.0/8", "2001:db8::/32"], no_access="file:bad", env="A=b c"),
        "hatchd.conf")
    line = 1 + path.read_text().split("\n").index(
        "only_from = { '10.0.0.0/8', '2001:db8::/32' }")

    status, out, err = explain(path, "a", "10.2.3.4:99")
    assert (status, err) == (0, "")
    assert "10.2.3.4 is admitted\n" in out
    assert f"decided by   {path}:{line}: only_from 10.0.0.0/8\n" in out
    assert 'arguments    /bin/echo -n a\n' in out
    assert 'environment  A=b c\n' in out
    assert "user         nobody, " in out or os.geteuid() != 0
    assert "instances 512" in out and "per_source 256" in out

    status, out, _ = explain(path, "a", "::ffff:10.1.9.9")
    assert status == 1
    assert "10.1.9.9 is refused: no_access\n" in out
    assert f"{path}:{line + 1}: no_access file:bad, {folder}/bad:2\n" in out

    status, out, _ = explain(path, "a", "[2001:db9::1]:5")
    assert status == 1
    assert "2001:db9::1 is refused: only_from\n" in out
    assert f"decided by   {path}:{line}: only_from does not have him\n" in out

    status, out, _ = explain(path, "a", "unix:uid=0")
    assert status == 1
    assert "no address of the service is for clients of UNIX\n" in out


@pytest.mark.parametrize("args, said", [
    (("nonesuch", "::1"), "no service 'nonesuch'"),
    (("off", "::1"), "service 'off' is disabled"),
    (("a", "localhost"), "'localhost' is no client"),
    (("a", "10.0.0.0/8"), "'10.0.0.0/8' is no client"),
    (("a", "1.2.3.4:99999"), "is no client"),
    (("a", "[::1"), "is no client"),
    (("a", "unix:uid=nonesuch-user"), "there is no such user"),
])
def test_explain_cannot_tell(folder, args, said):
    path = put(folder, hello("a", 7) + hello("off", 8, disable=True), "hatchd.conf")
    status, out, err = explain(path, *args)
    assert (status, out) == (2, "")
    assert said in err


def test_explain_what_is_not_served(folder):
    path = put(
        folder, service("a", listen="tcp:7", exec="/nonesuch/program"), "hatchd.conf")
    status, out, _ = explain(path, "a", "::1")
    assert status == 1
    assert "the service waits: " in out


def test_explain_agrees_with_what_happens(hatchd):
    """The same answer from the files and from the daemon, for clients all over."""
    draw = random.Random(5)
    port = free_port()
    rules = {"only_from": [], "no_access": []}
    for _ in range(60):
        bits = draw.randrange(8, 33)
        word = 127 << 24 | draw.randrange(1 << 24) & 0x0303FF
        network = word & (0xFFFFFFFF << (32 - bits))
        text = socket.inet_ntoa(struct.pack("!I", network))
        rules[draw.choice(list(rules))].append(f"{text}/{bits}")
    daemon = hatchd.file(hello("a", port, **rules))
    for _ in range(30):
        source = socket.inet_ntoa(struct.pack(
            "!I", 127 << 24 | draw.randrange(1 << 24) & 0x0303FF | 1))
        status, out, _ = explain(daemon.config_path, "a", source)
        assert comes_in(port, source) == (status == 0), out
