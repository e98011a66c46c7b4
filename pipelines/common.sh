# What the scripts of this folder share: options, the plugin, the model, showing
# results. POSIX sh, sourced with $here set to the folder; takes the options off
# the script's arguments.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh

# shellcheck source=packages.sh
. "${here:?}/packages.sh"

LC_ALL=C.UTF-8 # gst-launch-1.0's messages are read below
export LC_ALL

root=$(cd "$here/.." && pwd)
models_home=${XDG_DATA_HOME:-${HOME:-/tmp}/.local/share}/npuenc

# openai/whisper-tiny.en on Hugging Face, at the revision that has this hash.
model_name=whisper-tiny.en.safetensors
model_url=https://huggingface.co/openai/whisper-tiny.en/resolve/87c7102498dcde7456f24cfd30239ca606ed9063/model.safetensors
model_sha256=db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad
model_size='151 MB'
# The words of its tokens. No hash: what is no vocabulary of it is refused when it
# is opened.
vocabulary_name=whisper-tiny.en-tokenizer.json
vocabulary_url=${model_url%/*}/tokenizer.json

# The comment at the top of the script, from its second line on, is its help.
usage ()
{
  sed -n '2,$ { /^# SPDX/q; s/^# \{0,1\}//; p; }' "$0"
  cat <<TEXT
The model is a Whisper model: a safetensors file with the tensor names of
Hugging Face or OpenAI, a ggml file of whisper.cpp, or synthetic:SIZE (random
weights of the shape tiny, base, small, medium or large-v3). Without --model
it is \$NPUENC_MODEL, else the first file in
  $root/models
  ${root%/*}/shared/models
  $models_home
else whisper-tiny.en ($model_size), downloaded into the last of them once.
TEXT
}

need_file ()
{
  [ -e "$1" ] || die "there is no file '$1'."
  [ -r "$1" ] || die "'$1' cannot be read; check its permissions."
}

# The options of every script; a script with others has a function own_option
# that takes an option and its value, and own_flag for those without one.
choice=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) usage; exit 0 ;;
    --) shift; break ;;
    -*)
      if command -v own_flag >/dev/null && own_flag "$1"; then
        shift
        continue
      fi
      [ $# -ge 2 ] || die "$1 wants a value, or is no option; see --help."
      ;;
    *) break ;;
  esac
  case $1 in
    --model) choice=$2 ;;
    *)
      { command -v own_option >/dev/null && own_option "$1" "$2"; } ||
        die "there is no option $1; see --help."
      ;;
  esac
  shift 2
done

# --- the plugin

# The plugin of ./build comes after what the environment names and before what
# is installed. GStreamer ignores GST_PLUGIN_PATH where there is the other one.
find_plugin ()
{
  command -v gst-launch-1.0 >/dev/null ||
    die "there is no gst-launch-1.0; install gstreamer1.0-tools, or run" \
      "$root/pipelines/quickstart.sh, which does."
  if [ -d "$root/build/gst" ]; then
    named=${GST_PLUGIN_PATH_1_0:-${GST_PLUGIN_PATH:-}}
    GST_PLUGIN_PATH_1_0=${named:+$named:}$root/build/gst
    export GST_PLUGIN_PATH_1_0
  fi
  gst-inspect-1.0 npuencoder >/dev/null 2>&1 ||
    die "GStreamer finds no npuencoder; build it first:" \
      "$root/pipelines/quickstart.sh"
}

# --- the model

wanted=any

# The same without encoders that have no decoder.
find_whole_model ()
{
  wanted=whole
  find_model
}

# Sets $model.
find_model ()
{
  model=${choice:-${NPUENC_MODEL:-}}
  if [ -n "$model" ]; then
    case $model in
      synthetic:*) ;;
      *) need_file "$model" ;;
    esac
    say "Model: $model"
    return 0
  fi
  for folder in "$root/models" "$root/../shared/models" "$models_home"; do
    for file in "$folder"/*.safetensors "$folder"/*.bin; do
      [ -r "$file" ] || continue
      is_left_out "${file##*/}" && continue
      model=$file
      [ "$model" != "$models_home/$model_name" ] || need_vocabulary
      say "Model: $model"
      return 0
    done
  done
  download_model
}

