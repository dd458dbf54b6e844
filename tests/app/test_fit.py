"""Heads on embeddings: from files and arrays to codes, galleries and certificates."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import reid_hash
from reid_hash.cli import cli
from reid_hash.codes import load_codes
from reid_hash.errors import CheckpointError, CodeError, DataError
from reid_hash.models.head_encoder import HeadEncoder


@pytest.fixture(scope="module")
def people():
    """160 identities before 2 cameras, in 24 dimensions of which 8 tell nothing."""
    random = np.random.default_rng(0)
    identities = np.repeat(np.arange(160), 4)
    spread = np.where(np.arange(24) < 16, 1.0, 0.1)
    means = random.normal(size=(160, 24)) * spread
    embeddings = (means[identities] + 0.4 * random.normal(size=(640, 24))).astype(np.float32)
    return embeddings, identities, np.tile([0, 1], 320)


@pytest.fixture(scope="module")
def head(people):
    return reid_hash.fit(*people, bits=64)


@pytest.fixture(scope="module")
def files(people, head, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    embeddings, identities, cameras = people
    names = [f"{i}.jpg" for i in range(len(embeddings))]
    columns = {"identities": identities, "cameras": cameras, "names": names}
    np.savez(folder / "v.npz", embeddings=embeddings, **columns)
    np.save(folder / "v.npy", embeddings)
    np.save(folder / "one.npy", embeddings[5])
    head.save(folder / "head.safetensors")
    return folder


def run(*arguments):
    done = CliRunner().invoke(cli, [str(one) for one in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_head_finds_its_identities_and_strangers_by_each_prefix(people, head):
    certificate = head.certificate
    assert certificate["enough"]
    assert certificate["groups"] == 40
    rows = {(r["method"], r["bits"], r["asymmetric"]): r for r in certificate["rows"]}
    assert rows["head", 64, True]["rank1"] > 0.9
    assert rows["head", 64, False]["rank1"] > 0.6
    low, high = rows["head", 64, False]["rank1_loss_interval"]
    assert low <= rows["head", 64, False]["rank1_loss"] <= high
    assert {"floats", "sign", "pq", "int8"} <= {r["method"] for r in certificate["rows"]}
    assert certificate["sentences"][0].startswith("64 bits ")


def test_the_same_seed_gives_the_same_head_and_its_file_the_same_codes(people, head, files):
    embeddings, identities, cameras = people
    again = reid_hash.fit(embeddings, identities, cameras, 64, certificate=False)
    assert again.fingerprint == head.fingerprint
    opened = reid_hash.load_model(files / "head.safetensors")
    assert isinstance(opened, HeadEncoder)
    assert opened.encode(embeddings) == head.encode(embeddings)
    assert opened.certificate == head.certificate
    assert head.encode(3 * embeddings[:9]) == head.encode(embeddings[:9])  # lengths do not count


def test_more_bits_than_dimensions_and_no_identities(people):
    embeddings, _, _ = people
    head = reid_hash.fit(embeddings, bits=100)
    assert head.encode(embeddings[:3]).bits == 100
    assert not head.certificate["labelled"]
    rows = {
        (r["bits"], r["asymmetric"]): r for r in head.certificate["rows"] if r["method"] == "head"
    }
    assert rows[100, True]["map"] > rows[64, True]["map"] > 0.3


def test_too_few_identities_cannot_tell(people):
    embeddings, identities, cameras = people
    few = identities < 20
    head = reid_hash.fit(embeddings[few], identities[few], cameras[few], 16)
    assert not head.certificate["enough"]
    assert "cannot tell" in head.certificate["sentences"][0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda e, i: (np.where(np.arange(24) == 3, np.nan, e), i), "NaN or infinite"),
        (lambda e, i: (np.where(np.arange(len(e))[:, None] == 7, 0, e), i), "the first is row 7"),
        (lambda e, i: (e, i[:-1]), "639 identities for 640 embeddings"),
        (lambda e, i: (e[0], i), "a matrix"),
        (lambda e, i: (e[:1], i[:1]), "at least 2"),
    ],
)
def test_what_cannot_be_fitted_is_told_in_a_line(people, damage, message):
    with pytest.raises(DataError, match=message) as caught:
        reid_hash.fit(*damage(*people[:2]), bits=16)
    assert "\n" not in str(caught.value)


def test_other_dimensions_and_images_are_refused(head, files):
    with pytest.raises(DataError, match="of 5 dimensions for a head that takes 24"):
        head.encode(np.ones((2, 5)))
    with pytest.raises(CheckpointError, match="not images"):
        head.size  # noqa: B018
    with pytest.raises(CheckpointError, match="takes images"):
        run("encode", "--embeddings", files / "v.npz", "--model", "small", "-o", files / "x.npz")


def test_from_a_file_of_vectors_to_the_nearest_sightings(people, head, files):
    model, gallery = files / "head.safetensors", files / "gallery"
    run("encode", "--embeddings", files / "v.npz", "--model", model, "-o", files / "c.npz")
    codes, names = load_codes(files / "c.npz")
    assert codes == head.encode(people[0])
    assert names[5] == "5.jpg"
    run("gallery", "create", gallery, "--model", model)
    assert "added 640" in run("gallery", "add", gallery, "--embeddings", files / "v.npz").output
    for flags in ([], ["--asymmetric"]):
        query = ("--embedding", files / "one.npy", "--gallery", gallery, "--plain", "--top", 1)
        cells = run("search", *query, *flags).output.split("\t")
        assert cells[5] == "1"  # its camera
    assert run("search", "--gallery", gallery).exit_code == 2
    with reid_hash.Gallery(gallery, head) as opened, pytest.raises(CodeError):
        opened.add(reid_hash.Codes.from_outputs(np.ones((1, 8))))


def test_fit_and_models_print_the_certificate(files):
    output = files / "new.safetensors"
    printed = run("fit", files / "v.npz", "-o", output, "--bits", 32).output
    assert "FAISS PQ" in printed
    assert "of rank-1" in printed
    assert printed.splitlines()[-2] in run("models", output).output


def test_parquet_is_read_in_parts(people, head, files):
    reason = "needs the extra: pip install 'reid-hash[parquet]'"
    arrow = pytest.importorskip("pyarrow", reason=reason)
    parquet = pytest.importorskip("pyarrow.parquet", reason=reason)
    embeddings, identities, _ = people
    columns = {"embeddings": list(embeddings), "identities": identities}
    parquet.write_table(arrow.table(columns), files / "v.parquet", row_group_size=100)
    run(
        "encode",
        "--embeddings",
        files / "v.parquet",
        "--model",
        files / "head.safetensors",
        "-o",
        files / "p.npz",
    )
    codes, names = load_codes(files / "p.npz")
    assert codes == head.encode(embeddings)
    assert names[1] == "v.parquet[1]"


def test_a_network_of_others_gets_codes_from_pictures_to_one_file(tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    from tests.models.foreign.graphs import save_network

    monkeypatch.chdir(tmp_path)
    save_network("n.onnx", features=16)
    network = ("--network", "n.onnx", "--preset", "torchreid")
    random = np.random.default_rng(0)
    people = tmp_path / "bounding_box_train"
    people.mkdir()
    for i in range(120):
        colours = np.random.default_rng(i // 4).integers(0, 256, (2, 1, 1, 3))
        picture = np.repeat(colours, 16, 1).repeat(16, 2).reshape(32, 16, 3)
        noisy = np.clip(picture + random.normal(0, 20, picture.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(people / f"{i // 4:04d}_c{i % 2 + 1}s1_{i:06d}_00.jpg"), noisy)
    protocol = run(
        "fit", "market1501", "--data", ".", *network, "--bits", 48, "-o", "h.safetensors"
    )
    assert protocol.exit_code == 0, protocol.output
    assert "held out" in protocol.output
    assert reid_hash.load_model("h.safetensors").head.trained_on["identities"] == 29  # without 0
    of_files = run("fit", people, *network, "--no-certificate", "-o", "g.safetensors")
    assert of_files.exit_code == 0, of_files.output
    assert reid_hash.load_model("g.safetensors").head.trained_on["identities"] is None

    pair = (*network, "--head", "h.safetensors")
    assert run("encode", people, *pair, "-o", "a.npz").exit_code == 0
    assert run("export", "onnx", *pair, "-o", "joined.onnx").exit_code == 0
    assert run("encode", people, "--model", "joined.onnx", "-o", "b.npz").exit_code == 0
    (one, names), (other, _) = load_codes("a.npz"), load_codes("b.npz")
    assert one.model == other.model
    assert len(names) == 120
    assert (np.unpackbits(one.packed ^ other.packed)).sum() <= 2  # at rounding
    for arguments in (
        ("fit", "market1501"),
        ("fit", "a.npy", "b.npy"),
        ("fit", "a.npy", "--data", "."),
        ("fit", people, *network, "--model", "small"),
    ):
        assert run(*arguments).exit_code == 2


def test_vectors_are_added_once_under_their_own_names(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("gallery", "create", "g", "--model", files / "head.safetensors").exit_code == 0
    for file in ("v.npz", "v.npz", "v.npy"):
        assert run("gallery", "add", "g", "--embeddings", files / file).exit_code == 0
    with reid_hash.Gallery("g") as gallery:
        sources = [one.source for one in gallery.sightings()]
    assert len(sources) == 2 * 640
    assert sources[:2] == ["0.jpg", "1.jpg"]
    assert sources[640:642] == ["v.npy[0]", "v.npy[1]"]
    other = np.load(files / "v.npz")["embeddings"].copy()
    other[7] = -other[7]  # the same name with another vector: a new sighting
    names = [f"{i}.jpg" for i in range(len(other))]
    np.savez("w.npz", embeddings=other, names=names)
    assert "added 1 sightings;" in run("gallery", "add", "g", "--embeddings", "w.npz").output
