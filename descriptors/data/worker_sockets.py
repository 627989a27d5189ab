"""Workers hand tensors over through sockets in the folder for temporary files, and a socket's path must be short."""

import multiprocessing.util
import os
import sys
import tempfile

from descriptors.checks import ConfigError

LONGEST = (103 if sys.platform == "darwin" else 107) - len("/pymp-12345678/listener-12345678")  # bytes


def check_temporary_folder(workers: int) -> None:
    """Raises ConfigError where the folder's path is too long: training would wait for its workers for ever.

    Later Pythons take /tmp instead (https://github.com/python/cpython/issues/132124).
    """
    folder = tempfile.gettempdir()
    length = len(os.fsencode(folder))
    if workers and length > LONGEST and not hasattr(multiprocessing.util, "_SUN_PATH_MAX"):
        raise ConfigError(
            f"data.workers = {workers}: the folder for temporary files, {folder}, has a path of {length} bytes, and "
            f"workers cannot use more than {LONGEST}; set TMPDIR=/tmp or another short one, or data.workers=0."
        )
