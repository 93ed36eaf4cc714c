"""Numbers as people write them out."""

from __future__ import annotations

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen \
eighteen nineteen".split()
)
_NUMBER_WORDS: dict[str, int] = {word: value for value, word in enumerate(_ONES)}
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBER_WORDS |= {word: 10 * place for place, word in enumerate(_TENS, 2)}
_NUMBER_WORDS |= {
    f"{tens}-{ones}": 10 * place + one for place, tens in enumerate(_TENS, 2) for one, ones in enumerate(_ONES[1:10], 1)
}
NUMBER_PHRASES: dict[tuple[str, ...], int] = {(word,): value for word, value in _NUMBER_WORDS.items()}
NUMBER_PHRASES |= {
    (tens, ones): 10 * place + one for place, tens in enumerate(_TENS, 2) for one, ones in enumerate(_ONES[1:10], 1)
}
NUMBER_PHRASES |= {
    (*count, "dozen"): 12 * times
    for count, times in ((("a",), 1), (("one",), 1), ((), 1), (("two",), 2), (("three",), 3))
}
NUMBER_PHRASES |= {
    ("half", "a", "dozen"): 6,
    ("a", "couple"): 2,
    ("a", "couple", "of"): 2,
    ("a", "pair", "of"): 2,
    ("a", "dozen", "of"): 12,
    ("a", "hundred"): 100,
    ("hundred",): 100,
    ("single",): 1,
    ("a", "single"): 1,
    ("a", "thousand"): 1000,
    ("thousand",): 1000,
}
NUMBER_PHRASES |= {
    (ones, unit): times * size
    for times, ones in enumerate(_ONES[1:10], 1)
    for unit, size in (("hundred", 100), ("thousand", 1000))
}
