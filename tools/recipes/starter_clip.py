"""Train `starter-clip`: a small vision network whose pictures land beside the texts that describe them.

What is learned: a ResNet with basic blocks and a linear projection (6.6 M parameters) that maps a 64×64 picture into
the space of the frozen text encoder all-MiniLM-L6-v2. From which data: Tiny ImageNet (parquet with the columns image,
label, synonyms) and the table of everyday and broader terms in `starter_terms`. By which loss:

1. Cross-entropy over the 200 classes, whose weights are the averaged text embeddings of their prompts (CLIP's
   zero-shot classifier, Radford et al. 2021, used as the training target).
2. A sigmoid loss (SigLIP, Zhai et al. 2023) over all ~740 terms, in the wording drawn for the step: a picture belongs
   with "golden retriever", "dog", "pet" and "animal" alike. It teaches free wording, and scores that compare across
   pictures, which a search needs.

Pictures grow from 48 to 64 pixels during training; flips, crops, zooms, aspect and light are varied. Then a short
second lesson for the projection alone, on features computed once: the same losses with the terms in context ("dogs in
the snow"), so that the thing asked for outweighs the place.

    python -m tools.recipes.starter_clip --train DATA/train-*.parquet --validation DATA/val.parquet --output FOLDER
    python -m tools.recipes.starter_clip --evaluate DATA/val.parquet          # scores of the shipped model, as JSON

A run that was killed goes on from its checkpoint when the same command is given again. The 24 epochs take about an hour
and a half on two busy cores and should end near 42 % top-1 with one look at each picture, 50 % with the four that the
model takes in use (`tools.core.starter`); with a GPU give it more epochs and wider layers.
Not covered: text in pictures, counting, relations, faces, anything but photographs of ordinary things.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tools.core.errors import DataError
from tools.core.files import replacing, write_json
from tools.core.starter import EMBEDDING_SIZE, LARGE_VIEW, load_starter_clip, text_encoder_folder
from tools.recipes.starter_pictures import MEAN, STD, Pictures, as_seen, augment, normalise, read_pictures, read_rows
from tools.recipes.starter_terms import CONTEXTS, TEMPLATES, terms_of


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run; saved beside the weights."""

    train: tuple[str, ...] = ()  # parquet files
    validation: str = ""  # parquet file, never trained on
    output: str = "runs/starter_clip"
    seed: int = 42
    # Model
    stem: int = 64  # channels after the first convolution
    widths: tuple[int, ...] = (64, 128, 256, 512)  # channels of each stage
    depths: tuple[int, ...] = (1, 2, 2, 1)  # basic blocks in each stage
    size: int = 64  # pixels a side at the end of training
    first_size: int = 48  # pixels a side in the first half of training
    # Optimisation: SGD with Nesterov momentum, one-cycle learning rate
    epochs: int = 24
    batch_size: int = 128
    learning_rate: float = 0.2  # the peak
    warm_up: float = 0.15  # share of all steps until the peak
    momentum: float = 0.9
    weight_decay: float = 1e-4  # of weight matrices and kernels only
    label_smoothing: float = 0.1
    terms_weight: float = 0.05  # of the sigmoid loss over terms, a sum over hundreds
    scales_rate: float = 0.02  # learning rate of the scales and the bias, relative to the network's
    # Augmentation
    zoom: tuple[float, float] = (0.6, 1.1)  # side of the crop over the side of the picture
    light: float = 0.25  # largest relative change of brightness and contrast
    grey: float = 0.05  # share of pictures shown without colour
    # Second lesson: the projection alone, terms in context; AdamW, learning rate falling to 0
    context_pictures: int = 20_000  # the first of the training pictures; 0 leaves the lesson out
    context_steps: int = 600
    context_batch: int = 512
    context_rate: float = 1e-3
    context_weight: float = 0.15  # of the sigmoid loss over terms
    # Runtime
    checkpoint_steps: int = 300


