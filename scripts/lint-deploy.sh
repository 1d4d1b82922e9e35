#!/usr/bin/env bash
# Checks deploy/ with the linters of its formats, those that are here; the others are named. Needs no network.
# What the configurations say is checked by the tests of nautilus-cli.
set -uo pipefail
cd "$(dirname "$0")/../deploy" || exit

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
done_by=()
missing=()
problems=0

has() { command -v "$1" >/dev/null; }
# check NAME COMMAND...: prints what the linter says where it finds something.
check() {
    local name=$1
    shift
    if ! "$@" >"$work/said" 2>&1; then
        echo "lint-deploy: $name:" >&2
        cat "$work/said" >&2
        problems=$((problems + 1))
    fi
}

# What it cannot parse it only mentions; and it mentions units of this machine too, which are not ours to judge.
verify_units() {
    local said status=0
    said=$(systemd-analyze verify "$work"/*.service 2>&1) || status=$?
    ! grep -F "$work/" <<<"$said" && ((status == 0))
}

# Programs are not installed here, so that the units name one that is everywhere.
if has systemd-analyze; then
    for unit in systemd/*.service; do
        sed 's|^ExecStart=/usr/bin/nautilus|ExecStart=/bin/true|' "$unit" >"$work/${unit##*/}"
    done
    check "systemd-analyze verify" verify_units
    done_by+=("systemd-analyze verify")
    # Since systemd 250. 0 is as closed as it gets, 100 open.
    if systemd-analyze --help | grep -q -e '--threshold'; then
        for unit in "$work"/*.service; do
            check "systemd-analyze security ${unit##*/}" \
                systemd-analyze security --offline=true --threshold=20 --no-pager "$unit"
        done
        done_by+=("systemd-analyze security")
    else
        missing+=("systemd-analyze security (systemd 250)")
    fi
else
    missing+=("systemd-analyze: units")
fi

if has docker && docker compose version >/dev/null 2>&1; then
    check "docker compose config" docker compose -f compose/compose.yaml --profile cli config -q
    done_by+=("docker compose config")
else
    missing+=("docker compose: compose.yaml's model")
fi
if has check-jsonschema; then
    check "check-jsonschema" check-jsonschema --builtin-schema vendor.compose-spec compose/compose.yaml
    done_by+=("check-jsonschema (compose)")
else
    missing+=("check-jsonschema: compose.yaml's schema")
fi

if has hadolint; then
    check "hadolint" hadolint docker/Dockerfile docker/s3.Dockerfile
    done_by+=("hadolint")
else
    missing+=("hadolint: Dockerfiles")
fi

if has helm; then
    chart=kubernetes/chart
    settings=(--kube-version 1.30.0 --set-file config=config/nautilus.toml)
    render() { helm template nautilus "$chart" "${settings[@]}" "$@"; }
    check "helm lint" helm lint --strict "$chart" "${settings[@]}"
    check "helm template" render
    # Every branch of the templates.
    check "helm template" render --set credentialsSecret=nautilus-credentials,leaf.antiAffinity=hard \
        --set leaf.storage.className=local,networkPolicy.enabled=false,priorityClassName=high \
        --set 'groups[0].name=c,groups[0].leaves=2,groups[0].tag=next,image.pullSecrets={registry}' \
        --set 'env[0].name=NAUTILUS_LOGGING_FILTER,env[0].value=debug,merger.service.type=LoadBalancer'
    for unknown in rooot.replicas=3 leaf.storage.sise=1Gi; do
        if render --set "$unknown" >/dev/null 2>&1; then
            echo "lint-deploy: the chart takes $unknown, which means nothing" >&2
            problems=$((problems + 1))
        fi
    done
    render --set credentialsSecret=nautilus-credentials >"$work/rendered.yaml" 2>/dev/null
    check "rendered manifests" grep -q '^kind: StatefulSet' "$work/rendered.yaml"
    done_by+=("helm lint" "helm template")
    if has kubernetes-validate; then
        check "kubernetes-validate" kubernetes-validate --strict "$work/rendered.yaml" kubernetes/build-job.yaml
        done_by+=("kubernetes-validate")
    elif has kubeconform && [[ -n ${KUBERNETES_SCHEMAS-} ]]; then
        # It downloads schemas unless it is told where they are.
        check "kubeconform" kubeconform -strict -schema-location "$KUBERNETES_SCHEMAS" "$work/rendered.yaml"
        done_by+=("kubeconform")
    else
        missing+=("kubernetes-validate, or kubeconform with KUBERNETES_SCHEMAS: rendered manifests")
    fi
else
    missing+=("helm: the chart")
fi

for script in docker/nautilus-health compose/make-secrets; do
    check "bash -n" bash -n "$script"
done

printf -v list '%s, ' "${done_by[@]-}"
echo "lint-deploy: checked by ${list%, }"
for one in ${missing[@]+"${missing[@]}"}; do
    echo "lint-deploy: not here, so not checked: $one"
done
((problems == 0)) || exit 1
