"""Folders of speech with its text, by their layouts.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import csv
import pathlib
import typing


class Clip(typing.NamedTuple):
    path: pathlib.Path
    language: str  # Whisper's code, or "auto"
    text: str


def _lines(path):
    return path.read_text(encoding="utf-8-sig").splitlines()


def _tab_separated(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _find(folders, name):
    """The first that is there, or where it was looked for first."""
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    return folders[0] / name


def librispeech(folder):
    """SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt, a line "ID TEXT", and ID.flac
    beside it (LibriSpeech, and Multilingual LibriSpeech's cousins)."""
    for path in sorted(folder.rglob("*.trans.txt")):
        for line in _lines(path):
            name, _, text = line.partition(" ")
            if name:
                audio = [path.parent / f"{name}.{kind}"
                         for kind in ("flac", "wav", "opus", "ogg")]
                yield Clip(next((a for a in audio if a.is_file()), audio[0]),
                           "en", text)


def common_voice(folder, split):
    """LANGUAGE/SPLIT.tsv with a header (path, sentence, locale ...), and
    LANGUAGE/clips."""
    for path in sorted(folder.rglob(f"{split}.tsv")):
        rows = _tab_separated(path)
        header = next(rows, [])
        if "path" not in header or "sentence" not in header:
            continue
        for row in rows:
            cells = dict(zip(header, row))
            if not cells.get("path"):
                continue
            name = cells["path"]
            if not pathlib.Path(name).suffix:
                name += ".mp3"
            language = cells.get("locale") or path.parent.name
            yield Clip(_find([path.parent / "clips", path.parent], name),
                       language.split("-")[0], cells["sentence"])


def fleurs(folder, split):
    """LANGUAGE/SPLIT.tsv without a header: id, file, text as written, ... and the
    audio in LANGUAGE/audio/SPLIT or LANGUAGE/SPLIT."""
    for path in sorted(folder.rglob(f"{split}.tsv")):
        rows = list(_tab_separated(path))
        if not rows or "path" in rows[0]:
            continue
        top = path.parent
        for row in rows:
            if len(row) >= 3:
                # cmn_hans_cn is Whisper's zh.
                language = top.name.split("_")[0]
                language = {"cmn": "zh", "fil": "tl", "nb": "no"}.get(
                    language, language)
                yield Clip(_find([top / "audio" / split, top / split, top],
                                 row[1]), language, row[2])


def plain(folder):
    """texts.tsv: file, language, text; or file, text."""
    for path in sorted(folder.rglob("texts.tsv")):
        for row in _tab_separated(path):
            if len(row) == 3:
                yield Clip(path.parent / row[0], row[1], row[2])
            elif len(row) == 2:
                yield Clip(path.parent / row[0], "auto", row[1])


LAYOUTS = {
    "librispeech": lambda folder, split: librispeech(folder),
    "commonvoice": common_voice,
    "fleurs": fleurs,
    "texts": lambda folder, split: plain(folder),
}


def read(folder, layout, split):
    """(layout, [Clip, ...]); the first layout that has clips, where it is auto. A
    clip may be missing: that is for the caller to say."""
    folder = pathlib.Path(folder)
    for name, reader in LAYOUTS.items():
        if layout in (name, "auto"):
            clips = list(reader(folder, split))
            if clips:
                return name, clips
    return layout, []
