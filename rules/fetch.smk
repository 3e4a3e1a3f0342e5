# Archives, from the first mirror that has the right bytes.
#     in:  workflow/catalog/<dataset>.yaml
#     out: <archives_dir>/<path of the archive>
#          <work_dir>/inflated/<path of the archive>.json: a compressed archive was inflated into <work_dir>/spool

if FETCHES_HERE:

    localrules:
        draw_demo,
        fetch_archive,
        fetch_streamed_archive,
        fetch_rest_of_shard,


rule draw_demo:
    output:
        local(".data/demo/train2017.zip"),
        local(".data/demo/val2017.zip"),
        local(".data/demo/panoptic_annotations_trainval2017.zip"),
    log:
        "logs/draw_demo.log",
    benchmark:
        "logs/draw_demo.tsv"
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=1000,
        disk_mb=100,
        runtime=5,
    shell:
        "regioncache draw-demo .data/demo > {log:q} 2>&1"


rule fetch_archive:
    input:
        local=local_archive,
    output:
        f"{ARCHIVES}/{{archive}}",
    log:
        "logs/fetch/{archive}.log",
    benchmark:
        "logs/fetch/{archive}.tsv"
    group:
        travels_with_archive
    conda:
        "../envs/regioncache.yaml"
    resources:
        downloads=1,
        mem_mb=500,
        disk_mb=lambda wildcards: archive_mb(wildcards.archive),
        runtime=720,
    params:
        entry=lambda wildcards: entry_file(ARCHIVE_OF_PATH[wildcards.archive][0]),
        key=lambda wildcards: ARCHIVE_OF_PATH[wildcards.archive][1],
        folders=folders("archives"),
    shell:
        "regioncache fetch {params.entry:q} {params.key:q} {params.folders:q}"
        f" {FETCH_OPTIONS.replace('{', '{{').replace('}', '}}')}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"


# An archive of a stream goes when the last job that reads it is done.
use rule fetch_archive as fetch_streamed_archive with:
    output:
        temp(f"{ARCHIVES}/{{archive}}"),
    wildcard_constraints:
        archive=archive_pattern(set(FIRST_OF_SHARD.values())),
    resources:
        downloads=1,
        mem_mb=500,
        disk_mb=lambda wildcards: SHARD_MB[wildcards.archive],
        runtime=720,


# The shard's other archives, such as its annotation files.
use rule fetch_streamed_archive as fetch_rest_of_shard with:
    input:
        local=local_archive,
        first=lambda wildcards: ancient(f"{ARCHIVES}/{FIRST_OF_SHARD[wildcards.archive]}"),
    wildcard_constraints:
        archive=archive_pattern(FIRST_OF_SHARD.keys() - set(FIRST_OF_SHARD.values())),
    priority: 5


rule inflate_archive:
    input:
        f"{ARCHIVES}/{{archive}}",
    output:
        f"{WORK}/inflated/{{archive}}.json",
    log:
        "logs/inflate/{archive}.log",
    benchmark:
        "logs/inflate/{archive}.tsv"
    group:
        travels_with_archive
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=500,
        disk_mb=10000,
        runtime=60,
    params:
        entry=lambda wildcards: entry_file(ARCHIVE_OF_PATH[wildcards.archive][0]),
        key=lambda wildcards: ARCHIVE_OF_PATH[wildcards.archive][1],
        folders=folders("archives", "work"),
    shell:
        "regioncache inflate {params.entry:q} {params.key:q} {params.folders:q}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"
