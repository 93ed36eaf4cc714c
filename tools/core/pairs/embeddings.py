"""Embeddings of stored pairs, from the features on disk where the model's towers have been through them before."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tools.core.encoders import Encoder
from tools.core.errors import ModelError
from tools.core.pairs.rows import PairData
from tools.core.training.features import Modality, cut, tower_features
from tools.core.workspace import Workspace


def embed_pairs(workspace: Workspace, encoder: Encoder, data: PairData) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings of length 1 of the pictures and of the titles: (pairs, dimension) each, float32."""
    import torch

    folder = workspace.settings.home / "cache" / "features"
    with encoder.exclusively() as model:
        try:
            part = cut(model)
        except ModelError as error:
            workspace.watch.tell(f"nothing is kept for next time: {error}", 0)
            part = None
        if part is not None:
            rows = []
            sides: tuple[tuple[Modality, Sequence[Any], str], ...] = (
                ("image", data.pictures, "looking at the pictures"),
                ("text", data.titles, "reading the titles"),
            )
            for modality, contents, what in sides:
                report = functools.partial(workspace.watch.tell, what)
                features = tower_features(part, modality, contents, folder, report)
                with torch.no_grad():
                    embedded = part.embed(features.to(model.device, next(model.parameters()).dtype), modality)
                rows.append(embedded.float().cpu().numpy())
            return rows[0], rows[1]
    items = ((str(number), functools.partial(bytes, content)) for number, content in enumerate(data.pictures))
    batches = list(encoder.stream_pictures(items))
    for batch in batches:
        if batch.unreadable:
            raise ModelError(f"Picture {batch.unreadable[0].key} cannot be read: {batch.unreadable[0].reason}")
    return np.concatenate([batch.embeddings for batch in batches]), encoder.encode_texts(list(data.titles))
