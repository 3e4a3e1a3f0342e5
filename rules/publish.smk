# A split becomes a cache when its index.json is there, and that is written last.
#     in:  all shards and side-cars of the split, with their reports
#     out: <cache_dir>/<dataset>/<split>/index.json, rejects.parquet, stats.json


rule publish_split:
    input:
        annotations=lambda wildcards: annotations_files(wildcards.dataset, wildcards.split),
        tokenizers=[f"{WORK}/tokenizers/{name}/{part}" for name in TOKENIZERS for part in ("meta.json", "tokenizer.zip")],
        parts=lambda wildcards: [
            part
            for folder in step_folders()
            for part in part_files(
                f"{CACHE}/{wildcards.dataset}/{wildcards.split}/{folder}",
                wildcards.dataset,
                wildcards.split,
                ".parquet",
            )
        ],
        reports=lambda wildcards: [
            report
            for folder in step_folders()
            for report in part_files(
                f"{WORK}/{wildcards.dataset}/{wildcards.split}/{folder}",
                wildcards.dataset,
                wildcards.split,
                ".json",
            )
        ],
    output:
        index=f"{SPLIT_CACHE}/index.json",
        rejects=f"{SPLIT_CACHE}/rejects.parquet",
        stats=f"{SPLIT_CACHE}/stats.json",
        tokenizers=[f"{SPLIT_CACHE}/tokens/{name}/{part}" for name in TOKENIZERS for part in ("meta.json", "tokenizer.zip")],
    log:
        "logs/{dataset}/{split}/publish.log",
    benchmark:
        "logs/{dataset}/{split}/publish.tsv"
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=1000,
        disk_mb=1000,
        runtime=10,
    params:
        entry=lambda wildcards: entry_file(wildcards.dataset),
        facts=lambda wildcards: entry_facts(wildcards.dataset, with_texts=True),
        folders=folders("archives", "work", "cache"),
        tokens=[word for name in TOKENIZERS for word in ("--tokens", name)],
        prompts=[word for frame in FRAMES for word in ("--prompts", frame)],
        budget=lambda wildcards: reject_budget_of(wildcards.dataset)["budget"],
        tars=lambda wildcards: selection_of(wildcards.dataset) if is_streamed(wildcards.dataset, wildcards.split) else "all",
        region_budget=lambda wildcards: reject_budget_of(wildcards.dataset)["region_budget"],
    shell:
        "regioncache publish {params.entry:q} {wildcards.split:q} {params.folders:q} {params.tokens:q} {params.prompts:q}"
        " --reject-budget {params.budget} --region-budget {params.region_budget} --tars {params.tars:q} > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}; cat {log:q}"