class Student(torch.nn.Module):
    """The vision network, its projection, and the scales of the two losses."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        from transformers import ResNetConfig, ResNetModel

        self.vision = ResNetModel(
            ResNetConfig(
                embedding_size=config.stem,
                hidden_sizes=list(config.widths),
                depths=list(config.depths),
                layer_type="basic",
            )
        )
        self.projection = torch.nn.Linear(config.widths[-1], EMBEDDING_SIZE)
        self.class_scale = torch.nn.Parameter(torch.tensor(3.0))  # log of the temperature's inverse
        self.term_scale = torch.nn.Parameter(torch.tensor(2.3))
        self.term_bias = torch.nn.Parameter(torch.tensor(-6.0))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map normalised pixels (batch, 3, side, side) to unit-length embeddings (batch, EMBEDDING_SIZE)."""
        return F.normalize(self.projection(self.features(pixels)), dim=-1)

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map normalised pixels (batch, 3, side, side) to pooled features (batch, width)."""
        with torch.autocast(pixels.device.type, dtype=torch.bfloat16):
            grid = self.vision(pixel_values=pixels).last_hidden_state  # (batch, width, side/32, side/32)
        pooled: torch.Tensor = grid.float().mean((2, 3))
        return pooled


# --- targets -------------------------------------------------------------------------------------------------------


def embed_terms(terms: list[str], device: str, templates: tuple[str, ...] = TEMPLATES) -> torch.Tensor:
    """Embed every term in every template with the frozen text encoder: (templates, terms, EMBEDDING_SIZE)."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(text_encoder_folder()), device=device)
    texts = [template.format(term) for template in templates for term in terms]
    embeddings = encoder.encode(texts, batch_size=256, convert_to_tensor=True, normalize_embeddings=True)
    return embeddings.float().cpu().view(len(templates), len(terms), EMBEDDING_SIZE).clone()


def class_prototypes(classes: list[list[str]], terms: list[str], embeddings: torch.Tensor) -> torch.Tensor:
    """Average each class's synonyms over all templates, then re-normalise: (classes, EMBEDDING_SIZE)."""
    position = {term: index for index, term in enumerate(terms)}
    mean = embeddings.mean(0)  # (terms, EMBEDDING_SIZE)
    return F.normalize(torch.stack([mean[[position[name] for name in names]].mean(0) for names in classes]), dim=-1)


# --- training ---------------------------------------------------------------------------------------------------


def side_at(epoch: int, config: Config) -> int:
    """Pixels a side in an epoch: the first size for half of the run, then growing to the full size, in steps of 8."""
    share = max(0.0, 2 * epoch / max(1, config.epochs - 1) - 1)
    return round((config.first_size + share * (config.size - config.first_size)) / 8) * 8


def learning_rate_at(step: int, steps: int, config: Config) -> float:
    """One-cycle: linear up to the peak, then along a cosine to nearly zero."""
    rise = max(1, int(steps * config.warm_up))
    if step < rise:
        return config.learning_rate * (0.05 + 0.95 * step / rise)
    return config.learning_rate * (0.5005 + 0.4995 * float(np.cos(np.pi * (step - rise) / max(1, steps - rise))))


