"""prepare.py check | trees | tree RELEASE: what the tests need before a container boots.

check   says "SKIP: reason" and ends with 77 where a container cannot be.
trees   makes a small Debian of each release, at the same time.
tree    makes one, in $HATCHD_SYSTEM/tree-RELEASE.  It takes half a minute, so it is kept,
        and made anew when anything that it was made from has changed.

What was built here runs on the release of this machine, which has all tests, and on newer
ones, whose tests are those that are marked.  HATCHD_SYSTEM_SUITE names others, the first of
them for all tests; they have to have packages of the same names.
"""

import contextlib
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SKIP = 77

TOOLS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}

# Whose systemd the units are for, from the oldest to the newest: 252, 257.
RELEASES = ["bookworm", "trixie"]

# No more than a small machine has: no procps, whose kill many a unit runs.  libpam-systemd is
# for the service managers of users.
PACKAGES = ["systemd", "systemd-sysv", "dbus", "libpam-systemd"]

# What is not to begin by itself in the middle of a test.
MASKED = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-tmpfiles-clean.timer",
]

NO_NETWORK = re.compile(
    r"Could not (resolve|connect)|Unable to connect|Network is unreachable|Connection failed"
    r"|Temporary failure|Connection timed out"
)


class Skip(Exception):
    """Why there can be no container here."""


# ---------------------------------------------------------------------------
# What this machine can do


def own_release():
    """The code name of the Debian that this machine runs."""
    fields = {}
    with contextlib.suppress(FileNotFoundError):
        for line in pathlib.Path("/etc/os-release").read_text().splitlines():
            name, _, value = line.partition("=")
            fields[name] = value.strip("\"'")
    if fields.get("ID") != "debian" or not fields.get("VERSION_CODENAME"):
        raise Skip("this machine is not Debian, whose tree would fit what was built here")
    return fields["VERSION_CODENAME"]


def releases():
    """Those that are tested; the first has all tests."""
    own = own_release()
    newer = RELEASES[RELEASES.index(own) + 1:] if own in RELEASES else []
    return os.environ.get("HATCHD_SYSTEM_SUITE", "").split() or [own, *newer]


def tree_folder(suite):
    return pathlib.Path(os.environ["HATCHD_SYSTEM"]) / f"tree-{suite}"


