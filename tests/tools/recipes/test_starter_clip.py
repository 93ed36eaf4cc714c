import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tools.core.errors import DataError
from tools.core.starter import STARTER_CLIP
from tools.recipes import starter_clip
from tools.recipes.starter_clip import Config, evaluate, learning_rate_at, side_at, train
from tools.recipes.starter_pictures import augment
from tools.recipes.starter_terms import parse_groups, terms_of

SAMPLE = Path(__file__).parents[2] / "data" / "tiny_imagenet_400.parquet"


@pytest.fixture(scope="module")
def classes() -> list[list[str]]:
    rows = pq.read_table(SAMPLE, columns=["label", "synonyms"]).to_pylist()
    return [names for _, names in sorted({row["label"]: row["synonyms"] for row in rows}.items())]


def test_every_class_is_taught_broader_words_and_every_group_names_known_classes(classes):
    terms = terms_of(classes)
    broader = set(range(len(classes))) - {
        label for term, labels in terms.items() if not any(term in names for names in classes) for label in labels
    }
    assert broader == set()
    assert classes[terms["dog"][0]][0] == "Chihuahua" and len(terms["dog"]) == 6


def test_a_group_with_an_unknown_class_is_refused(classes, monkeypatch, tmp_path):
    file = tmp_path / "terms.txt"
    file.write_text("dog = Chihuahua, unicorn\n")
    monkeypatch.setattr("tools.recipes.starter_terms.TERMS_FILE", file)
    with pytest.raises(ValueError, match="terms.txt names classes that the data does not have: unicorn"):
        terms_of(classes)
    assert parse_groups("a, b = c\n") == [(["a", "b"], ["c"])]


def test_the_schedule_rises_falls_and_pictures_grow():
    config = Config(epochs=8)
    rates = [learning_rate_at(step, 100, config) for step in range(100)]
    assert np.argmax(rates) == 15 and max(rates) == pytest.approx(0.2) and rates[-1] < 0.002 and rates[0] < 0.02
    sides = [side_at(epoch, config) for epoch in range(8)]
    assert sides[0] == 48 and sides[-1] == 64 and sides == sorted(sides)


def test_augmented_pictures_vary_but_the_same_seed_gives_the_same():
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one, same, other = (augment(pixels, 48, Config(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one.shape == (4, 3, 48, 48)
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Settings of a tiny run on plain pictures of three classes."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(96):
        label = number % 3
        colour = np.array([(220, 30, 30), (30, 220, 30), (30, 30, 220)][label]) + rng.integers(-20, 20, 3)
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), tuple(int(v) for v in colour)).save(buffer, "JPEG")
        name = ["tomato", "leaf", "sky"][label]
        rows.append({"image": {"bytes": buffer.getvalue(), "path": None}, "label": label, "synonyms": [name]})
    file = tmp_path / "toy.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    terms = tmp_path / "terms.txt"
    terms.write_text("red thing = tomato\ngreen thing, plant = leaf\nblue thing = sky\n")
    monkeypatch.setattr("tools.recipes.starter_terms.TERMS_FILE", terms)
    return Config(
        train=(str(file),),
        validation=str(file),
        output=str(tmp_path / "run"),
        stem=8,
        widths=(8, 8, 16, 16),
        depths=(1, 1, 1, 1),
        epochs=6,
        batch_size=16,
        learning_rate=0.1,
        checkpoint_steps=5,
        context_pictures=64,
        context_steps=20,
        context_batch=32,
        light=0.0,
        grey=0.0,
    )


def test_a_tiny_run_learns_and_what_it_saved_scores_the_same(toy: Config):
    scores = train(toy, log=lambda _: None)
    assert scores["top1"] > 0.9
    model = Path(toy.output) / "model"
    assert evaluate(Path(toy.validation), model) == scores
    assert json.loads((model / "scores.json").read_text())["config"]["train"] == ["toy.parquet"]


def test_a_run_that_was_killed_goes_on_to_the_same_weights(toy: Config, monkeypatch: pytest.MonkeyPatch):
    train(dataclasses.replace(toy, output=toy.output + "-whole"), log=lambda _: None)

    def die(*_: object) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(starter_clip, "quick_top1", die)  # after the first epoch's six steps; the checkpoint has five
        with pytest.raises(KeyboardInterrupt):
            train(toy, log=lambda _: None)
    train(toy, log=lambda _: None)
    whole, resumed = (
        torch.load(Path(folder) / "checkpoint.pt", weights_only=True)["student"]
        for folder in (toy.output + "-whole", toy.output)
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_other_settings_is_refused(toy: Config):
    train(dataclasses.replace(toy, epochs=1), log=lambda _: None)
    with pytest.raises(DataError, match="other settings: delete it, or give another --output"):
        train(toy, log=lambda _: None)


def test_data_of_another_form_is_refused_by_name(tmp_path: Path):
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"Cannot read .*x\.parquet as parquet"):
        evaluate(tmp_path / "x.parquet")
    pq.write_table(pa.table({"image": [1]}), tmp_path / "y.parquet")
    with pytest.raises(DataError, match=r"y\.parquet lacks the column\(s\) label, synonyms"):
        evaluate(tmp_path / "y.parquet")


def test_the_shipped_weights_give_the_scores_on_the_card(capsys: pytest.CaptureFixture[str]):
    starter_clip.main(["--evaluate", str(SAMPLE)])
    scores = json.loads(capsys.readouterr().out)
    said = json.loads((STARTER_CLIP / "scores.json").read_text())
    assert scores["top1"] == pytest.approx(said["sample"]["top1"], abs=0.01)
    assert scores["top5"] == pytest.approx(said["sample"]["top5"], abs=0.01)
    card = (STARTER_CLIP / "README.md").read_text()
    assert re.search(rf"top-1 .*{said['scores']['top1'] * 100:.1f} %", card)
    assert said["scores"]["top1"] >= 0.45


def test_the_shipped_weights_are_small_safetensors():
    files = [file for file in STARTER_CLIP.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".safetensors", ".json", ".md"}
    assert sum(file.stat().st_size for file in files) <= 16_000_000
