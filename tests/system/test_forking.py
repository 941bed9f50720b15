"""hatchd --daemon under systemd: Type=forking with PIDFile, as hatchd(8) tells."""

from harness import connect, free_port, is_refused, read_exactly, service, talk

UNIT = "hatchd-daemon.service"
PID_FILE = "/run/hatchd.pid"

TEXT = f"""[Service]
Type=forking
PIDFile={PID_FILE}
ExecStart=/usr/sbin/hatchd --daemon
KillMode=process
"""


def start(machine, port):
    machine.serve(service("echo", listen=f"tcp:{port}", exec=["/bin/cat"]))
    machine.unit_file(UNIT, TEXT)
    machine.systemctl("start", UNIT)


def test_start_and_stop(machine):
    port = free_port()
    start(machine, port)
    assert talk(port, b"x") == b"x"
    assert machine.show("ActiveState", UNIT) == "active"
    assert machine.main_pid(UNIT) == int(machine.path(PID_FILE).read_text())
    with connect(port) as client:
        client.sendall(b"before")
        assert read_exactly(client, 6) == b"before"
        machine.systemctl("stop", UNIT)
        assert machine.show("Result", UNIT) == "success"
        assert is_refused(f"tcp:127.0.0.1:{port}")
        assert not machine.path(PID_FILE).exists()
        client.sendall(b"after")
        assert read_exactly(client, 5) == b"after"


def test_it_logs_to_the_journal(machine):
    port = free_port()
    start(machine, port)
    journal = machine.journal("-u", UNIT, "SERVICE=echo")
    assert talk(port, b"x") == b"x"
    entry = journal.wait()
    assert (entry["RESULT"], entry["_SYSTEMD_UNIT"]) == ("exit", UNIT)


def test_a_start_that_fails(machine):
    machine.write("/etc/hatchd/hatchd.conf", "service x {\n")
    machine.unit_file(UNIT, TEXT)
    machine.systemctl("start", UNIT, status=1)
    assert machine.show("ActiveState", UNIT) == "failed"
    # The process that systemd has started tells how it went.
    assert machine.run("/usr/sbin/hatchd", "--daemon", status=78)
    assert not machine.path(PID_FILE).exists()


def test_killed(machine):
    """A pid file that is left behind hinders nobody."""
    port = free_port()
    start(machine, port)
    machine.kill("KILL", machine.main_pid(UNIT))
    machine.systemctl("restart", UNIT)
    assert talk(port, b"x") == b"x"
    assert machine.main_pid(UNIT) == int(machine.path(PID_FILE).read_text())
