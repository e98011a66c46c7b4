"""Programs that transcribe: ours, and others where they are installed. Each runs in a
process of its own, which loads its model once and takes all files, so that time and
memory are its own.

    engines.py NAME MODEL THREADS BEAM <JOBS >TEXTS

is what that process runs for a library of Python: JOBS and TEXTS are JSON, lists of
[path, language] and of strings.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Run(typing.NamedTuple):
    texts: list
    seconds: float    # from start to end of the process
    processor: float  # seconds of all its threads
    memory: int       # MiB, the most


def run(argv, stdin="", env=None):
    """(what it wrote, seconds, of the processor, MiB)"""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as given:
        given.write(stdin.encode())
        given.seek(0)
        start = time.monotonic()
        process = subprocess.Popen([str(arg) for arg in argv], stdin=given,
                                   stdout=out, env={**os.environ, **(env or {})})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        out.seek(0)
        text = out.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{argv[0]} exited with {process.returncode}")
    return (text, seconds, usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss // 1024)


class Ours:
    """npuenc-transcribe, a process for each language."""

    def __init__(self, model, threads, options=(), program=None):
        self.name = " ".join(["npuenc-transcribe", *options])
        self.model, self.threads, self.options = model, threads, options
        built = ROOT / "build/pipelines/transcribe/npuenc-transcribe"
        self.program = program or (str(built) if built.exists() else
                                   shutil.which("npuenc-transcribe"))
        if not self.program:
            raise FileNotFoundError("there is no npuenc-transcribe; build it, "
                                    "or pass --program")
        plugin = pathlib.Path(self.program).resolve().parents[2] / "gst"
        self.env = {}
        if plugin.is_dir() and not (os.environ.get("GST_PLUGIN_PATH_1_0") or
                                    os.environ.get("GST_PLUGIN_PATH")):
            self.env["GST_PLUGIN_PATH_1_0"] = str(plugin)

    def start(self, silence, languages):
        return self([(silence, language) for language in languages])

    def __call__(self, jobs):
        texts, total = [""] * len(jobs), [0.0, 0.0, 0]
        languages = {}
        for i, (_, language) in enumerate(jobs):
            languages.setdefault(language, []).append(i)
        for language, numbers in languages.items():
            with tempfile.TemporaryDirectory(prefix="wer-") as out:
                names = []
                for i in numbers:  # a name of its own for each transcript
                    path = pathlib.Path(jobs[i][0])
                    names.append(pathlib.Path(out, f"{i}{path.suffix}"))
                    names[-1].symlink_to(path.resolve())
                argv = [self.program, "--quiet", "--format", "json", "--out",
                        out, "--model", self.model, "--threads", self.threads,
                        *self.options]
                if language != "auto":
                    argv += ["--language", language]
                _, seconds, processor, memory = run([*argv, "--", *names],
                                                    env=self.env)
                total = [total[0] + seconds, total[1] + processor,
                         max(total[2], memory)]
                for i in numbers:
                    texts[i] = json.loads(pathlib.Path(
                        out, f"{i}.json").read_text())["text"]
        return Run(texts, *total)


class WhisperCli:
    """whisper.cpp's program, a process for each language; it takes wav of 16 kHz."""

    def __init__(self, model, threads, beam):
        self.name = "whisper.cpp (whisper-cli)"
        self.model, self.threads, self.beam = model, threads, beam

    def start(self, silence, languages):
        return self([(silence, language) for language in languages])

    def __call__(self, jobs):
        texts, total = [""] * len(jobs), [0.0, 0.0, 0]
        for language in sorted({language for _, language in jobs}):
            numbers = [i for i, job in enumerate(jobs) if job[1] == language]
            with tempfile.TemporaryDirectory(prefix="wer-") as out:
                names = []
                for i in numbers:
                    names.append(pathlib.Path(out, f"{i}.wav"))
                    names[-1].symlink_to(pathlib.Path(jobs[i][0]).resolve())
                _, seconds, processor, memory = run(
                    ["whisper-cli", "-m", self.model, "-t", self.threads, "-bs",
                     self.beam, "-bo", 5, "-l", language, "-np", "-otxt",
                     *names])
                total = [total[0] + seconds, total[1] + processor,
                         max(total[2], memory)]
                for i in numbers:
                    texts[i] = pathlib.Path(out, f"{i}.wav.txt").read_text(
                        errors="replace")
        return Run(texts, *total)


class Library:
    """One of the libraries below, run by this interpreter."""

    def __init__(self, name, model, threads, beam):
        self.name, self.arguments = name, (model, threads, beam)

    def start(self, silence, languages):
        return self([])

    def __call__(self, jobs):
        # What it prints besides must not be in the way.
        with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
            _, *measured = run(
                [sys.executable, __file__, self.name, *self.arguments, out.name],
                stdin=json.dumps([[str(path), lang] for path, lang in jobs]))
            return Run(json.load(out), *measured)


def _pywhispercpp(model, threads, beam):
    from pywhispercpp.model import Model
    more = {}
    if beam > 1:
        more["beam_search"] = {"beam_size": beam, "patience": -1.0}
    whisper = Model(model, params_sampling_strategy=int(beam > 1),
                    n_threads=threads, print_progress=False,
                    print_realtime=False, redirect_whispercpp_logs_to=None)

    def transcribe(path, language):
        return "".join(segment.text for segment in whisper.transcribe(
            path, language="" if language == "auto" else language, **more))
    return transcribe


def _faster_whisper(model, threads, beam):
    from faster_whisper import WhisperModel
    whisper = WhisperModel(model, device="cpu", compute_type="int8",
                           cpu_threads=threads)

    def transcribe(path, language):
        segments, _ = whisper.transcribe(
            path, beam_size=beam,
            language=None if language == "auto" else language)
        return "".join(segment.text for segment in segments)
    return transcribe


def _faster_whisper_batched(model, threads, beam):
    from faster_whisper import BatchedInferencePipeline, WhisperModel
    whisper = BatchedInferencePipeline(WhisperModel(
        model, device="cpu", compute_type="int8", cpu_threads=threads))

    def transcribe(path, language):
        segments, _ = whisper.transcribe(
            path, beam_size=beam, batch_size=8, without_timestamps=False,
            language=None if language == "auto" else language)
        return "".join(segment.text for segment in segments)
    return transcribe


def _openvino(model, threads, beam):
    import wave

    import numpy
    import openvino_genai
    whisper = openvino_genai.WhisperPipeline(
        model, "CPU", INFERENCE_NUM_THREADS=threads)

    def transcribe(path, language):
        with wave.open(path) as sound:
            samples = numpy.frombuffer(sound.readframes(sound.getnframes()),
                                       "<i2").astype("float32") / 32768
        config = whisper.get_generation_config()
        if language != "auto":
            config.language = f"<|{language}|>"
        config.num_beams = beam
        config.return_timestamps = True
        return str(whisper.generate(samples, config))
    return transcribe


LIBRARIES = {"whisper.cpp (pywhispercpp)": _pywhispercpp,
             "faster-whisper (int8)": _faster_whisper,
             "faster-whisper (8 at once)": _faster_whisper_batched,
             "OpenVINO (openvino_genai)": _openvino}


def main(name, model, threads, beam, out):
    jobs = json.load(sys.stdin)
    transcribe = LIBRARIES[name](model, int(threads), int(beam))
    texts = [transcribe(path, language) for path, language in jobs]
    pathlib.Path(out).write_text(json.dumps(texts))


if __name__ == "__main__":
    main(*sys.argv[1:])
