import functools
import itertools
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.doubles import COLOURS, ColourModel, HttpSentinel, http_sentinel, noise
from tools.core import encoders
from tools.core.encoders import STARTER, Encoder, choose_encoder, load_encoder, weight_hash
from tools.core.errors import ModelError
from tools.core.library import Kind, Library, new_card, write_card
from tools.core.settings import PREFERRED_ENCODER, Settings
from tools.core.starter import STARTER_CLIP, text_encoder_folder

LAYOUTS = ("clip_folder", "classic_clip_folder", "resaved_clip_folder", "siglip_folder")


@functools.cache
def loaded(folder: str) -> Encoder:
    return Encoder(folder, load_encoder(folder))


@pytest.fixture(params=LAYOUTS)
def real_encoder(request: pytest.FixtureRequest) -> Encoder:
    """Give an encoder around a tiny real checkpoint of each layout."""
    return loaded(str(request.getfixturevalue(request.param)))


@pytest.fixture
def colours() -> Encoder:
    return Encoder("colours", ColourModel())


# --- which model, and why -------------------------------------------------------------------------------------------


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give a hub cache that holds nothing yet."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_into_cache(
    cache: Path, model: str, *files: str, whole: tuple[str, ...] = ("modules.json", "0_CLIPModel/model.safetensors")
) -> None:
    """Lay `files` of a model (what makes it whole when none are named) into a hub cache."""
    folder = cache / f"models--{model.replace('/', '--')}"
    for name in files or whole:
        file = folder / "snapshots" / "abc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("[]")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")


def test_auto_takes_the_cached_model_without_asking_the_hub(home: Path, cached: Path, sentinel: HttpSentinel):
    put_into_cache(cached, PREFERRED_ENCODER)
    for offline in (True, False):
        choice = choose_encoder(Settings(home, hub_offline=offline, hub_endpoint=sentinel.url), Library(home))
        assert (choice.name, choice.reason) == (PREFERRED_ENCODER, "found in the local cache")
    assert sentinel.requests == []


def test_a_download_that_broke_off_before_the_weights_is_not_taken(home: Path, cached: Path, sentinel: HttpSentinel):
    put_into_cache(cached, PREFERRED_ENCODER, "modules.json")
    choice = choose_encoder(Settings(home, hub_offline=True, hub_endpoint=sentinel.url), Library(home))
    assert choice.name == STARTER


def test_auto_takes_the_starter_when_told_to_stay_offline(home: Path, cached: Path, sentinel: HttpSentinel):
    choice = choose_encoder(Settings(home, hub_offline=True, hub_endpoint=sentinel.url), Library(home))
    assert choice.name == STARTER
    assert "HF_HUB_OFFLINE is set" in choice.reason and PREFERRED_ENCODER in choice.reason
    assert sentinel.requests == []


@pytest.mark.parametrize(("status", "name"), [(200, PREFERRED_ENCODER), (404, PREFERRED_ENCODER), (503, STARTER)])
def test_auto_asks_a_hub_that_may_be_reached(home: Path, cached: Path, status: int, name: str):
    with http_sentinel(status) as hub:
        choice = choose_encoder(Settings(home, hub_endpoint=hub.url), Library(home))
    assert choice.name == name
    assert "can be reached (downloaded once" in choice.reason or "cannot be reached" in choice.reason
    assert len(hub.requests) == 1


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://[bad", "http://127.0.0.1:99999", "http://"])
def test_auto_takes_the_starter_when_the_hub_cannot_be_reached(home: Path, cached: Path, endpoint: str):
    choice = choose_encoder(Settings(home, hub_endpoint=endpoint), Library(home))
    assert choice.name == STARTER
    assert "the hub cannot be reached" in choice.reason


