/* SPDX-License-Identifier: MIT */
#include "app/settings.h"

#include "model/integration.h"

void settings_check(const struct call *call, struct str id, struct str document,
                    const struct fault_place *place, struct faults *faults)
{
    const struct app *app = call->session->app;
    struct arena *arena = &call->session->arena;
    struct str values[INTEGRATION_FIELDS];
    if (!app->config->validate_settings)
        return;
    const struct provider *provider = providers_of(app->providers, id);
    if (provider == NULL || !integration_split(arena, document, values) ||
        values[INTEGRATION_STATUS].data[0] != 't')
        return;
    struct fault_place settings = fault_place_member(place, STR("settings"));
    struct str copy = arena_copy(arena, values[INTEGRATION_SETTINGS]);
    if (copy.data != NULL)
        schema_check(provider->schema, copy, &settings, faults);
}
