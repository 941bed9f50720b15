"""`packaging/quickstart --remove`: it takes back what `--system` has brought, and no more.

tests/packages/test_fresh.py has the whole of it, from a clone on.  This is a machine with the
packages, and of the clone just the script.
"""

import pathlib

from harness import connect, free_port, read_exactly, service, wait_until
from test_package import bare, install  # noqa: F401, a fixture

SCRIPT = pathlib.Path(__file__).parents[2] / "packaging/quickstart-system"
CLONE = "/root/clone"
MARK = f"{CLONE}/build/quickstart-system.installed"
MAIN = "/etc/hatchd/hatchd.conf"
DAYTIME = "/etc/hatchd/services.d/daytime.conf"


def remove(machine, status=0):
    return machine.run("sh", f"{CLONE}/packaging/quickstart-system", "--remove", status=status)


def expect_refused(machine, *words):
    said = remove(machine, status=1)
    for word in words:
        assert word in said
    assert machine.systemctl("is-active", "hatchd").strip() == "active"


def change_and_put_back(machine, name):
    path = machine.path(name)
    before = path.read_bytes() if path.exists() else None
    machine.write(name, "# changed\n")
    expect_refused(machine, f"\nquickstart: {name}\n")
    path.unlink()
    if before is not None:
        path.write_bytes(before)


def begin_instance(machine):
    machine.write("/etc/hatchd/blue.conf", 'include_dir("blue.d")\n')
    machine.path("/etc/hatchd/blue.d").mkdir()
    machine.systemctl("enable", "--now", "hatchd@blue")


def busy_users(machine):
    return machine.run("sh", "-c", "stat --format=%U /proc/[0-9]*", status=None).split()


def test_remove(bare):  # noqa: F811
    machine = bare
    assert "nothing of this is here" in install_script(machine)
    install(machine)
    expect_refused(machine, f"not quickstart in {CLONE}", '"apt-get purge hatchd-tls hatchd"')

    # As --system leaves it.
    machine.write(MARK, "")
    machine.run("hatchctl", "enable", "--persistent", "daytime")

    for name in (MAIN, "/etc/hatchd/services.d/mine.conf", "/etc/hatchd/services.d/.mine",
                 "/var/log/hatchd/records"):
        change_and_put_back(machine, name)
    machine.path(DAYTIME).unlink()
    change_and_put_back(machine, DAYTIME)
    begin_instance(machine)
    expect_refused(machine, "hatchd@blue.service runs", ".wants/hatchd@blue.service\n")
    machine.systemctl("disable", "--now", "hatchd@blue")

    with served(machine) as client:
        said = remove(machine, status=1)
        assert "gone but hatchd-guest," in said
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
    wait_until(lambda: "hatchd-guest" not in busy_users(machine))
    assert "all of this is gone" in remove(machine)
    assert "hatchd" not in machine.run("cat", "/etc/passwd", "/etc/group")
    assert not machine.path(MARK).exists()
    assert machine.path("/etc/hatchd/blue.conf").exists()


def install_script(machine):
    machine.write(f"{CLONE}/packaging/quickstart-system", SCRIPT.read_text())
    return remove(machine)


def served(machine):
    """Somebody of a service that is there no more."""
    port = free_port()
    machine.serve(service("echo", listen=f"tcp:{port}", exec=["/bin/cat"], user="hatchd-guest"))
    machine.systemctl("reload", "hatchd")
    client = connect(port)
    client.sendall(b"x")
    assert read_exactly(client, 1) == b"x"
    machine.path("/etc/hatchd/services.d/test.conf").unlink()
    return client
