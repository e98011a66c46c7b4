/* Expectations about models that must not open.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-expect.h"

#include <string.h>

#include "model/model-private.h"

void
model_expect_message (const GError *error, NpuError code, const char *file,
    const char *const texts[MODEL_EXPECT_MAX])
{
  g_assert_error (error, NPU_ERROR, (gint) code);
  g_test_message ("%s", error->message);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_true (g_str_has_prefix (error->message, file));
  for (guint i = 0; i < MODEL_EXPECT_MAX && texts[i]; i++) {
    if (!strstr (error->message, texts[i]))
      g_error ("'%s' is not in: %s", texts[i], error->message);
  }
}

void
model_expect_error (
    GBytes *bytes, NpuError code, const char *const texts[MODEL_EXPECT_MAX])
{
  g_autoptr (GError) error = NULL;

  g_assert_null (npu_model_open_bytes (bytes, MODEL_EXPECT_FILE, &error));
  model_expect_message (error, code, MODEL_EXPECT_FILE ": ", texts);
}
