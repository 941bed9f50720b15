"""Fixtures of the tests under systemd; container.py has the rest.

    def test_start(machine):            # has booted, and ends with the test

Each test is one of the first release; marked `@pytest.mark.everywhere`, it is one of all.
"""

import pathlib
import signal
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "functional"))

import container  # which imports the harness
import harness
import prepare

LONGEST_TEST = 120  # seconds, then the test has hung


def interrupt(number, frame):
    raise KeyboardInterrupt


def pytest_configure(config):
    # Whatever is to end us lets the fixtures clean up.
    for number in container.ENDINGS:
        signal.signal(number, interrupt)
    config.addinivalue_line("markers", "everywhere: on all releases, as systemd is another one")
    config.addinivalue_line("markers", "xdist_group(name): never two of a name at a time")
    # Strings are compared as objects to see whether a fixture is still the right one.
    config.releases = prepare.releases()
    if not harness.isolate():
        pytest.exit("unable to enter a network namespace", 1)
    # What follows is for the first process, if several divide the tests.
    if hasattr(config, "workerinput"):
        return
    container.remove_stale_groups()
    reason = container.try_it(config.releases[0])
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


def pytest_generate_tests(metafunc):
    """One for each release that it is to be tested on."""
    if "release" not in metafunc.fixturenames:
        return
    names = metafunc.config.releases
    if not metafunc.definition.get_closest_marker("everywhere"):
        names = names[:1]
    metafunc.parametrize("release", map(on_release, names), scope="module")


def on_release(name):
    missing = not prepare.tree_folder(name).exists()
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason=f"no tree of {name}"))


@pytest.fixture
def machine(release):
    """A machine that has just booted; hatchd is installed, but not started."""
    machine = container.Machine(release)
    yield machine
    machine.close()
