"""Other hatchds beside that of the machine: hatchd@.service, and those of users."""

import pytest
from container import UNIT
from harness import free_port, is_refused, service, stanza, talk, wait_until

BLUE = "hatchd@blue.service"
GREEN = "hatchd@green.service"

# What they have to have in common with the unit of the machine.
COMMON = ["Type", "NotifyAccess", "Restart", "RestartUSec", "RestartPreventExitStatus",
          "KillMode", "OOMPolicy", "TasksMax", "FileDescriptorStoreMax", "Environment",
          "WatchdogUSec", "WatchdogSignal", "StartLimitIntervalUSec",
          "RuntimeDirectoryPreserve", "ExecReload"]

UID = 1234


def echo(port, name="echo"):
    return service(name, listen=f"tcp:{port}", exec=["/bin/cat"])


def settings(machine, unit, *command):
    """Its common properties; that of a command ends in what has become of it."""
    command = command or ["systemctl"]
    text = machine.run(*command, "show", f"--property={','.join(COMMON)}", unit)
    return sorted(line.split(" ; start_time")[0] for line in text.splitlines())


@pytest.mark.everywhere
def test_beside_each_other(machine):
    """Each has its file, its control socket, its sockets that are kept, and its end."""
    ports = {UNIT: free_port(), BLUE: free_port(), GREEN: free_port()}
    machine.run("systemd-sysusers")
    machine.serve(echo(ports[UNIT]))
    machine.write("/etc/hatchd/blue.conf", echo(ports[BLUE], "blue"))
    machine.write("/etc/hatchd/green.conf", echo(ports[GREEN], "green"))
    machine.systemctl("start", *ports)
    for unit, port in ports.items():
        machine.wait_kept(1, unit)
        assert talk(port, b"x") == b"x"
    for name in ("blue", "green"):
        assert name in machine.run("hatchctl", "list", "-s", f"/run/hatchd-{name}/control")
    machine.systemctl("stop", BLUE)
    assert is_refused(ports[BLUE])
    machine.run("test", "-e", "/run/hatchd-blue", status=1)
    assert talk(ports[UNIT], b"x") == talk(ports[GREEN], b"x") == b"x"


@pytest.mark.everywhere
def test_life_of_an_instance(machine):
    """Reloaded, killed and restarted as the unit of the machine is."""
    port = free_port()
    machine.write("/etc/hatchd/blue.conf", echo(port))
    machine.systemctl("enable", "--now", BLUE)
    machine.wait_kept(1, BLUE)
    more = free_port()
    machine.write("/etc/hatchd/blue.conf", echo(port) + echo(more, "more"))
    machine.systemctl("reload", BLUE)
    assert talk(more, b"x") == b"x"
    machine.wait_kept(2, BLUE)
    for end in (["kill", "--signal=KILL", "--kill-who=main"], ["restart"]):
        before = machine.main_pid(BLUE)
        machine.systemctl(*end, BLUE)
        assert talk(port, b"y") == talk(more, b"y") == b"y"
        assert machine.main_pid(BLUE) not in (0, before)
    machine.systemctl("start", UNIT)
    assert settings(machine, BLUE) == settings(machine, UNIT)


def test_who_may_ask(machine):
    """The members of the group, as with the hatchd of the machine."""
    machine.run("systemd-sysusers")
    machine.write("/etc/hatchd/blue.conf", echo(free_port()))
    machine.systemctl("start", BLUE)
    group = machine.run("stat", "-c", "%a %U:%G", "/run/hatchd-blue").strip()
    assert group == "751 root:hatchd-admin"
    ask = ["hatchctl", "list", "-s", "/run/hatchd-blue/control"]
    somebody = ["setpriv", "--reuid=65534", "--regid=65534"]
    assert "echo" in machine.run(*somebody, "--groups=hatchd-admin", *ask)
    machine.run(*somebody, "--clear-groups", *ask, status=1)


# ---------------------------------------------------------------------------
# Of a user


class User:
    """Somebody with a service manager of his own."""

    def __init__(self, machine):
        self.machine = machine
        self.folder = "/home/ana/.config/hatchd"
        self.runtime = f"/run/user/{UID}"
        machine.run("useradd", "--create-home", f"--uid={UID}", "ana")
        machine.systemctl("start", f"user@{UID}.service")

    def command(self, *argv):
        return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env",
                f"XDG_RUNTIME_DIR={self.runtime}", "HOME=/home/ana", *argv]

    def run(self, *argv, status=0):
        return self.machine.run(*self.command(*argv), status=status)

    def systemctl(self, *args, status=0):
        return self.run("systemctl", "--user", *args, status=status)

    def show(self, name):
        return self.systemctl("show", "--value", f"--property={name}", UNIT).strip()

    def serve(self, *services):
        self.run("mkdir", "-p", self.folder)
        self.machine.write(f"{self.folder}/hatchd.conf", "".join(services))
        self.machine.run("chown", "-R", "ana:", "/home/ana/.config")


def mine(port, name="echo"):
    """A service that says no user, as nobody but its user may run it."""
    return stanza("service", name, listen=f"tcp:{port}", exec=["/bin/cat"])


@pytest.mark.everywhere
def test_user_unit(machine):
    user, port, more = User(machine), free_port(), free_port()
    user.serve(mine(port))
    user.systemctl("enable", "--now", "hatchd")
    assert user.show("StatusText").startswith("Serving 1 of 1 services")
    assert "echo" in user.run("hatchctl", "list", "-s", f"{user.runtime}/hatchd/control")
    user.serve(mine(port), mine(more, "more"))
    user.systemctl("reload", "hatchd")
    assert talk(more, b"x") == b"x"
    wait_until(lambda: user.show("NFileDescriptorStore") == "2", what="what is kept")
    for end in (["kill", "--signal=KILL", "--kill-who=main"], ["restart"]):
        before = user.show("MainPID")
        user.systemctl(*end, "hatchd")
        assert talk(port, b"y") == talk(more, b"y") == b"y"
        assert user.show("MainPID") not in ("0", before)
    machine.systemctl("start", UNIT)
    theirs = settings(machine, UNIT, *user.command("systemctl", "--user"))
    assert theirs == settings(machine, UNIT)
    user.systemctl("stop", "hatchd")
    assert is_refused(port)


def test_user_without_a_file(machine):
    """Where it is enabled for everybody, it is no failure to have nothing to serve."""
    user = User(machine)
    user.systemctl("start", "hatchd")
    assert user.show("ActiveState") == "inactive"
    assert user.show("ConditionResult") == "no"
