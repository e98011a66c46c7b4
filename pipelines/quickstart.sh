#!/bin/sh
# From nothing but a checkout to the words of a recording: installs the Debian
# packages that are missing, builds the plugin in ./build, gets a model, runs
# speech through it and shows the hidden states and the text.
#
# usage: quickstart.sh [--model MODEL] [AUDIO]
#
#   AUDIO  any file that GStreamer decodes (wav, flac, mp3, ...); default: a
#          sentence spoken by espeak-ng
#
# example: quickstart.sh
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

[ $# -le 1 ] || die "it takes one recording at most; see --help."
[ $# -eq 0 ] || need_file "$1"

build=$root/build
results=$build/quickstart

# quietly COMMAND...: shows its output only where it fails.
quietly ()
{
  "$@" >"$scratch/quiet.log" 2>&1 || {
    tail -n 30 "$scratch/quiet.log" >&2
    die "'$*' failed, as shown above."
  }
}

say "--- Packages"
# shellcheck disable=SC2046 # lists of words
install_packages $(build_packages) $(run_packages) ca-certificates curl \
  espeak-ng

say "--- Building in $build"
if [ -e "$build/build.ninja" ]; then # it may be of before XRT was installed
  quietly meson setup --reconfigure "$build" "$root"
else
  quietly meson setup "$build" "$root" -Dtests=false
fi
quietly ninja -C "$build"
GST_PLUGIN_PATH_1_0=$build/gst
find_plugin

say "--- Model"
find_whole_model

mkdir -p "$results"
# The commands of README.md work in that folder as they are.
name=${model##*/}
case $model in
  synthetic:*) next="There is speech.wav. For want of a model write model=$model." ;;
  *)
    case $name in *tiny.en*.safetensors) name=$model_name ;; esac
    whole=$(realpath "$model")
    ln -sfn "$whole" "$results/$name"
    for vocabulary in "${whole%/*}"/*tokenizer.json; do
      [ ! -r "$vocabulary" ] || ln -sfn "$vocabulary" "$results/"
    done
    next="There are speech.wav and the model: model=$name"
    ;;
esac

say "--- Speech"
audio=$results/speech.wav
quietly espeak-ng -w "$audio" "Speech goes in, and hidden states come out:\
 fifty of them for every second of sound."
[ $# -eq 0 ] || audio=$1
say "Audio: $audio"

say "--- Encoding"
states=$results/states.f32
# shellcheck disable=SC2086 # a list of words
encode show_windows -v filesrc location="$(quoted "$audio")" ! decodebin ! $to_mel ! \
  npuencoder name=encoder model="$(quoted "$model")" ! filesink location="$(quoted "$states")"
need_window encoder "$audio"

# "384:1500:1", innermost first, in the caps of the encoder's source pad.
width=$(sed -n 's/.*GstNpuEncoder:encoder\.GstPad:src: caps.*dimensions=(string)\([0-9]*\):.*/\1/p' \
  "$scratch/log" | head -n 1)
line=$(grep ': npuencoder-stats,' "$scratch/log" | head -n 1)
size=$(wc -c <"$states")
cat <<TEXT

The states are in $states:
  $((size / 4 / width)) positions, 20 ms apart, of $width float32 values
  ($(field device "$line"), $(field precision "$line"), launches in a ring of \
$(field depth "$line"), $(field batch-size "$line") tiles each)
$(od -An -v -tf4 -w4 "$states" | awk '
  NR == 1 { low = high = $1 }
  $1 < low { low = $1 }
  $1 > high { high = $1 }
  { sum += $1; squares += $1 * $1 }
  NR <= 5 { first = first " " $1 }
  END {
    mean = sum / NR
    printf "  from %.3f to %.3f, mean %.4f, standard deviation %.4f\n", low,
      high, mean, sqrt (squares / NR - mean * mean)
    printf "  the first position begins with%s\n", first
  }')
TEXT
case $model in
  synthetic:*) echo "  They MEAN NOTHING: the weights of $model are random." ;;
esac
say ''
say "--- Text"
text=$results/text/$(basename "${audio%.*}").txt
case $model in
  synthetic:*) words="none: the weights of $model are random" ;;
  *)
    if "$build/pipelines/transcribe/npuenc-transcribe" --quiet \
      --model "$model" --out "$results/text" -- "$audio"; then
      words=$(cat "$text")
    else
      words='none, for the reason above'
    fi
    ;;
esac

cat <<TEXT

Read the states in Python:
  numpy.fromfile("$states", "<f4").reshape(-1, $width)
Go on as README.md does under "Use", here:
  export GST_PLUGIN_PATH=$build/gst
  cd $results
$next
npuenc-bench, which measures, is $build/tests/bench/npuenc-bench
More to run: transcribe.sh, encode-file.sh, encode-live.sh, print-stats.sh and
encode-two.sh in $here; each has --help.

The words that were spoken:
  ${words:-none}
TEXT
