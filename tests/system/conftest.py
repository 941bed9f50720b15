"""Fixtures of the tests under systemd; container.py has the rest.

    def test_start(machine):            # has booted, and ends with the test
"""

import pathlib
import signal
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "functional"))

import container  # which imports the harness
import harness

LONGEST_TEST = 120  # seconds, then the test has hung


def interrupt(number, frame):
    raise KeyboardInterrupt


def pytest_configure(config):
    # Whatever is to end us lets the fixtures clean up.
    for number in container.ENDINGS:
        signal.signal(number, interrupt)
    if not harness.isolate():
        pytest.exit("unable to enter a network namespace", 1)
    container.remove_stale_groups()
    reason = container.try_it()
    if reason:
        print(f"SKIP: systemd-nspawn does not work here: {' '.join(reason.split())}")
        pytest.exit("skipped", 77)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure comes what the machine has to say."""
    outcome = yield
    report = outcome.get_result()
    machine = getattr(item, "funcargs", {}).get("machine")
    if report.when == "call" and report.failed and machine:
        report.sections.append(("journal of the machine", machine.log()))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """A test that hangs is ended by a signal, and its machine with it."""
    with harness.deadline(item.nodeid, LONGEST_TEST):
        yield


@pytest.fixture
def machine():
    """A machine that has just booted; hatchd is installed, but not started."""
    machine = container.Machine()
    yield machine
    machine.close()
