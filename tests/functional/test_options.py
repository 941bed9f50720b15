"""Every option of hatchd.conf(5) does what the page says.

Those with a theme of their own are tested there: listen, wait, socket_* in
test_udp and test_unix, what all children see in test_child.  tests/lint/options
looks whether an option has been forgotten.
"""

import grp
import os
import pathlib
import pwd
import re
import resource
import select
import socket
import subprocess

import pytest

import harness
from harness import (
    HERE, IS_ROOT, PYTHON, Probe, connect, free_port, have_ipv6, helper,
    is_refused, read_all, read_exactly, read_line, reload, service, stanza, talk,
    udp, unix_as, wait_exit,
)
from held import Lease

needs_root = pytest.mark.needs_root


@pytest.fixture
def probe(folder):
    return helper("probe", folder)


@pytest.fixture
def look(hatchd, folder):
    """look(option=value...): what the child of a service with these options finds."""

    def with_options(**options):
        port = free_port()
        options.setdefault("exec", helper("probe", folder))
        hatchd.file(service("look", listen=f"tcp:{port}", **options))
        return Probe(talk(port))

    return with_options


def mistake(hatchd, text, **options):
    """--check of a service with these options fails, and says this about the right line."""
    options.setdefault("exec", "/bin/cat")
    options.setdefault("listen", f"tcp:{free_port()}")
    done = hatchd.check(service("wrong", **options))
    assert done.returncode == 1, done.stderr
    assert re.search(text, done.stderr), done.stderr
    assert re.search(r"hatchd\.conf:\d+:\d+: error: ", done.stderr)


def ip(*args):
    """ip(8), in the namespace of the tests."""
    subprocess.run(["ip", *args], check=True)


# -- who it is


@needs_root
def test_user_by_name_and_by_number(look):
    account = pwd.getpwnam("daemon")
    for user in ("daemon", account.pw_uid):
        found = look(user=user)
        assert found.status["Uid"].split() == [str(account.pw_uid)] * 4
        assert found.env["USER"] == "daemon"


@needs_root
def test_user_is_required_for_root(hatchd):
    done = hatchd.check(service("s", listen=f"tcp:{free_port()}", exec="/bin/cat", user=None))
    assert done.returncode == 1
    assert "user" in done.stderr


@needs_root
def test_user_from_defaults(hatchd, probe):
    port = free_port()
    hatchd.file(
        service("look", listen=f"tcp:{port}", exec=probe, user=None)
        + stanza("defaults", user="daemon")
    )
    assert Probe(talk(port)).env["USER"] == "daemon"


@needs_root
@pytest.mark.parametrize(
    "user", ["0day", "4294967295", "-1", "", "n" * 300, "no body", "nobody\t"]
)
def test_user_that_is_none_is_never_root(hatchd, user):
    port = free_port()
    done = hatchd.check(service("s", listen=f"tcp:{port}", exec="/bin/cat", user=user))
    assert done.returncode == 1
    assert "user" in done.stderr


@needs_root
def test_unknown_user_is_a_condition_of_its_service_alone(hatchd):
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("one", listen=f"tcp:{port}", exec="/bin/cat", user="nobody-has-this-name")
        + service("two", listen=f"tcp:{other}", exec="/bin/cat")
    )
    daemon.wait_log("one: waiting: .*nobody-has-this-name")
    assert is_refused(port)
    assert talk(other, b"served") == b"served"


@needs_root
def test_group(look):
    group = grp.getgrnam("mail")
    for value in ("mail", group.gr_gid):
        found = look(user="daemon", group=value)
        assert found.status["Gid"].split() == [str(group.gr_gid)] * 4


@needs_root
@pytest.mark.parametrize("groups", [True, False])
def test_groups(hatchd, groups):
    """A user with other groups: any of this machine will do."""
    members = [(name, g.gr_gid) for g in grp.getgrall() for name in g.gr_mem]
    candidates = [
        pwd.getpwnam(name) for name, gid in members
        if name in {account.pw_name for account in pwd.getpwall()}
    ]
    if not candidates:
        pytest.skip("no user of this machine has more than one group")
    account = candidates[0]
    port = free_port()
    hatchd.file(
        service("id", listen=f"tcp:{port}", shell="id -G", user=account.pw_name, groups=groups)
    )
    found = {int(number) for number in talk(port).split()}
    every = set(os.getgrouplist(account.pw_name, account.pw_gid))
    assert found == (every if groups else {account.pw_gid})


def test_other_users_take_root(hatchd, folder):
    """A hatchd that is not root says so instead of failing later."""
    config = service("s", listen=f"tcp:{free_port()}", exec="/bin/cat", user="root")
    if not IS_ROOT:
        assert hatchd.check(config).returncode == 1
        return
    path = folder / "hatchd.conf"
    path.write_text(config)
    os.chown(path, 65534, 65534)
    done = subprocess.run(
        [*copied_programs(folder), "--check", "-f", path],
        stderr=subprocess.PIPE,
        user=65534,
        group=65534,
        extra_groups=[],
        env={},
    )
    assert done.returncode == 1
    assert b"root" in done.stderr


def copied_programs(folder):
    """hatchd where every user may run it."""
    for name in ("hatchd", "hatchd-ask", "hatchd-load"):
        source = pathlib.Path(harness.HATCHD).parent / name
        target = folder / name
        target.write_bytes(source.read_bytes())
        target.chmod(0o755)
    return [str(folder / "hatchd")]


# -- where and how it runs


def test_directory(look, folder):
    assert look(directory=folder)["cwd"] == str(folder)


def test_directory_that_is_not_there(hatchd, folder):
    done = hatchd.check(service(
        "s", listen=f"tcp:{free_port()}", exec="/bin/cat", directory=folder / "missing"))
    assert done.returncode == 1
    assert "missing" in done.stderr


