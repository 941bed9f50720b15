"""What hatchd does about the machine it finds itself on."""

import contextlib
import os
import pathlib

import pytest

from harness import free_port, run_hatchd, service, talk

DISABLE_IPV6 = pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")


@contextlib.contextmanager
def without_ipv6():
    """In this network namespace, never in that of the machine; ::1 comes back with IPv6."""
    if os.readlink("/proc/self/ns/net") == os.readlink(f"/proc/{os.getppid()}/ns/net"):
        pytest.skip("not in a network namespace of its own")
    if not DISABLE_IPV6.exists():
        pytest.skip("no IPv6 to switch off")
    before = DISABLE_IPV6.read_text()
    DISABLE_IPV6.write_text("1")
    try:
        yield
    finally:
        DISABLE_IPV6.write_text(before)


@pytest.mark.needs_root
def test_tcp_serves_ipv4_where_ipv6_is_off(hatchd):
    port = free_port()
    with without_ipv6():
        hatchd.adhoc("-l", port, "--", "tr", "a-z", "A-Z")
        assert talk(f"tcp:127.0.0.1:{port}", b"hello") == b"HELLO"


def test_folder_that_everybody_may_write_to(folder):
    """Whoever puts a file there decides what is run, and as whom."""
    (folder / "services.d").mkdir()
    (folder / "services.d").chmod(0o777)
    main = folder / "hatchd.conf"
    main.write_text('include_dir("services.d")\n')
    main.chmod(0o644)
    done = run_hatchd("--check", "-f", main)
    assert done.returncode == 1
    assert "everybody may write to it" in done.stderr


@pytest.mark.needs_root
def test_path_that_may_not_be_searched(folder):
    """A folder closed to us does not tell that the program is there."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    done = run_hatchd("--once", "-l", free_port(), "--", "no-such-program",
                      env={"PATH": f"{closed}:/usr/bin:/bin"})
    assert done.returncode == 127, done.stderr


def test_nothing_to_serve(hatchd):
    """What packages install: valid, and said."""
    daemon = hatchd.file("")
    daemon.wait_log("serving nobody")


def test_one_service_waits_and_the_others_serve(hatchd):
    port = free_port()
    daemon = hatchd.file(service("gone", listen=free_port(), exec="/no/such/program")
                         + service("cat", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat"))
    daemon.wait_log("gone: waiting: no program /no/such/program")
    assert talk(f"tcp:127.0.0.1:{port}", b"still here") == b"still here"
