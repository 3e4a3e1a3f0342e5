# What all rules share: the catalog, where files lie, and the command.
import re
import shlex
import sys
from pathlib import Path

import msgspec
from regioncache.cache.layout import part_name
from regioncache.catalog import load_entries
from regioncache.errors import ConfigError
from regioncache.hashing import content_key

try:
    ENTRIES = load_entries([Path(folder) for folder in config["catalog_dirs"]])
except ConfigError as error:
    raise WorkflowError(str(error)) from error
CATALOG = {name: dataset for name, (_, dataset) in ENTRIES.items()}

# The command of the environment that runs this workflow, also where that is not activated.
shell.prefix(f"set -euo pipefail; export PATH={Path(sys.executable).parent}:$PATH; ")

ARCHIVES, WORK, CACHE = (config[key] for key in ("archives_dir", "work_dir", "cache_dir"))
ARCHIVE_OF_PATH = {archive.path: (dataset.name, key) for dataset in CATALOG.values() for key, archive in dataset.archives.items()}
SPLIT_WORK, SPLIT_CACHE = (f"{folder}/{{dataset}}/{{split}}" for folder in (WORK, CACHE))
# No `params`: Snakemake removes an archive when one of its rule's parameters changed, and a timeout is no reason to do so.
FETCH_OPTIONS = shlex.join(
    [
        *(word for mirror in config["fetch"]["mirrors"] for word in ("--mirror", mirror)),
        "--offline" if config["fetch"]["offline"] else "--no-offline",
        *("--tries", str(config["fetch"]["tries"])),
        *("--timeout-s", str(config["fetch"]["timeout_s"])),
    ]
)
GUARDS = [name for name, dataset in CATALOG.items() if dataset.guards]
TOKENIZERS, FRAMES = config["tokenizers"], config["prompts"]["frames"]


wildcard_constraints:
    dataset="|".join(CATALOG),
    split=r"[^/]+",
    part=r"part-\d{5}-of-\d{5}",
    name="|".join(TOKENIZERS) or "none",
    frame="sam|square",
    archive="|".join(map(re.escape, ARCHIVE_OF_PATH)),


def entry_file(dataset):
    """The catalog entry's file, which steps read; what they depend on is its facts, so a new comment makes nothing again."""
    return str(ENTRIES[dataset][0])


def entry_facts(dataset, *, with_texts=False):
    """A parameter that changes when an entry's facts do; its texts (licence, citation, ...) matter to publishing alone."""
    facts = msgspec.to_builtins(CATALOG[dataset])
    texts = ("title", "homepage", "licence", "citation", "guards", "parse_memory_mb")
    return content_key("entry", 1, facts={key: facts[key] for key in facts if with_texts or key not in texts})


def guard_facts(dataset):
    """A parameter that changes when the files of an entry that name guarded photos do."""
    return content_key("guards", 1, guards=msgspec.to_builtins(CATALOG[dataset].guards))


def archive_files(dataset, split):
    """The fetched archives of a split, and for compressed ones the note that they are inflated."""
    archives = [CATALOG[dataset].archives[key] for key in CATALOG[dataset].splits[split].archive_keys()]
    notes = [f"{WORK}/inflated/{archive.path}.json" for archive in archives if archive.kind == "gzip"]
    return [*(f"{ARCHIVES}/{archive.path}" for archive in archives), *notes]


def parse_memory_mb(dataset):
    """What decoding a dataset's annotation files takes."""
    return CATALOG[dataset].parse_memory_mb or 4000


def guard_archives():
    """The archives whose files name the guarded photos."""
    found = [CATALOG[name].archives[member.archive].path for name in GUARDS for member in CATALOG[name].guards.values()]
    return [f"{ARCHIVES}/{path}" for path in dict.fromkeys(found)]


def is_guarded(dataset, split):
    """Whether photos of validation and test sets are left out of a split."""
    return config["leakage_guard"] and CATALOG[dataset].splits[split].leakage_guard


def preset_of(dataset):
    """The filters that a dataset's regions pass."""
    return config["presets"].get(dataset, config["presets"]["default"])


def task_type_of(dataset):
    """What a dataset's rows say their task is; one key turns all detection sets into caption sets."""
    entry = CATALOG[dataset].task_type
    return config["detection_task_type"] if entry == "recognition" else entry


def reject_budget_of(dataset):
    """The shares of images and of regions that may be rejected."""
    return {**config["rejects"], **config["rejects"]["of"].get(dataset, {})}


def local_archive(wildcards):
    """A local archive is an input of its fetching: this workflow may be what makes it. Of a folder, it is what changed last."""
    dataset, key = ARCHIVE_OF_PATH[wildcards.archive]
    archive = CATALOG[dataset].archives[key]
    if archive.local is None:
        return []
    local = Path(archive.local).expanduser()
    if archive.urls and not local.exists():
        return []  # then it comes from its urls
    if archive.kind == "folder" and local.is_dir():
        local = max([local, *local.rglob("*")], key=lambda path: (path.lstat().st_mtime_ns, path))
    return [str(local)]


def tokenizer_files(wildcards):
    """A local tokenizer's files are inputs: when they change, tokens are made again."""
    spec = Path(TOKENIZERS[wildcards.name]["spec"])
    if spec.is_dir():
        return sorted(str(path) for path in spec.iterdir() if path.is_file())
    return [str(spec)] if spec.is_file() else []


def shard_number(part):
    """`part-00003-of-00058` is shard 3."""
    return int(part.split("-")[1])


def part_files(folder, dataset, split, suffix):
    """All parts of one folder of a split; the number of shards is in the catalog, so nothing needs to be downloaded to know them."""
    shards = CATALOG[dataset].splits[split].shards
    names = [part_name(shard, shards).replace(".parquet", suffix) for shard in range(shards)]
    return [f"{folder}/{name}" for name in names]


def step_folders():
    """The folders of a split that hold one file per shard."""
    return [
        "samples",
        *(f"tokens/{name}" for name in TOKENIZERS),
        *(f"prompts/{frame}" for frame in FRAMES),
    ]


def index_files(dataset):
    """What a cache target asks for."""
    return [f"{CACHE}/{dataset}/{split}/index.json" for split in CATALOG[dataset].splits]
