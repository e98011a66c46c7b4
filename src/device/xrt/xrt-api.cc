/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xrt-api.h"

#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>
#include <vector>

#include <xrt/experimental/xrt_kernel.h>
#include <xrt/experimental/xrt_system.h>
#include <xrt/experimental/xrt_xclbin.h>
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_hw_context.h>
#include <xrt/xrt_kernel.h>

/* A kernel's arguments before its buffers. */
enum { ARG_OPCODE = 0, ARG_INSTRUCTIONS = 1, ARG_N_WORDS = 2, ARG_FIRST = 3 };

/* Run the stream of instructions: what compilers of NPU programs expect. */
static const uint64_t opcode_transaction = 3;

struct XrtApiDevice {
  xrt::device device;
};

/* What a command in flight uses is let go after the context, whose end ends it:
 * kernels keep the context too, and behind it XRT's memory of commands. */
struct XrtApiContext {
  std::vector<xrt::bo> instructions;
  std::vector<xrt::kernel> kernels;
  xrt::hw_context context;
};

struct XrtApiKernel {
  xrt::kernel kernel;
  xrt::bo instructions;
  uint32_t n_words;
};

struct XrtApiBo {
  xrt::bo bo;
  size_t size;
};

struct XrtApiCommand {
  xrt::run run;
  bool started; /* by itself, and not seen to end */
};

struct XrtApiList {
  xrt::runlist list;
  std::vector<xrt::run> runs; /* in it */
};

/* --- errors ------------------------------------------------------------- */

static void
tell (XrtApiError *error, int code, const char *message)
{
  error->code = code < 0 ? -code : code;
  error->command = -1;
  std::snprintf (error->message, sizeof error->message, "%s", message);
  for (size_t n = std::strlen (error->message);
       n > 0 && (error->message[n - 1] == '\n' || error->message[n - 1] == '.');
       n--)
    error->message[n - 1] = '\0';
}

/* Runs @what and turns an exception into @error. */
template <typename Function>
static bool
guarded (XrtApiError *error, Function what)
{
  try {
    what ();
    return true;
  } catch (const std::system_error &e) {
    tell (error, e.code ().value (), e.what ());
  } catch (const std::exception &e) {
    tell (error, 0, e.what ());
  } catch (...) {
    tell (error, 0, "XRT gave up without a reason");
  }
  return false;
}

/* The same for what makes an object. */
template <typename Object, typename Function>
static Object *
made (XrtApiError *error, Function make)
{
  Object *object = nullptr;

  guarded (error, [&] { object = make (); });
  return object;
}

template <typename Object>
static void
discard (Object *object)
{
  XrtApiError ignored;

  guarded (&ignored, [&] { delete object; });
}

/* --- device ------------------------------------------------------------- */

bool
xrt_api_count_devices (unsigned *n, XrtApiError *error)
{
  return guarded (error, [&] { *n = xrt::system::enumerate_devices (); });
}

XrtApiDevice *
xrt_api_device_open (unsigned index, XrtApiError *error)
{
  return made<XrtApiDevice> (
      error, [&] { return new XrtApiDevice{xrt::device (index)}; });
}

void
xrt_api_device_free (XrtApiDevice *device)
{
  discard (device);
}

void
xrt_api_device_name (XrtApiDevice *device, char *name, size_t name_size,
    char *bdf, size_t bdf_size)
{
  XrtApiError ignored;

  name[0] = bdf[0] = '\0';
  guarded (&ignored, [&] {
    std::snprintf (name, name_size, "%s",
        device->device.get_info<xrt::info::device::name> ().c_str ());
  });
  guarded (&ignored, [&] {
    std::snprintf (bdf, bdf_size, "%s",
        device->device.get_info<xrt::info::device::bdf> ().c_str ());
  });
}

void
xrt_api_device_ask (XrtApiDevice *device)
{
  XrtApiError ignored;

  /* Of what XRT answers, this asks the driver anew each time. */
  guarded (&ignored,
      [&] { (void) device->device.get_info<xrt::info::device::platform> (); });
}

/* --- contexts and kernels ----------------------------------------------- */

