import struct

import numpy as np
import pytest

from reid_hash.data.embeddings import embedding_blocks, numbered, read_embeddings
from reid_hash.errors import DataError

faiss = pytest.importorskip("faiss")


def vectors(count=20, dims=16, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dims)).astype(np.float32)


def indexes(given):
    """Each kind of flat index over vectors, or over their signs, and whether it is of bits."""
    dims = given.shape[1]
    bits = np.packbits(given > 0, axis=1, bitorder="little")
    numbers = np.arange(len(given)) * 7 + 3
    made = {}
    for name, index in (
        ("l2", faiss.IndexFlatL2(dims)),
        ("ip", faiss.IndexFlatIP(dims)),
        ("l1", faiss.IndexFlat(dims, faiss.METRIC_L1)),
        ("lp", faiss.IndexFlat(dims, faiss.METRIC_Lp)),
    ):
        index.add(given)
        made[name] = index
    binary = faiss.IndexBinaryFlat(dims)
    binary.add(bits)
    made["bits"] = binary
    for name, index, rows in (
        ("numbered", faiss.IndexIDMap(faiss.IndexFlatL2(dims)), given),
        ("numbered2", faiss.IndexIDMap2(faiss.IndexFlatIP(dims)), given),
        ("numbered-bits", faiss.IndexBinaryIDMap(faiss.IndexBinaryFlat(dims)), bits),
    ):
        index.add_with_ids(rows, numbers)
        made[name] = index
    return made


def write(index, file):
    binary = isinstance(index, faiss.IndexBinary)
    (faiss.write_index_binary if binary else faiss.write_index)(index, str(file))


def test_flat_indexes_give_their_vectors(tmp_path):
    given = vectors()
    for name, index in indexes(given).items():
        file = tmp_path / f"{name}.faiss"
        write(index, file)
        expected = np.where(given > 0, 1, -1) if "bits" in name else given
        found = read_embeddings(file)
        np.testing.assert_array_equal(found.vectors, expected, name)
        if "numbered" in name:
            assert found.names.tolist() == [str(7 * i + 3) for i in range(20)]
        else:
            assert found.names is None
        blocks = list(embedding_blocks(file, 8))
        assert [len(block) for block in blocks] == [8, 8, 4]
        np.testing.assert_array_equal(np.concatenate([b.vectors for b in blocks]), expected)
        some = read_embeddings(file, most=5, seed=1)
        rows = np.sort(np.random.default_rng(1).choice(20, 5, replace=False))
        np.testing.assert_array_equal(some.vectors, expected[rows])


def test_damaged_indexes_end_in_one_line(tmp_path):
    random = np.random.default_rng(0)
    file = tmp_path / "x.index"
    for index in indexes(vectors(6, 8)).values():
        write(index, file)
        whole = file.read_bytes()
        damaged = [whole[:end] for end in range(0, len(whole), 3)] + [whole + b"\0"]
        for place in range(4, 80):  # every number of the header: negative, huge, off by one
            for number in (-1, 0, 1, 2**31 - 1, 2**62):
                for form in ("<i", "<q"):
                    if form == "<i" and number > 2**31:
                        continue
                    data = bytearray(whole)
                    put = struct.pack(form, number)
                    data[place : place + len(put)] = put
                    damaged.append(bytes(data))
        for _ in range(300):
            data = bytearray(whole)
            for place in random.integers(0, len(data), random.integers(1, 5)):
                data[place] = random.integers(256)
            damaged.append(bytes(data))
        for data in damaged:
            file.write_bytes(data)
            try:
                found = read_embeddings(file)
            except DataError as error:
                assert "\n" not in str(error)
            else:  # what was damaged are values, or what is not read
                assert found.vectors.nbytes <= 8 * len(data)
                assert len(found) * found.vectors.shape[1] <= 8 * len(data)


def test_other_indexes_are_named(tmp_path):
    given = vectors(400, 8)
    for index, name in (
        (faiss.IndexHNSWFlat(8, 4), "IndexHNSWFlat"),
        (faiss.IndexIVFFlat(faiss.IndexFlatL2(8), 8, 2), "IndexIVFFlat"),
        (faiss.IndexScalarQuantizer(8, faiss.ScalarQuantizer.QT_8bit), "IndexScalarQuantizer"),
    ):
        index.train(given)
        index.add(given)
        file = tmp_path / "x.faiss"
        write(index, file)
        with pytest.raises(DataError, match=f"FAISS's {name}.*reconstruct_n"):
            read_embeddings(file)
    write(faiss.IndexFlatL2(8), file)
    with pytest.raises(DataError, match="holds no embeddings"):
        read_embeddings(file)
    file.write_bytes(b"hello, world")
    with pytest.raises(DataError, match="no flat index of FAISS"):
        read_embeddings(file)


def test_columns_of_other_tools_are_said_aloud(tmp_path, caplog):
    given = vectors(4)
    np.savez(
        tmp_path / "x.npz",
        feats=given,
        pids=[1, 1, 2, -1],
        camids=[0, 1, 0, 1],
        img_paths=["a", "b", "c", "d"],
    )
    found = read_embeddings(tmp_path / "x.npz")
    np.testing.assert_array_equal(found.vectors, given)
    assert found.identities.tolist() == [1, 1, 2, -1]
    assert found.cameras.tolist() == [0, 1, 0, 1]
    assert found.names.tolist() == ["a", "b", "c", "d"]
    assert "`feats` as embeddings, `pids` as identities" in caplog.text
    np.savez(tmp_path / "y.npz", embeddings=given, feats=given + 1)
    np.testing.assert_array_equal(read_embeddings(tmp_path / "y.npz").vectors, given)
    np.savez(tmp_path / "z.npz", pictures=given)
    with pytest.raises(DataError, match="no array `embeddings`, but pictures"):
        read_embeddings(tmp_path / "z.npz")
    np.savez(tmp_path / "t.npz", embeddings=given, times=np.array(["a", "b", "c", "d"]))
    with pytest.raises(DataError, match=r"times are numbers|times is <U1"):
        read_embeddings(tmp_path / "t.npz")


def test_what_a_column_of_parquet_lacks_is_unknown(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    given = vectors(4)
    table = pyarrow.table(
        {
            "embeddings": list(given),
            "identities": pyarrow.array([5, None, 6, 5]),
            "cameras": pyarrow.array(["a", "b", None, "a"]),
            "tracks": [1, 1, 2, 2],
            "times": pyarrow.array([0.5, 1.5, None, 3.0]),
        }
    )
    parquet.write_table(table, tmp_path / "x.parquet", row_group_size=3)
    found = read_embeddings(tmp_path / "x.parquet")
    assert numbered(found.identities).tolist() == [1, -1, 2, 1]
    assert numbered(found.cameras).tolist() == [1, 2, -1, 1]
    assert np.isnan(found.times).tolist() == [False, False, True, False]
    blocks = list(embedding_blocks(tmp_path / "x.parquet", 2))
    np.testing.assert_array_equal(np.concatenate([block.vectors for block in blocks]), given)
    some = read_embeddings(tmp_path / "x.parquet", most=2)
    assert (len(some), len(some.tracks)) == (2, 2)
