"""The files for service managers other than systemd, under the real ones, from Debian.

Each is process 1 of a small system: it boots, and hatchd with it.
"""

import contextlib
import os
import re
import shutil

import pytest

from conftest import need
from harness import read_exactly, service, wait_until
from small_system import System, install, make_etc, need_systems, unpack

BAD = "service bad { listen = tcp:7 exce = /bin/cat }\n"

# What comes after hatchd: what it got, when that was said to be started.
ASK = """
	PATH=$PATH:/usr/local/bin
	echo bom dia | hatchctl connect tcp:127.0.0.1:7777 >/shared/after.new 2>&1
	mv /shared/after.new /shared/after
"""
AFTER = f"""#!/sbin/openrc-run
depend()
{{
	after hatchd
}}
start()
{{{ASK}}}
"""

INITTAB = """
id:2:initdefault:
h:2:wait:/etc/init.d/hatchd start
a:2:wait:/etc/init.d/after
"""


def upper(port, **more):
    return service("upper", listen=f"tcp:{port}", exec=["/usr/bin/tr", "a-z", "A-Z"], **more)


def echo(name, port, **more):
    return service(name, listen=f"tcp:{port}", exec=["/bin/cat"], **more)


def say(sock, text):
    """What comes back from an echo service."""
    sock.sendall(text)
    return read_exactly(sock, len(text))


class Init:
    """A system that boots with hatchd, and what its operator does."""

    def __init__(self, folder, installed, unpacked):
        self.installed = installed
        self.tree = make_etc(folder)
        self.config = self.place("hatchd.conf", "etc")
        self.prepare()
        self.serve(upper(7777) + echo("echo", 7) + echo("short", 9, stop="terminate"))
        self.system = System(folder, [installed, unpacked, self.tree], *self.FIRST)

    def find(self, name, below):
        """A file that was installed, wherever this build has it."""
        return next(path for path in self.installed.rglob(name) if below in path.parts)

    def place(self, name, below):
        """Where that is on the machine."""
        return "/" + str(self.find(name, below).relative_to(self.installed))

    def add(self, name, text, mode=0o644):
        """Before it boots."""
        path = self.tree / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def serve(self, text, name="test"):
        path = f"{os.path.dirname(self.config)}/services.d/{name}.conf"
        if hasattr(self, "system"):
            self.system.write(path, text)
        else:
            self.add(path, text)

    def pid(self):
        """Of the hatchd that answers, as it is numbered inside; None: there is none."""
        said = self.system.run("hatchctl", "status", status=None)
        found = re.search(r"^Process: +(\d+)", said, re.MULTILINE)
        return found and int(found[1])

    def wait_other(self, pid):
        """Until another hatchd serves."""
        wait_until(lambda: self.pid() not in (None, pid), what="another hatchd")

    def replace_program(self):
        """As a package does: another file, by the same name."""
        program = self.system.path(self.place("hatchd", "sbin"))
        shutil.copy2(program, f"{program}.new")
        os.rename(f"{program}.new", program)

    def is_replaced(self, pid):
        return os.readlink(self.system.path(f"/proc/{pid}/exe")).endswith("(deleted)")

    def wait_log(self, pattern):
        wait_until(lambda: re.search(pattern, self.log()), what=f"{pattern} in the log")


class Scripted(Init):
    """hatchd puts itself into the background, and a script returns when it serves."""

    STOP = ["/etc/init.d/hatchd", "stop"]

    def wait_booted(self):
        said = self.system.shared / "after"
        wait_until(said.exists, what=f"booting\n{self.system.console()}")
        return said.read_text()

    def log(self):
        return "\n".join(self.system.syslog)

    def start(self):
        self.ask("start")

    def stop(self):
        self.ask("stop")

    def reload(self):
        self.ask("reload")

    def reload_bad(self):
        assert "unknown option 'exce'" in self.ask("reload", status=1)

    def upgrade(self):
        assert "upgraded to hatchd" in self.ask("upgrade")

    def see_started(self):
        assert "Services:      3, serving 3" in self.ask("status")

    def see_stopped(self):
        self.ask("status", status=3)


