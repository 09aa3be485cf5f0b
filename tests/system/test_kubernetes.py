"""The manifests, built by kustomize itself: each keeps to the schema of its API version, and to what we promise."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from collector.settings import variable_of
from streams.settings import load_settings
from tests.system.broker import ROOT

pytestmark = pytest.mark.system
KUBERNETES = ROOT / "deploy" / "kubernetes"
RULES = ROOT / "deploy" / "prometheus" / "lenswatch.rules.yml"
TOOLS = ROOT / "out" / "kubernetes"
MODELS = (
    TOOLS / "node_modules" / "@kubernetes-models" / "prometheus-operator" / "monitoring.coreos.com" / "v1" / "index.js"
)
VERSIONS = ("1.30", "1.34", "1.37")
CUSTOM = "monitoring.coreos.com/v1"
Manifest = dict[str, Any]


def refuse_or_skip(words: str) -> None:
    """Without what it needs a person's run skips, and a machine's run fails."""
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """All that `kustomize build` makes of the folder."""
    program = shutil.which("kustomize", path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        refuse_or_skip("no kustomize here: type 'make kubernetes' (needs Go)")
    done = subprocess.run(
        [str(program), "build", str(KUBERNETES)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    (found,) = [each for each in manifests if each["kind"] == kind and each["metadata"]["name"].startswith(name)]
    return found


def faults_of(manifest: Manifest, version: str) -> str:
    """What Kubernetes' schema of this version has against a manifest; an unknown field is a fault too."""
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return ""


def custom_faults(manifests: list[Manifest]) -> list[str]:
    """What the schemas of prometheus-operator's types have against them."""
    if not MODELS.is_file() or shutil.which("node") is None:
        refuse_or_skip("no schemas of prometheus-operator here: type 'make kubernetes' (needs Node.js)")
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("validate.mjs")), str(MODELS)], input=json.dumps(manifests),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_keeps_to_the_schema_of_its_version(manifests: list[Manifest], version: str) -> None:
    ours = [each for each in manifests if each["apiVersion"] != CUSTOM]
    assert len(ours) == 11
    assert {each["metadata"]["name"]: faults_of(each, version) for each in ours if faults_of(each, version)} == {}
    wrong = copy.deepcopy(one(manifests, "DaemonSet"))
    wrong["spec"]["template"]["spec"]["hostNetworks"] = True
    assert "hostNetworks" in faults_of(wrong, version), "an unknown field is found"


def test_what_is_prometheus_operator_s_keeps_to_its_schema(manifests: list[Manifest]) -> None:
    theirs = [each for each in manifests if each["apiVersion"] == CUSTOM]
    assert sorted(each["kind"] for each in theirs) == ["PrometheusRule", "ServiceMonitor", "ServiceMonitor"]
    assert custom_faults(theirs) == []
    wrong = copy.deepcopy(theirs)
    for each in wrong:
        if each["kind"] == "ServiceMonitor":
            each["spec"]["endpoints"] = "metrics"
        else:
            each["spec"]["groups"][0]["rules"][0]["expr"] = {}
    assert len(custom_faults(wrong)) == 3


def test_the_rules_are_those_of_prometheus_to_the_letter(manifests: list[Manifest]) -> None:
    assert one(manifests, "PrometheusRule")["spec"]["groups"] == yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    script = KUBERNETES / "make_rules.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod's part of each workload, by its kind."""
    return {each["kind"]: each["spec"]["template"]["spec"] for each in manifests if "template" in each.get("spec", {})}


def test_the_collector_has_the_node_s_network_and_one_right(manifests: list[Manifest]) -> None:
    pod = pods(manifests)["DaemonSet"]
    (container,) = pod["containers"]
    assert pod["hostNetwork"] is True and container["securityContext"]["capabilities"] == {
        "drop": ["ALL"], "add": ["NET_RAW"],
    }  # fmt: skip


