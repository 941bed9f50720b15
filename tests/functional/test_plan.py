"""hatchd --plan: what a reload of the running daemon would do."""

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import subprocess

import pytest

from harness import (
    HATCHD, PYTHON, TIMEOUT, base_environment, free_port, is_refused, run_hatchd, service, talk,
)

# A process that is not dumpable, as hatchd is, shows its descriptors to root only.
pytestmark = pytest.mark.needs_root

NOTHING = "nothing would change\n"


def cat(name, port, **options):
    return service(name, listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", **options)


def plan(daemon, *args, **more):
    return run_hatchd("--plan", "-f", daemon.config_path, *args, **more)


def says(done, stdout, status=0):
    assert (done.stdout, done.stderr, done.returncode) == (stdout, "", status)


def fails(done, pattern, status=2):
    assert re.search(pattern, done.stderr), done.stderr
    assert (done.stdout, done.returncode) == ("", status)


def test_nothing_would_change(hatchd):
    daemon = hatchd.file(cat("a", free_port(), per_source=9999))
    says(plan(daemon), NOTHING)
    daemon.write("# words\n" + daemon.config_path.read_text())
    says(plan(daemon), NOTHING)


def test_plan_changes_nothing(hatchd):
    ports = [free_port() for _ in range(4)]
    daemon = hatchd.file(cat("a", ports[0]) + cat("b", ports[1]) + cat("c", ports[2]))
    daemon.write(
        cat("a", ports[0], instances=100, backlog=16, user="root")
        + cat("c", ports[2]) + cat("d", ports[3])
    )
    says(plan(daemon), f"""\
a: changed: instances 512 -> 100, user nobody -> root, backlog 4096 -> 16
  adjusted tcp:127.0.0.1:{ports[0]} (backlog)
d: new
  opened   tcp:127.0.0.1:{ports[3]}
b: removed (1 address closed; its children would finish)
  closed   tcp:127.0.0.1:{ports[1]}
1 service unchanged
1 adjusted, 1 opened, 1 closed
""")
    for port in ports[:3]:
        assert talk(port, b"bom dia") == b"bom dia"
    assert is_refused(ports[3])


def test_waiting_service(hatchd):
    port = free_port()
    daemon = hatchd.file(cat("a", port))
    daemon.write(cat("a", port, user="hatchd-nobody-is-called-so"))
    says(plan(daemon), f"""\
a: would wait: no user 'hatchd-nobody-is-called-so'; changed:
  user nobody -> hatchd-nobody-is-called-so
  closed   tcp:127.0.0.1:{port}
1 closed
""")


def test_mistakes(hatchd):
    daemon = hatchd.file(cat("a", free_port()))
    daemon.write(daemon.config_path.read_text() + "instances = 5\n")
    done = plan(daemon)
    checked = run_hatchd("--check", "-f", daemon.config_path)
    assert checked.returncode == 1
    assert done.stderr == checked.stderr
    assert done.stdout == checked.stdout + "a reload would change nothing\n"
    assert done.returncode == 1


def test_mistake_in_an_included_file(hatchd, folder):
    """A start leaves such a file out; a reload does nothing at all."""
    (folder / "more.conf").write_text("")
    (folder / "more.conf").chmod(0o644)
    daemon = hatchd.file(f"include('more.conf')\n{cat('a', free_port())}")
    daemon.write("service b {}\n", "more.conf")
    done = plan(daemon)
    assert "a reload would change nothing\n" in done.stdout
    assert done.returncode == 1


def test_relative_names(hatchd, folder):
    (folder / "x.conf").write_text(cat("a", free_port()))
    (folder / "x.conf").chmod(0o644)
    hatchd.adhoc("-f", "x.conf", cwd=folder)
    (folder / "link").symlink_to("x.conf")
    for name, cwd in (("x.conf", folder), (folder / "x.conf", "/"), ("link", folder)):
        says(run_hatchd("--plan", "-f", name, cwd=cwd), NOTHING)
    # As editors do it.
    shutil.copy(folder / "x.conf", folder / "new")
    os.rename(folder / "new", folder / "x.conf")
    says(run_hatchd("--plan", "-f", "x.conf", cwd=folder), NOTHING)


def test_nobody_is_running(folder):
    path = folder / "hatchd.conf"
    path.write_text("")
    fails(run_hatchd("--plan", "-f", path), rf"^hatchd: no hatchd is running with {path}\n$")
    path.unlink()
    fails(run_hatchd("--plan", "-f", path), rf"^hatchd: unable to read {path}: No such file")


def test_pid(hatchd, folder):
    daemon = hatchd.file(cat("a", free_port()))
    says(run_hatchd("--plan", f"--pid={daemon.pid}"), NOTHING)
    says(plan(daemon, f"--pid={daemon.pid}"), NOTHING)
    me = os.getpid()
    fails(plan(daemon, f"--pid={me}"), f"^hatchd: process {me} is not a hatchd")
    fails(plan(daemon, "--pid=2147483647"), "process 2147483647: no such process\n$")
    other = folder / "other.conf"
    other.write_text("")
    fails(run_hatchd("--plan", "-f", other, f"--pid={daemon.pid}"), f"running with {other}\n$")


def test_pid_whose_file_is_gone(hatchd, folder):
    """It is a hatchd, and its file is what is missing."""
    daemon = hatchd.file(cat("a", free_port()))
    other = folder / "other.conf"
    other.write_text("")
    daemon.config_path.rename(folder / "moved")
    said = (rf"^hatchd: process {daemon.pid} serves {daemon.config_path}, "
            r"which cannot be opened: No such file or directory\n$")
    fails(run_hatchd("--plan", f"--pid={daemon.pid}"), said)
    fails(run_hatchd("--plan", "-f", other, f"--pid={daemon.pid}"), said)
    (folder / "moved").rename(daemon.config_path)
    says(run_hatchd("--plan", f"--pid={daemon.pid}"), NOTHING)


def test_several(hatchd):
    text = service("a", listen="tcp:127.0.0.1:0", exec="/bin/cat")
    one, two = hatchd.file(text), hatchd.file(text)
    first, second = sorted((one.pid, two.pid))
    both = f"{first}, {second}"
    fails(
        plan(one),
        rf"hatchd: 2 processes hatchd are running with .*: {both}; choose one with --pid\n$",
    )
    says(plan(one, f"--pid={one.pid}"), NOTHING)
    says(plan(one, f"--pid={two.pid}"), NOTHING)


def test_command_line_cannot_be_reloaded(hatchd):
    daemon = hatchd.adhoc("-l", f"tcp:127.0.0.1:{free_port()}", "--", "/bin/cat")
    fails(run_hatchd("--plan", f"--pid={daemon.pid}"),
          "is not a hatchd with a file to reload\n$")


@pytest.mark.parametrize("sealed", [False, True])
def test_memfd_of_somebody_else(hatchd, sealed):
    """Anybody can give a memfd that name: here the test itself."""
    daemon = hatchd.file(cat("a", free_port()))
    fd = os.memfd_create("hatchd-conf", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(fd, b"\x0b\0\0\0hatchd conf\x01")
        if sealed:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0xF)
        says(plan(daemon), NOTHING)
        fails(run_hatchd("--plan", f"--pid={os.getpid()}"), "is not a hatchd")
    finally:
        os.close(fd)


# As that user: a sealed memfd with the bytes of standard input, and the name that counts.
IMPOSTOR = """
import fcntl, os, sys
open("/proc/self/comm", "w").write("hatchd")
os.setgroups([]); os.setgid({gid}); os.setuid({uid})
fd = os.memfd_create("hatchd-conf", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
data = sys.stdin.buffer.read()
assert os.write(fd, data) == len(data)
fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0xF)
os.write(1, b"1")
os.read({wait}, 1)
"""


@contextlib.contextmanager
def impostor(image, user):
    """A process of that user that seems to be a hatchd with that image: its pid."""
    who = pwd.getpwnam(user)
    wait, end = os.pipe()
    text = IMPOSTOR.format(uid=who.pw_uid, gid=who.pw_gid, wait=wait)
    process = subprocess.Popen([PYTHON, "-c", text], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, pass_fds=[wait])
    try:
        process.stdin.write(image)
        process.stdin.close()
        assert process.stdout.read(1) == b"1"
        yield process.pid
    finally:
        os.close(end)
        os.close(wait)
        process.wait()
        process.stdout.close()


def test_impostor(hatchd):
    """Anybody can show what is said to be in force; root believes its own processes only."""
    daemon = hatchd.file(cat("a", free_port()))
    (fd,) = (fd for fd, name in daemon.fds().items() if "memfd:hatchd-conf" in name)
    with open(f"/proc/{daemon.pid}/fd/{fd}", "rb") as file:
        image = file.read()
    with impostor(image, "nobody") as pid:
        says(plan(daemon), NOTHING)
        fails(plan(daemon, f"--pid={pid}"), f"process {pid} is not a hatchd")
        daemon.stop()
        fails(plan(daemon), "no hatchd is running with")
    # It is its user that made the difference.
    with impostor(image, "root") as pid:
        says(plan(daemon, f"--pid={pid}"), NOTHING)


def test_somebody_else_looks_as_well(hatchd):
    """Another --plan has the file of the hatchd that it looks at open, and is none."""
    daemon = hatchd.file(cat("a", free_port()))
    (fd,) = (fd for fd, name in daemon.fds().items() if "memfd:hatchd-conf" in name)
    with open(f"/proc/{daemon.pid}/fd/{fd}", "rb") as file:
        other = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[file.fileno()])
    try:
        says(plan(daemon), NOTHING)
        fails(plan(daemon, f"--pid={other.pid}"), f"process {other.pid} is not a hatchd")
    finally:
        other.communicate()