def train(config: Config, log: Any = print) -> dict[str, Any]:
    """Train, evaluate and save the model to `config.output`; go on from a checkpoint found there.

    Returns:
        The scores of the saved model (see `evaluate`).

    Raises:
        DataError: A data file cannot be read, or the checkpoint belongs to other settings.
    """
    # 1. data and targets
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(config.seed)
    data = read_pictures([Path(file) for file in config.train])
    held_out = read_pictures([Path(config.validation)])
    labels_of = terms_of(data.classes)
    terms = list(labels_of)
    embeddings = embed_terms(terms, device).to(device)
    prototypes = class_prototypes(data.classes, terms, embeddings)
    true_of = torch.zeros(len(data.classes), len(terms), device=device)  # (classes, terms) 0 or 1
    for column, labels in enumerate(labels_of.values()):
        true_of[labels, column] = 1
    log(f"{len(data.labels)} pictures, {len(data.classes)} classes, {len(terms)} terms, on {device}")

    # 2. model and optimiser
    student = Student(config).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kernels = [p for p in student.parameters() if p.ndim > 1]
    vectors = [p for p in student.parameters() if p.ndim == 1]
    scales = [p for p in student.parameters() if p.ndim == 0]
    optimiser = torch.optim.SGD(
        [
            {"params": kernels, "weight_decay": config.weight_decay, "relative_rate": 1.0},
            {"params": vectors, "weight_decay": 0.0, "relative_rate": 1.0},
            {"params": scales, "weight_decay": 0.0, "relative_rate": config.scales_rate},
        ],
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=True,
    )
    per_epoch = len(data.labels) // config.batch_size
    steps = per_epoch * config.epochs
    step = _resume(output / "checkpoint.pt", config, student, optimiser)
    began, first = time.monotonic(), step

    # 3. steps; order and augmentation depend on seed and position alone, so a resumed run is the same run
    while step < steps:
        epoch, within = divmod(step, per_epoch)
        order = torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(config.seed + epoch))
        student.train()
        for index in range(within, per_epoch):
            rows = order[index * config.batch_size : (index + 1) * config.batch_size]
            random = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
            pixels = augment(data.pixels[rows].to(device), side_at(epoch, config), config, random)
            truth = data.labels[rows].to(device)  # (batch,)
            wording = int(torch.randint(len(TEMPLATES), (1,), generator=random))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate_at(step, steps, config) * group["relative_rate"]
            found = student(pixels)  # (batch, EMBEDDING_SIZE)
            by_class = F.cross_entropy(
                student.class_scale.exp() * found @ prototypes.T, truth, label_smoothing=config.label_smoothing
            )
            logits = student.term_scale.exp() * found @ embeddings[wording].T + student.term_bias  # (batch, terms)
            by_term = F.binary_cross_entropy_with_logits(logits, true_of[truth], reduction="sum") / len(truth)
            loss = by_class + config.terms_weight * by_term
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
            if step % 100 == 0:
                left = (time.monotonic() - began) / (step - first) * (steps - step) / 60
                log(
                    f"step {step}/{steps} epoch {epoch + 1} side {side_at(epoch, config)} class {by_class.item():.3f} "
                    f"terms {by_term.item():.3f} minutes left {left:.0f}"
                )
            if step % config.checkpoint_steps == 0 or step == steps:
                _save_checkpoint(output / "checkpoint.pt", config, student, optimiser, step)
        if not torch.isfinite(loss):
            raise DataError(f"The loss became {loss.item()} in epoch {epoch + 1}; try a smaller learning rate")
        log(f"epoch {epoch + 1} top-1 {quick_top1(student, held_out, prototypes, config):.4f}")

    # 4. the second lesson
    if config.context_pictures:
        contexts = embed_terms(terms, device, CONTEXTS).to(device)
        learn_contexts(student, data, contexts, prototypes, true_of, config)
        log(f"after the second lesson top-1 {quick_top1(student, held_out, prototypes, config):.4f}")

    # 5. save as a transformers model, then score what was saved
    save(student, config, output / "model")
    scores = evaluate(Path(config.validation), output / "model")
    settings = dataclasses.asdict(config) | {
        "train": [Path(file).name for file in config.train],
        "validation": Path(config.validation).name,
        "output": output.name,
    }
    write_json(output / "model" / "scores.json", {"scores": scores, "config": settings})
    return scores


