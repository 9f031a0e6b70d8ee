#!/usr/bin/env python3
"""Writes the Grafana dashboards: dashboards/*.json. Change this file, run it, commit both (a test compares them).

usage: k8s/monitoring/dashboards.py [DIRECTORY]        (default: dashboards/, beside this file)

Each panel says what it shows and what to do when it looks wrong. Expressions are plain PromQL; the variables of the
dashboard (namespace, job) are added to each metric by grafana.py.
"""

import json
import pathlib
import sys

sys.dont_write_bytecode = True  # nothing but the dashboards is written here

from grafana import BLUE, GREEN, RED, YELLOW, Board, lines, row, stat, states, typed, values_of, words
from grafana import happened, per_minute, quantile, query, rate, since

NAMESPACE = values_of("namespace", "namespace", "offboard_build_info")
JOB = values_of("job", "job", 'offboard_build_info{namespace=~"$namespace"}')
OURS = {r"(?:offboard|process)_\w+": 'namespace=~"$namespace", job=~"$job"'}

CHECKS = "offboard_checks_total"
PROPAGATION = "offboard_revocation_propagation_seconds_bucket"
DECISIONS = {"allow": GREEN, "deny": RED, "observed_deny": YELLOW}
FAILED = 'reason=~"not_ready|scheme_unavailable|stale_source|internal"'
PASSED = 'decision="allow", reason=~"public|preflight|passed_.+|exempted"'
LEFT_REFUSED = 'reason="revoked_person", decision="deny"'
LET_THROUGH = 'reason="revoked_person", decision="observed_deny"'
STRANGE = 'reason=~"unknown_person|mixed_identities|issued_before_cutoff|revoked_.+", reason!="revoked_person"'
PER_MINUTE = "suffix:/min"
YES_NO = words(v0=("no", RED), v1=("yes", GREEN))
ENFORCED = words(v0=("observe", YELLOW), v1=("enforce", GREEN))
SOURCE_STATE = words(v0=("current", GREEN), v1=("stale", YELLOW), v2=("held back", RED), v3=("held back, stale", RED),
                     v4_7=("never listed", RED))
SOURCE_STATES = """max by (source) (offboard_source_stale) + 2 * max by (source) (offboard_source_guarded)
  + 4 * (max by (source) (offboard_source_last_success_timestamp_seconds) == bool 0)"""
ONE_IS_BAD = (GREEN, (0.5, RED))
ONE_IS_ODD = (GREEN, (0.5, YELLOW))


def leavers(span):
    """By source. Each replica counts each of them; a pod that was replaced counts on as another instance."""
    return f"round(max by (source) (sum by (source, pod) (increase(offboard_leavers_total[{span}]))))"


