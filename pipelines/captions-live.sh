#!/bin/sh
# Captions of what is said now: of a microphone, of a stream, or of a recording
# as if it were said now.
#
# usage: captions-live.sh [--model MODEL] [--language CODE] [--latency MS]
#                         [--source SOURCE] [--vtt FILE] [--overlay]
#                         [RECORDING | rtsp://ADDRESS]
#
#   RECORDING        any file that GStreamer decodes, played in real time
#   rtsp://ADDRESS   a camera or another stream; its sound is taken
#   --source SOURCE  where sound comes from without either, as gst-launch-1.0 has
#                    it, such as 'alsasrc device=hw:1'; default: one that works
#   --language CODE  that is spoken, such as de; default: found out
#   --latency MS     longest time from a word to its text; default 3000
#   --vtt FILE       write WebVTT, a cue as soon as it is whole; hls-subtitles.sh
#                    cuts it for HLS
#   --overlay        show a recording's or a stream's picture with the words
#
# On a terminal what is said now is shown at once, and replaced by what is final;
# elsewhere what is final is written, a line a sentence. Ctrl-C stops, after the
# last word; a second one at once.
#
# docs/live.md says how late text is, and what that depends on.
#
# example: captions-live.sh --language en
# example: captions-live.sh --vtt talk.vtt talk.mp4
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)

source='' language='' latency=3000 vtt='' overlay=''
own_option ()
{
  case $1 in
    --source) source=$2 ;;
    --language) language=$2 ;;
    --vtt) vtt=$2 ;;
    --latency)
      case $2 in
        '' | 0* | *[!0-9]* | ??????*)
          die "$1 $2: it must be a number of milliseconds, up to 60000." ;;
      esac
      latency=$2
      ;;
    *) return 1 ;;
  esac
}
own_flag ()
{
  case $1 in
    --overlay) overlay=yes ;;
    *) return 1 ;;
  esac
}
. "$here/common.sh"

[ $# -le 1 ] || die "it takes one recording or stream at most; see --help."
[ -z "$overlay" ] || [ $# -eq 1 ] ||
  die "--overlay wants a recording or a stream with a picture; see --help."

[ -z "$overlay" ] || [ -z "$vtt" ] ||
  die "--overlay and --vtt are two runs: words go to the picture or to a file."

find_plugin
find_whole_model

# What is said now, a line of JSON each time: the words that are final, then
# those that may still change.
show_now ()
{
  awk -v terminal="$([ ! -t 1 ] || echo yes)" '
    function field(name,    at, rest, end) {
      at = index($0, "\"" name "\": \"")
      if (!at) return ""
      rest = substr($0, at + length(name) + 5)
      end = match(rest, /[^\\]"/)
      if (substr(rest, 1, 1) == "\"") return ""
      rest = substr(rest, 1, end)
      gsub(/\\"/, "\"", rest)
      gsub(/\\\\/, "\\", rest)
      return rest
    }
    {
      words = field("committed")
      if (words != "") line = line (line == "" ? "" : " ") words
      if (terminal) printf "\r\033[K%s\033[2m %s\033[0m", line, field("partial")
      if (line ~ /[.?!。？！]$/ || length(line) > 200) {
        print (terminal ? "\r\033[K" : "") line
        line = ""
      }
      fflush()
    }
    END { if (line != "") print (terminal ? "\r\033[K" : "") line }'
}

# Words, a line of JSON each, to cues of at most 80 characters and 6 s, which end
# with a sentence or before a pause.
write_cues ()
{
  awk '
    function stamp(s,    whole) {
      whole = int(s)
      return sprintf("%02d:%02d:%02d.%03d", int(whole / 3600),
        int(whole / 60) % 60, whole % 60, int((s - whole) * 1000))
    }
    function put() {
      if (cue != "") printf "%s --> %s\n%s\n\n", stamp(from), stamp(to), cue
      cue = ""
      fflush()
    }
    function number(name,    at) {
      at = index($0, "\"" name "\": ")
      return substr($0, at + length(name) + 4) + 0
    }
    BEGIN { print "WEBVTT\n"; fflush() }
    {
      start = number("start")
      text = $0
      sub(/^.*"text": "/, "", text)
      sub(/", "language": .*$/, "", text)
      gsub(/\\"/, "\"", text)
      gsub(/\\\\/, "\\", text)
      gsub(/&/, "\\&amp;", text)
      gsub(/</, "\\&lt;", text)
      if (cue != "" && (start > to + 1 || start > from + 6 ||
          length(cue) + length(text) > 80)) put()
      if (cue == "") from = start
      cue = cue (cue == "" ? "" : " ") text
      to = number("end")
      if (cue ~ /[.?!。？！]$/) put()
    }
    END { put() }'
}

quiet ()
{
  cat >/dev/null
}

# Where it comes from. A recording has no clock of its own: it is held to ours.
pace=''
case ${1:-} in
  '')
    find_source
    # shellcheck disable=SC2086 # a list of words
    set -- $source
    ;;
  rtsp://*) set -- uridecodebin uri="$(quoted "$1")" name=in in. ;;
  *)
    need_file "$1"
    set -- filesrc location="$(quoted "$1")" ! decodebin name=in in.
    pace='! identity sync=true'
    ;;
esac
# The picture waits for its words, and words behind the last picture for ever:
# their queue takes them all.
text='! application/x-json ! fdsink fd=4 sync=false async=false'
[ -z "$overlay" ] || {
  wrap=''
  ! gst-inspect-1.0 --exists textwrap ||
    wrap='! textwrap columns=32 lines=2 accumulate-time=3000000000'
  all='queue max-size-time=0 max-size-bytes=0 max-size-buffers=0'
  text="! $all $wrap ! over.text_sink
    in. ! $all ! videoconvert ! textoverlay name=over ! videoconvert !
    autovideosink ts-offset=${latency}000000"
}

mkfifo "$scratch/now" "$scratch/words"
show_now <"$scratch/now" &
shower=$!
if [ -n "$vtt" ]; then
  write_cues <"$scratch/words" >"$vtt" &
else
  cat <"$scratch/words" >/dev/null &
fi
writer=$!

say "Ctrl-C stops, after the last word; a second one at once."
# shellcheck disable=SC2086 # lists of words
encode quiet -q -e "$@" ! queue ! audioconvert ! audioresample $pace ! \
  nputranscriber name=speech mode=growing latency="$latency" model="$(quoted "$model")" \
  language-code="${language:-auto}" $text \
  speech.unsynced_src ! queue ! fdsink fd=3 sync=false async=false \
  3>"$scratch/now" 4>"$scratch/words"
wait "$shower" "$writer"
