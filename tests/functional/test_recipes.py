"""Recipes: each of them is good, and hatchctl enables and disables them for good."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from harness import (
    HATCHCTL, Loader, connect, free_port, hatchctl, put, read_line, run_hatchd, service, talk,
    udp,
)
from test_control import cat, is_served, listed
from test_control_change import change

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "etc/services"
NAMES = sorted(path.stem for path in RECIPES.glob("*.conf"))


# ---------------------------------------------------------------------------
# Those that are installed


def checked(name):
    return run_hatchd("--check", "-f", RECIPES / f"{name}.conf")


@pytest.mark.parametrize("name", NAMES)
def test_each(name):
    """At most it waits, where its program is not installed."""
    text = (RECIPES / f"{name}.conf").read_text()
    assert re.match(r"# \S.{9,69}\n", text), "the first line says what it is"
    assert re.findall(r"^service (\S+) \{$", text, re.MULTILINE) == [name]
    done = checked(name)
    assert "error" not in done.stderr and "warning" not in done.stderr
    assert done.returncode == 0 or ": waiting: no " in done.stderr


def test_all_together(folder):
    """No two of them have the same address."""
    config = put(folder, f"include_dir('{RECIPES}')\n", "hatchd.conf")
    assert "error" not in run_hatchd("--check", "-f", config).stderr


def ask(port, text=b""):
    return talk(f"tcp:127.0.0.1:{port}", text)


SERVED = {
    "chargen": lambda: connect(19).recv(72) != b"",
    "daytime": lambda: re.search(rb"\d\d:\d\d:\d\d", ask(13)),
    "discard": lambda: ask(9, b"x") == b"",
    "echo": lambda: ask(7, b"x") == b"x" and udp("udp:127.0.0.1:7", b"x") == [b"x"],
    "finger": lambda: ask(79, b"root\r\n"),
    "ftp": lambda: read_line(connect(21)).startswith(b"220 "),
    "git": lambda: ask(9418, b"003agit-upload-pack /nowhere\0host=localhost\0") is not None,
    "http": lambda: ask(80, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1."),
    "netstat": lambda: b"LISTEN" in ask(15),
    "qotd": lambda: ask(17),
    "rsync": lambda: read_line(connect(873)).startswith(b"@RSYNCD: "),
    "svn": lambda: ask(3690).startswith(b"( success"),
    "systat": lambda: ask(11) is not None,
    "time": lambda: len(ask(37)) == 4,
}


@pytest.mark.needs_root
@pytest.mark.parametrize("name", SERVED)
def test_it_serves(hatchd, name):
    if checked(name).returncode != 0 or name == "rsync" and not os.path.exists(
            "/etc/rsyncd.conf"):
        pytest.skip(f"what {name} needs is not installed")
    daemon = hatchd.adhoc("-f", RECIPES / f"{name}.conf")
    assert SERVED[name]()
    daemon.wait_children(0)


# ---------------------------------------------------------------------------
# Enabled and disabled


class Place:
    """A configuration that includes services.d, and recipes of a test."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "run" / "control"
        self.services = folder / "services.d"
        self.recipes = folder / "recipes"
        self.services.mkdir()
        self.recipes.mkdir()
        self.main = put(folder, "include_dir('services.d')\n", "hatchd.conf")
        self.ports = {}

    def recipe(self, name, text=None):
        self.ports[name] = free_port()
        text = text or cat(name, self.ports[name])
        return put(self.recipes, f"# What {name} does\n{text}", f"{name}.conf")

    def start(self, hatchd, *args):
        return hatchd.adhoc("-f", self.main, f"--control={self.path}", *args)

    def run(self, command, *args):
        done = hatchctl(
            command, f"--control={self.path}", f"--recipes={self.recipes}",
            f"--file={self.main}", *args)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def enable(self, *names):
        return self.run("enable", "--persistent", *names)

    def disable(self, *names):
        return self.run("disable", "--persistent", *names)

    def links(self):
        return {path.name: os.readlink(path) for path in self.services.iterdir()}


@pytest.fixture
def place(folder):
    return Place(folder)


def says(*lines):
    return 0, "".join(f"{line}\n" for line in lines), ""


def fails(text, status=1):
    return status, "", f"hatchctl: {text}\n"


