#!/bin/sh
# Writes down what is said in recordings.
#
# usage: transcribe.sh [--model MODEL] [--format FORMAT] [--language CODE]
#                      [--translate] [--words] [--beam-size N] [--batch N]
#                      [--prompt TEXT] [--hot-words TEXT]
#                      [--language-interval SECONDS] [--out DIR] FILE...
#
#   FILE             any file that GStreamer decodes (wav, flac, mp3, m4a, mp4,
#                    ...); its transcript is DIR/NAME.FORMAT, NAME without the
#                    file's extension, and NAME-2 where that is taken by another
#                    of the files
#   --format FORMAT  txt, srt, vtt or json; default txt
#   --language CODE  that is spoken, such as de; default: found out
#   --translate      write English
#   --words          times of words: cues of two lines that end at pauses; in
#                    JSON every word
#   --beam-size N    beams of the search, 1 to 16: 5 errs less and takes longer
#   --batch N        windows decoded at once, 1 to 16, cut at pauses: 8 is faster
#   --prompt TEXT    before each recording: names and spelling that are to come
#   --hot-words TEXT names and words that every window is told
#   --language-interval SECONDS
#                    look for another language after so long; 0, the
#                    default: in each window; -1: never
#   --out DIR        folder to write to, made where it is missing; default .
#
# The model is loaded once, whatever the number of files. A file that fails does
# not stop the others; the exit status is 1 then.
#
# example: transcribe.sh --format srt --out subtitles talk.m4a interview.mp3
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)

format=txt language='' out=. task='' words=''
beams='' batch='' prompt='' hot_words='' interval=''
own_option ()
{
  case $1 in
    --format) format=$2 ;;
    --language) language=$2 ;;
    --out) out=$2 ;;
    --beam-size) beams=$2 ;;
    --batch) batch=$2 ;;
    --prompt) prompt=$2 ;;
    --hot-words) hot_words=$2 ;;
    --language-interval) interval=$2 ;;
    *) return 1 ;;
  esac
}
own_flag ()
{
  case $1 in
    --translate) task=--translate ;;
    --words) words=--words ;;
    *) return 1 ;;
  esac
}
. "$here/common.sh"

[ $# -ge 1 ] || die "it takes recordings; see --help."
case $format in
  txt | srt | vtt | json) ;;
  *) die "--format $format: it must be txt, srt, vtt or json." ;;
esac

# The program of the build that the plugin is of, else an installed one.
find_program ()
{
  IFS=:
  for folder in ${GST_PLUGIN_PATH_1_0:-} "$root/build/gst"; do
    program=$folder/../pipelines/transcribe/npuenc-transcribe
    [ ! -x "$program" ] || break
  done
  unset IFS
  [ -x "$program" ] || program=$(command -v npuenc-transcribe) ||
    die "there is no npuenc-transcribe; build it first:" \
      "$root/pipelines/quickstart.sh"
}

find_plugin
find_whole_model
case $model in
  synthetic:*) die "the weights of $model are random and have no words;" \
    "pass --model with a whole Whisper model." ;;
esac
find_program

# shellcheck disable=SC2086 # $task and $words are one word each or none
"$program" --model "$model" --format "$format" --out "$out" $task $words \
  ${language:+--language "$language"} ${beams:+--beam-size "$beams"} \
  ${batch:+--batch "$batch"} ${prompt:+--prompt "$prompt"} \
  ${hot_words:+--hot-words "$hot_words"} \
  ${interval:+--language-interval "$interval"} -- "$@"
