"""A camera without a picture: plays a recording to whoever asks for it.

usage: rtspserver.py RECORDING

Writes its address, on this machine alone, and serves until it is ended.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main():
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f'( filesrc location="{sys.argv[1]}" ! wavparse ! audioconvert ! '
        "audioresample ! audio/x-raw,format=S16BE,rate=16000,channels=1 ! "
        "rtpL16pay name=pay0 )")
    server.get_mount_points().add_factory("/sound", factory)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/sound", flush=True)
    GLib.MainLoop().run()


main()
