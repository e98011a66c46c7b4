"""What `ninja install` puts on a machine works there: the installed files are
laid over /usr, which only the commands of this test see.

usage: install.py BUILD-FOLDER

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import json
import pathlib
import shlex
import sys

import tap

BUILD = pathlib.Path(sys.argv[1])
CLEAN = ("GST_PLUGIN_PATH", "GST_PLUGIN_PATH_1_0", "GST_PLUGIN_SYSTEM_PATH",
         "LD_LIBRARY_PATH", "PKG_CONFIG_PATH")


def option(name):
    listed = json.loads(tap.command("meson", "introspect", "--buildoptions",
                                    BUILD))
    return next(each["value"] for each in listed if each["name"] == name)


def over_usr(root, script):
    """Runs a script where the tree in root is part of /usr."""
    mount = (f"mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr && "
             f"unset {' '.join(CLEAN)} && cd / && ")
    return tap.command("unshare", "--mount", "sh", "-euc", mount + script)


def prepare(folder):
    if option("prefix") != "/usr/local":
        raise tap.Skip("this build has another prefix than /usr/local")
    tap.command("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
                "--destdir", folder / "root")
    try:
        over_usr(folder / "root", "true")
    except AssertionError:
        raise tap.Skip("an overlay cannot be mounted over /usr here")


def installed_test(script, *parts):
    def run():
        with tap.folder() as name:
            folder = pathlib.Path(name)
            prepare(folder)
            setting = f"export GST_REGISTRY_1_0={shlex.quote(name)}/registry; "
            tap.expect(over_usr(folder / "root", setting + script), *parts)
    return run


PIPELINE = ("gst-launch-1.0 audiotestsrc num-buffers=20 ! audioconvert ! "
            "audioresample ! whispermel window=1000000000 ! "
            "npuencoder model=synthetic:tiny ! fakesink")

tap.run([
    ("gst-inspect-1.0 finds it, with nothing set",
     installed_test("gst-inspect-1.0 npuencoder; gst-inspect-1.0 whispermel",
                    "Whisper", "synthetic:")),
    ("a pipeline runs", installed_test(PIPELINE, "Got EOS")),
    ("npuenc-bench starts", installed_test("npuenc-bench --help", "--encoder")),
    ("pkg-config finds the library",
     installed_test("pkg-config --libs npuenc-1.0", "-lnpuenc-1.0")),
])
