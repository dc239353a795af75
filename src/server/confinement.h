/* SPDX-License-Identifier: MIT
 *
 * What a process that reads foreign bytes, or holds what they are about, may do beyond its work:
 * nothing, as far as the kernel can enforce it. SECURITY.md lists what that is. */
#ifndef SERVER_CONFINEMENT_H
#define SERVER_CONFINEMENT_H

#include <stdbool.h>

#include "core/config.h"

/* Unless SANDBOX is off. Call it before other threads are started. `signals`: a process that was
 * started before can be sent signals. What the kernel lacks
 * is logged at level "info"; anything else that fails, as an error. */
void confinement_enter(const struct config *config, bool signals);

#endif
