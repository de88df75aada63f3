"""What is particular to folders: unfinished writes, links, errors of the file system."""

import os
from pathlib import Path

import pytest

from usage_etl.errors import LakeError
from usage_etl.lake import FolderStore, open_store


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.name.startswith(".usage_etl-")]


def test_a_write_that_fails_before_its_end_leaves_the_old_object_and_no_rest(
    folder_store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_store.write("k", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LakeError, match="k: No space left on device"):
            folder_store.write("k", b"new")
        with pytest.raises(LakeError, match="No space left"):
            folder_store.upload("k", b"new")
    assert folder_store.read("k") == b"old"
    assert leftovers(tmp_path) == []


def test_the_bytes_are_on_the_disk_before_they_are_in_place(folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        events.append("folder" if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() else "file")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        events.append("replace")
        return replace(self, target)

    folder_store.write("k", b"first, which also makes the folder")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    folder_store.write("k", b"new")
    assert events == ["file", "replace", "folder"]


def test_what_a_killed_writer_left_is_invisible_and_removed_after_a_day(folder_store: FolderStore, tmp_path: Path) -> None:
    folder_store.write("a/k", b"x")
    rest = tmp_path / "lake" / "a" / ".usage_etl-write-0123"
    rest.write_bytes(b"half")
    assert [info.key for info in folder_store.list("")] == ["a/k"]
    with pytest.raises(LakeError, match="reserved"):
        folder_store.read("a/.usage_etl-write-0123")
    assert folder_store.discard_abandoned() == 0
    os.utime(rest, (0, 0))
    assert folder_store.discard_abandoned() == 1
    assert leftovers(tmp_path) == []


def test_links_to_folders_are_followed_once(folder_store: FolderStore, tmp_path: Path) -> None:
    folder_store.write("a/k", b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "y").write_bytes(b"y")
    (tmp_path / "lake" / "a" / "loop").symlink_to(tmp_path / "lake")
    (tmp_path / "lake" / "linked").symlink_to(tmp_path / "elsewhere")
    assert [info.key for info in folder_store.list("")] == ["a/k", "linked/y"]


def test_a_folder_or_a_dangling_link_is_not_an_object(folder_store: FolderStore, tmp_path: Path) -> None:
    folder_store.write("a/k", b"x")
    (tmp_path / "lake" / "dangling").symlink_to(tmp_path / "nowhere")
    assert folder_store.head("a") is None
    assert folder_store.head("a/k/below") is None
    assert [info.key for info in folder_store.list("")] == ["a/k"]
    with pytest.raises(LakeError):
        folder_store.read("a")
    with pytest.raises(LakeError):
        folder_store.write("a/k/below", b"x")


def test_a_name_longer_than_files_may_have_is_refused(folder_store: FolderStore) -> None:
    with pytest.raises(LakeError, match="longer than 255 bytes"):
        folder_store.head("n" * 256)


def test_a_copy_works_where_the_file_system_has_no_links(folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_store.write("k", b"x")

    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refused)
    folder_store.copy("k", "kept/k")
    assert folder_store.read("kept/k") == b"x"


def test_a_place_to_read_from_must_exist_where_that_is_asked(tmp_path: Path) -> None:
    assert list(open_store(str(tmp_path / "typo")).list("")) == []
    with pytest.raises(LakeError, match="no such folder"):
        open_store(str(tmp_path / "typo"), must_exist=True)
    with pytest.raises(LakeError, match="absolute"):
        FolderStore(Path("relative"))


def test_an_error_of_the_file_system_while_listing_is_loud(folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_store.write("a/k", b"x")

    def refused(_: object) -> None:
        raise PermissionError(13, "Permission denied", "a")

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(LakeError, match="Permission denied"):
        list(folder_store.list(""))
