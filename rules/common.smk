# What all rules share: the catalog, where files lie, and the command.
import re
import shlex
import sys
from functools import cache
from pathlib import Path

import msgspec
from regioncache.cache.layout import part_name
from regioncache.entries import load_entries
from regioncache.errors import ConfigError
from regioncache.fetch.mirrors import check_datasets, is_url
from regioncache.fetch.sas import check_names, refuse_tokens
from regioncache.hashing import content_key
from regioncache.selection import selected_shards

try:
    ENTRIES = load_entries([Path(folder) for folder in config["catalog_dirs"]])
    check_names(config["fetch"]["sas"])
    refuse_tokens([*config["fetch"]["mirrors"], *sum(config["fetch"]["mirrors_of"].values(), [])])
    check_datasets(config["fetch"]["mirrors_of"], (dataset.name for _, dataset in ENTRIES.values()))
except ConfigError as error:
    raise WorkflowError(str(error)) from error
CATALOG = {name: dataset for name, (_, dataset) in ENTRIES.items()}

# The command of the environment that runs this workflow, also where that is not activated.
AZCOPY_FOLDER = shlex.quote(str(Path(workflow.basedir) / ".tools" / "azcopy" / "bin"))
shell.prefix(f"set -euo pipefail; export PATH={Path(sys.executable).parent}:$PATH:{AZCOPY_FOLDER}; ")

ARCHIVES, WORK, CACHE = (config[key] for key in ("archives_dir", "work_dir", "cache_dir"))
ARCHIVE_OF_PATH = {archive.path: (dataset.name, key) for dataset in CATALOG.values() for key, archive in dataset.archives.items()}
SPLIT_WORK, SPLIT_CACHE = (f"{folder}/{{dataset}}/{{split}}" for folder in (WORK, CACHE))
# Archives that datasets share are fetched for one of them, so what is set for a dataset holds for that one too.
MIRRORS_OF = {
    (owner, mirror): None
    for name, mirrors in config["fetch"]["mirrors_of"].items()
    for mirror in mirrors
    for owner in dict.fromkeys([name, *(ARCHIVE_OF_PATH[archive.path][0] for archive in CATALOG[name].archives.values())])
}
# No `params`: Snakemake removes an archive when one of its rule's parameters changed, and a timeout is no reason to do so.
FETCH_OPTIONS = shlex.join(
    [
        *(word for name, mirror in MIRRORS_OF for word in ("--mirror-of", f"{name}={mirror}")),
        *(word for mirror in config["fetch"]["mirrors"] for word in ("--mirror", mirror)),
        *(word for prefix, name in config["fetch"]["sas"].items() for word in ("--sas", f"{prefix}={name}")),
        *("--sas-margin-s", str(config["fetch"]["sas_margin_s"])),
        *("--planned-mb-s", str(config["fetch"]["planned_mb_s"])),
        *("--azure-tool", config["fetch"]["azure_tool"]),
        *(word for host in config["fetch"]["azure_hosts"] for word in ("--azure-host", host)),
        "--offline" if config["fetch"]["offline"] else "--no-offline",
        *("--tries", str(config["fetch"]["tries"])),
        *("--timeout-s", str(config["fetch"]["timeout_s"])),
    ]
)
STREAMS = [(name, split) for name, dataset in CATALOG.items() for split in dataset.splits if dataset.splits[split].stream]
STREAMED = {archive.path for name, split in STREAMS for archive in CATALOG[name].streamed_archives(split)}
# Whether what needs a way out is fetched on the machine that submits. With a storage provider an archive would travel twice then.
FETCHES_HERE = not config["fetch_on_cluster"] and workflow.storage_settings.default_storage_provider is None
GUARDS = [name for name, dataset in CATALOG.items() if dataset.guards]
TOKENIZERS, FRAMES = config["tokenizers"], config["prompts"]["frames"]


wildcard_constraints:
    dataset="|".join(CATALOG),
    split=r"[^/]+",
    part=r"part-\d{5}-of-\d{5}",
    name="|".join(TOKENIZERS) or "none",
    frame="sam|square",
    archive="|".join(map(re.escape, sorted(ARCHIVE_OF_PATH.keys() - STREAMED))) or "none",


def folders(*names):
    """A parameter with the options of a verb that say where its folders lie.

    With a storage provider they lie where it keeps local copies, below a folder that a job's own outputs tell.
    """
    of_name = {"archives": ARCHIVES, "work": WORK, "cache": CACHE}

    def options(wildcards, output):
        path = str(output[0])
        above = (
            "" if path.startswith(tuple(of_name.values())) else path[: max(path.find(f"/{one}/") + 1 for one in of_name.values())]
        )
        return [word for name in names for word in (f"--{name}", f"{above}{of_name[name]}")]

    return options


def entry_file(dataset):
    """The catalog entry's file, which steps read; what they depend on is its facts, so a new comment makes nothing again."""
    return str(ENTRIES[dataset][0])


@cache
def entry_facts(dataset, *, with_texts=False):
    """A parameter that changes when an entry's facts do; its texts (licence, citation, ...) matter to publishing alone."""
    facts = msgspec.to_builtins(CATALOG[dataset])
    texts = ("title", "homepage", "licence", "citation", "guards", "parse_memory_mb")
    return content_key("entry", 1, facts={key: facts[key] for key in facts if with_texts or key not in texts})


@cache
def guard_facts(dataset):
    """A parameter that changes when the files of an entry that name guarded photos do."""
    return content_key("guards", 1, guards=msgspec.to_builtins(CATALOG[dataset].guards))