# What finds speech is no model of ours; an encoder alone may be.
is_left_out ()
{
  case $1 in
    *vad*) return 0 ;;
    *encoder*) [ "$wanted" = whole ] ;;
    *) return 1 ;;
  esac
}

# Sets $model to the downloaded file or, with no way to Hugging Face, to
# random weights.
download_model ()
{
  model=$models_home/$model_name
  say "Downloading whisper-tiny.en ($model_size) from Hugging Face into $model"
  if download "${NPUENC_MODEL_URL:-$model_url}" "$model_sha256" "$model"; then
    need_vocabulary
    return 0
  fi
  model=synthetic:tiny
  say "No model could be downloaded, so this goes on with $model: random" \
    "weights of whisper-tiny's shape. The states below MEAN NOTHING; only" \
    "their shape and the times are real. With a network, run this again;" \
    "without one, copy a Whisper model into $models_home."
}

# Of the downloaded model; without it there is no text.
need_vocabulary ()
{
  [ "$wanted" = whole ] && [ ! -e "$models_home/$vocabulary_name" ] || return 0
  download "${NPUENC_VOCABULARY_URL:-$vocabulary_url}" any \
    "$models_home/$vocabulary_name" ||
    say "The model's vocabulary could not be downloaded: there will be no text."
}

# download URL SHA256 FILE: with "any" for the hash, any content will do. FILE
# appears whole and right, or not at all.
# Fails without a network; wrong content is an error.
download ()
{
  { mkdir -p "${3%/*}" && partial=$(mktemp "$3.XXXXXX"); } ||
    die "nothing can be written into ${3%/*}; set XDG_DATA_HOME to a folder" \
      "of yours, or pass --model."
  if command -v curl >/dev/null; then
    curl --fail --location --progress-bar --connect-timeout 15 \
      --speed-limit 1024 --speed-time 60 --output "$partial" "$1" || return 1
  elif command -v wget >/dev/null; then
    wget --quiet --show-progress --timeout=60 --tries=2 \
      --output-document="$partial" "$1" || return 1
  else
    say "There is neither curl nor wget here to download with."
    return 1
  fi
  got=$(sha256sum <"$partial")
  got=${got%% *}
  [ "$2" = any ] || [ "$got" = "$2" ] ||
    die "$1 is not the file expected: its SHA-256 is $got, not $2. It was" \
      "deleted. Run this again, or fetch a model yourself and pass --model."
  chmod 644 "$partial"
  mv "$partial" "$3"
  partial=''
}

# --- live sources

# opens SOURCE: true if a buffer comes from it. Sets $opened to the element that
# it is, or $why to what was wrong.
opens ()
{
  # shellcheck disable=SC2086 # a list of words
  timeout -k 1 10 gst-launch-1.0 -v $1 ! fakesink num-buffers=1 \
    >"$scratch/probe" 2>&1 </dev/null && came=0 || came=$?
  opened=''
  case $1 in
    # It puts a silent source of this name where it finds no other.
    autoaudiosrc)
      ! grep -q fake-auto-audio-src "$scratch/probe" ||
        { why='it finds no source'; return 1; }
      opened=$(sed -n 's/.*autoaudiosrc0\/Gst\([A-Za-z0-9]*\):.*/\1/p' \
        "$scratch/probe" | sed -n 1p | tr '[:upper:]' '[:lower:]')
      ;;
  esac
  why=$(sed -n 's/^\(ERROR\|WARNING\): \(from element [^ ]*: \)*//p' \
    "$scratch/probe" | sed -n 1p)
  [ "$came" -ne 124 ] || why='no sound came within 10 s'
  [ "$came" -eq 0 ]
}

