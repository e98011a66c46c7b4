"""nputranscriber behind an appsrc, with all that comes out; for programs that
feed it streams of their own making.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import difflib
import pathlib
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

RATE = 16000
PACKET = 320  # samples: 20 ms
CAPS = (f"audio/x-raw,format=F32LE,rate={RATE},channels=1,"
        "layout=interleaved")
SAMPLES = 4  # bytes of one


def plain(word):
    return "".join(c for c in word.lower() if c.isalnum())


def to_ns(samples):
    return samples * Gst.SECOND // RATE


def stop(text):
    """Ends the program with its name before @text."""
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {text}")


def wait_for_end(pipeline):
    message = pipeline.get_bus().timed_pop_filtered(
        Gst.CLOCK_TIME_NONE, Gst.MessageType.ERROR | Gst.MessageType.EOS)
    if message.type == Gst.MessageType.ERROR:
        stop(message.parse_error()[0].message)


def read(path):
    """All of a recording, as bytes of floats."""
    pipeline = Gst.parse_launch(
        "filesrc name=source ! decodebin ! audioconvert ! audioresample ! "
        f"{CAPS} ! appsink name=sink sync=false")
    pipeline.get_by_name("source").set_property("location", path)
    sink = pipeline.get_by_name("sink")
    pipeline.set_state(Gst.State.PLAYING)
    pieces = []
    while sample := sink.emit("pull-sample"):
        buffer = sample.get_buffer()
        pieces.append(buffer.extract_dup(0, buffer.get_size()))
    pipeline.set_state(Gst.State.NULL)
    if not pieces:
        stop(f"there is no sound in {path}")
    return b"".join(pieces)


def packets(pcm, start=0):
    """(time, bytes) of 20 ms each."""
    size = PACKET * SAMPLES
    for at in range(0, len(pcm), size):
        yield start + to_ns(at // SAMPLES), pcm[at:at + size]


def blocks(first, second):
    """Runs of words that two lists have in common: (in first, in second)."""
    matcher = difflib.SequenceMatcher(
        None, [plain(word) for word in first],
        [plain(word) for word in second], autojunk=False)
    return [(match.a + i, match.b + i)
            for match in matcher.get_matching_blocks()
            for i in range(match.size)]


class StreamClock:
    """A pipeline's clock that shows the end of the audio that has been taken:
    live, as fast as the machine is, and as if computing took no time."""

    AHEAD = Gst.SECOND  # whoever pushes is no further ahead

    def __init__(self, pipeline, pad):
        gi.require_version("GstCheck", "1.0")
        from gi.repository import GstCheck

        self.clock = GstCheck.TestClock.new()
        self.taken = 0  # the end of the audio
        self.now = 0
        self._change = threading.Condition()
        pipeline.use_clock(self.clock)
        pipeline.set_start_time(Gst.CLOCK_TIME_NONE)
        pipeline.set_base_time(0)
        pad.add_probe(Gst.PadProbeType.BUFFER, self._on_audio)

    def _on_audio(self, pad, info):
        buffer = info.get_buffer()
        with self._change:
            self.taken = buffer.pts + buffer.duration
            self._go_to(max(self.now, self.taken))
            self._change.notify()
        return Gst.PadProbeReturn.OK

    def _go_to(self, now):
        self.now = now
        self.clock.set_time(now)

    def spend(self, time):
        """Computing takes @time, for once."""
        with self._change:
            self._go_to(self.now + time)

    def wait(self, at):
        """Until audio of time @at may be pushed."""
        with self._change:
            self._change.wait_for(lambda: at <= self.taken + self.AHEAD)


class Run:
    """nputranscriber behind an appsrc, and all that comes out."""

    def __init__(self, options, by_clock=False, by_stream=False):
        live = "is-live=true" if by_clock or by_stream else ""
        self.pipeline = Gst.parse_launch(
            f"appsrc name=source {live} format=time block=true "
            f"max-bytes={RATE * SAMPLES} caps={CAPS} ! "
            "nputranscriber name=speech mode=growing ! "
            "fakesink name=words signal-handoffs=true sync=false "
            "speech.unsynced_src ! fakesink sync=false async=false")
        self.source = self.pipeline.get_by_name("source")
        self.speech = self.pipeline.get_by_name("speech")
        self.speech.set_property("model", options.model)
        self.speech.set_property("language-code", options.language)
        self.speech.set_property("post-messages", False)
        for setting in options.set:
            name, _, value = setting.partition("=")
            Gst.util_set_object_arg(self.speech, name, value)
        self.words = []  # (start, end, text)
        self.told = []  # when, by the stream's clock
        self.clock = None
        if by_stream:
            self.clock = StreamClock(
                self.pipeline,
                self.speech.get_by_name("whispermel").get_static_pad("sink"))
        self.faults = []
        self.position = 0
        self.is_new = True
        self.pipeline.get_by_name("words").connect("handoff", self._on_word)
        self.speech.get_static_pad("src").add_probe(
            Gst.PadProbeType.EVENT_DOWNSTREAM, self._on_event)

    def _on_event(self, pad, info):
        event = info.get_event()
        if event.type in (Gst.EventType.FLUSH_STOP, Gst.EventType.SEGMENT,
                          Gst.EventType.STREAM_START):
            self.position = 0
        elif event.type == Gst.EventType.GAP:
            start, duration = event.parse_gap()
            self._follow("a GAP event", start, start + duration)
        return Gst.PadProbeReturn.OK

    def _follow(self, what, start, end):
        if start < self.position:
            self.faults.append(
                f"{what} at {start / 1e9:.2f} s, behind what was told up to "
                f"{self.position / 1e9:.2f} s")
        self.position = end

    def _on_word(self, sink, buffer, pad):
        text = buffer.extract_dup(0, buffer.get_size()).decode()
        end = buffer.pts + buffer.duration
        self._follow(f"'{text}'", buffer.pts, end)
        self.words.append((buffer.pts, end, text))
        if self.clock:
            self.told.append(self.clock.now)

    def play(self):
        self.pipeline.set_state(Gst.State.PLAYING)

    def push(self, at, data):
        """Returns whether it went in."""
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts = at
        buffer.duration = to_ns(len(data) // SAMPLES)
        if self.is_new:
            buffer.set_flags(Gst.BufferFlags.DISCONT)
        self.is_new = False
        if self.clock:
            self.clock.wait(at)
        return self.source.emit("push-buffer", buffer) == Gst.FlowReturn.OK

    def push_all(self, pcm, start=0):
        for at, data in packets(pcm, start):
            self.push(at, data)

    def gap(self, at, duration):
        self.source.send_event(Gst.Event.new_gap(at, duration))

    def finish(self):
        """To the end of the stream; returns the words."""
        self.source.emit("end-of-stream")
        self.wait()
        return self.close()

    def wait(self):
        wait_for_end(self.pipeline)

    def close(self):
        self.pipeline.set_state(Gst.State.NULL)
        return self.words
