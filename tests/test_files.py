"""Files are whole or not there: after kill -9, with a full disk, on a disk that is gone."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from safetensors.numpy import save_file
from small_disk import full_disk

from nnunet_textguided.checkpoint_files import check_whole, is_whole, what_follows
from nnunet_textguided.dataset_conversion.base.geometry import write_volume
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_files, atomic_path, remove_leftovers, save_json_atomic
from nnunet_textguided.inference.finding_files import save_maps
from nnunet_textguided.inference.model_grid import ModelGrid
from nnunet_textguided.text.bank import TextBank, save_bank

NOISE = np.random.default_rng(0).random((64, 512)).astype(np.float32)


def killed(action) -> None:
    """Do something in a forked process that kills itself at the end of it."""
    child = os.fork()
    if child == 0:
        try:
            action()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("durable", [False, True])
def test_killed_while_writing_leaves_the_old_file_and_something_to_clear_away(tmp_path, durable):
    path = tmp_path / "state.json"
    save_json_atomic({"step": 1}, path)
    before = path.read_bytes()

    def write():
        with atomic_path(path, durable) as temporary:
            temporary.write_text('{"step": ')
            os.kill(os.getpid(), signal.SIGKILL)

    killed(write)
    assert path.read_bytes() == before
    [left] = [file for file in tmp_path.iterdir() if file != path]
    assert remove_leftovers(tmp_path) == [left]
    assert list(tmp_path.iterdir()) == [path]


def test_killed_while_writing_several_files_leaves_the_old_ones_and_a_folder_to_clear_away(tmp_path):
    path = tmp_path / "case.tif"
    path.write_text("old")

    def write():
        with atomic_files(path) as hidden:
            (hidden / "case.json").write_text("new")
            (hidden / "case.tif").write_text("new")
            os.kill(os.getpid(), signal.SIGKILL)

    killed(write)
    assert path.read_text() == "old"
    [left] = [file for file in tmp_path.iterdir() if file != path]
    assert remove_leftovers(tmp_path) == [left]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["case.tif", "*.tif"])
def test_the_file_asked_for_takes_its_place_after_those_beside_it(tmp_path, monkeypatch, name):
    moved, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (moved.append(names[1].name), replace(*names)))
    with atomic_files(tmp_path / name) as hidden:
        for file in ("case.tif", "case.json", "case.npz"):
            (hidden / file).write_text("new")
    assert moved[-1] == "case.tif"
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(moved) == ["case.json", "case.npz", "case.tif"]


def test_leftovers_of_the_living_and_of_other_machines_are_left_alone_unless_nobody_else_can_be_there(tmp_path):
    with atomic_path(tmp_path / "mine.csv") as own:
        own.write_text("being written")
        place = own.name.split("-")[1]
        others = {tmp_path / f".partial-{place}-{os.getppid()}-a.csv", tmp_path / ".partial-0badcafe-4000001-b.csv"}
        foreign = tmp_path / ".partial-notes"
        for file in (*others, foreign):
            file.touch()
        assert remove_leftovers(tmp_path) == []
        assert set(remove_leftovers(tmp_path, alone=True)) == others
        assert foreign.exists()
    assert (tmp_path / "mine.csv").read_text() == "being written"
    assert remove_leftovers(tmp_path / "not there") == []


def write_torch(path: Path) -> None:
    with atomic_path(path, durable=True) as temporary:
        torch.save({"weights": torch.from_numpy(NOISE)}, temporary)


def write_safetensors(path: Path) -> None:
    with atomic_path(path) as temporary:
        save_file({"weights": NOISE}, temporary)


WRITERS = {
    "checkpoint.pth": write_torch,
    "encoder.safetensors": write_safetensors,
    "text_bank.safetensors": lambda path: save_bank(
        TextBank(NOISE, *(tuple(f"name {n}" for n in range(64)),) * 2, tuple(("prompt",) for _ in range(64)), "m"), path
    ),
    "case_0000.nii.gz": lambda path: write_volume(sitk.GetImageFromArray(NOISE[None]), path),
    "case.npz": lambda path: save_maps(path, NOISE[None, None], ModelGrid((1, 64, 512), ((0, 1),) * 3, (0, 1, 2))),
    "manifest.json": lambda path: save_json_atomic(NOISE.tolist(), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_full_disk_is_told_and_nothing_half_written_stays(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    with full_disk(), pytest.raises(UserError, match=rf"(?i)could not .*{name}.*free space"):
        WRITERS[name](path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    WRITERS[name](path)
    assert path.stat().st_size > 20_000


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ESTALE, errno.EDQUOT])
def test_what_the_system_says_when_a_file_gets_its_name_is_passed_on(tmp_path, monkeypatch, number):
    def refuse(*names):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=os.strerror(number)):
        save_json_atomic({}, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_errors_that_have_nothing_to_do_with_the_disk_pass_as_they_are(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_checkpoint_is_whole_once_its_last_byte_is_there(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    torch.save({"weights": torch.zeros(10)}, path)
    content = path.read_bytes()
    check_whole(path, "")
    check_whole(tmp_path / "not there", "")
    for size in (0, 1, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:size])
        assert not is_whole(path)
        with pytest.raises(UserError, match=r"cut short.*Delete it.*then this"):
            check_whole(path, "then this")


def test_next_checkpoint_in_nnunets_order_is_named(tmp_path):
    torch.save({}, tmp_path / "checkpoint_best.pth")
    (tmp_path / "checkpoint_latest.pth").write_bytes(b"half")
    assert "checkpoint_best.pth" in what_follows(tmp_path / "checkpoint_final.pth")
    assert "starts anew" in what_follows(tmp_path / "checkpoint_best.pth")


def test_threads_that_write_the_same_file_do_not_meet(tmp_path):
    path = tmp_path / "a.json"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the block that ended last
    assert list(tmp_path.iterdir()) == [path]
