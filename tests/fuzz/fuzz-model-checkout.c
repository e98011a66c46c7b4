/* Folders as Hugging Face's libraries write them: a model or its shards with
 * their index, config.json and generation_config.json, by a tape of decisions.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "make-model.h"
#include "model/model-private.h"
#include "read-model.h"
#include "tape.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static const char *const files[] = {"model.safetensors", "config.json",
    "model.safetensors.index.json", "model-2.safetensors", "x",
    "generation_config.json"};

static char *folder;

static void
leave (void)
{
  g_rmdir (folder);
  g_free (folder);
}

static void
write_file (const char *name, gconstpointer data, gsize size)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  if (!g_file_set_contents (path, data, (gssize) size, NULL))
    abort ();
}

/* An object of pieces that mostly fit. */
static void
write_config (Tape *tape)
{
  static const char *const pieces[] = {"\"model_type\":\"whisper\"",
      "\"d_model\":64", "\"d_model\":128", "\"encoder_attention_heads\":1",
      "\"decoder_attention_heads\":1", "\"decoder_attention_heads\":9",
      "\"activation_function\":\"gelu\"", "\"activation_function\":\"\\u0001\"",
      "\"scale_embedding\":false", "\"scale_embedding\":true",
      "\"d_model\":18446744073709551616", "\"a\":[{\"b\":[null,-1.5e+3]}]",
      "\"model_type\":7", "\"d_model\":\"64\"", "\"", "}"};
  g_autoptr (GString) text = g_string_new ("{\"model_type\":\"whisper\"");

  for (guint n = tape_below (tape, 5); n > 0; n--)
    g_string_append_printf (text, ",%s", TAPE_ONE_OF (tape, pieces));
  g_string_append (text, tape_below (tape, 8) == 1 ? "" : "}");
  write_file ("config.json", text->str, text->len);
}

/* Heads that the decoder has and has not. */
static void
write_generation_config (Tape *tape)
{
  static const char *const pieces[] = {"[0,0]", "[0,1]", "[1,0]", "[9,9]",
      "[0]", "[0,0,0]", "[-1,0]", "7", "[[]]", "[1.5,0]", "null", "[0,",
      "[18446744073709551616,0]", "{}"};
  g_autoptr (GString) text =
      g_string_new ("{\"a\":[1,{\"b\":2}],\"alignment_heads\":[[0,0]");

  for (guint n = tape_below (tape, 5); n > 0; n--)
    g_string_append_printf (text, ",%s", TAPE_ONE_OF (tape, pieces));
  g_string_append (text, tape_below (tape, 8) == 1 ? "]" : "]}");
  write_file (files[5], text->str, text->len);
}

/* The heads that are told are the decoder's. */
static void
check_heads (NpuModel *model)
{
  const NpuTransformerConfig *decoder = &npu_model_get_config (model)->decoder;
  guint n;
  const NpuAlignmentHead *heads = npu_model_get_alignment_heads (model, &n);

  for (guint i = 0; i < n; i++) {
    if (heads[i].layer >= decoder->n_layers ||
        heads[i].head >= decoder->n_heads)
      abort ();
  }
}

/* The tensors of a file that is whole are in model.safetensors; the index says
 * so of some, and other things of others. */
static void
write_index (Tape *tape)
{
  static const char *const tensors[] = {"encoder.conv1.weight",
      "encoder.ln_post.bias", "model.encoder.conv1.weight", "", "\\u001b",
      "nowhere", "decoder.ln.bias"};
  static const char *const shards[] = {"model.safetensors", "model.safetensors",
      "model-2.safetensors", "../x", "", "x", "nowhere", "config.json",
      "\\u0007"};
  static const char *const others[] = {"\"metadata\":{\"total_size\":1e6}",
      "\"a\":[[[]],{}]", "\"weight_map\":[]", "\"b\":nul", "\"\\ud800\":1"};
  g_autoptr (GString) text = g_string_new ("{\n");

  if (tape_below (tape, 4) == 1)
    g_string_append_printf (text, "%s,", TAPE_ONE_OF (tape, others));
  g_string_append (text, "\"weight_map\": {");
  for (guint i = 0, n = tape_below (tape, 4); i < n; i++)
    g_string_append_printf (text, "%s\"%s\":\"%s\"", i ? "," : "",
        TAPE_ONE_OF (tape, tensors), TAPE_ONE_OF (tape, shards));
  g_string_append (text, tape_below (tape, 8) == 1 ? "}" : "}}");
  write_file (files[2], text->str, text->len);
}

static void
open_folder (const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = npu_model_open (path, &error);

  if (model)
    check_heads (model);
  else if (!error || !g_utf8_validate (error->message, -1, NULL))
    abort ();
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  Tape tape = {data, size};
  const gboolean has_index = tape_below (&tape, 4) > 0;
  gsize model_size;
  const guint8 *model;

  if (!folder) {
    folder = g_dir_make_tmp ("npuenc-fuzz-XXXXXX", NULL);
    atexit (leave);
  }
  if (tape_below (&tape, 4) > 0)
    write_config (&tape);
  if (tape_below (&tape, 4) > 0)
    write_generation_config (&tape);
  if (has_index)
    write_index (&tape);
  if (tape_below (&tape, 4) == 1)
    write_file (files[3], "\2\0\0\0\0\0\0\0{}", 10);
  model = make_model (tape.data, tape.left, &model_size);
  /* Without it the folder's index is found. */
  write_file (has_index && tape_below (&tape, 8) == 1 ? files[4] : files[0],
      model, model_size);

  open_folder ("");
  if (has_index)
    open_folder (files[2]);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path = g_build_filename (folder, files[i], NULL);

    g_unlink (path);
  }
  return 0;
}
