"""How much faster is a fine-tune whose frozen towers run once? The published flow, plainly and by the recipe.

    python -m benchmarks.finetune_speed FOLDER [--pairs 296] [--points 20] [--plain-points 20]

FOLDER holds videos.jsonl (video_id, title, thumbnail) and the pictures. The model has the shape of CLIP ViT-B/32 and
random weights, so only the time means anything. Both ways do the same work: scores of the untrained model, two epochs
(batch 16, learning rate 1e-4, projections only) with scores of train and validation after each, final scores on three
splits. The plain way is written as the published notebook is, with sentence-transformers' trainer. Each way is a
process of its own, from its start to its end, one after the other. The grid is the same learning rates by both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from tools.core.settings import Settings, quieten_libraries
from tools.core.workspace import Workspace

SEED = 42


def make_checkpoint(folder: Path, titles: list[str]) -> None:
    """Save a CLIP of ViT-B/32's shape with random weights; its tokenizer is trained on the titles."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizerFast

    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<|startoftext|>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(
        titles,
        trainers.BpeTrainer(
            vocab_size=4000, special_tokens=special, initial_alphabet=alphabet, end_of_word_suffix="</w>"
        ),
    )
    words = folder / "words"
    words.mkdir(parents=True)
    learner.model.save(str(words))
    tokenizer = CLIPTokenizerFast(str(words / "vocab.json"), str(words / "merges.txt"))
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    torch.manual_seed(SEED)
    CLIPModel(CLIPConfig(text_config=ids, projection_dim=512)).save_pretrained(folder)
    CLIPProcessor(CLIPImageProcessorPil(), tokenizer).save_pretrained(folder)


def make_dataset(home: Path, source: Path, count: int) -> Path:
    """Save `count` pairs, split, with one least similar negative each; return the folder of the saved dataset."""
    from tools.core.pairs.dataset import Pair, save_pairs
    from tools.mine_negatives import mine_negatives

    workspace = Workspace(Settings(home=home, encoder="starter-clip", hub_offline=True))
    rows = [json.loads(line) for line in (source / "videos.jsonl").read_text(encoding="utf-8").splitlines()][:count]
    pairs = (Pair((source / row["thumbnail"]).read_bytes(), row["title"]) for row in rows)
    save_pairs(workspace, "pairs", pairs, source=str(source), parameters={})
    return home / "datasets" / mine_negatives(workspace, "pairs").dataset / "data"


def plainly(model_folder: Path, data: Path, rates: list[float], measured: int) -> dict[str, Any]:
    """Carry out the published flow with sentence-transformers; return its seconds by part."""
    import datasets
    import torch
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    class Recall(SentenceEvaluator):  # type: ignore[misc]
        """Share of pictures whose own title is the nearest."""

        def __init__(self, split: str) -> None:
            super().__init__()
            self.split, self.primary_metric = split, f"{split}_recall_at_1"
            self.pictures, self.titles = rows[split]["anchor"][:], rows[split]["positive"][:]

        def __call__(self, model: Any, *_: Any, **__: Any) -> dict[str, float]:
            pictures = model.encode(self.pictures, convert_to_tensor=True, normalize_embeddings=True)
            titles = model.encode(self.titles, convert_to_tensor=True, normalize_embeddings=True)
            best = (pictures @ titles.T).argmax(dim=1).cpu()
            return {self.primary_metric: float((best == torch.arange(len(best))).float().mean())}

    rows = datasets.load_from_disk(str(data)).select_columns(["image", "title", "negative"])
    rows = rows.rename_columns({"image": "anchor", "title": "positive"})
    evaluators = {split: Recall(split) for split in ("train", "validation", "test")}

    def load() -> Any:
        model = SentenceTransformer(str(model_folder), device="cpu")
        model.max_seq_length = 77
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("projection" in name)
        return model

    def fit(model: Any, rate: float, judged: list[Any]) -> None:
        arguments = Arguments(
            output_dir=tempfile.mkdtemp(),
            num_train_epochs=2,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=16,
            learning_rate=rate,
            eval_strategy="epoch",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        )
        SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=rows["train"],
            eval_dataset=rows["validation"],
            loss=MultipleNegativesRankingLoss(model),
            evaluator=judged,
        ).train()

    seconds: dict[str, Any] = {}
    began = time.perf_counter()
    model = load()
    for split in evaluators:
        evaluators[split](model)
    seconds["before"] = time.perf_counter() - began
    points = []
    for rate in rates[:measured]:
        began = time.perf_counter()
        model = load()
        one = len(rates) == 1  # a grid is judged on validation alone
        fit(model, rate, [evaluators[split] for split in (("train", "validation") if one else ("validation",))])
        points.append(time.perf_counter() - began)
    seconds["points"] = points
    began = time.perf_counter()
    for split in evaluators:
        evaluators[split](model)
    seconds["after"] = time.perf_counter() - began
    return seconds