@pytest.fixture
def jail(folder):
    """A folder with nothing but a program that needs nothing."""
    path = folder / "jail"
    (path / "bin").mkdir(parents=True)
    (path / "inside").mkdir()
    compiler = os.environ.get("CC", "cc").split()
    probe = HERE / "helpers" / "probe.c"
    subprocess.run(
        [*compiler, "-D_GNU_SOURCE", "-static", "-o", path / "bin" / "probe", probe], check=True
    )
    return path


@needs_root
@pytest.mark.parametrize("directory", [None, "/inside"])
def test_chroot(hatchd, jail, directory):
    """The paths of program and directory are those inside."""
    port = free_port()
    hatchd.file(service("look", listen=f"tcp:{port}", exec="/bin/probe", chroot=jail,
                        directory=directory))
    found = Probe(talk(port))
    assert found["root"] == str(os.stat(jail).st_ino)
    assert found["cwd"] == (directory or "/")
    assert sorted(found.fds) == [0, 1, 2]
    assert found.args == ["/bin/probe"]


@pytest.mark.parametrize("umask", ["077", "0", "0027"])
def test_umask(look, umask):
    assert int(look(umask=umask)["umask"], 8) == int(umask, 8)


@pytest.mark.parametrize("umask", ["888", "01000", "rwx", "-1"])
def test_umask_that_is_none(hatchd, umask):
    mistake(hatchd, "umask", umask=umask)


def test_nice(look):
    assert look(nice=7)["nice"] == "7"


@needs_root
def test_nice_to_the_front(look):
    assert look(nice=-5)["nice"] == "-5"


@pytest.mark.parametrize("nice", [20, -21, "low"])
def test_nice_that_is_none(hatchd, nice):
    mistake(hatchd, "nice", nice=nice)


K, M = 1024, 1024 * 1024
UNLIMITED = resource.RLIM_INFINITY

RLIMITS = {
    "as": ("512M", 512 * M, 512 * M),
    "core": ("1M:2M", M, 2 * M),
    "cpu": ("10s:1min", 10, 60),
    "data": ("1G", 1024 * M, 1024 * M),
    "fsize": ("64K", 64 * K, 64 * K),
    "locks": ("17", 17, 17),
    "memlock": ("32K:64K", 32 * K, 64 * K),
    "msgqueue": ("0", 0, 0),
    "nice": ("0", 0, 0),  # to raise it takes CAP_SYS_RESOURCE, which containers lack
    "nofile": ("100:200", 100, 200),
    "nproc": ("4000:8000", 4000, 8000),  # counts for the user: other tests have a thousand
    "rss": ("1G:unlimited", 1024 * M, UNLIMITED),
    "rtprio": ("0", 0, 0),
    "rttime": ("500ms:2s", 500000, 2000000),
    "sigpending": ("100", 100, 100),
    "stack": ("4M:8M", 4 * M, 8 * M),
}


@needs_root
def test_rlimit_all_at_once(look):
    found = look(rlimit={name: text for name, (text, *_) in RLIMITS.items()})
    assert found.limits == {name: (soft, hard) for name, (_, soft, hard) in RLIMITS.items()}


def test_rlimit_lowered(look):
    assert look(rlimit={"nofile": 64}).limits["nofile"] == (64, 64)


def test_rlimit_as_a_flag(hatchd, probe):
    port = free_port()
    hatchd.adhoc("-l", port, "--rlimit-nofile", "50:60", "--rlimit-core=0", "--", probe)
    limits = Probe(talk(port)).limits
    assert limits["nofile"] == (50, 60)
    assert limits["core"] == (0, 0)


@pytest.mark.parametrize(
    "name, value",
    [("nofile", "many"), ("as", "-1"), ("cpu", "1.5"), ("core", "2M:1M"), ("fd", "1")],
)
def test_rlimit_that_is_none(hatchd, name, value):
    mistake(hatchd, name, rlimit={name: value})


# -- environment and arguments


def test_env(look):
    found = look(env=["TZ=UTC", "EMPTY=", "TEXT=a b=c 'd' \"e\"", "PATH=/bin", "HOME=/tmp"])
    assert found.env["TZ"] == "UTC"
    assert found.env["EMPTY"] == ""
    assert found.env["TEXT"] == "a b=c 'd' \"e\""
    assert found.env["PATH"] == "/bin"
    assert found.env["HOME"] == "/tmp"


@pytest.mark.parametrize(
    "env", ["TCPREMOTEIP=1.2.3.4", "LISTEN_FDS=3", "=x", "1A=x", "NOVALUE"]
)
def test_env_that_may_not_be_set(hatchd, env):
    mistake(hatchd, "env", env=[env])


def test_pass_env(hatchd, probe):
    port = free_port()
    hatchd.file(
        service("look", listen=f"tcp:{port}", exec=probe, pass_env=["LANG", "COLOR", "UNSET"],
                env=["COLOR=ours"]),
        env={"LANG": "pt_PT.UTF-8", "COLOR": "theirs", "SECRET": "token"},
    )
    found = Probe(talk(port)).env
    assert found["LANG"] == "pt_PT.UTF-8"
    assert found["COLOR"] == "ours", "env wins"
    assert "SECRET" not in found
    assert "UNSET" not in found
    assert "NOTIFY_SOCKET" not in found


def test_pass_env_of_what_hatchd_sets(hatchd):
    mistake(hatchd, "pass_env", pass_env=["LISTEN_FDS"])


DIALECTS = {
    "socat": ["SOCAT_PEERADDR", "SOCAT_PEERPORT", "SOCAT_SOCKADDR", "SOCAT_SOCKPORT"],
    "ncat": ["NCAT_LOCAL_ADDR", "NCAT_LOCAL_PORT", "NCAT_PROTO", "NCAT_REMOTE_ADDR",
             "NCAT_REMOTE_PORT"],
    "cgi": ["GATEWAY_INTERFACE", "SERVER_NAME", "SERVER_SOFTWARE"],
}


