"""Reads a Matroska or MP4 file, or plays HLS by playbin3, as fast as it goes,
without showing it, and prints its text: a line [begin, end, "text"] of JSON for
each cue, in seconds.

usage: playtext.py FILE or URI of HLS

Needs Debian's python3-gi and gir1.2-gst-plugins-base-1.0, else prints SKIP.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import json
import sys

try:
    import gi
    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    from gi.repository import Gst, GstApp  # noqa: F401
except (ImportError, ValueError) as error:
    print(f"SKIP {error}")
    sys.exit()


def on_sample(sink):
    sample = sink.emit("pull-sample")
    buffer, segment = sample.get_buffer(), sample.get_segment()
    begin = segment.to_stream_time(Gst.Format.TIME, buffer.pts)
    text = buffer.extract_dup(0, buffer.get_size()).decode()
    print(json.dumps([begin / Gst.SECOND,
                      (begin + buffer.duration) / Gst.SECOND, text]), flush=True)
    return Gst.FlowReturn.OK


def make_text_sink():
    text = Gst.ElementFactory.make("appsink")
    text.set_property("sync", False)
    text.set_property("async", False)
    text.set_property("emit-signals", True)
    text.set_property("caps", Gst.Caps.from_string("text/x-raw"))
    text.connect("new-sample", on_sample)
    return text


def make_player(uri):
    player = Gst.ElementFactory.make("playbin3")
    player.set_property("text-sink", make_text_sink())
    for kind in ("audio-sink", "video-sink"):
        player.set_property(
            kind, Gst.parse_bin_from_description("fakesink sync=false", True))
    player.set_property("uri", uri)
    return player


def make_reader(path):
    """playbin3 of GStreamer 1.22 takes the time that a file's text takes, and
    some files have no end there."""
    demuxer = "qtdemux" if path.endswith(".mp4") else "matroskademux"
    reader = Gst.parse_launch(f"filesrc name=file ! {demuxer} name=streams")

    def on_pad(element, pad):
        is_text = pad.get_current_caps().get_structure(0).get_name() \
            .startswith("text/")
        queue = Gst.ElementFactory.make("queue")
        sink = make_text_sink() if is_text else \
            Gst.ElementFactory.make("fakesink")
        sink.set_property("async", False)
        for element in (queue, sink):
            reader.add(element)
            element.sync_state_with_parent()
        queue.link(sink)
        pad.link(queue.get_static_pad("sink"))

    reader.get_by_name("file").set_property("location", path)
    reader.get_by_name("streams").connect("pad-added", on_pad)
    return reader


def main():
    Gst.init(None)
    what = sys.argv[1]
    player = make_player(what) if "://" in what else make_reader(what)
    player.set_state(Gst.State.PLAYING)
    message = player.get_bus().timed_pop_filtered(
        280 * Gst.SECOND, Gst.MessageType.ERROR | Gst.MessageType.EOS)
    player.set_state(Gst.State.NULL)
    if message is None:
        sys.exit("it does not come to an end")
    if message.type == Gst.MessageType.ERROR:
        sys.exit(str(message.parse_error()))


main()
