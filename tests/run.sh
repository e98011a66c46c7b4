#!/bin/sh
# Installs what the tests need, builds, runs the tests, and ends with a line
# "N passed, N failed" (", N skipped" where so), counted over all stages.
#
# usage: tests/run.sh [--no-install] [--no-xrt-root] [--build-dir DIR] [STAGE...]
#
#   gcc       everything, built by gcc; this and xrt run without a STAGE
#   xrt       in a Debian 13 the programs, short, what needs XRT, over a
#             simulated NPU, and the examples
#   clang     the programs of the tests, built by clang, short
#   asan      the same under AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan      the same under ThreadSanitizer
#   valgrind  short pipelines under valgrind
#   all       all of these; also with CI=true in the environment, and then
#             every warning is an error
#
# Short: without the grids of settings and whole windows, which are numbers and
# were tried by the stage gcc.
#
#   --no-install     installs nothing: what is missing is skipped or fails
#   --no-xrt-root    leaves the stage xrt out
#   --build-dir DIR  builds in folders of DIR; default: build-tests
#
# The Debian 13 is a folder of 2.2 GB that tests/xrt/root.sh makes in some
# minutes, beside the first stages, and keeps, where it can: by root, with
# debootstrap. Else the stage xrt is skipped and says why.
#
# Tests that need test data find it in $NPUENC_TEST_DATA, else in ../shared, and
# are skipped without it.
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../pipelines/packages.sh
. "$root/pipelines/packages.sh"

all='gcc clang asan tsan valgrind xrt'
ci=false
[ "${CI:-}" != true ] || ci=true

builds=$root/build-tests install=true xrt_root=true stages=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,$ { /^# SPDX/q; s/^# \{0,1\}//; p; }' "$0"; exit 0 ;;
    --no-install) install=false ;;
    --no-xrt-root) xrt_root=false ;;
    --build-dir)
      [ $# -ge 2 ] || die "--build-dir wants a folder; see --help."
      mkdir -p "$2"
      builds=$(cd "$2" && pwd)
      shift
      ;;
    all) stages=$all ;;
    gcc | clang | asan | tsan | valgrind | xrt) stages="$stages $1" ;;
    *) die "there is no option or stage '$1'; see --help." ;;
  esac
  shift
done
if [ -z "$stages" ]; then
  stages='gcc xrt'
  ! $ci || stages=$all
fi
if ! $xrt_root; then
  # shellcheck disable=SC2086 # a list of words
  stages=$(printf ' %s' $stages | sed 's/ xrt\>//')
fi

# what_tests_need VERSION: the packages for the stages, on that Debian.
what_tests_need ()
{
  build_packages
  run_packages
  printf '%s\n' libjson-glib-dev python3 python3-numpy python3-gi \
    gir1.2-gst-plugins-base-1.0 gir1.2-gst-rtsp-server-1.0 shellcheck \
    espeak-ng curl ca-certificates
  # GstTensorMeta came with GStreamer 1.26, in Debian 13.
  case $1 in
    '' | 12) ;;
    *) printf '%s\n' libgstreamer-plugins-bad1.0-dev ;;
  esac
}

# Subtitles are read by programs that are not ours, on one Debian.
what_stages_need ()
{
  case " $stages " in
    *' gcc '*)
      printf '%s\n' gstreamer1.0-plugins-bad gstreamer1.0-x fonts-dejavu-core \
        ffmpeg parallel openssh-client rsync
      ;;
  esac
  case " $stages " in *' clang '*) printf '%s\n' clang ;; esac
  case " $stages " in *' valgrind '*) printf '%s\n' valgrind ;; esac
}

# Where builds are made: here, or in the Debian 13, where the sources are in
# $sources and $builds is $inside.
in_root=false sources=$root inside=$builds
xrt_root_sh=$root/tests/xrt/root.sh

there ()
{
  if $in_root; then
    "$xrt_root_sh" run "$@"
  else
    "$@"
  fi
}

# build FOLDER COMPILER OPTION...: a build folder of that name.
build ()
{
  folder=$1 compiler=$2
  shift 2
  if [ -e "$builds/$folder/build.ninja" ]; then
    there meson configure "$inside/$folder" "$@" || return
  else
    there env CC="$compiler" meson setup "$inside/$folder" "$sources" "$@" ||
      return
  fi
  there ninja -C "$inside/$folder"
}

