import numpy as np
import pytest
from PIL import Image

from reid_hash.app.calibrate import CalibrateOptions, calibrate_gallery
from reid_hash.calibration import KINDS
from reid_hash.cli import main
from reid_hash.codes import Codes
from reid_hash.errors import ConfigError, DataError, GalleryError
from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.models.head_encoder import Head, HeadEncoder

DIMS = 24


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    random = np.random.default_rng(0)
    matrix = random.normal(size=(64, DIMS)).astype(np.float32) * 4
    made = HeadEncoder(Head(matrix, np.zeros(64, np.float32), np.ones(64, np.float32)))
    made.file = tmp_path_factory.mktemp("head") / "head.safetensors"
    made.save(made.file)
    return made


def vectors(people, crops=4, seed=0):
    random = np.random.default_rng(seed)
    looks = np.repeat(random.normal(size=(people, DIMS)), crops, 0)
    return (looks + 0.3 * random.normal(size=looks.shape)).astype(np.float32)


@pytest.fixture
def gallery(head, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Gallery.create(
        *("g", head.bits, head.bit_weights, head.fingerprint, str(head.file))
    ) as made:
        made.add(head.encode(vectors(10, seed=5)))
        yield made


def columns(**more):
    given = {"embeddings": vectors(60)}
    named = {
        "identities": np.repeat(np.arange(60), 4),
        "cameras": np.tile([0, 0, 1, 1], 60),
        "tracks": np.repeat(np.arange(60), 4),
        "times": np.repeat(np.arange(60), 4) + np.tile([0, 0.5, 1, 1.5], 60),
    }
    return given | {what: named[what] for what in more if more[what]}


@pytest.mark.parametrize(
    ("more", "about"),
    [
        ({"identities": True, "cameras": True}, "240 images of 60 identities of v.npz"),
        ({"tracks": True, "times": True}, "240 images of 60 tracks without labels, 2 beside each"),
    ],
)
def test_a_heads_vectors_calibrate_every_kind_of_query(gallery, head, more, about):
    np.savez("v.npz", **columns(**more))
    made = calibrate_gallery(
        gallery, head, [32, 64], CalibrateOptions(embeddings=gallery.folder.parent / "v.npz")
    )
    assert made.about.startswith(about)
    assert (made.kinds, made.lengths) == (list(KINDS), [32, 64])
    for kind in KINDS:
        table = gallery.calibration.of(64, kind)
        assert table.tpir(table.threshold(0.1, len(gallery))) > 0.8


def test_the_command_says_what_each_kind_of_query_finds(gallery, head, capsys, tmp_path):
    np.savez("v.npz", **columns(identities=True, cameras=True))
    np.savez("known.npz", embeddings=vectors(10, seed=5)[:4])
    np.save("strange.npy", vectors(3, seed=77)[:1])
    gallery.close()

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    code, out, _ = run("gallery", "calibrate", "g", "--embeddings", "v.npz", "--far", ".1", "-q")
    assert code == 0
    for kind in ("code, Hamming", "code, weighted", "asymmetric", "mean of a track"):
        assert out.count(kind) == 3  # 16, 32, 64 bits
    for option in ("--asymmetric", "--track"):
        code, out, _ = run(
            *["search", "--embedding", "known.npz", "--gallery", "g", option, "--far", ".1"]
        )
        assert (code, "stranger" in out) == (0, False)
        assert out.count("within") == (1 if option == "--track" else 4)
        code, out, _ = run(
            *["search", "--embedding", "strange.npy", "--gallery", "g", option, "--far", ".1"]
        )
        assert (code, "stranger: nobody" in out) == (0, True)
    code, _, err = run("gallery", "calibrate", "g", "--embeddings", "known.npz", "-q")
    assert (code, err.count("\n"), "at least two identities" in err) == (1, 1, True)
    code, _, err = run("gallery", "calibrate", "g", "--embeddings", "v.npz", "--by", "tracks", "-q")
    assert (code, err.count("\n"), "needs a track and a time" in err) == (1, 1, True)
    code, _, err = run("gallery", "calibrate", "g", "--images", "nosuch", "-q")
    assert (code, err.count("\n")) == (1, 1)
    code, _, err = run("gallery", "calibrate", "g", "--images", "x", "--embeddings", "v.npz")
    assert (code, "not from both" in err) == (1, True) or code == 2


class Colours:
    """An encoder of the mean colour in each sixth of a picture."""

    size, bits, growing, fingerprint = (12, 6), 18, "linear", ""
    bit_weights = np.ones(18, np.float32)

    def outputs(self, images, progress=None):
        found = np.asarray(images).reshape(len(images), 6, 2, 6, 3).mean((2, 3)) / 64 - 2
        return found.reshape(len(images), 18).astype(np.float32), found

    def binarise(self, outputs):
        return Codes.from_outputs(outputs, self.bit_weights, "")


def pictures(folder, name):
    random = np.random.default_rng(0)
    for person in range(1, 13):
        look = random.integers(0, 255, (6, 1, 3)).repeat(2, 0).repeat(6, 1)
        for number in range(4):
            noisy = np.clip(look + random.normal(0, 12, look.shape), 0, 255).astype(np.uint8)
            file = folder / name(person, number)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy).save(file)


@pytest.mark.parametrize(
    ("names", "name", "about"),
    [
        ("market1501", lambda p, n: f"{p:04}_c{n % 2 + 1}s1_{n:06}_00.png", "48 images of 12 iden"),
        ("tracks", lambda p, n: f"door/{p}/{10 * p + 8 * n:06}.png", "48 images of 12 tracks with"),
    ],
)
def test_pictures_calibrate_any_network(tmp_path, names, name, about):
    pictures(tmp_path / "crops", name)
    network = Colours()
    with Gallery.create(tmp_path / "g", 18, model="") as gallery:
        options = CalibrateOptions((str(tmp_path / "crops"),), names=names)
        made = calibrate_gallery(gallery, network, [18], options)
        assert made.about.startswith(about)
        assert made.kinds == list(KINDS)
        for kind in KINDS:
            table = made.of(18, kind)
            assert table.tpir(table.threshold(0.2, table.size)) > 0.7
        wrong = CalibrateOptions((str(tmp_path / "crops"),), names=None)
        with pytest.raises(ConfigError, match="--names market1501"):
            calibrate_gallery(gallery, network, [18], wrong)
        other = "tracks" if names == "market1501" else "market1501"
        with pytest.raises(DataError, match="is not named like"):
            calibrate_gallery(
                gallery, network, [18], CalibrateOptions((str(tmp_path / "crops"),), names=other)
            )


def test_junk_and_distractors_are_nobody(tmp_path):
    pictures(tmp_path, lambda p, n: f"{'-1' if p < 6 else '0000'}_c{n}s1_{p:06}_{n}.png")
    with Gallery.create(tmp_path / "g", 18, model="") as gallery, pytest.raises(GalleryError):
        calibrate_gallery(
            *(gallery, Colours(), [18]), CalibrateOptions((str(tmp_path),), names="market1501")
        )