OVERVIEW = [
    row("Now"),
    stat("Ready replicas", """Replicas that answer checks. At 0 every request in the mesh gets 503: look at the pod
         (kubectl -n offboard describe pod) and at /readyz of its ops port, which says what is missing.""",
         query("sum(offboard_ready) or vector(0)"), levels=(RED, (1, GREEN)), size=(3, 4)),
    stat("Checks", """Checks per second. At 0 although there is traffic, nobody asks: see the dashboard "Envoy's
         view", then the table of outages in k8s/README.md.""",
         query("sum(rate(offboard_checks_total[$__rate_interval])) or vector(0)"), unit="reqps", size=(3, 4)),
    stat("Refused", """Share of checks that were refused. A jump is a mistake in the configuration or an attack: see
         "Refusals by reason" below, then ask `offboard explain --decision ID` about one of them.""",
         query("""(sum(rate(offboard_checks_total{decision="deny"}[$__rate_interval])) or vector(0))
               / (sum(rate(offboard_checks_total[$__rate_interval])) > 0)"""),
         unit="percentunit", levels=(GREEN, (0.2, YELLOW), (0.5, RED)), decimals=1, size=(3, 4), none="no checks"),
    stat("Could not judge", f"""Share of checks that Offboard could not decide; they get 503 where it enforces. Above
         0: see "Could not judge, by reason" below; it names what is missing.""",
         query(f"""(sum(rate(offboard_checks_total{{{FAILED}}}[$__rate_interval])) or vector(0))
               / (sum(rate(offboard_checks_total[$__rate_interval])) > 0)"""),
         unit="percentunit", levels=(GREEN, (0.0001, YELLOW), (0.01, RED)), decimals=2, size=(3, 4), none="no checks"),
    stat("Latency, p99", """99 of 100 checks are faster. Envoy gives up after 250 ms. Above 5 ms: see whether the pod
         has too little CPU, and which sources are asked during a check (look-ups of unknown people).""",
         query(quantile(0.99, "offboard_check_duration_seconds_bucket")), unit="s",
         levels=(GREEN, (0.005, YELLOW), (0.05, RED)), size=(3, 4), none="no checks"),
    stat("Configuration", """Whether the files are in force. "refused": the last good configuration stays in force,
         and the log names each error by file and line; `offboard validate --config DIR` does the same.""",
         query("min(offboard_config_last_reload_successful)"),
         says=words(v0=("refused", RED), v1=("in force", GREEN)), size=(3, 4)),
    stat("Sources in trouble", """Sources that are stale, held back or were never listed: who leaves there may still
         get in. The dashboard "Sources and keys" says which and why; `offboard source show NAME` has the error.""",
         query(f"count(({SOURCE_STATES}) > 0) or vector(0)"), levels=ONE_IS_BAD, size=(3, 4)),
    stat("Exemptions", """People who are let in although a source says that they left. It should be 0 after an
         incident: `offboard status` says who, why and until when; `offboard revoke --person REF` puts somebody out
         before that.""",
         query("max(offboard_exemptions)"), levels=ONE_IS_ODD, size=(3, 4)),
    row("Checks"),
    lines("Checks by decision", """Green is allowed, red refused, yellow would be refused once its service enforces.
          If everything falls to 0, see "Envoy's view"; if red takes over, see the reasons beside it.""",
          query(rate(CHECKS, "decision"), "{{decision}}"),
          unit="reqps", stacked=True, colors=DECISIONS),
    lines("Refusals by reason", """Why checks are refused, where it is enforced. `no_permission` after a change is a
          rule that is missing; `unknown_signing_key`, `wrong_audience` and `expired` come from the issuer or the
          clients; `revoked_person` is somebody who left and still tries.""",
          query(rate(CHECKS, "reason", 'decision="deny"'), "{{reason}}"),
          unit="reqps"),
    lines("Would be refused", """Checks of services that only observe, which enforcement would refuse. Bring each line
          to 0 before you enforce, but for leavers: `offboard audit tail --kind decision` shows, as they come, who
          asks for what.""",
          query(rate(CHECKS, "service, reason", 'decision="observed_deny"') + " > 0",
                "{{service}}: {{reason}}"), unit="reqps"),
    lines("Latency of checks", """How long a check takes inside Offboard. If it rises with the load, give the pod more
          CPU; if only p99 rises, look for look-ups of unknown people and for a slow disk.""",
          *(query(quantile(q, "offboard_check_duration_seconds_bucket"), name)
            for q, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))), unit="s", level=(0.25, RED), log=True),
    lines("Could not judge, by reason", """503 where it enforces. `not_ready`: an issuer has no keys or a required
          source was never listed. `stale_source`: a source is silent for too long. `scheme_unavailable`: what judges
          a credential does not answer. `internal`: read the log, and report it.""",
          query(f"""sum by (reason) (rate(offboard_checks_total{{{FAILED}}}[$__rate_interval]))
                or label_replace(vector(0), "reason", "none", "", "")""", "{{reason}}"), unit="reqps"),
    lines("Let in without a judgement", """Requests that a `pass`, `public` or an exemption lets in. Take a `pass`
          back when its line stays at 0; a line that rises under enforcement is a way around: see `passes` in
          `offboard status`.""",
          query(rate(CHECKS, "service, reason", PASSED) + " > 0", "{{service}}: {{reason}}"),
          unit="reqps"),
    row("State"),
    states("Enforcement by service", """Whether refusals of a service are carried out (enforce) or only counted
           (observe). A service that should be green and is not: look at `enforcement` in the configuration, and who
           changed it.""",
           query("min by (service) (offboard_service_enforcement)", "{{service}}"), says=ENFORCED),
    states("Ready, and configuration in force", """When each replica was ready. Gaps are restarts: for each, the
           previous log of the pod (kubectl logs -p) says why it ended. With one replica, a gap is an outage.
           "configuration: no": a reload was refused, and the log names each error.""",
           query("max by (pod) (offboard_ready)", "{{pod}}: ready"),
           query("min by (pod) (offboard_config_last_reload_successful)", "{{pod}}: configuration"), says=YES_NO),
    stat("Since the last reload and start", """The age of the configuration and of the process. If a change does not
         arrive, compare: kubelet takes up to a minute. Only "start": the files have had an error since then, and the
         last good configuration is in force. A start that nobody planned: read the previous log.""",
         query(since("(max(offboard_config_last_reload_success_timestamp_seconds) > 0)"), "reload"),
         query(since("max(process_start_time_seconds)"), "start"), unit="s", decimals=0, size=(4, 8)),
    stat("Replicas by version", """The builds that run. More than one, except during an upgrade: finish it or go
         back.""",
         query("count by (version) (offboard_build_info)", "{{version}}"), size=(4, 8)),
    stat("Should stay 0", """Counted in the time shown. Emergency token: unless your team used it, replace it at
         once. Audit lost or refused: free disk space; lost records cannot be recovered. Store: the volume is full or
         was replaced. Clock: repair the node's time, else expiry and propagation are wrong.""",
         query(happened("offboard_control_bootstrap_uses_total"), "emergency token"),
         query(happened("offboard_audit_lost_total"), "audit records lost"),
         query(happened("offboard_audit_failures_total"), "audit disk refused"),
         query(happened("offboard_store_failures_total"), "store failed"),
         query(happened("offboard_clock_steps_total"), "clock stepped"), levels=ONE_IS_BAD, size=(4, 8)),
    lines("Audit records and queue", """Records written each second, and messages that wait for the writer. If the
          queue grows, the disk is too slow: records are lost once it is full.""",
          query(rate("offboard_audit_records_total"), "written each second"),
          query("max(offboard_audit_queue_depth)", "waiting"), size=(5, 8)),
    lines("Memory", """Resident memory of each replica. It grows with the number of people (1.2 KB each, more while a
          listing comes in); if it nears the limit of the pod, raise the limit.""",
          query("max by (pod) (process_resident_memory_bytes)", "{{pod}}"), unit="bytes", size=(5, 8)),
    lines("CPU", """Processors in use. If it nears what the node has left, latency rises for every request in the
          mesh: raise the pod's CPU request.""",
          query(rate("process_cpu_seconds_total", "pod"), "{{pod}}"), unit="short", size=(5, 8)),
    lines("Tokens found in the cache", """Share of tokens whose signature was verified before. Low, with high CPU:
          clients fetch a new token for each request; let them keep it until it expires.""",
          query("""sum(rate(offboard_token_cache_total{result="hit"}[$__rate_interval]))
                / (sum(rate(offboard_token_cache_total[$__rate_interval])) > 0)""", "found"),
          unit="percentunit", size=(5, 8)),
]

