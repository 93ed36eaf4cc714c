"""The recipe on a tiny CLIP with random weights and made-up pairs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.doubles import noise
from tools.core.encoders import load_base
from tools.core.errors import DataError, StoppedError
from tools.core.jobs.folder import JobPaths, read_events
from tools.core.jobs.worker import Outcome, Run
from tools.core.library import Library
from tools.core.pairs.dataset import PairColumns
from tools.core.pairs.rows import read_pairs
from tools.core.settings import Settings
from tools.core.training import fit
from tools.core.training.trainable import choose_trainable, trained
from tools.recipes.title_thumbnail import Config, train

Rows = list[dict[str, Any]]
SaveDataset = Callable[..., Path]
MakeRun = Callable[..., Run]
WORDS = ("apple", "bridge", "candle", "dragon", "engine", "forest", "guitar", "harbor", "island", "jungle")


def row(number: int) -> dict[str, Any]:
    """Return a picture like no other with a title like no other, and another title as its negative."""
    content = BytesIO()
    noise(number, (300, 200)).save(content, "PNG")  # larger than the model looks at
    titles = [f"{WORDS[n % 10]} {WORDS[n // 10 % 10]} {WORDS[n // 7 % 10]}" for n in (number, number + 3)]
    picture = {"bytes": content.getvalue(), "path": None}
    return {"image": picture, "title": titles[0], "negative": titles[1]}


@pytest.fixture
def save_dataset(tmp_path: Path) -> SaveDataset:
    """Save a dataset of pairs with the given sizes of its splits, as the library does."""
    import datasets

    def save(name: str = "pairs", rows: Callable[[int], dict[str, Any]] = row, **sizes: int) -> Path:
        features = {"image": datasets.Image(), "title": datasets.Value("string"), "negative": datasets.Value("string")}
        splits, start = {}, 0
        for split, size in (sizes or {"train": 22, "validation": 8, "test": 7}).items():
            made = [rows(number) for number in range(start, start + size)]
            splits[split] = datasets.Dataset.from_list(made, datasets.Features(features))
            start += size
        datasets.DatasetDict(splits).save_to_disk(str(tmp_path / name))
        return tmp_path / name

    return save


@pytest.fixture
def make_run(tmp_path: Path, clip_folder: Path, save_dataset: SaveDataset) -> MakeRun:
    """Make runs of the recipe, each in a folder of its own unless one is named."""

    def make(folder: str | None = None, data: Path | None = None, **settings: Any) -> Run:
        place = tmp_path / (folder or f"run-{len(list(tmp_path.glob('run-*')))}")
        place.mkdir(exist_ok=True)
        config = {
            "data": str(data or (tmp_path / "pairs" if (tmp_path / "pairs").exists() else save_dataset())),
            "columns": {"picture": "image", "title": "title", "negatives": ["negative"]},
            "base_model": str(clip_folder),
            "batch_size": [8],
            "learning_rate": [1e-2],
            "features": str(tmp_path / "features"),
        }
        return Run(JobPaths(place), config | settings)

    return make


def events(run: Run, kind: str) -> Rows:
    return [event for event in read_events(run.folder.metrics) if event["event"] == kind]


def weights_in(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def test_its_losses_are_those_of_sentence_transformers_own_trainer(make_run: MakeRun, tmp_path: Path):
    import datasets
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    run = make_run(epochs=[3])
    train(run)
    model = load_base(run.config["base_model"], Settings.from_env(), Library(tmp_path))
    choose_trainable(model, "projection")
    rows = datasets.load_from_disk(run.config["data"])["train"]
    columns = rows.rename_columns({"image": "anchor", "title": "positive"})
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "trainer"),
        num_train_epochs=3,
        per_device_train_batch_size=8,
        learning_rate=1e-2,
        seed=42,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=columns, loss=MultipleNegativesRankingLoss(model)
    )
    trainer.train()
    theirs = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    ours = [event["loss"] for event in events(run, "step")]
    assert len(ours) == len(theirs) == 9
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_on_the_layout_of_vit_l_14_the_projections_are_as_many_weights_as_published(monkeypatch: pytest.MonkeyPatch):
    import torch
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig(
        text_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "projection_dim": 768,
        },
        vision_config={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "patch_size": 14,
            "projection_dim": 768,
        },
        projection_dim=768,
    )
    with torch.device("meta"):
        model = CLIPModel(config)
    count = choose_trainable(model, "projection")  # type: ignore[arg-type]
    assert (count.trained, count.total) == (1_376_256, 427_616_513)


def test_only_the_projections_change_and_the_loss_falls(make_run: MakeRun, clip_folder: Path):
    run = make_run(epochs=[20])
    outcome = train(run)
    before, after = weights_in(clip_folder), weights_in(run.folder.result)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"visual_projection.weight", "text_projection.weight"}
    losses = [event["loss"] for event in events(run, "step")]
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])
    assert outcome.parameters["trainable"] == "projection"


def test_plain_sentence_transformers_finds_the_same_recall_in_the_saved_folder(make_run: MakeRun):
    from sentence_transformers import SentenceTransformer

    run = make_run(epochs=[4])
    outcome = train(run)
    model = SentenceTransformer(str(run.folder.result), device="cpu")
    import datasets

    rows = datasets.load_from_disk(run.config["data"])["test"]
    pictures = model.encode([picture.convert("RGB") for picture in rows["image"]])
    titles = model.encode(list(rows["title"]))
    scores = pictures @ titles.T
    recall = float(np.mean(scores.argmax(axis=1) == np.arange(len(rows))))
    assert outcome.metrics["test_recall_at_1"] == pytest.approx(recall, abs=1e-4)
    assert np.linalg.norm(pictures, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("trainable", ["projection", "last_layers", "lora", "all"])
def test_every_choice_of_weights_learns_and_leaves_a_plain_folder(make_run: MakeRun, trainable: str):
    from sentence_transformers import SentenceTransformer

    run = make_run(epochs=[4], trainable=trainable, learning_rate=[3e-3])
    train(run)
    losses = [event["loss"] for event in events(run, "step")]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    names = {name for name, _ in SentenceTransformer(str(run.folder.result), device="cpu").named_parameters()}
    assert not any("lora" in name for name in names)


def test_last_layers_leave_the_first_block_alone(clip_folder: Path, home: Path):
    model = load_base(str(clip_folder), Settings.from_env(), Library(home))
    choose_trainable(model, "last_layers")
    names = set(trained(model))
    assert any("vision_model.encoder.layers.1." in name for name in names)
    assert not any(".layers.0." in name or "embeddings" in name or "pre_layrnorm" in name for name in names)


@pytest.mark.parametrize("trainable", ["projection", "lora"])
def test_a_run_that_breaks_off_ends_at_the_same_weights(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, trainable: str
):
    monkeypatch.setattr(fit, "CHECKPOINT_SECONDS", 0.0)
    settings = {"epochs": [2, 3], "learning_rate": [1e-2, 3e-3], "trainable": trainable}
    whole, broken = make_run("whole", **settings), make_run("broken", **settings)
    train(whole)
    for steps in (4, 9, 1, 13):  # in the first epoch, later in the grid, right after resuming, near the end
        with pytest.raises(StoppedError):
            train(_StoppedAfter(broken, steps))
    broken.rewind()
    train(broken)
    for name, expected in weights_in(whole.folder.result).items():
        np.testing.assert_array_equal(weights_in(broken.folder.result)[name], expected)
    untimed = [[{**e, "time": 0} for e in events(run, "step")] for run in (whole, broken)]
    assert untimed[0] == untimed[1]


class _StoppedAfter(Run):
    """The same run, stopped after some training steps."""

    def __init__(self, run: Run, steps: int) -> None:
        super().__init__(run.folder, run.config)
        self.rewind()
        self.left = steps

    def tell(self, event: str, **fields: Any) -> None:
        super().tell(event, **fields)
        self.left -= event == "step"

    def check_stop(self) -> None:
        if self.left <= 0:
            raise StoppedError("as the test wants it")


def test_the_towers_run_once_for_every_later_run(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch):
    from tools.core.training import features

    counted: list[int] = []
    compute = features._compute
    monkeypatch.setattr(features, "_compute", lambda *given: counted.append(1) or compute(*given))
    first = train(make_run(epochs=[2]))
    assert counted
    counted.clear()
    second = train(make_run(epochs=[2]))
    assert not counted
    assert first.metrics == second.metrics


def test_settings_are_chosen_on_validation_and_the_test_split_is_scored_only_at_the_start_and_the_end(
    make_run: MakeRun,
):
    run = make_run(epochs=[1, 4], learning_rate=[1e-6, 1e-2])
    outcome = train(run)
    tries = events(run, "try")
    assert [one["number"] for one in tries] == [1, 2, 3, 4]
    best = max(tries, key=lambda one: (one["scores"]["recall_at_1"], -one["scores"]["loss"]))
    chosen = {name: best["settings"][name] for name in ("epochs", "batch_size", "learning_rate")}
    assert {name: outcome.parameters[name] for name in chosen} == chosen
    assert [event["when"] for event in events(run, "evaluation") if event["split"] == "test"] == ["before", "after"]


def test_it_stops_when_validation_no_longer_improves(make_run: MakeRun):
    run = make_run(epochs=[200], learning_rate=[3e-2])
    outcome = train(run)
    assert any("stopped early" in note["text"] for note in events(run, "note"))
    assert outcome.parameters["best_epoch"] < 150


def test_too_few_pairs_to_split_are_scored_by_leave_one_out(make_run: MakeRun, save_dataset: SaveDataset):
    run = make_run(data=save_dataset("three", train=5), epochs=[3])
    outcome = train(run)
    assert "leave-one-out (5 pictures, 5 titles)" in outcome.message
    told = [(event["when"], event["split"], event["items"]) for event in events(run, "evaluation")]
    assert told == [("before", "leave-one-out", 5), ("after", "leave-one-out", 5)]


def test_the_card_says_data_settings_scores_and_intervals(make_run: MakeRun):
    run = make_run(epochs=[2], about={"model": "clip-pairs", "data": ["dataset pairs: 22 train"], "licence": ["Ask."]})
    train(run)
    card = (run.folder.result / "README.md").read_text()
    for text in ("# clip-pairs", "dataset pairs: 22 train", "MultipleNegativesRankingLoss", "| test |", "[", "Ask."):
        assert text in card
    assert (run.folder.result / "curves.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("rows", "sizes", "said"),
    [
        (row, {"train": 2, "validation": 2, "test": 2}, "at least 3"),
        (lambda number: {**row(number), "title": "the same"}, {"train": 9, "validation": 3}, "nothing to tell apart"),
        (row, {"train": 120}, "leave-one-out"),
    ],
)
def test_data_that_cannot_be_learned_from_is_refused(
    make_run: MakeRun, save_dataset: SaveDataset, rows: Any, sizes: dict[str, int], said: str
):
    with pytest.raises(DataError, match=said):
        train(make_run(data=save_dataset("odd", rows, **sizes)))


def test_a_dataset_that_changed_since_the_launch_is_refused(make_run: MakeRun, tmp_path: Path):
    run = make_run(content_hash="0123")
    (tmp_path / "card.json").write_text('{"content_hash": "4567"}')
    with pytest.raises(DataError, match="has changed since"):
        train(run)


def test_titles_in_any_script_are_learned(make_run: MakeRun, save_dataset: SaveDataset):
    scripts = ("привет", "你好世界", "مرحبا بالعالم", "🎉🎉", "שלום", "नमस्ते", "   leading", "x" * 3000)
    data = save_dataset("scripts", lambda n: {**row(n), "title": f"{scripts[n % 8]} {n}"}, train=16, validation=8)
    assert isinstance(train(make_run(data=data)), Outcome)


def test_it_needs_nothing_but_the_training_stack(tmp_path: Path):
    forbidden = ("datasets", "gradio", "langchain", "langgraph", "chromadb", "scipy.fft", "matplotlib")
    program = (
        "import sys\n"
        "import tools.recipes.title_thumbnail as recipe\n"
        "import tools.core.training.model_card, tools.core.training.features, torch\n"
        f"print([name for name in {forbidden!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(make_run: MakeRun, tmp_path: Path):
    for name, processes in (("one", 1), ("two", 2)):
        run = make_run(name, epochs=[2], trainable="all", learning_rate=[1e-3])
        config = run.folder.config
        config.write_text(json.dumps(run.config))
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [sys.executable, *torchrun, "-m", "tools.recipes.title_thumbnail", "--config", str(config)]
        env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (read_events(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    losses = [[event["loss"] for event in told if event["event"] == "step"] for told in (one, two)]
    assert len(losses[0]) == 6
    np.testing.assert_allclose(losses[1], losses[0], atol=2e-3)
    judged = [[e["scores"]["loss"] for e in told if str(e.get("when")).startswith("epoch")] for told in (one, two)]
    np.testing.assert_allclose(judged[1], judged[0], atol=2e-3)  # AdamW makes much of the smallest difference
    assert Config.of(json.loads((tmp_path / "two" / "config.json").read_text())).trainable == "all"


def test_the_pairs_are_read_without_the_datasets_library(save_dataset: SaveDataset):
    data = read_pairs(save_dataset(), "test", PairColumns("image", "title", ("negative",)))
    assert len(data) == 7 and data.titles[0] == row(30)["title"] and data.pictures[0] == row(30)["image"]["bytes"]
    assert data.pictures[1:3] == [row(31)["image"]["bytes"], row(32)["image"]["bytes"]]
