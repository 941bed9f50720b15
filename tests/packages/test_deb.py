"""The Debian packages: what is in them, and what Debian's own tools say of them.

They are made once, without their unit tests, and kept in deb/.  What takes longer is chosen by
HATCHD_TEST_DEBIAN=1: a second build, which has to be the same to the bit, autopkgtest, and
piuparts.
"""

import hashlib
import os
import pathlib
import re
import shutil
import tempfile

import pytest

import trees
from conftest import KEPT, SOURCE, need, need_mounts

FOLDER = KEPT / "deb"
SLOW = bool(os.environ.get("HATCHD_TEST_DEBIAN"))

TLS_FILES = {
    "/usr/lib/sysusers.d/hatchd-tls.conf",
    "/usr/libexec/hatchd/hatchctl-tls",
    "/usr/libexec/hatchd/hatchd-certificate",
    "/usr/libexec/hatchd/hatchd-tls",
}

# One of each kind; what else there is, Makefile.am says.
BASE_FILES = {
    "/etc/hatchd/hatchd.conf",
    "/usr/bin/hatchctl",
    "/usr/lib/systemd/system/hatchd.service",
    "/usr/lib/sysusers.d/hatchd.conf",
    "/usr/libexec/hatchd/hatchd-load",
    "/usr/sbin/hatchd",
    "/usr/share/bash-completion/completions/hatchctl",
    "/usr/share/doc/hatchd/README.Debian",
    "/usr/share/doc/hatchd/copyright",
    "/usr/share/doc/hatchd/examples/hatchd.conf",
    "/usr/share/fish/vendor_completions.d/hatchctl.fish",
    "/usr/share/hatchd/services/daytime.conf",
    "/usr/share/man/man8/hatchd.8.gz",
    "/usr/share/zsh/vendor-completions/_hatchctl",
}

# An example is what somebody copies to where it is executed.
PROGRAM = re.compile(r"/usr/(s?bin|libexec/hatchd)/|.*/examples/.*/(run|finish|check|hatchd"
                     r"|hatchd\.initd|pool-agent|rolling-upgrade)$")

slow = pytest.mark.skipif(not SLOW, reason="takes long; HATCHD_TEST_DEBIAN=1 runs it")


def make(run, source, folder, *prefix, **more):
    """The packages made of a tree: name to path."""
    need("dpkg-buildpackage")
    script = source / "packaging/deb"
    said = run(*prefix, "sh", script, "--nocheck", folder, status=None, **more)
    if "packages are missing" in said:
        pytest.skip(said.splitlines()[0])
    made = [pathlib.Path(line) for line in said.splitlines() if line.startswith("/")]
    assert made, said
    return {path.name.partition("_")[0]: path for path in made}


@pytest.fixture(scope="module")
def debs(run):
    return make(run, SOURCE, FOLDER)


def listing(run, deb):
    """What is in it: each path with mode and owner."""
    found = {}
    for line in run("dpkg-deb", "--contents", deb).splitlines():
        mode, owner, _, _, _, name = line.split(None, 5)
        found[name.partition(" -> ")[0].rstrip("/")[1:]] = (mode, owner)
    return found


def files(found):
    return {name for name, (mode, _) in found.items() if mode[0] != "d"}


def test_two_packages(run, debs):
    """What needs OpenSSL is in a package of its own, and nothing is in both."""
    base, tls = (listing(run, debs[name]) for name in ("hatchd", "hatchd-tls"))
    shared = {name for name in files(tls) if name.startswith("/usr/share/doc/")}
    assert files(tls) - shared == TLS_FILES
    # Debian 12 has units in /lib, which is a link.
    assert BASE_FILES <= {re.sub("^/lib/", "/usr/lib/", name) for name in files(base)}
    assert files(base) & files(tls) == set()


@pytest.mark.parametrize("package", ["hatchd", "hatchd-tls"])
def test_modes(run, debs, package):
    """Everything is root's, nobody else writes, and programs are what can be executed."""
    for name, (mode, owner) in listing(run, debs[package]).items():
        folder, program = mode[0] == "d", PROGRAM.match(name)
        wanted = "rwxrwxrwx" if mode[0] == "l" else \
            "rwxr-xr-x" if folder or program else "rw-r--r--"
        assert (mode[1:], owner) == (wanted, "root/root"), name


def test_examples(run, debs, folder):
    """What the first table of their pages names is there, and what they link to."""
    run("dpkg-deb", "--extract", debs["hatchd"], folder)
    pages = list((folder / "usr/share/doc/hatchd/examples").rglob("README.md"))
    for page in pages:
        text = page.read_text()
        table = re.search(r"^(\|.*\n)+", text, re.M)[0]
        named = re.findall(r"`([\w./-]+)`",
                           "".join(row.split("|")[1] for row in table.splitlines()))
        assert named
        for name in [*named, *re.findall(r"\]\((?!https?:)([^)#]*)", text)]:
            assert (page.parent / name).exists(), (page, name)
    assert len(pages) == 2


