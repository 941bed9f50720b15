"""The container: its recipe, and its files with hatchd as process 1.

There is no engine here.  packaging/container/tree makes the files; unshare(1) is the engine,
and what the recipe says of the entry point, the signal and the check of health is done.
"""

import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess

import pytest

from conftest import BUILD, KEPT, SOURCE, need, need_mounts
from harness import HATCHCTL, Log, proc_children, proc_status, wait_until
from prepare import NO_NETWORK

FOLDER = SOURCE / "packaging/container"

# A user within who may do nothing, and what a container has in the way of name spaces.
GUEST = "hatchd-guest"
ENGINE = ["unshare", "--pid", "--mount", "--net", "--uts", "--ipc", "--fork", "--kill-child"]

# The tree, a folder of services, and the command.  What is written goes with the container.
BEGIN = """
set -e
tree=$1 services=$2
shift 2
ip link set lo up
mount -t tmpfs tmpfs /mnt
mkdir /mnt/up /mnt/work /mnt/root
mount -t overlay -o lowerdir="$tree",upperdir=/mnt/up,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mount --bind -o ro "$services" etc/hatchd/services.d
mount -t proc proc proc
mount -t tmpfs tmpfs dev
for name in null zero full random urandom tty; do
	touch dev/$name
	mount --bind /dev/$name dev/$name
done
mount --move . /
exec chroot "$@"
"""

UPPER = """
service upper {
	listen = tcp:7777
	exec   = { /usr/bin/tr, a-z, A-Z }
}
"""

# For who may not make /run/hatchd, as the README has it.
ELSEWHERE = "/tmp/hatchd/control"


# ---------------------------------------------------------------------------
# The recipe


def instructions(name="Containerfile"):
    """[(word, rest)] of the recipe."""
    text = re.sub(r"^#.*\n", "", (FOLDER / name).read_text(), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]


RECIPE = instructions()


def said(word):
    """What the last stage says last of it."""
    return [rest for found, rest in RECIPE if found == word][-1]


def command():
    """What is started if nothing else is said; the second part may be another."""
    return json.loads(said("ENTRYPOINT")), json.loads(said("CMD"))


def split_copy(rest):
    words = shlex.split(rest)
    stage = [word.partition("=")[2] for word in words if word.startswith("--from=")]
    *sources, target = [word for word in words if not word.startswith("--")]
    return stage, sources, target