def test_enable_and_disable(hatchd, place):
    recipe = place.recipe("a")
    place.recipe("b")
    place.start(hatchd)
    assert place.enable("a") == says("a: serving")
    assert place.links() == {"a.conf": str(recipe)}
    assert is_served(place.ports["a"])
    # Once more is the same; what was disabled for now is enabled.
    change(place.path, "disable a")
    assert place.enable("a") == says("a: serving")
    assert is_served(place.ports["a"])
    assert place.enable("a", "b") == says("a: serving", "b: serving")
    with connect(place.ports["a"]) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert place.disable("a") == says("a: disabled; 1 connection goes on")
        client.sendall(b"y")
        assert client.recv(1) == b"y"
    assert [line["service"] for line in listed(place.path)] == ["b"]
    assert place.disable("a", "b") == says("a: disabled already", "b: disabled")
    assert place.links() == {}


def test_without_a_hatchd(place):
    recipe = place.recipe("a")
    assert place.enable("a") == says(f"a: enabled; hatchd does not run with {place.main}")
    assert place.enable("a") == says(f"a: enabled; hatchd does not run with {place.main}")
    assert place.links() == {"a.conf": str(recipe)}
    assert place.disable("a") == says("a: disabled")
    assert place.links() == {}


def test_the_file_of_the_hatchd_that_runs(hatchd, place):
    """It is found by asking."""
    place.recipe("a")
    place.start(hatchd)
    words = (f"--control={place.path}", "--persistent", f"--recipes={place.recipes}", "a")
    assert hatchctl("enable", *words).stdout == b"a: serving\n"
    assert list(place.links()) == ["a.conf"]
    assert hatchctl("disable", *words).stdout == b"a: disabled\n"


def test_another_file_than_that_of_the_hatchd_that_runs(hatchd, place):
    """It is not told to reload."""
    place.recipe("a")
    other = put(place.folder, "", "other.conf")
    daemon = hatchd.adhoc("-f", other, f"--control={place.path}")
    assert place.enable("a") == says(f"a: enabled; hatchd does not run with {place.main}")
    assert "reloaded" not in daemon.text()


def test_a_folder_of_another_name(place):
    place.recipe("a")
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    put(place.folder, "include_dir('elsewhere')\n", "hatchd.conf")
    assert place.enable("a", f"--services-dir={elsewhere}")[0] == 0
    assert os.listdir(elsewhere) == ["a.conf"]
    # In the one that is not included it would do nothing.
    place.disable("a", f"--services-dir={elsewhere}")
    assert place.enable("a") == (
        1, "", f"hatchctl: a: {place.main} does not include what is in {place.services}\n"
        "hatchctl: a: not enabled: the link was taken back\n")
    assert place.links() == {}


def test_a_recipe_with_mistakes(hatchd, place):
    place.recipe("a", "service a {\n\tbuiltin = ecko\n}\n")
    place.recipe("b")
    daemon = place.start(hatchd)
    status, out, err = place.enable("a", "b")
    assert (status, out) == (1, "b: serving\n")
    assert f"{place.services}/a.conf:3:12: error: builtin: 'ecko' is not" in err
    assert err.endswith("hatchctl: a: not enabled: the link was taken back\n")
    assert list(place.links()) == ["b.conf"]
    daemon.wait_log("reloaded: 1 added")
    assert place.disable("b")[0] == 0


def test_a_service_that_is_there_already(hatchd, place):
    place.recipe("a")
    put(place.services, cat("a", free_port()), "mine.conf")
    place.start(hatchd)
    status, out, err = place.enable("a")
    assert status == 1 and "service 'a' already exists" in err and "taken back" in err
    assert os.listdir(place.services) == ["mine.conf"]
    assert place.disable("a") == fails(
        "a: no recipe; set 'disable = yes' in the file that it is in, and reload")


def test_what_it_needs_is_not_there(hatchd, place):
    """Then it waits, as it would from any other file, and that is said."""
    place.recipe("a", service("a", listen=f"tcp:127.0.0.1:{free_port()}", exec="/no/program"))
    place.start(hatchd)
    status, out, err = place.enable("a")
    assert (status, out) == (0, "a: waiting: no program /no/program\n")
    assert "a.conf:4:8: waiting: no program /no/program\n" in err
    assert list(place.links()) == ["a.conf"]
    assert place.disable("a") == says("a: disabled")


def test_mistakes_of_others(hatchd, place):
    """Those that were there before do not hinder a start, but a reload: nothing is done."""
    place.recipe("a")
    put(place.services, "service b {\n", "b.conf")
    assert place.enable("a")[0] == 0
    assert place.disable("a")[0] == 0
    place.start(hatchd)
    status, out, err = place.enable("a")
    assert (status, out) == (1, "")
    assert err.endswith(
        "hatchctl: the reload failed, and nothing has changed: the files have mistakes\n"
        "hatchctl: a: not enabled: the link was taken back\n")
    assert err.count("b.conf:1:11: error") == 1
    assert os.listdir(place.services) == ["b.conf"]


