#include "proxy/cli_operator.h"

#include <cmath>
#include <ostream>

#include "nlohmann/json.hpp"
#include "proxy/cli_output.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

using nlohmann::json;

constexpr int64_t kAnswerTimeoutMs = 15'000;
constexpr int64_t kStoresTimeoutMs = 90'000;  // what asks the stores many questions, each with its own deadline
constexpr int64_t kFlipTimeoutMs = 60'000;    // beyond the pause it may take: arming waits for the secondary

// 25 rather than 25.0.
json PercentJson(double percent) {
  if (percent == std::floor(percent)) return static_cast<int>(percent);
  return percent;
}

}  // namespace

bool Operator::Ask(const std::string& method, const std::string& path, const json* body, json* answer, int* exit,
                   bool may_print_json, json* refusal) {
  int64_t timeout_ms = kAnswerTimeoutMs;
  if (body != nullptr && path == "/api/v1/flip") {
    timeout_ms = kFlipTimeoutMs + (BoolAt(*body, {"preflight"}) ? kStoresTimeoutMs : 0) +
                 static_cast<int64_t>(NumberAt(*body, {"max_pause_ms"}));
  }
  if (path == "/api/v1/preflight" || path == "/api/v1/copy" || path.starts_with("/api/v1/flip?")) {
    timeout_ms = kStoresTimeoutMs;
  }
  std::string body_text = body != nullptr ? body->dump() : "";
  auto reply = session_.call(session_.address, method, path, body_text, session_.token, timeout_ms);
  if (!reply.ok()) {
    *session_.err << std::string(reply.status().message()) << "\n";
    *exit = absl::IsUnavailable(reply.status()) ? kExitUnreachable : kExitNotTrue;
    return false;
  }
  if (session_.json && may_print_json) {
    *session_.out << reply->body;
    if (reply->body.empty() || reply->body.back() != '\n') *session_.out << "\n";
  }
  if (reply->status < 200 || reply->status > 299) {
    if (refusal != nullptr && reply->status == 409) {
      *refusal = json::parse(reply->body, nullptr, false);
      *exit = kExitNotTrue;
      if (!may_print_json) return false;
    }
    *exit = Refused(method + " " + path, *reply);
    return false;
  }
  *answer = json::parse(reply->body, nullptr, false);
  if (answer->is_discarded() && !reply->body.empty()) {
    *session_.err << "what answers at " << session_.address.ToString()
                  << " does not speak JSON; is it Crossfade's admin port?\n";
    *exit = kExitUnreachable;
    return false;
  }
  if (answer->is_discarded()) *answer = json::object();
  *exit = kExitDone;
  return true;
}

// Tells why, and returns the exit status.
int Operator::Refused(const std::string& what, const AdminReply& reply) {
  json answer = json::parse(reply.body, nullptr, false);
  std::string why = Joined(NotesIn(answer, {"error"}));
  if (why.empty()) why = Joined(NotesIn(answer, {"reason"}));
  if (why.empty()) why = fmt::format("HTTP status {}", reply.status);
  const std::string where = session_.address.ToString();
  switch (reply.status) {
    case 401:
    case 403:
      if (session_.token.empty()) {
        *session_.err << fmt::format(
            "the proxy at {} wants a token: give it with --token-file FILE or CROSSFADE_TOKEN\n", where);
        return kExitUsage;
      }
      *session_.err << fmt::format("the proxy at {} refused: {}; is it the token in its admin.token_file?\n", where,
                                   why);
      return kExitNotTrue;
    case 400:
      *session_.err << why << "\n";
      return kExitUsage;
    case 404:
    case 405:
      *session_.err << fmt::format("the proxy at {} doesn't know {} ({}); is it another version?\n", where, what, why);
      return kExitNotTrue;
    case 409:
      *session_.err << "refused: " << why << "\n";
      return kExitNotTrue;
    case 503:
      *session_.err << fmt::format("the proxy at {} can't answer now: {}\n", where, why);
      return kExitUnreachable;
    default:
      *session_.err << fmt::format("the proxy at {} failed: {}\n", where, why);
      return kExitNotTrue;
  }
}

bool Operator::AskStatus(json* status, int* exit) {
  return Ask("GET", "/api/v1/status", nullptr, status, exit, false);
}

int Operator::Status() {
  json status;
  int exit = kExitDone;
  if (Ask("GET", "/api/v1/status", nullptr, &status, &exit) && !session_.json) *session_.out << RenderStatus(status);
  return exit;
}

int Operator::Mismatches(int64_t limit) {
  json answer;
  int exit = kExitDone;
  std::string path = fmt::format("/api/v1/mismatches?limit={}", limit);
  if (Ask("GET", path, nullptr, &answer, &exit) && !session_.json) *session_.out << RenderMismatches(answer);
  return exit;
}

