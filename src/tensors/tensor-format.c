/* Tells what a file is by its first bytes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "tensors-private.h"

#define HEAD 128 /* bytes that are looked at */

#define USE_SAFETENSORS                                                        \
  "use the model.safetensors of the same model on Hugging Face"

/* Files that people try, and what to do about each. The magic is looked for at
 * the beginning, or in all of the head. */
static const struct {
  const char *magic;
  gsize length;
  gboolean anywhere;
  const char *what, *remedy;
} foreign_formats[] = {
    {"WhisperSpec", 11, TRUE, "a CTranslate2 model, as faster-whisper's are",
        "use the model that it was converted from, or " //
        "the model.safetensors of the same model on Hugging Face"},
    {".npy", 4, TRUE, "a NumPy archive (.npz), as MLX's whisper weights are",
        USE_SAFETENSORS},
    {"TFL3", 4, TRUE, "a TensorFlow Lite model", USE_SAFETENSORS},
    {"PK\3\4", 4, FALSE,
        "a zip archive, as PyTorch checkpoints (.pt, .bin) are",
        USE_SAFETENSORS
        ", or convert it with whisper.cpp's convert-pt-to-ggml.py"},
    {"\x80\x02", 2, FALSE, "a Python pickle, as old PyTorch checkpoints are",
        USE_SAFETENSORS},
    {"GGUF", 4, FALSE, "a GGUF file",
        "use whisper.cpp's own ggml-SIZE.bin or " //
        "a safetensors file"},
    {"ggml", 4, FALSE, "a big-endian ggml file", "use a little-endian one"},
    {"version https://git-lfs", 23, FALSE,
        "a Git LFS pointer, not the model itself",
        "run 'git lfs pull' where it lies"},
    {"<", 1, FALSE, "a web page or XML", "download the model itself"},
    {"\x89HDF", 4, FALSE, "an HDF5 file", USE_SAFETENSORS},
    {"RIFF", 4, FALSE, "a RIFF file, such as WAV audio", "give a model here"},
};

/* A protobuf message whose first fields are ONNX's: the version of its format,
 * then who made it, its graph, or its sets of operators (onnx.proto,
 * ModelProto). */
static gboolean
is_onnx (const guint8 *head, gsize n)
{
  return n >= 3 && head[0] == 0x08 && head[1] >= 3 && head[1] < 0x80 &&
         memchr ("\x12\x3a\x42", head[2], 3) != NULL;
}

static gboolean
fail_unknown (
    const guint8 *head, gsize n, const NpuTensorFile *file, GError **error)
{
  const guint64 size = npu_tensor_file_get_size (file);
  const char *what = size == 0 ? "an empty file" : "not a known model file";
  const char *remedy = size == 0 ? "download it again" : USE_SAFETENSORS;

  if (is_onnx (head, n)) {
    what = "an ONNX model";
    remedy = USE_SAFETENSORS;
  }
  for (guint i = 0; i < G_N_ELEMENTS (foreign_formats); i++) {
    const char *magic = foreign_formats[i].magic;
    const gsize length = foreign_formats[i].length;

    if (foreign_formats[i].anywhere
            ? memmem (head, n, magic, length) != NULL
            : n >= length && memcmp (head, magic, length) == 0) {
      what = foreign_formats[i].what;
      remedy = foreign_formats[i].remedy;
      break;
    }
  }
  return npu_file_fail (error, NPU_ERROR_WRONG_TYPE,
      npu_tensor_file_get_name (file), NULL, NPU_NO_OFFSET,
      "this is %s (%" G_GUINT64_FORMAT
      " bytes); expected a Whisper model as safetensors or whisper.cpp's ggml .bin: %s",
      what, size, remedy);
}

NpuFormat
npu_tensor_file_tell_format (NpuTensorFile *file, GError **error)
{
  const gsize n = MIN (HEAD, npu_tensor_file_get_size (file));
  guint8 head[HEAD];

  if (!npu_tensor_file_read (file, 0, n, head, NULL, error))
    return NPU_FORMAT_UNKNOWN;
  if (n >= 4 && memcmp (head, "lmgg", 4) == 0)
    return NPU_FORMAT_GGML; /* 0x67676d6c, little-endian */
  /* First: as the length of a safetensors header these would be far too
   * much. */
  if (n >= 2 && head[0] == '{' && head[1] && strchr (" \t\r\n\"", head[1]))
    return NPU_FORMAT_JSON;
  if (n >= 9 && head[8] == '{')
    return NPU_FORMAT_SAFETENSORS;
  fail_unknown (head, n, file, error);
  return NPU_FORMAT_UNKNOWN;
}
