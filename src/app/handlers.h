/* SPDX-License-Identifier: MIT
 *
 * What the service does, a function an operation. They start from a request that the gate has
 * checked. */
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
handler handle_health;
handler handle_readiness;
handler handle_ready;
handler handle_metrics;
handler handle_openapi;
handler handle_docs;

#endif
