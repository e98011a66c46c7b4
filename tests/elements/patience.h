/* How long a test waits for what must come. The programs also run under
 * sanitizers on busy machines; a hang is ended by the timeout of the test.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#define PATIENCE (3600 * GST_SECOND)
