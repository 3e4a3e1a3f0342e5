# Open Images through FiftyOne's downloader, in an environment of its own, for the entry openimages_fiftyone.
#     in:  envs/fiftyone.txt
#     out: .data/fiftyone/<split>: data/, labels/, metadata/
if FETCHES_HERE:

    localrules:
        install_fiftyone,
        download_with_fiftyone,


rule install_fiftyone:
    input:
        "envs/fiftyone.txt",
    output:
        touch(".venv-fiftyone/ready"),
    log:
        "logs/fiftyone/install.log",
    benchmark:
        "logs/fiftyone/install.tsv"
    conda:
        "../envs/regioncache.yaml"
    resources:
        downloads=1,
        mem_mb=1000,
        disk_mb=1500,
        runtime=30,
    shell:
        "{{ python -m venv .venv-fiftyone && .venv-fiftyone/bin/python -m pip install --quiet --disable-pip-version-check --no-input"
        " --requirement {input:q}; }} > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"


rule download_with_fiftyone:
    input:
        ".venv-fiftyone/ready",
    output:
        directory(".data/fiftyone/{split}"),
    log:
        "logs/fiftyone/{split}.log",
    benchmark:
        "logs/fiftyone/{split}.tsv"
    conda:
        "../envs/regioncache.yaml"
    resources:
        downloads=1,
        mem_mb=4000,
        disk_mb=50000,
        runtime=2880,
    params:
        offline="--offline" if config["fetch"]["offline"] else "--no-offline",
        tries=config["fetch"]["tries"],
        timeout_s=config["fetch"]["timeout_s"],
    shell:
        "regioncache fetch-with-fiftyone {wildcards.split:q} {output:q} {params.offline} --tries {params.tries}"
        " --timeout-s {params.timeout_s} > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"
