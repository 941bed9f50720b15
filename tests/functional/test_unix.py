"""UNIX sockets, and the care that their files are treated with."""

import contextlib
import grp
import os
import pwd
import socket
import stat

import pytest

from harness import (
    IS_ROOT, PYTHON, Daemon, connect, free_port, helper, is_refused, run_hatchd, service, talk,
)

needs_root = pytest.mark.needs_root


def upper(address, **options):
    return service("upper", listen=address, exec=["/usr/bin/tr", "a-z", "A-Z"], **options)


def test_stream(hatchd, folder):
    hatchd.file(upper(f"unix:{folder}/s"))
    assert talk(f"unix:{folder}/s", b"bom dia") == b"BOM DIA"


def test_abstract(hatchd):
    name = f"@hatchd-test-{os.getpid()}"
    hatchd.file(upper(f"unix:{name}"))
    assert talk(f"unix:{name}", b"bom dia") == b"BOM DIA"


def test_seqpacket_keeps_boundaries(hatchd, folder):
    hatchd.file(service("echo", listen=f"unix-seqpacket:{folder}/s", exec="/bin/cat"))
    with connect(f"unix-seqpacket:{folder}/s") as client:
        for message in (b"one", b"two" * 1000, b"three"):
            client.send(message)
        for message in (b"one", b"two" * 1000, b"three"):
            assert client.recv(65536) == message


def test_datagram(hatchd, folder):
    program = [PYTHON, "-S", "-E", helper("datagrams.py", folder), "2"]
    hatchd.file(service("echo", listen=f"unix-dgram:{folder}/s", wait=True, exec=program))
    own = f"\0hatchd-test-client-{os.getpid()}"
    with connect(f"unix-dgram:{folder}/s", source=own) as client:
        for message in (b"one", b"two"):
            client.send(message)
            assert client.recv(100) == message


def test_wait_gets_the_listener(hatchd, folder):
    program = [PYTHON, "-S", "-E", helper("handed_over.py", folder)]
    hatchd.file(service("echo", listen=f"unix:{folder}/s", wait=True, exec=program))
    assert talk(f"unix:{folder}/s", b"Bom dia") == b"Bom dia"


# -- owner and mode


def owner_and_mode(path):
    st = os.stat(path)
    return st.st_uid, st.st_gid, f"{stat.S_IMODE(st.st_mode):04o}"


def test_default_mode_lets_everybody_in(hatchd, folder):
    hatchd.file(upper(f"unix:{folder}/s"))
    assert owner_and_mode(folder / "s") == (os.geteuid(), os.getegid(), "0666")


@pytest.mark.parametrize("mode", ["0600", "0660", "0777", "0"])
def test_socket_mode_is_exact(hatchd, folder, mode):
    hatchd.file(upper(f"unix:{folder}/s", socket_mode=mode), preexec=lambda: os.umask(0o077))
    assert owner_and_mode(folder / "s")[2] == f"{int(mode, 8):04o}"


@needs_root
def test_socket_user_and_group(hatchd, folder):
    options = {"socket_user": "daemon", "socket_group": "mail", "socket_mode": "0640"}
    hatchd.file(upper(f"unix:{folder}/s", **options))
    expected = (pwd.getpwnam("daemon").pw_uid, grp.getgrnam("mail").gr_gid, "0640")
    assert owner_and_mode(folder / "s") == expected


@needs_root
def test_socket_user_and_group_by_number(hatchd, folder):
    hatchd.file(upper(f"unix:{folder}/s", socket_user=54321, socket_group=54322))
    assert owner_and_mode(folder / "s") == (54321, 54322, "0666")


@needs_root
def test_mode_decides_who_may_connect(hatchd, folder):
    hatchd.file(upper(f"unix:{folder}/s", socket_user="root", socket_mode="0600"))
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresuid(54321, 54321, 54321)
        status = 1
        with contextlib.suppress(PermissionError):
            connect(f"unix:{folder}/s")
            status = 0
        os._exit(status)
    assert os.waitpid(pid, 0)[1] != 0, "another user got in"
    assert talk(f"unix:{folder}/s", b"root") == b"ROOT"


# -- what lies there already


def refusal(folder, config):
    """The log of a hatchd whose only service waits."""
    with Daemon(config=config, folder=folder) as daemon:
        daemon.wait_log("ready: 0 services")
        return daemon.text()


def test_stale_socket_is_replaced(hatchd, folder):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(f"{folder}/s")
    stale.close()
    inode = os.stat(folder / "s").st_ino
    hatchd.file(upper(f"unix:{folder}/s"))
    assert talk(f"unix:{folder}/s", b"bom dia") == b"BOM DIA"
    assert stat.S_ISSOCK(os.stat(folder / "s").st_mode), inode


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_living_socket_is_left_alone(folder, kind):
    with socket.socket(socket.AF_UNIX, kind) as living:
        living.bind(f"{folder}/s")
        if kind != socket.SOCK_DGRAM:
            living.listen()
        inode = os.stat(folder / "s").st_ino
        log = refusal(folder, upper(f"unix:{folder}/s"))
        assert "somebody listens there already" in log
        assert os.stat(folder / "s").st_ino == inode


