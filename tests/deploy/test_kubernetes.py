"""The Kubernetes manifests: valid by Kubernetes' own schema and KEDA's, and true of the servers that they start."""

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import kubernetes_validate
import pytest
from litestar.testing import TestClient

from app.settings import read_llm_settings, read_settings
from engines.device import CLOSE_TIMEOUT_S
from tests.deploy.manifests import (
    APPS,
    ARGUMENTS,
    KUBERNETES,
    PORTS,
    SCALED_OBJECT,
    container_of,
    documents,
    drain_s,
    of_kind,
    paths_of,
    pod_of,
)  # fmt: skip
from tests.test_image import step, variables

COMPONENTS = ["speech", "llm"]
PROBES = ["startupProbe", "readinessProbe", "livenessProbe"]


def name_of(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


@pytest.mark.parametrize("document", KUBERNETES, ids=name_of)
def test_each_object_is_valid_by_its_schema_and_has_no_field_that_is_not_in_it(document: dict[str, Any]) -> None:
    if document["kind"] == "ScaledObject":
        jsonschema.validate(document, SCALED_OBJECT, jsonschema.Draft202012Validator)
    else:
        kubernetes_validate.validate(document, "1.34", strict=True)


def test_the_schemas_refuse_what_is_misspelt() -> None:
    wrong = json.loads(json.dumps(of_kind("Deployment")["speech"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.34", strict=True)
    scaled = json.loads(json.dumps(of_kind("ScaledObject")["speech"]))
    scaled["spec"]["triggers"][0]["metadata"]["threshold"] = 0.7
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(scaled, SCALED_OBJECT, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_pod_runs_the_server_with_settings_that_exist(component: str) -> None:
    container = container_of(component)
    assert container["command"] == ["python", "-m", "app.serve", ARGUMENTS[component]]
    environment = {each["name"]: each["value"] for each in container["env"]}
    environment |= {name: value for name, value in variables(step("ENV", "runtime")).items() if "TIDING" in name}
    read_settings(environment)
    settings = (read_settings if component == "speech" else read_llm_settings)(environment)
    assert [each["containerPort"] for each in container["ports"]] == [settings.port]
    assert pod_of(component)["enableServiceLinks"] is False, "TIDING_PORT=tcp://... would stop the start"


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("probe", PROBES)
def test_each_probe_asks_for_a_path_that_the_server_answers(component: str, probe: str) -> None:
    get = container_of(component)[probe]["httpGet"]
    assert get["port"] == "http"
    path = urlsplit(get["path"])
    assert path.path in paths_of(component)
    (route,) = [route for route in APPS[component].routes if route.path == path.path]
    asked = parse_qs(path.query)
    known = {
        parameter.name: parameter.schema.enum
        for operation in [APPS[component].openapi_schema.paths[route.path].get]
        for parameter in (operation.parameters or [])
    }
    if not known:
        assert path.path == "/health" or path.query in ("", "for=existing")
    else:
        assert all(values[0] in known[name] for name, values in asked.items())


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_server_that_loads_is_alive_and_not_ready(component: str) -> None:
    """The state that startup probes wait in: the app is there, its engine is not."""
    container = container_of(component)
    app = APPS[component]
    client = TestClient(app)  # without its lifespan: nothing is loaded
    assert client.get(container["livenessProbe"]["httpGet"]["path"]).status_code == 200
    for probe in ("startupProbe", "readinessProbe"):
        assert client.get(container[probe]["httpGet"]["path"]).status_code == 503


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_pod_has_time_to_drain_before_it_is_killed(component: str) -> None:
    pod, container = pod_of(component), container_of(component)
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] > container["readinessProbe"]["periodSeconds"]
    before_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > before_s + drain_s(component) + CLOSE_TIMEOUT_S


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_pod_may_do_little_and_writes_where_the_image_says(component: str) -> None:
    pod, container = pod_of(component), container_of(component)
    assert pod["securityContext"]["runAsNonRoot"]
    assert str(pod["securityContext"]["runAsUser"]) == step("USER", "runtime")
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
    assert mounts == {"/models": True, "/cache": False}
    assert sorted(mounts, reverse=True) == json.loads(step("VOLUME", "runtime"))


def test_speech_asks_for_a_gpu_and_the_llm_for_none() -> None:
    speech, llm = (container_of(component)["resources"] for component in COMPONENTS)
    assert speech["requests"]["nvidia.com/gpu"] == speech["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in llm["requests"] | llm["limits"]
    assert container_of("speech")["image"] == "tiding:cuda"


@pytest.mark.parametrize("component", COMPONENTS)
def test_services_and_budgets_find_their_pods(component: str) -> None:
    labels = of_kind("Deployment")[component]["spec"]["template"]["metadata"]["labels"]
    assert of_kind("Deployment")[component]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    service = of_kind("Service")[component]["spec"]
    assert service["selector"].items() <= labels.items()
    assert service["ports"] == [{"name": "http", "port": PORTS[component], "targetPort": "http"}]
    budget = of_kind("PodDisruptionBudget")[component]["spec"]
    assert (budget["selector"]["matchLabels"], budget["maxUnavailable"]) == (labels, 1)


@pytest.mark.parametrize("component", COMPONENTS)
def test_claims_exist(component: str) -> None:
    (claim,) = [
        each["persistentVolumeClaim"] for each in pod_of(component)["volumes"] if "persistentVolumeClaim" in each
    ]
    assert claim["claimName"] == of_kind("PersistentVolumeClaim")["models"]["metadata"]["name"]


def test_scaling_is_of_speech_by_slots_in_use_over_capacity() -> None:
    spec = of_kind("ScaledObject")["speech"]["spec"]
    target = of_kind("Deployment")["speech"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": target["apiVersion"], "kind": target["kind"], "name": target["metadata"]["name"],
    }  # fmt: skip
    assert "replicas" not in target["spec"], "it would fight with what scales"
    (trigger,) = spec["triggers"]
    named = re.findall(r"tiding_\w+", trigger["metadata"]["query"])
    assert named == ["tiding_slots_in_use", "tiding_slots_capacity"]
    assert 0 < float(trigger["metadata"]["threshold"]) < 1
    assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]


@pytest.mark.skipif("/metrics" not in paths_of("speech"), reason="these servers have no /metrics")
def test_the_metrics_that_scaling_asks_for_are_served_where_the_pods_say() -> None:
    annotations = of_kind("Deployment")["speech"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(PORTS["speech"])
    with TestClient(APPS["speech"]) as client:
        while client.get("/health").json()["status"] == "loading":
            pass
        served = client.get(annotations["prometheus.io/path"]).text
    for name in re.findall(
        r"tiding_\w+", of_kind("ScaledObject")["speech"]["spec"]["triggers"][0]["metadata"]["query"]
    ):
        assert re.search(rf"^{name} ", served, re.MULTILINE), f"{name} is not served"


def test_nothing_is_said_twice() -> None:
    names = [name_of(document) for document in KUBERNETES]
    assert len(names) == len(set(names))
    assert documents
