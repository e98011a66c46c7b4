/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "tensors/tensors-private.h"
#include "vad-network.h"

static const struct {
  guint n_in, n_out, stride;
} shapes[VAD_N_CONVS] = {
    {VAD_N_BINS, 128, 1},
    {128, 64, 2},
    {64, 64, 2},
    {64, VAD_N_STATE, 1},
};

/* --- the file ------------------------------------------------------------- */

/* All of a tensor of that shape. */
static float *
read_tensor (const NpuTensorTable *table, const char *name, guint n_dims,
    const guint64 *shape, GError **error)
{
  const NpuTableEntry *entry = npu_tensor_table_lookup (table, name);
  g_autofree float *values = NULL;
  g_autofree char *wanted = npu_shape_to_string (shape, n_dims);
  gsize n;

  if (!entry || entry->foreign_type) {
    npu_file_fail (error, NPU_ERROR_FORMAT, table->name, name, NPU_NO_OFFSET,
        "%s; it takes Silero's network for 16 kHz, version 5 or 6, with a tensor of floats %s",
        entry ? "it is of another type" : "it is missing", wanted);
    return NULL;
  }
  if (entry->tensor.n_dims != n_dims ||
      memcmp (entry->tensor.shape, shape, n_dims * sizeof *shape) != 0) {
    g_autofree char *found =
        npu_shape_to_string (entry->tensor.shape, entry->tensor.n_dims);

    npu_file_fail (error, NPU_ERROR_FORMAT, table->name, name,
        entry->tensor.offset,
        "its shape is %s, not %s; it takes Silero's network for 16 kHz, version 5 or 6",
        found, wanted);
    return NULL;
  }
  n = npu_tensor_n_elements (&entry->tensor);
  values = g_new (float, n);
  return npu_tensor_read (&entry->tensor, 0, n, values, error)
             ? g_steal_pointer (&values)
             : NULL;
}

static float *
read_vector (
    const NpuTensorTable *table, const char *name, guint64 n, GError **error)
{
  return read_tensor (table, name, 1, &n, error);
}

/* [rows][columns] becomes [columns][rows]. */
static float *
transpose (const float *in, gsize rows, gsize columns)
{
  float *out = g_new (float, rows *columns);

  for (gsize r = 0; r < rows; r++)
    for (gsize c = 0; c < columns; c++)
      out[c * rows + r] = in[r * columns + c];
  return out;
}

static float *
read_matrix (const NpuTensorTable *table, const char *name, guint64 rows,
    guint64 columns, GError **error)
{
  const guint64 shape[] = {rows, columns};
  g_autofree float *values = read_tensor (table, name, 2, shape, error);

  return values ? transpose (values, rows, columns) : NULL;
}

static gboolean
read_conv (VadConv *conv, const NpuTensorTable *table, guint i, GError **error)
{
  const guint n_in = shapes[i].n_in, n_out = shapes[i].n_out;
  const guint64 shape[] = {n_out, n_in, VAD_TAPS};
  g_autofree char *weight = g_strdup_printf ("conv%u.weight", i + 1);
  g_autofree char *bias = g_strdup_printf ("conv%u.bias", i + 1);
  g_autofree float *values = read_tensor (table, weight, 3, shape, error);

  if (!values)
    return FALSE;
  *conv = (VadConv){n_in, n_out, shapes[i].stride, NULL, NULL};
  conv->weight = g_new (float, (gsize) VAD_TAPS *n_in *n_out);
  for (guint o = 0; o < n_out; o++)
    for (guint c = 0; c < n_in; c++)
      for (guint t = 0; t < VAD_TAPS; t++)
        conv->weight[((gsize) t * n_in + c) * n_out + o] =
            values[((gsize) o * n_in + c) * VAD_TAPS + t];
  conv->bias = read_vector (table, bias, n_out, error);
  return conv->bias != NULL;
}

static gboolean
read_basis (NpuVad *vad, const NpuTensorTable *table, GError **error)
{
  const guint64 shape[] = {2 * VAD_N_BINS, 1, VAD_N_FFT};
  g_autofree float *values =
      read_tensor (table, "stft_conv.weight", 3, shape, error);

  if (values)
    vad->basis = transpose (values, 2 * VAD_N_BINS, VAD_N_FFT);
  return values != NULL;
}