def test_bound_socket_that_does_not_listen_yet(folder):
    """Its owner is between bind and listen; a connect is refused, as with a stale one."""
    with socket.socket(socket.AF_UNIX) as young:
        young.bind(f"{folder}/s")
        # Nothing tells it from a stale one; what counts is that hatchd serves.
        with Daemon(config=upper(f"unix:{folder}/s"), folder=folder):
            assert talk(f"unix:{folder}/s", b"bom dia") == b"BOM DIA"


def test_other_files_are_left_alone(folder):
    path = folder / "s"
    path.write_text("precious")
    log = refusal(folder, upper(f"unix:{path}"))
    assert "a file that is not a socket is in the way" in log
    assert path.read_text() == "precious"


def test_directory_is_left_alone(folder):
    (folder / "s").mkdir()
    log = refusal(folder, upper(f"unix:{folder}/s"))
    assert "a file that is not a socket is in the way" in log
    assert (folder / "s").is_dir()


@pytest.mark.parametrize("target", ["nothing", "file", "socket"])
def test_link_is_left_alone(folder, target):
    if target == "file":
        (folder / target).write_text("precious")
    if target == "socket":
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(folder / target))
    before = os.path.lexists(folder / target)
    (folder / "s").symlink_to(folder / target)
    log = refusal(folder, upper(f"unix:{folder}/s"))
    assert "a symbolic link is in the way" in log
    assert os.readlink(folder / "s") == str(folder / target)
    assert os.path.lexists(folder / target) == before


def test_refused_service_leaves_others(folder):
    (folder / "taken").write_text("precious")
    port = free_port()
    config = upper(f"unix:{folder}/taken") + service(
        "echo", listen=f"tcp:{port}", exec="/bin/cat"
    )
    with Daemon(config=config, folder=folder) as daemon:
        daemon.wait_log("ready: 1 service on 1 address")
        daemon.wait_log("1 service not served")
        assert talk(port, b"served") == b"served"


def test_folder_that_is_not_there(folder):
    """A condition: the service waits, with a message, and nothing else happens."""
    log = refusal(folder, upper(f"unix:{folder}/missing/s"))
    assert f"waiting: no directory {folder}/missing" in log


# -- the end


def test_file_is_removed_at_the_end(folder):
    with Daemon(config=upper(f"unix:{folder}/s"), folder=folder):
        assert (folder / "s").exists()
    assert not os.path.lexists(folder / "s")


def test_file_of_another_stays(folder):
    with Daemon(config=upper(f"unix:{folder}/s"), folder=folder):
        os.unlink(folder / "s")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(f"{folder}/s")
            inode = os.stat(folder / "s").st_ino
    assert os.stat(folder / "s").st_ino == inode


def test_file_of_another_kind_stays(folder):
    with Daemon(config=upper(f"unix:{folder}/s"), folder=folder):
        os.unlink(folder / "s")
        (folder / "s").write_text("precious")
    assert (folder / "s").read_text() == "precious"


def test_restart_after_a_crash(hatchd, folder):
    """kill -9 leaves the file; the next hatchd serves all the same."""
    daemon = Daemon(config=upper(f"unix:{folder}/s"), folder=folder)
    daemon.close()
    assert (folder / "s").exists()
    assert is_refused(f"unix:{folder}/s")
    hatchd.file(upper(f"unix:{folder}/s"))
    assert talk(f"unix:{folder}/s", b"again") == b"AGAIN"


# -- the folder


def test_directory_mode_makes_folders(hatchd, folder):
    hatchd.file(
        upper(f"unix:{folder}/a/b/s", directory_mode="0711"), preexec=lambda: os.umask(0o077))
    assert talk(f"unix:{folder}/a/b/s", b"bom dia") == b"BOM DIA"
    for path in (folder / "a", folder / "a" / "b"):
        assert owner_and_mode(path) == (os.geteuid(), os.getegid(), "0711")


def test_folders_stay_at_the_end(folder):
    with Daemon(config=upper(f"unix:{folder}/a/s", directory_mode="0755"), folder=folder):
        assert (folder / "a" / "s").exists()
    assert os.listdir(folder / "a") == []


def test_folder_that_is_there_keeps_its_mode(hatchd, folder):
    (folder / "a").mkdir(mode=0o700)
    hatchd.file(upper(f"unix:{folder}/a/s", directory_mode="0755"))
    assert owner_and_mode(folder / "a")[2] == "0700"


def test_check_knows_of_folders_to_be_made(hatchd, folder):
    config = upper(f"unix:{folder}/a/s", directory_mode="0755")
    assert hatchd.check(config).stderr == ""
    assert not (folder / "a").exists(), "looking makes nothing"
    assert "no directory" in hatchd.check(upper(f"unix:{folder}/a/s")).stderr