@pytest.mark.parametrize("dialects", [["socat"], ["ncat"], ["cgi"], ["socat", "ncat", "cgi"]])
def test_env_dialect(hatchd, probe, dialects):
    port = free_port()
    hatchd.file(
        service("plain", listen=f"tcp:{free_port()}", exec=probe)
        + service("look", listen=f"tcp:{port}", exec=probe, env_dialect=dialects)
    )
    with connect(port) as client:
        remote = str(client.getsockname()[1])
        found = Probe(read_all(client)).env
    names = {name for name in found if name.startswith(("SOCAT_", "NCAT_"))
             or name in DIALECTS["cgi"]}
    assert names == {name for dialect in dialects for name in DIALECTS[dialect]}
    for name, value in (
        ("SOCAT_PEERADDR", "127.0.0.1"),
        ("SOCAT_PEERPORT", remote),
        ("SOCAT_SOCKPORT", str(port)),
        ("NCAT_REMOTE_PORT", remote),
        ("NCAT_PROTO", "TCP"),
        ("NCAT_LOCAL_ADDR", "127.0.0.1"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_NAME", "127.0.0.1"),
    ):
        assert found.get(name, value) == value


def test_argv0(look, probe):
    assert look(exec=[probe, "one", "two words", ""], argv0="-probe").args == [
        "-probe", "one", "two words", ""]


def test_arguments_are_not_interpreted(look, probe):
    words = ["$HOME", "*", "a;b", "`id`", '"', "'", "\\", "\u00e9"]
    assert look(exec=[probe, *words]).args == [probe, *words]


def test_shell(hatchd):
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:{port}", shell='echo "$0" "$HATCHD_SERVICE"'))
    assert talk(port) in (b"/bin/sh s\n", b"sh s\n")


def test_shell_and_exec_exclude_each_other(hatchd):
    mistake(hatchd, "only one of exec, shell, builtin and redirect",
            shell="true", exec="/bin/true")


def test_program_that_is_not_there(hatchd):
    """A condition: found at load, waits, others are served."""
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("missing", listen=f"tcp:{port}", exec="/usr/bin/no-such-program")
        + service("cat", listen=f"tcp:{other}", exec="/bin/cat")
    )
    daemon.wait_log("missing: waiting: .*no-such-program")
    assert talk(other, b"served") == b"served"


@needs_root
def test_program_of_root_that_others_may_write_is_refused(hatchd, folder):
    program = folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o777)
    mistake(hatchd, "writ", exec=program, user="root")


# -- stderr


def test_stderr_log(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell="echo oops >&2"))
    assert talk(port) == b""
    daemon.wait_log("^oops$")


def test_stderr_socket(hatchd):
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:{port}", shell="echo oops >&2", stderr="socket"))
    assert talk(port) == b"oops\n"


def test_stderr_null(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", stderr="null",
                                 shell="readlink /proc/self/fd/2; echo oops >&2"))
    assert talk(port) == b"/dev/null\n"
    daemon.wait_log("ended")
    assert "oops" not in daemon.text()


def test_stderr_into_a_file(hatchd, folder):
    """Opened by the child, with the rights of its user, and at its end."""
    port = free_port()
    target = folder / "errors"
    target.write_text("before\n")
    target.chmod(0o666)
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell="echo oops >&2", stderr=target))
    for _ in range(2):
        assert talk(port) == b""
    daemon.wait_children(0)
    assert target.read_text() == "before\noops\noops\n"


@needs_root
def test_stderr_into_a_file_of_another_user(hatchd, folder):
    port = free_port()
    target = folder / "errors"
    target.touch(mode=0o600)
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat", stderr=target))
    assert talk(port) == b""
    daemon.wait_log("unable to start /bin/cat: .*Permission denied")
    assert target.read_text() == ""


def test_stderr_that_is_none(hatchd):
    mistake(hatchd, "stderr", stderr="relative/path")


# -- limits


def hello_and_hold():
    """A shell program that says hello, and lives until its client hangs up."""
    return "echo hello; exec cat > /dev/null"


def test_instances(hatchd):
    """The third client waits in the kernel's queue, neither served nor refused."""
    port = free_port()
    daemon = hatchd.file(service("two", listen=f"tcp:{port}", shell=hello_and_hold(),
                                 instances=2, per_source=2))
    first, second = connect(port), connect(port)
    assert read_line(first) == read_line(second) == b"hello"
    third = connect(port)
    daemon.wait_log("two: full with 2 children, new clients would wait; the oldest is from "
                    f"127.0.0.1:{first.getsockname()[1]}")
    assert len(daemon.children()) == 2
    third.setblocking(False)
    with pytest.raises(BlockingIOError):
        third.recv(1)
    third.settimeout(20)

    first.close()
    assert read_line(third) == b"hello"
    assert len(daemon.children()) == 2
    for client in (second, third):
        client.close()


def test_many_wait_and_all_are_served(hatchd):
    port = free_port()
    hatchd.file(
        service("two", listen=f"tcp:{port}", exec="/bin/cat", instances=2, per_source=2)
    )
    clients = [connect(port) for _ in range(40)]
    for client in clients:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
    assert [read_all(client) for client in clients] == [b"hello"] * 40
    for client in clients:
        client.close()


def test_instances_none_at_all(hatchd):
    """0 is a number like any other: nobody is served."""
    port = free_port()
    daemon = hatchd.file(service("none", listen=f"tcp:{port}", exec="/bin/cat", instances=0))
    with connect(port) as client:
        client.settimeout(0.3)
        with pytest.raises(socket.timeout):
            client.recv(1)
    assert daemon.children() == []


