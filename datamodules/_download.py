"""Downloads that arrive whole or leave nothing."""

import contextlib
import http.client
import os
import socket
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

DOWNLOAD_TIMEOUT_S = 30.0
"""Longest silence of a server, in seconds; the libraries that download would wait for ever."""


class DownloadError(Exception):
    """What went wrong; nothing of the download is left."""


def download_beside(folder: Path, fetch: Callable[[Path], None]) -> None:
    """Download beside the final folder, and rename the result once it is complete.

    A download that fails leaves nothing; a killed one leaves ``.download-*``, which nothing ever reads. Where
    another process was faster, its folder stays.

    Args:
        folder: To be made.
        fetch: Makes a folder of the same name in the folder that it is given, or raises.

    Raises:
        DownloadError: If it fails.
    """
    is_new = not folder.parent.exists()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=".download-", dir=folder.parent) as staging,
            socket_timeout(DOWNLOAD_TIMEOUT_S),
        ):
            fetch(Path(staging))
            os.rename(Path(staging) / folder.name, folder)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        if not folder.is_dir():
            if is_new:
                with contextlib.suppress(OSError):
                    folder.parent.rmdir()
            raise DownloadError(" ".join(str(error).split()).rstrip(".")) from error


@contextlib.contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Limit the silence of every connection opened meanwhile, for libraries that take no timeout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
