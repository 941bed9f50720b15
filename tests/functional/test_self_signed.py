"""--self-signed: a certificate to begin with."""

import os
import re
import subprocess

import pytest

from harness import run_hatchd

NAMES = ["www.example.org", "*.example.org", "10.0.0.1", "::1"]


def certify(folder, *names):
    return run_hatchd("--self-signed", *names, cwd=folder)


@pytest.fixture(autouse=True)
def has_tls(folder):
    done = certify(folder, *NAMES)
    if "built without TLS" in done.stderr:
        pytest.skip("built without TLS")
    assert (done.returncode, done.stderr) == (0, "")


def test_self_signed(folder):
    path = folder / "www.example.org.pem"
    assert path.stat().st_mode & 0o7777 == 0o600
    text = path.read_text()
    assert text.count("BEGIN PRIVATE KEY") == 1 and text.count("BEGIN CERTIFICATE") == 1

    done = certify(folder, "www.example.org")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "hatchd: www.example.org.pem is there already, and is left as it is\n"
    assert path.read_text() == text


def test_self_signed_is_for_its_names(folder):
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-enddate", "-in",
         folder / "www.example.org.pem"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "DNS:www.example.org, DNS:*.example.org, IP Address:10.0.0.1, " in shown
    assert "IP Address:0:0:0:0:0:0:0:1" in shown


def test_self_signed_says_what_to_type(folder):
    done = certify(folder, "*.Example.com", "other.example.com")
    assert done.stdout.startswith(
        "_.example.com.pem has a key and a certificate for *.Example.com, other.example.com; ")
    # The first line of these is what serves it.
    typed = re.search(r"^\thatchd (.*)$", done.stdout, re.MULTILINE)[1].split()
    checked = run_hatchd("--check", "--user=nobody", *typed, cwd=folder)
    assert checked.returncode == 0, checked.stderr
    assert (folder / "_.example.com.pem").exists()


@pytest.mark.parametrize("name", ["a/b", "..", "a,DNS:b", "", "a b", "*", "10.0.0.256", "x\n"])
def test_self_signed_of_no_name(folder, name):
    before = sorted(os.listdir(folder))
    done = certify(folder, "good.example.org", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is neither the name of a host" in done.stderr
    assert sorted(os.listdir(folder)) == before


def test_self_signed_into_a_link(folder):
    (folder / "x.example.org.pem").symlink_to(folder / "elsewhere")
    assert certify(folder, "x.example.org").returncode == 2
    assert not (folder / "elsewhere").exists()


@pytest.mark.parametrize("args", [
    ["--self-signed"], ["--self-signed", "a", "--check"], ["--self-signed", "a", "-f", "b"],
    ["--self-signed", "a", "-l", "7777", "--", "cat"], ["--self-signed=a", "--daemon"],
    ["--self-signed", "a", "--self-signed", "b"],
])
def test_self_signed_alone(folder, args):
    done = run_hatchd(*args, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Try 'hatchd --help'." in done.stderr
