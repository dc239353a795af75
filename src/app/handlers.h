/* SPDX-License-Identifier: MIT
 *
 * The handlers, one per operation. They are called for requests that passed the gate. */
#ifndef APP_HANDLERS_H
#define APP_HANDLERS_H

#include "app/endpoints.h"

handler handle_list;
handler handle_batch;
handler handle_create;
handler handle_get;
handler handle_replace;
handler handle_patch;
handler handle_remove;
handler handle_history;
handler handle_restore;
handler handle_changes;
operation_wait wait_for_changes;
handler handle_providers;
handler handle_provider;
handler handle_health;
handler handle_readiness;
handler handle_ready;
handler handle_metrics;
handler handle_openapi;
handler handle_docs;

#endif