def run_alone(*arguments: str) -> dict[str, Any]:
    """Run a command in a process of its own; return its seconds, its peak memory in MB, and what it printed last."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        out.seek(0)
        printed = out.read()
    if status:
        raise SystemExit(printed[-3000:])
    return {"seconds": seconds, "megabytes": usage.ru_maxrss / 1024, "printed": printed.strip().splitlines()[-1]}


def recipe_config(folder: Path, data: Path, model: Path, rates: list[float]) -> Path:
    """Write the recipe's configuration; nothing was looked at before, as features are kept in this fresh folder."""
    folder.mkdir()
    config = {
        "data": str(data),
        "columns": {"picture": "image", "title": "title", "negatives": ["negative"]},
        "base_model": str(model),
        "learning_rate": rates,
        "features": str(folder / "features"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "config.json"


def main() -> None:
    """Print the table."""
    quieten_libraries()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=296)
    parser.add_argument("--points", type=int, default=20, help="learning rates of the grid; 0 leaves the grid out")
    parser.add_argument("--plain-points", type=int, help="how many of them the plain way measures; the rest as these")
    parser.add_argument("--plain", nargs=3, help=argparse.SUPPRESS)  # the process of the plain way
    given = parser.parse_args()
    if given.plain:
        rates = json.loads(given.plain[1])
        print(json.dumps(plainly(given.folder, Path(given.plain[0]), rates, int(given.plain[2]))))
        return
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        titles = [json.loads(line)["title"] for line in (given.folder / "videos.jsonl").open(encoding="utf-8")]
        model, data = here / "model", make_dataset(here / "home", given.folder, given.pairs)
        make_checkpoint(model, titles)
        print(f"{describe_machine()}\n{given.pairs} pairs, CLIP ViT-B/32's shape, random weights\n")
        print("| flow | way | minutes | peak MB | times as fast |\n| --- | --- | --- | --- | --- |")
        for points in filter(None, (1, given.points)):
            rates = [1e-4] if points == 1 else [1e-5 * 1.4**step for step in range(points)]
            measured = min(points, given.plain_points or points)
            order = [
                "-m",
                "benchmarks.finetune_speed",
                str(model),
                "--plain",
                str(data),
                json.dumps(rates),
                str(measured),
            ]
            plain = run_alone(*order)
            parts = json.loads(plain["printed"])["points"]
            plain["seconds"] += sum(parts) / len(parts) * (points - measured)
            config = recipe_config(here / f"run-{points}", data, model, rates)
            ours = run_alone("-m", "tools.recipes.title_thumbnail", "--config", str(config))
            flow = "two epochs" if points == 1 else f"grid of {points}"
            also = "" if measured == points else f" ({measured} of {points} points measured)"
            for way, one in ((f"sentence-transformers{also}", plain), ("recipe title_thumbnail", ours)):
                ratio = plain["seconds"] / one["seconds"]
                print(
                    f"| {flow} | {way} | {one['seconds'] / 60:.2f} | {one['megabytes']:.0f} | {ratio:.1f} |", flush=True
                )


if __name__ == "__main__":
    main()