bool
xrt_api_xclbin_check (const char *path, const char *kernel, unsigned arg,
    uint32_t *group, XrtApiError *error)
{
  return guarded (error, [&] {
    const xrt::xclbin xclbin{std::string (path)};
    const xrt::xclbin::kernel found = xclbin.get_kernel (kernel);

    if (!found)
      throw std::runtime_error (
          std::string ("it has no kernel '") + kernel + "'");
    for (const auto &argument : found.get_args ()) {
      if (argument.get_index () != arg + ARG_FIRST)
        continue;
      /* As XRT does: of several, the last. */
      for (const auto &memory : argument.get_mems ())
        *group = (uint32_t) memory.get_index ();
      return;
    }
    throw std::runtime_error (std::string ("its kernel '") + kernel +
                              "' has no buffer argument number " +
                              std::to_string (arg));
  });
}

XrtApiContext *
xrt_api_context_new (
    XrtApiDevice *device, const char *xclbin, XrtApiError *error)
{
  return made<XrtApiContext> (error, [&] {
    const xrt::uuid uuid =
        device->device.register_xclbin (xrt::xclbin{std::string (xclbin)});

    return new XrtApiContext{{}, {}, xrt::hw_context (device->device, uuid)};
  });
}

void
xrt_api_context_free (XrtApiContext *context)
{
  discard (context);
}

XrtApiKernel *
xrt_api_kernel_new (XrtApiDevice *device, XrtApiContext *context,
    const char *name, const uint32_t *words, size_t n_words, XrtApiError *error)
{
  return made<XrtApiKernel> (error, [&] {
    xrt::kernel kernel (context->context, name);
    xrt::bo bo (device->device, n_words * sizeof *words,
        xrt::bo::flags::cacheable, kernel.group_id (ARG_INSTRUCTIONS));

    bo.write (words, n_words * sizeof *words, 0);
    bo.sync (XCL_BO_SYNC_BO_TO_DEVICE);
    context->kernels.push_back (kernel);
    context->instructions.push_back (bo);
    return new XrtApiKernel{kernel, bo, (uint32_t) n_words};
  });
}

void
xrt_api_kernel_free (XrtApiKernel *kernel)
{
  discard (kernel);
}

/* XRT's number of a group also names a context; memory is the low half. */
bool
xrt_api_kernel_group (
    XrtApiKernel *kernel, unsigned arg, uint32_t *group, XrtApiError *error)
{
  return guarded (error, [&] {
    *group =
        (uint32_t) kernel->kernel.group_id ((int) (arg + ARG_FIRST)) & 0xffff;
  });
}

/* --- buffers ------------------------------------------------------------ */

XrtApiBo *
xrt_api_bo_new (XrtApiDevice *device, size_t size, uint32_t group, void **data,
    XrtApiError *error)
{
  return made<XrtApiBo> (error, [&] {
    xrt::bo bo (device->device, size, xrt::bo::flags::host_only, group);

    *data = bo.map<void *> ();
    return new XrtApiBo{bo, size};
  });
}

void
xrt_api_bo_free (XrtApiBo *bo)
{
  discard (bo);
}

bool
xrt_api_bo_sync (XrtApiBo *bo, bool to_device, size_t offset, size_t size,
    XrtApiError *error)
{
  return guarded (error, [&] {
    bo->bo.sync (
        to_device ? XCL_BO_SYNC_BO_TO_DEVICE : XCL_BO_SYNC_BO_FROM_DEVICE, size,
        offset);
  });
}

static XrtApiState
state_of (ert_cmd_state state)
{
  switch (state) {
    case ERT_CMD_STATE_COMPLETED:
      return XRT_API_COMPLETED;
    case ERT_CMD_STATE_TIMEOUT:
      return XRT_API_TIMED_OUT;
    case ERT_CMD_STATE_ABORT:
      return XRT_API_ABORTED;
    case ERT_CMD_STATE_NEW:
    case ERT_CMD_STATE_QUEUED:
    case ERT_CMD_STATE_RUNNING:
    case ERT_CMD_STATE_SUBMITTED:
      return XRT_API_RUNNING;
    default:
      return XRT_API_FAILED;
  }
}