def test_a_file_of_ones_own(hatchd, place):
    place.recipe("a")
    own = put(place.services, cat("a", free_port()), "a.conf")
    assert place.enable("a") == fails(
        f"a: {own} is a file of your own, and no link to a recipe")
    said = f"a: {own} is a file of your own: set 'disable = yes' in it, and reload"
    assert place.disable("a") == fails(said)
    own.rename(place.folder / "mine.conf")
    own.symlink_to("../mine.conf")
    assert place.disable("a") == fails(said)
    assert own.is_symlink()


def test_a_recipe_that_is_gone(place):
    """Its link leads nowhere, and can be removed all the same."""
    recipe = place.recipe("a")
    place.enable("a")
    recipe.unlink()
    assert place.disable("a") == says("a: disabled")
    assert place.links() == {}


def test_no_such_recipe(place):
    place.recipe("upper")
    for run in place.enable, place.disable:
        assert run("uper") == fails(
            f"uper: there is no recipe of that name in {place.recipes}; "
            "did you mean 'upper'?", 2)
    shutil.rmtree(place.recipes)
    assert place.enable("a") == fails(
        f"a: there is no recipe of that name in {place.recipes}", 2)


def test_no_folder(place):
    place.recipe("a")
    put(place.folder, "", "hatchd.conf")
    place.services.rmdir()
    status, out, err = place.enable("a")
    assert status == 1
    link = place.services / "a.conf"
    assert err == f"hatchctl: a: unable to make {link}: No such file or directory\n"


def test_no_file(place):
    place.recipe("a")
    place.main.unlink()
    status, out, err = place.enable("a")
    assert status == 1 and f"unable to check {place.main}" in err and place.links() == {}


def test_a_reload_that_fails(hatchd, place, folder, monkeypatch):
    """The link goes as it has come."""
    loader = Loader(folder, monkeypatch)
    place.recipe("a")
    place.start(hatchd)
    loader.instead("exit 7")
    status, out, err = place.enable("a")
    assert (status, out) == (1, "")
    assert "hatchctl: the reload failed" in err and err.endswith("the link was taken back\n")
    assert place.links() == {}
    loader.instead(None)
    assert place.enable("a") == says("a: serving")
    loader.instead("exit 7")
    status, out, err = place.disable("a")
    assert status == 1 and err.endswith("a: not disabled: the link is there again\n")
    assert list(place.links()) == ["a.conf"] and is_served(place.ports["a"])
    loader.instead(None)
    assert place.disable("a") == says("a: disabled")


def test_interrupted(hatchd, place, folder, monkeypatch):
    """Ctrl-C while it waits for a reload: that comes to its end first, and is not half done."""
    loader = Loader(folder, monkeypatch)
    place.recipe("a")
    place.start(hatchd)
    loader.hold()
    with subprocess.Popen(
        [HATCHCTL, "enable", "--persistent", f"--control={place.path}",
         f"--recipes={place.recipes}", f"--file={place.main}", "a"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:
        held = loader.wait_held()
        process.send_signal(signal.SIGINT)
        loader.release(held)
        process.communicate()
    assert process.returncode == -signal.SIGINT
    assert list(place.links()) == ["a.conf"] and is_served(place.ports["a"])
    assert place.disable("a") == says("a: disabled")


def test_enable_names_the_recipe(hatchd, place):
    place.recipe("a")
    place.start(hatchd)
    done = hatchctl("enable", f"--control={place.path}", f"--recipes={place.recipes}", "a", "b")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == (
        "hatchctl: a: no such service; there is a recipe: hatchctl enable --persistent a\n"
        "hatchctl: b: no such service\n")


def test_list(hatchd, place):
    for name in "abc":
        place.recipe(name)
    put(place.recipes, "no recipe", "README")
    put(place.recipes, "service d {}\n", "d.conf")
    put(place.services, cat("c", free_port()), "c.conf")
    table = (
        "NAME  ENABLED  DESCRIPTION\n"
        "a     yes      What a does\n"
        "b     no       What b does\n"
        "c     own      What c does\n"
        "d     no       -\n"
    )
    place.enable("a")
    assert place.run("recipes") == (0, table, "")
    chosen = place.run("recipes", "--json", "--output=enabled,name")[1]
    assert json.loads(chosen)["recipes"][:2] == [
        {"enabled": "yes", "name": "a"}, {"enabled": "no", "name": "b"}]
    place.start(hatchd)
    done = hatchctl("recipes", f"--control={place.path}", f"--recipes={place.recipes}")
    assert done.stdout.decode() == table
    shutil.rmtree(place.recipes)
    assert place.run("recipes") == fails(
        f"unable to read {place.recipes}: No such file or directory")
