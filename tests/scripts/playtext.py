"""Plays a URI by playbin3 as fast as it goes, without showing it, and prints its
text: a line [begin, end, "text"] of JSON for each cue, in seconds.

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


def main():
    Gst.init(None)
    player = Gst.ElementFactory.make("playbin3")
    text = Gst.ElementFactory.make("appsink")
    text.set_property("sync", False)
    text.set_property("emit-signals", True)
    text.set_property("caps", Gst.Caps.from_string("text/x-raw"))
    text.connect("new-sample", on_sample)
    player.set_property("text-sink", text)
    for kind in ("audio-sink", "video-sink"):
        player.set_property(
            kind, Gst.parse_bin_from_description("fakesink sync=false", True))
    player.set_property("uri", sys.argv[1])
    player.set_state(Gst.State.PLAYING)
    message = player.get_bus().timed_pop_filtered(
        280 * Gst.SECOND, Gst.MessageType.ERROR | Gst.MessageType.EOS)
    player.set_state(Gst.State.NULL)
    if message is None:
        sys.exit("it does not come to an end")
    if message.type == Gst.MessageType.ERROR:
        sys.exit(str(message.parse_error()))


main()
