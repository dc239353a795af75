# SPDX-License-Identifier: MIT
"""The chatbot framework's store of examples/, against the running service."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from keys import key  # noqa: E402
from service import Service  # noqa: E402

STORE = os.path.join(HERE, "..", "..", "examples", "ai-chatbot-framework", "store.py")

# The models as the framework declares them; Debian's pydantic calls model_dump by its older name.
SCHEMAS = """
from typing import Dict, Optional
from pydantic import BaseModel

class Integration(BaseModel):
    id: str
    name: str
    description: str
    status: bool = False
    settings: Optional[Dict] = {}

    def model_dump(self, **options):
        return self.dict(**options)

class IntegrationUpdate(Integration):
    pass
"""

SCRIPT = """
import asyncio
from integrations import store
from integrations.schemas import Integration, IntegrationUpdate

async def main():
    await store.ensure_default_integrations()
    assert [item.id for item in await store.list_integrations()] == ["facebook", "chat_widget"]
    assert await store.get_integration("no/such") is None
    facebook = await store.get_integration("facebook")
    assert facebook.settings["verify"] == "ai-chatbot-framework", facebook
    update = IntegrationUpdate(id="facebook", name="F", description="D", status=True)
    changed = await store.update_integration("facebook", update)
    assert (changed.name, changed.status) == ("F", True)
    assert changed.settings == facebook.settings, "what was not sent stays"
    assert await store.get_integration("facebook") == changed
    assert isinstance(changed, Integration)
    # Two admins change different members at once; neither undoes what the other did.
    for n in range(20):
        await asyncio.gather(*(store.update_integration("facebook", IntegrationUpdate(
            id="facebook", name="F", description="D", **member))
            for member in ({"status": n % 2 == 0}, {"settings": {"n": n}})))
        both = await store.get_integration("facebook")
        assert (both.status, both.settings) == (n % 2 == 0, {"n": n}), (n, both)
    assert await store.update_integration("none", IntegrationUpdate(
        id="none", name="N", description="D")) is None

asyncio.run(main())
"""


class Framework(unittest.TestCase):
    def test_its_functions_are_all_there(self):
        with tempfile.TemporaryDirectory() as directory, Service(SEED_DEFAULTS="on") as service:
            package = os.path.join(directory, "integrations")
            os.mkdir(package)
            os.symlink(os.path.abspath(STORE), os.path.join(package, "store.py"))
            for path, text in (package + "/schemas.py", SCHEMAS), (directory + "/main.py", SCRIPT):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            environment = {"INTEGRATION_SERVICE_URL": f"http://127.0.0.1:{service.port}"}
            for _ in range(2):
                result = subprocess.run(["/usr/bin/python3", "-B", directory + "/main.py"],
                                        capture_output=True, text=True, env=environment)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                service.stop()
                shutil.rmtree(service.state_dir)
                environment["INTEGRATION_SERVICE_KEY"] = key(
                    service.state_dir, "new", "framework", "--scopes", "secrets,write")
                service.start()


if __name__ == "__main__":
    unittest.main()
