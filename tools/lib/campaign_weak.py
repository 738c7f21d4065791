"""Row 5: the harness itself. kspool built with one safeguard taken out, in a copy of the tree: the row that tests the
safeguard must see messages lost. A safeguard that moved in the code is a fault here until this file follows it."""

import contextlib

import campaign_disks as disks
import campaign_operations as operations
import spooler
from campaign_tree import Tree
from campaign_world import ROOT

# name: what is taken out, file, the text, the text instead, the row that must see it
WEAK = {
    "5.sync": ("synchronous=NORMAL", "src/store/store_open.c", 'normal_sync_for_test ? "1" : "2"',
               'normal_sync_for_test ? "1" : "1"', lambda w, c: disks.power_cuts(w, c, w.amount(10, 20))),
    "5.reads": ("a read error is damage", "src/store/files/vfs.c", "bool vfs_is_fault(int code)\n{\n",
                "bool vfs_is_fault(int code)\n{\n\tif (code != -1)\n\t\treturn false;\n",
                lambda w, c: operations.nth(w, c, operations.paths(w)["start"], "eio", True, w.amount(16, 60), "read")),
}


@contextlib.contextmanager
def weak_binary(file, text, instead):
    tree = Tree(ROOT, "weak")
    tree.replace(file, text, instead)
    tree.configure()
    tree.make(["kspool"])
    kept, spooler.BINARY = spooler.BINARY, tree.build / "src" / "kspool"
    try:
        yield
    finally:
        spooler.BINARY = kept
        tree.lock.close()


def row(file, text, instead, function):
    def weakened(world, count):
        count.expects_loss = True
        with weak_binary(file, text, instead):
            function(world, count)
    return weakened


def rows():
    return [(name, f"the harness: {what} must lose", row(*rest)) for name, (what, *rest) in WEAK.items()]