@pytest.mark.parametrize("instances", ["unlimited", 1])
def test_instances_of_both_ends(hatchd, instances):
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat", instances=instances))
    assert [talk(port, b"x") for _ in range(3)] == [b"x"] * 3


@pytest.mark.parametrize("option", ["instances", "per_source"])
@pytest.mark.parametrize("value", ["-1", "many", "4294967296", "1.5", ""])
def test_counts_that_are_none(hatchd, option, value):
    mistake(hatchd, option, **{option: value})


def test_per_source(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell=hello_and_hold(),
                                 instances=10, per_source=2))
    mine = [connect(port) for _ in range(2)]
    for client in mine:
        assert read_line(client) == b"hello"

    with connect(port) as refused:
        name = refused.getsockname()[1]
        assert refused.recv(100) == b"", "closed at once"
    daemon.wait_log(f"s: refused 127.0.0.1:{name}: per_source")

    with connect(port, source="127.0.0.2") as other:
        assert read_line(other) == b"hello"

    mine[0].close()
    daemon.wait_children(1)
    with connect(port) as again:
        assert read_line(again) == b"hello"
    mine[1].close()


def test_per_source_is_half_of_instances(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", shell=hello_and_hold(), instances=4))
    mine = [connect(port) for _ in range(2)]
    for client in mine:
        assert read_line(client) == b"hello"
    with connect(port) as refused:
        assert refused.recv(100) == b""
    daemon.wait_log("refused .*: per_source")
    for client in mine:
        client.close()


def test_per_source_counts_users_of_unix_sockets(hatchd, folder):
    address = f"unix:{folder}/s"
    daemon = hatchd.file(service("s", listen=address, shell=hello_and_hold(),
                                 instances=10, per_source=1))
    with connect(address) as mine:
        assert read_line(mine) == b"hello"
        with connect(address) as refused:
            assert refused.recv(100) == b""
        daemon.wait_log(f"refused uid {os.geteuid()} pid {os.getpid()}: per_source")
        if IS_ROOT:
            assert unix_as(f"{folder}/s", 65534, 65534) == b"hello\n"


@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
@needs_root
def test_per_source_counts_networks_of_ipv6(hatchd):
    """One /64 is one source; a machine has as many addresses of it as it likes."""
    addresses = ("fd00:0:0:1::1/128", "fd00:0:0:1::2/128", "fd00:0:0:2::1/128")
    for address in addresses:
        ip("address", "add", address, "dev", "lo", "nodad")
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:{port}", shell=hello_and_hold(), instances=10,
                        per_source=1))
    server = f"tcp:[fd00:0:0:1::1]:{port}"
    try:
        with connect(server, source="fd00:0:0:1::1") as mine:
            assert read_line(mine) == b"hello"
            with connect(server, source="fd00:0:0:1::2") as neighbour:
                assert neighbour.recv(100) == b""
            with connect(server, source="fd00:0:0:2::1") as other:
                assert read_line(other) == b"hello"
    finally:
        for address in addresses:
            ip("address", "del", address, "dev", "lo")


def test_refusals_become_one_line(hatchd):
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", shell=hello_and_hold(),
                                 instances=10, per_source=1))
    with connect(port) as mine:
        assert read_line(mine) == b"hello"
        for _ in range(30):
            with connect(port) as refused:
                assert refused.recv(1) == b""
        daemon.wait_log("s: refused .*: per_source")
        assert daemon.text().count("refused") == 1


def test_total_instances(hatchd):
    """Full means that all services wait; nobody is refused."""
    one, two = free_port(), free_port()
    daemon = hatchd.file(
        "total_instances = 2\n"
        + service("one", listen=f"tcp:{one}", shell=hello_and_hold())
        + service("two", listen=f"tcp:{two}", shell=hello_and_hold())
    )
    first, second = connect(one), connect(two)
    assert read_line(first) == read_line(second) == b"hello"
    third = connect(one)
    daemon.wait_log(r"full with 2 children of all services \(total_instances\)")
    third.setblocking(False)
    with pytest.raises(BlockingIOError):
        third.recv(1)
    assert len(daemon.children()) == 2
    third.settimeout(20)
    second.close()
    assert read_line(third) == b"hello", "a place that two has left goes to one"
    first.close()
    third.close()


def test_start_timeout(hatchd, folder):
    """A program whose start hangs is killed; the next one may do better."""
    port = free_port()
    with Lease(folder) as program:
        daemon = hatchd.file(
            service("s", listen=f"tcp:{port}", exec=program.path, start_timeout="300ms"))
        with connect(port) as client:
            assert client.recv(1) == b""
        daemon.wait_log(f"unable to start {program.path}: exec: killed after start_timeout")
    assert talk(port, b"well again") == b"well again"


@pytest.mark.parametrize("value", ["99ms", "2h", "soon", "-1s"])
def test_start_timeout_that_is_none(hatchd, value):
    mistake(hatchd, "start_timeout", start_timeout=value)


def test_stop_leave_and_terminate(hatchd):
    leave, terminate = free_port(), free_port()
    daemon = hatchd.file(
        service("leave", listen=f"tcp:{leave}", exec="/bin/cat", stop="leave")
        + service("terminate", listen=f"tcp:{terminate}", exec="/bin/cat", stop="terminate")
    )
    with connect(leave) as stays, connect(terminate) as goes:
        daemon.wait_children(2)
        daemon.stop(leave=True)
        assert goes.recv(100) == b""
        stays.sendall(b"still here")
        assert read_exactly(stays, 10) == b"still here"