def learn_contexts(
    student: Student,
    data: Pictures,
    contexts: torch.Tensor,
    prototypes: torch.Tensor,
    true_of: torch.Tensor,
    config: Config,
) -> None:
    """Teach the projection that a thing in a context is still that thing; the vision network stays as it is.

    Args:
        student: Trained; its projection and the scale and bias of its terms are changed.
        data: The training pictures, of which the first `context_pictures` are looked at once.
        contexts: (contexts, terms, EMBEDDING_SIZE), the terms in every context.
        prototypes: (classes, EMBEDDING_SIZE).
        true_of: (classes, terms), 1 where a term is true of a class.
        config: Settings.
    """
    student.eval()
    truth = data.labels[: config.context_pictures].to(prototypes.device)
    with torch.no_grad():
        seen = (data.pixels[start : start + 250] for start in range(0, len(truth), 250))
        features = torch.cat([student.features(as_seen(pixels.to(prototypes.device))) for pixels in seen])[: len(truth)]
    learned = [*student.projection.parameters(), student.term_scale, student.term_bias]
    optimiser = torch.optim.AdamW(learned, lr=config.context_rate, weight_decay=1e-3)
    random = torch.Generator().manual_seed(config.seed)
    for step in range(config.context_steps):
        for group in optimiser.param_groups:
            group["lr"] = config.context_rate * (1 - step / config.context_steps)
        rows = torch.randint(len(truth), (config.context_batch,), generator=random).to(prototypes.device)
        context = contexts[int(torch.randint(len(contexts), (1,), generator=random))]  # (terms, EMBEDDING_SIZE)
        found = F.normalize(student.projection(features[rows]), dim=-1)  # (batch, EMBEDDING_SIZE)
        by_class = F.cross_entropy(
            student.class_scale.exp().detach() * found @ prototypes.T,
            truth[rows],
            label_smoothing=config.label_smoothing,
        )
        logits = student.term_scale.exp() * found @ context.T + student.term_bias  # (batch, terms)
        by_term = F.binary_cross_entropy_with_logits(logits, true_of[truth[rows]], reduction="sum") / len(rows)
        optimiser.zero_grad(set_to_none=True)
        loss = by_class + config.context_weight * by_term
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def quick_top1(student: Student, held_out: Pictures, prototypes: torch.Tensor, config: Config) -> float:
    """Share of held-out pictures whose nearest class is theirs, without the detour over saving."""
    student.eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(held_out.labels), 500):
            pixels = held_out.pixels[start : start + 500].to(prototypes.device).float() / 255
            if pixels.shape[-1] != config.size:
                pixels = F.interpolate(pixels, config.size, mode="bicubic", antialias=True).clamp(0, 1)
            nearest = (student(normalise(pixels)) @ prototypes.T).argmax(1).cpu()
            right += int((nearest == held_out.labels[start : start + 500]).sum())
    return right / len(held_out.labels)


def save(student: Student, config: Config, folder: Path) -> None:
    """Write the vision network (half precision), its image processor and the projection, in one step."""
    from safetensors.torch import save_file
    from transformers import CLIPImageProcessor

    with replacing(folder) as aside:
        halved = {name: t.half() if t.is_floating_point() else t for name, t in student.vision.state_dict().items()}
        student.vision.save_pretrained(aside / "vision", state_dict=halved)
        CLIPImageProcessor(  # the middle square; a whole picture squeezed into a square found less
            size={"shortest_edge": LARGE_VIEW},
            crop_size={"height": LARGE_VIEW, "width": LARGE_VIEW},
            image_mean=MEAN,
            image_std=STD,
        ).save_pretrained(aside / "vision")
        weights = {name: t.detach().cpu().half().contiguous() for name, t in student.projection.state_dict().items()}
        save_file(weights, aside / "projection.safetensors")


def _save_checkpoint(path: Path, config: Config, student: Student, optimiser: torch.optim.Optimizer, step: int) -> None:
    with replacing(path) as aside:
        state = {
            "config": dataclasses.asdict(config),
            "student": student.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
        }
        torch.save(state, aside)


