#!/bin/sh
# Encodes two recordings at once, with two encoders in one process.
#
# usage: encode-two.sh [--model MODEL] AUDIO STATES AUDIO STATES
#
#   AUDIO   any file that GStreamer decodes (wav, flac, mp3, ...)
#   STATES  written: raw little-endian float32, [positions][width], 1500
#           positions for each 30 s of audio
#
# example: encode-two.sh one.wav one.f32 two.wav two.f32
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

[ $# -eq 4 ] || die "it takes two recordings, each with where to write;" \
  "see --help."
need_file "$1"
need_file "$3"
[ "$2" != "$4" ] || die "both recordings would be written to '$2'."

find_plugin
find_model

# shellcheck disable=SC2086 # a list of words
encode show_windows \
  filesrc location="$(quoted "$1")" ! decodebin ! $to_mel ! \
  npuencoder name=first model="$(quoted "$model")" ! filesink location="$(quoted "$2")" \
  filesrc location="$(quoted "$3")" ! decodebin ! $to_mel ! \
  npuencoder name=second model="$(quoted "$model")" ! filesink location="$(quoted "$4")"
need_window first "$1"
need_window second "$3"