def test_stop_terminates_the_whole_pipeline(hatchd, folder):
    """A shell that waits for others does not keep them from the signal."""
    port = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{port}", stop="terminate",
                                 shell="echo hello; sleep 1000 | cat"))
    with connect(port) as client:
        assert read_line(client) == b"hello"
        daemon.stop(leave=True)
        assert read_all(client) == b""


# -- sockets


def ss(port):
    """What ss(8) tells about the listening socket of a port."""
    command = ["ss", "-lntme", f"sport = :{port}"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def test_backlog(hatchd):
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:{port}", exec="/bin/cat", backlog=17))
    assert re.search(rf"LISTEN\s+0\s+17\s+\S+:{port}", ss(port))


@pytest.mark.parametrize("backlog", [0, -1, "2147483648", "long"])
def test_backlog_that_is_none(hatchd, backlog):
    mistake(hatchd, "backlog", backlog=backlog)


def test_reuse_port(hatchd):
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", reuse_port=True))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", port))


def test_port_is_not_shared_unless_said(hatchd):
    port = free_port()
    hatchd.file(service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat"))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError):
            other.bind(("127.0.0.1", port))


@needs_root
def test_bind_to_device(hatchd):
    """A client on another interface finds nobody; here one on a veth."""
    ip("link", "add", "hveth0", "type", "veth", "peer", "name", "hveth1")
    try:
        ip("link", "set", "hveth0", "up")
        ip("link", "set", "hveth1", "up")
        lo, veth = free_port(), free_port()
        hatchd.file(
            service("lo", listen=f"tcp:{lo}", exec="/bin/cat", bind_to_device="lo")
            + service("veth", listen=f"tcp:{veth}", exec="/bin/cat", bind_to_device="hveth0")
        )
        assert talk(lo, b"over lo") == b"over lo"
        assert is_refused(veth)
    finally:
        ip("link", "del", "hveth0")


def test_device_that_is_not_there(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp:{port}", exec="/bin/cat", bind_to_device="none0")
    )
    daemon.wait_log("none0")
    assert is_refused(port)


def test_bind_to_device_that_is_none(hatchd):
    mistake(hatchd, "bind_to_device", bind_to_device="far-too-long-a-name")


@needs_root
def test_free_bind(hatchd):
    """An address that comes later."""
    port = free_port()
    daemon = hatchd.file(
        service("later", listen=f"tcp:192.0.2.1:{port}", exec="/bin/cat", free_bind=True))
    daemon.wait_log("ready: 1 service on 1 address")
    ip("address", "add", "192.0.2.1/32", "dev", "lo")
    try:
        assert talk(f"tcp:192.0.2.1:{port}", b"here I am") == b"here I am"
    finally:
        ip("address", "del", "192.0.2.1/32", "dev", "lo")


def test_address_that_the_machine_does_not_have(hatchd):
    daemon = hatchd.file(service("s", listen=f"tcp:192.0.2.77:{free_port()}", exec="/bin/cat"))
    daemon.wait_log("unable to bind tcp:192.0.2.77:.*Cannot assign requested address")


OPTION_PROBE = (
    "import socket; s = socket.socket(fileno=0); "
    "s.sendall(repr([s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), "
    "s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "
    "s.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF), "
    "s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), s.getblocking()]).encode())"
)


def socket_of_child(hatchd, **options):
    port = free_port()
    program = [PYTHON, "-S", "-E", "-c", OPTION_PROBE]
    hatchd.file(service("look", listen=f"tcp:{port}", exec=program, **options))
    keepalive, nodelay, send, receive, blocking = eval(talk(port))
    return {"keepalive": keepalive, "nodelay": nodelay, "send": send, "receive": receive,
            "blocking": blocking}


def test_keepalive_and_nodelay_are_off(hatchd):
    found = socket_of_child(hatchd)
    assert (found["keepalive"], found["nodelay"], found["blocking"]) == (0, 0, True)


def test_keepalive(hatchd):
    assert socket_of_child(hatchd, keepalive=True)["keepalive"] == 1


def test_nodelay(hatchd):
    assert socket_of_child(hatchd, nodelay=True)["nodelay"] == 1


def test_send_buffer_and_receive_buffer(hatchd):
    """The kernel doubles what is asked for."""
    found = socket_of_child(hatchd, send_buffer="32K", receive_buffer="48K")
    assert (found["send"], found["receive"]) == (2 * 32 * K, 2 * 48 * K)


# -- options of the socket as the child finds them on its descriptor 0

SOL_IP, SOL_TCP, SOL_IPV6, SOL_SOCKET = 0, 6, 41, 1
OPTION = {
    "SO_BROADCAST": (SOL_SOCKET, 6), "SO_PRIORITY": (SOL_SOCKET, 12),
    "SO_MARK": (SOL_SOCKET, 36),
    "IP_TOS": (SOL_IP, 1), "IP_TTL": (SOL_IP, 2), "IP_TRANSPARENT": (SOL_IP, 19),
    "IPV6_UNICAST_HOPS": (SOL_IPV6, 16), "IPV6_TCLASS": (SOL_IPV6, 67),
    "IPV6_TRANSPARENT": (SOL_IPV6, 75), "TCP_KEEPIDLE": (SOL_TCP, 4),
    "TCP_KEEPINTVL": (SOL_TCP, 5), "TCP_KEEPCNT": (SOL_TCP, 6),
    "TCP_CONGESTION": (SOL_TCP, 13), "TCP_USER_TIMEOUT": (SOL_TCP, 18),
    "TCP_FASTOPEN": (SOL_TCP, 23),
}

# Answers the first client, over the connection or by accepting or receiving itself.
ANSWER_OPTION = """
import socket, sys
level, number, size = map(int, sys.argv[1:4])
s = socket.socket(fileno=0)
value = s.getsockopt(level, number, size) if size else s.getsockopt(level, number)
answer = repr(value).encode()
if sys.argv[4] == "datagram":
    s.sendto(answer, s.recvfrom(100)[1])
elif sys.argv[4] == "listener":
    s.accept()[0].sendall(answer)
else:
    s.sendall(answer)
"""


def option_program(name, role):
    level, number = OPTION[name]
    size = 16 if name == "TCP_CONGESTION" else 0
    return [PYTHON, "-S", "-E", "-c", ANSWER_OPTION, level, number, size, role]


def option_of_child(hatchd, name, address="tcp4:{}", client="tcp:127.0.0.1:{}", wait=None,
                    **options):
    """The value of one option of the socket that the child has."""
    port = free_port()
    role = "datagram" if address.startswith("udp") else "listener" if wait else "connection"
    hatchd.file(service("look", listen=address.format(port), wait=wait,
                        exec=option_program(name, role), **options))
    if role == "datagram":
        return eval(udp(client.format(port), b"x")[0])
    return eval(talk(client.format(port)))


def test_tos(hatchd):
    assert option_of_child(hatchd, "IP_TOS", tos="low-delay") == 0x10


def test_tos_as_a_number(hatchd):
    assert option_of_child(hatchd, "IP_TOS", tos="0xb8") == 0xb8


def test_tos_of_datagrams(hatchd):
    assert option_of_child(hatchd, "IP_TOS", "udp4:{}", "udp:127.0.0.1:{}", wait=True,
                           tos="low-cost") == 0x02


@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("name, client", [("IP_TOS", "tcp:127.0.0.1:{}"),
                                          ("IPV6_TCLASS", "tcp:[::1]:{}")])
def test_tos_for_both_versions_of_ip(hatchd, name, client):
    assert option_of_child(hatchd, name, "tcp:{}", client, tos=8) == 8


def test_ttl(hatchd):
    assert option_of_child(hatchd, "IP_TTL", ttl=9) == 9


@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
def test_ttl_of_ipv6(hatchd):
    assert option_of_child(hatchd, "IPV6_UNICAST_HOPS", "tcp6:{}", "tcp:[::1]:{}", ttl=9) == 9


def test_priority(hatchd):
    """The kernel does not hand it down from the listener."""
    assert option_of_child(hatchd, "SO_PRIORITY", priority=5) == 5


def test_priority_beside_tos(hatchd):
    """Which has one of its own."""
    assert option_of_child(hatchd, "SO_PRIORITY", "udp4:{}", "udp:127.0.0.1:{}", wait=True,
                           priority=3, tos="low-delay") == 3


def test_broadcast(hatchd):
    assert option_of_child(hatchd, "SO_BROADCAST", "udp4:{}", "udp:127.0.0.1:{}", wait=True,
                           broadcast=True) == 1


@needs_root
def test_mark(hatchd):
    assert option_of_child(hatchd, "SO_MARK", mark="0x7f") == 0x7f


@needs_root
@pytest.mark.parametrize("name, listen", [("IP_TRANSPARENT", "tcp4:{}"),
                                          ("IPV6_TRANSPARENT", "tcp:{}")])
def test_transparent(hatchd, name, listen):
    assert option_of_child(hatchd, name, listen, transparent=True) == 1


@needs_root
def test_transparent_binds_what_belongs_to_others(hatchd):
    port = free_port()
    daemon = hatchd.file(service(
        "s", listen=f"tcp:192.0.2.77:{port}", exec="/bin/cat", transparent=True))
    daemon.wait_log("ready: 1 service on 1 address")


def test_keepalive_timers(hatchd):
    timers = {"keepalive_time": "2min", "keepalive_interval": "11s", "keepalive_probes": 3}
    for name, value in (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 11), ("TCP_KEEPCNT", 3)):
        assert option_of_child(hatchd, name, keepalive=True, **timers) == value


