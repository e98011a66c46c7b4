"""The installed library: its pkg-config file, headers and symbols, and the
examples of its use, as built and by the line in their header; and the
names of its kernels' functions.

usage: library.py BUILD-FOLDER EXAMPLE...

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import pathlib
import re
import shutil
import sys

import tap

BUILD = pathlib.Path(sys.argv[1])
EXAMPLES = [pathlib.Path(arg) for arg in sys.argv[2:]]
ANSWERS = {
    "states": ["stages ", "product", "150 positions of 384 floats, the first ",
               " launches, "],
    "tiles-simple": ["tile 0 begins ", "depth 3, batch ", "  tiles ",
                     "  stalls "],
    "tiles-block": [
        "depth 1, batch 1 on ",
        "[fill]   attention, slot 0: tile 0 launched (no wait)\n",
        "[steady] attention, slot 0: tile 0 completed, tile 3 launched",
        "[drain]  gelu, slot ", "tile 0 begins: attention ",
        "pipelined and sequential are the same in every bit"],
    "tiles-loop": ["one by one: ", " in 96 launches", " in 24 launches",
                   "the outputs are the same in every bit"],
}


def install(folder):
    """Installs into the folder; returns the environment that finds it."""
    tap.command("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
                "--destdir", folder / "root")
    (config,) = folder.glob("root/**/npuenc-1.0.pc")
    text = config.read_text()
    prefix = re.search(r"^prefix=(.*)$", text, re.M).group(1)
    config.write_text(text.replace(f"prefix={prefix}",
                                   f"prefix={folder}/root{prefix}", 1))
    return {"PKG_CONFIG_PATH": str(config.parent),
            "LD_LIBRARY_PATH": str(config.parents[1])}


def flags(env, *what):
    return tap.command("pkg-config", *what, "npuenc-1.0", env=env).split()


def runs(example):
    tap.expect(tap.command(example), *ANSWERS[example.name])


def header_line(name, folder, env):
    source = tap.ROOT / f"docs/examples/{name}.c"
    line = re.search(rf"^ \*   (cc {name}\.c .*)$", source.read_text(), re.M)
    shutil.copy(source, folder)
    text = tap.command("sh", "-c", line.group(1), cwd=folder, env=env)
    assert text == "", text
    tap.expect(tap.command(f"./{name}", cwd=folder, env=env),
               *ANSWERS[name])


def headers(folder, env):
    """Each header compiles on its own, as C and as C++."""
    (top,) = folder.glob("root/**/include/npuenc-1.0")
    names = sorted(str(p.relative_to(top)) for p in top.rglob("*.h"))
    assert "npuenc.h" in names and "tiles/npu-tiles.h" in names, names
    compilers = [("c", "cc")]
    if shutil.which("c++"):
        compilers.append(("c++", "c++"))
    for name in names:
        for language, compiler in compilers:
            text = tap.command(
                compiler, "-x", language, "-fsyntax-only", "-Wall", "-Wextra",
                *flags(env, "--cflags"), "-", stdin=f"#include <{name}>\n")
            assert text == "", text


def symbols(folder, env):
    """It exports what its headers declare and nothing else."""
    (top,) = folder.glob("root/**/include/npuenc-1.0")
    library = next(folder.glob("root/**/libnpuenc-1.0.so"))
    exported = {line.split()[2] for line in tap.command(
        "nm", "-D", "--defined-only", library).splitlines()}
    text = "\n".join(p.read_text() for p in top.rglob("*.h"))
    declared = set(re.findall(r"^NPU_API [^;(]*?\b(\w+) \(", text, re.M))
    assert exported - {"_init", "_fini"} == declared, (
        f"exported alone: {sorted(exported - declared)}; "
        f"declared alone: {sorted(declared - exported)}")


def kernel_names():
    """Each function of the kernels has a name of its own, whatever a compiler
    appends to that of a part or a clone."""
    name = re.compile(r"([A-Za-z]\w*)"
                      r"(?:\.(?:isra|part|cold|constprop|llvm|lto_priv)"
                      r"(?:\.\d+)*)*")
    files = {}
    for line in tap.command("nm", "-A", "--defined-only",
                            BUILD / "kernels/libnpukernels.a").splitlines():
        where, kind, symbol = line.rsplit(maxsplit=2)
        # Others are the compiler's own, like a sanitizer's constructors.
        found = name.fullmatch(symbol)
        if kind in "tT" and found:
            member = where.rsplit(":", 1)[0]
            files.setdefault(found[1], set()).add(member)
    assert "npu_kernels_init" in files, sorted(files)
    shared = {symbol: sorted(members) for symbol, members in files.items()
              if len(members) > 1}
    assert not shared, "\n".join(f"{symbol}: {', '.join(members)}"
                                 for symbol, members in shared.items())


def main():
    with tap.folder() as name:
        folder = pathlib.Path(name)
        env = install(folder)
        tests = [(f"{path.name} runs", lambda path=path: runs(path))
                 for path in EXAMPLES]
        tests += [(f"the line in the header of {path.name} compiles it",
                   lambda path=path: header_line(path.name, folder, env))
                  for path in EXAMPLES]
        tests += [
            ("installed headers stand alone", lambda: headers(folder, env)),
            ("symbols are those of the headers", lambda: symbols(folder, env)),
            ("no two functions of the kernels have one name", kernel_names),
        ]
        tap.run(tests)


main()
