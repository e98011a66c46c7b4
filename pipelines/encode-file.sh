#!/bin/sh
# Encodes a recording into the hidden states of Whisper's encoder.
#
# usage: encode-file.sh [--model MODEL] AUDIO STATES [PROPERTY=VALUE...]
#
#   AUDIO           any file that GStreamer decodes (wav, flac, mp3, ...)
#   STATES          written: raw little-endian float32, [positions][width],
#                   1500 positions for each 30 s of audio
#   PROPERTY=VALUE  properties of npuencoder, such as precision=f32 or depth=1
#
# example: encode-file.sh speech.wav states.f32
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

[ $# -ge 2 ] || die "it takes a recording and where to write; see --help."
audio=$1 states=$2
shift 2
need_file "$audio"

find_plugin
find_model

# shellcheck disable=SC2086 # a list of words
encode show_windows filesrc location="$(quoted "$audio")" ! decodebin ! $to_mel ! \
  npuencoder name=encoder model="$(quoted "$model")" "$@" ! filesink location="$(quoted "$states")"
need_window encoder "$audio"
