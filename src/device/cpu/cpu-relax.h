/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a thread does between two looks at a value that another one changes. */
static inline void
cpu_relax (void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause ();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
