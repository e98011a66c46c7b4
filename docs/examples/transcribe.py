#!/usr/bin/python3
"""What is said in a recording, with its times, in Python.

    apt-get install python3-gi gir1.2-gst-plugins-base-1.0
    python3 transcribe.py --model ggml-base.bin speech.wav

Shows how to embed nputranscriber: text and its times from an appsink, the
language from tags, errors from messages, and Ctrl-C, which ends the stream so
that what was heard until then is still written.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import GLib, Gst, GstApp  # noqa: E402,F401

# Of a video only the sound is decoded.
PIPELINE = """
  filesrc name=source ! decodebin expose-all-streams=false caps=audio/x-raw(ANY) !
  nputranscriber name=transcriber !
  appsink name=text sync=false emit-signals=true caps=text/x-raw,format=utf8
"""


def on_text(sink):
    """Called in the streaming thread, which waits for it."""
    sample = sink.emit("pull-sample")
    buffer = sample.get_buffer()
    # The place in the recording: a buffer's own time is that in the segment.
    begin = sample.get_segment().to_stream_time(Gst.Format.TIME, buffer.pts)
    text = buffer.extract_dup(0, buffer.get_size()).decode()
    print(f"{begin / Gst.SECOND:8.2f} {(begin + buffer.duration) / Gst.SECOND:8.2f}"
          f"  {text}", flush=True)
    return Gst.FlowReturn.OK


def run(pipeline):
    """Until the stream ends. Returns what was wrong, or None."""
    loop, failure, interrupts = GLib.MainLoop(), [], []

    def on_message(bus, message):
        if message.type == Gst.MessageType.TAG and message.src.name == "text":
            found, language = message.parse_tag().get_string(
                Gst.TAG_LANGUAGE_CODE)
            if found:
                print(f"language: {language}", flush=True)
        elif message.type == Gst.MessageType.ERROR:
            error, details = message.parse_error()
            failure.append(f"{error.message} ({details})")
            loop.quit()
        elif message.type == Gst.MessageType.EOS:
            loop.quit()

    def on_interrupt():
        if interrupts:
            loop.quit()
        interrupts.append(True)
        pipeline.send_event(Gst.Event.new_eos())
        return GLib.SOURCE_CONTINUE

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGINT, on_interrupt)
    # Where this fails, an error is on the bus.
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    return failure[0] if failure else None


def main():
    parser = argparse.ArgumentParser(description="Prints what is said.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--language", default="auto", help="such as de")
    parser.add_argument("audio")
    options = parser.parse_args()
    Gst.init(None)
    try:
        pipeline = Gst.parse_launch(PIPELINE)
    except GLib.Error as error:  # an element is missing
        sys.exit(error.message)
    pipeline.get_by_name("source").set_property("location", options.audio)
    transcriber = pipeline.get_by_name("transcriber")
    transcriber.set_property("model", options.model)
    transcriber.set_property("language-code", options.language)
    pipeline.get_by_name("text").connect("new-sample", on_text)
    sys.exit(run(pipeline))


main()
