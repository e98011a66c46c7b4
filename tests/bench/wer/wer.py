#!/usr/bin/env python3
"""Word error rate and time of a folder of speech with its text, for the plugin
and, where they are installed, for whisper.cpp, faster-whisper and OpenVINO.

    wer.py --model ggml-base-q8_0.bin LibriSpeech/test-clean
    wer.py --model MODEL --whisper-cpp MODEL --faster-whisper FOLDER --rounds 3 \\
      --language de FLEURS

Layouts: LibriSpeech; Common Voice; FLEURS; or texts.tsv with lines of file,
language and text. Words are made equal by Whisper's normaliser, from the Python
package whisper_normalizer or openai-whisper; where there is neither, it says so.

All take the same WAV files of 16 kHz, mono, with the language that the folder
tells (--language auto: found out), greedy unless --beam, with the fallback to
other temperatures that is each one's own. Each is a process that loads its model
once. In a round all run one after the other; times are medians of the rounds,
less those of a process that only starts and loads the model (start), and ratios
are of the times of the same round, since a machine has slow minutes. Seconds of
the processor depend on neighbours least, with --threads 1: waiting threads of
some programs spin.

Python 3.9 or later, Debian's or that of a venv, and gst-launch-1.0.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import importlib.util
import json
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import wave

import corpora
import engines
import score


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\nLayouts")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--model", required=True, help="a whole Whisper model")
    parser.add_argument(
        "--ours", action="append", metavar="OPTIONS",
        help="of npuenc-transcribe, such as '--precision f32'; may be repeated, "
        "'' is none")
    parser.add_argument("--program", help="npuenc-transcribe")
    parser.add_argument("--whisper-cpp", metavar="GGML",
                        help="by whisper-cli or pywhispercpp")
    parser.add_argument("--faster-whisper", metavar="FOLDER",
                        help="of a CTranslate2 model")
    parser.add_argument("--batched", action="store_true",
                        help="faster-whisper also with 8 windows at once")
    parser.add_argument("--openvino", metavar="FOLDER",
                        help="of a Whisper model of OpenVINO GenAI")
    parser.add_argument("--beam", type=int, default=1, help="of the others")
    parser.add_argument("--layout", default="auto",
                        choices=["auto", *corpora.LAYOUTS])
    parser.add_argument("--split", default="test",
                        help="of FLEURS and Common Voice")
    parser.add_argument("--language", action="append", metavar="CODE",
                        help="only clips of it; may be repeated. auto: all, and "
                        "nobody is told")
    parser.add_argument("--limit", type=int, help="take so many clips at most")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", metavar="FILE",
                        help="write all texts and numbers there")
    return parser.parse_args()


def choose(options):
    """The clips to take."""
    layout, clips = corpora.read(options.folder, options.layout, options.split)
    if not clips:
        sys.exit(f"wer.py: in {options.folder} is no corpus that is known "
                 f"(--layout {options.layout}, --split {options.split}).")
    wanted = options.language or []
    if "auto" in wanted:
        clips = [clip._replace(language="auto") for clip in clips]
    elif wanted:
        clips = [clip for clip in clips if clip.language in wanted]
    clips = clips[:options.limit]
    there = [clip for clip in clips if clip.path.is_file()]
    if not there:
        sys.exit(f"wer.py: none of {len(clips)} clips is there"
                 + (f", such as {clips[0].path}." if clips else "."))
    if len(there) < len(clips):
        lost = next(clip for clip in clips if not clip.path.is_file())
        print(f"{len(clips) - len(there)} clips are missing, such as {lost.path}")
    return layout, there


def find_engines(options):
    found = [engines.Ours(options.model, options.threads, more.split(),
                          options.program)
             for more in options.ours or [""]]
    if options.whisper_cpp:
        if shutil.which("whisper-cli"):
            found.append(engines.WhisperCli(
                options.whisper_cpp, options.threads, options.beam))
        else:
            found += find_library("pywhispercpp", "whisper.cpp (pywhispercpp)",
                                  options.whisper_cpp, options)
    if options.faster_whisper:
        found += find_library("faster_whisper", "faster-whisper (int8)",
                              options.faster_whisper, options)
        if options.batched:
            found += find_library("faster_whisper", "faster-whisper (8 at once)",
                                  options.faster_whisper, options)
    if options.openvino:
        found += find_library("openvino_genai", "OpenVINO (openvino_genai)",
                              options.openvino, options)
    return found


def find_library(module, name, model, options):
    if importlib.util.find_spec(module):
        return [engines.Library(name, model, options.threads, options.beam)]
    print(f"{name} is not installed for {sys.executable}: left out")
    return []


def is_plain_wav(path):
    try:
        with wave.open(str(path)) as sound:
            return sound.getparams()[:3] == (1, 2, 16000)
    except (wave.Error, EOFError):
        return False


def convert(clips, folder):
    """[(path, language), ...] of 16 kHz, and their seconds."""
    jobs, seconds = [], 0.0
    for number, clip in enumerate(clips):
        path = folder / f"{number:06}.wav"
        if is_plain_wav(clip.path):
            path.symlink_to(clip.path.resolve())
        else:
            subprocess.run(
                ["gst-launch-1.0", "-q", "filesrc", f"location={clip.path}", "!",
                 "decodebin", "!", "audioconvert", "!", "audioresample", "!",
                 "audio/x-raw,format=S16LE,rate=16000,channels=1", "!",
                 "wavenc", "!", "filesink", f"location={path}"], check=True)
        with wave.open(str(path)) as sound:
            seconds += sound.getnframes() / 16000
        jobs.append((path, clip.language))
    return jobs, seconds


def write_silence(folder):
    path = folder / "silence.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(bytes(3200))
    return path


def measure(found, jobs, silence, rounds):
    """{name: [(Run, start, start's processor seconds), ...]} by round."""
    runs = {engine.name: [] for engine in found}
    languages = sorted({language for _, language in jobs})
    for number in range(1, rounds + 1):
        for engine in found:
            print(f"round {number}: {engine.name}", file=sys.stderr, flush=True)
            start = engine.start(silence, languages)
            runs[engine.name].append((engine(jobs), start.seconds,
                                      start.processor))
    return runs


def errors_of(clips, texts, normalize):
    return [score.count(normalize(clip.text, clip.language),
                        normalize(text, clip.language))
            for clip, text in zip(clips, texts)]


def table(clips, runs, normalize, seconds):
    """Prints a line for each engine; the ratio is to the first."""
    print(f"{'':28} {'WER %':>6} {'sub':>5} {'del':>5} {'ins':>5} "
          f"{'seconds':>8} {'start':>6} {'x real':>7} {'ratio':>6} "
          f"{'processor s':>12} {'ratio':>6} {'MiB':>5}")
    first = None
    for name, rounds in runs.items():
        errors = score.add(errors_of(clips, rounds[-1][0].texts, normalize))
        wall = [run.seconds - start for run, start, _ in rounds]
        processor = [run.processor - start for run, _, start in rounds]
        first = first or (wall, processor)
        ratios = [statistics.median(
            mine / its if its > 0 else float("nan")
            for mine, its in zip(have, base))
            for have, base in zip((wall, processor), first)]
        middle = max(statistics.median(wall), 1e-9)
        print(f"{name:28} {100 * errors.rate:6.2f} {errors.substituted:5} "
              f"{errors.deleted:5} {errors.inserted:5} {middle:8.2f} "
              f"{statistics.median(s for _, s, _ in rounds):6.2f} "
              f"{seconds / middle:7.1f} {ratios[0]:6.2f} "
              f"{statistics.median(processor):12.2f} {ratios[1]:6.2f} "
              f"{max(run.memory for run, *_ in rounds):5}")


def by_language(clips, runs, normalize):
    languages = sorted({clip.language for clip in clips})
    if len(languages) < 2:
        return
    print(f"\n{'WER %':28} " + " ".join(f"{code:>6}" for code in languages))
    for name, rounds in runs.items():
        errors = errors_of(clips, rounds[-1][0].texts, normalize)
        rates = [score.add([e for e, clip in zip(errors, clips)
                            if clip.language == code]).rate
                 for code in languages]
        print(f"{name:28} " + " ".join(f"{100 * r:6.2f}" for r in rates))


def instruction_sets():
    """What of the CPU matters here, as Linux names it."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    flags = set(next((line for line in text.splitlines()
                      if line.startswith(("flags", "Features"))), "").split())
    known = [flag for flag in ("sse4_1", "avx2", "fma", "avx_vnni", "avx512f",
                               "avx512_vnni", "avx512_bf16", "asimd", "asimddp")
             if flag in flags]
    return ", ".join([platform.machine(), *known])


def write_json(path, clips, runs, normalize):
    out = []
    for name, rounds in runs.items():
        errors = errors_of(clips, rounds[-1][0].texts, normalize)
        out.append({
            "engine": name,
            "rounds": [{"seconds": run.seconds, "processor": run.processor,
                        "start": start, "start-processor": processor,
                        "memory": run.memory}
                       for run, start, processor in rounds],
            "clips": [{"file": str(clip.path), "language": clip.language,
                       "reference": clip.text, "text": text, **e._asdict()}
                      for clip, text, e in zip(clips, rounds[-1][0].texts,
                                               errors)]})
    pathlib.Path(path).write_text(json.dumps(out, ensure_ascii=False, indent=1))


def main():
    options = parse_options()
    layout, clips = choose(options)
    found = find_engines(options)
    normalize = score.Normalizer()
    with tempfile.TemporaryDirectory(prefix="wer-") as name:
        folder = pathlib.Path(name)
        jobs, seconds = convert(clips, folder)
        runs = measure(found, jobs, write_silence(folder), options.rounds)
    words = sum(len(normalize(clip.text, clip.language)) for clip in clips)
    print(f"{options.folder}: {layout}, {len(clips)} clips, {seconds:.1f} s, "
          f"{words} words")
    print(f"normaliser: {normalize.name}")
    print(f"{options.threads} threads, {options.rounds} rounds, "
          f"{instruction_sets()}\n")
    table(clips, runs, normalize, seconds)
    by_language(clips, runs, normalize)
    if options.json:
        write_json(options.json, clips, runs, normalize)


main()
