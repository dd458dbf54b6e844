"""Files that visitors send: checked as they stream in, limited in all, gone once used."""

import asyncio

import pytest

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")

from reid_hash.web.inbox import UNUSED, WAITING, Inbox, Refused, safe_name
from tests.web.test_web_uploads import png

PICTURE = png(8, 8)
FILM = b"\0\0\0\x18ftypisom" + bytes(100)


def form(*files, boundary="b", end=True):
    """A multipart form of (name, content)."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        .encode() + content + b"\r\n"
        for name, content in files
    ]  # fmt: skip
    return b"".join(parts) + (f"--{boundary}--\r\n".encode() if end else b"")


def receive(inbox, body, size=1000, kind="multipart/form-data; boundary=b"):
    """Send a body in pieces of some size."""

    async def pieces():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return asyncio.run(inbox.receive(kind, pieces()))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def inbox(tmp_path, clock):
    return Inbox(tmp_path, 4 * 2**20, clock)


def left(inbox):
    return list(inbox.folder.rglob("*"))


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_files_arrive_whole_in_pieces_of_any_size(inbox, size):
    files = receive(inbox, form(("ada.png", PICTURE), ("walk.mp4", FILM)), size)
    assert [file.name for file in files] == ["ada.png", "walk.mp4"]
    assert [file.read_bytes() for file in files] == [PICTURE, FILM]
    assert files[0].parent != files[1].parent


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "../../x", "a/../..", "C:\\x\\..", "\r\n", "a\x1b[31m", "x" * 5000, "ä" * 5000],
)
def test_no_name_leaves_the_folder(inbox, name):
    assert "/" not in safe_name(name)
    assert safe_name(name).strip(".")
    assert safe_name(name).isprintable()
    (file,) = receive(inbox, form((safe_name(name).replace('"', ""), PICTURE)))
    assert file.parent.parent == inbox.folder
    with pytest.raises(Refused):
        receive(inbox, form((name, b"text")))
    inbox.remove(file)
    assert left(inbox) == []


def test_what_is_neither_picture_nor_video_is_refused_at_its_first_bytes(inbox):
    seen = 0

    async def endless():
        nonlocal seen
        yield form(("a.bin", b"x" * 50), end=False)
        while True:
            seen += 1
            yield bytes(2**16)

    with pytest.raises(Refused, match=r"a.bin is not a picture") as refused:
        asyncio.run(inbox.receive("multipart/form-data; boundary=b", endless()))
    assert refused.value.status == 415
    assert seen == 0
    assert left(inbox) == []


def test_a_picture_that_does_not_end_is_refused_at_its_limit(inbox, monkeypatch):
    monkeypatch.setattr("reid_hash.web.inbox.most_bytes", lambda kind: 2**20)
    begin = form(("a.png", PICTURE), end=False)[:-2]

    async def endless():
        yield begin
        while True:
            yield bytes(2**16)

    with pytest.raises(Refused, match="a.png is too large; send a file of at most 1 MiB"):
        asyncio.run(inbox.receive("multipart/form-data; boundary=b", endless()))
    assert left(inbox) == []


def test_all_together_have_a_limit(inbox):
    kept = [receive(inbox, form(("a.mp4", FILM + bytes(2**20))))[0] for _ in range(3)]
    with pytest.raises(Refused, match="too many files"):
        receive(inbox, form(("a.mp4", FILM + bytes(2**20))), 2**16)
    assert sorted(left(inbox)) == sorted([*kept, *(file.parent for file in kept)])
    inbox.remove(kept[0])
    receive(inbox, form(("a.mp4", FILM + bytes(2**20))))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--b--\r\n", b"nothing of the kind", form(("a.png", PICTURE), boundary="c"),
        form(("a.png", PICTURE), end=False), form(("a.png", PICTURE), end=False)[:-40],
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ntext\r\n--b--\r\n',
        b"--b\r\n" + b"A: " + b"x" * 10_000 + b"\r\n\r\n\r\n--b--\r\n",
    ],
)  # fmt: skip
def test_a_form_that_is_none_leaves_nothing(inbox, body):
    with pytest.raises(Refused) as refused:
        receive(inbox, body)
    assert refused.value.status == 400
    assert left(inbox) == []


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "multipart/mixed; b=1"])
def test_another_content_type_is_refused(inbox, kind):
    with pytest.raises(Refused, match="multipart form"):
        receive(inbox, form(("a.png", PICTURE)), kind=kind)


def test_a_visitor_who_leaves_leaves_nothing(inbox):
    async def breaks_off():
        yield form(("a.png", PICTURE), end=False)
        raise ConnectionResetError

    with pytest.raises((Refused, ConnectionResetError)):
        asyncio.run(inbox.receive("multipart/form-data; boundary=b", breaks_off()))
    assert left(inbox) == []


def test_only_what_came_in_is_claimed(inbox, tmp_path):
    (file,) = receive(inbox, form(("a.png", PICTURE)))
    assert inbox.claim(str(file)) == file
    other = tmp_path.parent / "other.png"
    other.write_bytes(PICTURE)
    for path in (other, "/dev/zero", file.parent, f"{file.parent}/../{file.parent.name}/a.png", ""):
        with pytest.raises(Refused, match="send it again"):
            inbox.claim(str(path))
    inbox.remove(other)
    assert other.exists()
    inbox.remove(file)
    assert left(inbox) == []


def test_what_nobody_uses_is_swept(inbox, clock):
    unused, waiting = receive(inbox, form(("a.png", PICTURE), ("b.mp4", FILM)))
    inbox.claim(str(waiting))
    clock.now = UNUSED + 1
    inbox.sweep()
    assert (unused.exists(), waiting.exists()) == (False, True)
    clock.now = WAITING + 1
    inbox.sweep()
    assert left(inbox) == []


KINDS = ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary="]


@pytest.mark.parametrize("kind", [*KINDS, "multipart/form-data; boundary=" + "b" * 10_000])
def test_forms_that_are_none_leave_room_for_others(inbox, kind):
    for _ in range(20):
        with pytest.raises(Refused) as refused:
            receive(inbox, form(("ada.png", PICTURE)), kind=kind)
        assert refused.value.status == 400
    (file,) = receive(inbox, form(("ada.png", PICTURE)))
    assert file.read_bytes() == PICTURE


@pytest.mark.parametrize("header", [b"A" * 10_000, b"A: " + b"a" * 10_000, b"A" * 10_000 + b": a"])
def test_a_header_without_end_is_refused(inbox, header):
    with pytest.raises(Refused) as refused:
        receive(inbox, b"--b\r\n" + header + b"\r\n\r\nx\r\n--b--\r\n")
    assert refused.value.status == 400
    assert left(inbox) == []
