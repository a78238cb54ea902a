"""The manifests of deploy/kubernetes are what the API takes, and name what the product has."""

import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bridge.config.loading import load_settings, variable_names
from bridge.config.settings import Settings
from bridge.console.headers import PROBES
from bridge.routing.matching import load_dialplans
from bridge.telemetry.metrics import Metrics
from tests.deploy.pages import Typed, problem
from tests.deploy.promql import selectors
from tests.deploy.rules import DEPLOY, read_rules

Json = dict[str, Any]  # Any: a manifest as the API takes it

FOLDER = DEPLOY / "kubernetes"
OPERATORS = frozenset({"ScaledObject", "ServiceMonitor"})
"""Kinds of operators: the API's schemas lack them, and what they ask for is checked below."""

VERSIONS = ("1.29", "1.37")


def read(name: str) -> Json:
    found = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


KUSTOMIZATION = read("kustomization.yaml")
NAMES: list[str] = KUSTOMIZATION["resources"]
POD: Json = read("statefulset.yaml")["spec"]["template"]
(GATEWAY,) = POD["spec"]["containers"]


def settings() -> Settings:
    return load_settings(FOLDER / "bridge.yaml", {})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [name for name in NAMES if read(name)["kind"] not in OPERATORS])
def test_manifest_is_what_the_api_takes(name: str, version: str) -> None:
    document = read(name)
    kubernetes_validate.validate(document, version, strict=True)
    document["spec"] = {**document.get("spec", {}), "maxUnavailabel": 1}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, version, strict=True)


def test_kustomization_names_all_files() -> None:
    generated = [each for maker in KUSTOMIZATION["configMapGenerator"] for each in maker["files"]]
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml")}
    assert there == {"kustomization.yaml", *NAMES, *generated}
    maps = {maker["name"] for maker in KUSTOMIZATION["configMapGenerator"]}
    assert {
        each["configMap"]["name"] for each in POD["spec"]["volumes"] if "configMap" in each
    } == maps


def test_command_and_variables_are_the_products() -> None:
    program, *words = GATEWAY["command"]
    assert (program, problem(Typed(tuple(words), whole=True))) == ("bridge", None)
    named = {each["name"] for each in GATEWAY["env"]}
    assert named == {"BRIDGE_NODE", "BRIDGE_SIP_PUBLIC_ADDRESS", "BRIDGE_REDIS_URL"}
    assert named <= set(variable_names())


def test_settings_and_dialplans_are_good() -> None:
    given = settings()
    arms = {each.arm for each in load_dialplans(FOLDER / "dialplans")}
    assert arms == set(given.arms)


def test_ports_are_those_of_the_settings() -> None:
    given = settings()
    ports = {each["name"]: each for each in GATEWAY["ports"]}
    assert {name: each["containerPort"] for name, each in ports.items()} == {
        "sip-udp": given.sip.port,
        "sip-tcp": given.sip.port,
        "probes": given.http.probes_port,
    }
    assert all(each["hostPort"] == each["containerPort"] for each in ports.values())
    assert {each["targetPort"] for each in read("service.yaml")["spec"]["ports"]} == set(ports)
    assert {each["port"] for each in read("monitor.yaml")["spec"]["endpoints"]} <= set(ports)
    media, _ = read("network.yaml")["spec"]["ingress"]
    rtp = media["ports"][-1]
    assert (rtp["port"], rtp["endPort"]) == (given.sip.rtp_port_min, given.sip.rtp_port_max)
    assert [each["ipBlock"]["cidr"] for each in media["from"]] == [
        str(network) for trunk in given.sip.trunks.values() for network in trunk.addresses
    ]
    reserved = (DEPLOY / "systemd" / "sysctl.d" / "60-bridge.conf").read_text(encoding="utf-8")
    assert "= 40000-53999\n" in reserved
    assert 40000 <= given.sip.rtp_port_min < given.sip.rtp_port_max <= 53999


