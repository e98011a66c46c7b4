#!/bin/sh
# Records what a microphone hears and encodes it, both at once, until Ctrl-C.
#
# usage: record-live.sh [--model MODEL] [--window SECONDS] [--seconds N]
#                       [--source SOURCE] RECORDING STATES
#
#   --window SECONDS  length of a window, 1 to 30; default 5
#   --seconds N       stop after so long, as Ctrl-C does, 1 to 99999
#   --source SOURCE   where sound comes from, as gst-launch-1.0 has it, such as
#                     'alsasrc device=hw:1'; default: one that works
#   RECORDING         written: a wav file
#   STATES            written: raw little-endian float32, [positions][width],
#                     50 positions for each second
#
# docs/recipes.md says why the pipeline is as it is.
#
# example: record-live.sh --window 2 speech.wav states.f32
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)

window=5 seconds=0 source=''
own_option ()
{
  [ "$1" != --source ] || { source=$2; return 0; }
  case $2 in
    '' | 0* | *[!0-9]* | ??????*) die "$1 $2: it must be a number of seconds." ;;
  esac
  case $1 in
    --window) window=$2 ;;
    --seconds) seconds=$2 ;;
    *) return 1 ;;
  esac
}
. "$here/common.sh"

[ $# -eq 2 ] || die "it takes where to write the recording and the states; see" \
  "--help."
[ "$1" != "$2" ] || die "both would be written to '$1'."
{ [ "$window" -ge 1 ] && [ "$window" -le 30 ]; } ||
  die "--window $window: it must be 1 to 30 seconds."

find_plugin
find_model
find_source

if [ "$seconds" -gt 0 ]; then
  while [ "$seconds" -gt 0 ] && kill -0 $$; do
    sleep 1
    seconds=$((seconds - 1))
  done >/dev/null 2>&1 && kill -INT $$ >/dev/null 2>&1 &
else
  say "Ctrl-C stops, after the last window; a second one at once."
fi

# The encoder's queue holds what comes while a window is computed: a minute, and
# no other limit. async=false: no sink waits for the other's first buffer.
# shellcheck disable=SC2086 # lists of words
encode show_windows -e $source ! audioconvert ! tee name=sound \
  sound. ! queue ! audioconvert ! audio/x-raw,format=S16LE ! wavenc ! \
  filesink location="$(quoted "$1")" async=false \
  sound. ! queue max-size-time=60000000000 max-size-bytes=0 max-size-buffers=0 ! \
  $to_mel window="${window}000000000" ! \
  npuencoder name=encoder model="$(quoted "$model")" ! filesink location="$(quoted "$2")" async=false
