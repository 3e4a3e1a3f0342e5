"""A Slurm cluster of one node on the loopback interface: munged, slurmctld and slurmd of Debian, as root and without systemd."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scancel", "scontrol")
# Jobs read this path and no other: the executor takes SLURM_CONF out of their environment.
CONF = Path("/etc/slurm/slurm.conf")
MARK = "# Written by tests/slurm_cluster.py, which removes it.\n"
KEY = Path("/etc/munge/munge.key")
NODE_CPUS = 4
NODE_MEMORY_MB = 12000
START_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0

SETTINGS = f"""
ClusterName=regioncache
SlurmUser=root
AuthInfo=socket={{folder}}/munge.socket
SlurmctldHost={{host}}(127.0.0.1)
SlurmctldPort={{ports[0]}}
SlurmdPort={{ports[1]}}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={{folder}}/state
SlurmdSpoolDir={{folder}}/spool
SlurmctldPidFile={{folder}}/slurmctld.pid
SlurmdPidFile={{folder}}/slurmd.pid
SlurmctldLogFile={{folder}}/slurmctld.log
SlurmdLogFile={{folder}}/slurmd.log
ReturnToService=2
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
NodeName={{host}} NodeAddr=127.0.0.1 CPUs={NODE_CPUS} RealMemory={NODE_MEMORY_MB} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def what_is_missing() -> list[str]:
    """Why no cluster can be started here; empty if one can."""
    missing = [f"the program {name}" for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing.append("the rights of root")
    if not missing and not KEY.exists():
        missing.append(f"the key {KEY}")
    if CONF.exists() and not CONF.read_text().startswith(MARK):
        missing.append(f"a machine of no other cluster ({CONF} is there)")
    return missing


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def answer(*command: str) -> str:
    """What a client program of Slurm prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def _wait_for(what: str, processes: Sequence[subprocess.Popen[bytes]], *command: str, says: str) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        if done.returncode == 0 and says in done.stdout:
            return
        assert all(process.poll() is None for process in processes), f"a part of Slurm ended before {what}"
        assert time.monotonic() < deadline, f"no {what}: {done.stdout}{done.stderr}"
        time.sleep(0.2)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running_cluster() -> Iterator[Path]:
    """Start the cluster, and stop it with all of its jobs; the folder of its logs."""
    folder = Path(tempfile.mkdtemp(prefix="regioncache-slurm-"))
    folder.chmod(0o755)  # munged refuses to run as root, and its user must get here
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir()
    owner = pwd.getpwnam("munge")
    os.chown(folder / "munge", owner.pw_uid, owner.pw_gid)
    settings = SETTINGS.format(folder=folder, host=socket.gethostname(), ports=_free_ports(2))
    settings = settings.replace(f"{folder}/munge.socket", f"{folder}/munge/socket")
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **options: str | int) -> None:
        with (folder / f"{Path(command[0]).name}.out").open("wb") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **options
            )
        processes.append(process)

    CONF.write_text(MARK + settings)
    try:
        munge = folder / "munge"
        files = [f"--{name}-file={munge / name}" for name in ("pid", "log", "seed")]
        start(
            "munged",
            "--foreground",
            f"--key-file={KEY}",
            f"--socket={munge}/socket",
            *files,
            user=owner.pw_uid,
            group=owner.pw_gid,
        )
        _wait_for("answer of munged", processes, "munge", f"--socket={munge}/socket", "--no-input", says="MUNGE")
        start("slurmctld", "-D")
        start("slurmd", "-D")
        _wait_for("idle node", processes, "sinfo", "--noheader", "--format=%T", says="idle")
        yield folder
        answer("scancel", "--user=root")
        _wait_for("end of all jobs", processes, "sh", "-c", "squeue --noheader | wc -l", says="0")
    finally:
        _stop(processes)
        CONF.unlink()
        shutil.rmtree(folder)
