# A page about every cache that is there.
#     in:  <cache_dir>/*/*/index.json
#     out: <cache_dir>/report.html


rule report:
    input:
        sorted(str(path) for path in Path(CACHE).glob("*/*/index.json")),
    output:
        f"{CACHE}/report.html",
    log:
        "logs/report.log",
    benchmark:
        "logs/report.tsv"
    conda:
        "../envs/regioncache.yaml"
    resources:
        mem_mb=1000,
        disk_mb=100,
        runtime=10,
    params:
        folders=[CACHE],
    shell:
        "regioncache report {params.folders:q} --out {output:q} > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"
