#include "proxy/cli_audit.h"

#include <ostream>

#include "nlohmann/json.hpp"
#include "proxy/cli_operator.h"
#include "proxy/cli_output.h"
#include "routing/figures_text.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {

using nlohmann::json;

std::string RenderAuditEntry(const json& entry) {
  const std::string from = TextAt(entry, {"from"}), to = TextAt(entry, {"to"}), reason = TextAt(entry, {"reason"});
  const std::string outcome = TextAt(entry, {"outcome"}, "done");
  std::string text = TextAt(entry, {"what"}, "?");
  if (!from.empty()) text += fmt::format(": {} → {}", from, to.empty() ? "nothing" : to);
  if (from.empty() && !to.empty()) text += ": " + to;
  if (outcome != "done") text += ", " + outcome;
  if (!reason.empty()) text += fmt::format(" ({})", reason);
  return fmt::format("{}  {:<24}  {}", TimestampText(static_cast<int64_t>(NumberAt(entry, {"at_ms"}))),
                     TextAt(entry, {"who"}, "?"), text);
}

int Operator::Audit(int64_t limit) {
  json answer;
  int exit = kExitDone;
  if (!Ask("GET", fmt::format("/api/v1/audit?limit={}", limit), nullptr, &answer, &exit) || session_.json) return exit;
  const json* entries = Find(answer, {"entries"});
  if (entries == nullptr || !entries->is_array() || entries->empty()) {
    *session_.out << "nothing has been changed yet\n";
    return exit;
  }
  for (const json& entry : *entries) *session_.out << RenderAuditEntry(entry) << "\n";
  if (const std::string trouble = TextAt(answer, {"trouble"}); !trouble.empty()) {
    *session_.out << fmt::format("note: {} of these are not on the disk yet: {}\n", TextAt(answer, {"unsaved"}),
                                 trouble);
  }
  return exit;
}

}  // namespace crossfade
