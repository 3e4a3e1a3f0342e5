"""A workspace whose programs reach no network, and that notes each try.

Making a socket is allowed: a library of Snakemake's binds one to ::1 when it is imported, to see if there is IPv6.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from workspace import Workspace

# Python runs this at the start of every process that has its folder on the path.
SITECUSTOMIZE = """
import os
import socket
import sys

NETWORK = (socket.AF_INET, socket.AF_INET6)
SENDING = ("socket.connect", "socket.sendto", "socket.sendmsg")
LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


def refuse(event, arguments):
    if event in LOOKUPS or (event in SENDING and arguments[0].family in NETWORK):
        with open(os.environ["NETWORK_NOTES"], "a") as notes:
            notes.write(f"{sys.argv}: {event}\\n")
        raise OSError("this test allows no network")


sys.addaudithook(refuse)
"""
DOWNLOADER = '#!/bin/sh\necho "$0 $*" >> "$NETWORK_NOTES"\nexit 4\n'


def forbid_network(workspace: Workspace) -> None:
    """Let every Python process refuse to connect, and put a ``wget`` that refuses before the real one."""
    folder = workspace.folder / "no_network"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    wget = folder / "wget"
    wget.write_text(DOWNLOADER)
    wget.chmod(0o755)
    variables = workspace.variables()
    workspace.environment.update(
        PYTHONPATH=os.pathsep.join([str(folder), variables["PYTHONPATH"]]),
        PATH=os.pathsep.join([str(folder), variables["PATH"]]),
        NETWORK_NOTES=str(notes_path(workspace)),
    )


def notes_path(workspace: Workspace) -> Path:
    """Where tries are noted."""
    return workspace.folder / "no_network" / "notes"


def network_tries(workspace: Workspace) -> str:
    """Every try to reach a network so far, a line each."""
    path = notes_path(workspace)
    return path.read_text() if path.exists() else ""
