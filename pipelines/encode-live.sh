#!/bin/sh
# Encodes what a microphone hears, window by window, until Ctrl-C.
#
# usage: encode-live.sh [--model MODEL] [--window SECONDS] [--windows N]
#                       [--source SOURCE] [STATES]
#
#   --window SECONDS  length of a window, 1 to 30; default 5
#   --windows N       stop after N windows
#   --source SOURCE   where sound comes from, as gst-launch-1.0 has it, such as
#                     'alsasrc device=hw:1'; default: autoaudiosrc's choice, else
#                     any other that works
#   STATES            written: raw little-endian float32, [positions][width],
#                     50 positions for each second; default: nowhere
#
# Where there is no microphone, the ticks of a test source are encoded.
#
# example: encode-live.sh --window 2 states.f32
# example: encode-live.sh --source 'audiotestsrc is-live=true wave=ticks'
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)

window=5 windows=0 source=''
own_option ()
{
  [ "$1" != --source ] || { source=$2; return 0; }
  case $2 in
    '' | *[!0-9]* | ???*) die "$1 $2: it must be a number from 1 to 99." ;;
  esac
  case $1 in
    --window) window=$2 ;;
    --windows) windows=$2 ;;
    *) return 1 ;;
  esac
}
. "$here/common.sh"

[ $# -le 1 ] || die "it takes one file to write at most; see --help."
{ [ "$window" -ge 1 ] && [ "$window" -le 30 ]; } ||
  die "--window $window: it must be 1 to 30 seconds."

find_plugin
find_model

find_source
if [ $# -eq 1 ]; then
  set -- filesink location="$(quoted "$1")"
else
  set -- fakesink
fi
eos_after=$((windows + 1)) # identity ends the stream at that buffer
[ "$windows" -gt 0 ] || {
  eos_after=-1
  say "Ctrl-C stops, after the last window; a second one at once."
}

# With -e an interrupt ends the stream, so that the last window is encoded too.
# shellcheck disable=SC2086 # lists of words
encode show_windows -e $source ! queue ! $to_mel window="${window}000000000" ! \
  identity eos-after="$eos_after" ! \
  npuencoder name=encoder model="$(quoted "$model")" ! "$@"
