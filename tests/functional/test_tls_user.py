"""Who hatchd-tls is once it runs: nobody else is that, as it has the keys."""

import contextlib
import socket
import ssl

import pytest

from harness import (
    TIMEOUT, children_named, free_port, proc_status, run_hatchd, service, stanza, talk,
)
from namespace import Etc

pytestmark = pytest.mark.needs_root


@pytest.fixture(autouse=True)
def has_tls(folder):
    if "built without TLS" in run_hatchd("--self-signed", "web", cwd=folder).stderr:
        pytest.skip("built without TLS")


@pytest.fixture
def passwd(folder):
    """Without anybody for that purpose, whatever this machine has."""
    etc = Etc(folder, "passwd")
    lines = etc.path.read_text().splitlines(keepends=True)
    etc.write("".join(line for line in lines if not line.startswith("_hatchd")))
    return etc


def echo_through_tls(port, data):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as plain:
        with contextlib.closing(context.wrap_socket(plain)) as client:
            client.sendall(data)
            return client.recv(len(data))


def start(hatchd, folder, passwd):
    """Ids of hatchd-tls and of hatchd-builtin, both of which have served somebody."""
    web, echo = free_port(), free_port()
    text = service("web", listen=f"tcp:127.0.0.1:{web}", exec="/bin/cat").rstrip("}\n")
    daemon = hatchd.file(
        f"{text}\n\ttls {{ certificate = '{folder}/web.pem' }}\n}}\n"
        + stanza("service", "echo", listen=f"tcp:127.0.0.1:{echo}", builtin="echo"),
        launcher=passwd.launcher)
    assert echo_through_tls(web, b"x") == b"x"
    assert talk(echo, b"y") == b"y"
    return [ids(daemon, name) for name in ("hatchd-tls", "hatchd-builtin")]


def ids(daemon, name):
    """The one that it has of all four kinds, as user and as group; it is in no other."""
    pid, = children_named(daemon.pid, name)
    status = proc_status(pid)
    uid, gid = set(status["Uid"].split()), set(status["Gid"].split())
    assert len(uid) == len(gid) == 1
    assert status["Groups"].split() in ([], list(gid))
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    return int(uid.pop()), int(gid.pop())


def test_users(hatchd, folder, passwd):
    passwd.add("_hatchd:x:4711:4712::/:/bin/false")
    passwd.add("_hatchd-tls:x:4713:4714::/:/bin/false")
    assert start(hatchd, folder, passwd) == [(4713, 4714), (4711, 4712)]


def test_numbers(hatchd, folder, passwd):
    assert start(hatchd, folder, passwd) == [(65531, 65531), (65532, 65532)]


@pytest.mark.parametrize("ids_of_tls", ["0:4714", "4713:0", "4711:4714"])
def test_not_root_nor_the_others(hatchd, folder, passwd, ids_of_tls):
    passwd.add("_hatchd:x:4711:4712::/:/bin/false")
    passwd.add(f"_hatchd-tls:x:{ids_of_tls}::/:/bin/false")
    assert start(hatchd, folder, passwd) == [(65531, 65531), (4711, 4712)]