def archive_files(dataset, split, shard=None):
    """The fetched archives of a split, and for compressed ones the note that they are inflated.

    Of a streamed split, those that all shards share; with `shard`, those that this shard reads.
    """
    entry = CATALOG[dataset]
    made = entry.splits[split] if shard is None or not is_streamed(dataset, split) else entry.shard_split(split, shard)
    archives = [entry.archives[key] for key in made.archive_keys() if key in entry.archives]
    notes = [f"{WORK}/inflated/{archive.path}.json" for archive in archives if archive.kind == "gzip"]
    return [*(f"{ARCHIVES}/{archive.path}" for archive in archives), *notes]


def is_streamed(dataset, split):
    """Whether each shard of a split has archives of its own, which go when it is converted."""
    return CATALOG[dataset].splits[split].stream is not None


def chosen_shards(dataset, split):
    """The shards that are built: all, or those of the chosen archives of a stream."""
    made = CATALOG[dataset].splits[split]
    if made.stream is None:
        return list(range(made.shards))
    return selected_shards(selection_of(dataset), made.stream)


def selection_of(dataset):
    """The chosen archives of a streamed dataset, as the configuration says them."""
    chosen = config["tars"]
    return str(chosen.get(dataset, chosen["default"]) if isinstance(chosen, dict) else chosen)


try:
    for _name, _split in STREAMS:
        chosen_shards(_name, _split)
except ConfigError as error:
    raise WorkflowError(str(error)) from error


def annotations_file(dataset, split, part):
    """The parsed table that a shard is made from."""
    own = CATALOG[dataset].parses_shards(split)
    return f"{WORK}/{dataset}/{split}/annotations/{part}.arrow" if own else f"{WORK}/{dataset}/{split}/annotations.arrow"


@cache
def annotations_files(dataset, split):
    """The parsed tables that a cache is made from, each once."""
    parts = [Path(name).stem for name in part_files("", dataset, split, "")]
    return list(dict.fromkeys(annotations_file(dataset, split, part) for part in parts))


def archive_mb(path):
    """What a fetched archive takes on the disk, as far as the catalog knows."""
    dataset, key = ARCHIVE_OF_PATH[path]
    archive = CATALOG[dataset].archives[key]
    return archive.disk_mb or -(-(archive.bytes or 0) // 2**20) or 1000


# A streamed shard's largest archive is fetched first and the others after it. From then on each of its jobs asks for the room of the
# whole shard and goes before those that begin another, so what a job lets go is there for the next one of the same shard: never
# do more shards lie on the disk than `disk_mb` has room for.
SAMPLES_MB = 2500
FIRST_OF_SHARD, SHARD_MB = {}, {}
for _name, _split in STREAMS:
    _archives = [archive.path for archive in CATALOG[_name].streamed_archives(_split)]
    _count = CATALOG[_name].splits[_split].shard_count
    for _paths in (_archives[shard::_count] for shard in range(_count)):
        SHARD_MB[_name, _split] = sum(map(archive_mb, _paths)) + SAMPLES_MB
        for _path in _paths:
            FIRST_OF_SHARD.setdefault(_path, max(_paths, key=archive_mb))
            SHARD_MB[_path] = max(SHARD_MB[_name, _split], SHARD_MB.get(_path, 0))


def archive_pattern(paths):
    """A pattern for the paths of series; thousands of names in one pattern would be slow to match."""
    return "|".join(sorted({re.sub(r"\d+", r"\\d+", re.escape(path)) for path in paths})) or "none"


def travels_with_archive(wildcards):
    """The group of a job that reads an archive or fetches one, or what is made from it.

    With a storage provider, such jobs share a machine, and an archive is fetched to it once: a shard of a stream is a group, and
    so are all jobs up to the samples for splits that read the same archives. Side-cars of those follow in groups of any size.
    Where all machines see one disk, there is no need for groups.
    """
    if hasattr(wildcards, "archive"):
        return None if local_archive(wildcards) else "shard" if wildcards.archive in STREAMED else "set"
    if hasattr(wildcards, "part") and is_streamed(wildcards.dataset, wildcards.split):
        return "shard"
    return "sidecars" if hasattr(wildcards, "name") or hasattr(wildcards, "frame") else "set"


# A rule with a function for its group never runs on the machine that submits, even if the function names no group.
if workflow.storage_settings.default_storage_provider is None:
    travels_with_archive = None


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
    place = Path(archive.local).expanduser()
    if archive.urls and not place.exists():
        return []  # then it comes from its urls
    # A folder that a rule of ours made has a time stamp in it, which Snakemake looks at.
    if archive.kind == "folder" and place.is_dir() and not (place / ".snakemake_timestamp").exists():
        place = max([place, *place.rglob("*")], key=lambda path: (path.lstat().st_mtime_ns, path))
    return [local(str(place))]


def tokenizer_files(wildcards):
    """A local tokenizer's files are inputs: when they change, tokens are made again."""
    spec = Path(TOKENIZERS[wildcards.name]["spec"])
    if spec.is_dir():
        return sorted(str(path) for path in spec.iterdir() if path.is_file())
    return [str(spec)] if spec.is_file() else []


def shard_number(part):
    """`part-00003-of-00058` is shard 3."""
    return int(part.split("-")[1])


@cache
def part_files(folder, dataset, split, suffix):
    """All parts of one folder of a split; the number of shards is in the catalog, so nothing needs to be downloaded to know them."""
    shards = CATALOG[dataset].splits[split].shard_count
    names = [part_name(shard, shards).replace(".parquet", suffix) for shard in chosen_shards(dataset, split)]
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
