#!/bin/sh
# Adds subtitles to a recording that is served by HTTP Live Streaming (HLS).
#
# usage: hls-subtitles.sh [--language CODE] [--name NAME] [--start TICKS]
#                         SUBTITLES.vtt PLAYLIST.m3u8 MASTER.m3u8
#
#   SUBTITLES.vtt    WebVTT of the whole recording, as transcribe.sh and webvttenc
#                    write it
#   PLAYLIST.m3u8    the recording's media playlist, as hlssink2 and ffmpeg write
#                    it, complete, with its segments where it names them
#   MASTER.m3u8      written: the playlist to hand out. It names PLAYLIST and
#                    the subtitles', so it is in the same folder
#   --language CODE  of the text, such as de; default: not told
#   --name NAME      what a player's menu shows; default Subtitles
#   --start TICKS    the recording's first time stamp in its segments, in 1/90000 s;
#                    default: read from the first segment if that is MPEG-TS, else 0
#
# Beside MASTER the subtitles' playlist, SUBTITLES.m3u8, and a SUBTITLES-N.vtt for
# each segment are written. A cue is in every segment in which it shows, as
# RFC 8216 wants it.
#
# example: hls-subtitles.sh --language en talk.vtt video.m3u8 talk.m3u8
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/packages.sh"

LC_ALL=C # bytes, and a point in numbers
export LC_ALL

language='' name=Subtitles start=''
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,$ { /^# SPDX/q; s/^# \{0,1\}//; p; }' "$0"; exit 0 ;;
    --language | --name | --start)
      [ $# -ge 2 ] || die "$1 wants a value; see --help."
      case $1 in
        --language) language=$2 ;;
        --name) name=$2 ;;
        --start) start=$2 ;;
      esac
      shift 2
      ;;
    --) shift; break ;;
    -*) die "there is no option $1; see --help." ;;
    *) break ;;
  esac
done
[ $# -eq 3 ] || die "it takes subtitles and two playlists; see --help."
case $language$name in
  *[\"[:cntrl:]]*) die "a name in a playlist has no quotes and no control characters." ;;
esac
case $start in *[!0-9]*) die "--start $start: it must be a number." ;; esac
vtt=$1 media=$2 master=$3
for file in "$vtt" "$media"; do
  [ -r "$file" ] || die "there is no file '$file', or it cannot be read."
done
folder=$(dirname "$master")
[ "$(cd "$folder" && pwd)" = "$(cd "$(dirname "$media")" && pwd)" ] ||
  die "'$master' must be in the folder of '$media', whose name it holds."
[ "$(basename "$media")" != "$(basename "$master")" ] || die "'$master' would be written over."
base=$(basename "$vtt")
base=${base%.*}
case $base.m3u8 in
  "$(basename "$media")" | "$(basename "$master")")
    die "'$base.m3u8', the subtitles' playlist, would be one of the others;" \
      "rename '$vtt'."
    ;;
esac

head -c 64 "$vtt" | sed 's/^\xef\xbb\xbf//; q' | grep -q '^WEBVTT' ||
  die "'$vtt' is no WebVTT: it does not begin with WEBVTT."
grep -q '^#EXT-X-ENDLIST' "$media" ||
  die "'$media' is no whole media playlist: it has no EXT-X-ENDLIST."