static gboolean
read_cell (NpuVad *vad, const NpuTensorTable *table, GError **error)
{
  g_autofree float *other = NULL;

  vad->input_weight = read_matrix (
      table, "lstm_cell.weight_ih", VAD_N_GATES, VAD_N_STATE, error);
  if (!vad->input_weight)
    return FALSE;
  vad->state_weight = read_matrix (
      table, "lstm_cell.weight_hh", VAD_N_GATES, VAD_N_STATE, error);
  if (!vad->state_weight)
    return FALSE;
  vad->gate_bias = read_vector (table, "lstm_cell.bias_ih", VAD_N_GATES, error);
  if (!vad->gate_bias)
    return FALSE;
  other = read_vector (table, "lstm_cell.bias_hh", VAD_N_GATES, error);
  if (!other)
    return FALSE;
  for (guint i = 0; i < VAD_N_GATES; i++)
    vad->gate_bias[i] += other[i];
  return TRUE;
}

static gboolean
read_output (NpuVad *vad, const NpuTensorTable *table, GError **error)
{
  const guint64 shape[] = {1, VAD_N_STATE, 1};
  g_autofree float *bias = NULL;

  vad->out_weight = read_tensor (table, "final_conv.weight", 3, shape, error);
  if (!vad->out_weight)
    return FALSE;
  bias = read_vector (table, "final_conv.bias", 1, error);
  if (!bias)
    return FALSE;
  vad->out_bias = *bias;
  return TRUE;
}

static gboolean
check_format (NpuTensorFile *file, GError **error)
{
  g_autoptr (GError) cause = NULL;
  const NpuFormat format = npu_tensor_file_tell_format (file, &cause);

  if (format == NPU_FORMAT_SAFETENSORS)
    return TRUE;
  if (cause && !g_error_matches (cause, NPU_ERROR, NPU_ERROR_WRONG_TYPE)) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  /* What the cause says to take instead is a Whisper model. */
  return npu_file_fail (error, NPU_ERROR_WRONG_TYPE,
      npu_tensor_file_get_name (file), NULL, NPU_NO_OFFSET,
      "this is no safetensors file (%" G_GUINT64_FORMAT
      " bytes); it takes Silero's network for 16 kHz as the package silero-vad has it",
      npu_tensor_file_get_size (file));
}

static gboolean
read_network (NpuVad *vad, NpuTensorTable *table, GError **error)
{
  NpuTensorFile *file = g_ptr_array_index (table->files, 0);

  if (!check_format (file, error) ||
      !npu_safetensors_read (table, file, error) ||
      !read_basis (vad, table, error))
    return FALSE;
  for (guint i = 0; i < VAD_N_CONVS; i++)
    if (!read_conv (&vad->convs[i], table, i, error))
      return FALSE;
  return read_cell (vad, table, error) && read_output (vad, table, error);
}

NpuVad *
npu_vad_open (const char *location, GError **error)
{
  g_autofree char *name = g_filename_display_name (location);
  g_autoptr (NpuTensorTable) table = NULL;
  g_autoptr (NpuVad) vad = NULL;
  NpuTensorFile *file = npu_tensor_file_open (location, error);

  if (!file)
    return NULL;
  table = npu_tensor_table_new (name);
  g_ptr_array_add (table->files, file);
  vad = g_new0 (NpuVad, 1);
  return read_network (vad, table, error) ? g_steal_pointer (&vad) : NULL;
}

void
npu_vad_free (NpuVad *vad)
{
  g_free (vad->basis);
  for (guint i = 0; i < VAD_N_CONVS; i++) {
    g_free (vad->convs[i].weight);
    g_free (vad->convs[i].bias);
  }
  g_free (vad->input_weight);
  g_free (vad->state_weight);
  g_free (vad->gate_bias);
  g_free (vad->out_weight);
  g_free (vad);
}

void
npu_vad_reset (NpuVad *vad)
{
  memset (vad->context, 0, sizeof vad->context);
  memset (vad->state, 0, sizeof vad->state);
  memset (vad->cell, 0, sizeof vad->cell);
}

float
npu_vad_step (NpuVad *vad, const float *samples)
{
  return vad_network_step (vad, samples);
}
