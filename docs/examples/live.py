#!/usr/bin/python3
"""Whisper's hidden states of what a microphone hears, in Python, as they come.

    apt-get install python3-gi gir1.2-gst-plugins-base-1.0 python3-numpy
    python3 live.py --model whisper-tiny.en.safetensors

Shows how to embed the elements: a pipeline that ends in an appsink, arrays of
states without a copy, errors of the pipeline, and Ctrl-C, which ends the stream
so that the last window comes too.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import GLib, Gst, GstApp  # noqa: E402,F401
import numpy  # noqa: E402

# The queue holds the sound that comes while a window is computed. A sink that
# is given to an application need not wait for the clock.
PIPELINE = """
  {source} ! queue max-size-time=60000000000 max-size-bytes=0 max-size-buffers=0 !
  audioconvert ! audioresample ! whispermel window={window} !
  npuencoder name=encoder ! appsink name=states sync=false emit-signals=true
"""


def on_sample(sink):
    """Called in the streaming thread, which waits for it."""
    sample = sink.emit("pull-sample")
    shape = sample.get_caps().get_structure(0).get_string("dimensions")
    width, n_positions = (int(size) for size in shape.split(":")[:2])
    buffer = sample.get_buffer()
    mapped, info = buffer.map(Gst.MapFlags.READ)
    if not mapped:
        return Gst.FlowReturn.ERROR
    try:
        states = numpy.frombuffer(info.data, "<f4").reshape(n_positions, width)
        # Rows behind the sound's end are of padding.
        n_speech = min(n_positions, -(-buffer.duration // (20 * Gst.MSECOND)))
        print(f"{buffer.pts / Gst.SECOND:.2f} s: {n_speech} of {states.shape}, "
              f"root mean square {numpy.sqrt((states[:n_speech] ** 2).mean()):.3f}",
              flush=True)
    finally:
        buffer.unmap(info)
    return Gst.FlowReturn.OK


def run(pipeline):
    """Until the stream ends. Returns what was wrong, or None."""
    loop, failure = GLib.MainLoop(), []

    def on_message(bus, message):
        if message.type == Gst.MessageType.ERROR:
            error, details = message.parse_error()
            failure.append(f"{error.message} ({details})")
            loop.quit()
        elif message.type == Gst.MessageType.EOS:
            loop.quit()

    def on_interrupt():
        pipeline.send_event(Gst.Event.new_eos())
        return GLib.SOURCE_CONTINUE

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGINT, on_interrupt)
    if pipeline.set_state(Gst.State.PLAYING) != Gst.StateChangeReturn.FAILURE:
        loop.run()
    else:
        message = bus.timed_pop_filtered(Gst.SECOND, Gst.MessageType.ERROR)
        failure.append(message.parse_error()[0].message if message
                       else "it does not start")
    pipeline.set_state(Gst.State.NULL)
    return failure[0] if failure else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--window", type=float, default=5, help="seconds")
    parser.add_argument("--source", default="autoaudiosrc",
                        help="as gst-launch-1.0 has it")
    options = parser.parse_args()
    Gst.init(None)
    pipeline = Gst.parse_launch(PIPELINE.format(
        source=options.source, window=round(options.window * Gst.SECOND)))
    # Not in the text above: a file's name may have spaces.
    pipeline.get_by_name("encoder").set_property("model", options.model)
    pipeline.get_by_name("states").connect("new-sample", on_sample)
    sys.exit(run(pipeline))


main()
