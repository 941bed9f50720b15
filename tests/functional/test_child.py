"""A child sees what is written down, and nothing else (I8).

helpers/probe.c tells what it finds.  The same is expected whatever hatchd was
started from: an ordinary parent or a careless one (helpers/dirty.py).
"""

import os
import pwd
import re
import resource
import subprocess
import time

import pytest

from harness import (
    IS_ROOT, PYTHON, Probe, connect, default_user, free_port, have_ipv6, helper, proc_stat,
    read_all, read_exactly, service, talk,
)

needs_root = pytest.mark.needs_root

ACCOUNT = pwd.getpwnam(default_user())
USER_PATH = "/usr/local/bin:/usr/bin:/bin"
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture
def probe(folder):
    return helper("probe", folder)


def launcher(name, folder, *args):
    return [PYTHON, "-S", "-E", helper(name, folder), *args]


def look(address, **more):
    """A connection to a service whose program is the probe."""
    return Probe(talk(address, **more))


# -- environment


def environment_of_user(name, connection="1"):
    return {
        "PATH": ROOT_PATH if ACCOUNT.pw_uid == 0 else USER_PATH,
        "HOME": ACCOUNT.pw_dir,
        "USER": ACCOUNT.pw_name,
        "LOGNAME": ACCOUNT.pw_name,
        "SHELL": "/bin/sh",
        "HATCHD_SERVICE": name,
        "HATCHD_CONNECTION": connection,
    }


def environment(found):
    """But for the mark, which names this hatchd."""
    left = dict(found.env)
    assert re.fullmatch(r"[0-9a-f]{16}-\d+-\d+-\d+", left.pop("HATCHD_MASTER"))
    return left


def environment_of_tcp(local, port, remote, remote_port):
    return {
        "PROTO": "TCP",
        "TCPLOCALIP": local,
        "TCPLOCALPORT": str(port),
        "TCPREMOTEIP": remote,
        "TCPREMOTEPORT": str(remote_port),
        "SERVER_ADDR": local,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": remote,
        "REMOTE_PORT": str(remote_port),
        "REMOTE_HOST": remote,
    }


@pytest.mark.parametrize("listen", ["tcp:{}", "tcp4:{}", "tcp:127.0.0.1:{}"])
def test_environment_over_ipv4(hatchd, probe, listen):
    """A client of IPv4 is one of IPv4, whatever socket it came in through."""
    port = free_port()
    hatchd.file(service("look", listen=listen.format(port), exec=probe))
    with connect(port) as client:
        remote_port = client.getsockname()[1]
        found = Probe(read_all(client))
    assert environment(found) == {
        **environment_of_user("look"),
        **environment_of_tcp("127.0.0.1", port, "127.0.0.1", remote_port),
    }


@needs_root
def test_environment_names_the_address_that_was_meant(hatchd, probe):
    port = free_port()
    hatchd.file(service("look", listen=f"tcp:{port}", exec=probe))
    found = look(f"tcp:127.0.0.5:{port}", source="127.0.0.9")
    assert (found.env["TCPLOCALIP"], found.env["TCPREMOTEIP"]) == ("127.0.0.5", "127.0.0.9")


@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("listen", ["tcp:{}", "tcp6:{}", "tcp:[::1]:{}"])
def test_environment_over_ipv6(hatchd, probe, listen):
    port = free_port()
    hatchd.file(service("look", listen=listen.format(port), exec=probe))
    with connect(f"tcp:[::1]:{port}") as client:
        remote_port = client.getsockname()[1]
        found = Probe(read_all(client))
    assert environment(found) == {
        **environment_of_user("look"),
        **environment_of_tcp("::1", port, "::1", remote_port),
    }


@pytest.mark.parametrize("kind", ["unix", "unix-seqpacket"])
def test_environment_over_unix(hatchd, folder, probe, kind):
    hatchd.file(service("look", listen=f"{kind}:{folder}/s", exec=[probe]))
    with connect(f"{kind}:{folder}/s") as client:
        parts = []
        while not parts or parts[-1]:
            parts.append(client.recv(100000))
    found = Probe(b"".join(parts))
    assert environment(found) == {
        **environment_of_user("look"),
        "PROTO": "IPC",
        "IPCLOCALPATH": f"{folder}/s",
        "IPCREMOTEEUID": str(os.geteuid()),
        "IPCREMOTEEGID": str(os.getegid()),
        "IPCREMOTEPID": str(os.getpid()),
    }


