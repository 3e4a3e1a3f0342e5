#!/usr/bin/env bash
# What the tests of the profile `slurm` need beside Python: the daemons of Slurm and of munge. They are started by root only.
set -euo pipefail
PATH=$PATH:/usr/sbin
missing=()
for program in munged slurmctld slurmd sbatch; do command -v "$program" > /dev/null || missing+=("$program"); done
if [ "$(id -u)" -ne 0 ]; then
    echo "make test-slurm starts a cluster of its own and needs root to do so${missing[*]:+; also missing: ${missing[*]}}" >&2
    exit 1
fi
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get > /dev/null; then
    echo "missing: ${missing[*]}; where there is apt-get, this script installs slurmctld slurmd slurm-client munge" >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge
