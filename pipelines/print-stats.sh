#!/bin/sh
# Prints the statistics messages that npuencoder posts, every field of them.
#
# usage: print-stats.sh [--model MODEL] AUDIO [PROPERTY=VALUE...]
#
#   AUDIO           any file that GStreamer decodes (wav, flac, mp3, ...)
#   PROPERTY=VALUE  properties of npuencoder, such as depth=1 or threads=2
#
# example: print-stats.sh speech.wav depth=1
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

[ $# -ge 1 ] || die "it takes a recording; see --help."
audio=$1
shift
need_file "$audio"

find_plugin
find_model

# One field a line, without its type.
show_fields ()
{
  sed -u -n '/: npuencoder-stats,/ {
    s/.*: \(npuencoder-stats\), */\1\n  /
    s/, \([a-z-]*=(\)/\n  \1/g
    s/=([A-Za-z0-9]*)/: /g
    s/;$//
    p
  }'
}

# shellcheck disable=SC2086 # a list of words
encode show_fields filesrc location="$(quoted "$audio")" ! decodebin ! $to_mel ! \
  npuencoder name=encoder model="$(quoted "$model")" "$@" ! fakesink
need_window encoder "$audio"
