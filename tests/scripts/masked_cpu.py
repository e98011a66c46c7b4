"""CPUs with AVX2 and without FMA or F16C, as virtual machines show them: the
element encodes there, and does not die by SIGILL. Needs QEMU's user emulation.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import shutil

import tap

QEMU = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")


def encode(cpu):
    def run():
        launch = shutil.which("gst-launch-1.0")
        if not QEMU:
            raise tap.Skip("there is no qemu-x86_64")
        if not launch:
            raise tap.Skip("there is no gst-launch-1.0")
        tap.command(QEMU, "-cpu", cpu, launch, "-q",
                    *("audiotestsrc num-buffers=16 ! audio/x-raw,rate=16000 "
                      "! audioconvert ! whispermel window=1000000000 ! "
                      "npuencoder model=synthetic:tiny threads=1 "
                      "precision=f32 ! fakesink").split())
    return run


tap.run([("AVX2 without FMA", encode("Haswell,-fma")),
         ("AVX2 without F16C", encode("Haswell,-f16c"))])
