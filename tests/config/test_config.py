import pytest

from reid_hash.config.reading import configs_folder, load_config, parse_config
from reid_hash.config.schema import Config
from reid_hash.errors import ConfigError


def test_every_shipped_configuration_is_valid():
    files = sorted(configs_folder().rglob("*.yaml"))
    assert len(files) >= 3
    for file in files:
        load_config(file)


def test_settings_win_over_the_file(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("model: {bits: 48}\nseed: 5\n")
    config = load_config(file, ["model.bits=32", "loss.prefixes=[8, 16]"])
    assert (config.model.bits, config.seed, config.loss.prefixes) == (32, 5, (8, 16))


def test_yaml_round_trip(tmp_path):
    config = load_config(settings=["model.bits=40", "train.clip=1.5"])
    file = tmp_path / "c.yaml"
    file.write_text(config.to_yaml())
    assert load_config(file) == config
    assert config != Config()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.bit=4"], "unknown key model.bit; known here: backbone, bits"),
        (["modell.bits=4"], "unknown key modell; known here: seed, data, model"),
        (["model.bits=0"], "model.bits.*greater than or equal to 1"),
        (["model.bits=many"], "model.bits"),
        (["train.optimiser=adam"], "train.optimiser"),
        (["model.bits"], "section.key=value"),
        (["=4"], "section.key=value"),
        (["seed.x=4", "seed.y=5"], "seed"),
        (["model.bits=[1"], "not YAML"),
        (["augment.flip=1.5"], "augment.flip"),
    ],
)
def test_wrong_settings_name_the_key(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_config(settings=settings)


def test_a_wrong_setting_is_not_blamed_on_the_file(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("model: {bits: 48}\n")
    for setting in ("model.bits=0", "model.bit=4", "modell.bits=4", "data.shares=[1, -1]"):
        with pytest.raises(ConfigError, match="^--set: "):
            load_config(file, [setting])
    file.write_text("model: {bits: 0}\n")
    with pytest.raises(ConfigError, match="c.yaml: model.bits"):
        load_config(file, ["seed=1"])


def test_wrong_files_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"no configuration .* one of: .*cuhk03"):
        load_config("nosuch")
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1")
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(bad)
    bad.write_text("- 1\n- 2\n")
    with pytest.raises(ConfigError, match="holds no configuration"):
        load_config(bad)
    bad.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(bad)


def test_an_error_counts_the_others():
    with pytest.raises(ConfigError, match="and 1 more"):
        parse_config({"a": 1, "b": 2}, "here")
