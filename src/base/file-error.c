/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file-error.h"

#include <stdarg.h>

static void
append_valid (GString *message, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);

  g_string_append (message, valid);
}

gboolean
npu_file_fail (GError **error, NpuError code, const char *file,
    const char *tensor, guint64 offset, const char *format, ...)
{
  g_autoptr (GString) message = g_string_new (NULL);
  g_autofree char *text = NULL;
  va_list args;

  append_valid (message, file);
  if (tensor || offset != NPU_NO_OFFSET)
    g_string_append (message, ":");
  if (tensor) {
    g_string_append (message, " tensor '");
    append_valid (message, tensor);
    g_string_append_c (message, '\'');
  }
  if (offset != NPU_NO_OFFSET)
    g_string_append_printf (message, " at byte %" G_GUINT64_FORMAT, offset);
  g_string_append (message, ": ");
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  append_valid (message, text);
  g_set_error_literal (error, NPU_ERROR, code, message->str);
  return FALSE;
}