// Changes one setting, and says what is now true, what was, and how to go back. `meaning` gets the status from before,
// with the setting as it is now.
int Operator::SetKnob(const std::string& command, const char* field, const json& value, const json& also,
                      const std::function<std::string(const json& status)>& meaning) {
  json status = json::object(), answer;
  int exit = kExitDone;
  if (!session_.json && !AskStatus(&status, &exit)) return exit;
  std::string before = TextAt(status, {field});
  json body = also;
  body[field] = value;
  if (!Ask("PATCH", "/api/v1/routing", &body, &answer, &exit) || session_.json) return exit;

  const json* now = Find(answer, {field});
  if (!status.is_object()) status = json::object();
  status[field] = now != nullptr ? *now : value;
  const char* unit = value.is_number() ? " %" : "";
  *session_.out << meaning(status);
  if (before == TextAt(status, {field})) {
    *session_.out << ", as before";
  } else if (!before.empty()) {
    *session_.out << fmt::format(" (was {}{}); undo with: crossfade {} {}{}", before, unit, command, before,
                                 session_.same_target);
  }
  *session_.out << "\n";
  for (const std::string& note : NotesIn(answer, {"attention", "warnings"})) *session_.out << "note: " << note << "\n";
  return exit;
}

int Operator::SetReads(double percent, bool cold) {
  return SetKnob("reads", "reads_new", PercentJson(percent), cold ? json{{"cold", true}} : json::object(),
                 [](const json& status) {
                   return fmt::format("reads: new answers {} % of the {} now", TextAt(status, {"reads_new"}),
                                      TextAt(status, {"split"}) == "random" ? "reads" : "keys");
                 });
}

int Operator::SetCompare(double percent) {
  return SetKnob("compare", "compare", PercentJson(percent), json::object(), [](const json& status) {
    return fmt::format("compare: {} % of reads are asked of both stores now", TextAt(status, {"compare"}));
  });
}

int Operator::SetSecondary(const std::string& value, const SecondaryOptions& options) {
  if ((options.snapshot && value != "follow") || (options.replace && value != "replica")) {
    *session_.err << (options.snapshot ? "--snapshot belongs to: crossfade secondary follow --snapshot\n"
                                       : "--replace belongs to: crossfade secondary replica --replace\n");
    return kExitUsage;
  }
  json also = json::object();
  if (options.snapshot) also = {{"snapshot_loaded", true}, {"snapshot_elsewhere", options.elsewhere}};
  if (options.replace) also["replace"] = true;
  return SetKnob("secondary", "secondary", value, also, [](const json& status) -> std::string {
    std::string mode = TextAt(status, {"secondary"});
    if (mode == "follow") return "secondary: follow: it receives every write now";
    if (mode == "journal") return "secondary: journal: nothing is sent to it now, every written key is remembered";
    if (mode == "replica")
      return "secondary: replica: the servers' own replication brings it everything now; crossfade status says how far";
    if (mode == "off") return "secondary: off: it falls behind now, and follow will have to copy everything again";
    return "secondary: " + mode;
  });
}

int Operator::SetAck(const std::string& value) {
  return SetKnob("ack", "ack", value, json::object(), [](const json& status) -> std::string {
    if (TextAt(status, {"ack"}) == "both") return "ack: a write is answered once both stores have it now";
    return "ack: a write is answered once the primary has it now";
  });
}

int Operator::SetSplit(const std::string& value) {
  return SetKnob("split", "split", value, json::object(), [](const json& status) -> std::string {
    if (TextAt(status, {"split"}) == "random") return "split: each read is routed at random now";
    return "split: reads are routed by their key now";
  });
}

int Operator::SetOnMiss(const std::string& value) {
  return SetKnob("on-miss", "on_miss", value, json::object(), [](const json& status) -> std::string {
    if (TextAt(status, {"on_miss"}) == "primary")
      return "on-miss: a nil from new asks the primary, and copies the key now";
    return "on-miss: a nil from new is the answer now";
  });
}

int Operator::Resync() {
  json answer, body = json::object();
  int exit = kExitDone;
  if (Ask("POST", "/api/v1/resync", &body, &answer, &exit) && !session_.json) {
    *session_.out << fmt::format(
        "resync: everything is being copied from the primary to the secondary; watch it with: "
        "crossfade status{}\n",
        session_.same_target);
  }
  return exit;
}

int Operator::Reload() {
  json answer, body = json::object();
  int exit = kExitDone;
  if (!Ask("POST", "/api/v1/reload", &body, &answer, &exit) || session_.json) return exit;
  const json* changed = Find(answer, {"changed"});
  const json* kept = Find(answer, {"kept"});
  if (changed != nullptr) {
    for (const json& one : *changed) {
      *session_.out << fmt::format("{}: \"{}\", was \"{}\"\n", TextAt(one, {"key"}), TextAt(one, {"to"}),
                                   TextAt(one, {"from"}));
    }
  }
  if (kept != nullptr) {
    for (const json& one : *kept) {
      *session_.out << fmt::format("{}: still \"{}\", not \"{}\": {}\n", TextAt(one, {"key"}), TextAt(one, {"from"}),
                                   TextAt(one, {"to"}), TextAt(one, {"reason"}));
    }
  }
  const size_t changes = changed == nullptr ? 0 : changed->size();
  *session_.out << fmt::format("reload: {} {} changed\n", changes, changes == 1 ? "setting has" : "settings have");
  return exit;
}

}  // namespace crossfade