def test_keepalive_timers_are_options(hatchd):
    """Each of them by its name."""
    done = hatchd.check(service("s", listen="tcp:1", exec="/bin/cat", keepalive=True,
                                keepalive_time=9, keepalive_interval=9, keepalive_probes=9))
    assert (done.returncode, done.stderr) == (0, "")


def test_defer_accept(hatchd):
    """A silent client starts nothing; one that speaks is served at once."""
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp4:{port}", exec="/bin/cat", defer_accept="1h"))
    with connect(port) as silent:
        assert talk(port, b"x") == b"x"
        daemon.wait_log("ended: exit 0")
        assert daemon.children() == []
        silent.sendall(b"now")
        assert silent.recv(3) == b"now"


def test_fast_open(hatchd):
    assert option_of_child(hatchd, "TCP_FASTOPEN", wait=True, fast_open=7) == 7


def test_user_timeout(hatchd):
    assert option_of_child(hatchd, "TCP_USER_TIMEOUT", user_timeout="1500ms") == 1500


def test_congestion(hatchd):
    """Reno is in every kernel, and allowed to everybody."""
    found = option_of_child(hatchd, "TCP_CONGESTION", congestion="reno")
    assert found.rstrip(b"\0") == b"reno"


def test_congestion_that_is_not_there(hatchd):
    port = free_port()
    daemon = hatchd.file(
        service("s", listen=f"tcp4:{port}", exec="/bin/cat", congestion="nosuch"))
    daemon.wait_log(f"unable to set TCP_CONGESTION to nosuch on tcp4:{port}: "
                    "this kernel has no congestion control of that name")


@needs_root
def test_option_that_takes_a_privilege(hatchd):
    """A hatchd without it: the service waits, and the log says for what."""
    port = free_port()

    def drop():
        for capability in (12, 13):  # CAP_NET_ADMIN, CAP_NET_RAW
            harness.libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP

    daemon = hatchd.file(
        service("s", listen=f"tcp4:{port}", exec="/bin/cat", mark=7), preexec=drop)
    daemon.wait_log(f"unable to set SO_MARK on tcp4:{port}: Operation not permitted")
    daemon.wait_log("ready: 0 services")


