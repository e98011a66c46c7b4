"""Runs what the documentation shows: README.md, docs/**/*.md and the comments of
gst/**/*.c, page by page, top to bottom.

Fenced `sh` blocks, and in comments `|[ ... ]|` ones, that begin with
gst-launch-1.0, gst-inspect-1.0 or transcribe.sh and fenced `python` blocks run in
one folder a page, in which there are
  speech.wav, other.wav       3 s and 2 s, mono, 22.05 kHz
  speech.flac                 the first again
  talk.m4a, interview.mp3     copies of the first: a name does not matter
and what the blocks above have written. They must succeed. What differs from a
reader's machine is replaced: model=FILE by a model that is there, autoaudiosrc
by a live test source that ends. Pages with a test of their own are left out.

Of our own programs in `console` blocks, which are too long or want what is not
here, every option must be one that the program's --help names.

A `text` block, which is an output or what cannot run here, is in TEXTS with what is
checked of it, or why nothing is.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import functools
import os
import pathlib
import re
import shutil

import tap

SCRIPT = r"[./]*/pipelines/transcribe\.sh\b"
OWN_TEST = ("docs/subtitles.md",)
LIVE_SOURCE = "audiotestsrc is-live=true num-buffers=100"
FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.M | re.S)
COMMENT = re.compile(r"^ \* \|\[(?:<!--.*?-->)?()\n(.*?)^ \* \]\|", re.M | re.S)


def blocks(page):
    """(line, function to run it, code) of each block."""
    text = page.read_text()
    for match in (FENCE if page.suffix == ".md" else COMMENT).finditer(text):
        language, code = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        if not language:  # one command, wrapped as the comment is
            code = re.sub(r"(?: \\)?\n \* ?", " ", "\n" + code).strip()
        if language == "python":
            yield line, run_python, code
        elif language in ("sh", "") and re.match(
                r"\s*gst-(launch|inspect)-1\.0\s", code):
            yield line, run_sh, code
        elif language == "sh" and re.match(SCRIPT, code):
            yield line, run_script, code


# In a line of a `console` block: a program of ours and its arguments.
PROGRAM = re.compile(r"(?<!\w)((?:tests/bench|pipelines|kernels/aie2)/[\w/.-]+"
                     r"|tests/run\.sh|npuenc-(?:bench|transcribe)\b)((?:[^\n|;&]|\\\n)*)")


def console_lines(page):
    """(line, program, its options) of each of our programs."""
    text = page.read_text()
    for match in FENCE.finditer(text):
        if match.group(1) != "console":
            continue
        code = match.group(2).replace("\\\n", "  ")
        for each in PROGRAM.finditer(re.sub(r"[ \t]#.*", "", code)):
            options = re.findall(r"(?<=\s)--(?!help)[a-z][a-z0-9-]*",
                                 each.group(2))
            if options:
                yield (text.count("\n", 0, match.start()) + 1, each.group(1),
                       options)


@functools.lru_cache
def help_of(program):
    build = pathlib.Path(os.environ["GST_PLUGIN_PATH_1_0"]).parent
    built = {"npuenc-bench": build / "tests/bench/npuenc-bench",
             "npuenc-transcribe": build / "pipelines/transcribe/npuenc-transcribe"}
    path = built.get(program, tap.ROOT / program)
    if not path.exists():
        raise tap.Skip(f"there is no {path}")
    by = ["/usr/bin/python3"] if path.suffix == ".py" else []
    return tap.command(*by, path, "--help")


def run_console(program, options):
    text = help_of(program)
    for option in options:
        assert re.search(rf"{option}\b(?!-)", text), f"{program} {option}"


# --- blocks that are only to be read

# Stand for what differs from run to run.
NUMBER = re.compile(r"\d+(?:[.:]\d+)*")


def need_gi():
    try:
        tap.command("/usr/bin/python3", "-c", "import gi")
    except (AssertionError, FileNotFoundError):
        raise tap.Skip("there is no python3-gi")


def assert_lines(code, output):
    """Each line of code is one of the output's, but for numbers; "..." stands for
    anything."""
    have = {NUMBER.sub("0", line) for line in output.splitlines()}
    for line in NUMBER.sub("0", code).splitlines():
        like = re.compile(".*".join(map(re.escape, line.split("..."))))
        assert any(map(like.search, have)), f"no line '{line}' in:\n{output}"


def command_before(page, begin):
    """The gst-launch-1.0 block that stands before the one that begins so."""
    text = page.read_text()
    text = text[:text.index(f"```text\n{begin}")]
    code = [code for language, code in FENCE.findall(text)
            if language == "sh" and code.startswith("gst-launch-1.0")][-1]
    return re.sub(r"\bmodel=[^ \\\n]+", "model=synthetic:tiny", code)


def check_log(folder, page, code):
    """Of the pipeline above it."""
    shell = command_before(page, code.split("\n")[0])
    output = tap.command("bash", "-euo", "pipefail", "-c", shell, cwd=folder)
    stalls = re.compile(r" \(stall\)$", re.M)  # as fast as the machine is
    assert_lines(stalls.sub("", code), stalls.sub("", output))


def check_caps(folder, page, code):
    assert_lines(code, tap.command(
        "bash", "-euo", "pipefail", "-c",
        "gst-launch-1.0 -v filesrc location=speech.wav ! wavparse ! audioconvert "
        "! audioresample ! whispermel ! npuencoder model=synthetic:tiny ! "
        "fakesink", cwd=folder))


def check_segments(folder, page, code):
    """By the example in Python; example.py runs all of them."""
    need_gi()
    speech = tap.test_data("audio/jfk.wav")
    if not speech:
        raise tap.Skip("there is no speech")
    output = tap.command(
        "/usr/bin/python3", tap.ROOT / "docs/examples/transcribe.py", "--model",
        text_model(), speech)
    assert_lines(code, output)


def check_parses(folder, page, code):
    """A pipeline that would wait for ever."""
    need_gi()
    line = code.replace("\\\n", "").split(None, 1)[1].replace("-v", "").replace(
        "'", "")
    for element in re.findall(r"(?:^|! )([a-z0-9]+)", line):
        if not tap.has_element(element):
            raise tap.Skip(f"there is no {element}")
    tap.command("/usr/bin/python3", "-c", "import sys, gi\n"
                "gi.require_version('Gst', '1.0')\n"
                "from gi.repository import Gst\n"
                "Gst.init(None)\nGst.parse_launch(sys.argv[1])", line)


def check_program(folder, page, code):
    """One of the build's, and its -m."""
    build = pathlib.Path(os.environ["GST_PLUGIN_PATH_1_0"]).parent
    program = re.search(r"\bbuild/(\S+)", code)[1]
    assert (build / program).exists(), program
    tap.expect(tap.command(build / program, "-m", "perf", "-l"), "/")


