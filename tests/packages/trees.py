"""Debian trees for the tests of packages: made once by mmdebstrap, kept, never changed.

    tree = trees.debian("bookworm", ["apt-utils"])
    run(*trees.inside(tree), "apt-get", "update")       # gone with the process
"""

import hashlib
import pathlib
import shutil

import pytest

import prepare
from conftest import KEPT, need

# A tree with a file system in memory on top, in namespaces that end with the command, which
# gets the network of this machine and finds the tree in /run/tree.
OVERLAY = """
set -e
tree=$1
shift
mount -t tmpfs tmpfs /mnt
mkdir /mnt/up /mnt/work /mnt/tree
mount -t overlay -o "lowerdir=$tree,upperdir=/mnt/up,workdir=/mnt/work" overlay /mnt/tree
exec "$@"
"""
PLACE = "/mnt/tree"


def release():
    """The code name of this machine's Debian, or skip."""
    try:
        return prepare.own_release()
    except prepare.Skip as reason:
        pytest.skip(str(reason))


def debian(suite, packages=()):
    """A minimal Debian with these packages, whose apt knows where there are more."""
    need("mmdebstrap", "unshare")
    text = prepare.sources(suite)
    recipe = "\n".join([suite, *packages, text, pathlib.Path(__file__).read_text()])
    mark = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    tree = KEPT / f"tree-{suite}-{mark}"
    if not tree.is_dir():
        make(suite, packages, text, tree)
    return tree


def make(suite, packages, text, tree):
    new = tree.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        prepare.debootstrap(suite, list(packages), text, new)
        shutil.copy("/etc/resolv.conf", new / "etc/resolv.conf")
        new.rename(tree)
    except prepare.Skip as reason:
        pytest.skip(str(reason))
    finally:
        shutil.rmtree(new, ignore_errors=True)


# Further on: with /proc in the tree, as any machine has it.
WITH_PROC = ["sh", "-c", f'mount -t proc proc {PLACE}/proc && exec "$@"', "sh"]


def over(tree):
    """The beginning of a command that has a copy of the tree, to be changed, at PLACE."""
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
            "sh", "-c", OVERLAY, "sh", str(tree)]
