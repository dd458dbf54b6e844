"""`train` and `evaluate` from Python, as the front door offers them."""

import json

import pytest

from reid_hash.app.demo.options import DemoOptions
from reid_hash.app.evaluate import EvaluateOptions, Evaluation, evaluate
from reid_hash.app.gallery import AddOptions
from reid_hash.app.runs import find_model, newest_run, resumable_run
from reid_hash.app.search import SearchOptions
from reid_hash.app.train import train
from reid_hash.cli import cmc, demo, search, serve
from reid_hash.cli.gallery import fill
from reid_hash.errors import CheckpointError, ConfigError
from reid_hash.models.shipped import default_model
from reid_hash.web.settings import Settings
from tests.cli.test_cli import write_market
from tests.helpers import run_cli, tiny_config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny network trained in one call; the data beside it."""
    folder = tmp_path_factory.mktemp("functions")
    write_market(folder / "data")
    (folder / "tiny.yaml").write_text(tiny_config().to_yaml())
    return train(
        "market1501",
        data=str(folder / "data"),
        config=str(folder / "tiny.yaml"),
        bits=24,
        settings="train.epochs=1",
        output=str(folder / "run"),
        device="cpu",
        seed=3,
    )


def test_a_training_leaves_a_model_figures_and_a_report(run):
    assert run.model == run.folder / "model.safetensors"
    assert run.model.is_file()
    assert run.report.read_text(encoding="utf-8").startswith("<!")
    config = run.checkpoint.net.config
    assert (config.model.bits, config.seed, config.train.epochs) == (24, 3, 1)
    assert {record["bits"] for record in run.records} >= {8, 16, 24}
    assert repr(run).startswith("<run on market1501 in ")
    assert "\n" not in repr(run)


def test_a_training_destroys_no_run(run, tmp_path, capsys):
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"holds a finished run; name another folder \(--out"):
        train("market1501", data=run.folder.parent / "data", output=run.folder)
    code, _, err = run_cli(capsys, "train", "market1501", "--output", run.folder)
    assert (code, "holds a finished run; name another folder (--output)" in err) == (1, True)
    assert before == {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}

    (tmp_path / "state.safetensors").write_bytes(b"state")  # told before anything is read
    with pytest.raises(CheckpointError, match=r"a stopped run; resume it \(--resume\), or name an"):
        train("market1501", data="nosuch", output=tmp_path)
    assert (tmp_path / "state.safetensors").read_bytes() == b"state"
    (tmp_path / "state.safetensors").unlink()
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(CheckpointError, match="holds the figures of a run; name another folder"):
        train("market1501", data="nosuch", output=tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "config.yaml").write_text("seed: 1  # mine\n")
    with pytest.raises(CheckpointError, match=r"config.yaml is there already, and would be overwr"):
        train("market1501", data="nosuch", output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_what_a_killed_run_leaves_is_no_obstacle(run, tmp_path):
    again = {"data": run.folder.parent / "data", "config": str(run.folder / "config.yaml")}
    (tmp_path / "config.yaml").write_bytes((run.folder / "config.yaml").read_bytes())
    (tmp_path / "metrics.jsonl").touch()
    assert train("market1501", **again, output=tmp_path, device="cpu").model.is_file()


def test_an_evaluation_is_the_records_of_the_command(run, tmp_path, capsys):
    data = run.folder.parent / "data"
    found = evaluate("market1501", model=str(run.folder), data=data, bits=[8, 24], asymmetric=True)
    assert isinstance(found, Evaluation)
    assert [(r["bits"], bool(r.get("asymmetric"))) for r in found] == [
        *((8, False), (8, False), (8, True)),
        *((24, False), (24, False), (24, True)),
    ]
    assert len(found) == 6
    assert found[0] == found.records[0]
    assert repr(found).startswith("<evaluation on market1501, standard: 6 records of 8 to 24 bits")
    code, _, err = run_cli(
        capsys,
        *("cmc", "--model", run.folder, "--data", data, "--bits", "8,24", "--asymmetric"),
        *("--json", tmp_path / "f.json"),
    )
    assert code == 0, err
    written = json.loads((tmp_path / "f.json").read_text())
    assert written["results"] == json.loads(json.dumps(found.records))
    assert sorted(written) == sorted(found.as_object())


def test_options_that_do_not_exist_or_do_not_fit(run, tmp_path):
    data = run.folder.parent / "data"
    with pytest.raises(TypeError, match="bit"):
        evaluate("market1501", model=run.folder, bit=8)
    with pytest.raises(ConfigError, match="choose 1 to 24"):
        evaluate("market1501", model=run.folder, data=data, bits=25)
    with pytest.raises(ConfigError, match="reid-hash cmc --dataset market1501"):
        evaluate("market1501", model=run.folder, data=data, task="retrieval")
    with pytest.raises(ConfigError, match="name a folder for the run"):
        train("market1501", data=data)


def test_a_library_call_does_not_look_into_the_working_directory(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "cuhk03" / "now"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(run.model.read_bytes())
    assert find_model(None, "cuhk03") == default_model().file
    assert find_model(None, "cuhk03", tmp_path / "runs") == folder / "model.safetensors"
    assert newest_run("cuhk03", "model.safetensors", None) is None
    with pytest.raises(CheckpointError, match="no stopped run of cuhk03; name"):
        resumable_run("cuhk03", None)
    with pytest.raises(CheckpointError, match="no trained model for mnist; train one"):
        find_model(None, "mnist")


@pytest.mark.parametrize(
    ("command", "owner"),
    [
        *((demo.command, DemoOptions), (cmc.command, EvaluateOptions)),
        *((search.command, SearchOptions), (serve.command, Settings), (fill.add, AddOptions)),
    ],
)
def test_defaults_of_the_commands_are_those_of_the_classes(command, owner):
    shared = [
        one
        for one in command.params
        if one.name != "detector"  # whose default depends on other options
        and getattr(owner, one.name, None) not in (None, (), False)
    ]
    assert shared
    assert {one.name: one.default for one in shared} == {
        one.name: getattr(owner, one.name) for one in shared
    }