@needs_root
def test_no_folder_is_made_behind_the_link_of_another(folder):
    """Who may write to /tmp cannot have root make a folder elsewhere."""
    (folder / "precious").mkdir()
    (folder / "a").symlink_to(folder / "precious")
    os.lchown(folder / "a", 54321, 54321)
    log = refusal(folder, upper(f"unix:{folder}/a/b/s", directory_mode="0755"))
    assert "unable to make the directory of" in log
    assert "a symbolic link is in the way" in log
    assert os.listdir(folder / "precious") == []


# -- symbolic links


def test_symlinks(hatchd, folder):
    daemon = hatchd.file(upper(f"unix:{folder}/s", symlinks=[folder / "one", folder / "two"]))
    for name in ("s", "one", "two"):
        assert talk(f"unix:{folder}/{name}", b"bom dia") == b"BOM DIA"
    assert os.readlink(folder / "one") == f"{folder}/s"
    daemon.stop()
    assert not any(os.path.lexists(folder / name) for name in ("s", "one", "two"))


def test_symlink_left_by_a_crash(hatchd, folder):
    config = upper(f"unix:{folder}/s", symlinks=folder / "one")
    Daemon(config=config, folder=folder).close()
    assert os.readlink(folder / "one") == f"{folder}/s"
    hatchd.file(config)
    assert talk(f"unix:{folder}/one", b"again") == b"AGAIN"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_where_a_symlink_should_be(folder, kind):
    if kind == "file":
        (folder / "one").write_text("precious")
    else:
        (folder / "one").symlink_to("elsewhere")
    log = refusal(folder, upper(f"unix:{folder}/s", symlinks=folder / "one"))
    assert f"unable to make the symbolic link {folder}/one to unix:{folder}/s" in log
    assert "something else is in its place" in log
    assert not os.path.lexists(folder / "s")
    if kind == "file":
        assert (folder / "one").read_text() == "precious"
    else:
        assert os.readlink(folder / "one") == "elsewhere"


def test_symlink_that_leads_elsewhere_meanwhile_stays(folder):
    config = upper(f"unix:{folder}/s", symlinks=folder / "one")
    with Daemon(config=config, folder=folder):
        os.unlink(folder / "one")
        (folder / "one").symlink_to("elsewhere")
    assert os.readlink(folder / "one") == "elsewhere"
    assert not os.path.lexists(folder / "s")


def test_symlink_in_a_new_folder(hatchd, folder):
    hatchd.file(upper(f"unix:{folder}/s", symlinks=folder / "a" / "one", directory_mode="0755"))
    assert talk(f"unix:{folder}/a/one", b"bom dia") == b"BOM DIA"


# -- what stays


def test_remove_on_stop_can_be_switched_off(folder):
    """The file stays, and so does the link; the next hatchd takes both up."""
    config = upper(f"unix:{folder}/s", remove_on_stop=False, symlinks=folder / "one")
    for _ in range(2):
        with Daemon(config=config, folder=folder):
            assert talk(f"unix:{folder}/one", b"bom dia") == b"BOM DIA"
        assert stat.S_ISSOCK(os.stat(folder / "s").st_mode)
        assert os.readlink(folder / "one") == f"{folder}/s"
        assert is_refused(f"unix:{folder}/s")


# -- lengths


def long_path(folder, length):
    path = f"{folder}/"
    return path + "s" * (length - len(path))


def test_longest_path(hatchd, folder):
    path = long_path(folder, 107)
    hatchd.file(upper(f"unix:{path}"))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_longer_path_is_refused_at_load(hatchd, folder):
    done = hatchd.check(upper(f"unix:{long_path(folder, 108)}"))
    assert done.returncode == 1
    assert "hatchd.conf:2:" in done.stderr
    assert "107" in done.stderr, "the message says how long it may be"


def test_relative_path_is_refused(hatchd):
    done = hatchd.check(upper("unix:relative"))
    assert done.returncode == 1
    assert "hatchd.conf:2:" in done.stderr


def test_one_path_for_two_types_is_refused(hatchd, folder):
    config = upper(f"unix:{folder}/s") + service(
        "echo", listen=f"unix-seqpacket:{folder}/s", exec="/bin/cat"
    )
    assert hatchd.check(config).returncode == 1


def test_check_opens_nothing(folder):
    path = folder / "c"
    path.write_text(upper(f"unix:{folder}/s"))
    path.chmod(0o644)
    assert run_hatchd("--check", "-f", path).returncode == 0
    assert not (folder / "s").exists()


@pytest.mark.skipif(not IS_ROOT, reason="root is warned, nobody else")
def test_socket_options_without_a_unix_socket_are_told(hatchd):
    done = hatchd.check(upper(f"tcp:{free_port()}", socket_mode="0600"))
    assert "the service has no UNIX socket" in done.stderr
