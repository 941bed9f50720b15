"""Real programs that people serve from inetd, each with its real client."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from harness import IS_ROOT, default_user, free_port, hatchctl, service, wait_exit

needs_root = pytest.mark.needs_root

WORDS = "some words, and a line\n" * 1000
USER_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def need(*programs):
    """Paths of programs; skips the test where one is not installed."""
    found = [shutil.which(program, path=USER_PATH) for program in programs]
    for program, path in zip(programs, found):
        if not path:
            pytest.skip(f"{program} is not installed")
    return found


def run(*command, **more):
    """A client; its output."""
    done = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=60, env={"PATH": USER_PATH, "HOME": "/nonexistent", "LANG": "C"}, **more,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def end_child(daemon, number=signal.SIGTERM):
    """A program that waits for more clients than there will be."""
    for pid in daemon.children():
        os.kill(pid, number)
        wait_exit(pid)
    daemon.wait_children(0)


@pytest.fixture
def place(folder):
    """A folder with a file to be served."""
    path = pathlib.Path(folder, "place")
    path.mkdir()
    (path / "words.txt").write_text(WORDS)
    return path


# ---------------------------------------------------------------------------


# Its folder below /run is one for the whole machine.
one_sshd = pytest.mark.xdist_group("sshd")


@pytest.fixture
def sshd(hatchd, folder):
    """A running `sshd -i` that lets root in by a key: options for ssh and scp."""
    sshd, ssh_keygen, _ = need("sshd", "ssh-keygen", "ssh")
    folder = pathlib.Path(folder)
    private = pathlib.Path("/run/sshd")
    made = not private.exists()
    if made:
        private.mkdir(mode=0o755)
    for name in ("host", "client"):
        run(ssh_keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    config = folder / "sshd_config"
    config.write_text(
        f"HostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/client.pub\n"
        "UsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\n"
        "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    port = free_port()
    hatchd.file(
        service("ssh", listen=f"tcp:127.0.0.1:{port}", user="root",
                exec=[sshd, "-i", "-f", config])
    )
    yield [
        "-F", "/dev/null", "-i", folder / "client", "-o", f"Port={port}", "-o", "BatchMode=yes",
        "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known",
        "-o", "LogLevel=ERROR",
    ]
    if made:
        with contextlib.suppress(OSError):
            private.rmdir()


@one_sshd
@needs_root
def test_ssh(sshd):
    assert run("ssh", *sshd, "root@127.0.0.1", "id -u; tty || :") == b"0\nnot a tty\n"


@one_sshd
@needs_root
@pytest.mark.parametrize("protocol", ["sftp", "scp"])
def test_scp(sshd, folder, place, protocol):
    (scp,) = need("scp")
    old = ["-O"] if protocol == "scp" else []
    run(scp, *old, *sshd, f"root@127.0.0.1:{place}/words.txt", f"{folder}/fetched")
    assert pathlib.Path(folder, "fetched").read_text() == WORDS
    run(scp, *old, *sshd, f"{folder}/fetched", f"root@127.0.0.1:{place}/sent")
    assert (place / "sent").read_text() == WORDS


# ---------------------------------------------------------------------------


@needs_root
def test_vsftpd(hatchd, folder, place):
    vsftpd, curl = need("vsftpd", "curl")
    empty = pathlib.Path(folder, "empty")
    empty.mkdir(mode=0o555)
    config = pathlib.Path(folder, "vsftpd.conf")
    config.write_text(
        f"listen=NO\nlisten_ipv6=NO\nanonymous_enable=YES\nanon_root={place}\n"
        f"secure_chroot_dir={empty}\nftp_username=daemon\nnopriv_user=nobody\n"
        "xferlog_enable=NO\nvsftpd_log_file=/dev/null\n"
    )
    port = free_port()
    daemon = hatchd.file(
        service("ftp", listen=f"tcp4:{port}", exec=[vsftpd, config], user="root")
    )
    url = f"ftp://127.0.0.1:{port}/"
    assert run(curl, "-sS", "--list-only", url) == b"words.txt\n"
    assert run(curl, "-sS", url + "words.txt").decode() == WORDS
    assert run(curl, "-sS", "--ftp-port", "-", url + "words.txt").decode() == WORDS
    daemon.wait_children(0)


def test_busybox_httpd(hatchd, place):
    busybox, curl = need("busybox", "curl")
    applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE).stdout.split()
    if b"httpd" not in applets:
        pytest.skip("this busybox has no httpd")
    port = free_port()
    hatchd.file(
        service("http", listen=f"tcp:{port}", exec=[busybox, "httpd", "-i", "-h", place])
    )
    url = f"http://127.0.0.1:{port}/words.txt"
    assert run(curl, "-sS", url).decode() == WORDS
    answer = run(curl, "-sS", "-o", "/dev/null", "-w", "%{http_code}", url + ".not")
    assert answer == b"404"


def test_git_daemon(hatchd, folder):
    (git,) = need("git")
    folder = pathlib.Path(folder)
    work, bare = folder / "work", folder / "base" / "words.git"
    run(git, "init", "-q", work)
    (work / "words.txt").write_text(WORDS)
    run(git, "-C", work, "add", "words.txt")
    run(git, "-C", work, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q",
        "-m", "words")
    bare.parent.mkdir()
    run(git, "clone", "-q", "--bare", work, bare)
    if IS_ROOT:
        # git serves only what belongs to whoever it runs as.
        run("chown", "-R", default_user(), bare)
    port = free_port()
    daemon = hatchd.file(
        service(
            "git", listen=f"tcp:{port}",
            exec=[git, "daemon", "--inetd", "--export-all", f"--base-path={bare.parent}"],
        )
    )
    url = f"git://127.0.0.1:{port}/words.git"
    assert run(git, "ls-remote", url).endswith(b"\n")
    run(git, "clone", "-q", url, folder / "cloned")
    assert (folder / "cloned" / "words.txt").read_text() == WORDS
    daemon.wait_children(0)


def test_rsync_daemon(hatchd, folder, place):
    (rsync,) = need("rsync")
    config = pathlib.Path(folder, "rsyncd.conf")
    config.write_text(
        f"use chroot = no\nlog file = /dev/null\n[words]\npath = {place}\nread only = yes\n"
    )
    port = free_port()
    daemon = hatchd.file(
        service("rsync", listen=f"tcp:{port}", exec=[rsync, "--daemon", f"--config={config}"])
    )
    url = f"rsync://127.0.0.1:{port}/words/"
    assert b"words.txt" in run(rsync, url)
    run(rsync, "-r", url, f"{folder}/fetched/")
    assert pathlib.Path(folder, "fetched", "words.txt").read_text() == WORDS
    daemon.wait_children(0)


@needs_root
def test_tftpd(hatchd, folder, place):
    tftpd, tftp = need("in.tftpd", "tftp")
    port = free_port()
    daemon = hatchd.file(
        service(
            "tftp", listen=f"udp4:{port}", wait=True, user="root",
            exec=[tftpd, "-s", "-u", "nobody", place],
        )
    )
    (place / "words.txt").chmod(0o644)
    for name in ("first", "second"):
        fetched = pathlib.Path(folder, name)
        fetched.mkdir()
        said = run(tftp, "-v", "-m", "binary", "127.0.0.1", port, "-c", "get", "words.txt",
                   cwd=fetched, stdin=subprocess.DEVNULL)
        assert b"Received" in said, said
        assert (fetched / "words.txt").read_text() == WORDS
    # The one that was started for the first client had the second one as well.
    assert len(daemon.children()) == 1
    end_child(daemon)


def test_gunicorn(hatchd, folder):
    gunicorn, curl = need("gunicorn", "curl")
    application = pathlib.Path(folder, "words.py")
    application.write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [environ['PATH_INFO'].encode()]\n"
    )
    ports = [free_port(), free_port()]
    daemon = hatchd.file(
        service(
            "web", listen=[f"tcp:127.0.0.1:{port}" for port in ports], wait=True,
            pass_as="listen_fds", notify=True, directory=folder,
            env=["PYTHONDONTWRITEBYTECODE=1"],
            exec=[gunicorn, "--workers=1", "--worker-tmp-dir=/dev/shm", "words:app"],
        )
    )
    for port in ports:
        assert run(curl, "-sS", f"http://127.0.0.1:{port}/bom-dia") == b"/bom-dia"
    assert len(daemon.children()) == 1
    daemon.wait_log("web: process .* is ready after")
    end_child(daemon)


def test_hatchctl_is_a_client_too(hatchd, place):
    """A machine without curl: the request by hand, through hatchctl connect."""
    (busybox,) = need("busybox")
    port = free_port()
    hatchd.file(
        service("http", listen=f"tcp:{port}", exec=[busybox, "httpd", "-i", "-h", place])
    )
    done = hatchctl(
        "connect", f"tcp:127.0.0.1:{port}", input=b"GET /words.txt HTTP/1.0\r\n\r\n"
    )
    assert done.returncode == 0
    assert done.stdout.startswith(b"HTTP/1.")
    assert done.stdout.endswith(WORDS.encode())