@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    "listen, v6only, four, six",
    [
        ("tcp:{}", None, True, True),
        ("tcp:{}", True, False, True),
        ("tcp6:{}", None, False, True),
        ("tcp6:{}", False, True, True),
        ("tcp4:{}", None, True, False),
        ("tcp:[::1]:{}", None, False, True),
    ],
)
def test_v6only(hatchd, listen, v6only, four, six):
    port = free_port()
    hatchd.file(service("s", listen=listen.format(port), exec="/bin/cat", v6only=v6only))
    for address, served in ((f"tcp:127.0.0.1:{port}", four), (f"tcp:[::1]:{port}", six)):
        if served:
            assert talk(address, b"x") == b"x"
        else:
            assert is_refused(address)


def test_range(hatchd):
    first = free_port()
    while [free_port() for _ in range(3)] != [first + 1, first + 2, first + 3]:
        first = free_port()
    daemon = hatchd.file(service("s", listen=f"tcp:{first}-{first + 3}", exec="/bin/cat"))
    daemon.wait_log("ready: 1 service on 4 addresses")
    for port in range(first, first + 4):
        assert talk(port, b"x") == b"x"


def test_service_names(hatchd):
    """/etc/services: 7 is echo."""
    if not IS_ROOT:
        pytest.skip("needs root, for a port below 1024")
    try:
        port = socket.getservbyname("echo", "tcp")
    except OSError:
        pytest.skip("/etc/services does not know echo")
    hatchd.file(service("s", listen="tcp:echo", exec="/bin/cat"))
    assert talk(port, b"Bom dia") == b"Bom dia"


@pytest.mark.parametrize(
    "listen",
    ["tcp:no-such-service", "tcp:70000", "tcp:10-9", "tcp:localhost:80", "http:80", "tcp:"]
    + ["tcp:1.2.3:80", "tcp:[::1:80", "unix:", "fd:", "tcp:80:90", "-1"],
)
def test_listen_that_is_no_address(hatchd, listen):
    mistake(hatchd, "", listen=listen)


def test_addresses_that_overlap(hatchd):
    port = free_port()
    config = service("one", listen=f"tcp:{port}", exec="/bin/cat") + service(
        "two", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat")
    done = hatchd.check(config)
    assert done.returncode == 1
    assert "overlaps" in done.stderr


def test_disable(hatchd):
    port, other = free_port(), free_port()
    daemon = hatchd.file(
        service("off", listen=f"tcp:{port}", exec="/bin/cat", disable=True)
        + service("on", listen=f"tcp:{other}", exec="/bin/cat")
    )
    daemon.wait_log("ready: 1 service on 1 address")
    assert is_refused(port)


def test_disabled_services_are_checked(hatchd):
    mistake(hatchd, "umask", disable=True, umask="999")


# -- sockets of the service manager

ACTIVATE = """
import os, socket, sys
fds = [int(fd) for fd in sys.argv[2].split(",")]
high = [os.dup2(fd, 100 + n) for n, fd in enumerate(fds)]
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n, inheritable=True)
os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[1])
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
"""


def activated(hatchd, config, sockets, **more):
    """hatchd as a service manager with socket units starts it."""
    names = ":".join(name for name, _ in sockets)
    fds = [sock.fileno() for _, sock in sockets]
    return hatchd.file(
        config, pass_fds=fds,
        launcher=[PYTHON, "-S", "-E", "-c", ACTIVATE, names, ",".join(map(str, fds))], **more)


def test_fd_by_name(hatchd):
    port = free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        activated(hatchd, service("s", listen="fd:web", exec="/bin/cat"), [("web", listener)])
    assert talk(port, b"handed over") == b"handed over"


def test_fd_environment_and_descriptors(hatchd, probe):
    port = free_port()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        activated(hatchd, service("s", listen="fd:web", exec=probe), [("web", listener)])
    found = Probe(talk(port))
    assert sorted(found.fds) == [0, 1, 2]
    assert found.env["TCPLOCALPORT"] == str(port)
    assert not [name for name in found.env if name.startswith("LISTEN_")]


def test_fd_with_a_datagram_from_before(hatchd):
    """It has no time stamp, so one cannot be told from the next: still no busy loop."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
        waiting.bind(("127.0.0.1", 0))
        with connect("udp:127.0.0.1:%d" % waiting.getsockname()[1]) as client:
            client.send(b"early")
            config = service("lazy", listen="fd:early", wait=True, exec="/bin/false")
            daemon = activated(hatchd, config, [("early", waiting)])
            daemon.wait_log("without taking what woke it, retrying in 100 ms")
            before = daemon.mark()
            select.select([], [], [], 1)  # the period observed
            ended = [line for line in daemon.log.lines[before:] if "ended: " in line]
            assert len(ended) <= 11
            daemon.stop(leave=True)


def test_fd_that_nobody_handed_over(hatchd):
    daemon = hatchd.file(service("s", listen="fd:web", exec="/bin/cat"))
    daemon.wait_log("unable to take over socket fd:web: the service manager handed over none")


def test_fd_that_nobody_wants(hatchd):
    port = free_port()
    with socket.socket() as listener, socket.socket() as stray:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        stray.bind(("127.0.0.1", 0))
        stray.listen()
        name = stray.getsockname()
        daemon = activated(hatchd, service("s", listen="fd:web", exec="/bin/cat"),
                           [("other", stray), ("web", listener)])
    daemon.wait_log(rf"a socket handed over as 'other', tcp:127\.0\.0\.1:{name[1]}, is for no "
                    "service; add listen = fd:other$")
    assert talk(port, b"x") == b"x"
    assert not is_refused(name[1])


WRONG_KIND = "unable to take over socket fd:web: it is not a listening socket of a kind"


def test_fd_of_the_wrong_kind(hatchd):
    """Nobody has said that what is built in may answer whoever sends datagrams there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.1", 0))
        daemon = activated(hatchd, stanza("service", "s", listen="fd:web", builtin="echo"),
                           [("web", datagram)])
    daemon.wait_log(WRONG_KIND)


def test_fd_that_the_next_configuration_can_serve(hatchd):
    """It is the service manager's, and not lost because nobody could serve it yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.1", 0))
        builtin = stanza("service", "s", listen="fd:web", builtin="echo")
        program = service("s", listen="fd:web", exec=["/usr/bin/tr", "a-z", "A-Z"],
                          per_datagram=True)
        daemon = activated(hatchd, builtin, [("web", datagram)])
        address = "udp:127.0.0.1:%d" % datagram.getsockname()[1]
        daemon.wait_log(WRONG_KIND)
        for _ in range(2):
            reload(daemon, program)
            assert udp(address, b"bom dia") == [b"BOM DIA"]
            # One that it could be started with, and not be reloaded to.
            mark = daemon.mark()
            reload(daemon, builtin)
            daemon.wait_log(WRONG_KIND, after=mark)
            # The process that has had it takes nothing from it any more.
            daemon.wait_log("ended: ended,", after=mark)
    assert "closing it" not in daemon.text()


def test_fd_of_datagrams_whose_senders_have_to_be_known(hatchd):
    """Nobody can be asked about them, which shows when the socket is there: at the start, or
    when it was served without that before."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.1", 0))
        program = {"listen": "fd:web", "exec": ["/usr/bin/tr", "a-z", "A-Z"],
                   "per_datagram": True}
        required = service("s", ident="required", **program)
        reason = ("s: waiting: unable to take over socket fd:web: it is for datagrams, and "
                  "ident = required is for connections")
        daemon = activated(hatchd, required, [("web", datagram)])
        address = "udp:127.0.0.1:%d" % datagram.getsockname()[1]
        daemon.wait_log(reason)
        reload(daemon, service("s", ident="yes", **program))
        assert udp(address, b"bom dia") == [b"BOM DIA"]
        mark = daemon.mark()
        reload(daemon, required)
        daemon.wait_log(reason, after=mark)


