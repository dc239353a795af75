# SPDX-License-Identifier: MIT
"""The manifests of k8s/: by schema, by what a careful cluster asks of pods, and as running pods."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

from engine import ROOT, Engine

import packages
import test_golden  # found by engine
from podman import Podman
from postgres import Postgres
from keys import KeyedClient, key
from service import Client, answers, wait_for

WORKLOADS = {"embedded": "StatefulSet", "postgres": "Deployment"}


class Rendered(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = packages.install(cls)

    def check(self, text):
        """The manifests as objects, when they are valid."""
        result = subprocess.run(["node", "manifests.mjs"], cwd=self.packages,
                                input=text, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def render(self, path):
        return subprocess.run(["kubectl", "kustomize", os.path.join(ROOT, "k8s", path)],
                              capture_output=True, text=True, check=True).stdout

    def overlay(self, name):
        return self.check(self.render(f"overlays/{name}"))

    @staticmethod
    def only(manifests, kind):
        found = [manifest for manifest in manifests if manifest["kind"] == kind]
        assert len(found) == 1, (kind, found)
        return found[0]

    def pod(self, name):
        return self.only(self.overlay(name), WORKLOADS[name])["spec"]["template"]["spec"]


class Manifests(Rendered):
    def test_a_fault_is_found(self):
        text = self.render("overlays/postgres")
        for right, wrong in ("readOnlyRootFilesystem", "readOnlyRootFileSystem"), \
                ("minReplicas: 3", "minReplicas: three"):
            with self.assertRaises(AssertionError):
                self.check(text.replace(right, wrong))

    def test_with_monitoring(self):
        directory = tempfile.mkdtemp(prefix="integration-k8s-")
        self.addCleanup(shutil.rmtree, directory)
        shutil.copytree(os.path.join(ROOT, "k8s"), directory, dirs_exist_ok=True)
        path = os.path.join(directory, "overlays", "postgres", "kustomization.yaml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("# - ../../components/monitoring", "- ../../components/monitoring"))
        manifests = self.check(self.render(os.path.join(directory, "overlays", "postgres")))
        monitor, service = (self.only(manifests, kind) for kind in ("ServiceMonitor", "Service"))
        self.assertIn(monitor["spec"]["endpoints"][0]["port"],
                      [port["name"] for port in service["spec"]["ports"]])
        with open(os.path.join(ROOT, "deploy", "prometheus", "rules.yml"), encoding="utf-8") as file:
            rules = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n" \
                "metadata: {name: x}\nspec:\n" + "".join("  " + line for line in file)
        self.assertEqual(self.only(manifests, "PrometheusRule")["spec"], self.check(rules)[0]["spec"])

    def test_pods_are_confined(self):
        for name in WORKLOADS:
            pod = self.pod(name)
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertGreater(pod["securityContext"]["runAsUser"], 10000)
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertFalse(pod["automountServiceAccountToken"])
            for key in "hostNetwork", "hostPID", "hostIPC":
                self.assertNotIn(key, pod)
            for container in pod["containers"]:
                context = container["securityContext"]
                self.assertTrue(context["readOnlyRootFilesystem"])
                self.assertFalse(context["allowPrivilegeEscalation"])
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                self.assertNotIn("privileged", context)
                for kind in "requests", "limits":
                    self.assertEqual(set(container["resources"][kind]), {"cpu", "memory"})
                self.assertIn("livenessProbe", container)
                self.assertNotIn("hostPort", str(container.get("ports", "")))
            for volume in pod["volumes"]:
                self.assertNotIn("hostPath", volume)

    def test_the_end_of_a_pod_is_in_order(self):
        for name in WORKLOADS:
            settings = self.only(self.overlay(name), "ConfigMap")["data"]
            pod = self.pod(name)
            leaving, draining = int(settings["PRE_DRAIN_DELAY"]), int(settings["DRAIN_TIMEOUT"])
            self.assertLess(leaving + draining, pod["terminationGracePeriodSeconds"])
            nginx = next(c for c in pod["containers"] if c["name"] == "nginx")
            command = nginx["lifecycle"]["preStop"]["exec"]["command"][-1]
            self.assertLess(int(command.split()[1]), leaving)  # nginx ends first
            self.assertEqual(nginx["readinessProbe"]["httpGet"]["path"], "/readiness")

    def test_the_secret_is_the_original_s(self):
        manifests = self.overlay("postgres")
        service = self.pod("postgres")["containers"][0]
        self.assertEqual(service["env"], [{"name": "DATABASE_URL", "valueFrom": {
            "secretKeyRef": {"name": "db-secret", "key": "DATABASE_URL"}}}])
        self.assertNotIn("Secret", [manifest["kind"] for manifest in manifests])
        # Three pods, and more when the autoscaler says so: nobody else does.
        self.assertNotIn("replicas", self.only(manifests, "Deployment")["spec"])
        self.assertEqual(self.only(manifests, "HorizontalPodAutoscaler")["spec"]["minReplicas"], 3)
        self.only(manifests, "PodDisruptionBudget")
        self.only(manifests, "NetworkPolicy")


class Pods(Rendered):
    """podman runs pods; of what it cannot, secrets and claims have stand-ins."""

    def as_pod(self, name, keys, database_url=None):
        manifests = self.overlay(name)
        workload = self.only(manifests, WORKLOADS[name])
        spec = workload["spec"]["template"]["spec"]
        spec["hostNetwork"] = True  # podman's own network needs what the machine may lack
        volume = next(volume for volume in spec["volumes"] if volume["name"] == "keys")
        self.assertEqual(volume.pop("secret"), {"secretName": "integration-service-keys"})
        volume["hostPath"] = {"path": keys, "type": "Directory"}
        spec["volumes"] += [{"name": claim["metadata"]["name"], "emptyDir": {}}
                            for claim in workload["spec"].get("volumeClaimTemplates", [])]
        for container in spec["containers"]:
            container["imagePullPolicy"] = "Never"
            for key in "lifecycle", "ports", "startupProbe", "readinessProbe":
                container.pop(key, None)
            if "exec" not in container["livenessProbe"]:
                del container["livenessProbe"]
            if container["name"] == "service":
                self.assertIn({"name": "keys", "mountPath": "/etc/integration-service",
                               "readOnly": True}, container["volumeMounts"])
            for variable in container.get("env", []):
                self.assertEqual(variable.pop("valueFrom")["secretKeyRef"]["name"], "db-secret")
                variable["value"] = database_url
        return "\n---\n".join(json.dumps(document) for document in [
            self.only(manifests, "ConfigMap"),
            {"apiVersion": "v1", "kind": "Pod",
             "metadata": {"name": "tested", "labels": {"app": "tested"}}, "spec": spec}])

    def run_pod(self, name, database_url=None):
        podman = Podman()
        self.addCleanup(podman.remove)
        with Engine() as engine:
            engine.build("integration-service:latest")
            podman.take(engine, "integration-service:latest")
        keys = tempfile.mkdtemp(prefix="integration-keys-")
        self.addCleanup(shutil.rmtree, keys)
        admin = key(keys, "new", "admin", "--scopes", "secrets,write,metrics")
        os.chmod(keys, 0o755)
        os.chmod(os.path.join(keys, "keys"), 0o644)
        path = podman.put("pod.json", self.as_pod(name, keys, database_url))
        try:
            podman("play", "kube", path)
            wait_for("the pod", lambda: answers(8000, "/readiness"), 60)
            self.assertEqual(Client(8000).request("GET", "/integrations").status, 401)
            test_golden.replay_all(self, KeyedClient(8000, admin))
            metrics = Client(8001)
            self.assertEqual(metrics.request("GET", "/metrics").status, 401)
            metrics.close()
            metrics = KeyedClient(8001, admin)
            self.assertEqual(metrics.request("GET", "/metrics").status, 200)
            self.assertEqual(metrics.request("GET", "/integrations").status, 404)
            metrics.close()
            for container in "tested-service", "tested-nginx":
                state = json.loads(podman("inspect", container))[0]
                self.assertTrue(state["HostConfig"]["ReadonlyRootfs"])
                self.assertGreater(state["HostConfig"]["Memory"], 0)
                self.assertEqual(state["Config"]["User"].split(":")[0], "10001")
            podman("healthcheck", "run", "tested-service")
            podman("pod", "stop", "-t", "60", "tested")
            self.assertEqual(json.loads(podman("inspect", "tested-service"))[0]["State"]["ExitCode"], 0)
        finally:
            podman("pod", "rm", "-f", "tested", check=False)

    def test_the_stateful_set_s_pod(self):
        self.run_pod("embedded")

    def test_the_deployment_s_pod(self):
        with Postgres() as server:
            self.run_pod("postgres", server.url)


if __name__ == "__main__":
    unittest.main()
