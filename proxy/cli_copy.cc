// `crossfade copy functions|users`, of proxy/cli_operator.h.
#include <ostream>

#include "nlohmann/json.hpp"
#include "proxy/cli_operator.h"
#include "proxy/cli_output.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {

namespace {

using nlohmann::json;

std::string Names(const json& answer, const char* field) {
  std::string text;
  for (const std::string& name : NotesIn(answer, {field})) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void Tell(const json& answer, const char* field, const std::string& label, std::ostream* out) {
  const json* list = Find(answer, {field});
  if (list == nullptr || !list->is_array() || list->empty()) return;
  if (list->front().is_string()) {
    *out << fmt::format("{:<15}{}\n", label, Names(answer, field));
    return;
  }
  for (const json& one : *list) {
    *out << fmt::format("{:<15}{}: {}\n", label, TextAt(one, {"name"}), TextAt(one, {"why"}));
  }
}

}  // namespace

int Operator::Copy(const std::string& what) {
  json answer, body = {{"what", what}};
  int exit = kExitDone;
  if (!Ask("POST", "/api/v1/copy", &body, &answer, &exit)) return exit;
  const json* refused = Find(answer, {"refused"});
  const bool all = refused == nullptr || refused->empty();
  if (session_.json) return all ? kExitDone : kExitNotTrue;
  const std::string to = TextAt(answer, {"to"}, "the secondary");
  Tell(answer, "copied", "copied", session_.out);
  Tell(answer, "equal", "equal already", session_.out);
  Tell(answer, "only_on_secondary", "only on " + to, session_.out);
  Tell(answer, "skipped", "skipped", session_.out);
  Tell(answer, "refused", "REFUSED", session_.out);
  const json* copied = Find(answer, {"copied"});
  *session_.out << fmt::format("copy: {} {} copied from {} to {}{}\n", copied == nullptr ? 0 : copied->size(), what,
                               TextAt(answer, {"from"}), to, all ? "" : fmt::format(", {} refused", refused->size()));
  for (const std::string& note : NotesIn(answer, {"note"})) *session_.out << "note: " << note << "\n";
  return all ? kExitDone : kExitNotTrue;
}

}  // namespace crossfade
