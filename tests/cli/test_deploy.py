"""The files of deploy/ start the service with options that there are; they are not run here."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

pytest.importorskip("fastapi", reason="needs the extra: pip install 'reid-hash[service]'")

from reid_hash.cli.serve import command

DEPLOY = Path(__file__).parents[2] / "deploy"


def commands():
    """What each file starts, as words."""
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    yield json.loads(re.search(r"^CMD (\[.*\])$", dockerfile, re.M)[1])
    yield yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["service"]["command"]
    unit = (DEPLOY / "reid-hash.service").read_text()
    yield shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.M)[1])[1:]


def test_the_service_knows_its_options(monkeypatch):
    started = list(commands())
    assert len(started) == 3
    for name, *arguments in started:
        assert name == "serve"
        context = command.make_context("serve", arguments)
        assert context.params["place"] is not None
        assert context.params["page"] is False


def test_ports_and_folders_agree():
    text = (DEPLOY / "Dockerfile").read_text()
    assert "EXPOSE 7860" in text
    assert "127.0.0.1:7860/api/v1/ready" in text
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["service"]
    assert service["ports"] == ["127.0.0.1:7860:7860"]