/* --- commands ----------------------------------------------------------- */

XrtApiCommand *
xrt_api_command_new (XrtApiKernel *kernel, XrtApiError *error)
{
  return made<XrtApiCommand> (error, [&] {
    xrt::run run (kernel->kernel);

    run.set_arg (ARG_OPCODE, opcode_transaction);
    run.set_arg (ARG_INSTRUCTIONS, kernel->instructions);
    run.set_arg (ARG_N_WORDS, kernel->n_words);
    return new XrtApiCommand{run, false};
  });
}

/* XRT ends the process where a run goes whose end it has not seen; so it is
 * shown one. The context, which goes next, ends it in truth. */
void
xrt_api_command_free (XrtApiCommand *command)
{
  XrtApiError ignored;

  if (command->started)
    guarded (&ignored, [&] {
      if (state_of (command->run.state ()) == XRT_API_RUNNING) {
        command->run.get_ert_packet ()->state = ERT_CMD_STATE_ABORT;
        command->run.state ();
      }
    });
  discard (command);
}

bool
xrt_api_command_set (XrtApiCommand *command, unsigned arg, XrtApiBo *bo,
    size_t offset, size_t size, XrtApiError *error)
{
  return guarded (error, [&] {
    if (offset == 0 && size == bo->size)
      command->run.set_arg ((int) (arg + ARG_FIRST), bo->bo);
    else
      command->run.set_arg (
          (int) (arg + ARG_FIRST), xrt::bo (bo->bo, size, offset));
  });
}

bool
xrt_api_command_start (XrtApiCommand *command, XrtApiError *error)
{
  return guarded (error, [&] {
    command->run.start ();
    command->started = true;
  });
}

XrtApiList *
xrt_api_list_new (XrtApiContext *context, XrtApiError *error)
{
  return made<XrtApiList> (
      error, [&] { return new XrtApiList{xrt::runlist (context->context), {}}; });
}

void
xrt_api_list_free (XrtApiList *list)
{
  discard (list);
}

bool
xrt_api_list_start (XrtApiList *list, XrtApiCommand *const *commands, size_t n,
    XrtApiError *error)
{
  return guarded (error, [&] {
    for (size_t i = 0; i < n; i++) {
      list->list.add (commands[i]->run);
      list->runs.push_back (commands[i]->run);
    }
    list->list.execute ();
  });
}

void
xrt_api_list_reset (XrtApiList *list)
{
  XrtApiError ignored;

  guarded (&ignored, [&] { list->list.reset (); });
  list->runs.clear ();
}

static int
index_of (const XrtApiList *list, const xrt::run &run)
{
  for (size_t i = 0; list && i < list->runs.size (); i++)
    if (list->runs[i].get_handle () == run.get_handle ())
      return (int) i;
  return -1;
}

bool
xrt_api_wait (XrtApiCommand *command, XrtApiList *list, unsigned timeout_ms,
    XrtApiState *state, XrtApiError *error)
{
  const std::chrono::milliseconds timeout (timeout_ms);

  return guarded (error, [&] {
    std::cv_status status;

    *state = XRT_API_COMPLETED;
    try {
      status = list ? list->list.wait (timeout) : command->run.wait2 (timeout);
      if (status == std::cv_status::timeout)
        *state = XRT_API_RUNNING;
      else
        command->started = false;
    } catch (const xrt::runlist::command_error &e) {
      *state = state_of (e.get_command_state ());
      tell (error, 0, e.what ());
      error->command = index_of (list, e.get_run ());
    } catch (const xrt::run::command_error &e) {
      *state = state_of (e.get_command_state ());
      tell (error, 0, e.what ());
    }
  });
}

XrtApiState
xrt_api_state (XrtApiCommand *command, XrtApiList *list)
{
  XrtApiState state = XRT_API_RUNNING;
  XrtApiError ignored;

  guarded (&ignored, [&] {
    state = state_of (list ? list->list.state () : command->run.state ());
  });
  return state;
}
