/* What the files of the element npuencoder share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "gstnpuencoder.h"
#include "gstnpuencodersession.h"
#include "gstnpuencoderstats.h"
#include "gstnpuencoderwindow.h"

G_BEGIN_DECLS

struct _GstNpuEncoder {
  GstBaseTransform parent;

  GstPadActivateModeFunction activate_mode; /* the base class's */

  /* Object lock. While `open` is set, from start() to stop(), only what is
   * mutable in PLAYING changes, and the rest needs no lock. */
  GstNpuEncoderSettings settings;
  gboolean open;

  /* Sink pad's stream lock and object lock to change it, one of them to use it.
   * NULL where the element is not started; the pad may even so receive what is
   * not serialised, and after a FLUSH_STOP anything. */
  GstNpuEncoderSession *session;
  gboolean active; /* object lock: the sink pad is not being deactivated */

  /* Stream lock. */
  GstNpuEncoderWindow window;
  gboolean model_is_told; /* npuencoder/model was sent */

  /* Object lock. Kept after stop(). */
  GstNpuEncoderStats totals;
  GstNpuEncoderSetup setup;
  const NpuEncoder *setup_of; /* of the session's, for comparison only */
};

/* gstnpuencodercaps.c: which states come of which mel. Sets the class's virtual
 * functions about caps. */
void gst_npu_encoder_caps_install (GstBaseTransformClass *klass);

/* Whether @caps, which arrive, fit the model; else posts an error message that
 * says why not. With the sink pad's stream lock. */
gboolean gst_npu_encoder_check_caps (GstNpuEncoder *self, const GstCaps *caps);

G_END_DECLS