class OpenRC(Scripted):
    PACKAGE = "openrc"
    FIRST = ["/sbin/openrc-init"]
    SETTINGS = ""

    def prepare(self):
        script = self.find("hatchd.initd", "openrc")
        settings = self.find("hatchd.confd", "openrc")
        self.add("/etc/init.d/hatchd", script.read_text(), script.stat().st_mode)
        self.add("/etc/conf.d/hatchd", settings.read_text() + self.SETTINGS)
        # Groups of version 2 alone, and what is left in them killed: unless a service objects.
        self.add("/etc/rc.conf", 'rc_cgroup_mode="unified"\nrc_cgroup_cleanup="YES"\n')
        self.add("/etc/insserv.conf", "")
        self.add("/etc/insserv.conf.d/none", "")
        self.add("/etc/init.d/after", AFTER, 0o755)
        default = self.tree / "etc/runlevels/default"
        default.mkdir(parents=True)
        for name in ("hatchd", "after"):
            (default / name).symlink_to(f"/etc/init.d/{name}")

    def ask(self, *command, status=0):
        return self.system.run("rc-service", "hatchd", *command, status=status)

    def reload_bad(self):
        super().reload_bad()
        assert "unknown option 'exce'" in self.ask("checkconfig", status=1)

    def start_bad(self):
        assert "unknown option 'exce'" in self.ask("start", status=1)

    def after_death(self, died):
        """Nobody starts it again, but it is noticed."""
        assert "status: crashed" in self.ask("status", status=32)
        self.ask("restart")

    def see_started(self):
        super().see_started()
        assert "status: started" in self.ask("status")


class SupervisedOpenRC(OpenRC):
    """OpenRC before 0.62 does not wait for it."""

    SETTINGS = "supervisor=supervise-daemon\n"

    def wait_booted(self):
        super().wait_booted()
        self.start()
        return "BOM DIA\n"

    def start(self):
        self.system.run("rc-service", "--ifstopped", "hatchd", "start")
        wait_until(self.pid, what="hatchd")

    def start_bad(self):
        self.system.run("rc-service", "hatchd", "start")
        self.wait_log("unknown option 'exce'")
        self.stop()

    def after_death(self, died):
        self.wait_other(died)

    def log(self):
        return self.system.path("/var/log/hatchd.log").read_text()


class SysV(Scripted):
    PACKAGE = "sysvinit-core"
    FIRST = ["/sbin/init"]

    def prepare(self):
        script = self.find("hatchd", "sysvinit")
        self.add("/etc/init.d/hatchd", script.read_text(), script.stat().st_mode)
        self.add("/etc/init.d/after", f"#!/bin/sh{ASK}", 0o755)
        self.add("/etc/inittab", INITTAB)

    def ask(self, command, status=0):
        return self.system.run("/etc/init.d/hatchd", command, status=status)

    def start_bad(self):
        assert "unknown option 'exce'" in self.ask("start", status=78)

    def after_death(self, died):
        self.see_stopped()
        self.ask("restart")


class Runit(Init):
    PACKAGE = "runit"
    STOP = ["sv", "-w", "20", "stop", "hatchd"]
    FIRST = ["runsvdir", "-P", "/etc/service"]

    def prepare(self):
        folder = self.find("check", "runit").parent
        shutil.copytree(folder, self.tree / "etc/sv/hatchd")
        runlevels = self.tree / "etc/runit/runsvdir"
        (runlevels / "default").mkdir(parents=True)
        (runlevels / "default/hatchd").symlink_to("/etc/sv/hatchd")
        (runlevels / "current").symlink_to("default")

    def wait_watched(self, folder):
        """Until its runsv hears sv: that its pipe is there is not enough."""
        def is_watched():
            said = self.system.run("sv", "status", folder, status=None)
            return said.startswith(("run: ", "down: "))

        wait_until(is_watched, what=f"runsv of {folder}")

    def wait_booted(self):
        self.wait_watched("/etc/sv/hatchd")
        self.start()
        return self.system.talk(7777, b"bom dia\n").decode()

    def log(self):
        return self.system.path("/var/log/runit/hatchd/current").read_text()

    def start(self):
        self.system.run("sv", "-w", "20", "start", "hatchd")

    def stop(self):
        self.system.run(*self.STOP)

    def reload(self):
        self.system.run("sv", "reload", "hatchd")
        self.wait_log("reloaded")

    def reload_bad(self):
        self.system.run("sv", "reload", "hatchd")
        self.wait_log("unknown option 'exce'")

    def upgrade(self):
        self.system.run("sv", "2", "hatchd")
        self.wait_log("upgraded")

    def start_bad(self):
        """It does not try again and again."""
        self.system.run("sv", "-w", "1", "start", "hatchd", status=1)
        self.wait_log("hatchd: not started again, status 78")
        wait_until(self.is_down)

    def is_down(self):
        """And meant to be: it is not the second before it is started again."""
        said = self.system.run("sv", "status", "hatchd")
        return said.startswith("down: ") and "want up" not in said

    def after_death(self, died):
        self.wait_other(died)

    def see_started(self):
        self.system.run("sv", "check", "hatchd")
        assert self.system.run("sv", "status", "hatchd").startswith("run: hatchd: ")

    def see_stopped(self):
        assert self.is_down()


