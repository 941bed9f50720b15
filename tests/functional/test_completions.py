"""Completions of bash, zsh and fish: what is offered where, and that nothing is executed."""

import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest

from harness import HATCHCTL, HATCHD, free_port, hatchctl, service, wait_until

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "packaging/completions"

COMMANDS = re.findall(r"^  ([a-z-]+) ", hatchctl("--help").stdout.decode().split(
    "Commands:")[1], re.MULTILINE)


def environment(home="/dev/null"):
    """Where the programs are found by their names."""
    folders = [os.path.dirname(HATCHCTL), os.path.dirname(HATCHD), "/usr/bin", "/bin"]
    return {"PATH": ":".join(folders), "LC_ALL": "C.UTF-8", "HOME": home,
            "TERM": "dumb"}


def run(*command):
    # fish makes folders in it.
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(command, env=environment(home), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=20)
    assert done.stderr == "", done.stderr
    return done.stdout.splitlines()


def bash_words(line):
    """As bash divides it: = is a word, and there is one at the end that may be empty."""
    words = re.findall(r"[^\s=]+|=", line)
    if not line or line[-1] in " ":
        words.append("")
    return words


def bash(line):
    words = bash_words(line)
    return run("bash", "--norc", "-c", f"""
        source {shlex.quote(str(FOLDER / "bash" / words[0]))}
        COMP_WORDS=({" ".join(map(shlex.quote, words))})
        COMP_CWORD={len(words) - 1}
        _{words[0]} {words[0]} "${{COMP_WORDS[COMP_CWORD]}}"
        [ ${{#COMPREPLY[@]}} -eq 0 ] || printf '%s\\n' "${{COMPREPLY[@]}}"
        """)


def fish(line):
    told = run("fish", "--no-config", "-c", f"""
        source {FOLDER / "fish" / line.split()[0]}.fish
        complete -C {shlex.quote(line)}
        """)
    return [each.split("\t")[0] for each in told]


SHELLS = [pytest.param(shell, marks=pytest.mark.skipif(
    not shutil.which(shell.__name__), reason=f"there is no {shell.__name__}"))
    for shell in (bash, fish)]


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.fixture
def served(hatchd, path):
    """A hatchd with two services, and its control socket."""
    hatchd.file("".join(
        service(name, listen=f"tcp:127.0.0.1:{free_port()}", exec="/bin/cat")
        for name in ("upper", "lower")), f"--control={path}")
    return path