def test_environment_is_that_of_the_daemon(hatchd):
    daemon = hatchd.file(cat("a", free_port(), pass_env="TOKEN"), env={"TOKEN": "1"})
    says(plan(daemon, env={"TOKEN": "2"}), NOTHING)


def test_children_do_not_have_it(hatchd, folder):
    """What is in force is root's to know."""
    port = free_port()
    daemon = hatchd.file(service(
        "ls", listen=f"tcp:127.0.0.1:{port}", shell="ls -l /proc/self/fd", user="root"))
    assert any("memfd:hatchd-conf" in target for target in daemon.fds().values())
    assert b"memfd" not in talk(port, b"")


def test_not_permitted(hatchd, folder):
    daemon = hatchd.file(cat("a", free_port()))
    for name in ("hatchd", "hatchd-ask", "hatchd-load"):
        shutil.copy(os.path.join(os.path.dirname(HATCHD), name), folder / name)
        (folder / name).chmod(0o755)
    nobody = pwd.getpwnam("nobody")

    def ask(*args):
        return subprocess.run(
            [folder / "hatchd", "--plan", "-f", daemon.config_path, *args],
            env=base_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], timeout=TIMEOUT)

    fails(ask(), r"^hatchd: unable to look into process \d+ \(hatchd\): Permission denied; "
                 "ask as root\n$")
    fails(ask(f"--pid={daemon.pid}"),
          f"^hatchd: unable to look into process {daemon.pid}: Permission denied; "
          "ask as root\n$")
