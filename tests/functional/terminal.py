"""A terminal that a test types at and looks at: a window of tmux(1), without anybody's
configuration."""

import shutil
import subprocess

import pytest

from harness import HATCHCTL, base_environment, wait_until

TMUX = shutil.which("tmux")
needs_tmux = pytest.mark.skipif(not TMUX, reason="there is no tmux (Debian: tmux)")


# It says how the command has ended; what tmux says of that may lack the status.
SHELL = 'trap : INT; "$@"; echo "ended with status $?"; exec cat'


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


class Terminal:
    """A command runs in it, and may end; what it has left on the screen stays."""

    def __init__(self, folder, width, height, command, env=None):
        self.socket = folder / "tmux"
        settings = folder / "tmux.conf"
        settings.write_text(
            "set -g status off\nset -s escape-time 0\n"
            "set -g default-terminal screen-256color\n")
        # In the foreground, so that it is ours and not somebody's who was left behind.
        self.server = subprocess.Popen(
            [TMUX, "-S", self.socket, "-f", settings, "-D"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**base_environment(), "LC_ALL": "C.UTF-8"})
        try:
            wait_until(self.socket.exists, what="a tmux")
            variables = [f"-e{name}={value}" for name, value in (env or {}).items()]
            self.tmux("new-session", "-d", "-x", width, "-y", height, *variables,
                      "/bin/sh", "-c", SHELL, "sh", *(str(word) for word in command))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.tmux("kill-server", check=False)
        self.server.kill()
        self.server.wait()

    def tmux(self, *args, check=True):
        done = subprocess.run(
            [TMUX, "-S", self.socket, *(str(arg) for arg in args)], check=check, timeout=20,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.stdout.decode()

    def type(self, *keys):
        """Names as tmux has them (Enter, Down, C-c), and else texts."""
        self.tmux("send-keys", *keys)

    def resize(self, width, height):
        self.tmux("resize-window", "-x", width, "-y", height)

    def screen(self, *options):
        return self.tmux("capture-pane", "-p", *options)

    def wait(self, text, gone=False):
        """Wait until that is to be seen somewhere, or is not; returns the screen."""
        seen = []

        def right():
            seen[:] = [self.screen()]
            return (text in seen[0]) != gone

        try:
            wait_until(right)
        except AssertionError:
            what = "still" if gone else "no"
            raise AssertionError(f"{what} {text!r} in:\n{seen[0]}") from None
        return seen[0]

    def still(self):
        """The screen, when two looks at it have seen the same."""
        seen = [None]

        def same():
            seen.append(self.screen())
            return seen[-1] == seen[-2]

        wait_until(same)
        return seen[-1]

    def wait_end(self, status=0):
        """Wait until the command has ended like that; returns the screen."""
        return self.wait(f"ended with status {status}\n")

    def pid(self):
        """Of the command."""
        shell = int(self.tmux("display-message", "-p", "#{pane_pid}"))
        (pid,) = children_of(shell)
        return pid


def top(folder, *args, width=80, height=24, control=None, env=None):
    """hatchctl top in a terminal."""
    command = [HATCHCTL, "top", f"--control={control or folder / 'control'}", *args]
    return Terminal(folder, width, height, command, env)
