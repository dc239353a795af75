# SPDX-License-Identifier: MIT
"""The recorded answers of the original service, replayed."""

import json
import os
import unittest

from service import Service, quote

RECORDING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")


def strictly(text):
    """JSON with the order of members and the type of numbers kept, so that == tells them apart."""
    return json.loads(text, object_pairs_hook=lambda pairs: ("object", pairs),
                      parse_int=lambda digits: ("int", int(digits)),
                      parse_float=lambda digits: ("float", float(digits)))


def is_decode_error(value):
    return isinstance(value, dict) and isinstance(value.get("detail"), list) and any(
        entry.get("type") == "value_error.jsondecode" for entry in value["detail"])


def compare(test, exchange, answer):
    expected = exchange["expect"]
    place = f"{exchange['method']} {exchange['path']} {exchange.get('body')!r}: {answer!r}"
    test.assertEqual(answer.status, expected["status"], place)
    if "json" not in expected:
        test.assertEqual(answer.body, b"", place)
    elif is_decode_error(expected["json"]):
        got = answer.json["detail"]
        test.assertEqual(len(got), 1, place)
        test.assertEqual(got[0]["type"], "value_error.jsondecode", place)
        test.assertEqual(got[0]["loc"][0], "body", place)
    else:
        test.assertEqual(strictly(answer.body), strictly(json.dumps(expected["json"])), place)


def scenarios():
    with open(RECORDING, encoding="utf-8") as file:
        return json.load(file)["scenarios"]


def replay(test, client, some=None):
    """Replays scenarios, all of them unless told otherwise; returns how many exchanges those are."""
    exchanges = 0
    for scenario in scenarios() if some is None else some:
        created = set()
        for exchange in scenario:
            answer = client.request(exchange["method"], exchange["path"], exchange.get("body"),
                                    exchange["headers"])
            compare(test, exchange, answer)
            if answer.status == 201:
                created.add(answer.json["id"])
            exchanges += 1
        # The recording leaves some behind; the next replay starts without them.
        for identity in created:
            client.request("DELETE", "/integrations/" + quote(identity))
    return exchanges


def replay_all(test, client):
    test.assertEqual(replay(test, client), 664)
    client.close()


class Golden(unittest.TestCase):
    environment = {}

    def test_three_times_and_again_after_a_restart(self):
        with Service(**self.environment) as service:
            for _ in range(3):
                replay_all(self, service.client())
            service.stop()
            service.start()
            replay_all(self, service.client())


if __name__ == "__main__":
    unittest.main()