def _resume(path: Path, config: Config, student: Student, optimiser: torch.optim.Optimizer) -> int:
    """Load a checkpoint if there is one; return the step to go on from."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["config"] != dataclasses.asdict(config):
        raise DataError(f"{path} belongs to a run with other settings: delete it, or give another --output")
    student.load_state_dict(state["student"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


# --- scores -----------------------------------------------------------------------------------------------------


def evaluate(file: Path, folder: Path | None = None) -> dict[str, float]:
    """Score a saved model on labelled pictures, through the same `encode` that the tools use.

    Args:
        file: Parquet with the columns image, label and synonyms.
        folder: Model folder; the shipped one when None.

    Returns:
        `top1`, `top5`: share of pictures whose class is (among) the nearest of all classes in the file, the prompts'
        averaged text embeddings being the classifier. `recall_at_10`: text → image, share of the classes for which
        "a photo of a NAME" finds at least one right picture among its ten nearest; `precision_at_10`: mean share of
        right pictures among those ten. `pictures`, `classes`: how many there were.
    """
    pictures: list[Image.Image] = []
    labels: list[int] = []
    classes: dict[int, list[str]] = {}
    for row in read_rows([file], ["image", "label", "synonyms"]):
        pictures.append(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))
        labels.append(row["label"])
        classes.setdefault(row["label"], row["synonyms"])
    model = load_starter_clip(folder) if folder else load_starter_clip()
    known = sorted(classes)
    truth = torch.tensor([known.index(label) for label in labels])
    names = [classes[label] for label in known]
    terms = sorted({name for group in names for name in group})
    prototypes = class_prototypes(names, terms, embed_terms(terms, str(model.device)))
    queries = model.encode([f"a photo of a {group[0]}" for group in names], convert_to_tensor=True).cpu()
    found = model.encode(pictures, batch_size=128, convert_to_tensor=True).cpu()  # (pictures, EMBEDDING_SIZE)
    best = (found @ prototypes.T).topk(min(5, len(known)), dim=1).indices  # (pictures, 5)
    hits = best == truth[:, None]
    nearest = (queries @ found.T).topk(min(10, len(pictures)), dim=1).indices  # (classes, 10)
    right = truth[nearest] == torch.arange(len(known))[:, None]
    return {
        "top1": round(hits[:, 0].float().mean().item(), 4),
        "top5": round(hits.any(1).float().mean().item(), 4),
        "recall_at_10": round(right.any(1).float().mean().item(), 4),
        "precision_at_10": round(right.float().mean().item(), 4),
        "pictures": len(pictures),
        "classes": len(known),
    }


def main(arguments: list[str] | None = None) -> None:
    """Train with the settings given, or evaluate a model and print its scores as JSON."""
    parser = argparse.ArgumentParser(description="Train or evaluate starter-clip.")
    parser.add_argument("--config", type=Path, help="JSON file with settings; the flags below override it")
    parser.add_argument("--train", nargs="+", help="parquet files to learn from")
    parser.add_argument("--validation", help="parquet file to score on, never trained on")
    parser.add_argument("--output", help="folder for checkpoint and model")
    parser.add_argument("--epochs", type=int, help="passes over the training pictures")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    parser.add_argument("--evaluate", type=Path, metavar="FILE", help="print the scores on this parquet file and stop")
    parser.add_argument("--model", type=Path, help="model folder to evaluate (default: the shipped model)")
    given = parser.parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.evaluate:
        print(json.dumps(evaluate(given.evaluate, given.model), indent=2))
        return
    settings = json.loads(given.config.read_text()) if given.config else {}
    flags = ("train", "validation", "output", "epochs")
    settings |= {name: getattr(given, name) for name in flags if getattr(given, name) is not None}
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    config = Config(**settings)
    if not config.train or not config.validation:
        parser.error("give --train FILE… and --validation FILE, or a --config that names them")
    scores = train(config, log=lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(scores, indent=2))


if __name__ == "__main__":
    main()
