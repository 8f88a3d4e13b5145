// What operators have set going, and how they watch it: the ramp, consoles, the audit trail.
#include "proxy/metric_groups.h"
#include "proxy/proxy.h"
#include "proxy/ramp.h"
#include "routing/ramp_rules.h"

namespace crossfade {

namespace {

// Of the ramp's last look; before any there are no values, and the limits are those of the configuration.
std::vector<Guardrail> Guardrails(const Proxy& proxy) {
  const std::vector<Guardrail>& seen = proxy.ramp()->guardrails();
  return seen.empty() ? JudgeRamp(proxy.config().ramp, RampFigures(), 0).guardrails : seen;
}

void AppendRamp(const Proxy& proxy, MetricList* list) {
  const Ramp& ramp = *proxy.ramp();
  list->Gauge("crossfade_ramp_state", "1 for how the newest ramp stands.")
      .AddStates("state", {"idle", "running", "holding", "paused", "tripped", "done", "aborted"},
                 ramp.record() ? Name(ramp.record()->state) : "idle");
  list->Gauge("crossfade_ramp_step_ratio",
              "The share of reads that the ramp's present step gives to new, 0 to 1; 0 when no ramp is under way.",
              ramp.active() ? ramp.record()->percent() / 100 : 0);
  list->Gauge("crossfade_ramp_step_left_seconds",
              "How long the ramp's present step lasts at least; 0 when no ramp is under way.",
              static_cast<double>(ramp.step_left_ms()) / 1e3);

  const std::vector<Guardrail> guardrails = Guardrails(proxy);
  auto value = list->Gauge("crossfade_ramp_guardrail_value",
                           "What the ramp has measured in its present or last step, by guardrail, in its own unit.");
  for (const Guardrail& rail : guardrails) value.Add(rail.value, {{"guardrail", rail.name}});
  auto limit = list->Gauge("crossfade_ramp_guardrail_limit",
                           "Beyond what the ramp takes reads back to old, by guardrail, in its own unit.");
  for (const Guardrail& rail : guardrails) limit.Add(rail.limit, {{"guardrail", rail.name}});
  auto tripped = list->Gauge("crossfade_ramp_guardrail_tripped",
                             "1 for each guardrail that was crossed when the ramp last looked.");
  for (const Guardrail& rail : guardrails) {
    tripped.Add(rail.state == GuardrailState::kTripped, {{"guardrail", rail.name}});
  }
}

void AppendConsoles(const Proxy& proxy, MetricList* list) {
  list->Gauge("crossfade_console_streams", "Consoles, and others, that are sent events as they come.",
              static_cast<double>(proxy.http().streams()));
  list->Counter("crossfade_console_events_lost_total", "Events that a stream had no room for, for it was read slowly.",
                static_cast<double>(proxy.http().pieces_lost()));
}

void AppendAudit(const Proxy& proxy, MetricList* list) {
  list->Gauge("crossfade_audit_unsaved_entries", "Entries of the audit trail that could not be written to disk yet.",
              static_cast<double>(proxy.audit().unsaved()));
  list->Counter("crossfade_audit_entries_lost_total",
                "Entries of the audit trail that were never written to disk: too many waited for room.",
                static_cast<double>(proxy.audit().lost()));
}

}  // namespace

void AppendOperatorMetrics(const Proxy& proxy, MetricList* list) {
  AppendRamp(proxy, list);
  AppendConsoles(proxy, list);
  AppendAudit(proxy, list);
}

}  // namespace crossfade
