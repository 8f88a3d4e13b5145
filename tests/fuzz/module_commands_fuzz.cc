// Whatever a store answers to COMMAND is learnt without harm, also over what was learnt before: rows that were handed
// out stay as they were, and the keys that a learnt row finds in a request are among its arguments. The input: replies,
// one after another; the names in them are what is asked for.
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/reply.h"
#include "protocol/resp_parser.h"
#include "routing/module_commands.h"
#include "tests/fuzz/require.h"

namespace crossfade {
namespace {

struct Seen {
  const CommandRow* row;
  std::string name;
  Route route;
};

void CollectTexts(const Reply& reply, std::vector<std::string>* texts) {
  if (texts->size() >= 64) return;
  if (!reply.text.empty()) texts->emplace_back(reply.text);
  for (const Reply& item : reply.items) CollectTexts(item, texts);
}

void Ask(const ModuleCommands& modules, const std::vector<std::string>& texts, std::vector<Seen>* seen) {
  for (size_t i = 0; i < texts.size(); ++i) {
    std::vector<std::string_view> args = {texts[i]};
    for (size_t j = 1; j <= i % 8; ++j) args.push_back(texts[(i + j) % texts.size()]);
    const Request request = MakeRequest(args);
    const CommandRow* row = modules.Find(request.view());
    if (row == nullptr) continue;
    ArityMatches(*row, args.size());
    for (uint32_t key : FindKeys(*row, request.view())) Require(key < args.size(), "a key is an argument");
    Require(row->route != Route::kRefused || !row->refusal.empty(), "what is refused has a reason");
    if (row->route == Route::kWrite) Require(row->keys == KeyRule::kRange, "what writes names its keys");
    seen->push_back({row, std::string(row->name), row->route});
  }
}

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace crossfade;
  std::string_view rest = InputText(data, size);
  ModuleCommands modules;
  std::vector<Seen> seen;
  ReplyParser parser;
  size_t consumed = 0;
  while (!rest.empty() && parser.Parse(rest, &consumed) == ParseResult::kDone) {
    const ExactBlock bytes(rest.substr(0, consumed));
    modules.Learn(bytes.view());
    std::vector<std::string> texts;
    CollectTexts(ParseReply(bytes.view()), &texts);
    if (!texts.empty()) Ask(modules, texts, &seen);
    for (const CommandRow& row : AllCommands()) {
      modules.Known(row);
      modules.ArityOf(row);
    }
    rest.remove_prefix(consumed);
  }
  for (const Seen& row : seen) {
    Require(row.row->name == row.name && row.row->route == row.route, "a row stays as it was");
  }
  return 0;
}