def test_what_the_gateway_reads_and_writes_is_mounted() -> None:
    given = settings()
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in GATEWAY["volumeMounts"]}
    assert {each["name"] for each in GATEWAY["volumeMounts"]} == {
        *(each["name"] for each in POD["spec"]["volumes"]),
        "data",
    }
    for path in (given.state_dir, given.media.recordings_dir):
        assert [mounts[str(each)] for each in path.parents if str(each) in mounts] == [False]
    secrets = [each.api_key_file for each in given.realtime_arms.values()]
    for file in (*secrets, given.dialplans_dir / "any"):
        assert file is not None
        assert mounts[str(file.parent)]
    assert mounts[GATEWAY["command"][-1]]


def test_drain_has_its_time() -> None:
    given = settings()
    time_s = POD["spec"]["terminationGracePeriodSeconds"]
    assert time_s > given.drain_s + given.shutdown_grace_s + 10
    assert read("disruption.yaml")["spec"]["maxUnavailable"] == 1


def test_hook_drains_and_lasts_until_the_end() -> None:
    """One SIGTERM reaches the process, and the hook is there as long as the process is."""
    counting = (
        "n=0; trap 'n=$((n+1)); echo $n; read go; exit' TERM; echo up; while :; do read x; done"
    )
    with subprocess.Popen(
        ["bash", "-c", counting], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        (shell, flag, line) = GATEWAY["lifecycle"]["preStop"]["exec"]["command"]
        here = line.replace("-TERM 1;", f"-TERM {process.pid};").replace(
            "-0 1 ", f"-0 {process.pid} "
        )
        assert here.count(str(process.pid)) == 2
        with subprocess.Popen([shell, flag, here]) as hook:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "1\n"
            assert hook.poll() is None
            process.stdin.write("\n")
            process.stdin.close()
            assert process.wait(60) == 0
            assert hook.wait(60) == 0
        assert process.stdout.read() == ""


def test_probes_ask_for_pages_that_there_are() -> None:
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    asked = {name: GATEWAY[name]["httpGet"] for name in probes}
    assert {each["port"] for each in asked.values()} == {"probes"}
    assert [asked[name]["path"] for name in probes] == ["/healthz", "/healthz", "/readyz"]
    scraped = {each["path"] for each in read("monitor.yaml")["spec"]["endpoints"]}
    assert {each["path"] for each in asked.values()} | scraped == PROBES


def test_pod_may_do_little() -> None:
    own, pod = GATEWAY["securityContext"], POD["spec"]["securityContext"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["runAsNonRoot"]
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not POD["spec"]["automountServiceAccountToken"]


def test_selectors_find_the_pods() -> None:
    labels = POD["metadata"]["labels"]
    (term,) = POD["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    service = read("service.yaml")
    assert [
        read("statefulset.yaml")["spec"]["selector"]["matchLabels"],
        term["labelSelector"]["matchLabels"],
        service["spec"]["selector"],
        read("disruption.yaml")["spec"]["selector"]["matchLabels"],
        read("network.yaml")["spec"]["podSelector"]["matchLabels"],
    ] == [labels] * 5
    monitor = read("monitor.yaml")["spec"]
    assert monitor["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "bridge"  # alerts' job
    assert any('job="bridge"' in rule["expr"] for rule in read_rules())


def test_scaling_asks_for_metrics_that_are_exported() -> None:
    exported = Metrics("0").labels
    spec = read("scaling.yaml")["spec"]
    (trigger,) = spec["triggers"]
    asked = list(selectors(trigger["metadata"]["query"]))
    assert [each.name for each in asked] == ["bridge_calls_active", "bridge_calls_limit"]
    assert [each.name for each in asked if each.name not in exported] == []
    target = read("statefulset.yaml")
    assert spec["scaleTargetRef"] == {
        "apiVersion": target["apiVersion"],
        "kind": target["kind"],
        "name": target["metadata"]["name"],
    }
    calm = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert calm["stabilizationWindowSeconds"] > settings().drain_s