def test_environment_over_abstract_unix(hatchd, probe):
    name = f"@hatchd-test-{os.getpid()}"
    hatchd.file(service("look", listen=f"unix:{name}", exec=probe))
    assert look(f"unix:{name}").env["IPCLOCALPATH"] == name


def output_file(folder):
    """A waiting child has no connection to print to; a file will do."""
    output = folder / "output"
    output.touch()
    output.chmod(0o666)
    return output


def take_one(fd, method="accept()"):
    """Shell text: take what woke the child, so that it is a good one."""
    return f"{PYTHON} -S -E -c 'import socket; socket.socket(fileno={fd}).{method}'"


@pytest.mark.parametrize("pass_as", ["stdio", "listen_fds"])
@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_environment_of_a_waiting_child(hatchd, folder, kind, pass_as):
    """No client has been accepted, so nothing is said about one."""
    port = free_port()
    listen = f"unix:{folder}/s" if kind == "unix" else f"{kind}:127.0.0.1:{port}"
    output = output_file(folder)
    descriptor = 3 if pass_as == "listen_fds" else 0
    take = take_one(descriptor, "recv(9)" if kind == "udp" else "accept()")
    shell = f"{helper('probe', folder)} > {output}; {take}"
    config = service("look", listen=listen, wait=True, pass_as=pass_as, shell=shell)
    daemon = hatchd.file(config)
    with connect(listen) as client:
        if kind == "udp":
            client.send(b"wake up")
        daemon.wait_log("ended: exit 0")

    found = Probe(output.read_bytes())
    expected = environment_of_user("look")
    if kind == "unix":
        expected.update(PROTO="IPC", IPCLOCALPATH=f"{folder}/s")
    else:
        name = kind.upper()
        expected.update({
            "PROTO": name, f"{name}LOCALIP": "127.0.0.1", f"{name}LOCALPORT": str(port),
            "SERVER_ADDR": "127.0.0.1", "SERVER_PORT": str(port),
        })
    if pass_as == "listen_fds":
        # It is the shell that was started; /bin/sh may take its own number.
        expected.update(
            LISTEN_FDS="1", LISTEN_FDNAMES="look", LISTEN_PID=found.env.get("LISTEN_PID")
        )
        assert found.env["LISTEN_PID"] == daemon.wait_log(r"child (\d+) ended")[1]
    for name in ("PWD", "OLDPWD", "_", "SHLVL"):  # what the shell adds
        found.env.pop(name, None)
    assert environment(found) == expected


def test_connections_are_counted(hatchd, probe):
    port = free_port()
    daemon = hatchd.file(service("look", listen=f"tcp:{port}", exec=probe))
    assert [look(port).env["HATCHD_CONNECTION"] for _ in range(3)] == ["1", "2", "3"]
    daemon.wait_children(0)


# -- everything else, from parents of all sorts

PARENTS = ["clean", "dirty"]


def start(hatchd, folder, parent, **options):
    port = free_port()
    options.setdefault("exec", helper("probe", folder))
    more = {"launcher": launcher("dirty.py", folder)} if parent == "dirty" else {}
    daemon = hatchd.file(service("look", listen=f"tcp:{port}", **options), **more)
    return daemon, port


@pytest.mark.parametrize("parent", PARENTS)
def test_descriptors_are_the_connection_and_the_log(hatchd, folder, parent):
    daemon, port = start(hatchd, folder, parent)
    found = look(port)
    assert sorted(found.fds) == [0, 1, 2]
    assert found.fds[0] == found.fds[1]
    assert found.fds[0].startswith("socket:")
    assert found.fds[2].startswith("pipe:"), "standard error of hatchd itself"