class Daemontools(Init):
    """The run of runit, without its log: the console has it."""

    PACKAGE = "daemontools"
    FIRST = ["svscan", "/service"]
    TELL = "svc"
    LOOK = "svstat"

    def prepare(self):
        self.folder = self.tree / "service/hatchd"
        self.folder.mkdir(parents=True)
        shutil.copy2(self.find("run", "runit").parent / "run", self.folder)

    def wait_booted(self):
        wait_until(self.pid, what="booting")
        return self.system.talk(7777, b"bom dia\n").decode()

    def tell(self, what):
        self.system.run(self.TELL, what, "/service/hatchd")

    def log(self):
        return self.system.console()

    def start(self):
        self.tell("-u")
        wait_until(self.pid, what="hatchd")

    def stop(self):
        self.tell("-d")
        wait_until(self.is_down, what="its end")

    def is_down(self):
        said = self.system.run(self.LOOK, "/service/hatchd")
        return re.search(r"(^|: )down ", said) and "want up" not in said

    def reload(self):
        self.tell("-h")
        self.wait_log("reloaded")

    def reload_bad(self):
        self.tell("-h")
        self.wait_log("unknown option 'exce'")

    def upgrade(self):
        self.system.run("hatchctl", "upgrade")

    def see_started(self):
        assert not self.is_down()

    def see_stopped(self):
        assert self.is_down()


class S6(Daemontools):
    PACKAGE = "s6"
    FIRST = ["s6-svscan", "/service"]
    TELL = "s6-svc"
    LOOK = "s6-svstat"

    def prepare(self):
        super().prepare()
        shutil.copy2(self.find("finish", "runit"), self.folder)

    def upgrade(self):
        self.tell("-2")
        self.wait_log("upgraded")

    def after_death(self, died):
        self.wait_other(died)

    def start_bad(self):
        """It does not try again and again."""
        self.tell("-u")
        self.wait_log("hatchd: not started again, status 78")
        wait_until(self.is_down)


# All start and stop it; what happens in between, daemontools do not care much about.
CAREFUL = [OpenRC, SupervisedOpenRC, SysV, Runit, S6]
INITS = [*CAREFUL, Daemontools]


@pytest.fixture(scope="session")
def installed(run):
    need("apt-get", "dpkg-deb", "ip", "nsenter", "unshare")
    need_systems()
    return install(run)


@pytest.fixture
def boot(folder, installed, run):
    """boot(KIND): that one, which ends with the test."""
    with contextlib.ExitStack() as systems:

        def boot(kind):
            init = kind(folder, installed, unpack(kind.PACKAGE, run))
            systems.callback(init.system.close)
            return init

        yield boot


def name(kind):
    return kind.__name__


