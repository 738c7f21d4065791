"""As much of JSON Schema (draft 2020-12) as schema/config.schema.json uses; Debian's Python has none."""

import re

KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
SHOWN = {"description", "default", "title", "$schema", "$defs"}


def is_kind(value, kind):
    if kind in ("integer", "number"):
        return not isinstance(value, bool) and isinstance(value, int if kind == "integer" else (int, float))
    return isinstance(value, KINDS[kind])


def same(a, b):
    return type(a) is type(b) and a == b


def object_is_valid(root, schema, value):
    named, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    return (all(key in value for key in schema.get("required", ()))
            and all(other in value for key, others in schema.get("dependentRequired", {}).items() if key in value for other in others)
            and len(value) <= schema.get("maxProperties", len(value))
            and all(is_valid(root, named.get(key, rest), member) for key, member in value.items()))


def array_is_valid(root, schema, value):
    return (schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
            and all(is_valid(root, schema.get("items", True), item) for item in value))


CHECKS = {
    "$ref": lambda root, ref, value: is_valid(root, root["$defs"][ref.rsplit("/", 1)[1]], value),
    "type": lambda root, kinds, value: any(is_kind(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)),
    "enum": lambda root, words, value: any(same(word, value) for word in words),
    "const": lambda root, word, value: same(word, value),
    "pattern": lambda root, pattern, value: not isinstance(value, str) or bool(re.search(pattern, value)),
    "minLength": lambda root, least, value: not isinstance(value, str) or len(value) >= least,
    "minimum": lambda root, least, value: not is_kind(value, "number") or value >= least,
    "maximum": lambda root, most, value: not is_kind(value, "number") or value <= most,
    "anyOf": lambda root, schemas, value: any(is_valid(root, one, value) for one in schemas),
    "allOf": lambda root, schemas, value: all(is_valid(root, one, value) for one in schemas),
    "oneOf": lambda root, schemas, value: sum(is_valid(root, one, value) for one in schemas) == 1,
    "not": lambda root, schema, value: not is_valid(root, schema, value),
}
OF_OBJECTS = {"properties", "additionalProperties", "required", "dependentRequired", "maxProperties"}
OF_ARRAYS = {"items", "minItems", "maxItems"}


def is_valid(root, schema, value):
    if isinstance(schema, bool):
        return schema
    unknown = set(schema) - set(CHECKS) - OF_OBJECTS - OF_ARRAYS - SHOWN
    assert not unknown, f"a keyword this checker does not know: {unknown}"
    return (all(check(root, schema[key], value) for key, check in CHECKS.items() if key in schema)
            and (not isinstance(value, dict) or object_is_valid(root, schema, value))
            and (not isinstance(value, list) or array_is_valid(root, schema, value)))