def test_fd_of_datagrams(hatchd):
    """A program for each sender; the socket is the service manager's, and stays."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.1", 0))
        activated(hatchd, service("s", listen="fd:web", exec=["/usr/bin/tr", "a-z", "A-Z"],
                                  per_datagram=True), [("web", datagram)])
        address = "udp:127.0.0.1:%d" % datagram.getsockname()[1]
        assert udp(address, b"bom dia") == [b"BOM DIA"]


# -- pass_as

LISTEN_FDS_SERVER = """
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid())
assert os.environ["LISTEN_FDNAMES"] == "app:app"
import select
listeners = [socket.socket(fileno=3 + n) for n in range(int(os.environ["LISTEN_FDS"]))]
for _ in range(2):
    ready = select.select(listeners, [], [])[0][0]
    connection, peer = ready.accept()
    connection.sendall(b"port %d" % connection.getsockname()[1])
    connection.close()
"""


def test_pass_as_listen_fds(hatchd):
    """One child for all sockets; the first client on any of them starts it."""
    one, two = free_port(), free_port()
    daemon = hatchd.file(service(
        "app", listen=[f"tcp4:{one}", f"tcp4:{two}"], wait=True, pass_as="listen_fds",
        exec=[PYTHON, "-S", "-E", "-c", LISTEN_FDS_SERVER]))
    for _ in range(2):
        assert talk(two) == b"port %d" % two
        (child,) = daemon.children()
        assert talk(one) == b"port %d" % one
        wait_exit(child)
    daemon.wait_log("ended: exit 0", count=2)


def test_pass_as_stdio_has_a_child_per_socket(hatchd, folder):
    one, two = free_port(), free_port()
    program = [PYTHON, "-S", "-E", helper("handed_over.py", folder)]
    daemon = hatchd.file(service("s", listen=[f"tcp4:{one}", f"tcp4:{two}"], wait=True,
                                 pass_as="stdio", exec=program))
    with connect(one) as first, connect(two) as second:
        for client in (first, second):
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert len(daemon.children()) == 2


def test_pass_as_listen_fds_needs_wait(hatchd):
    mistake(hatchd, "listen_fds needs wait = yes", pass_as="listen_fds")


@pytest.mark.parametrize(
    "option, value",
    [
        ("wait", "maybe"),
        ("pass_as", "fds"),
        ("stop", "kill"),
        ("groups", "2"),
        ("env_dialect", "djb"),
        ("send_buffer", "3X"),
        ("receive_buffer", "-1"),
        ("keepalive", "10s"),
        ("nodelay", "x"),
        ("v6only", "4"),
        ("reuse_port", ""),
        ("free_bind", "x"),
        ("disable", "perhaps"),
        ("socket_mode", "rw"),
        ("directory", "relative"),
        ("chroot", "relative"),
        ("transparent", "x"),
        ("mark", "0x"),
        ("tos", "fast"),
        ("priority", "-1"),
        ("ttl", "0"),
        ("ttl", "256"),
        ("broadcast", "all"),
        ("keepalive_time", "10ms"),
        ("keepalive_interval", "0"),
        ("keepalive_probes", "0"),
        ("defer_accept", "2h"),
        ("fast_open", "yes"),
        ("user_timeout", "1us"),
        ("congestion", "a/b"),
    ],
)
def test_values_that_are_none(hatchd, option, value):
    mistake(hatchd, option, **{option: value})