# Half as many tests again as processors: those of pages and of live captions wait
# for a clock most of the time (subtitles: 17 s of the processor in 95).
jobs=$(($(nproc) + ($(nproc) + 1) / 2))

# try FOLDER LOG OPTION...: runs the tests of a build; notes where the log is.
# meson adds the name of the setup to that of the log.
try ()
{
  folder=$1 log=$2
  shift 2
  rm -f "$builds/$folder/meson-logs/$log"*
  there meson test -C "$inside/$folder" --no-rebuild --print-errorlogs \
    --num-processes "$jobs" --logbase "$log" "$@" || :
  ls "$builds/$folder/meson-logs/$log"*.json >>"$scratch/logs"
}

# Makes the root, or adds to it, while other stages build and test: it is the
# network and the disk that this waits for. What it says comes in its stage.
root_maker=''
trap '[ -z "$root_maker" ] || kill -- "-$root_maker" 2>/dev/null || :
  rm -rf "$scratch"' EXIT
begin_root ()
{
  if [ "$(id -u)" -eq 0 ]; then
    (install_packages debootstrap) || :
  fi
  "$xrt_root_sh" can 2>/dev/null || return 0
  "$xrt_root_sh" made ||
    say "In the background a Debian 13 is made in $("$xrt_root_sh" where):" \
      "2.2 GB, some minutes, once. --no-xrt-root does without."
  # shellcheck disable=SC2046 # a list of words
  setsid "$xrt_root_sh" make g++ $(what_tests_need 13) \
    >"$scratch/root.log" 2>&1 </dev/null &
  root_maker=$!
}

# Skipped where there can be no such root; a fault in making one is a failure.
build_and_try_in_root ()
{
  if ! "$xrt_root_sh" can 2>"$scratch/why"; then
    say "SKIP the stage xrt: $(cat "$scratch/why")."
    skipped=$((skipped + 1))
    return 0
  fi
  if ! $install && ! "$xrt_root_sh" made; then
    say "SKIP the stage xrt: there is no Debian 13 in" \
      "$("$xrt_root_sh" where), and --no-install makes none."
    skipped=$((skipped + 1))
    return 0
  fi
  say "Building and testing in the Debian 13 of $("$xrt_root_sh" where)"
  if [ -n "$root_maker" ]; then
    wait "$root_maker" || { cat "$scratch/root.log" >&2; return 1; }
    cat "$scratch/root.log" >&2
    root_maker=''
  fi
  mkdir -p "$builds"
  : "${NPUENC_TEST_DATA:=$root/../shared}"
  NPUENC_XRT_BUILD=$builds
  export NPUENC_TEST_DATA NPUENC_XRT_BUILD
  in_root=true sources=/src inside=/build
  build xrt gcc -Dwerror=$strict &&
    try xrt programs --setup quick &&
    try xrt npu --suite xrt &&
    try xrt scripts library install example docs
  came=$?
  in_root=false sources=$root inside=$builds
  return $came
}

strict=false
! $ci || strict=true

stage ()
{
  case $1 in
    gcc)
      build gcc gcc -Dwerror=$strict && try gcc all
      ;;
    clang)
      build clang clang -Dwerror=$strict &&
        try clang programs --setup quick
      ;;
    asan)
      build asan gcc -Db_sanitize=address,undefined &&
        try asan programs --setup asan
      ;;
    tsan)
      build tsan gcc -Db_sanitize=thread && try tsan programs --setup tsan
      ;;
    valgrind)
      build gcc gcc -Dwerror=$strict && try gcc valgrind --suite valgrind
      ;;
    xrt) build_and_try_in_root ;;
  esac
}

if $install; then
  # shellcheck disable=SC2046 # a list of words
  install_packages $(what_tests_need \
    "$(. /etc/os-release && printf '%s' "${VERSION_ID:-}")") $(what_stages_need)
  case " $stages " in *' xrt '*) begin_root ;; esac
fi

: "${NPUENC_STARTED:=$(date +%s)}"
: >"$scratch/logs"
broken='' skipped=0
for name in $stages; do
  say "--- $name"
  before=$(date +%s)
  stage "$name" || broken="$broken $name"
  say "--- $name took $(($(date +%s) - before)) s"
done
[ -z "$broken" ] || say "These came to no tests:$broken"

# shellcheck disable=SC2086 # a list of words
python3 "$root/tests/scripts/tally.py" --skipped $skipped \
  --started "$NPUENC_STARTED" --budget "${NPUENC_BUDGET:-0}" "$scratch/logs" \
  $broken
