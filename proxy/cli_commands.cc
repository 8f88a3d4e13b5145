#include "proxy/cli_commands.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"
#include "routing/command_counts.h"
#include "routing/command_table.h"
#include "routing/plan.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

std::string_view Handling(const CommandRow& row) {
  if (row.route != Route::kRefused && !row.refusal.empty()) return "admin";
  return row.route == Route::kPrimaryRead ? "primary" : Name(row.route);
}

// The row of a container whose subcommand must be named: it stands for those that don't exist.
bool IsUnknownSubcommand(const CommandRow& row) {
  return row.route == Route::kRefused && IsContainer(row);
}

// Asked of MakePlan, with admin commands allowed and in the words that clients read.
bool FitsTransaction(const CommandRow& row) {
  ServiceFacts facts;
  facts.admin_commands = true;
  Session session(1, "", &facts);
  std::string reply;
  MakePlan(MakeRequest({"MULTI"}).view(), &session, &reply);
  std::vector<std::string_view> args{row.name};
  if (const size_t bar = row.name.find('|'); bar != std::string_view::npos) {
    args = {row.name.substr(0, bar), row.name.substr(bar + 1)};
  }
  while (!ArityMatches(row, args.size())) args.push_back("1");
  reply.clear();
  MakePlan(MakeRequest(args).view(), &session, &reply);
  return reply.find(" is refused inside MULTI") == std::string::npos;
}

std::vector<const CommandRow*> Chosen(CommandChoice choice) {
  std::vector<const CommandRow*> rows;
  for (const CommandRow& row : AllCommands()) {
    if (IsUnknownSubcommand(row)) continue;
    const bool refused = !row.refusal.empty();
    if (choice == CommandChoice::kRefused && !refused) continue;
    if (choice == CommandChoice::kNotQueued && (refused || FitsTransaction(row))) continue;
    rows.push_back(&row);
  }
  std::sort(rows.begin(), rows.end(),
            [](const auto* a, const auto* b) { return SpelledCommand(a->name) < SpelledCommand(b->name); });
  return rows;
}

}  // namespace

const char kHandlingHelp[] =
    "What is done with a command:\n"
    "  read      asked of the primary, or of the store that reads are shifted to; may be compared\n"
    "  primary   asked of the primary\n"
    "  write     run on the primary; what it did follows to the secondary\n"
    "  both      sent to both stores; the primary's answer counts\n"
    "  local     answered by the proxy, from what this client has said\n"
    "  service   answered by the proxy, from what it knows of all its clients\n"
    "  private   carried out on a connection to the primary that this client has for itself\n"
    "  admin     refused, unless listen.admin_commands = true: then run on the primary, and not followed\n"
    "            (only the keys that MIGRATE takes away go on the secondary as well)\n"
    "  refused   answered with an error that gives the reason\n";

std::string RenderCommands(CommandChoice choice) {
  std::string text;
  for (const CommandRow* row : Chosen(choice)) {
    text += fmt::format("{:<30} ", SpelledCommand(row->name));
    text += row->refusal.empty() ? Handling(*row) : fmt::format("{:<8} {}", Handling(*row), row->refusal);
    text += '\n';
  }
  return text;
}

std::string CommandsAsJson(CommandChoice choice) {
  nlohmann::json commands = nlohmann::json::array();
  for (const CommandRow* row : Chosen(choice)) {
    commands.push_back({{"command", SpelledCommand(row->name)},
                        {"handling", Handling(*row)},
                        {"reason", row->refusal},
                        {"in_transaction", FitsTransaction(*row)}});
  }
  return commands.dump(2) + "\n";
}

}  // namespace crossfade
