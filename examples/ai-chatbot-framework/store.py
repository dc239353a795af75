# SPDX-License-Identifier: MIT
"""The framework's integrations, kept by integration-service: the functions of its
app/admin/integrations/store.py, which this file takes the place of. Its routes, its command line and
its channel handlers need no change.

INTEGRATION_SERVICE_URL says where the service is; http://127.0.0.1:8000 if it is not set.
INTEGRATION_SERVICE_KEY is its key, with the scopes "secrets" and "write", if it needs one. Needs
httpx."""

import os
from typing import List, Optional
from urllib.parse import quote

import httpx

from .schemas import Integration, IntegrationUpdate

_key = os.environ.get("INTEGRATION_SERVICE_KEY")

# One for the process: its connections are kept.
_client = httpx.AsyncClient(
    base_url=os.environ.get("INTEGRATION_SERVICE_URL", "http://127.0.0.1:8000"),
    headers={"X-API-Key": _key} if _key else {},
    timeout=5.0,
)
_TRIES = 10


def _path(id: str) -> str:
    return "/integrations/" + quote(id, safe="")


def _taken(response: httpx.Response) -> Optional[Integration]:
    if response.status_code == 404:
        return None
    response.raise_for_status()
    return Integration(**response.json())


async def list_integrations() -> List[Integration]:
    """Get all integrations, in the order of their creation."""
    integrations, page = [], "/integrations"
    while page:  # nearly always one; a page is at most 8 MiB long
        response = await _client.get(page)
        response.raise_for_status()
        integrations += [Integration(**integration) for integration in response.json()]
        following = response.links.get("next")
        page = response.url.join(following["url"]) if following else None
    return integrations


async def get_integration(id: str) -> Optional[Integration]:
    """Get a specific integration by ID."""
    return _taken(await _client.get(_path(id)))


async def update_integration(
    id: str, integration: IntegrationUpdate
) -> Optional[Integration]:
    """Set what was sent, and keep what was not, whoever else changes it meanwhile."""
    for _ in range(_TRIES):
        current = await _client.get(_path(id))
        if current.status_code == 404:
            return None
        current.raise_for_status()
        changed = {**current.json(), **integration.model_dump(exclude_unset=True), "id": id}
        unchanged = {"If-Match": current.headers["ETag"]}
        response = await _client.put(_path(id), json=changed, headers=unchanged)
        if response.status_code != 412:  # else somebody was faster
            break
    return _taken(response)


async def ensure_default_integrations():
    """Nothing to do: the service makes them at its first start, with SEED_DEFAULTS=on."""
