"""Of whom nothing can be looked up, and who lies about what is."""

import contextlib

from harness import connect, free_port, read_all, service, stanza, talk
from test_callers import banner, by_name

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


def test_unix_client_of_tcpmux_has_no_name(hatchd, folder):
    path = f"unix:{folder}/mux"
    daemon = hatchd.file(
        stanza("service", "mux", listen=path, builtin="tcpmux")
        + by_name("x", "plus", exec="/bin/cat", **NAMED)
        + by_name("y", "plus", exec="/bin/cat", ident="required"))
    for name, reason in ("x", "only_from"), ("y", "ident"):
        assert talk(path, f"{name}\r\n".encode()).startswith(b"-")
        daemon.wait_log(f"{name}: refused .*: {reason}$")
