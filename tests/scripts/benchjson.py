"""What npuenc-bench --json writes, checked by its schema.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import json

import tap

SCHEMA = json.loads(
    (tap.ROOT / "docs/npuenc-bench.schema.json").read_text())
TYPES = {"object": dict, "array": list, "string": str,
         "integer": int, "number": (int, float)}


def check(value, schema, path="$"):
    """The keywords that the schema uses, and no others."""
    known = {"$schema", "title", "description", "type", "required", "enum",
             "properties", "additionalProperties", "items", "minimum",
             "maximum"}
    assert not set(schema) - known, f"{path}: unknown {set(schema) - known}"
    assert isinstance(value, TYPES[schema["type"]]), f"{path}: {value!r}"
    assert not isinstance(value, bool), f"{path}: {value!r}"
    if "enum" in schema:
        assert value in schema["enum"], f"{path}: {value!r}"
    if "minimum" in schema:
        assert value >= schema["minimum"], f"{path}: {value!r}"
    if "maximum" in schema:
        assert value <= schema["maximum"], f"{path}: {value!r}"
    if schema["type"] == "object":
        missing = set(schema.get("required", ())) - set(value)
        assert not missing, f"{path}: no {missing}"
        assert schema["additionalProperties"] is False
        for key, item in value.items():
            assert key in schema["properties"], f"{path}: no such key {key}"
            check(item, schema["properties"][key], f"{path}.{key}")
    if schema["type"] == "array":
        for i, item in enumerate(value):
            check(item, schema["items"], f"{path}[{i}]")


def read(path):
    """What is in the file, which must be as the schema says."""
    found = json.loads(path.read_text())
    check(found, SCHEMA)
    try:
        import jsonschema
        jsonschema.validate(found, SCHEMA)
    except ImportError:
        pass
    return found