def test_the_worker_has_no_right_and_is_nobody_in_particular(manifests: list[Manifest]) -> None:
    pod = pods(manifests)["StatefulSet"]
    (container,) = pod["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]} and "hostNetwork" not in pod
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0


def test_no_pod_can_write_where_it_should_not_or_become_more(manifests: list[Manifest]) -> None:
    found = pods(manifests)
    assert set(found) == {"DaemonSet", "StatefulSet"}
    for pod in found.values():
        (container,) = pod["containers"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
        assert "privileged" not in context and pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        probes = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")]
        assert probes == ["/healthz", "/healthz", "/readyz"]
        assert container["resources"]["limits"]["memory"]
        places = {mount["name"] for mount in container["volumeMounts"]}
        claims = {"state"} if pod is found["StatefulSet"] else set()
        assert places == {volume["name"] for volume in pod["volumes"]} | claims


def test_secrets_are_named_and_none_is_in_the_manifests(manifests: list[Manifest]) -> None:
    assert "Secret" not in {each["kind"] for each in manifests}
    for pod in pods(manifests).values():
        secrets = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
        assert secrets and all(not each["defaultMode"] & 0o007 for each in secrets), "others may not read them"
        for container in pod["containers"]:
            assert not any("password" in each["name"].lower() for each in container.get("env", ()))


def test_the_settings_are_sound_and_what_they_name_is_mounted(manifests: list[Manifest], tmp_path: Path) -> None:
    for kind, name in (("DaemonSet", "lenswatch-collector"), ("StatefulSet", "lenswatch-worker")):
        pod = pods(manifests)[kind]
        (container,) = pod["containers"]
        config = one(manifests, "ConfigMap", name)
        assert {volume["configMap"]["name"] for volume in pod["volumes"] if volume["name"] == "settings"} == {
            config["metadata"]["name"]
        }
        path = tmp_path / f"{name}.toml"
        path.write_text(config["data"]["lenswatch.toml"], "utf-8")
        own = {each["name"]: each.get("value", "10.0.0.1:9471") for each in container["env"]}
        own = {key: value.replace("$(HOST_IP)", "10.0.0.1") for key, value in own.items()}
        settings = load_settings(path, own)
        mounted = tuple(mount["mountPath"] for mount in container["volumeMounts"])
        kafka = settings.kafka
        files = [kafka.cafile, kafka.certfile, kafka.keyfile, kafka.password_file]
        files += [Path(sink["secret_file"]) for sink in settings.sinks.values() if "secret_file" in sink]
        for file in filter(None, files):
            assert str(file).startswith(mounted), file
        assert all(key in (variable_of("collector", "sensor"), variable_of("collector", "metrics"),
                           variable_of("spool", "folder"), variable_of("evidence", "folder"),
                           variable_of("worker", "instance"))
                   for key in own if key.startswith("LENSWATCH_"))  # fmt: skip


def test_no_more_workers_are_started_than_there_are_partitions(manifests: list[Manifest], tmp_path: Path) -> None:
    scaler = one(manifests, "HorizontalPodAutoscaler")["spec"]
    (tmp_path / "a.toml").write_text(one(manifests, "ConfigMap", "lenswatch-worker")["data"]["lenswatch.toml"], "utf-8")
    settings = load_settings(tmp_path / "a.toml", {})
    assert scaler["maxReplicas"] == settings.kafka.partitions
    (metric,) = scaler["metrics"]
    assert metric["external"]["metric"] == {
        "name": "lenswatch_consumer_lag_records",
        "selector": {"matchLabels": {"topic": settings.kafka.observations_topic}},
    }
    assert scaler["scaleTargetRef"]["name"] == one(manifests, "StatefulSet")["metadata"]["name"]
    adapter = yaml.safe_load((KUBERNETES / "prometheus-adapter.yml").read_text("utf-8"))
    assert adapter["externalRules"][0]["seriesQuery"].startswith(metric["external"]["metric"]["name"])
    assert one(manifests, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_every_selector_finds_its_pods(manifests: list[Manifest]) -> None:
    labels = [
        each["spec"]["template"]["metadata"]["labels"] for each in manifests if "template" in each.get("spec", {})
    ]
    services = [each["metadata"]["labels"] for each in manifests if each["kind"] == "Service"]
    for each in manifests:
        if each["kind"] in ("Service", "PodDisruptionBudget", "ServiceMonitor"):
            selector = each["spec"]["selector"]
            wanted = (selector if each["kind"] == "Service" else selector["matchLabels"]).items()
            among = services if each["kind"] == "ServiceMonitor" else labels
            assert sum(wanted <= those.items() for those in among) == 1, each["metadata"]["name"]


def test_nobody_may_speak_with_a_worker_but_prometheus(manifests: list[Manifest]) -> None:
    everything = one(manifests, "NetworkPolicy", "lenswatch-nothing")["spec"]
    assert everything["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in everything
    (rule,) = one(manifests, "NetworkPolicy", "lenswatch-worker")["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": "metrics"}]