@pytest.mark.parametrize("shell", SHELLS)
def test_commands(shell):
    assert len(COMMANDS) > 20 and set(COMMANDS) <= set(shell("hatchctl "))
    assert sorted(shell("hatchctl sta")) == ["status"]
    assert sorted(shell("hatchctl -s /x con")) == ["connect", "connections"]
    # fish looks for the letters in what commands do, too.
    assert shell("hatchctl zzz") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_options(shell):
    assert sorted(shell("hatchctl --")) == ["--control", "--help", "--version"]
    assert sorted(shell("hatchctl list --no")) == ["--noheadings"]
    assert sorted(shell("hatchctl connect --c")) == ["--ca", "--certificate"]
    assert shell("hatchctl drain --st") == ["--stop"]
    assert sorted(shell("hatchctl drain --ti")) == ["--timeout"]
    assert sorted(shell("hatchctl orphans --e")) == ["--end"]
    assert sorted(shell("hatchctl orphans --end --k")) == ["--kill-after"]
    assert sorted(shell("hatchctl upgrade --")) == ["--control", "--help"]
    assert "--explain" in shell("hatchd --ex")
    assert sorted(shell("hatchd --per-source")) == ["--per-source", "--per-source-rate"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_of_hatchd(shell):
    """None in the help is missed."""
    told = subprocess.run([HATCHD, "--help"], stdout=subprocess.PIPE, text=True, timeout=20)
    named = re.findall(r"^ {2,6}(?:-\w, )? *(--[a-z0-9-]+)", told.stdout, re.MULTILINE)
    assert len(named) > 50 and set(named) <= set(shell("hatchd --"))


@pytest.mark.parametrize("shell", SHELLS)
def test_services(shell, served):
    for command in ("bans", "connections", "drain", "events", "explain", "list", "orphans",
                    "orphans --end", "selftest", "top"):
        assert sorted(shell(f"hatchctl -s {served} {command} ")) == ["lower", "upper"]
    assert shell(f"hatchctl --control={served} list up") == ["upper"]
    assert shell(f"hatchctl connections -n --control {served} lo") == ["lower"]
    assert shell(f"hatchctl list -s {served} upper ") == []
    assert shell(f"hatchctl explain -f {served} x 192.0.2.1 ") == []
    assert shell(f"hatchctl upgrade -s {served} ") == []
    assert shell(f"hatchctl orphans --end -s {served} --kill-after 5s lo") == ["lower"]
    assert sorted(shell(f"hatchd --control={served} --explain ")) == ["lower", "upper"]


@pytest.mark.parametrize("shell", SHELLS)
def test_bans(shell, served):
    assert shell(f"hatchctl -s {served} unban ") == []
    for source in "192.0.2.0/24", "uid:1000", "192.0.2.0/24 --service=upper":
        assert hatchctl("ban", "-s", served, *source.split()).returncode == 0
    assert sorted(shell(f"hatchctl -s {served} unban ")) == ["192.0.2.0/24", "uid:1000"]
    assert shell(f"hatchctl -s {served} unban 19") == ["192.0.2.0/24"]
    assert shell(f"hatchctl -s {served} unban --service up") == ["upper"]


@pytest.mark.parametrize("shell", SHELLS)
def test_nobody_to_ask(shell, folder):
    assert shell(f"hatchctl -s {folder}/none list ") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_values(shell, folder):
    assert sorted(shell("hatchctl list --color ")) == ["always", "auto", "never"]
    assert shell("hatchctl list -o addr") == ["addresses"]
    assert shell("hatchctl list -o state,addr") == ["state,addresses"]
    assert shell("hatchctl list --output +addr") == ["+addresses"]
    assert sorted(shell("hatchd --spawn s")) == ["shared"]
    (folder / "afile").touch()
    assert shell(f"hatchd -f {folder}/af") == [f"{folder}/afile"]
    assert shell(f"hatchctl connect --ca {folder}/af") == [f"{folder}/afile"]
    assert shell(f"hatchd --take-over {folder}/af") == [f"{folder}/afile"]


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_after_an_equals_sign():
    """Which is a word of its own in bash."""
    assert bash("hatchctl list --color=a") == ["always", "auto"]
    assert bash("hatchctl list --color=") == ["always", "auto", "never"]
    assert bash("hatchd --spawn=p") == ["private"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_program_behind(shell):
    """What stands behind -- is not ours."""
    assert "--help" not in shell("hatchd -l 7777 -- tr --")


class Evil:
    """Has a service of an evil name."""

    def __init__(self, path, name):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        self.sock.listen()
        self.path = path
        self.name = name
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            peer = self.sock.accept()[0]
            with peer:
                if not peer.recv(100):
                    return
                peer.sendall(b'{"service":"%s"}\n{"end":true}\n' % self.name.encode())

    def close(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.path))
        self.thread.join()
        self.sock.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_is_executed(shell, folder):
    trace = folder / "trace"
    stub = Evil(folder / "control", f"$(touch${{IFS}}{trace})`touch${{IFS}}{trace}`;(id)")
    try:
        assert len(shell(f"hatchctl -s {folder}/control list ")) == 1
    finally:
        stub.close()
    assert not trace.exists()


class Zsh:
    """One that somebody types at; its completion works at a terminal only."""

    def __init__(self):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**environment(), "TERM": "xterm"})
        self.pid = pid
        self.text = ""
        self.type(f"PS1='> '; stty cols 250; fpath=({FOLDER}/zsh $fpath); "
                  "autoload -Uz compinit && compinit -u -D; echo rea''dy\n", "ready")

    def type(self, text, expected):
        """Until that is seen."""
        self.text = ""
        os.write(self.fd, text.encode())
        wait_until(lambda: self.read() and expected in self.text, what=f"{text!r}: {expected}")

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            self.text += os.read(self.fd, 4096).decode(errors="replace")
        return self.text

    def complete(self, text, expected):
        self.type(f"{text}\t", expected)
        os.write(self.fd, b"\x15")  # forget the line

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@pytest.mark.skipif(not shutil.which("zsh"), reason="there is no zsh")
def test_zsh(served, folder):
    zsh = Zsh()
    try:
        zsh.complete("hatchctl sta", "hatchctl status")
        zsh.complete("hatchctl list --nohe", "--noheadings")
        zsh.complete(f"hatchctl -s {served} list up", "list upper")
        zsh.complete(f"hatchctl list -s {served} lo", f"{served} lower")
        zsh.complete("hatchctl list -o addr", "-o addresses")
        zsh.complete("hatchctl list -o state,addr", "-o state,addresses")
        zsh.complete("hatchctl list --color alw", "always")
        zsh.complete("hatchd --spawn=pri", "--spawn=private")
        zsh.complete("hatchd --self-s", "--self-signed")
        zsh.complete("hatchd --take", "--take-over")
        zsh.complete("hatchctl upg", "hatchctl upgrade")
        zsh.complete("hatchctl drain --sto", "--stop")
        zsh.complete(f"hatchctl orphans --end -s {served} lo", f"{served} lower")
    finally:
        zsh.close()


@pytest.mark.parametrize("word", [
    "x/;s/.*/touch${IFS}PLACE/e;#,", "a/b,", "$(touch${IFS}PLACE),"])
def test_what_is_typed_is_no_program(folder, word):
    """A word that was pasted becomes part of no command."""
    place = folder / "pwned"
    word = word.replace("PLACE", str(place))
    bash(f"hatchctl list -o {word}")
    bash(f"hatchctl {word} a")
    assert not place.exists()
