# A page about every cache that is there.
#     in:  <cache_dir>/*/*/index.json
#     out: <cache_dir>/report.html


rule report:
    input:
        sorted(str(path) for path in Path(CACHE).glob("*/*/index.json")),
    output:
        CACHE + "/report.html",
    params:
        cache=CACHE,
    log:
        "logs/report.log",
    benchmark:
        "logs/report.tsv"
    resources:
        mem_mb=1000,
        runtime=10,
    conda:
        "../envs/regioncache.yaml"
    shell:
        "regioncache report {params.cache:q} --out {output:q} > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"