@pytest.mark.parametrize("kind", INITS, ids=name)
def test_life(boot, kind):
    """From the boot, through reloads and an upgrade, to a stop that ends nobody."""
    init = boot(kind)
    assert init.wait_booted() == "BOM DIA\n"
    init.see_started()
    pid = init.pid()
    with init.system.connect(7) as client:
        assert say(client, b"1") == b"1"

        init.serve(echo("new", 70), "new")
        init.reload()
        assert init.system.talk(70, b"new") == b"new"

        init.serve(BAD, "new")
        init.reload_bad()
        assert init.system.talk(70, b"as it was") == b"as it was"
        init.serve(echo("new", 71), "new")

        init.replace_program()
        assert init.is_replaced(pid)
        init.upgrade()
        assert init.pid() == pid and not init.is_replaced(pid)
        assert init.system.talk(71, b"by the other one") == b"by the other one"
        assert say(client, b"2") == b"2"

        # What runs is not what is installed, but it is hatchd.
        init.replace_program()
        with init.system.connect(9) as other:
            assert say(other, b"1") == b"1"
            init.stop()
            assert other.recv(1) == b""
        assert init.system.is_refused(7777)
        assert say(client, b"3") == b"3"
        init.see_stopped()

        init.start()
        assert init.system.talk(7777, b"again") == b"AGAIN"
        assert init.pid() != pid
        assert say(client, b"4") == b"4"


@pytest.mark.parametrize("kind", CAREFUL, ids=name)
def test_trouble(boot, kind):
    """A hatchd that dies, and one that cannot start."""
    init = boot(kind)
    init.wait_booted()
    died = init.pid()
    init.system.run("sh", "-c", f"kill -KILL {died}")
    init.after_death(died)
    assert init.system.talk(7777, b"lives") == b"LIVES"

    init.stop()
    good = init.system.path(init.config).read_text()
    init.system.write(init.config, BAD)
    init.start_bad()
    init.see_stopped()
    init.system.write(init.config, good)
    init.start()
    assert init.system.talk(7777, b"at last") == b"AT LAST"


@pytest.mark.parametrize("kind", [OpenRC, SupervisedOpenRC, SysV, Runit], ids=name)
def test_drain(boot, kind):
    """To stop one that drains is to wait for its clients."""
    init = boot(kind)
    init.wait_booted()
    main = init.system.path(init.config)
    init.system.write(init.config, "drain_timeout = 1min\n" + main.read_text())
    init.reload()
    with init.system.connect(7) as client:
        assert say(client, b"1") == b"1"
        stop = init.system.popen(*init.STOP)
        wait_until(lambda: init.system.is_refused(7777))
        assert say(client, b"2") == b"2"
        assert stop.poll() is None
    said = stop.communicate()[0]
    assert stop.returncode == 0, said
    init.see_stopped()
    init.start()
    assert init.system.talk(7777, b"again") == b"AGAIN"


def test_openrc_instance(boot):
    """One more hatchd: a link, with settings of its own."""
    init = boot(OpenRC)
    init.wait_booted()
    init.system.path("/etc/init.d/hatchd.green").symlink_to("hatchd")
    init.system.write("/etc/conf.d/hatchd.green", 'cfgfile="/etc/green.conf"\n')
    init.system.write("/etc/green.conf", echo("green", 70))
    init.system.run("rc-service", "hatchd.green", "start")
    assert init.system.talk(70, b"green") == b"green"
    init.stop()
    assert "serving 1" in init.system.run("rc-service", "hatchd.green", "status")
    init.system.run("rc-service", "hatchd.green", "stop")
    assert init.system.is_refused(70)


def test_runit_instance(boot):
    """One more hatchd: a copy of the folder, with settings of its own; a user for the logs."""
    init = boot(Runit)
    init.wait_booted()
    with init.system.path("/etc/passwd").open("a") as users:
        users.write("_runit-log:x:700:4::/:/usr/sbin/nologin\n")
    init.system.write("/etc/green.conf", echo("green", 70))
    example = init.place("check", "runit").removesuffix("/check")
    init.system.run("cp", "-R", example, "/etc/sv/green")
    init.system.write("/etc/sv/green/conf",
                      "CONFIG=/etc/green.conf\nCONTROL=/run/green/control\n")
    # Not to wait until it is found.
    with init.system.popen("runsv", "/etc/sv/green") as runsv:
        init.wait_watched("/etc/sv/green")
        init.system.run("sv", "-w", "20", "start", "/etc/sv/green")
        assert init.system.talk(70, b"green") == b"green"
        init.stop()
        assert "serving 1" in init.system.run("hatchctl", "-s", "/run/green/control", "status")
        init.system.run("sv", "-w", "20", "exit", "/etc/sv/green")
        runsv.communicate(timeout=20)
    assert init.system.path("/var/log/runit/green/current").stat().st_uid == 700
    assert init.system.is_refused(70)
