# Open Images through FiftyOne's downloader, in an environment of its own, for the entry openimages_fiftyone. With a storage provider, the
# environment and the folder stay on the machine that submits.
#     in:  envs/fiftyone.txt
#     out: .data/fiftyone/<split>: data/, labels/, metadata/
# The first of its mirrors, where that is an address, takes the place of the publisher's. No `params`, as with FETCH_OPTIONS.
FIFTYONE_MIRRORS = filter(is_url, config["fetch"]["mirrors_of"].get("openimages_fiftyone", [])[:1])
FIFTYONE_OPTIONS = shlex.join(
    [
        *(word for mirror in FIFTYONE_MIRRORS for word in ("--mirror", mirror)),
        "--offline" if config["fetch"]["offline"] else "--no-offline",
        *("--tries", str(config["fetch"]["tries"])),
        *("--timeout-s", str(config["fetch"]["timeout_s"])),
    ]
)

if FETCHES_HERE or workflow.storage_settings.default_storage_provider is not None:

    localrules:
        install_fiftyone,
        download_with_fiftyone,


rule install_fiftyone:
    input:
        "envs/fiftyone.txt",
    output:
        local(touch(".venv-fiftyone/ready")),
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
        local(".venv-fiftyone/ready"),
    output:
        local(directory(".data/fiftyone/{split}")),
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
    shell:
        "regioncache fetch-with-fiftyone {wildcards.split:q} {output:q}"
        f" {FIFTYONE_OPTIONS.replace('{', '{{').replace('}', '}}')}"
        " > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"
