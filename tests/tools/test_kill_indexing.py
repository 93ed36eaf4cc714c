"""Indexing is killed again and again; what it had reported is there, and the next run completes the collection."""

from __future__ import annotations

import hashlib
import importlib
import random
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import MakePicture, MakeWorkspace
from tests.doubles import FORK, colour_workspace, noise
from tools.core.errors import NotInLibraryError
from tools.core.watch import Progress, Watch
from tools.index_images import index_images

PICTURES = 200
COLLECTIONS = 5
KILLS = 4  # of each collection's runs, before the last one may finish


def _index(home: Path, folder: Path, name: str, reports) -> None:
    """Index in small steps, sending how many pictures are done after each; runs in a process of its own."""
    importlib.import_module("tools.index_images").BATCH = 8
    watch = Watch(lambda progress: _send(reports, progress))
    index_images(colour_workspace(home, watch=watch), str(folder), name)


def _send(reports, progress: Progress) -> None:
    if progress.what == "indexing pictures":
        reports.send(progress.done)


def kill_after(chance: random.Random, *job: object) -> tuple[int, bool]:
    """Run `_index` and kill it at a random moment; return what it reported last, and whether it was still alive."""
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_index, args=(*job, theirs))
    child.start()
    theirs.close()
    last = 0
    try:
        for _ in range(chance.randrange(5)):
            last = ours.recv()
        time.sleep(chance.uniform(0, 0.06))
        child.kill()
        while True:
            last = ours.recv()  # what was sent before the kill
    except EOFError:
        child.join()
    return last, child.exitcode == -9


@pytest.mark.slow
def test_a_killed_run_keeps_all_it_reported_and_the_next_one_completes_it(
    make_workspace: MakeWorkspace, make_picture: MakePicture
):
    files = [make_picture(f"many/{number:03}.png", noise(number)) for number in range(PICTURES)]
    keys = [hashlib.sha256(file.read_bytes()).hexdigest()[:32] for file in files]  # in the order of indexing
    workspace = make_workspace()
    embeddings = workspace.encoder().encode_pictures([Image.open(file) for file in files])
    chance = random.Random(20)
    killed = 0

    for number in range(COLLECTIONS):
        job = (workspace.settings.home, files[0].parent, f"run-{number}")
        reported = 0
        for _ in range(KILLS):
            last, was_alive = kill_after(chance, *job)
            reported, killed = max(reported, last), killed + was_alive
            try:
                collection = workspace.collection(workspace.library.find(f"run-{number}"))
            except NotInLibraryError:
                assert reported == 0
                continue
            there = collection.metadata()
            assert set(keys[:reported]) <= set(there) <= set(keys)
            for row in range(reported):
                best = collection.search(embeddings[row], 1)[0]
                assert (best.id, best.metadata["title"]) == (keys[row], files[row].stem)
                assert best.score == pytest.approx(1, abs=1e-4)

        ours, theirs = FORK.Pipe(duplex=False)
        last_run = FORK.Process(target=_index, args=(*job, theirs))
        last_run.start()
        last_run.join(120)
        ours.close()
        assert last_run.exitcode == 0
        card = workspace.library.find(f"run-{number}")
        collection = workspace.collection(card)
        assert collection.count() == PICTURES == card.counts["pictures"]
        np.testing.assert_allclose(collection.vectors(keys), embeddings, atol=1e-5)
        for query in workspace.encoder().encode_pictures([noise(1000 + n) for n in range(20)]):
            expected = [keys[row] for row in np.argsort(-(embeddings @ query), kind="stable")[:10]]
            assert [near.id for near in collection.search(query, 10)] == expected
            indexed = {key for key, _ in collection._by_index(query, 10, (), PICTURES)}
            assert len(indexed & set(expected)) >= 9  # Chroma's own index came through too

    assert killed >= 0.9 * COLLECTIONS * KILLS, "most runs ended before they were killed"
