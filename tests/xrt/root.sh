#!/bin/sh
# A Debian 13 with XRT (from trixie-backports) in a folder, made by debootstrap,
# to build and test in.
#
# usage: tests/xrt/root.sh can               says why not, and fails, if it cannot
#        tests/xrt/root.sh made              fails if it is not made yet
#        tests/xrt/root.sh make PACKAGE...   makes it, or adds what it lacks
#        tests/xrt/root.sh run COMMAND...    runs a command in it, in /build
#        tests/xrt/root.sh where             prints its folder
#
# The folder is $NPUENC_XRT_ROOT, else npuenc/xrt-root in $XDG_CACHE_HOME or
# ~/.cache; it takes 2.2 GB and is kept for the next time. Inside, /src is
# this project (to read only), /build is the folder $NPUENC_XRT_BUILD and /shared
# is $NPUENC_TEST_DATA (to read only). All mounts are the command's own and go
# with it. Needs to be run by root, with debootstrap, on a Debian; packages come
# from where this machine's apt gets them.
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=../../pipelines/packages.sh
. "$root/pipelines/packages.sh"

suite=trixie
folder=${NPUENC_XRT_ROOT:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/npuenc/xrt-root}
ours=$folder/.npuenc-root          # made first
complete=$folder/.npuenc-complete # made last
xrt_packages='libxrt-dev libxrt2 libxrt-npu2 libxrt-utils libxrt-utils-npu
  linux-libc-dev'

# Its first source of Debian's packages.
mirror ()
{
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' |
    sed -n 's/^\([^ ]*\) Debian$/\1/p' | sed -n 1p
}

can ()
{
  if [ "$(id -u)" -ne 0 ]; then
    say "a Debian 13 root is made and entered by root only"
  elif ! unshare --mount true 2>/dev/null; then
    say "mounting is not permitted here"
  elif [ -e "$complete" ]; then
    return 0
  elif ! command -v debootstrap >/dev/null; then
    say "there is no debootstrap"
  elif ! [ -e "/usr/share/debootstrap/scripts/$suite" ]; then
    say "this debootstrap knows no $suite"
  elif [ -z "$(mirror)" ]; then
    say "apt has no source of Debian's packages here (try: apt-get update)"
  else
    return 0
  fi
  return 1
}

# How this machine reaches the network, for apt and others inside.
copy_network ()
{
  for file in /etc/resolv.conf /etc/hosts; do
    [ ! -e "$file" ] || cp -L "$file" "$folder$file"
  done
  for place in /etc/ssl/certs /usr/local/share/ca-certificates; do
    [ ! -d "$place" ] || {
      mkdir -p "$folder$place"
      cp -aL "$place/." "$folder$place/" 2>/dev/null || :
    }
  done
  mkdir -p "$folder/etc/apt/apt.conf.d"
  apt-config dump | grep -iE '^Acquire::(http|https|ftp|Retries)[: ]' \
    >"$folder/etc/apt/apt.conf.d/90host" || :
}

write_sources ()
{
  printf 'deb %s %s main\n' "$1" "$suite" "$1" "$suite-backports" \
    >"$folder/etc/apt/sources.list"
}

enter ()
{
  # shellcheck disable=SC2016 # expanded inside
  unshare --mount --propagation private -- sh -euc '
    folder=$1 source=$2 build=$3 data=$4
    shift 4
    mount --bind "$folder" "$folder" # else nothing inside could unshare mounts
    mount -t proc proc "$folder/proc"
    for pair in "$source:/src" "$build:/build" "$data:/shared"; do
      from=${pair%:*} to=$folder${pair##*:}
      mkdir -p "$to"
      [ -n "$from" ] && [ -d "$from" ] || continue
      mount --bind "$from" "$to"
      [ "$to" = "$folder/build" ] || mount -o remount,bind,ro "$to"
    done
    cd "$folder"
    exec chroot "$folder" env -u TMPDIR HOME=/root LC_ALL=C.UTF-8 \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      DEBIAN_FRONTEND=noninteractive NPUENC_TEST_DATA=/shared \
      sh -c "cd /build && exec \"\$@\"" - "$@"
  ' - "$folder" "$root" "${NPUENC_XRT_BUILD:-}" "${NPUENC_TEST_DATA:-}" "$@"
}

# quietly WHAT COMMAND...: shows the command's output only if it fails.
quietly ()
{
  what=$1
  shift
  "$@" >"$scratch/log" 2>&1 </dev/null || {
    tail -n 20 "$scratch/log" >&2
    die "$what failed, as shown above; see also $folder"
  }
}

make_root ()
{
  source=$(mirror)
  say "Making a Debian 13 with XRT in $folder (once: 2.2 GB, some minutes)"
  if [ -e "$ours" ]; then
    rm -rf --one-file-system "$folder"
  elif [ -n "$(ls -A "$folder" 2>/dev/null)" ]; then
    die "$folder is not empty and no root of this script; it is left alone"
  fi
  mkdir -p "$folder"
  : >"$ours"
  quietly debootstrap debootstrap --variant=minbase "$suite" "$folder" "$source"
  write_sources "$source"
  copy_network
}

# install TARGET PACKAGE...: what is missing of them.
install ()
{
  target=$1
  shift
  quietly "apt-get in $folder" enter apt-get -qy --no-install-recommends \
    -t "$target" install "$@"
}

lacking ()
{
  for package; do
    case $(dpkg-query --root="$folder" -W -f '${Status}' "$package" \
      2>/dev/null) in
      'install ok installed') ;;
      *) printf '%s\n' "$package" ;;
    esac
  done
}

# Without recommended packages, documents and translations of packages.
make_or_add ()
{
  mkdir -p "${folder%/*}"
  exec 9>"$folder.lock"
  flock 9 # one at a time
  [ -e "$complete" ] || make_root
  # shellcheck disable=SC2086 # a list of words
  xrt=$(lacking $xrt_packages | tr '\n' ' ')
  others=$(lacking "$@" | tr '\n' ' ')
  if [ -n "$xrt$others" ]; then
    say "Installing in $folder: $xrt$others"
    quietly "apt-get update in $folder" enter apt-get -q update
    # shellcheck disable=SC2086 # lists of words
    [ -z "$xrt" ] || install "$suite-backports" $xrt
    # shellcheck disable=SC2086
    [ -z "$others" ] || install "$suite" $others
    enter apt-get clean
  fi
  : >"$complete"
  exec 9>&-
}

command=${1:-}
[ -z "$command" ] || shift
case $command in
  can) can ;;
  made) [ -e "$complete" ] ;;
  make) can && make_or_add "$@" ;;
  run)
    [ -e "$complete" ] || die "there is no root in $folder; see make."
    enter "$@"
    ;;
  where) printf '%s\n' "$folder" ;;
  *) die "it takes can, made, make, run or where; see its first lines." ;;
esac
