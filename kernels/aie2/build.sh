#!/bin/sh
# Builds the overlays of a model size for the NPU of Phoenix and Hawk Point,
# and their overlays.ini, into a folder for the element's property `overlays`.
#
# usage: build.sh --size tiny|base|small --out DIR [--precision bf16|int8|all]
#                 [--mlir-aie DIR]
#
# NOT YET RUN: neither mlir-aie's Python package nor Peano was at hand when this
# was written. The designs themselves have passed mlir-aie's pipeline (README.md).
# It knows the options of mlir-aie before June 2026 and of those since (1.4):
# which it has to do with is seen from what --help says.
#
# Wants, as mlir-aie's own instructions install them:
#   aiecc and python3 with the package `aie` (its environment activated)
#   PEANO_INSTALL_DIR   the folder of Peano, the compiler for the cores
#   --mlir-aie DIR      mlir-aie's source tree of the same version, for its
#                       matrix product; default: $MLIR_AIE_DIR
# Work is kept in DIR/work: run again to go on where it failed.
#
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu
here=$(cd "$(dirname "$0")" && pwd)

die ()
{
  echo "build.sh: $*" >&2
  exit 1
}

size='' out='' precision=all mlir_aie=${MLIR_AIE_DIR:-}
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,$ { /^# SPDX/q; s/^# \{0,1\}//; p; }' "$0"; exit 0 ;;
    --size | --out | --precision | --mlir-aie)
      [ $# -ge 2 ] || die "$1 wants a value; see --help."
      case $1 in
        --size) size=$2 ;;
        --out) out=$2 ;;
        --precision) precision=$2 ;;
        --mlir-aie) mlir_aie=$2 ;;
      esac
      shift
      ;;
    *) die "there is no option '$1'; see --help." ;;
  esac
  shift
done
[ -n "$size" ] || die "which --size? See --help."
[ -n "$out" ] || die "--out is missing: the folder for the overlays."
overlays=$(python3 "$here/overlays.py" --size "$size" \
  --precision "$precision" --list) || exit 1

command -v aiecc > /dev/null ||
  die "there is no aiecc on the PATH: activate mlir-aie's environment."
[ -n "${PEANO_INSTALL_DIR:-}" ] ||
  die "PEANO_INSTALL_DIR is not set: it names the folder of Peano."
compiler=$PEANO_INSTALL_DIR/bin/clang++
[ -x "$compiler" ] ||
  die "$compiler is missing: PEANO_INSTALL_DIR is not the folder of Peano."
package=$(python3 -c \
  'from aie.utils.config import root_path; print(root_path())') ||
  die "python3 has no package 'aie': activate mlir-aie's environment."
whole_array=programming_examples/basic/matrix_multiplication/whole_array
[ -f "$mlir_aie/$whole_array/whole_array.py" ] ||
  die "--mlir-aie '$mlir_aie' is not mlir-aie's source tree."

new_aiecc=false
! aiecc --help 2>&1 < /dev/null | grep -q -e --get-xclbin || new_aiecc=true
help=$(python3 "$mlir_aie/$whole_array/whole_array.py" --help 2>&1 \
  < /dev/null) || die "$whole_array/whole_array.py --help says: $help"
product_is=mlir emit_mlir=''
case $help in
  *--xclbin-path*) product_is=overlay ;;
  *--emit-mlir*) emit_mlir=--emit-mlir ;;
esac

mkdir -p "$out/work"
out=$(cd "$out" && pwd)

# compile SOURCE OBJECT [DEFINE...]
compile ()
{
  source=$1 object=$2
  shift 2
  "$compiler" -x c++ -std=c++20 -O2 --target=aie2-none-unknown-elf -DNDEBUG \
    -Wno-parentheses -Wno-attributes -Wno-macro-redefined -Wno-empty-body \
    -Wno-missing-template-arg-list-after-template-kw \
    "$@" -I "$package/include" -c "$source" -o "$object"
}

# link_design NAME SCHEME: NAME/aie.mlir and its objects to an overlay.
link_design ()
{
  if "$new_aiecc"; then
    wanted='--get-xclbin --get-npu-insts'
  else
    wanted='--no-compile-host --no-xchesscc --no-xbridge --aie-generate-xclbin
      --aie-generate-npu-insts'
  fi
  # shellcheck disable=SC2086 # a list of words
  (cd "$out/work/$1" &&
    aiecc --alloc-scheme="$2" --peano "$PEANO_INSTALL_DIR" $wanted \
      --xclbin-name="$1.xclbin" --npu-insts-name="$1.bin" aie.mlir \
      < /dev/null)
  mv "$out/work/$1/$1.xclbin" "$out/work/$1/$1.bin" "$out/"
}

# Ours: one object a program, of the same name.
make_program ()
{
  name=$1 program=$3
  shift 2
  python3 "$here/design.py" "$@" > "$out/work/$name/aie.mlir"
  compile "$here/$program.c" "$out/work/$name/$program.o"
  link_design "$name" bank-aware
}

# mlir-aie's matrix product over the whole array, with its own core program:
# a by rows, b by rows, c by rows; a block of m x k by k x n a core.
make_product ()
{
  name=$1
  shift 2
  if [ "$product_is" = overlay ]; then
    # To the end, with the core program of mlir-aie's library.
    python3 "$mlir_aie/$whole_array/whole_array.py" --dev npu "$@" \
      --xclbin-path "$out/work/$name/$name.xclbin" \
      --insts-path "$out/work/$name/$name.bin" < /dev/null
    mv "$out/work/$name/$name.xclbin" "$out/work/$name/$name.bin" "$out/"
    return
  fi
  # shellcheck disable=SC2086 # one word or none
  python3 "$mlir_aie/$whole_array/whole_array.py" --dev npu "$@" \
    $emit_mlir > "$out/work/$name/aie.mlir"
  block=64x64x32
  case $name in
    linear_bf16_*) types=bf16_f32 ;;
    *) types=i8_i32 ;;
  esac
  compile "$mlir_aie/aie_kernels/aie2/mm.cc" \
    "$out/work/$name/mm_$block.o" "-D${types}_ONLY" -DVECTORIZED_ONLY \
    -DDIM_M=64 -DDIM_K=64 -DDIM_N=32
  link_design "$name" basic-sequential
}

echo "$overlays" | while read -r line; do
  # shellcheck disable=SC2086 # words of a line
  set -- $line
  if [ -f "$out/$1.xclbin" ] && [ -f "$out/$1.bin" ]; then
    continue
  fi
  echo "build.sh: $1"
  mkdir -p "$out/work/$1"
  case $2 in
    design.py) make_program "$@" ;;
    whole_array.py) make_product "$@" ;;
  esac
done
python3 "$here/overlays.py" --size "$size" --precision "$precision" \
  > "$out/overlays.ini"
echo "build.sh: $out/overlays.ini"
