"""What the OpenAPI file says is so: schemathesis tries what it allows, and what it does not."""

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("schemathesis", reason="pip install 'schemathesis>=4'")

from reid_hash.web.api.keys import ROLES

TOOL = Path(__file__).parents[3] / "tools" / "try_openapi.py"


@pytest.mark.slow
def test_the_openapi_file_is_true():
    """All checks on; `python tools/try_openapi.py` looks for longer, and at edge cases as well."""
    found = importlib.util.spec_from_file_location("try_openapi", TOOL)
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    done = tool.run(4, "--phases", "fuzzing,stateful", "--seed", "1")
    assert done.returncode == 0, done.stdout[-5000:]
    tried, passed = re.search(r"(\d+) generated, (\d+) passed", done.stdout).groups()
    assert tried == passed


def test_the_file_says_what_is_needed(client, add_key, server):
    open_ = client.get("/openapi.json").json()
    assert "securitySchemes" not in open_["components"]
    key = add_key("me", *ROLES)
    told = client.get("/openapi.json", headers={"authorization": f"Bearer {key}"}).json()
    assert told["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            free = path in ("/api/v1/health", "/api/v1/ready")
            assert operation["security"] == ([] if free else [{"key": []}]), (method, path)
            assert operation["summary"]
            assert ("401" in operation["responses"]) != free
    code = told["components"]["schemas"]["CodeQuery"]["properties"]["code"]
    assert code["pattern"] == "^[A-Za-z0-9+/]{8}$"  # 44 bits: 6 bytes
    bits = told["components"]["schemas"]["Search"]["properties"]["bits"]["anyOf"][0]
    assert bits["maximum"] == 44
