"""Connections that begin with something: a header of a proxy, a name, a banner.

What a configuration may say about them, and what is said about it.
"""

import pytest

from harness import free_port, run_hatchd, service

PROXY = "192.0.2.1"


@pytest.fixture
def checked(hatchd):
    """checked(text...): --check of that text; what it says."""

    def check(*texts, status=0):
        done = hatchd.check("".join(texts))
        assert done.returncode == status, done.stderr
        return done.stderr

    return check


def front(name="front", **options):
    options.setdefault("listen", f"tcp:{free_port()}")
    options.setdefault("exec", "/bin/cat")
    return service(name, **options)


def test_proxy_protocol(checked):
    for word in ("required", "optional"):
        assert checked(front(proxy_protocol=word, proxy_from=PROXY)) == ""
    said = checked(front(proxy_protocol="required"), status=1)
    assert "write proxy_from = { ADDRESS }" in said
    said = checked(front(proxy_from=PROXY), status=1)
    assert "proxy_from: needs proxy_protocol = required or optional" in said


def test_bounds(checked):
    def bounded(**options):
        return front(header_timeout="2s", pending=9, pending_per_source=9, **options)

    assert checked(bounded(proxy_protocol="required", proxy_from=PROXY)) == ""
    said = checked(bounded())
    for option in ("header_timeout", "pending", "pending_per_source"):
        assert f"{option}: has no effect without proxy_protocol" in said
    assert "outside the range from 1 to 16384" in checked(front(pending=16385), status=1)


def test_banners(checked, folder):
    path = folder / "banner"
    path.write_text("hello\r\n")
    text = front(banner=str(path), banner_success=str(path), banner_fail=str(path))
    assert checked(text) == ""
    path.unlink()
    assert f"no file {path}" in checked(text, status=1)


def test_tcpmux(checked):
    mux = service("mux", listen=f"tcp:{free_port()}", builtin="tcpmux", user=None)
    named = service("named", exec="/bin/cat", tcpmux="plus")
    assert checked(mux, named) == ""
    assert "tcpmux: nobody can reach 'named'" in checked(named)


def test_flags():
    """What a command line says is what the stanza says, and mistakes name the flags."""
    program = ("-l", "7777", "--", "/bin/cat")
    done = run_hatchd("--print-config", "--proxy-protocol=required", f"--proxy-from={PROXY}",
                      "--proxy-from=unix", "--header-timeout=2s", "--pending=9",
                      "--pending-per-source=8", "--banner-success=/etc/passwd", *program)
    assert done.returncode == 0, done.stderr
    said = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for line in ("proxy_protocol = required", f"proxy_from = {{ {PROXY}, unix }}",
                 "header_timeout = 2s", "pending = 9", "pending_per_source = 8",
                 "banner_success = /etc/passwd"):
        assert line in said
    done = run_hatchd("--check", "--proxy-protocol=required", *program)
    assert "write --proxy-from=ADDRESS" in done.stderr
    done = run_hatchd("--check", "--banner=/etc/passwd", "--wait", *program)
    assert "--banner: is for connections that hatchd takes itself" in done.stderr
