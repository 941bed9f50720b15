"""Upgrades in place, for the tests of them: hatchctl upgrade, or SIGUSR2."""

import os
import pathlib
import shutil
import signal

from harness import HATCHD, TIMEOUT

UPGRADES = int(os.environ.get("HATCHD_TEST_UPGRADES", "10"))


class Installed:
    """A copy of all programs, of which hatchd can be replaced as a package does it.

        daemon = hatchd.file(config, binary=installed.hatchd)
        installed.replace(b"#!/bin/sh\\n")
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / "programs"
        self.folder.mkdir()
        for path in pathlib.Path(HATCHD).parent.glob("hatchd*"):
            if path.is_file() and os.access(path, os.X_OK):
                shutil.copy(path, self.folder)
        self.hatchd = self.folder / "hatchd"

    def replace(self, content, mode=0o755):
        """By another file of that name; the one that runs has none from then on."""
        new = self.folder / "new"
        new.write_bytes(content)
        new.chmod(mode)
        os.rename(new, self.hatchd)

    def repair(self):
        """As it was, whatever is there."""
        if self.hatchd.is_dir():
            self.hatchd.rmdir()
        self.replace(pathlib.Path(HATCHD).read_bytes())


def ask_for_upgrade(daemon, timeout=2 * TIMEOUT):
    """SIGUSR2; returns the line with which it has ended, for better or worse."""
    mark = daemon.mark()
    daemon.signal(signal.SIGUSR2)
    return daemon.wait_log("(upgraded to hatchd|unable to upgrade).*", timeout, mark).string


def upgrade(daemon):
    """To what is there now; it is the same process."""
    said = ask_for_upgrade(daemon)
    assert "upgraded to hatchd " in said, daemon.text()
    assert daemon.process.poll() is None