OFFBOARDING = [
    row("The last 24 hours"),
    stat("People who left", """People whom a source newly reported suspended or gone, within 24 hours. Compare with
         HR's list. Far too many: see "Mass changes" below. None, although somebody left: see the dashboard "Sources
         and keys".""",
         query(leavers("24h"), "{{source}}"), size=(5, 5)),
    stat("Attempts after leaving, refused", """Requests of people who left, within 24 hours, that were refused, as it
         should be. Many of one service: see below who still holds a credential, and take it from them.""",
         query(happened(f"{CHECKS}{{{LEFT_REFUSED}}}", "24h")), size=(4, 5)),
    stat("Attempts after leaving, let through", """The same at services that only observe: these people still got in.
         Above 0: set `enforcement: enforce` for the service that is named below.""",
         query(happened(f"{CHECKS}{{{LET_THROUGH}}}", "24h")),
         levels=ONE_IS_BAD, size=(4, 5)),
    stat("From the provider to enforced", """Time from a departure at the provider until Offboard refused the person,
         over 24 hours. More than a minute: the provider is slow to tell; poll more often, or see its errors and rate
         limits.""",
         query(quantile(0.5, f'{PROPAGATION}{{from="provider"}}', span="24h"), "p50"),
         query(quantile(0.99, f'{PROPAGATION}{{from="provider"}}', span="24h"), "p99"),
         unit="s", levels=(GREEN, (60, YELLOW), (300, RED)), size=(5, 5), none="nobody left"),
    stat("Held-back listings", """Listings in which so many people were missing that nothing was concluded from them.
         Until somebody decides, missing people stay in: `offboard source show NAME`, then `confirm` or `discard`.""",
         query("sum(max by (source) (offboard_source_guarded))"), levels=ONE_IS_BAD, size=(3, 5)),
    stat("Exemptions", """People who are let in although a source says that they left. Each must have a reason:
         `offboard status` says who, why, by whom and until when; `offboard revoke --person REF` puts somebody out
         before that.""",
         query("max(offboard_exemptions)"), levels=ONE_IS_ODD, size=(3, 5)),
    row("Who left, and how soon it counted"),
    lines("Left, by source", """People who left within the hour before each moment. A peak that HR did not announce is
          a mistake at the provider, or an attack on it: see "Mass changes".""",
          query(leavers("1h"), "{{source}}")),
    lines("Provider to enforced", """From the provider's own time of a departure until it was refused here, over the
          hour before; empty while nobody leaves. Far above the source's `poll`: look at its errors, rate limits and
          clock ("Sources and keys").""",
          *(query(quantile(q, f'{PROPAGATION}{{from="provider"}}', "source, ", "1h"),
                  f"{{{{source}}}} {name}") for q, name in ((0.5, "p50"), (0.99, "p99"))), unit="s", level=(60, RED)),
    lines("Receipt to enforced", """From the moment Offboard heard of it until it was refused: writing it to disk and
          applying it. Above 1 s: the volume is slow, or the pod has no CPU.""",
          query(quantile(0.99, f'{PROPAGATION}{{from="receipt"}}', "source, ", "1h"),
                "{{source}} p99"), unit="s", level=(1, RED)),
    row("Who still tries"),
    lines("Attempts after leaving, refused", """Requests of people who left, by service that they wanted. A few are
          open browsers and scripts; a steady line is a job that runs as a person: find it, and give it a client of
          its own at the issuer.""",
          query(rate(CHECKS, "service", LEFT_REFUSED), "{{service}}"), unit="reqps"),
    lines("Attempts after leaving, let through", """The same where a service only observes: these people still got in.
          Any line above 0 is an open door: set `enforcement: enforce` for that service.""",
          query(rate(CHECKS, "service", LET_THROUGH), "{{service}}"), unit="reqps"),
    lines("Other revoked credentials, and strangers", """Uses of tokens, sessions, keys and clients that were revoked,
          and of people whom no source knows. `issued_before_cutoff` ends when people sign in again; `unknown_person`
          that grows means that a source is missing or incomplete.""",
          query(rate(CHECKS, "reason", STRANGE), "{{reason}}"), unit="reqps"),
    row("What is in force"),
    states("Listings by source", """Red: a listing is held back, and whoever is only absent from it is not blocked.
           Decide: `offboard source show NAME`, then `confirm` or `discard`. Yellow: the source is silent for too
           long.""",
           query(SOURCE_STATES, "{{source}}"), says=SOURCE_STATE),
    lines("Mass changes", """Causes for alarm within the hour before: many people disabled at once (applied, as the
          provider said so), listings held back, credentials that match several people. Call the provider's owner
          before you undo anything.""",
          query("""round(sum by (kind) (increase(
                offboard_source_errors_total{kind=~"mass_disable|guarded|mixed_identities"}[1h])))""", "{{kind}}")),
    lines("Exemptions and the emergency token", """Exemptions in force; calls with the bootstrap token, and revocations
          taken back as mistakes (`restore --undo`), within the hour before. Each belongs to an incident that you know of;
          if not, it is one.""",
          query("max(offboard_exemptions)", "exemptions"),
          query(happened("offboard_control_bootstrap_uses_total", "1h"), "emergency token"),
          query(happened("offboard_revocations_undone_total", "1h"), "revocations undone")),
    lines("Revocations in force", """Standing revocations by target. They grow with everybody who leaves. If they drop
          sharply, somebody restored many at once: `offboard revocations --all` and the audit trail say who.""",
          query("max by (target) (offboard_revocations)", "{{target}}"), stacked=True),
    lines("People who left, by source", """Suspended and departed people that each source reports. A drop means that
          they were reinstated, or that a provider was restored from a backup.""",
          query("""max by (source, status) (offboard_people{status!="active"})""", "{{source}}: {{status}}")),
    lines("Active people, by source", """Who may come in. A step down that nobody announced: see "Mass changes". A
          step up: too many were let back in.""",
          query("""max by (source) (offboard_people{status="active"})""", "{{source}}")),
]

