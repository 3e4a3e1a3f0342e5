# Annotations to a table, once per split; then images and regions to shards of samples.
#     in:  archives
#     out: <work_dir>/leakage_guard.arrow
#     out: <work_dir>/<dataset>/<split>/annotations.arrow, or annotations/part-*.arrow of a stream with annotation files per archive
#          <cache_dir>/<dataset>/<split>/samples/part-*.parquet and .offsets


rule list_guarded_images:
    input:
        guard_archives(),
    output:
        f"{WORK}/leakage_guard.arrow",
    log:
        "logs/leakage_guard.log",
    benchmark:
        "logs/leakage_guard.tsv"
    group:
        travels_with_archive
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=2000,
        disk_mb=100,
        runtime=10,
    params:
        entries=[entry_file(name) for name in GUARDS],
        facts=[guard_facts(name) for name in GUARDS],
        folders=folders("archives", "work"),
    shell:
        "regioncache guard {params.entries:q} {params.folders:q}" " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"


rule parse_annotations:
    input:
        archives=lambda wildcards: archive_files(wildcards.dataset, wildcards.split),
        guard=lambda wildcards: ([f"{WORK}/leakage_guard.arrow"] if is_guarded(wildcards.dataset, wildcards.split) else []),
    output:
        f"{SPLIT_WORK}/annotations.arrow",
    log:
        "logs/{dataset}/{split}/parse.log",
    benchmark:
        "logs/{dataset}/{split}/parse.tsv"
    group:
        travels_with_archive
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=lambda wildcards: parse_memory_mb(wildcards.dataset),
        disk_mb=1000,
        runtime=30,
    params:
        entry=lambda wildcards: entry_file(wildcards.dataset),
        facts=lambda wildcards: entry_facts(wildcards.dataset),
        folders=folders("archives", "work", "cache"),
        guard=lambda wildcards: ("--leakage-guard" if is_guarded(wildcards.dataset, wildcards.split) else "--no-leakage-guard"),
    shell:
        "regioncache parse {params.entry:q} {wildcards.split:q} {params.folders:q} {params.guard}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"


use rule parse_annotations as parse_shard with:
    input:
        archives=lambda wildcards: archive_files(wildcards.dataset, wildcards.split, shard_number(wildcards.part)),
        guard=[],
    output:
        f"{SPLIT_WORK}/annotations/{{part}}.arrow",
    log:
        "logs/{dataset}/{split}/parse/{part}.log",
    benchmark:
        "logs/{dataset}/{split}/parse/{part}.tsv"
    # Before any other archive is fetched: what lies on the disk is to be used first.
    priority: 10
    resources:
        mem_mb=lambda wildcards: parse_memory_mb(wildcards.dataset),
        disk_mb=lambda wildcards: SHARD_MB[wildcards.dataset, wildcards.split],
        runtime=30,
    params:
        entry=lambda wildcards: entry_file(wildcards.dataset),
        facts=lambda wildcards: entry_facts(wildcards.dataset),
        folders=folders("archives", "work", "cache"),
        guard=lambda wildcards: ["--shard", shard_number(wildcards.part)],


rule convert_shard:
    input:
        annotations=lambda wildcards: annotations_file(wildcards.dataset, wildcards.split, wildcards.part),
        archives=lambda wildcards: archive_files(wildcards.dataset, wildcards.split, shard_number(wildcards.part)),
    output:
        samples=f"{SPLIT_CACHE}/samples/{{part}}.parquet",
        offsets=f"{SPLIT_CACHE}/samples/{{part}}.offsets",
        report=f"{SPLIT_WORK}/samples/{{part}}.json",
    log:
        "logs/{dataset}/{split}/convert/{part}.log",
    benchmark:
        "logs/{dataset}/{split}/convert/{part}.tsv"
    priority: 20
    group:
        travels_with_archive
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=2000,
        disk_mb=lambda wildcards: SHARD_MB.get((wildcards.dataset, wildcards.split), SAMPLES_MB),
        runtime=60,
    params:
        entry=lambda wildcards: entry_file(wildcards.dataset),
        facts=lambda wildcards: entry_facts(wildcards.dataset),
        shard=lambda wildcards: shard_number(wildcards.part),
        folders=folders("archives", "work", "cache"),
        options=[
            *("--storage", config["image"]["storage"]),
            *("--frame-px", config["image"]["frame_px"]),
            *("--check", config["image"]["check"]),
            *("--max-pixels", config["image"]["max_pixels"]),
            "--label-map" if config["label_map"] else "--no-label-map",
            *("--row-group-rows", config["row_group_rows"]),
        ],
        preset=lambda wildcards: preset_of(wildcards.dataset),
        task_type=lambda wildcards: task_type_of(wildcards.dataset),
    shell:
        "regioncache convert {params.entry:q} {wildcards.split:q} {params.shard} {params.folders:q} {params.options:q}"
        " --preset {params.preset} --task-type {params.task_type}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"
