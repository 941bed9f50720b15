"""The moment between clone and exec: a child has its user's identity and our memory.

The user of a service is the attacker: the child is held in its exec, while a
process with the same uid tries everything that the kernel has for getting at
the memory of another one.  Whatever fs.suid_dumpable is, nothing is read,
nothing is written, and no core file has it.

Some of these tests change settings of the whole machine, see machine.py: without
HATCHD_TEST_MACHINE=1 only those run for which it has the right ones already.
"""

import contextlib
import os
import pathlib
import pwd
import re
import signal
import subprocess

import pytest

from harness import (
    PYTHON, TIMEOUT, connect, free_port, helper, proc_status, read_all, service, talk,
    wait_exit, wait_until,
)
from held import Lease
from machine import CORE_PATTERN, SUID_DUMPABLE, Machine, is_for_tests, kernel_sees_our_files
from machine import settings as machine_settings

pytestmark = pytest.mark.needs_root

VICTIM = pwd.getpwnam("nobody")

# Somewhere in hatchd's memory, as part of the configuration of another service.
CANARY = "canary-" + "c0ffee" * 8

# Larger ones are shadows of sanitizers.
AREA_MAX = 1 << 28

REFUSED = {"EPERM", "EACCES"}


@pytest.fixture
def machine():
    with machine_settings() as machine:
        if is_for_tests():
            # No core of these tests goes to whoever collects them here.
            machine.set(CORE_PATTERN, "core")
        yield machine


def configuration(port, program, **options):
    target = service(
        "target", listen=f"tcp:{port}", exec=program, start_timeout="60s", **options
    )
    secret = service(
        "secret", listen=f"tcp:{free_port()}", exec="/bin/cat", env=[f"SECRET={CANARY}"]
    )
    return target + secret


