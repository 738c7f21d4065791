"""The schema, lint and run say the same of a file: what lint takes the schema takes, and what only lint knows is listed."""

import copy
import json
import re
import subprocess

import pytest
from json_schema import is_valid
from spooler import BINARY

BASE = {
    "input": {"stdin": {}}, "buffer": {"sqlite": {"path": "/var/lib/kspool/spool.db"}},
    "output": {"aws_kinesis": {"stream": "s", "partition_key": "k", "region": "eu-central-1"}},
    "cache_resources": [{"label": "c", "lru": {}}], "rate_limit_resources": [{"label": "r", "local": {}}],
    "processor_resources": [{"label": "p", "noop": {}}],
}
REQUIRED = {
    "archive": {"format": "lines"}, "compress": {"algorithm": "gzip"}, "decompress": {"algorithm": "gzip"},
    "dedupe": {"cache": "c", "key": "${! content() }"}, "group_by": [{"check": "true"}], "group_by_value": {"value": "x"},
    "metric": {"type": "counter", "name": "n"}, "rate_limit": {"resource": "r"}, "resource": "p",
    "switch": [{"processors": [{"noop": {}}]}], "unarchive": {"format": "lines"}, "while": {"check": "false"},
    "mapping": "root = this", "mutation": "root = this", "bloblang": "root = this",
}
VALUES = [None, True, 0, -1, 1, 1.5, "", "x", "true", "1", "-1", "5s", "1KiB", "GZIP", "${X:1}", [], [1], ["a"], [{}], {},
          {"a": 1}, {"a": [1]}]
# What stands in a text or between two fields is lint's own.
LINTS_OWN = re.compile(r"char \d|labelled|label |name |not recognised|whole numbers|level must|must (begin|be|hold|end)"
                       r"|not what its environment|is no |needs|cannot|can be reached|is larger|may hold|holds|longer"
                       r"|expected lines, all-bytes|http://|nothing|aws_kinesis: |names no")


def fields(schema):
    return [key for key in schema.get("properties", {}) if key not in ("plugin", "meta", "type")] + ["nosuch"]


def processors(schema):
    for name, rules in schema["$defs"]["processor"]["properties"].items():
        if name in ("label", "type", "plugin", "meta"):
            continue
        good = REQUIRED.get(name, {} if rules.get("properties") is not None else [])
        cases = isinstance(good, list) and good
        yield from ({name: value} for value in VALUES)
        for key in fields(rules["items"] if cases else rules):
            for value in VALUES:
                changed = copy.deepcopy(good[0] if cases else good)
                if isinstance(changed, dict):
                    changed[key] = value
                    yield {name: [changed] if cases else changed}
        for key in good if isinstance(good, dict) else ():
            yield {name: {other: good[other] for other in good if other != key}}
    yield from [{}, {"label": "x"}, {"type": "noop"}, {"type": "noop", "noop": {}}, {"type": "noop", "try": []},
                {"noop": {}, "try": []}, {"noop": {}, "plugin": {}}, {"type": "noop", "plugin": {}}, {"type": "x"},
                {"label": "_", "noop": {}}, {"label": "", "noop": {}}, {"label": 5, "noop": {}}, {"noop": {}, "meta": {}}]


def resources(schema):
    for slot in ("cache", "rate_limit"):
        for name in schema["$defs"][slot]["properties"]:
            for key in fields(schema["$defs"][slot]["properties"][name]):
                for value in VALUES if name not in ("label", "type", "plugin", "meta") else ():
                    yield slot, {"label": "z", name: {key: value}}
        yield from ((slot, entry) for entry in (
            {}, {"label": "z"}, {"memory": {}}, {"local": {}}, {"label": "z", "memory": {}, "lru": {}},
            {"label": "z", "x": 1, "memory": {}}, {"label": "", "lru": {}}, {"label": "z", "type": "lru"}, 5, None))


def sections(schema, at=()):
    """Every field of every fixed section, as (path, value)."""
    for key, rules in schema.get("properties", {}).items():
        path = (*at, key)
        if "properties" in rules and not at[-1:] == ("input",):
            yield from sections(rules, path)
        for value in VALUES if at else ():
            yield path, value


def lint(folder, files):
    for number, content in enumerate(files):
        (folder / f"{number}.yaml").write_text(json.dumps(content))
    said = {}
    for first in range(0, len(files), 200):
        names = [f"{number}.yaml" for number in range(first, min(first + 200, len(files)))]
        out = subprocess.run([BINARY, "lint", *names], cwd=folder, capture_output=True, text=True, check=False).stdout
        for line in out.splitlines():
            name, _, rest = line.partition("(")
            if not re.match(r"\d+,\d+\) warning: ", rest):
                said.setdefault(int(name[:-5]), rest)
    return said


def changed_processor(processor):
    return {**copy.deepcopy(BASE), "pipeline": {"processors": [processor]}}


def changed_resource(slot, entry):
    base = copy.deepcopy(BASE)
    base[f"{slot}_resources"].append(entry)
    return base


def changed_section(path, value):
    base = node = copy.deepcopy(BASE)
    for step in path[:-1]:
        node = node.setdefault(step, {})
    node[path[-1]] = value
    return base


@pytest.mark.parametrize("part", ["processors", "resources", "sections"])
def test_lint_and_the_schema_say_the_same(tmp_path, part):
    schema = json.loads(subprocess.run([BINARY, "create", "--schema"], capture_output=True, check=True).stdout)
    files = {"processors": lambda: [changed_processor(one) for one in processors(schema)],
             "resources": lambda: [changed_resource(*one) for one in resources(schema)],
             "sections": lambda: [changed_section(*one) for one in sections(schema)]}[part]()
    assert len(files) > 100
    faults, wrong = lint(tmp_path, files), []
    for number, content in enumerate(files):
        fault, valid = faults.get(number), is_valid(schema, schema, content)
        if valid != (fault is None) and not (valid and LINTS_OWN.search(fault)):
            wrong.append((json.dumps({key: content[key] for key in content if content[key] != BASE.get(key)}), "the schema takes it" if valid else "the schema refuses it", fault))
    assert not wrong, "\n".join(map(str, wrong[:20]))
