"""The workflow's own text: lint, format, and a comment for every key of its configuration."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from workspace import PROGRAMS, REPOSITORY, Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

RULES = sorted((REPOSITORY / "rules").glob("*.smk"))
CONFIG = REPOSITORY / "config.yaml"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the project's own configuration."""
    return make_workspace(tmp_path_factory.mktemp("fresh"), catalog_dirs=["workflow/catalog"])


def test_snakemake_lint_has_nothing_to_say(fresh: Workspace) -> None:
    done = fresh.run(fresh.command("snakemake", "--lint"))
    assert "Congratulations, your workflow is in a good condition!" in done.stdout


def test_the_rules_are_formatted() -> None:
    done = subprocess.run(
        [PROGRAMS / "snakefmt", "--check", "Snakefile", "rules"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def settings(node: yaml.Node, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    """Every key that holds a value rather than more keys, with its line from 0."""
    found = []
    for key, value in node.value:
        here = (*path, key.value)
        if isinstance(value, yaml.MappingNode):
            found += settings(value, here)
        else:
            found.append((here, key.start_mark.line))
    return found


def test_every_key_of_the_configuration_has_a_comment_above_it() -> None:
    lines = CONFIG.read_text().splitlines()
    keys = settings(yaml.compose(CONFIG.read_text()))
    assert len(keys) > 15
    assert [".".join(key) for key, line in keys if not lines[line - 1].strip().startswith("# ")] == []


def test_the_configuration_has_exactly_the_keys_of_its_schema_and_fits_it() -> None:
    schema = yaml.safe_load((REPOSITORY / "workflow" / "schemas" / "config.schema.yaml").read_text())
    config = yaml.safe_load(CONFIG.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(config, schema, jsonschema.Draft202012Validator)

    def compare(described: dict[str, object], value: dict[str, object], where: str) -> None:
        properties = described["properties"]
        assert isinstance(properties, dict)
        assert set(properties) == set(value), where
        assert described["additionalProperties"] is False, where
        for key, inner in value.items():
            if isinstance(inner, dict) and "properties" in properties[key]:
                compare(properties[key], inner, f"{where}.{key}")

    compare(schema, config, "config.yaml")


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_conda_file_exists_and_every_rule_has_one_with_log_benchmark_and_resources(path: Path) -> None:
    text = path.read_text()
    for name in re.findall(r'conda:\s+"([^"]+)"', text):
        environment = yaml.safe_load((path.parent / name).read_text())
        assert {"channels", "dependencies"} <= set(environment)
    for rule in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]:
        for directive in ("conda:", "log:", "benchmark:", "resources:", "mem_mb=", "disk_mb=", "runtime="):
            assert directive in rule, rule.splitlines()[0]


BAD_VALUES = {
    "a choice": ({"image": {"storage": "jpeg"}}, "instance['image']['storage']", "'jpeg'"),
    "a number": ({"rejects": {"budget": 1.5}}, "instance['rejects']['budget']", "1.5"),
    "a misspelt key": ({"fetch": {"ofline": True}}, "instance['fetch']", "'ofline' was unexpected"),
    "a tokenizer": (
        {"tokenizers": {"mine": {"spec": "byt5", "template": "chat", "max_length": 20}}},
        "instance['tokenizers']['mine']['template']",
        "'chat'",
    ),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_bad_value_stops_the_run_and_is_named_with_its_key(fresh: Workspace, case: str) -> None:
    values, key, shown = BAD_VALUES[case]
    (fresh.folder / "bad.yaml").write_text(yaml.safe_dump(values))
    done = fresh.run([*fresh.snakemake_command("-n", "cache_demo"), "bad.yaml"], ok=False)
    assert done.returncode != 0
    assert key in done.stdout
    assert shown in done.stdout


def test_a_bad_catalog_entry_stops_the_run_and_is_named_with_file_and_key(fresh: Workspace) -> None:
    entry = yaml.safe_load((REPOSITORY / "workflow" / "catalog" / "demo.yaml").read_text())
    entry["splits"]["val"]["shards"] = 0
    (fresh.catalog / "broken.yaml").write_text(yaml.safe_dump(entry))
    (fresh.folder / "broken.yaml").write_text("catalog_dirs: [catalog]\n")
    done = fresh.run([*fresh.snakemake_command("-n", "cache_demo"), "broken.yaml"], ok=False)
    assert done.returncode != 0
    assert "catalog/broken.yaml: splits.val.shards: Expected `int` >= 1, found 0" in done.stdout
