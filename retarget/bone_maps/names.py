"""How a bone's name reads: which side it says, its words, and its name on the other side.

Any namespace (``rig:``, ``Armature|``), separator, case and form of the side (``.L``, ``_l``, ``Left``,
``lThigh``, ``左``) reads the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

LEFT, RIGHT, MIDDLE = "left", "right", ""
OTHER = {LEFT: RIGHT, RIGHT: LEFT, MIDDLE: MIDDLE}

# Words for the sides: English, German, French, Spanish, Italian, Portuguese, pinyin, and the Han characters.
_PAIRS = (
    ("l", "r"), ("left", "right"), ("lf", "rt"), ("lft", "rgt"), ("lt", "rt"), ("lft", "rht"),
    ("links", "rechts"), ("linke", "rechte"), ("linker", "rechter"), ("linkes", "rechtes"),
    ("gauche", "droite"), ("gauche", "droit"), ("izquierda", "derecha"), ("izquierdo", "derecho"), ("izq", "der"),
    ("sinistra", "destra"), ("sinistro", "destro"), ("sx", "dx"), ("esquerda", "direita"),
    ("esquerdo", "direito"), ("esq", "dir"), ("zuo", "you"), ("hidari", "migi"), ("左", "右"),
)  # fmt: skip
_SIDES = {word: side for pair in _PAIRS for word, side in zip(pair, (LEFT, RIGHT), strict=True)}
_FLIPS = {a: b for left, right in reversed(_PAIRS) for a, b in ((left, right), (right, left))}
# Words that a name may begin or end with without a separator.
_GLUED = ("left", "right", "左", "右")

# Runs of capitals, words, numbers, and runs of any other script.
_UPPER, _LOWER = "A-ZÀ-ÖØ-Þ", "a-zß-öø-ÿ"
_TOKEN = re.compile(rf"[{_UPPER}]+(?![{_LOWER}])|[{_UPPER}]?[{_LOWER}]+|[0-9]+|[^\W\d_{_UPPER}{_LOWER}]+")
_NAMESPACE = re.compile(r"^.*[:|](?=.)")
_COPY = re.compile(r"\.\d{3,}$")


@dataclass(frozen=True)
class Reading:
    """A name without its side.

    ``side``: "left", "right" or "". ``words``: its words and numbers in lower case, without the side and
    without zeros before numbers. ``copied``: whether it ends like a copy that Blender numbered, ``.001``.
    """

    side: str
    words: tuple[str, ...]
    copied: bool

    @property
    def plain(self) -> str:
        """The words in one."""
        return "".join(self.words)


@lru_cache(maxsize=8192)
def read(name: str) -> Reading:
    """What ``name`` says."""
    base = _NAMESPACE.sub("", unicodedata.normalize("NFKC", name))
    tokens = [word for word, _, _ in _tokens(base)]
    at = _side_at(tokens)
    side = MIDDLE if at is None else _SIDES[tokens[at]]
    words = [word for place, word in enumerate(tokens) if place != at]
    if not side:
        # "J_Bip_C_Hips", "spine_01.x", "Spine1_M": in the middle.
        if len(words) > 1 and words[-1] in ("x", "m", "c"):
            words.pop()
        elif len(words) > 1 and "c" in words:
            words.remove("c")
    return Reading(side, tuple(str(int(w)) if w.isdecimal() else w for w in words), bool(_COPY.search(base)))


def flipped(name: str) -> Iterator[str]:
    """What ``name`` may be called on the other side, best first; nothing where it says no side."""
    start = match.end() if (match := _NAMESPACE.match(name)) else 0
    spans = list(_tokens(name[start:]))
    at = _side_at([word for word, _, _ in spans])
    if at is not None:
        word, left, right = spans[at]
        yield name[: start + left] + _as(_FLIPS[word], name[start + left : start + right]) + name[start + right :]
        return
    base = name[start:]
    for place in (0, len(base) - 1):
        letter = base[place : place + 1]
        if letter.lower() in ("l", "r"):
            yield name[:start] + base[:place] + _as(_FLIPS[letter.lower()], letter) + base[place + 1 :]


def _tokens(base: str) -> Iterator[tuple[str, int, int]]:
    """(word in lower case, start, end) of the tokens of a name, sides that are glued to a word split off."""
    for match in _TOKEN.finditer(base):
        token, start, end = _latin(match.group()), match.start(), match.end()
        for side in _GLUED:
            if token != side and token.startswith(side):
                yield side, start, start + len(side)
                yield token[len(side) :], start + len(side), end
                break
            if token != side and token.endswith(side) and token not in ("upright", "bright"):
                yield token[: -len(side)], start, end - len(side)
                yield side, end - len(side), end
                break
        else:
            yield token, start, end


def _side_at(tokens: list[str]) -> int | None:
    """Which token tells the side: a whole word before a letter, the last letter before the first."""
    if len(tokens) < 2:
        return None
    words = [at for at, token in enumerate(tokens) if len(token) > 1 or not token.isascii()]
    whole = next((at for at in words if tokens[at] in _SIDES), None)
    if whole is not None:
        return whole
    # "L5" is a vertebra, "Leg_L2" a leg.
    letters = [
        at
        for at, token in enumerate(tokens)
        if token in ("l", "r") and not (len(tokens) == 2 and at == 0 and tokens[1].isdecimal())
    ]
    return letters[-1] if letters and letters[-1] == len(tokens) - 1 else letters[0] if letters else None


def _latin(token: str) -> str:
    """Lower case, without the accents of Latin letters."""
    token = token.casefold()
    if token.isascii():
        return token
    plain = (unicodedata.normalize("NFD", letter) for letter in token)
    return "".join(letter[0] if letter[0].isascii() else unicodedata.normalize("NFC", letter) for letter in plain)


def _as(word: str, like: str) -> str:
    """``word`` in the case of ``like``."""
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word
