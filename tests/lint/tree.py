"""The source tree, for the lint tests: where it is, its files, and how to complain."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

FOLDERS = [".ci", "doc", "etc", "m4", "man", "packaging", "src", "tests"]
MADE = {"Makefile.in", "aclocal.m4", "configure", "configure~"}
SUFFIXES = {".am", ".ac", ".c", ".conf", ".h", ".in", ".m4", ".md", ".py"}

_n_complaints = 0


def read(path):
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def name(path):
    return str(path.relative_to(ROOT))


def is_script(path):
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def is_page(path):
    return path.parent.name == "man" and path.suffix[1:].isdigit()


def is_text(path):
    """Written by us by hand; golden files are wrong on purpose."""
    if "golden" in path.parts or path.parent.name.startswith("corpus-") or not path.is_file():
        return False
    return path.suffix in SUFFIXES or is_page(path) or is_script(path)


def texts():
    """Every text of the project, in order, and nothing that a build has made."""
    found = [path for path in ROOT.iterdir() if is_text(path) and path.name not in MADE]
    for folder in FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if is_text(path)]
    return sorted(found)


def sources(*folders):
    """C files and headers of folders of the tree."""
    found = []
    for folder in folders:
        found += (path for path in (ROOT / folder).rglob("*") if path.suffix in {".c", ".h"})
    return sorted(found)


def complain(path, line, text):
    global _n_complaints
    _n_complaints += 1
    where = name(path) if line is None else f"{name(path)}:{line}"
    print(f"{where}: {text}")


def finish():
    sys.exit(1 if _n_complaints else 0)