def test_auto_does_not_wait_long_for_a_silent_hub(home: Path, cached: Path, monkeypatch: pytest.MonkeyPatch):
    import socket

    monkeypatch.setattr(encoders, "HUB_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        choice = choose_encoder(
            Settings(home, hub_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"), Library(home)
        )
    assert choice.name == STARTER


def test_a_named_model_is_taken_as_said(home: Path):
    settings = Settings(home, encoder="org/model", hub_endpoint="http://127.0.0.1:9")
    assert choose_encoder(settings, Library(home)).reason == "set by PAIRWRIGHT_ENCODER"
    choice = choose_encoder(settings, Library(home), "other")
    assert (choice.name, choice.reason) == ("other", "named in the command")


# --- loading --------------------------------------------------------------------------------------------------------


def test_every_layout_gives_float32_rows_of_length_1(real_encoder: Encoder):
    texts = real_encoder.encode_texts(["a cat", "two dogs on a beach", ""])
    pictures = real_encoder.encode_pictures([noise(1), noise(2, (200, 50))])
    for rows in (texts, pictures):
        assert (rows.dtype, rows.shape[1]) == (np.float32, real_encoder.dimension)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert texts.shape[0] == 3 and pictures.shape[0] == 2
    assert real_encoder.picture_side == 32


def test_every_layout_gives_a_plain_model_whose_output_has_length_1(real_encoder: Encoder):
    rows = real_encoder.model.encode(["a cat"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_layout_of_a_checkpoint_changes_nothing(request: pytest.FixtureRequest):
    first, *others = (loaded(str(request.getfixturevalue(name))) for name in LAYOUTS[:3])
    for other in others:
        assert other.fingerprint == first.fingerprint
        np.testing.assert_allclose(other.encode_texts(["a cat"]), first.encode_texts(["a cat"]), atol=1e-6)
        np.testing.assert_allclose(other.encode_pictures([noise(1)]), first.encode_pictures([noise(1)]), atol=1e-6)


def test_different_inputs_have_different_embeddings(real_encoder: Encoder):
    texts = real_encoder.encode_texts(["a cat", "a dog"])
    pictures = real_encoder.encode_pictures([noise(1), noise(2)])
    assert texts[0] @ texts[1] < 0.9999 and pictures[0] @ pictures[1] < 0.9999


def test_an_embedding_does_not_depend_on_what_else_is_in_the_batch(real_encoder: Encoder):
    texts = ["cat", "a much longer text about a cat that sleeps", "x"]
    together = real_encoder.encode_texts(texts)
    for row, text in enumerate(texts):
        np.testing.assert_allclose(real_encoder.encode_texts([text])[0], together[row], atol=1e-5)


def test_a_long_text_is_cut_not_refused(real_encoder: Encoder):
    rows = real_encoder.encode_texts(["hello " * 5000, "word" * 3000])
    assert rows.shape == (2, real_encoder.dimension)


@pytest.mark.parametrize("text", ["", " ", "\n", "\0", "日本語", "🙂🙂", "a\u202eb"])
def test_any_text_has_an_embedding(real_encoder: Encoder, text: str):
    assert np.isfinite(real_encoder.encode_texts([text])).all()


def test_an_ordinary_text_is_given_to_the_model_as_it_is(real_encoder: Encoder):
    texts = ["a cat", "a photo of two dogs"]
    np.testing.assert_allclose(real_encoder.encode_texts(texts), real_encoder.model.encode(texts), atol=1e-6)


def test_a_text_that_is_an_address_is_not_fetched(real_encoder: Encoder, sentinel: HttpSentinel):
    addresses = [
        f"{sentinel.url}/cat.png",
        f"{sentinel.url}/x",
        f" {sentinel.url}/cat.jpg\n",
        f"a {sentinel.url}/cat.gif",
    ]
    rows = real_encoder.encode_texts([*addresses, "data:image/png;base64,iVBORw0KGgo="])
    assert rows.shape[0] == 5
    assert sentinel.requests == []


def test_a_text_that_is_a_file_is_not_opened(real_encoder: Encoder, make_picture):
    file = make_picture("cat.png", noise(3))
    first = real_encoder.encode_texts([str(file)])
    make_picture("cat.png", noise(4))
    np.testing.assert_array_equal(real_encoder.encode_texts([str(file)]), first)
    file.unlink()
    np.testing.assert_array_equal(real_encoder.encode_texts([str(file)]), first)
    assert real_encoder.encode_pictures([noise(3)])[0] @ first[0] < 0.99


def test_a_model_for_texts_only_is_refused_with_one_that_fits():
    with pytest.raises(ModelError, match="does not take image input; .* such as sentence-transformers/clip-ViT-B-32"):
        load_encoder(str(text_encoder_folder()))


@pytest.mark.parametrize("name", ["~no-such-user/x", "x" * 5000, "a\0b", "missing", "./missing", "/missing/x", "a/b/c"])
def test_a_name_that_means_nothing_is_refused_with_what_could_be_meant(name: str):
    with pytest.raises(ModelError, match="expected a model of the library .*, an existing folder, or a hub id"):
        load_encoder(name)


def test_a_hub_id_that_cannot_be_had_offline_is_refused_with_a_way_out():
    with pytest.raises(ModelError, match="check the name and the network, or use starter-clip"):
        load_encoder("nobody/no-such-model-at-all")


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_encoder(str(tmp_path / "empty"))


def test_a_checkpoint_with_damaged_weights_is_refused(clip_folder: Path, tmp_path: Path):
    shutil.copytree(clip_folder, tmp_path / "clip")
    weights = tmp_path / "clip/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_encoder(str(tmp_path / "clip"))


def test_a_model_of_the_library_is_found_by_its_name(home: Path, clip_folder: Path):
    library = Library(home)
    with library.making(Kind.MODEL, "my-clip") as folder:
        shutil.copytree(clip_folder, folder / "model")
        write_card(folder, new_card(Kind.MODEL, "my-clip", "a test"))
    for name in ("my-clip", "model/my-clip"):
        assert weight_hash(load_encoder(name)) == loaded(str(clip_folder)).fingerprint
    with pytest.raises(ModelError, match=r"the library \(starter-clip, my-clip\)"):
        load_encoder("my-clap")


@pytest.mark.skipif(not (STARTER_CLIP / "vision").is_dir(), reason="starter-clip is not trained yet")
def test_the_starter_puts_words_and_pictures_into_one_space():
    encoder = Encoder(STARTER, load_encoder(STARTER))
    texts, pictures = encoder.encode_texts(["a cat"]), encoder.encode_pictures([noise(1)])
    assert texts.shape == pictures.shape == (1, 384)


# --- the fingerprint ------------------------------------------------------------------------------------------------


def test_the_fingerprint_changes_when_one_weight_changes(clip_folder: Path):
    import torch

    model = load_encoder(str(clip_folder))
    before = weight_hash(model)
    assert before == loaded(str(clip_folder)).fingerprint
    weight = model[0].model.visual_projection.weight
    with torch.no_grad():
        old = weight[0, 0].item()
        weight[0, 0] = float(np.nextafter(np.float32(old), np.float32(1)))
        changed = weight_hash(model)
        weight[0, 0] = old
    assert changed != before == weight_hash(model)


def test_two_models_have_two_fingerprints(clip_folder: Path, siglip_folder: Path):
    assert loaded(str(clip_folder)).fingerprint != loaded(str(siglip_folder)).fingerprint
    assert Encoder("a", ColourModel(0.1)).fingerprint != Encoder("a", ColourModel(0.2)).fingerprint


# --- streaming pictures ---------------------------------------------------------------------------------------------


def items_of(pictures: dict[str, bytes | Path]) -> list[tuple[str, functools.partial]]:
    return [(key, functools.partial(lambda content: content, content)) for key, content in pictures.items()]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 40])
@pytest.mark.parametrize("workers", [1, 4])
def test_streaming_gives_what_encoding_one_by_one_gives_in_order(
    colours: Encoder, make_picture, count: int, workers: int
):
    files = {f"p{seed}": make_picture(f"{seed}.png", noise(seed)) for seed in range(count)}
    batches = list(colours.stream_pictures(items_of(files), batch_size=8, workers=workers))
    assert [key for batch in batches for key in batch.keys] == list(files)
    assert all(len(batch.keys) == 8 for batch in batches[:-1])
    for batch in batches:
        expected = colours.encode_pictures([noise(int(key[1:])) for key in batch.keys])
        np.testing.assert_allclose(batch.embeddings, expected, atol=1e-6)


def test_pictures_that_cannot_be_read_are_named_and_the_rest_embedded(colours: Encoder, make_picture, tmp_path: Path):
    good = make_picture("good.png")
    pictures = {"a": good, "gone": tmp_path / "gone.png", "b": good.read_bytes(), "text": b"no picture", "c": good}
    batches = list(colours.stream_pictures(items_of(pictures), batch_size=2))
    assert [key for batch in batches for key in batch.keys] == ["a", "b", "c"]
    left_out = {item.key: item.reason for batch in batches for item in batch.unreadable}
    assert set(left_out) == {"gone", "text"}
    assert "There is no file" in left_out["gone"] and "is not a picture" in left_out["text"]


def test_a_batch_of_unreadable_pictures_calls_no_model(colours: Encoder):
    (batch,) = colours.stream_pictures(items_of({"x": b"", "y": b"no"}), batch_size=4)
    assert (batch.keys, len(batch.embeddings), len(batch.unreadable)) == ((), 0, 2)
    assert colours.model.calls == []


def test_only_a_few_pictures_are_taken_ahead(colours: Encoder, make_picture):
    content = make_picture("x.png").read_bytes()
    taken = itertools.count()
    endless = ((f"{next(taken)}", lambda: content) for _ in itertools.count())
    stream = colours.stream_pictures(endless, batch_size=4)
    next(stream), next(stream)
    stream.close()
    assert next(taken) <= 4 * 4


def test_an_error_of_the_source_reaches_the_caller(colours: Encoder, make_picture):
    content = make_picture("x.png").read_bytes()

    def breaks_off():
        yield "a", lambda: content
        raise RuntimeError("the table breaks off")

    with pytest.raises(RuntimeError, match="breaks off"):
        list(colours.stream_pictures(breaks_off(), batch_size=1))


def test_a_red_picture_is_what_red_means(colours: Encoder):
    words = list(COLOURS)
    pictures = colours.encode_pictures([Image.new("RGB", (9, 7), COLOURS[word]) for word in words])
    scores = colours.encode_texts(words) @ pictures.T
    assert (scores.argmax(axis=1) == np.arange(len(words))).all()
    np.testing.assert_allclose(np.diag(scores), 1, atol=1e-6)


def test_several_threads_may_share_an_encoder(real_encoder: Encoder):
    texts = [f"{'abcdefgh'[n]} cat" for n in range(8)]
    expected = [real_encoder.encode_texts([text]) for text in texts]
    results: dict[int, np.ndarray] = {}

    def work(n: int) -> None:
        for _ in range(3):
            results[n] = real_encoder.encode_texts([texts[n]])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, rows in enumerate(expected):
        np.testing.assert_allclose(results[n], rows, atol=1e-6)


@pytest.mark.gpu
def test_on_a_gpu_rows_still_have_length_1_and_the_same_meaning(clip_folder: Path):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    encoder = Encoder("gpu", load_encoder(str(clip_folder)))
    on_cpu = Encoder("cpu", load_encoder(str(clip_folder)).to("cpu", dtype=torch.float32))
    rows = encoder.encode_texts(["a cat"])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert (rows @ on_cpu.encode_texts(["a cat"]).T).item() > 0.99