KEYS = 'reason=~"unknown_issuer|unknown_signing_key|bad_signature|bad_claims|wrong_audience|expired|not_yet_valid"'

SOURCES = [
    row("Sources: who works here"),
    states("State", """What is known of each source. "stale": nothing new for longer than `max_staleness`. "held
           back": decide with `offboard source confirm` or `discard`. "never listed": nothing is concluded from it;
           run `offboard source check NAME`.""",
           query(SOURCE_STATES, "{{source}}"), says=SOURCE_STATE),
    lines("Age of what is known", """How old the knowledge of a source is. It should stay far below `max_staleness`.
          If a line climbs, the source fails, and new departures are not detected. See its errors below.""",
          query(since("(max by (source) (offboard_source_last_success_timestamp_seconds) > 0)"), "{{source}}"),
          unit="s"),
    lines("Changes told", """Changes per minute that the provider reported. At 0 for a day, in a company that hires:
          events are off at the provider, or the account may not read them; `offboard source check NAME` says which.""",
          query(per_minute("offboard_source_events_total", "source"), "{{source}}"), unit=PER_MINUTE),
    lines("Errors by source", """Failures each minute, of every kind. A line that stays above 0: `offboard source show
          NAME` has the last error in words.""",
          query(per_minute("offboard_source_errors_total", "source"), "{{source}}"), unit=PER_MINUTE),
    lines("Errors by kind", """`unreachable`: network, or egress of the NetworkPolicy. `forbidden`: a right was taken
          away or a secret expired. `provider_error`: its own outage. `malformed`: its answer is not as expected.
          `clock`: its time is ahead of ours.""",
          query(per_minute("offboard_source_errors_total", "kind"), "{{kind}}"), unit=PER_MINUTE,
          legend="right"),
    lines("Rate limits", """How often a provider said "too many requests". Offboard waits as long as it is told to. If
          it stays above 0: raise `poll`, or ask the provider for a limit of its own for this client.""",
          query(per_minute("offboard_source_errors_total", "source", 'kind="rate_limited"'),
                "{{source}}"), unit=PER_MINUTE),
    row("Issuers: whose tokens count"),
    stat("Keys in use", """Keys that verify tokens, by issuer. At 0 all its tokens get 503 (`not_ready`): look at the
         failed fetches beside it and at `offboard status`.""",
         query("max by (issuer) (offboard_jwks_keys)", "{{issuer}}"), levels=(RED, (1, GREEN)), size=(6, 8)),
    stat("Owners of its tokens", """Whether any source knows the owners of an issuer's tokens. "nobody known": of the
         last 1000 tokens, none belongs to anybody known, so no leaver is found. `offboard source check NAME` says
         what `link` should be.""",
         query("max by (issuer) (offboard_issuer_unmatched)", "{{issuer}}"),
         says=words(v0=("no alarm", GREEN), v1=("nobody known", RED)), size=(6, 8)),
    lines("Age of the keys", """Time since the keys of an issuer were fetched. Old keys still verify; a key that the
          issuer withdraws or adds is noticed late. A line that climbs: its JWKS cannot be reached.""",
          query(since("(max by (issuer) (offboard_jwks_last_success_timestamp_seconds) > 0)"), "{{issuer}}"), unit="s",
          size=(6, 8)),
    lines("Failed fetches of keys", """Fetches each minute that failed. Try the address from the pod's network: the
          error in the log names it. An issuer that was never reached has no age and stays at 0 keys.""",
          query(per_minute("offboard_jwks_errors_total", "issuer"), "{{issuer}}"), unit=PER_MINUTE,
          size=(6, 8)),
    lines("Tokens that are not taken", """`unknown_signing_key` at once for everybody: the issuer changed its keys,
          and they could not be fetched. `wrong_audience` or `unknown_issuer`: a client asks for the wrong token.
          `expired` for everybody: a clock is wrong.""",
          query(rate(CHECKS, "reason", KEYS) + " > 0", "{{reason}}"),
          unit="reqps", size=(12, 8)),
    lines("Position in the log", """The last change that each replica enforces. If replicas differ for more than a
          moment, one does not receive changes: restart it.""",
          query("max by (pod) (offboard_revocation_epoch)", "{{pod}}"), size=(12, 8)),
]