def test_instructions():
    """None that an engine would not know, or that the tree would lack."""
    assert {word for word, _ in RECIPE} == {
        "ARG", "FROM", "COPY", "RUN", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert said("STOPSIGNAL") == "SIGTERM"
    assert command() == (["/usr/sbin/hatchd"], ["-f", "/etc/hatchd/hatchd.conf"])


def test_what_is_copied_is_there():
    stages = set()
    for word, rest in RECIPE:
        if word == "FROM":
            stages.update(re.findall(r" AS (\S+)$", rest))
        if word == "COPY":
            stage, sources, _ = split_copy(rest)
            assert set(stage) <= stages
            for source in sources if not stage else ():
                assert (SOURCE / source).exists(), source


def test_one_release():
    """Packages of one would lack libraries in the other."""
    images = [rest.split()[0] for word, rest in RECIPE if word == "FROM"]
    assert len(images) == 2 and len(set(images)) == 1 and "${DEBIAN}" in images[0]


def test_tree_is_made_in_the_same_way():
    """What is copied into the last stage and run there."""
    tree = (FOLDER / "tree").read_text()
    last = RECIPE[max(n for n, (word, _) in enumerate(RECIPE) if word == "FROM"):]
    (ran,) = [rest for word, rest in last if word == "RUN"]
    assert ran in tree
    copied = {pathlib.PurePath(name).name for word, rest in last if word == "COPY"
              for name in split_copy(rest)[1]}
    assert copied == {"setup", "hatchd.conf", "packages"}
    assert all(name in tree for name in copied)


def test_podman_is_told_of_health():
    """Its own format has no HEALTHCHECK; it warns, and makes an image that is never healthy."""
    for file in (SOURCE / "README.md", FOLDER / "Containerfile"):
        lines = re.findall(r"podman build .*", file.read_text())
        assert lines and all("--format docker " in line for line in lines), lines


def test_usage(run):
    for script, words in (("setup", ()), ("setup", ("install",)), ("tree", ()),
                          ("tree", ("--base", "x"))):
        assert "Usage: " in run("sh", FOLDER / script, *words, status=2)
    assert "is there already" in run("sh", FOLDER / "tree", SOURCE, status=1)


# ---------------------------------------------------------------------------
# The files


def find_base():
    """A Debian of the release that hatchd is built on, if the tests of the system have it."""
    for tree in sorted((BUILD / "system").glob("*")):
        if (tree / "etc/debian_version").is_file() and release(tree) == release("/"):
            return ["--base", tree]
    return []


def release(root):
    text = pathlib.Path(root, "etc/os-release").read_text()
    return re.search(r"^VERSION_CODENAME=(\w+)$", text, re.M)[1]


@pytest.fixture(scope="session")
def tree(run):
    """The files of the container, made once."""
    need_mounts()
    need("dpkg-buildpackage", "mmdebstrap", "ip")
    packages = KEPT / "deb"
    run("sh", SOURCE / "packaging/deb", "--nocheck", packages)
    made = KEPT / "container"
    run("rm", "-rf", made)
    text = run("sh", FOLDER / "tree", *find_base(), "--packages", packages, made, status=None)
    if NO_NETWORK.search(text):
        pytest.skip("packages for a Debian tree cannot be loaded: no network")
    assert text.endswith(f"tree: the files of the container are in {made}\n"), text
    return made


class Container:
    """A container that runs; `args` in the place of CMD."""

    def __init__(self, tree, services, *args, user="root"):
        entry, default = command()
        self.process = subprocess.Popen(
            [*ENGINE, "sh", "-c", BEGIN, "sh", str(tree), str(services),
             f"--userspec={user}", ".", *entry, *(args or default)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
        self.log = Log(self.process.stderr)

    def ready(self):
        # The second is said of what the command line asks for.
        self.log.wait(": (ready: |listening on )")
        (self.init,) = proc_children(self.process.pid)
        return self

    def hatchd(self):
        (pid,) = [pid for pid in proc_children(self.init)
                  if proc_status(pid)["Name"] == "hatchd"]
        return pid

    def exec(self, *argv, input=b""):
        """As `docker exec` does it: (status, what it says)."""
        done = subprocess.run(
            ["nsenter", f"--target={self.init}", "--all", "--root", "--wd", *argv],
            input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        return done.returncode, done.stdout.decode()

    def talk(self, text, port=7777):
        return self.exec("hatchctl", "connect", f"tcp:127.0.0.1:{port}", input=text.encode())

    def health(self, *more):
        """(0, ...) if it is well."""
        (words,) = re.findall(r"CMD (\[.*\])$", said("HEALTHCHECK"))
        return self.exec(*json.loads(words), *more)

    def stop(self):
        """As an engine does it, with its patience; returns the status."""
        os.kill(self.init, getattr(signal, said("STOPSIGNAL")))
        return self.process.wait(10)

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def container(tree, folder):
    """container(services, ...): started, with that for a file of services."""
    with contextlib.ExitStack() as stack:

        def start(text, *args, **more):
            services = folder / "services.d"
            services.mkdir()
            services.chmod(0o755)
            (services / "test.conf").write_text(text)
            (services / "test.conf").chmod(0o644)
            made = Container(tree, services, *args, **more)
            stack.callback(made.close)
            return made.ready()

        yield start


def test_nothing_is_left_of_making_it(tree):
    assert list((tree / "tmp").iterdir()) == []
    assert list((tree / "var/lib/apt/lists").glob("*_*")) == []


def test_serves(container):
    """Users are there, the log is standard error, process 1 is ours, and it ends in time."""
    made = container(UPPER)
    assert proc_status(made.init)["Name"] == "hatchd-init"
    assert made.talk("bom dia\n") == (0, "BOM DIA\n")
    assert made.health()[0] == 0
    assert made.exec("id", "-un", "_hatchd") == (0, "_hatchd\n")
    assert made.stop() == 0
    made.log.wait("drained: nobody is left")


def test_orphans_are_reaped(container):
    """Who is left by a program has another parent then, and is no zombie when he ends."""
    outlives = "(while kill -0 $$; do :; done 2>/dev/null &)"
    made = container(UPPER.replace("exec   = { /usr/bin/tr, a-z, A-Z }",
                                   f"shell  = '(setsid sh -c : &); {outlives}; echo x'"))
    for _ in range(5):
        assert made.talk("") == (0, "x\n")
    wait_until(lambda: proc_children(made.init) == [made.hatchd()], what="nobody is left")
    assert made.stop() == 0


def test_upgrade(container):
    made = container(UPPER)
    hatchd = made.hatchd()
    assert made.exec("hatchctl", "upgrade")[0] == 0
    assert made.hatchd() == hatchd and made.talk("x") == (0, "X")
    assert made.stop() == 0


def test_who_is_connected_may_stay_for_a_while(container):
    """With a client who does not go, it ends by itself before an engine loses patience."""
    made = container(UPPER.replace("exec   = { /usr/bin/tr, a-z, A-Z }", "exec = /bin/cat"))
    client = subprocess.Popen(
        ["nsenter", f"--target={made.init}", "--net", HATCHCTL, "connect",
         "tcp:127.0.0.1:7777"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        client.stdin.write(b"x")
        client.stdin.flush()
        assert client.stdout.read(1) == b"x"
        os.kill(made.init, signal.SIGTERM)
        made.log.wait("draining: 1 connection")
        client.stdin.write(b"y")
        client.stdin.flush()
        assert client.stdout.read(1) == b"y"
        assert made.process.wait(9) == 0
        made.log.wait("draining: the time is over, 1 connection left")
    finally:
        client.kill()
        client.communicate()


def test_command_line(container):
    """docker run hatchd -l 7777 -- tr a-z A-Z"""
    made = container("", "-l", "7777", "--user", GUEST, "--", "tr", "a-z", "A-Z")
    assert made.talk("x") == (0, "X")
    assert made.stop() == 0


def test_without_root(container):
    """docker run --user hatchd-guest: it serves what needs no rights, and is healthy."""
    made = container(UPPER, *command()[1], f"--control={ELSEWHERE}", user=GUEST)
    assert proc_status(made.hatchd())["Uid"].split()[0] != "0"
    assert made.talk("x") == (0, "X")
    assert made.health("-s", ELSEWHERE)[0] == 0, made.log.text()
    assert made.stop() == 0


def see_refused(reason, *args, **more):
    made = Container(*args, **more)
    try:
        made.log.wait(reason)
        assert made.process.wait(10) == 78
    finally:
        made.close()


def test_another_user(tree, folder):
    """Who is neither root nor the default of the image is told what to do."""
    (folder / "upper.conf").write_text(UPPER)
    (folder / "upper.conf").chmod(0o644)
    see_refused("cannot become 'hatchd-guest'; leave user out", tree, folder, user="nobody")


def test_folder_of_somebody_else(tree, folder):
    """As it is mounted where an engine maps no users: hatchd says why it does not serve it."""
    os.chown(folder, 1000, 1000)
    see_refused("services.d': it does not belong to root; use chown root", tree, folder)