# Makes of $source, the user's or empty, one that gives sound.
find_source ()
{
  if [ -z "$source" ]; then
    tried=''
    for source in autoaudiosrc pulsesrc pipewiresrc alsasrc; do
      gst-inspect-1.0 --exists "$source" || continue
      if opens "$source"; then
        say "Source: ${opened:-$source}"
        break
      fi
      tried="$tried
    $source: ${opened:+$opened: }$why"
      source=''
    done
    if [ -z "$source" ]; then
      say "There is no microphone here, or no sound server that lets us" \
        "listen:$tried"
      say "A test source ticks instead. With a microphone, name its source by" \
        "--source, such as --source 'alsasrc device=hw:1' (arecord -l lists" \
        "the devices)."
      source='audiotestsrc is-live=true wave=ticks'
    fi
  elif opens "$source"; then
    say "Source: $source"
  else
    die "--source '$source' gives no sound: $why. gst-inspect-1.0 ${source%% *}" \
      "lists its properties; without --source one that works is looked for."
  fi
}

# --- pipelines

# Audio of any format that GStreamer decodes, as whispermel wants it.
# shellcheck disable=SC2034 # used by those who source this
to_mel='audioconvert ! audioresample ! whispermel'

# quoted NAME: as gst-launch-1.0 takes the value of a property, whatever
# characters it has.
quoted ()
{
  case $1 in
    '' | *[!A-Za-z0-9_.:/-]*)
      printf '"%s"' "$(printf '%s' "$1" | LC_ALL=C sed 's/[\\"]/\\&/g')" ;;
    *) printf '%s' "$1" ;;
  esac
}

# launch OPTIONS... PIPELINE...: gst-launch-1.0, shown before it runs, with -m
# among its options. What it says comes out, and is in $scratch/log too. Fails if
# the pipeline does.
launch ()
{
  show='cat'
  play "$@"
}

# encode FUNCTION OPTIONS... PIPELINE...: launches a pipeline; FUNCTION reads and
# shows what it says, while it does. Ends the script if the pipeline fails.
encode ()
{
  show=$1
  shift
  play -m "$@" || {
    say_missing
    die "the pipeline failed, for the reason above."
  }
}

# What GStreamer lacks for a file, and the Debian package that has it.
say_missing ()
{
  sed -n 's/.*: missing-plugin,.* name=(string)"\{0,1\}\([^";,]*\).*/\1/p' \
    "$scratch/log" | sed 's/\\//g' | sort -u |
    while IFS= read -r what; do
      case $what in
        *WMA* | *ASF* | *'Windows Media'*)
          package='gstreamer1.0-plugins-ugly gstreamer1.0-libav' ;;
        *'transport stream'* | *AIFF*) package=gstreamer1.0-plugins-bad ;;
        *) package=gstreamer1.0-libav ;;
      esac
      say "GStreamer has no $what here. Debian's is in: apt-get install $package"
    done
}

# It ends whatever happens: now and then gst-launch-1.0 stays after an error or
# the end of the stream, or loses an interrupt that comes before it plays. Ctrl-C
# it has from here, once, hence the session of its own.
play ()
{
  show_command "$@"
  said=$scratch/said
  rm -rf "$said"
  mkdir "$said"
  mkfifo "$said/messages"
  setsid gst-launch-1.0 "$@" >"$said/messages" </dev/null &
  player=$!
  watch_player <"$said/messages" | tee "$scratch/log" | "$show" &
  watcher=$!
  interrupts=0
  trap interrupt_player INT
  wait_for "$player"
  player=''
  played=$status
  wait_for "$watcher"
  trap 'exit 130' INT

  # One that had to be ended after the end of its stream has done its work.
  [ "$played" -lt 128 ] || [ ! -e "$said/eos" ] || played=0
  case " $interrupts $* " in
    ' 0 '* | *' -e '*) ;;
    *) exit 130 ;; # what was written is not the whole
  esac
  [ "$played" -eq 0 ] && [ ! -e "$said/error" ]
}