mkdir "$scratch/out"
# Lines "seconds file", one for each segment.
tr -d '\r' <"$media" | awk '
  /^#EXTINF:/ { split (substr ($0, 9), part, ","); seconds = part[1] + 0 }
  /^[^#]/ { printf "%.6f %s\n", seconds, $0 }' >"$scratch/segments"
[ -s "$scratch/segments" ] || die "there is no segment in '$media'."

# The least time stamp of a MPEG-TS segment (ISO/IEC 13818-1, 2.4.3): packets of
# 188 bytes, here one a line; $4 tells whether there is an adaptation field, and a
# PES header with a time stamp may follow.
first_stamp ()
{
  od -An -v -tu1 -w188 "$1" | awk '
    $1 != 71 { exit }
    int ($2 / 64) % 2 == 0 || int ($4 / 16) % 2 == 0 { next }
    {
      i = 5
      if (int ($4 / 32) % 2) i += 1 + $5
      if ($i != 0 || $(i + 1) != 0 || $(i + 2) != 1 || $(i + 3) < 192 ||
          $(i + 7) < 128) next
      stamp = int ($(i + 9) / 2) % 8 * 1073741824 + $(i + 10) * 4194304 \
        + int ($(i + 11) / 2) * 32768 + $(i + 12) * 128 + int ($(i + 13) / 2)
      if (least == "" || stamp < least) least = stamp
    }
    END { if (least != "") printf "%.0f\n", least }'
}

if [ -z "$start" ]; then
  file=$(sed -n '1 s/^[^ ]* //p' "$scratch/segments")
  case $file in
    *.ts)
      [ -r "$folder/$file" ] ||
        die "'$media' names the segment '$file', which is not there."
      start=$(first_stamp "$folder/$file")
      [ -n "$start" ] || die "there is no time stamp in '$file'; pass --start."
      ;;
    *) start=0 ;;
  esac
fi

# Writes NAME-1.vtt and so on in $scratch. Blocks of lines are apart by empty ones: a
# cue has an arrow in its first or second line; before the first there may be styles.
tr -d '\r' <"$vtt" | awk -v start="$start" -v out="$scratch/out/$base-" '
  function seconds (time, part, n) {
    n = split (time, part, ":")
    return (n > 2 ? part[n - 2] * 3600 : 0) + part[n - 1] * 60 + part[n]
  }
  function end_block (i) {
    if (!is_cue) {
      if (!n_cues && n_blocks++) head = head block "\n"
      return
    }
    n_cues++
    while (first < n && ends[first] <= from) first++
    text[first] = text[first] block "\n"
    for (i = first + 1; i <= n && begins[i] < to; i++)
      text[i] = text[i] block "\n"
  }
  FNR == NR {
    begins[++n] = total
    ends[n] = total += $1
    first = 1
    next
  }
  $0 != "" {
    if (!is_cue && / --> /) {
      is_cue = 1
      split ($0, word, " ")
      from = seconds (word[1])
      to = seconds (word[3])
    }
    block = block $0 "\n"
    next
  }
  block != "" { end_block (); block = ""; is_cue = 0 }
  END {
    if (block != "") end_block ()
    for (i = 1; i <= n; i++) {
      file = out i ".vtt"
      printf "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:%s,LOCAL:00:00:00.000\n\n%s%s",
        start, head, text[i] >file
      close (file)
    }
  }' "$scratch/segments" -

# The subtitles' playlist has the recording's segments, by their lengths.
awk -v base="$base" '
  { if ($1 > longest) longest = $1 }
  { list = list "#EXTINF:" $1 ",\n" base "-" NR ".vtt\n" }
  END {
    print "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:VOD"
    printf "#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:0\n%s",
      int (longest + 0.5), list "#EXT-X-ENDLIST\n"
  }' "$scratch/segments" >"$scratch/out/$base.m3u8"

# What a player must be able to receive: the largest segment's bits a second.
while read -r seconds file; do
  [ ! -r "$folder/$file" ] || printf '%s %s\n' "$seconds" "$(wc -c <"$folder/$file")"
done <"$scratch/segments" >"$scratch/sizes"
bandwidth=$(awk '
  $1 > 0 && $2 * 8 / $1 > most { most = $2 * 8 / $1 }
  END { printf "%.0f\n", most + 1 }' "$scratch/sizes")
cat >"$scratch/out/master" <<TEXT
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="$name",\
${language:+LANGUAGE=\"$language\",}DEFAULT=YES,AUTOSELECT=YES,FORCED=NO,URI="$base.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=$bandwidth,SUBTITLES="subtitles"
$(basename "$media")
TEXT

# In the order in which a player that is already there may read them.
mv "$scratch/out/$base-"*.vtt "$folder/"
mv "$scratch/out/$base.m3u8" "$folder/"
mv "$scratch/out/master" "$master"
say "$master: $(wc -l <"$scratch/segments") segments of subtitles"
