/* SPDX-License-Identifier: MIT
 *
 * Whether settings are what their provider needs (VALIDATE_SETTINGS). */
#ifndef APP_SETTINGS_H
#define APP_SETTINGS_H

#include "app/call.h"

/* Checks the settings of an integration that is to be stored, if it is on; adds a fault for each
 * part that does not fit. `place` is the integration's. */
void settings_check(const struct call *call, struct str id, struct str document,
                    const struct fault_place *place, struct faults *faults);

#endif
