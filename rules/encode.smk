# Side-cars of the samples: token ids per tokenizer, points and low-resolution masks per SAM frame.
#     in:  <cache_dir>/<dataset>/<split>/samples/part-*.parquet
#     out: <cache_dir>/<dataset>/<split>/tokens/<name>/part-*.parquet
#          <cache_dir>/<dataset>/<split>/prompts/<frame>/part-*.parquet


def tokenizer_files(wildcards):
    """A local tokenizer's files are inputs: when they change, tokens are made again."""
    spec = Path(TOKENIZERS[wildcards.name]["spec"])
    if spec.is_dir():
        return sorted(str(path) for path in spec.iterdir() if path.is_file())
    return [str(spec)] if spec.is_file() else []


rule resolve_tokenizer:
    input:
        tokenizer_files,
    output:
        WORK + "/tokenizers/{name}/meta.json",
    params:
        spec=lambda wildcards: TOKENIZERS[wildcards.name]["spec"],
        template=lambda wildcards: TOKENIZERS[wildcards.name]["template"],
        max_length=lambda wildcards: TOKENIZERS[wildcards.name]["max_length"],
        revision=lambda wildcards: (
            ["--revision", TOKENIZERS[wildcards.name]["revision"]]
            if TOKENIZERS[wildcards.name].get("revision")
            else []
        ),
        work=WORK,
    log:
        "logs/tokenizers/{name}.log",
    benchmark:
        "logs/tokenizers/{name}.tsv"
    retries: 2
    resources:
        mem_mb=1000,
        runtime=10,
    conda:
        "../envs/regioncache.yaml"
    shell:
        "regioncache tokenizer {wildcards.name:q} {params.spec:q} --work {params.work:q} --template {params.template}"
        " --max-length {params.max_length} {params.revision:q}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"


rule tokenize_shard:
    input:
        entry=lambda wildcards: entry_file(wildcards.dataset),
        samples=CACHE + "/{dataset}/{split}/samples/{part}.parquet",
        tokenizer=WORK + "/tokenizers/{name}/meta.json",
    output:
        tokens=CACHE + "/{dataset}/{split}/tokens/{name}/{part}.parquet",
        offsets=CACHE + "/{dataset}/{split}/tokens/{name}/{part}.offsets",
        report=WORK + "/{dataset}/{split}/tokens/{name}/{part}.json",
    params:
        shard=lambda wildcards: shard_number(wildcards.part),
        folders=["--work", WORK, "--cache", CACHE],
    log:
        "logs/{dataset}/{split}/tokens/{name}/{part}.log",
    benchmark:
        "logs/{dataset}/{split}/tokens/{name}/{part}.tsv"
    resources:
        mem_mb=2000,
        disk_mb=500,
        runtime=20,
    conda:
        "../envs/regioncache.yaml"
    shell:
        "regioncache tokenize {input.entry:q} {wildcards.split:q} {params.shard} {wildcards.name:q} {params.folders:q}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"


rule prompt_shard:
    input:
        entry=lambda wildcards: entry_file(wildcards.dataset),
        samples=CACHE + "/{dataset}/{split}/samples/{part}.parquet",
    output:
        prompts=CACHE + "/{dataset}/{split}/prompts/{frame}/{part}.parquet",
        offsets=CACHE + "/{dataset}/{split}/prompts/{frame}/{part}.offsets",
        report=WORK + "/{dataset}/{split}/prompts/{frame}/{part}.json",
    params:
        shard=lambda wildcards: shard_number(wildcards.part),
        folders=["--work", WORK, "--cache", CACHE],
        points=config["prompts"]["points_per_region"],
        seed=config["prompts"]["seed"],
    log:
        "logs/{dataset}/{split}/prompts/{frame}/{part}.log",
    benchmark:
        "logs/{dataset}/{split}/prompts/{frame}/{part}.tsv"
    resources:
        mem_mb=2000,
        disk_mb=500,
        runtime=30,
    conda:
        "../envs/regioncache.yaml"
    shell:
        "regioncache prompt {input.entry:q} {wildcards.split:q} {params.shard} {wildcards.frame} {params.folders:q}"
        " --points {params.points} --seed {params.seed}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"