show_command ()
{
  printf '\n$ gst-launch-1.0' >&2
  for word; do
    case $word in
      *[!A-Za-z0-9_=./:!-]*) printf " '%s'" "$word" >&2 ;;
      *) printf ' %s' "$word" >&2 ;;
    esac
  done
  printf '\n\n' >&2
}

# Sets $status to that of a process in the background; interrupts are handled
# meanwhile.
wait_for ()
{
  while :; do
    status=0
    wait "$1" || status=$?
    kill -0 "$1" 2>/dev/null || break
  done
}

# Copies what gst-launch-1.0 says, and ends it where it should end and does not.
watch_player ()
{
  deadline=''
  while IFS= read -r line; do
    printf '%s\n' "$line"
    case $line in
      'Got message '*' (error): '*) : >"$said/error"; end_player_in 10 ;;
      'Got message '*' (eos): '*) : >"$said/eos"; end_player_in 10 ;;
      'handling interrupt.'*) : >"$said/interrupt"; end_player_in 10 ;;
      'Interrupt: '*) end_player_in 600 ;; # the last window may be long
    esac
  done
  [ -z "$deadline" ] || kill "$deadline" 2>/dev/null || :
}

# Its output is not ours: whoever reads that must not wait for this.
end_player_in ()
{
  [ -z "$deadline" ] || kill "$deadline" 2>/dev/null || :
  {
    left=$1
    while [ "$left" -gt 0 ] && kill -0 "$player"; do
      sleep 1
      left=$((left - 1))
    done
    kill "$player" && sleep 5 && kill -KILL "$player"
  } >/dev/null 2>&1 &
  deadline=$!
}

# The first Ctrl-C goes on to gst-launch-1.0, until that has taken notice, which
# it must within 10 s; the second ends it at once.
interrupt_player ()
{
  interrupts=$((interrupts + 1))
  if [ $interrupts -gt 1 ]; then
    kill "$player" 2>/dev/null || :
    return 0
  fi
  {
    tries=10
    while kill -INT "$player" && sleep 1 && [ ! -e "$said/interrupt" ]; do
      [ "$tries" -gt 0 ] || { kill "$player"; sleep 5; kill -KILL "$player"; }
      tries=$((tries - 1))
    done
  } >/dev/null 2>&1 &
}

# need_window ELEMENT AUDIO: an empty recording is a mistake that nothing else
# tells of.
need_window ()
{
  grep -q "from element \"$1\" (element): npuencoder-stats," "$scratch/log" ||
    die "no window was encoded: there is no sound in '$2'. Is it empty, or cut" \
      "off behind its header? gst-discoverer-1.0 shows its length."
}

# field NAME MESSAGE: the value of a field in a message as gst-launch-1.0 -m
# prints it, "..., NAME=(type)VALUE, ...".
field ()
{
  case $2 in
    *" $1=("*) ;;
    *) return 0 ;;
  esac
  value=${2#*" $1=("}
  value=${value#*)}
  printf '%s' "${value%%[,;]*}"
}

# Nanoseconds with one decimal.
milliseconds ()
{
  printf '%d.%d' $(($1 / 1000000)) $(($1 / 100000 % 10))
}

seconds ()
{
  printf '%d.%d' $(($1 / 1000000000)) $(($1 / 100000000 % 10))
}

# Reads what gst-launch-1.0 -m prints and shows each npuencoder-stats message
# as a line, with the element's name where there are several.
show_windows ()
{
  while IFS= read -r line; do
    case $line in
      'Got message '*': npuencoder-stats,'*) ;;
      *) continue ;;
    esac
    element=${line#*'from element "'}
    element=${element%%'"'*}
    case $element in
      encoder | npuencoder[0-9]*) ;;
      *) printf '%s: ' "$element" ;;
    esac
    start=$(field stream-time "$line")
    length=$(field duration "$line")
    printf 'window %s: %s s to %s s, encoded in %s ms, %.1f x real time\n' \
      "$(field window "$line")" "$(seconds "$start")" \
      "$(seconds $((start + length)))" \
      "$(milliseconds "$(field total-time "$line")")" \
      "$(field realtime-factor "$line")"
  done
}
