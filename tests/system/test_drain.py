"""systemctl stop drains, if drain_timeout says so, and systemd waits while that goes on."""

from container import UNIT
from harness import TIMEOUT, connect, free_port, read_exactly, service, wait_until

MAIN = 'drain_timeout = {}\ninclude_dir("services.d")\n'

# Of itself it would kill hatchd after that.
IMPATIENT = """[Service]
TimeoutStopSec=1
"""


def begin(machine, drain_timeout, port):
    machine.write("/etc/hatchd/hatchd.conf", MAIN.format(drain_timeout))
    machine.unit_file(f"{UNIT}.d/impatient.conf", IMPATIENT)
    machine.serve(service("echo", listen=f"tcp:{port}", exec=["/bin/cat"], stop="terminate"))
    machine.systemctl("start", "hatchd")


def say(sock, text):
    """What comes back."""
    sock.sendall(text)
    return read_exactly(sock, len(text))


def test_as_long_as_somebody_is_there(machine):
    port = free_port()
    begin(machine, "unlimited", port)
    with connect(port) as client:
        assert say(client, b"before") == b"before"
        machine.systemctl("stop", "--no-block", "hatchd")
        wait_until(lambda: machine.show("StatusText") == "Draining: 1 connection",
                   timeout=3 * TIMEOUT)
        assert machine.show("ActiveState") == "deactivating"
        assert say(client, b"still") == b"still"
    wait_until(lambda: machine.show("ActiveState") == "inactive", timeout=3 * TIMEOUT)
    assert machine.show("Result") == "success"


def test_until_the_time_is_over(machine):
    """Which is longer than systemd would wait of itself."""
    port = free_port()
    begin(machine, "4s", port)
    with connect(port) as client:
        assert say(client, b"before") == b"before"
        machine.systemctl("stop", "hatchd")
        assert client.recv(1) == b""
    assert machine.show("ActiveState") == "inactive"
    assert machine.show("Result") == "success"
    assert "draining: the time is over, 1 connection left" in machine.log()
