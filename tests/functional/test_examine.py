"""hatchctl check and explain: what hatchd says, and its exit status."""

import pathlib
import shutil
import subprocess

import pytest

from harness import HATCHCTL, HATCHD, hatchctl, hello, put, run_hatchd


@pytest.fixture
def conf(folder):
    return put(folder, hello("a", 7, only_from="10.0.0.0/8"), "hatchd.conf")


def same(done, other):
    """hatchctl has said what hatchd says."""
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (
        other.returncode, other.stdout, other.stderr)
    return done.returncode


def test_check(folder, conf):
    assert same(hatchctl("check", "-f", conf), run_hatchd("--check", "-f", conf)) == 0
    broken = put(folder, "servise x {}\n", "broken.conf")
    assert same(hatchctl("check", f"--file={broken}"),
                run_hatchd("--check", f"--file={broken}")) == 1
    assert same(hatchctl("check", "-f", folder / "none"),
                run_hatchd("--check", "-f", folder / "none")) == 2
    assert same(hatchctl("check", "--chek"), run_hatchd("--check", "--chek")) == 2
    assert same(hatchctl("check", "-v", "-l", "7777", "--", "/bin/cat"),
                run_hatchd("--check", "-v", "-l", "7777", "--", "/bin/cat")) == 0


@pytest.mark.parametrize("client, status", [("10.1.2.3", 0), ("192.0.2.1", 1), ("x", 2)])
def test_explain(conf, client, status):
    said = run_hatchd("--explain", "a", client, "-f", conf)
    assert same(hatchctl("explain", "a", client, "-f", conf), said) == status
    assert same(hatchctl("explain", "-f", conf, "a", client), said) == status
    assert same(hatchctl("explain", f"--file={conf}", "a", client), said) == status


def test_explain_a_command_line():
    args = ["--only-from=10.0.0.0/8", "-l", "7777", "--", "/bin/cat"]
    same(hatchctl("explain", "cat", "10.1.2.3", *args),
         run_hatchd("--explain", "cat", "10.1.2.3", *args))


@pytest.mark.parametrize("args, message", [
    ([], "the service is missing"),
    (["a"], "the address is missing"),
    (["-f"], "the option '-f' needs a value"),
    (["--fle", "x", "a", "b"], "unknown option '--fle'; did you mean '--file'?"),
])
def test_usage(args, message):
    done = hatchctl("explain", *args)
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"hatchctl: {message}\n" in done.stderr.decode()


def test_help():
    for command in "check", "explain":
        done = hatchctl(command, "--help")
        assert done.returncode == 0 and f"Usage: hatchctl {command}" in done.stdout.decode()


def test_the_one_beside(folder):
    """A program of that name elsewhere is not it."""
    for name in "hatchctl", "hatchd":
        target = pathlib.Path(shutil.copy(HATCHCTL, folder / name))
    target.write_text('#!/bin/sh\necho "$0: $@"\nexit 7\n')
    done = subprocess.run([folder / "hatchctl", "check", "a b", ""], stdout=subprocess.PIPE,
                          env={"PATH": str(pathlib.Path(HATCHD).parent)}, timeout=20)
    assert (done.returncode, done.stdout.decode()) == (7, f"{target}: --check a b \n")


def test_there_is_none(folder):
    shutil.copy(HATCHCTL, folder / "hatchctl")
    target = pathlib.Path(folder / "hatchd")
    target.write_text("not a program")
    target.chmod(0o755)
    done = subprocess.run([folder / "hatchctl", "check"], stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 2
    assert f"hatchctl: unable to run {target}: Exec format error" in done.stderr.decode()
