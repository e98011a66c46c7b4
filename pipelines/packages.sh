# Messages, a scratch folder, and the Debian packages that building, running and
# testing need. POSIX sh, sourced.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh

scratch=$(mktemp -d)
partial='' # a file being written, not yet to be seen
player=''  # a process that must not outlive this one
trap '[ -z "$player" ] || kill "$player" 2>/dev/null || :
  rm -rf "$scratch" ${partial:+"$partial"}' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

say ()
{
  printf '%s\n' "$*" >&2
}

die ()
{
  say "${0##*/}: $*"
  exit 1
}

missing_packages ()
{
  for package; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
      'install ok installed') ;;
      *) printf '%s\n' "$package" ;;
    esac
  done
}

# install_packages PACKAGE...: what is missing of them, by apt-get.
install_packages ()
{
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "This is not Debian: it is assumed that $* or their like are here."
    return 0
  fi
  missing=$(missing_packages "$@" | tr '\n' ' ')
  missing=${missing% }
  [ -n "$missing" ] || return 0

  if [ "$(id -u)" -eq 0 ]; then
    as_root=''
  elif command -v sudo >/dev/null; then
    as_root='sudo'
  else
    die "these packages are missing: $missing. You are not root and there is" \
      "no sudo; as root, run: apt-get install --no-install-recommends $missing"
  fi
  say "Installing by apt-get: $missing"
  # Lists of old may do where they cannot be updated.
  $as_root apt-get -q update >"$scratch/apt.log" 2>&1 || :
  # shellcheck disable=SC2086 # lists of words
  $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qy --no-install-recommends install $missing \
    >>"$scratch/apt.log" 2>&1 </dev/null || {
    tail -n 15 "$scratch/apt.log" >&2
    die "apt-get failed, as shown above. Is there a network? Else install:" \
      "$missing"
  }
}

build_packages ()
{
  printf '%s\n' gcc libc6-dev meson ninja-build pkg-config libglib2.0-dev \
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libdnnl-dev zlib1g-dev
}

run_packages ()
{
  printf '%s\n' gstreamer1.0-tools gstreamer1.0-plugins-base \
    gstreamer1.0-plugins-good gstreamer1.0-alsa
}