def find_in_memory(pid, text):
    """Addresses of a text in the memory of a process; as root, who may look."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            area, rights = line.split()[:2]
            first, last = (int(x, 16) for x in area.split("-"))
            if not rights.startswith("rw") or last - first > AREA_MAX:
                continue
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(first)
                at = memory.read(last - first).find(text.encode())
                if at >= 0:
                    found.append(first + at)
    return found


def secret_in_memory(daemon):
    """Its address; what nobody has called for yet is not there at all."""
    text = daemon.config_path.read_text()
    port = int(re.search(r"service secret .*?tcp:(\d+)", text, re.DOTALL)[1])
    assert talk(port, b"secret") == b"secret"
    daemon.wait_children(0)
    return find_in_memory(daemon.pid, CANARY)[0]


def memory_at(pid, address, count):
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(address)
        return memory.read(count)


def as_victim(*command):
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=True,
        user=VICTIM.pw_uid, group=VICTIM.pw_gid, extra_groups=[],
    ).stdout


def attack(folder, pid, address):
    """{attempt: what came of it}"""
    program = helper("attack.py", folder)
    output = as_victim(PYTHON, "-S", "-E", program, str(pid), f"{address:x}")
    return dict(line.split() for line in output.splitlines())


def held_child(daemon, program, known=()):
    """The child that hangs in its exec; it still is a hatchd."""
    program.wait_wanted()
    (child,) = set(daemon.children()) - set(known)
    assert os.readlink(f"/proc/{child}/exe") == os.readlink(f"/proc/{daemon.pid}/exe")
    assert os.stat(f"/proc/{child}/task").st_uid in (0, VICTIM.pw_uid)
    return child


def assert_all_refused(result, but=()):
    allowed = {name for name, answer in result.items() if answer not in REFUSED}
    assert allowed <= set(but), result


MEMORY = {
    0: "shared memory",
    1: r"private memory \(fs.suid_dumpable is 1\)",
    2: "shared memory",
}


def set_dumpable(machine, dumpable):
    if dumpable == 1 and os.environ.get("HATCHD_SPAWN") == "shared":
        pytest.skip("asked for memory that may not be shared")
    machine.set(SUID_DUMPABLE, dumpable)


def expect_mode(daemon, dumpable):
    if not os.environ.get("HATCHD_SPAWN"):
        daemon.wait_log(f"children start with {MEMORY[dumpable]}")


# ---------------------------------------------------------------------------
# Reading and writing


@pytest.mark.parametrize("dumpable", [0, 1, 2])
def test_nothing_is_read_or_written(hatchd, folder, machine, dumpable):
    set_dumpable(machine, dumpable)
    port = free_port()
    program = Lease(folder)
    daemon = hatchd.file(configuration(port, program.path), "-v")
    with program:
        expect_mode(daemon, dumpable)
        address = secret_in_memory(daemon)
        with connect(port) as client:
            child = held_child(daemon, program)
            # What is tried would be worth it: the same bytes lie there.
            assert memory_at(child, address, len(CANARY)) == CANARY.encode()
            assert_all_refused(attack(folder, child, address), but=["prlimit"])
            assert_all_refused(attack(folder, daemon.pid, address))
            # Nothing can be done with what is left, but no tracer has it: the second bolt.
            status = proc_status(child)
            assert int(status["CapEff"], 16) == 0
            assert int(status["CapPrm"], 16) != 0
            assert memory_at(daemon.pid, address, len(CANARY)) == CANARY.encode()
            assert memory_at(child, address, len(CANARY)) == CANARY.encode()
            os.kill(child, signal.SIGKILL)
            assert read_all(client) == b""
        daemon.wait_children(0)


def test_the_attempts_are_real(hatchd, folder):
    """The same ones succeed against an ordinary program of the same user."""
    port = free_port()
    daemon = hatchd.file(
        service("cat", listen=f"tcp:{port}", exec="/bin/cat", env=[f"SECRET={CANARY}"])
    )
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        (child,) = daemon.children()
        address = find_in_memory(child, CANARY)[0]
        result = attack(folder, child, address)
        allowed = {name for name, answer in result.items() if answer == "allowed"}
        if "ptrace" not in allowed:
            pytest.skip("a user may not trace his own programs here")
        assert {"process_vm_writev", "mem_write", "pidfd_getfd", "environ"} <= allowed, result


# ---------------------------------------------------------------------------
# Core files


def set_trap(machine, kind):
    """Where cores go: a function that lists what has come."""
    machine.require()
    if kind == "pipe" and not kernel_sees_our_files():
        pytest.skip("the kernel would look for the handler outside this container or chroot")
    # The kernel runs the handler as root, and nobody else gets at it; a file is
    # written with the rights of the process.
    folder = machine.folder(0o700 if kind == "pipe" else 0o711)
    cores = folder / "cores"
    cores.mkdir(mode=0o700)
    if kind == "file":
        os.chown(cores, VICTIM.pw_uid, VICTIM.pw_gid)
        machine.set(CORE_PATTERN, f"{cores}/core.%p")
    else:
        handler = folder / "handler"
        part = f"{cores}/part.$1"
        handler.write_text(f"#!/bin/sh\ncat >{part} && mv {part} {cores}/core.$1\n")
        handler.chmod(0o700)
        machine.set(CORE_PATTERN, f"|{handler} %p")
    return lambda: sorted(path for path in cores.iterdir() if path.stat().st_size > 0)


def crash(machine, cores):
    """An ordinary program of that user leaves a core where it may: the trap works."""
    machine.set(SUID_DUMPABLE, 1)
    script = "ulimit -c unlimited; kill -SEGV $$"
    pid = subprocess.run(
        ["/bin/sh", "-c", f"sh -c 'echo $$; {script}'"], stdout=subprocess.PIPE, text=True,
        user=VICTIM.pw_uid, group=VICTIM.pw_gid, extra_groups=[], cwd="/",
    ).stdout.split()[0]
    wait_until(lambda: any(path.name == f"core.{pid}" for path in cores()), what="a core")
    return f"core.{pid}"


@pytest.mark.parametrize("kind", ["file", "pipe"])
@pytest.mark.parametrize("dumpable", [0, 1, 2])
def test_no_core_has_our_memory(hatchd, folder, machine, dumpable, kind):
    cores = set_trap(machine, kind)
    set_dumpable(machine, dumpable)
    port = free_port()
    program = Lease(folder)
    daemon = hatchd.file(
        configuration(port, program.path, rlimit={"core": "unlimited"}), "-v"
    )
    with program:
        expect_mode(daemon, dumpable)
        address = secret_in_memory(daemon)
        for number in (signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT, signal.SIGSYS):
            program.give_up()
            program.take()
            with connect(port) as client:
                child = held_child(daemon, program)
                assert attack(folder, child, address)["prlimit"] == "allowed"
                as_victim("/bin/sh", "-c", f"kill -{number.name[3:]} {child}")
                wait_exit(child)
                assert read_all(client) == b""
            daemon.wait_children(0)
        assert daemon.process.poll() is None
    # Whatever handler there was has ended by now, if the one for this has.
    control = crash(machine, cores)
    assert [path.name for path in cores()] == [control]
    assert all(CANARY.encode() not in path.read_bytes() for path in cores())


def test_hatchd_itself_leaves_no_core(hatchd, folder, machine):
    cores = set_trap(machine, "file")
    machine.set(SUID_DUMPABLE, 2)
    daemon = hatchd.file(configuration(free_port(), "/bin/cat"))
    daemon.signal(signal.SIGSEGV)
    daemon.signal(signal.SIGKILL)
    daemon.wait_end()
    assert cores() == []


# ---------------------------------------------------------------------------
# The setting changes while hatchd runs


def test_setting_becomes_dangerous(hatchd, folder, machine):
    """The first child that notices is given up; from then on memory is private."""
    if os.environ.get("HATCHD_SPAWN") == "private":
        pytest.skip("memory is private already")
    machine.require()
    machine.set(SUID_DUMPABLE, 0)
    port, held = free_port(), free_port()
    program = Lease(folder)
    daemon = hatchd.file(
        configuration(held, program.path)
        + service("cat", listen=f"tcp:{port}", exec="/bin/cat", user="daemon")
    )
    with program:
        assert talk(port, b"shared") == b"shared"
        address = secret_in_memory(daemon)
        with connect(held) as client:
            child = held_child(daemon, program)
            machine.set(SUID_DUMPABLE, 1)
            assert talk(port) == b""
            daemon.wait_log(
                r"they start with private memory \(fs.suid_dumpable has become 1\)"
            )
            assert talk(port, b"private") == b"private"
            # The one that was held all the time is as closed as it was.
            assert_all_refused(attack(folder, child, address), but=["prlimit"])
            assert memory_at(daemon.pid, address, len(CANARY)) == CANARY.encode()
            os.kill(child, signal.SIGKILL)
            assert read_all(client) == b""
        daemon.wait_children(0)


def test_private_memory_can_be_asked_for(hatchd, folder, machine):
    machine.set(SUID_DUMPABLE, 0)
    port = free_port()
    program = Lease(folder)
    daemon = hatchd.file(configuration(port, program.path), "--spawn=private")
    with program:
        address = secret_in_memory(daemon)
        with connect(port) as client:
            child = held_child(daemon, program)
            assert_all_refused(attack(folder, child, address), but=["prlimit"])
            os.kill(child, signal.SIGKILL)
            assert read_all(client) == b""


def test_settings_come_back_when_the_tests_are_killed(folder):
    """A file stands for a setting of the machine."""
    setting = pathlib.Path(folder, "setting")
    setting.write_text("as it was\n")
    ready, say = os.pipe()
    test = os.fork()
    if test == 0:
        machine = Machine()
        machine.change(setting, "changed")
        made = machine.folder()
        os.write(say, f"{machine.restorer.pid} {made}".encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(say)
    restorer, made = os.read(ready, 4096).decode().split()
    os.close(ready)
    os.waitpid(test, 0)
    wait_exit(int(restorer))
    assert setting.read_text() == "as it was\n"
    assert not os.path.exists(made)


# ---------------------------------------------------------------------------
# After the exec


def test_program_is_an_ordinary_process(hatchd, folder):
    """What protected the child before its exec is gone: no capability, no secure mode."""
    program = (
        "grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs)' /proc/self/status; "
        "od -An -tu8 -v -w16 /proc/self/auxv"
    )
    port = free_port()
    hatchd.file(service("look", listen=f"tcp:{port}", shell=program))
    words = [line.split() for line in talk(port).decode().splitlines()]
    status = {name: value for name, value in words[:5]}
    assert status == {
        "CapInh:": "0" * 16, "CapPrm:": "0" * 16, "CapEff:": "0" * 16, "CapAmb:": "0" * 16,
        "NoNewPrivs:": "0",
    }
    auxiliary = {int(key): int(value) for key, value in words[5:]}
    assert auxiliary[23] == 0  # AT_SECURE
