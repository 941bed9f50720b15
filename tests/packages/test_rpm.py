"""The packages that packaging/rpm/build makes: what is in them, and what they need."""

import re
import shutil

import pytest

from conftest import KEPT, SOURCE, need

SPEC = SOURCE / "packaging/rpm/hatchd.spec"
LIBEXEC = "/usr/libexec/hatchd/"

# What needs OpenSSL, and the user of that; all else is hatchd's.
TLS = {LIBEXEC + "hatchctl-tls", LIBEXEC + "hatchd-certificate", LIBEXEC + "hatchd-tls",
       "/usr/lib/sysusers.d/hatchd-tls.conf"}

# In both, so that it goes with the last of them.
SHARED = {LIBEXEC.rstrip("/")}

# What needs no package, or is one of the base.
LIBRARIES = re.compile(
    r"lib(c|cap|cares|confuse|ncursesw|seccomp|smartcols|systemd|tinfo)\.so\.")


@pytest.fixture(scope="session")
def packages(run):
    """{name: path}.  They are built once for all tests, without the unit tests."""
    need("rpmbuild", "autoreconf")
    folder = KEPT / "rpm"
    shutil.rmtree(folder, ignore_errors=True)
    run("sh", SOURCE / "packaging/rpm/build", "--nocheck", folder)
    found = {path.name.split("-0.")[0]: path for path in folder.glob("*.rpm")}
    assert set(found) == {"hatchd", "hatchd-tls"}
    assert {path.name for path in folder.iterdir()} == {p.name for p in found.values()}
    return found


@pytest.fixture(scope="session")
def query(run, packages):
    """query(package, option, ...): the lines that `rpm -q` has of it."""

    def query(name, *options):
        return run("rpm", "-qp", *options, packages[name]).splitlines()

    return query


def test_version():
    """There is one: the spec has to be changed with configure.ac."""
    (version,) = re.findall(r"^Version: *(\S+)$", SPEC.read_text(), re.M)
    assert f"AC_INIT([hatchd], [{version}])" in (SOURCE / "configure.ac").read_text()
    (logged,) = re.findall(r"^%changelog\n\*.* - (\S+)$", SPEC.read_text(), re.M)
    assert logged.startswith(f"{version}-")


def test_built_in_place(run, folder):
    """Of such a tree configure prepares no other build."""
    (folder / "packaging/rpm").mkdir(parents=True)
    script = shutil.copy(SOURCE / "packaging/rpm/build", folder / "packaging/rpm")
    (folder / "config.status").touch()
    assert '"make distclean" first' in run("sh", script, folder / "made", status=1)


def test_whole(run, packages):
    for path in packages.values():
        assert "digests OK" in run("rpm", "-K", path)


def files(query, name):
    """Without the links by which debuggers find a program."""
    return {path for path in query(name, "-l") if "/.build-id" not in path}


def test_files(query):
    base, tls = files(query, "hatchd"), files(query, "hatchd-tls")
    assert tls == TLS | SHARED and base & tls == SHARED
    assert {"/usr/bin/hatchctl", "/usr/sbin/hatchd", LIBEXEC + "hatchd-load",
            "/usr/lib/systemd/system/hatchd.service", "/usr/lib/systemd/system/hatchd@.service",
            "/usr/lib/systemd/user/hatchd.service", "/usr/lib/sysusers.d/hatchd.conf",
            "/usr/share/hatchd/services/echo.conf",
            "/usr/share/bash-completion/completions/hatchctl",
            "/etc/hatchd", "/etc/hatchd/services.d"} <= base
    assert any(re.fullmatch(r"/usr/share/licenses/hatchd[^/]*/LICENSE", path) for path in base)
    pages = {path for path in base if path.startswith("/usr/share/man/")}
    assert {re.sub(r"\.gz$", "", page.rpartition("/")[2]) for page in pages} == {
        path.name for path in (SOURCE / "man").iterdir()}
    assert query("hatchd", "-c") == ["/etc/hatchd/hatchd.conf"]
    assert query("hatchd-tls", "-c") == []


