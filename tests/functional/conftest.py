"""Fixtures of the behaviour tests; harness.py has the rest.

The whole session runs in a network namespace of its own, so low ports are free
and nothing leaves the machine.  That takes root; tests that need it are marked
`@needs_root` and skipped for others.

`run` divides the session among several processes where it can (pytest-xdist), each
with a namespace of its own.  What a test has that is not in there is of that test,
and named so: its folder, its control group.  A test that cannot have others beside it
is marked `@pytest.mark.alone`; these come last.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import signal

import pytest

import harness
from certificates import Certificates

LONGEST_TEST = 120  # seconds, then the test has hung


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_root: only root can do this")
    config.addinivalue_line("markers", "alone: measures, or changes, what all have together")
    config.addinivalue_line("markers", "xdist_group(name): never two of a name at a time")
    for path in (harness.HATCHD, harness.HATCHCTL):
        if not os.access(path, os.X_OK):
            pytest.exit(f"{path} is not there: build first, or set HATCHD and HATCHCTL", 4)
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        pytest.exit("skipped: the user of the tests has no account", 77)
    # Background jobs and nohup ignore these, and so would whatever is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    harness.become_subreaper()
    config.isolated = harness.isolate()
    config.turns = Turns(config)


def pytest_unconfigure():
    """The processes of xdist do not come to their atexit."""
    harness.remove_built_helpers()


def pytest_report_header(config):
    where = "private network namespace" if config.isolated else "the network of this machine"
    return f"hatchd: {' '.join(harness.hatchd_command())}, in {where}"


class Turns:
    """One test alone, or one in each of the processes that divide the session.

    The first of these has a file without a name; the lock on it is what all have.
    """

    def __init__(self, config):
        if hasattr(config, "workerinput"):
            self.path = config.workerinput["turns"]
        else:
            self.path = f"/proc/{os.getpid()}/fd/{os.memfd_create('turns')}"
        self.file = open(self.path, "rb")

    @contextlib.contextmanager
    def take(self, alone):
        """Waits for as long as it takes: what others do has an end."""
        fcntl.flock(self.file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self.file, fcntl.LOCK_UN)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell another process, before it starts, what it has to find."""
    node.workerinput["turns"] = node.config.turns.path


def is_alone(item):
    """Those marked, and those that may change settings of the machine."""
    return "alone" in item.keywords or "machine" in item.fixturenames


def pytest_collection_modifyitems(config, items):
    items.sort(key=is_alone)
    if config.isolated:
        return
    skip = pytest.mark.skip(reason="needs root, for a network namespace and other users")
    for item in items:
        if "needs_root" in item.keywords:
            item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remember how the test went: the fixture below has to know.

    The logs come with the report, for another process may be the one that shows it.
    """
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{call.when}", report)
    if call.when == "call" and not report.passed and "hatchd" in item.funcargs:
        for daemon in item.funcargs["hatchd"].daemons:
            report.sections.append(("log of hatchd", daemon.text()))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """A test that hangs is ended by a signal, and its daemon is cleaned up."""
    turn = item.config.turns.take(is_alone(item))
    with turn, harness.deadline(item.nodeid, LONGEST_TEST):
        yield


class Starter:
    """Starts daemons that end with the test."""

    def __init__(self, folder):
        self.folder = folder
        self.daemons = []

    def _add(self, daemon):
        self.daemons.append(daemon)
        return daemon

    def file(self, config, *args, **more):
        """hatchd -f FILE with that text."""
        more.setdefault("folder", self.folder)
        return self._add(harness.Daemon(*args, config=config, **more))

    def adhoc(self, *args, **more):
        """hatchd with these arguments."""
        more.setdefault("folder", self.folder)
        return self._add(harness.Daemon(*args, **more))

    def check(self, config, *args):
        """hatchd --check of that text: CompletedProcess."""
        path = self.folder / "hatchd.conf"
        path.write_bytes(config if isinstance(config, bytes) else config.encode())
        path.chmod(0o644)
        return harness.run_hatchd("--check", "-f", path, *args)


@pytest.fixture
def folder():
    """A temporary folder that services may enter, whoever they run as."""
    path = harness.make_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def certificates():
    """What openssl(1) has made, for whoever needs it."""
    made = Certificates()
    yield made
    made.remove()


@pytest.fixture
def world(folder):
    """The clocks, in the hand of a test; None with sanitizers, which must be loaded first."""
    return None if harness.IS_SANITIZED else harness.World(folder)


@pytest.fixture
def hatchd(request, folder):
    """Starts daemons: hatchd.file(config), hatchd.adhoc("-l", ...).

    After a test that passed, each must stop with status 0 and leave nothing
    behind.  A test that means to leave something says daemon.stop(leave=True).
    """
    starter = Starter(folder)
    yield starter
    report = getattr(request.node, "report_call", None)
    try:
        for daemon in starter.daemons:
            if report is not None and report.passed:
                daemon.stop()
    finally:
        for daemon in starter.daemons:
            daemon.close()
