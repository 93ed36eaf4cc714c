import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tests.scenes import scene
from tools.core.pairs.near_duplicates import (
    BLOCK,
    LOOK_ALIKE_BITS,
    SERIES_BITS,
    Look,
    group_near_duplicates,
    group_titles,
    look_of,
    normalise_title,
)
from tools.core.pictures import open_picture

YOUTUBE = Path(__file__).parents[5] / "shared" / "data" / "youtube"


def groups_of(looks: list[Look], titles: list[str] | None = None) -> list[int]:
    return group_near_duplicates(looks, titles or [f"title {chr(0x4E00 + row)}" for row in range(len(looks))]).tolist()


def differ(one: Look, other: Look) -> int:
    return (one.bits ^ other.bits).bit_count()


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return open_picture(stream.getvalue(), side=64)


CHANGES = {
    "saved again at a low quality": lambda picture: as_jpeg(picture, 30),
    "shrunk to a quarter": lambda picture: picture.resize((120, 68)),
    "made brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "of less contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.8),
    "without colour": lambda picture: picture.convert("L").convert("RGB"),
    "cut by 1 % a side": lambda picture: picture.crop((5, 3, 475, 267)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_picture_that_was_changed_a_little_looks_the_same(change):
    for seed in range(20):
        assert differ(look_of(scene(seed)), look_of(change(scene(seed)))) <= LOOK_ALIKE_BITS


def test_pictures_that_have_nothing_in_common_look_different():
    looks = [look_of(scene(seed)) for seed in range(60)]
    assert groups_of(looks) == list(range(60))


def test_a_look_does_not_depend_on_how_the_picture_was_decoded():
    for seed in range(10):
        stream = io.BytesIO()
        scene(seed).save(stream, "JPEG", quality=90)
        whole, small = open_picture(stream.getvalue()), open_picture(stream.getvalue(), side=64)
        assert differ(look_of(whole), look_of(small)) <= 4


def test_plain_pictures_are_alike_only_when_their_colour_is():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 0), (255, 255, 255), (250, 250, 250), (255, 0, 0)]
    looks = [look_of(Image.new("RGB", (32, 24), colour)) for colour in colours]
    assert groups_of(looks) == [0, 1, 2, 3, 4, 0]


def test_a_plain_picture_that_was_saved_as_jpeg_is_still_plain():
    plain = Image.new("RGB", (480, 270), (40, 120, 200))
    assert look_of(as_jpeg(plain, 40)).plain is not None


def test_a_plain_picture_is_not_like_one_that_shows_something():
    assert groups_of([look_of(Image.new("RGB", (64, 64), "black")), Look(0, None)]) == [0, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Wi-Fi explained!", "WiFi Explained"),
        ("🔥 Docker in 100 Seconds 🔥", "docker in 100 seconds"),
        ("Ｄｏｃｋｅｒ", "docker"),  # full width
        ("ﬁne tuning", "Fine-tuning"),  # a ligature
        ("Straße", "STRASSE"),
        ("Episode #1", "Episode 1"),
        ("日本語　タイトル！", "日本語タイトル"),
        ("❤️ Python", "Python ❤"),
        ("cafe\u0301", "café"),
        ("Part ①", "Part 1"),
    ],
)
def test_titles_that_differ_in_case_spaces_signs_and_emoji_are_the_same(one: str, other: str):
    assert normalise_title(one) == normalise_title(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C in 100 seconds", "C++ in 100 seconds"),
        ("C# in 100 seconds", "C in 100 seconds"),
        ("Part 1", "Part 2"),
        ("Best of 2023", "Best of 2024"),
        ("कि", "की"),  # only the vowel sign differs
        ("🔥🔥", "😀"),  # no letters at all
        ("???", "!!!"),
        ("مرحبا", "שלום"),
    ],
)
def test_titles_of_other_words_numbers_or_vowels_are_different(one: str, other: str):
    assert normalise_title(one) != normalise_title(other)


def test_normalising_twice_changes_nothing():
    for title in ("C++ & C#!", "Ünï-cödé ＦＵＬＬ", "❤️❤️", "ﬃ ①", "Ǆ", "a\u0345", "+", "#", "1+1=2"):
        once = normalise_title(title)
        assert normalise_title(once) == once


def test_equal_titles_bring_unlike_pictures_together():
    looks = [look_of(scene(seed)) for seed in range(3)]
    assert groups_of(looks, ["My setup", "Other", "my SETUP!"]) == [0, 1, 0]


def test_belonging_is_passed_on():
    near = Look(0b1111, None)
    far = Look(0b1111 | 0xFF << 8, None)
    assert groups_of([Look(0, None), far, near]) == [0, 0, 0]  # the first and the last are 4 apart, the others 8
    assert groups_of([Look(0, None), far]) == [0, 1]  # 12 apart without the link


def test_a_series_belongs_together_when_its_pictures_are_alike():
    alike, unlike = Look(2**SERIES_BITS - 1, None), Look(2 ** (SERIES_BITS + 1) - 1, None)
    assert groups_of([Look(0, None), alike], ["Course, part 1", "Course, part 2"]) == [0, 0]
    assert groups_of([Look(0, None), alike], ["Course, part 1", "Lecture, part 2"]) == [0, 1]
    assert groups_of([Look(0, None), unlike], ["Course, part 1", "Course, part 2"]) == [0, 1]


def test_a_vlog_that_only_counts_its_days_is_not_one_group():
    looks = [look_of(scene(seed)) for seed in range(60)]
    assert len(set(groups_of(looks, [f"Day {day}" for day in range(60)]))) > 55


def test_groups_are_those_of_comparing_every_pair():
    dice = np.random.default_rng(5)
    centres = dice.integers(0, 2**63, 40, dtype=np.uint64)
    flips = np.uint64(1) << dice.integers(0, 63, (300, 6), dtype=np.uint64)
    bits = [int(np.bitwise_xor.reduce(flip) ^ dice.choice(centres)) for flip in flips]
    expected = list(range(300))
    for one in range(300):
        for other in range(300):
            if (bits[one] ^ bits[other]).bit_count() <= LOOK_ALIKE_BITS:
                joined = {expected[one], expected[other]}
                expected = [min(joined) if group in joined else group for group in expected]
    assert groups_of([Look(bit, None) for bit in bits]) == expected


def test_pairs_are_found_across_blocks_of_comparison():
    dice = np.random.default_rng(6)
    bits = [int(bit) for bit in dice.integers(0, 2**63, 2 * BLOCK + 10, dtype=np.uint64)]
    bits[-1] = bits[3] ^ 0b1011
    assert groups_of([Look(bit, None) for bit in bits])[-1] == 3


def test_titles_alone_can_be_grouped():
    assert group_titles(["A b", "c", "a-B", "C!", "d"]).tolist() == [0, 1, 0, 1, 4]
    assert group_titles([]).tolist() == []


@pytest.mark.skipif(not YOUTUBE.exists(), reason="the thumbnails of the development data are not here")
def test_the_thumbnails_of_one_template_are_found_and_nothing_else():
    rows = [json.loads(line) for line in (YOUTUBE / "videos.jsonl").read_text().splitlines()]
    looks = [look_of(open_picture(YOUTUBE / row["thumbnail"], side=64)) for row in rows]
    groups = group_near_duplicates(looks, [row["title"] for row in rows])
    sizes = np.bincount(groups)
    assert sorted(sizes[sizes > 1].tolist()) == [2, 2, 3, 6, 8]
    together = {rows[row]["channel"] for row in range(len(rows)) if sizes[groups[row]] > 1}
    assert together == {"Fireship"}  # whose early lessons share a template
