from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.doubles import noise
from tools.core.encoders import load_base
from tools.core.errors import ModelError
from tools.core.library import Library
from tools.core.settings import Settings
from tools.core.training import features
from tools.core.training.features import Cut, FeatureStore, cut, tower_features

TEXTS = ["a cat", "a dog", "", "a cat", "see http://127.0.0.1:9/x.png", "long " * 90]


def png(seed: int) -> bytes:
    content = BytesIO()
    noise(seed, (300, 200)).save(content, "PNG")
    return content.getvalue()


def load(folder: Path | str) -> Any:
    return load_base(str(folder), Settings(home=Path("unused"), hub_offline=True), Library(Path("unused")))


def quiet(done: int, total: int) -> None: ...


@pytest.mark.parametrize("model", ["clip_folder", "resaved_clip_folder", "siglip_folder", "starter"])
def test_head_after_tower_is_the_model_itself(model: str, request: pytest.FixtureRequest, tmp_path: Path):
    import torch

    whole = load("starter-clip" if model == "starter" else request.getfixturevalue(model))
    part = cut(whole)
    pictures = [png(seed) for seed in range(3)]
    with torch.no_grad():
        texts = part.embed(tower_features(part, "text", TEXTS, tmp_path, quiet), "text").numpy()
        seen = part.embed(tower_features(part, "image", pictures, tmp_path, quiet), "image").numpy()
    from tools.core.encoders import Encoder

    encoder = Encoder("whole", whole)
    np.testing.assert_allclose(texts, encoder.encode_texts(TEXTS), atol=2e-5)
    expected = encoder.encode_pictures([noise(seed, (300, 200)) for seed in range(3)])
    np.testing.assert_allclose(seen, expected, atol=2e-5)


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counted: list[int] = []
    compute = features._compute

    def counted_compute(part: Cut, modality: features.Modality, contents: Sequence[Any]) -> np.ndarray:
        counted.append(len(contents))
        return compute(part, modality, contents)

    monkeypatch.setattr(features, "_compute", counted_compute)
    return counted


def test_equal_contents_go_through_the_tower_once_and_never_again(
    clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    counted = counting(monkeypatch)
    first = tower_features(cut(load(clip_folder)), "text", TEXTS, tmp_path, quiet)
    assert sum(counted) == 5 and len(first) == 6
    counted.clear()
    again = tower_features(cut(load(clip_folder)), "text", TEXTS[::-1], tmp_path, quiet)
    assert not counted
    np.testing.assert_array_equal(first.numpy(), again.numpy()[::-1])


def test_models_that_differ_only_in_their_projections_share_features(clip_folder: Path):
    import torch

    one, two, three = (load(clip_folder) for _ in range(3))
    with torch.no_grad():
        two[0].model.visual_projection.weight += 1
        three[0].model.vision_model.post_layernorm.weight += 1
    assert cut(one).fingerprint == cut(two).fingerprint != cut(three).fingerprint


def test_a_model_that_prepares_pictures_otherwise_shares_nothing(clip_folder: Path):
    one, two = load(clip_folder), load(clip_folder)
    two[0].processor.image_processor.image_mean = [0.1, 0.1, 0.1]
    assert cut(one).fingerprint != cut(two).fingerprint


def test_a_model_with_more_after_its_projection_is_refused(clip_folder: Path):
    import torch

    model = load(clip_folder)

    class Doubled(torch.nn.Module):
        def forward(self, given: dict[str, Any]) -> dict[str, Any]:
            given["sentence_embedding"] = given["sentence_embedding"].roll(1, -1)
            return given

    model.insert(1, Doubled())
    with pytest.raises(ModelError, match="trainable all"):
        cut(model)


def test_a_damaged_file_of_features_is_computed_again(clip_folder: Path, tmp_path: Path):
    part = cut(load(clip_folder))
    first = tower_features(part, "text", TEXTS, tmp_path, quiet).numpy()
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(tower_features(part, "text", TEXTS, tmp_path, quiet).numpy(), first)


def test_rows_written_by_several_are_all_read(tmp_path: Path):
    for number in range(3):
        keys = [bytes([number, k]) * 16 for k in range(4)]
        FeatureStore(tmp_path).write(keys, np.full((4, 2), number, np.float32))
    rows = FeatureStore(tmp_path).read()
    assert len(rows) == 12 and rows[bytes([2, 3]) * 16].tolist() == [2, 2]


def test_progress_reaches_the_number_of_different_contents(clip_folder: Path, tmp_path: Path):
    told: list[tuple[int, int]] = []
    tower_features(
        cut(load(clip_folder)), "text", TEXTS, tmp_path, lambda done, total: told.append((done, total)), batch=2
    )
    assert told == [(2, 5), (4, 5), (5, 5)]
