"""What was written reaches the disk before it is given its name."""

import os


def flush(folder):
    """Everything in a folder, the folders in it and their names too."""
    for entry in folder.rglob("*"):
        if entry.is_file():
            with open(entry, "rb+") as file:
                os.fsync(file.fileno())
        else:
            flush_names(entry)
    flush_names(folder)


def flush_names(folder):
    """The names in a folder; Windows can and need not be told."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
