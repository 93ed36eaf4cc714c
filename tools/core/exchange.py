"""Two folders change names in one step, where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

HERE = -100  # AT_FDCWD: paths are relative to the current folder
SWAP = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS
CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def exchange(one: Path, other: Path) -> bool:
    """Swap the names of two folders beside each other so that nobody ever sees one of the names missing.

    Returns:
        False, with nothing changed, where the system or the file system cannot do it (Windows, some network drives).
    """
    if sys.platform == "win32":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if hasattr(libc, "renameat2"):  # Linux
        failed = libc.renameat2(HERE, names[0], HERE, names[1], ctypes.c_uint(SWAP))
    elif hasattr(libc, "renamex_np"):  # macOS
        failed = libc.renamex_np(names[0], names[1], ctypes.c_uint(SWAP))
    else:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))