# Page, how the block begins: what is checked, or why it is not.
TEXTS = {
    ("docs/applications.md", "language: en"): check_segments,
    ("docs/archive.md", ":\n"): "a file that archive.py writes",
    ("docs/live.md", "bin = Gst.parse_launch"): "Debian has no transcriberbin",
    ("docs/npu.md", "window  launches"): "figures; bench.py has the table",
    ("docs/npuencoder.md", "conv1: tiles"): check_log,
    ("docs/recipes.md", "import numpy, torch"): "Debian has no transformers",
    ("docs/recipes.md", "/GstPipeline:"): check_caps,
    ("docs/tiles.md", "out[64][64] ="): "a formula",
    ("docs/tiles.md", "[fill]   attention"): "library.py has these lines",
    ("docs/whispermel.md", "pip download"): "a download",
    ("docs/whispermel.md", "NPUENC_TEST_DATA="): check_program,
    ("docs/whispermel.md", "gst-launch-1.0 udpsrc"): check_parses,
}


def texts(page, name):
    """(line, what is checked, code) of each `text` block."""
    text = page.read_text()
    for match in FENCE.finditer(text):
        if match.group(1) != "text":
            continue
        line = text.count("\n", 0, match.start()) + 1
        yield line, [what for (of, begin), what in TEXTS.items() if of == name
                     and match.group(2).startswith(begin)], match.group(2)


