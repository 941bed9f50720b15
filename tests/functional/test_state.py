"""SIGUSR1: what hatchd is doing, as text in the log."""

import re
import signal

from harness import comes_in, connect, free_port, read_all, reload, service, talk


def ask(daemon, last):
    """The lines of the answer, up to the one that has this pattern."""
    before = daemon.mark()
    daemon.signal(signal.SIGUSR1)
    daemon.wait_log(last, after=before)
    lines = [line.removeprefix("hatchd: ") for line in daemon.log.lines[before:]]
    while not lines[0].startswith("state: "):
        del lines[0]
    return lines


def test_services_and_children(hatchd):
    port, full, lacking = free_port(), free_port(), free_port()
    daemon = hatchd.file(
        service("busy", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat")
        + service("full", listen=f"tcp:127.0.0.1:{full}", exec="/bin/cat", instances=1)
        + service("lacking", listen=f"tcp:127.0.0.1:{lacking}", exec="/nonexistent/program"))
    with connect(port), connect(port), connect(full):
        daemon.wait_children(3)
        lines = ask(daemon, "lacking: waiting")
    assert lines[0].startswith("state: services: 3, children: 3 of at most ")
    assert lines[0].endswith(", clients with a child: 2, others remembered: 0")
    assert lines[1:] == [
        "busy: serving, 2 children", "full: full, 1 child", "lacking: waiting, 0 children"]


def test_children_count_as_their_networks(hatchd):
    """A reload that tells clients apart by other bits does so for those who are there."""
    port = free_port()

    def text(prefix):
        return service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", per_source=3,
                       source_prefix4=prefix)

    def put_in_force(prefix):
        reload(daemon, text(prefix), "reloaded: 0 added, 1 changed")

    def clients():
        return int(re.search("clients with a child: ([0-9]+)", ask(daemon, "s: serving")[0])[1])

    def is_served(source):
        return comes_in(port, source, b"x")

    daemon = hatchd.file(text(32))
    with connect(port, source="127.5.0.1"), connect(port, source="127.5.0.2"), \
            connect(port, source="127.5.0.2"):
        daemon.wait_children(3)
        assert clients() == 2
        put_in_force(24)
        assert clients() == 1
        assert not is_served("127.5.0.1") and not is_served("127.5.0.9")
        assert is_served("127.5.1.1")
        daemon.wait_children(3)
        put_in_force(31)
        assert clients() == 2
        assert is_served("127.5.0.2")
        daemon.wait_children(3)
        put_in_force(32)
        assert is_served("127.5.0.1")
        daemon.wait_children(3)
    daemon.wait_children(0)
    assert clients() == 0


def test_refusals_are_counted_for_each_reason(hatchd):
    port = free_port()
    text = service("s", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", per_source=1,
                   no_access="127.0.0.2")
    daemon = hatchd.file(text)
    with connect(port) as first:
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        for _ in range(3):
            with connect(port) as another:
                assert read_all(another) == b""
        with connect(port, source="127.0.0.2") as stranger:
            assert read_all(stranger) == b""
        expected = "s: serving, 1 child, refused 4: per_source 3, no_access 1"
        assert ask(daemon, "s: serving")[1:] == [expected]

        # A reload does not forget.
        reload(daemon, text.replace("per_source = 1", "per_source = 2"))
        assert ask(daemon, "s: serving")[1:] == [expected]


def test_many_services(hatchd):
    """Each of them is told of, in as many turns as it takes."""
    port = free_port()
    daemon = hatchd.file("".join(
        service(f"s{i}", listen=f"tcp:127.0.{i // 250}.{1 + i % 250}:{port}", exec="/bin/cat")
        for i in range(300)))
    lines = ask(daemon, "s299: ")
    assert lines[1:] == [f"s{i}: serving, 0 children" for i in range(300)]
    assert talk(f"tcp:127.0.0.1:{port}", b"x") == b"x"


def test_alone(hatchd):
    """A service of the command line has no name."""
    daemon = hatchd.adhoc("-l", "tcp:127.0.0.1:0", "--", "/bin/cat")
    assert ask(daemon, "serving")[1:] == ["serving, 0 children"]