def test_nothing_is_writable_or_somebodys(query):
    for name in ("hatchd", "hatchd-tls"):
        for line in query(name, "--qf", "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\\n]"):
            mode, user, path = line.split(" ", 2)
            if "/.build-id" in path or "/examples/" in path:
                continue
            assert user == "root" and mode[0] in "-d", line
            assert mode[5] == mode[8] == "-" and "s" not in mode, line
            assert (mode[9] == "x") == (mode[0] == "d" or "bin/" in path
                                        or path.startswith(LIBEXEC)), line


def libraries(query, name):
    return {line.split("(")[0] for line in query(name, "--requires") if ".so" in line}


def test_openssl_is_for_tls_alone(query):
    base, tls = libraries(query, "hatchd"), libraries(query, "hatchd-tls")
    assert {name for name in tls if name.startswith(("libssl.", "libcrypto."))}
    strange = {name for name in base if not LIBRARIES.match(name)}
    assert strange - {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"} == set()


def test_requires(query):
    """Of the same build, both or none."""
    (version,) = query("hatchd", "--qf", "%{VERSION}-%{RELEASE}")
    assert any(re.fullmatch(rf"hatchd(\(.*\))? = {re.escape(version)}", line)
               for line in query("hatchd-tls", "--requires"))
    assert f"hatchd-tls = {version}" in query("hatchd", "--suggests")


def test_scripts(run, query, folder):
    """They are a shell's, and do nothing where no systemd and no hatchd run."""
    text = "\n".join(query("hatchd", "--scripts"))
    for word in ("postinstall", "preuninstall", "postuninstall", "posttrans"):
        script = re.search(rf"^{word} scriptlet \(using /bin/sh\):\n(.*?)(?=^\w+ scriptlet|\Z)",
                           text + "\n", re.M | re.S)[1]
        assert "hatchd" in script or "daemon-reload" in script
        path = folder / word
        path.write_text(script)
        run("sh", "-n", path)
    # Hatchd is not started again by an upgrade.
    assert "hatchctl upgrade" in text and "try-restart" not in text


# With systemd, as far as a script can tell, and a program that writes down how it is called.
WITH_SYSTEMD = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/bin
printf '#!/bin/sh\\necho "$*" >>/run/calls\\n' >/run/bin/systemctl
chmod 755 /run/bin/systemctl
PATH=/run/bin:$PATH
sh -e "$@" >&2
cat /run/calls
"""


def test_removal_ends_instances(run, query, folder):
    """systemctl says nothing that fails where disable is given a pattern, and does nothing."""
    need("unshare")
    text = "\n".join(query("hatchd", "--scripts"))
    script = re.search(
        r"^preuninstall scriptlet.*?:\n(.*?)(?=^\w+ scriptlet)", text, re.M | re.S)
    path = folder / "preun"
    path.write_text(script[1])
    calls = run("unshare", "--mount", "sh", "-ec", WITH_SYSTEMD, "sh", path, "0").splitlines()
    disabled = " ".join(call for call in calls if "disable" in call).split()
    assert "hatchd@.service" in disabled and not any("*" in word for word in disabled)
    assert "stop hatchd@*.service" in calls


def test_tls_is_heard_of(query):
    """By a hatchd that runs when it comes, is another one, or goes."""
    text = "\n".join(query("hatchd-tls", "--scripts"))
    assert re.findall(r"^(\w+) scriptlet", text, re.M) == ["postuninstall", "posttrans"]
    assert text.count("hatchctl upgrade --control") == 2


@pytest.fixture
def installed(run, packages, folder):
    """A root folder that has nothing but the two."""
    root = folder / "root"
    run("rpm", "--root", root, "--initdb")
    run("rpm", "--root", root, "-i", "--nodeps", "--noscripts", "--ignorearch",
        *packages.values())
    return root


def test_installed(run, installed, query):
    """The programs run from there, as far as libraries are those of this machine."""
    assert run("rpm", "--root", installed, "-qa", "--qf", "%{NAME}\n").split() == [
        "hatchd", "hatchd-tls"]
    (version,) = query("hatchd", "--qf", "%{VERSION}")
    for program in ("usr/sbin/hatchd", "usr/bin/hatchctl"):
        assert version in run(installed / program, "--version")
    run("rpm", "--root", installed, "-V", "--nodeps", "hatchd", "hatchd-tls")
    run("rpm", "--root", installed, "-e", "--noscripts", "hatchd", "hatchd-tls")
    assert [path for path in installed.rglob("*hatch*")] == []
