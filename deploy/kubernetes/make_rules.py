"""Makes monitoring/rules.yaml of Prometheus's rules: python deploy/kubernetes/make_rules.py [--check]."""

import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
SOURCE, TARGET = HERE.parent / "prometheus" / "lenswatch.rules.yml", HERE / "monitoring" / "rules.yaml"
HEAD = "# Made of deploy/prometheus/lenswatch.rules.yml by deploy/kubernetes/make_rules.py.\n"


def text() -> str:
    """The PrometheusRule that has the same groups."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "lenswatch", "labels": {"app.kubernetes.io/name": "lenswatch"}},
        "spec": {"groups": yaml.safe_load(SOURCE.read_text("utf-8"))["groups"]},
    }
    return HEAD + yaml.safe_dump(rule, sort_keys=False, width=118, allow_unicode=True)


def main() -> None:
    """Write the file, or with --check say whether it is not as it would be written."""
    if "--check" in sys.argv:
        same = TARGET.is_file() and TARGET.read_text("utf-8") == text()
        sys.exit(0 if same else f"{TARGET}: is not what make_rules.py makes: run it")
    TARGET.write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
