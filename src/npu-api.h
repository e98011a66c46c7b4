/* Visibility of the library's public symbols.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#if defined(__GNUC__)
#define NPU_API __attribute__ ((visibility ("default")))
#else
#define NPU_API
#endif