def test_descriptors_under_load(hatchd, folder):
    """Others come and go meanwhile, and lend their descriptors to their children."""
    daemon, port = start(hatchd, folder, "clean", exec=[helper("probe", folder), "hold"])
    clients = [connect(port) for _ in range(60)]
    for client in clients:
        client.shutdown(1)
    for client in clients:
        assert sorted(Probe(read_all(client)).fds) == [0, 1, 2]
        client.close()


@pytest.mark.parametrize("parent", PARENTS)
@pytest.mark.parametrize("count", [1, 3])
def test_descriptors_of_passed_listeners(hatchd, folder, parent, count):
    ports = [free_port() for _ in range(count)]
    output = output_file(folder)
    shell = f"{helper('probe', folder)} > {output}; {take_one(3)}"
    more = {"launcher": launcher("dirty.py", folder)} if parent == "dirty" else {}
    daemon = hatchd.file(
        service("look", listen=[f"tcp4:{port}" for port in ports], wait=True,
                pass_as="listen_fds", shell=shell),
        **more,
    )
    with connect(ports[0]):
        daemon.wait_log("ended: exit 0")
    found = Probe(output.read_bytes())
    assert sorted(found.fds) == list(range(3 + count))
    assert found.fds[0] == "/dev/null"
    assert len({found.fds[3 + n] for n in range(count)}) == count
    assert found.env["LISTEN_FDS"] == str(count)
    assert found.env["LISTEN_FDNAMES"] == ":".join(["look"] * count)


@pytest.mark.parametrize("parent", PARENTS)
def test_signals_are_clean(hatchd, folder, parent):
    daemon, port = start(hatchd, folder, parent)
    status = look(port).status
    for name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"):
        assert int(status[name], 16) == 0, name


@pytest.mark.parametrize("parent", PARENTS)
def test_session_and_group_of_its_own(hatchd, folder, parent):
    daemon, port = start(hatchd, folder, parent)
    first, second = look(port), look(port)
    for found in (first, second):
        assert found["sid"] == found["pgrp"] == found["pid"]
        assert found["tty"] == "no"
    assert first["sid"] != second["sid"]


@pytest.mark.parametrize("parent", PARENTS)
def test_umask_and_folder(hatchd, folder, parent):
    daemon, port = start(hatchd, folder, parent)
    found = look(port)
    assert found["umask"] == "0022"
    assert found["cwd"] == "/"


@pytest.mark.parametrize("parent", PARENTS)
def test_environment_of_any_parent(hatchd, folder, parent):
    daemon, port = start(hatchd, folder, parent)
    with connect(port) as client:
        remote_port = client.getsockname()[1]
        found = Probe(read_all(client))
    assert environment(found) == {
        **environment_of_user("look"),
        **environment_of_tcp("127.0.0.1", port, "127.0.0.1", remote_port),
    }


def test_limits_are_those_hatchd_was_started_with(hatchd, folder):
    """hatchd raises its own number of descriptors and lowers the core limit, for itself."""
    daemon, port = start(hatchd, folder, "dirty")
    limits = look(port).limits
    assert limits["nofile"] == (512, 4096)
    assert limits["core"] == (12345, 1234567)


def test_other_limits_are_untouched(hatchd, folder):
    daemon, port = start(hatchd, folder, "clean")
    limits = look(port).limits
    for name, found in limits.items():
        resource_of_python = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if resource_of_python is not None:
            assert found == resource.getrlimit(resource_of_python), name


@pytest.mark.parametrize("parent", PARENTS)
def test_scheduling_is_not_that_of_hatchd(hatchd, folder, parent):
    daemon, port = start(hatchd, folder, parent)
    found = look(port)
    assert found["policy"] == str(os.SCHED_OTHER)
    assert found["affinity"] == str(len(os.sched_getaffinity(0)))
    assert found["ioprio"] == "0"
    assert found["slack"] == "50000"
    assert found["oom"] == "0"


