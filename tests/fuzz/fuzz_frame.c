/* SPDX-License-Identifier: MIT
 *
 * Any bytes as FastCGI: more of the same bytes never takes back what was seen in fewer. */
#include <stdint.h>
#include <stdlib.h>

#include "server/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum frame whole = frame_look(data, size);
    enum frame part = frame_look(data, size / 2);
    if (part == FRAME_COMPLETE && whole != FRAME_COMPLETE)
        abort();
    if (part == FRAME_BAD && whole != FRAME_BAD)
        abort();
    if (part == FRAME_HEADED && whole == FRAME_PARTIAL)
        abort();
    return 0;
}
