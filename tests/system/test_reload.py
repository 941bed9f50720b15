"""systemctl reload: when it has returned, the new configuration is in force, or it was told."""

import threading

import pytest

from container import UNIT
from harness import connect, free_port, read_all, service, talk, wait_until

ROUNDS = 50


def number(port, n):
    return service("number", listen=f"tcp:{port}", exec=["/bin/echo", n])


class Clients:
    """Threads that ask without a pause.

    `reached` is the number of the last reload that has returned.  Who connects then
    must not be answered by an older one.
    """

    def __init__(self, port, n_threads=2):
        self.port = port
        self.reached = 0
        self.answers = set()
        self.wrong = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(n_threads)]

    def _ask(self):
        while not self.over.is_set():
            at_least = self.reached
            try:
                with connect(self.port) as sock:
                    answer = int(read_all(sock))
                self.answers.add(answer)
                if answer < at_least:
                    self.wrong.append(f"{answer} after {at_least}")
            except (OSError, ValueError) as error:
                self.wrong.append(f"{error} after {at_least}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def reload_under_load(machine, port):
    """After each reload the new one is in force, for all; returns what clients have seen."""
    with Clients(port) as clients:
        for n in range(1, ROUNDS + 1):
            machine.serve(number(port, n))
            machine.systemctl("reload", "hatchd")
            clients.reached = n
            assert talk(port) == b"%d\n" % n
    assert clients.wrong == []
    return clients.answers


@pytest.mark.everywhere
def test_reloaded_means_in_force(machine):
    port = free_port()
    machine.serve(number(port, 0))
    machine.systemctl("start", "hatchd")
    pid = machine.main_pid()
    answers = reload_under_load(machine, port)
    assert len(answers) > ROUNDS // 2
    assert machine.main_pid() == pid


def test_behind_another(machine):
    """A reload that runs already, for a signal by hand, has read older files."""
    port = free_port()
    machine.serve(number(port, 0))
    machine.systemctl("start", "hatchd")
    pid = machine.main_pid()
    for n in range(1, 21):
        machine.kill("HUP", pid)
        machine.serve(number(port, n))
        machine.systemctl("reload", "hatchd")
        assert talk(port) == b"%d\n" % n


@pytest.mark.everywhere
def test_notify_reload(machine):
    """Type=notify-reload does without the commands of ExecReload=, from systemd 253 on."""
    if machine.version() < 253:
        pytest.skip("systemd here is older than 253")
    port = free_port()
    machine.drop_in("notify-reload.conf")
    machine.serve(number(port, 0))
    machine.systemctl("start", "hatchd")
    assert machine.show("Type") == "notify-reload"
    assert machine.show("ExecReload") == ""
    reload_under_load(machine, port)


def test_broken_configuration_is_told(machine):
    """The old one stays in force, also for those who ask while it is broken."""
    port = free_port()
    machine.serve(number(port, 1))
    machine.systemctl("start", "hatchd")
    journal = machine.journal("-u", UNIT)
    with Clients(port) as clients:
        machine.serve(number(port, 2) + "service broken {\n\tlisten = tcp:none\n}\n")
        machine.systemctl("reload", "hatchd")
        assert talk(port) == b"1\n"
    assert clients.wrong == []
    assert clients.answers == {1}
    assert machine.show("ActiveState") == "active"
    status = "Serving 1 of 1 services; the last reload failed"
    wait_until(lambda: machine.show("StatusText") == status)  # when the last one has gone
    assert f'Status: "{status}"' in machine.systemctl("status", "hatchd")
    journal.wait(MESSAGE=r"^/etc/hatchd/services\.d/test\.conf:\d+:\d+: error: ")
    journal.wait(MESSAGE="^unable to reload: ", SYSLOG_IDENTIFIER="hatchd", PRIORITY="3")

    machine.serve(number(port, 3))
    machine.systemctl("reload", "hatchd")
    assert talk(port) == b"3\n"
    wait_until(lambda: machine.show("StatusText") == "Serving 1 of 1 services")


def test_reload_or_restart(machine):
    """What package scripts call: it starts what is stopped, and only reloads what runs."""
    port = free_port()
    machine.serve(number(port, 1))
    machine.systemctl("reload-or-restart", "hatchd")
    assert talk(port) == b"1\n"
    pid = machine.main_pid()
    machine.serve(number(port, 2))
    machine.systemctl("reload-or-restart", "hatchd")
    assert talk(port) == b"2\n"
    assert machine.main_pid() == pid