@needs_root
@pytest.mark.parametrize("parent", PARENTS)
def test_keyring_of_its_own(hatchd, folder, parent):
    port = free_port()
    more = {"launcher": launcher("dirty.py", folder, "--keyring")} if parent == "dirty" else {}
    hatchd.file(service("look", listen=f"tcp:{port}", exec=helper("probe", folder)), **more)
    first, second = look(port), look(port)
    if first.get("keyring") is None:
        pytest.skip("this kernel has no keyrings")
    own = subprocess.run([helper("probe", folder)], stdout=subprocess.PIPE).stdout
    assert first["keyring"] != second["keyring"]
    assert first["keyring"] != Probe(own).get("keyring")
    assert "stray" not in first["keyring_name"]


@needs_root
@pytest.mark.parametrize("parent", PARENTS)
def test_groups_are_exactly_those_of_the_user(hatchd, folder, parent):
    daemon, port = start(hatchd, folder, parent)
    found = look(port)
    expected = sorted(os.getgrouplist(ACCOUNT.pw_name, ACCOUNT.pw_gid))
    assert sorted(map(int, found["groups"].split())) == expected
    assert found.status["Uid"].split() == [str(ACCOUNT.pw_uid)] * 4
    assert found.status["Gid"].split() == [str(ACCOUNT.pw_gid)] * 4


@needs_root
@pytest.mark.parametrize("parent", PARENTS)
def test_capabilities_end_with_root(hatchd, folder, parent):
    daemon, port = start(hatchd, folder, parent)
    status = look(port).status
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name


@needs_root
def test_services_of_root_have_its_groups_only(hatchd, folder):
    """The groups of hatchd's own parent do not come along."""
    port = free_port()
    hatchd.file(
        service("look", listen=f"tcp:{port}", user="root", shell="id -G; id -u"),
        preexec=lambda: os.setgroups([1, 2, 3]),
    )
    groups, uid = talk(port).decode().split("\n")[:2]
    assert uid == "0"
    assert set(groups.split()) == set(map(str, os.getgrouplist("root", 0)))


@pytest.mark.parametrize("parent", PARENTS)
def test_death_of_hatchd_is_no_signal(hatchd, folder, parent):
    """No parent-death signal, and whoever starts hatchd does not hear of its children."""
    daemon, port = start(hatchd, folder, parent, exec=[helper("probe", folder), "hold"])
    with connect(port) as client:
        assert read_exactly(client, 3) == b"fd "
        (child,) = daemon.children()
        daemon.stop(leave=True)
        assert proc_stat(child)[0] in "RSD"


@pytest.mark.parametrize("closed", ["0", "0,1", "0,1,2", "2"])
def test_started_without_standard_descriptors(hatchd, folder, closed):
    """They are filled with /dev/null, so that no socket gets their numbers."""
    port = free_port()
    hatchd.file(
        service("look", listen=f"tcp:{port}", exec=helper("probe", folder)),
        launcher=launcher("closed.py", folder, closed),
    )
    found = look(port)
    assert sorted(found.fds) == [0, 1, 2]
    assert found.fds[0] == found.fds[1] != "/dev/null"
    if "2" in closed:
        assert found.fds[2] == "/dev/null"


def test_wait_service_without_standard_descriptors(hatchd, folder):
    """A single listener would have become descriptor 0 to 2."""
    port = free_port()
    program = [PYTHON, "-S", "-E", helper("handed_over.py", folder)]
    hatchd.file(
        service("echo", listen=f"tcp:{port}", wait=True, exec=program),
        launcher=launcher("closed.py", folder, "0,1,2"),
    )
    assert talk(port, b"Bom dia") == b"Bom dia"


def test_time_of_the_connection_is_told(hatchd, folder):
    """The record of a connection says how long it was."""
    port = free_port()
    daemon = hatchd.file(service("cat", listen=f"tcp:{port}", exec="/bin/cat"))
    begin = time.monotonic()
    with connect(port) as client:
        local = client.getsockname()[1]
        daemon.wait_children(1)
    line = rf"cat: child \d+ ended: exit 0, ([\d.]+) (us|ms|s), from 127.0.0.1:{local}"
    found = daemon.wait_log(line)
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1}[found[2]]
    assert float(found[1]) * unit <= time.monotonic() - begin
