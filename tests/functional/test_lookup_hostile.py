"""Of whom nothing can be looked up, and who lies about what is."""

import contextlib

import pytest

from harness import connect, free_port, read_all, service, stanza, talk
from nameserver import Identd, good
from test_callers import banner, by_name, proxied, v1
from test_lookup import dns, resolver, start  # noqa: F401, fixtures

NAME = "www.example.org"
NAMED = {"resolve": True, "only_from": NAME}


# ---------------------------------------------------------------------------
# Who has no name is not let in by it


def what_is_said(address):
    with connect(address) as client, contextlib.suppress(ConnectionResetError):
        return read_all(client)
    return b""


def test_unix_client_has_no_name(hatchd, folder):
    """Not where he is greeted first, either."""
    plain, greeted = f"unix:{folder}/plain", f"unix:{folder}/greeted"
    daemon = hatchd.file(
        service("plain", listen=[f"tcp:{free_port()}", plain], shell="echo x", **NAMED)
        + service("greeted", listen=[f"tcp:{free_port()}", greeted], shell="echo x",
                  banner=banner(folder, "banner"), **NAMED))
    assert what_is_said(plain) == b""
    daemon.wait_log("plain: refused .*: only_from$")
    assert what_is_said(greeted) == b"banner\r\n"
    daemon.wait_log("greeted: refused .*: only_from$")


def test_names_of_defaults_where_nobody_has_one(hatchd, folder):
    path = f"unix:{folder}/s"
    daemon = hatchd.file(
        stanza("defaults", **NAMED) + service("s", listen=path, shell="echo x"))
    assert what_is_said(path) == b""
    daemon.wait_log("s: refused .*: only_from$")


def test_unix_client_of_tcpmux_has_no_name(hatchd, folder):
    path = f"unix:{folder}/mux"
    daemon = hatchd.file(
        stanza("service", "mux", listen=path, builtin="tcpmux")
        + by_name("x", "plus", exec="/bin/cat", **NAMED)
        + by_name("y", "plus", exec="/bin/cat", ident="required"))
    for name, reason in ("x", "only_from"), ("y", "ident"):
        assert talk(path, f"{name}\r\n".encode()).startswith(b"-")
        daemon.wait_log(f"{name}: refused .*: {reason}$")


@pytest.mark.parametrize("given", ["here", "in defaults"])
def test_user_is_required_behind_a_proxy(hatchd, given):
    """Nobody can be asked there, so nobody is named, and somebody has to be."""
    port, here = free_port(), given == "here"
    text = proxied(listen=f"tcp:{port}", use="optional" if here else "required",
                   ident="required" if here else None)
    defaults = "" if here else stanza("defaults", ident="required")
    daemon = hatchd.file(defaults + text)
    assert talk(port, v1()) == b""
    daemon.wait_log("p: refused 192.0.2.7:4711: ident$")


@pytest.mark.needs_root
def test_user_is_not_asked_for_behind_a_proxy_of_this_machine(start, folder):  # noqa: F811
    """Who comes over a UNIX socket has no address, but he is a proxy all the same."""
    with Identd("127.0.0.5", good(b"joe")) as identd:
        start(proxied(listen=[f"tcp:{free_port()}", f"unix:{folder}/s"], proxies="unix",
                      use="optional", ident="yes", shell="echo $REMOTE_INFO"))
        header = v1("127.0.0.5", local="127.0.0.1")
        assert talk(f"unix:{folder}/s", header) == b"\n"
        assert identd.asked == []
