"""Word error rate, with Whisper's normalisers where they are installed.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import re
import typing
import unicodedata

# Written without blanks between words: every letter counts as one (the paper's
# appendix C).
WITHOUT_BLANKS = ("zh", "ja", "th", "lo", "my", "yue", "km")


class Errors(typing.NamedTuple):
    substituted: int
    deleted: int
    inserted: int
    words: int  # of the reference

    @property
    def rate(self):
        wrong = self.substituted + self.deleted + self.inserted
        return wrong / self.words if self.words else float(wrong > 0)


def add(errors):
    """Of several clips, as one text."""
    return Errors(*map(sum, zip((0, 0, 0, 0), *errors)))


def count(reference, hypothesis):
    """Errors of the list of words hypothesis: the least number of edits, and of
    those ways the one with the most substitutions."""
    # row[j] = (edits, deleted, inserted) from reference[:i] to hypothesis[:j]
    row = [(j, 0, j) for j in range(len(hypothesis) + 1)]
    for i, word in enumerate(reference, 1):
        left = (i, i, 0)
        new = [left]
        for j, other in enumerate(hypothesis, 1):
            if word == other:
                left = row[j - 1]
            else:
                edits, deleted, inserted = row[j - 1]
                up, before = row[j], left
                left = min((edits + 1, deleted, inserted),
                           (up[0] + 1, up[1] + 1, up[2]),
                           (before[0] + 1, before[1], before[2] + 1))
            new.append(left)
        row = new
    edits, deleted, inserted = row[-1]
    return Errors(edits - deleted - inserted, deleted, inserted, len(reference))


def _plain(text):
    """Lower case, and blanks for all that is no letter, mark or digit."""
    text = unicodedata.normalize("NFKC", text).lower()
    return "".join(c if unicodedata.category(c)[0] in "LMN" else " "
                   for c in text)


def _split_letters(text):
    return " ".join(re.findall(r"\S", text))


class Normalizer:
    """name tells which it is; an object takes (text, language) and gives words."""

    def __init__(self):
        try:
            from whisper.normalizers import (BasicTextNormalizer,
                                             EnglishTextNormalizer)
            self.name = "Whisper's (openai-whisper)"
        except ImportError:
            try:
                from whisper_normalizer.basic import BasicTextNormalizer
                from whisper_normalizer.english import EnglishTextNormalizer
                self.name = "Whisper's (whisper_normalizer)"
            except ImportError:
                self.name = (
                    "lower case without punctuation only: NOT Whisper's, for "
                    "want of the Python package whisper_normalizer or "
                    "openai-whisper; rates are higher than published ones")
                self._english = self._basic = _plain
                self._letters = lambda text: _split_letters(_plain(text))
                return
        self._english = EnglishTextNormalizer()
        self._basic = BasicTextNormalizer()
        self._letters = BasicTextNormalizer(split_letters=True)

    def __call__(self, text, language):
        if language == "en":
            return self._english(text).split()
        if language in WITHOUT_BLANKS:
            return self._letters(text).split()
        return self._basic(text).split()