def run_text(folder, page, found, code):
    assert len(found) == 1, "TEXTS says not what is checked of this block"
    found[0](folder, page, code)


# --- blocks that run

def text_model():
    """Text wants a whole model of many languages, with its vocabulary."""
    model = tap.test_data("models/ggml-base-q8_0.bin")
    if not model:
        raise tap.Skip("there is no whole model for text")
    return model


def run_sh(folder, code):
    model = (text_model() if re.search(r"whisperdecoder|nputranscriber ", code)
             else tap.model())
    for encoder in re.findall(r"\b(?:webvttenc|srtenc)\b", code):
        if not tap.has_element(encoder):
            raise tap.Skip(f"there is no {encoder}")
    code = re.sub(r"\bmodel=(?!synthetic:)[^ \\\n]+", f"model={model}",
                  code)
    code = code.replace("autoaudiosrc", LIVE_SOURCE)
    tap.command("bash", "-euo", "pipefail", "-c", code, cwd=folder)


def run_script(folder, code):
    code = re.sub(SCRIPT, f"'{tap.ROOT}/pipelines/transcribe.sh'", code)
    code = re.sub(r"--model \S+ ?", "", code)
    tap.command("bash", "-euo", "pipefail", "-c", code, cwd=folder,
                env={"NPUENC_MODEL": str(text_model())})


def run_python(folder, code):
    """By Debian's Python, which is the one that has Debian's numpy."""
    try:
        tap.command("/usr/bin/python3", "-c", "import numpy")
    except (AssertionError, FileNotFoundError):
        raise tap.Skip("there is no python3-numpy")
    tap.command("/usr/bin/python3", "-c", code, cwd=folder)


def prepare(folder):
    folder.mkdir()
    tap.write_wav(folder / "speech.wav", 3)
    tap.write_wav(folder / "other.wav", 2)
    tap.command("gst-launch-1.0", "-q", "filesrc", "location=speech.wav", "!",
                "wavparse", "!", "audioconvert", "!", "flacenc", "!",
                "filesink", "location=speech.flac", cwd=folder)
    for name in ("talk.m4a", "interview.mp3"):
        shutil.copy(folder / "speech.wav", folder / name)


def main():
    pages = [tap.ROOT / "README.md", *sorted(tap.ROOT.glob("docs/**/*.md")),
             *sorted(tap.ROOT.glob("gst/**/*.c"))]
    with tap.folder() as top:
        first = pathlib.Path(top) / "first"
        prepare(first)
        tests = []
        for page in pages:
            name = str(page.relative_to(tap.ROOT))
            if name in OWN_TEST:
                continue
            folder = pathlib.Path(top) / name.replace("/", "-")
            shutil.copytree(first, folder)
            for line, run, code in blocks(page):
                tests.append((f"{name}:{line} runs as shown",
                              lambda run=run, folder=folder, code=code:
                              run(folder, code)))
            for line, program, options in console_lines(page) \
                    if page.suffix == ".md" else ():
                tests.append((f"{name}:{line} {program} has its options",
                              lambda program=program, options=options:
                              run_console(program, options)))
            for line, found, code in texts(page, name) \
                    if page.suffix == ".md" else ():
                if found and isinstance(found[0], str):
                    continue
                tests.append((f"{name}:{line} is as it says",
                              lambda folder=folder, page=page, found=found,
                              code=code: run_text(folder, page, found, code)))
        tap.run(tests)


main()
