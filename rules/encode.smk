# Side-cars of the samples: token ids per tokenizer, points and low-resolution masks per SAM frame.
#     in:  <cache_dir>/<dataset>/<split>/samples/part-*.parquet
#     out: <cache_dir>/<dataset>/<split>/tokens/<name>/part-*.parquet
#          <cache_dir>/<dataset>/<split>/prompts/<frame>/part-*.parquet

if FETCHES_HERE:

    localrules:
        resolve_tokenizer,


rule resolve_tokenizer:
    input:
        tokenizer_files,
    output:
        meta=f"{WORK}/tokenizers/{{name}}/meta.json",
        files=f"{WORK}/tokenizers/{{name}}/tokenizer.zip",
    log:
        "logs/tokenizers/{name}.log",
    benchmark:
        "logs/tokenizers/{name}.tsv"
    retries: 2
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=1000,
        disk_mb=100,
        runtime=10,
    params:
        spec=lambda wildcards: TOKENIZERS[wildcards.name]["spec"],
        template=lambda wildcards: TOKENIZERS[wildcards.name]["template"],
        max_length=lambda wildcards: TOKENIZERS[wildcards.name]["max_length"],
        revision=lambda wildcards: (
            ["--revision", TOKENIZERS[wildcards.name]["revision"]] if TOKENIZERS[wildcards.name].get("revision") else []
        ),
        folders=folders("work"),
    shell:
        "regioncache tokenizer {wildcards.name:q} {params.spec:q} {params.folders:q} --template {params.template}"
        " --max-length {params.max_length} {params.revision:q}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"


rule tokenize_shard:
    input:
        samples=f"{SPLIT_CACHE}/samples/{{part}}.parquet",
        tokenizer=multiext(f"{WORK}/tokenizers/{{name}}/", "meta.json", "tokenizer.zip"),
    output:
        tokens=f"{SPLIT_CACHE}/tokens/{{name}}/{{part}}.parquet",
        offsets=f"{SPLIT_CACHE}/tokens/{{name}}/{{part}}.offsets",
        report=f"{SPLIT_WORK}/tokens/{{name}}/{{part}}.json",
    log:
        "logs/{dataset}/{split}/tokens/{name}/{part}.log",
    benchmark:
        "logs/{dataset}/{split}/tokens/{name}/{part}.tsv"
    group:
        travels_with_archive
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=2000,
        disk_mb=500,
        runtime=20,
    params:
        entry=lambda wildcards: entry_file(wildcards.dataset),
        facts=lambda wildcards: entry_facts(wildcards.dataset),
        shard=lambda wildcards: shard_number(wildcards.part),
        folders=folders("work", "cache"),
    shell:
        "regioncache tokenize {params.entry:q} {wildcards.split:q} {params.shard} {wildcards.name:q} {params.folders:q}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"


rule prompt_shard:
    input:
        samples=f"{SPLIT_CACHE}/samples/{{part}}.parquet",
    output:
        prompts=f"{SPLIT_CACHE}/prompts/{{frame}}/{{part}}.parquet",
        offsets=f"{SPLIT_CACHE}/prompts/{{frame}}/{{part}}.offsets",
        report=f"{SPLIT_WORK}/prompts/{{frame}}/{{part}}.json",
    log:
        "logs/{dataset}/{split}/prompts/{frame}/{part}.log",
    benchmark:
        "logs/{dataset}/{split}/prompts/{frame}/{part}.tsv"
    group:
        travels_with_archive
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=2000,
        disk_mb=500,
        runtime=30,
    params:
        entry=lambda wildcards: entry_file(wildcards.dataset),
        facts=lambda wildcards: entry_facts(wildcards.dataset),
        shard=lambda wildcards: shard_number(wildcards.part),
        folders=folders("work", "cache"),
        points=config["prompts"]["points_per_region"],
        seed=config["prompts"]["seed"],
    shell:
        "regioncache prompt {params.entry:q} {wildcards.split:q} {params.shard} {wildcards.frame} {params.folders:q}"
        " --points {params.points} --seed {params.seed}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"
