/* Packs, computes and unpacks tiles of numbers that tell who wrote them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "executor-rig.h"

#include <string.h>

#define TILE_SIZE (RIG_TILE_WORDS * sizeof (guint32))

static guint32
input_word (guint tile, guint word)
{
  return (tile * RIG_TILE_WORDS + word + 1) * 2654435761u;
}

static guint32
output_word (guint32 input, guint tile)
{
  return (input ^ (input >> 15)) * 2246822519u + tile;
}

static guint32 *
slot_tile (NpuBuffer *buffer, const NpuLaunch *launch, guint tile)
{
  return (guint32 *) (gpointer) buffer->data +
         (tile - launch->first_tile) * RIG_TILE_WORDS;
}

void
rig_tile (const NpuLaunch *launch, guint tile, gpointer user_data)
{
  const guint32 *in = slot_tile (launch->args[0], launch, tile);
  guint32 *out = slot_tile (launch->args[1], launch, tile);
  guint word;

  for (word = 0; word < RIG_TILE_WORDS; word++)
    out[word] = output_word (in[word], tile);
}

static gboolean
prepare (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  Rig *rig = user_data;
  guint tile, word;

  if (rig->n_prepared++ == rig->fail_prepare_at) {
    g_set_error_literal (
        error, NPU_ERROR, NPU_ERROR_FAILED, "the test refuses to prepare");
    return FALSE;
  }
  launch->args[0] = rig->in[slot];
  launch->args[1] = rig->out[slot];
  for (tile = launch->first_tile; tile < launch->first_tile + launch->n_tiles;
       tile++) {
    guint32 *in = slot_tile (launch->args[0], launch, tile);

    for (word = 0; word < RIG_TILE_WORDS; word++)
      in[word] = input_word (tile, word);
  }
  return npu_buffer_sync (launch->args[0], NPU_SYNC_TO_DEVICE, 0,
      launch->n_tiles * TILE_SIZE, error);
}

static gboolean
finish (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  Rig *rig = user_data;

  g_assert_true (launch->args[1] == rig->out[slot]);
  if (rig->n_finished++ == rig->fail_finish_at) {
    g_set_error_literal (
        error, NPU_ERROR, NPU_ERROR_FAILED, "the test refuses to finish");
    return FALSE;
  }
  if (!npu_buffer_sync (launch->args[1], NPU_SYNC_FROM_DEVICE, 0,
          launch->n_tiles * TILE_SIZE, error))
    return FALSE;
  memcpy (rig->results + launch->first_tile * RIG_TILE_WORDS,
      launch->args[1]->data, launch->n_tiles * TILE_SIZE);
  return TRUE;
}

Rig *
rig_new (
    NpuDevice *device, guint depth, guint n_tiles, guint batch, guint64 timeout)
{
  Rig *rig = g_new0 (Rig, 1);
  GError *error = NULL;
  guint slot;

  rig->device = device;
  rig->kernel = fake_kernel_new (device);
  rig->executor = npu_executor_new (device, depth, timeout, &error);
  g_assert_no_error (error);
  for (slot = 0; slot < depth; slot++) {
    rig->in[slot] = npu_buffer_new (device, batch * TILE_SIZE, NULL);
    rig->out[slot] = npu_buffer_new (device, batch * TILE_SIZE, NULL);
  }
  rig->results = g_new0 (guint32, MAX (n_tiles, 1) * RIG_TILE_WORDS);
  rig->fail_prepare_at = rig->fail_finish_at = G_MAXUINT;
  rig->stage = (NpuStage){
      .name = "rig",
      .launch.kernel = rig->kernel,
      .launch.rows = n_tiles * 64,
      .n_tiles = n_tiles,
      .batch = batch,
      .prepare = prepare,
      .finish = finish,
      .user_data = rig,
  };
  return rig;
}

void
rig_free (Rig *rig)
{
  guint slot, depth = npu_executor_get_depth (rig->executor);

  npu_executor_free (rig->executor);
  for (slot = 0; slot < depth; slot++) {
    npu_buffer_free (rig->in[slot]);
    npu_buffer_free (rig->out[slot]);
  }
  npu_kernel_unref (rig->kernel);
  g_free (rig->results);
  g_free (rig);
}

gboolean
rig_run (Rig *rig, guint n_times, GError **error)
{
  g_autofree NpuStage *stages = g_new (NpuStage, n_times);
  guint i;

  for (i = 0; i < n_times; i++)
    stages[i] = rig->stage;
  memset (rig->results, 0, rig->stage.n_tiles * TILE_SIZE);
  rig->n_prepared = rig->n_finished = 0;
  return npu_executor_run (rig->executor, stages, n_times, error);
}

void
rig_assert_right (Rig *rig)
{
  guint tile, word;

  for (tile = 0; tile < rig->stage.n_tiles; tile++) {
    const guint32 *result = rig->results + tile * RIG_TILE_WORDS;

    for (word = 0; word < RIG_TILE_WORDS; word++)
      g_assert_cmphex (
          result[word], ==, output_word (input_word (tile, word), tile));
  }
}