def field(run, deb, name):
    return run("dpkg-deb", "--field", deb, name).strip()


def test_fields(run, debs):
    base = debs["hatchd"]
    assert field(run, base, "Provides") == "inet-superserver"
    needs = field(run, base, "Depends")
    assert "libconfuse" in needs and "libssl" not in needs
    version = field(run, base, "Version")
    assert f"hatchd (= {version})" in field(run, debs["hatchd-tls"], "Depends")
    assert "libssl3" in field(run, debs["hatchd-tls"], "Depends")


def test_one_small_conffile(run, debs, folder):
    """So that nobody is asked about a comment that has changed."""
    run("dpkg-deb", "--control", debs["hatchd"], folder)
    assert (folder / "conffiles").read_text().split() == ["/etc/hatchd/hatchd.conf"]
    run("dpkg-deb", "--extract", debs["hatchd"], folder)
    assert len((folder / "etc/hatchd/hatchd.conf").read_text().splitlines()) < 20


def test_no_restart_by_scripts(run, debs, folder):
    """An upgrade is for hatchctl: debhelper neither starts nor stops anything.

    What our own scripts do, tests/system/test_package.py sees.
    """
    run("dpkg-deb", "--control", debs["hatchd"], folder)
    for name in ("preinst", "postinst", "prerm", "postrm"):
        parts = (folder / name).read_text().split("# Automatically added by ")
        added = [part.split("# End auto")[0] for part in parts[1:]]
        assert not any("deb-systemd-invoke" in part for part in added)


def test_lintian(run, debs):
    """No error and no warning, and none that is overridden."""
    need("lintian")
    changes = next(FOLDER.glob("*.changes"))
    print(run("lintian", "--allow-root", "--fail-on=error,warning", "--display-info",
              "--pedantic", "--show-overrides", changes))
    assert list(FOLDER.glob("*.lintian-overrides")) == []


def unpack_source(run, folder):
    """The source package, as whoever has only that has it."""
    source = folder / "hatchd"
    run("dpkg-source", "--extract", next(FOLDER.glob("*.dsc")), source)
    return source


def digests(debs):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in debs.values()}


@pytest.fixture
def public():
    """A folder that others may enter; that of the tests is for root alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def test_no_objects_of_others(run, folder):
    """Without git nobody knows what belongs to a tree in which something was built."""
    (folder / "packaging").mkdir()
    script = shutil.copy(SOURCE / "packaging/deb", folder / "packaging")
    (folder / "config.status").touch()
    assert '"make distclean" first' in run("sh", script, folder / "made", status=1)


@slow
def test_reproducible(run, debs, public):
    """Another folder, time, user, home, umask, locale, time zone and name of the machine.

    It is made from the source package, so that one tells as well that all is in that.
    """
    source = unpack_source(run, public)
    source = source.rename(public / "a much longer path")
    run("chown", "-R", "nobody", public)
    other = "hostname other && umask 077 && exec setpriv --reuid=nobody --clear-groups " \
        "env -i HOME=/nonexistent PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 " \
        "TZ=Asia/Kathmandu \"$@\""
    again = make(run, source, public / "made here", "unshare", "--uts", "sh", "-c", other, "sh")
    assert digests(again) == digests(debs)


# ---------------------------------------------------------------------------
# In a Debian tree


@pytest.fixture(scope="module")
def debian():
    need_mounts()
    return trees.debian(trees.release(), ["apt-utils"])


@slow
def test_autopkgtest(run, debs, debian, folder):
    """The tests that come with the package, in the tree; that of the unit is not for it."""
    need("autopkgtest")
    source = unpack_source(run, folder)
    said = run(*trees.over(debian), *trees.WITH_PROC, "autopkgtest", "--timeout-test=60",
               "--apt-upgrade", *debs.values(), source, "--", "chroot", trees.PLACE,
               status=None)
    for name, wanted in [("adhoc", "PASS"), ("tls", "PASS"), ("service", "PASS"),
                         ("unit", "SKIP")]:
        assert re.search(rf"^{name} +{wanted}\b", said, re.MULTILINE), said[-8000:]


@slow
def test_piuparts(run, debs, debian):
    """Installed, upgraded by itself, removed and purged, it leaves nothing."""
    need("piuparts")
    run(*trees.over(debian), "piuparts", "--no-eatmydata", "--warn-on-leftovers-after-purge",
        f"--existing-chroot={trees.PLACE}", "--distribution", trees.release(),
        *debs.values())
