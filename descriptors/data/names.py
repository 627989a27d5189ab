"""Names of files as text: on disk they are bytes, and bytes need not be UTF-8, which figures and pages are."""

import os


def shown(name: str) -> str:
    r"""The name, as `os.fsdecode` gives it, as text; bytes that are no UTF-8 read `\xff`."""
    return os.fsencode(name).decode(errors="backslashreplace")
