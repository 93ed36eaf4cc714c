"""A library for jobs, whose workers end with the test; checkpoints of every layout, tiny and with random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toy_jobs import end_all
from tools.core.library import Library

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture
def job_library(home: Path) -> Iterator[Library]:
    """Return an empty library; whatever its jobs left running is killed in the end."""
    library = Library(home)
    yield library
    end_all(library)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a CLIP as transformers does: all files in one folder. Its tokenizer does not know the window of 77."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizerFast

    folder = tmp_path_factory.mktemp("clip")
    words = folder / "words"
    words.mkdir()
    tokens = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    (words / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (words / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = CLIPConfig(
        text_config={**SIZES, **special, "vocab_size": len(tokens), "max_position_embeddings": 77},
        vision_config={**SIZES, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder / "model")
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    tokenizer = CLIPTokenizerFast(str(words / "vocab.json"), str(words / "merges.txt"))
    CLIPProcessor(pictures, tokenizer).save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="session")
def classic_clip_folder(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the same CLIP as clip-ViT-L-14 is published: modules.json beside 0_CLIPModel, pickled weights."""
    import torch
    from safetensors.torch import load_file

    folder = tmp_path_factory.mktemp("classic")
    inner = folder / "0_CLIPModel"
    shutil.copytree(clip_folder, inner)
    torch.save(load_file(inner / "model.safetensors"), inner / "pytorch_model.bin")
    (inner / "model.safetensors").unlink()
    module = {"idx": 0, "name": "0", "path": inner.name, "type": "sentence_transformers.models.CLIPModel"}
    (folder / "modules.json").write_text(json.dumps([module]))
    (folder / "config_sentence_transformers.json").write_text("{}")
    return folder


@pytest.fixture(scope="session")
def resaved_clip_folder(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the same CLIP as sentence-transformers does today, with a Normalize of its own."""
    from tools.core.encoders import load_encoder

    folder = tmp_path_factory.mktemp("resaved")
    load_encoder(str(clip_folder)).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a SigLIP as transformers does."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import (
        PreTrainedTokenizerFast,
        SiglipConfig,
        SiglipImageProcessorPil,
        SiglipModel,
        SiglipProcessor,
    )

    folder = tmp_path_factory.mktemp("siglip")
    vocabulary = {token: number for number, token in enumerate(["<pad>", "</s>", "<unk>", "▁", *LETTERS])}
    letters = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    letters.normalizer = normalizers.Lowercase()
    letters.pre_tokenizer = pre_tokenizers.Metaspace()
    letters.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0, "projection_size": 32}
    config = SiglipConfig(
        text_config={**SIZES, **special, "vocab_size": len(vocabulary), "max_position_embeddings": 64},
        vision_config={**SIZES, "image_size": 32, "patch_size": 8},
    )
    torch.manual_seed(0)
    SiglipModel(config).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    SiglipProcessor(SiglipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder
