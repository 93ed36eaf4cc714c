"""How fast is a text query over many stored vectors, and does it find the right ones?

    python -m benchmarks.search_speed [--vectors 100000] [--queries 100]

Vectors are clustered at random on the unit sphere, as embeddings are; the queries are texts, encoded by starter-clip.
Three ways are measured in one run, taken in turn query by query: `search_images` as the tools call it (encoding
included), the store alone in the way it chose, and Chroma's HNSW index alone. Recall@10 is against exact search in
float64, done here without the store.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from tools import search_images
from tools.core.encoders import STARTER
from tools.core.library import Kind, new_card, write_card
from tools.core.settings import Settings, quieten_libraries
from tools.core.workspace import Workspace

WORDS = "dog cat bird boat lemon castle tractor snow beach guitar shoe lamp bridge frog pizza sofa truck tower".split()


def clustered(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Return unit rows around 200 centres: (count, dimension) float32."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(200, dimension))
    rows = centres[random.integers(200, size=count)] + 0.7 * random.normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def milliseconds(times: list[float]) -> str:
    """Return median and 95th percentile."""
    return f"{np.median(times) * 1000:.1f} | {np.percentile(times, 95) * 1000:.1f}"


def main() -> None:
    """Fill a collection, ask, print the table."""
    quieten_libraries()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        workspace = Workspace(dataclasses.replace(Settings.from_env(), home=Path(home)))
        encoder = workspace.encoder(STARTER)
        rows = clustered(given.vectors, encoder.dimension)
        ids = [f"{row:08d}" for row in range(given.vectors)]
        parameters = {"encoder": STARTER, "weights": encoder.fingerprint, "dimension": encoder.dimension}
        card = new_card(Kind.COLLECTION, "many", "made for a benchmark", parameters=parameters)
        with workspace.library.making(Kind.COLLECTION, "many") as folder:
            write_card(folder, card)
        vectors = workspace.collection(card)
        began = time.perf_counter()
        with vectors.writing():
            for start in range(0, given.vectors, 2000):
                part = slice(start, start + 2000)
                vectors.upsert(ids[part], rows[part], [{"file": f"{key}.jpg", "title": key} for key in ids[part]])
        stored = time.perf_counter() - began
        began = time.perf_counter()
        search_images(workspace, "warm up")
        first = time.perf_counter() - began

        random = np.random.default_rng(1)
        queries = [" ".join(random.choice(WORDS, 3, replace=False)) for _ in range(given.queries)]
        tool, store, index, tool_recall, index_recall = [], [], [], [], []
        for text in queries:
            began = time.perf_counter()
            hits = search_images(workspace, text, k=10).hits
            tool.append(time.perf_counter() - began)
            query = encoder.encode_texts([text])[0]
            began = time.perf_counter()
            vectors.search(query, 10)
            store.append(time.perf_counter() - began)
            began = time.perf_counter()
            near = vectors._by_index(query, 10, (), given.vectors)
            index.append(time.perf_counter() - began)
            exact = {ids[row] for row in np.argsort(-(rows.astype(np.float64) @ query.astype(np.float64)))[:10]}
            tool_recall.append(len(exact & {hit.id for hit in hits}) / 10)
            index_recall.append(len(exact & {key for key, _ in near}) / 10)
        print(f"{given.vectors} vectors of {encoder.dimension}; {describe_machine()}")
        print(f"stored in {stored:.0f} s; first search, which copies the vectors into memory, {first:.1f} s")
        print(f"{vectors.plan().reason}\n")
        print("| way | median ms | p95 ms | recall@10 |\n| --- | --- | --- | --- |")
        print(f"| search_images, encode + search | {milliseconds(tool)} | {np.mean(tool_recall):.3f} |")
        print(f"| the store alone | {milliseconds(store)} | {np.mean(tool_recall):.3f} |")
        print(f"| Chroma's HNSW index alone | {milliseconds(index)} | {np.mean(index_recall):.3f} |")


if __name__ == "__main__":
    main()