def cgroup_folders():
    """Where systemd-nspawn wants a group of its own: version 2, and systemd's of version 1."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            _, folder, kind, options = line.split()[:4]
            if kind == "cgroup2" or kind == "cgroup" and "name=systemd" in options.split(","):
                found.append(pathlib.Path(folder))
    return found


def remove_group(group):
    """A control group and those below; whether it is gone.  Not while there are processes."""
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return not group.exists()


def check_cgroups():
    folders = cgroup_folders()
    if not folders:
        raise Skip("no control groups are mounted here, as in a chroot")
    for folder in folders:
        probe = folder / f"hatchd-system-probe-{os.getpid()}"
        try:
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise Skip(f"no control group may be made in {folder}: {error.strerror}") from None


def check_namespaces():
    """Seccomp and missing capabilities forbid them in many a container."""
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork"]
        + ["mount", "-t", "tmpfs", "tmpfs", "/run"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    if done.returncode:
        reason = done.stderr.decode(errors="backslashreplace").strip()
        raise Skip(f"namespaces or mounts are not allowed here: {reason}")


def check():
    own = own_release()
    for older in RELEASES[:RELEASES.index(own)] if own in RELEASES else []:
        print(f"SKIP: {older}, which is older than this machine, cannot run what it builds")
    if os.geteuid() != 0:
        raise Skip("only root can start systemd-nspawn")
    for tool, package in TOOLS.items():
        if not shutil.which(tool):
            raise Skip(f"there is no {tool} (Debian: {package})")
    check_cgroups()
    check_namespaces()


# ---------------------------------------------------------------------------
# The tree


def library_paths(program):
    """The files that the dynamic linker finds for it."""
    done = subprocess.run(["ldd", program], stdout=subprocess.PIPE, check=True)
    return re.findall(r"(?:=> |^\s*)(/\S+) \(", done.stdout.decode(), re.MULTILINE)


def owner(path):
    """The package that a library came with; None if somebody has put it there by hand."""
    real = os.path.realpath(path)
    for name in (path, real, real.removeprefix("/usr")):
        done = subprocess.run(
            ["dpkg-query", "-S", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if done.returncode == 0:
            return done.stdout.decode().split(":")[0]
    return None


def library_packages():
    """Those of the programs: other options of the build may need others."""
    build = pathlib.Path(os.environ["builddir"])
    paths = set()
    workers = (
        "hatchd-builtin",
        "hatchd-front",
        "hatchd-lookup",
        "hatchd-relay",
        "hatchd-udp",
    )
    helpers = "hatchd-account", "hatchd-ask", "hatchd-bytes", "hatchd-orphans"
    tls = "hatchctl-tls", "hatchd-certificate", "hatchd-tls"
    for program in ("hatchd", *helpers, *workers, *tls, "hatchd-load", "hatchctl"):
        # It may have been built without TLS.
        if program not in tls or (build / program).exists():
            paths.update(library_paths(build / program))
    return sorted({name for name in map(owner, paths) if name})


def sources(suite):
    """Where this machine has its Debian from, with that release for its own; nothing if that
    is not known."""
    form = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    done = subprocess.run(["apt-get", "indextargets", "--format", form], stdout=subprocess.PIPE)
    lines = set()
    for line in done.stdout.decode().splitlines():
        origin, *place = line.split(" ")
        if origin != "Debian" or len(place) != 3:
            continue
        uri, name, component = place
        part = re.match(f"(?:{own_release()}|{suite})(-.*)?$", name)
        if uri.startswith("http") and component == "main" and part:
            lines.add(f"deb {uri} {suite}{part[1] or ''} main\n")
    return "".join(sorted(lines)) if any(f" {suite} " in line for line in lines) else ""


def debootstrap(suite, packages, text, tree):
    """mmdebstrap; it knows the mirror of a suite itself if there is no text of sources."""
    # With namespaces of its own: its processes and mounts end with it, whatever ends it.
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command += ["mmdebstrap", "--verbose", "--mode=root", "--variant=minbase"]
    command += ["--format=directory", f"--include={','.join(packages)}", suite, str(tree)]
    command += ["-"] if text else []
    done = subprocess.run(
        command,
        input=text.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode:
        said = done.stdout.decode(errors="backslashreplace")
        if NO_NETWORK.search(said):
            raise Skip("packages for a Debian tree cannot be loaded: no network")
        print(said)
        sys.exit("unable to make a Debian tree: mmdebstrap failed")


def settle(tree):
    """A machine that has been started before: it presets no units, and nothing wakes it."""
    (tree / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tree / "etc/hostname").write_text("hatchd-system\n")
    shutil.rmtree(tree / "var/log/journal", ignore_errors=True)
    for unit in MASKED:
        link = tree / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")


def make_tree(suite):
    packages = [*PACKAGES, *library_packages()]
    text = sources(suite)
    recipe = "\n".join(
        [suite, platform.machine(), *packages, text, pathlib.Path(__file__).read_text()]
    )
    tree = tree_folder(suite)
    new, stamp = tree.with_suffix(".new"), tree.with_suffix(".stamp")
    if tree.is_dir() and stamp.is_file() and stamp.read_text() == recipe:
        return
    print(f"tests/system: making a Debian {suite} in {tree}, half a minute", flush=True)
    stamp.unlink(missing_ok=True)
    for old in (tree, new):
        if old.exists():
            shutil.rmtree(old)
    try:
        debootstrap(suite, packages, text, new)
        settle(new)
        new.rename(tree)
        stamp.write_text(recipe)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def make_trees():
    """Those after the first may be skipped: that is told, and their tests are, too."""
    makers = []
    try:
        for suite in releases():
            makers.append(subprocess.Popen([sys.executable, __file__, "tree", suite]))
        statuses = [maker.wait() for maker in makers]
    finally:
        for maker in makers:
            maker.terminate()
            maker.wait()
    for number, status in enumerate(statuses):
        if status and (number == 0 or status != SKIP):
            sys.exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        {"check": check, "trees": make_trees, "tree": make_tree}[sys.argv[1]](*sys.argv[2:])
    except Skip as reason:
        print(f"SKIP: {': '.join([*sys.argv[2:], str(reason)])}")
        sys.exit(SKIP)
    except KeyboardInterrupt:
        sys.exit("interrupted")
