# From public archives to caches. Run a target from this folder:
#     snakemake --cores 4 cache_coco_panoptic
# Each arrow of the flow is one file in rules/:
#     catalog -> fetch -> convert -> encode -> publish
from snakemake.utils import min_version, validate

min_version("9.0")


configfile: "config.yaml"


validate(config, "workflow/schemas/config.schema.yaml")


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/fiftyone.smk"
include: "rules/convert.smk"
include: "rules/encode.smk"
include: "rules/publish.smk"
include: "rules/report.smk"


localrules:
    cache_all,


rule cache_all:
    default_target: True
    input:
        [index_files(name) for name in CATALOG if name != "demo"],


for _name in CATALOG:

    rule:
        name:
            f"cache_{_name}"
        input:
            index_files(_name),
        localrule: True