PROXIES = values_of("namespace", "namespace", "envoy_http_ext_authz_ok")
PROXIES["label"] = "namespace of the proxies"
# Envoy's own file, Istio, Envoy Gateway. A dot stands for the `|` of Istio's names, so that nothing needs escaping.
CLUSTER = typed("cluster", "cluster of Offboard (regular expression)",
                "offboard|outbound.9191..offboard-authz.*|.*/offboard/extauth/.*")
THEIRS = {r"envoy_http_ext_authz_\w+|envoy_cluster_ext_authz_\w+": 'namespace=~"$namespace"'}


def of_cluster(stat_name, wrap="{}"):
    """A statistic of Offboard's cluster. Istio calls the label `cluster_name`, Envoy itself `envoy_cluster_name`."""
    named = (f'{stat_name}{{namespace=~"$namespace", {label}=~"$cluster"}}'
             for label in ("envoy_cluster_name", "cluster_name"))
    return "(" + " or ".join(wrap.format(one) for one in named) + ")"


def rates(stat_name):
    return of_cluster(stat_name, "rate({}[$__rate_interval])")


def outcome(name):
    return f"sum(rate(envoy_http_ext_authz_{name}[$__rate_interval]))"


ENVOY = [
    row("What proxies were told"),
    stat("Asked", """Requests per second that proxies asked about. "No data": this Prometheus has no statistics of
         ext_authz; in Istio ask for them (proxyStatsMatcher, k8s/README.md).""",
         query(f"{outcome('ok')} + {outcome('denied')} + {outcome('error')}"), unit="reqps"),
    stat("No answer", """Share of requests that got no answer in time, and so a 503. Above 0: Offboard is down, too
         slow, or not reached: see the table of outages in k8s/README.md. Envoy Gateway without an endpoint answers
         500 and counts nothing here.""",
         query(f"{outcome('error')} / ({outcome('ok')} + {outcome('denied')} + {outcome('error')} > 0)"),
         unit="percentunit", levels=(GREEN, (0.0001, YELLOW), (0.01, RED)), decimals=2, none="no requests"),
    stat("Let through without answer", """Requests that went on although there was no answer (`failure_mode_allow`,
         `failOpen`), in the time shown. It must be 0: find the proxy below, and set it to false.""",
         query(happened("envoy_http_ext_authz_failure_mode_allowed")), levels=ONE_IS_BAD),
    stat("Check switched off", """Requests that a proxy did not ask about, as its filter is disabled
         (`filter_enabled`), in the time shown. It must be 0, but in Istio for what no rule of the policy names
         (`notPaths`, `notPorts`). The proxy is named below.""",
         query(happened("envoy_http_ext_authz_disabled")), levels=ONE_IS_BAD),
    stat("Timeouts", """Checks that took longer than the timeout (250 ms), in the time shown. With a low latency
         inside Offboard it is the network or the proxy's CPU.""",
         query(f"round(sum({of_cluster('envoy_cluster_upstream_rq_timeout', 'increase({}[$__range])')}))"),
         levels=ONE_IS_ODD),
    stat("Healthy endpoints", """Endpoints of Offboard that the worst-off proxy may ask. At 0 all its requests get
         503: see whether Offboard is ready, and whether the proxy's namespace carries the label of the
         NetworkPolicy.""",
         query(f"min({of_cluster('envoy_cluster_membership_healthy')})"), levels=(RED, (1, GREEN))),
    lines("Outcome", """What became of requests. In observe mode everything is `ok`. `error` is no answer; `failure
          mode` and `disabled` got in without one, and must not exist.""",
          query(outcome("ok"), "ok"), query(outcome("denied"), "denied"), query(outcome("error"), "error"),
          query(outcome("failure_mode_allowed"), "failure mode"), query(outcome("disabled"), "disabled"),
          unit="reqps", size=(12, 8),
          colors={"ok": GREEN, "denied": YELLOW, "error": RED, "failure mode": "purple", "disabled": BLUE}),
    lines("Asked and answered", """Requests that proxies got an answer to, and checks that Offboard answered, in all
          namespaces. The two lines should coincide. Offboard's is higher: Prometheus does not scrape every proxy, or
          answers come too late. Offboard's is missing: it is not scraped.""",
          query(f"{outcome('ok')} + {outcome('denied')}", "answers that proxies got"),
          query(rate(CHECKS), "answers that Offboard gave"),
          unit="reqps", size=(12, 8)),
    row("Where it fails"),
    lines("No answer, by proxy", """The ten proxies with the most requests without an answer. One of many: its
          network, its namespace's label or a DestinationRule. All of them: Offboard itself.""",
          query("topk(10, sum by (namespace, pod) (rate(envoy_http_ext_authz_error[$__rate_interval])))",
                "{{namespace}} {{pod}}"), unit="reqps"),
    lines("Let through or switched off, by proxy", """Requests that were not checked. Any line above 0 is an open
          door: look at that proxy's configuration (`failure_mode_allow`, `filter_enabled`).""",
          query("""topk(10, sum by (namespace, pod) (rate(envoy_http_ext_authz_failure_mode_allowed[$__rate_interval])
                + rate(envoy_http_ext_authz_disabled[$__rate_interval])))""", "{{namespace}} {{pod}}"), unit="reqps"),
    lines("Denied, by application", """Where Envoy refused. The name is Envoy's cluster of the application. A line
          that jumps after a change: that application's rules. The series begins with its first denial.""",
          query("""topk(10, sum by (namespace, envoy_cluster_name, cluster_name)
                (rate(envoy_cluster_ext_authz_denied[$__rate_interval])))""",
                "{{namespace}} {{envoy_cluster_name}}{{cluster_name}}"), unit="reqps"),
    row("The way to Offboard"),
    lines("Latency of a check, as Envoy sees it", """From asking to the answer, with the network. Far above Offboard's
          own latency (Overview): the network, the proxy's CPU, or a mesh that adds a hop. At 250 ms Envoy gives
          up.""",
          *(query(f"histogram_quantile({q}, sum by (le) ({rates('envoy_cluster_upstream_rq_time_bucket')}))", name)
            for q, name in ((0.5, "p50"), (0.99, "p99"))), unit="ms", level=(250, RED)),
    lines("Failures on the way", """`timeout`: no answer within 250 ms. `connection`: refused or cut; Offboard is
          down. `no endpoint`: none is healthy. `overflow`: the circuit breaker of the cluster is too small. `retry`
          is harmless.""",
          *(query(f"sum({rates('envoy_cluster_' + name)})", legend) for name, legend in (
              ("upstream_rq_timeout", "timeout"), ("upstream_cx_connect_fail", "connection"),
              ("upstream_cx_none_healthy", "no endpoint"), ("upstream_rq_pending_overflow", "overflow"),
              ("upstream_rq_retry", "retry"))), unit="ops"),
    lines("Endpoints", """Endpoints of Offboard that proxies know, and how many of them are healthy; the worst-off
          proxy counts. Fewer healthy than known: that one starts, ends, or cannot be reached.""",
          query(f"min({of_cluster('envoy_cluster_membership_total')})", "known"),
          query(f"min({of_cluster('envoy_cluster_membership_healthy')})", "healthy")),
]

BOARDS = [
    Board("offboard-overview", "Offboard / Overview", "For on-call: is it up, does it judge, what does it refuse.",
          "6h", [NAMESPACE, JOB], OURS, OVERVIEW),
    Board("offboard-offboarding", "Offboard / Offboarding", "For security: who left, how soon, who still tries.",
          "24h", [NAMESPACE, JOB], OURS, OFFBOARDING),
    Board("offboard-sources", "Offboard / Sources and keys", "Where people and keys come from, and how old that is.",
          "24h", [NAMESPACE, JOB], OURS, SOURCES),
    Board("offboard-envoy", "Offboard / Envoy's view", "What the proxies that ask saw, even while Offboard was down.",
          "6h", [PROXIES, CLUSTER], THEIRS, ENVOY),
]


def main(directory):
    directory.mkdir(exist_ok=True)
    for board in BOARDS:
        name = directory / f"{board.uid.removeprefix('offboard-')}.json"
        name.write_text(json.dumps(board.json(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "dashboards")
