#!/bin/sh
# Installs what the tests need, builds, runs the tests, and ends with a line
# "N passed, N failed" (", N skipped" where so), counted over all stages.
#
# usage: tests/run.sh [--no-install] [--build-dir DIR] [STAGE...]
#
#   gcc       everything, built by gcc; this is what runs without a STAGE
#   clang     the programs of the tests, built by clang
#   asan      the same under AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan      the same under ThreadSanitizer
#   valgrind  short pipelines under valgrind
#   all       all of these; also with CI=true in the environment, and then
#             every warning is an error
#
#   --no-install     installs nothing: what is missing is skipped or fails
#   --build-dir DIR  builds in folders of DIR; default: build-tests
#
# Tests that need test data find it in $NPUENC_TEST_DATA, else in ../shared, and
# are skipped without it.
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../pipelines/packages.sh
. "$root/pipelines/packages.sh"

all='gcc clang asan tsan valgrind'
ci=false
[ "${CI:-}" != true ] || ci=true

builds=$root/build-tests install=true stages=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,$ { /^# SPDX/q; s/^# \{0,1\}//; p; }' "$0"; exit 0 ;;
    --no-install) install=false ;;
    --build-dir)
      [ $# -ge 2 ] || die "--build-dir wants a folder; see --help."
      mkdir -p "$2"
      builds=$(cd "$2" && pwd)
      shift
      ;;
    all) stages=$all ;;
    gcc | clang | asan | tsan | valgrind) stages="$stages $1" ;;
    *) die "there is no option or stage '$1'; see --help." ;;
  esac
  shift
done
if [ -z "$stages" ]; then
  stages=gcc
  ! $ci || stages=$all
fi

# what_tests_need: the packages for the stages.
what_tests_need ()
{
  build_packages
  run_packages
  printf '%s\n' libjson-glib-dev python3 python3-numpy \
    shellcheck espeak-ng curl ca-certificates
  # GstTensorMeta came with GStreamer 1.26, in Debian 13.
  case $(. /etc/os-release && printf '%s' "${VERSION_ID:-}") in
    '' | 12) ;;
    *) printf '%s\n' libgstreamer-plugins-bad1.0-dev ;;
  esac
  case " $stages " in *' clang '*) printf '%s\n' clang ;; esac
  case " $stages " in *' valgrind '*) printf '%s\n' valgrind ;; esac
}

# build NAME COMPILER OPTION...: a build folder of that name.
build ()
{
  folder=$builds/$1 compiler=$2
  shift 2
  if [ -e "$folder/build.ninja" ]; then
    meson configure "$folder" "$@" || return
  else
    CC=$compiler meson setup "$folder" "$root" "$@" || return
  fi
  ninja -C "$folder"
}

# try NAME LOG OPTION...: runs the tests of a build; notes where the log is.
# meson adds the name of the setup to that of the log.
try ()
{
  folder=$builds/$1 log=$2
  shift 2
  rm -f "$folder/meson-logs/$log"*
  meson test -C "$folder" --no-rebuild --print-errorlogs --logbase "$log" \
    "$@" || :
  ls "$folder/meson-logs/$log"*.json >>"$scratch/logs"
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
        try clang programs --no-suite scripts --no-suite valgrind
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
  esac
}

if $install; then
  # shellcheck disable=SC2046 # a list of words
  install_packages $(what_tests_need)
fi

: >"$scratch/logs"
broken=''
for name in $stages; do
  say "--- $name"
  stage "$name" || broken="$broken $name"
done
[ -z "$broken" ] || say "These came to no tests:$broken"

# shellcheck disable=SC2086 # a list of words
python3 "$root/tests/scripts/tally.py" "$scratch/logs" $broken
